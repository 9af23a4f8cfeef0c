#include "operators/flags.h"

#include <gtest/gtest.h>

#include "operators/alert.h"
#include "operators/messages.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::flags_test {
namespace {

constexpr int64_t kStart = 1'700'000'000 * kSecondUs;
constexpr const char* kId = "ring-00000000000000aa";
using Stage = Benefit::Stage;

class FlagsTest : public testing::Test {
 protected:
  Raise ring(size_t subjects, size_t beneficiaries, size_t events) const {
    Raise r;
    r.kind = FlagKind::kRing, r.id = kId, r.confidence_permille = 875;
    for (size_t i = 0; i < subjects; ++i) r.subjects.push_back(1000 + i);
    for (size_t i = 0; i < beneficiaries; ++i) r.beneficiaries.push_back(9000 + i);
    for (size_t i = 0; i < events; ++i) r.evidence.push_back({1000 + i, 50, 9000, kStart - kHourUs, 7000 + i});
    r.scope.posts = {50, 60};
    r.details = {{"score_milli", 41000}};
    return r;
  }
  void raise(const Raise& r, int64_t at_us = 0) {
    now = at_us != 0 ? at_us : now + kMinuteUs;
    world.post(OperatorId::kFlags, key(), now, 1, encode(r), OperatorId::kRings);
    world.run_at(now);
    world.settle();
  }
  Outcome decide(Decision decision, std::string_view who = "mod", std::string id = {}) {
    now += kMinuteUs;
    if (id.empty()) id = "v" + std::to_string(now);
    const size_t outcomes = world.context.outcomes.size();
    world.post(facts.verdict(id, who, now, kId, decision, "because"));
    world.run_at(now);
    world.settle();
    return world.context.outcomes.at(outcomes);
  }
  Key key() const { return {KeyKind::kFlag, world.context.hash(KeyKind::kFlag, kId)}; }
  std::unique_ptr<FlagsState> state() const { return world.state<FlagsState>(OperatorId::kFlags, key()); }
  FlagStatus status() const { return state()->status; }
  int64_t open_flags() { return world.context.sums[{kCounterFlags, static_cast<uint32_t>(FlagKind::kRing)}]; }
  // What left the operator from message `from` on, with its place in time: tick * 100 + round.
  struct Told {
    int64_t place;
    uint64_t user;
    bool benefit;
    Stage stage;
    bool open;
    size_t posts;
  };
  std::vector<Told> told(size_t from = 0) const {
    std::vector<Told> list;
    for (size_t i = from; i < world.context.sent.size(); ++i) {
      const auto& s = world.context.sent[i];
      const int64_t place = s.tick.slot * 100 + s.round;
      if (kind_of(s.payload) == MessageKind::kBenefit) {
        EXPECT_EQ(s.to, OperatorId::kScores);
        list.push_back({place, s.key.hash, true, decode_benefit(s.payload).stage, false, 0});
        EXPECT_EQ(decode_benefit(s.payload).flag, key().hash);
      } else if (kind_of(s.payload) == MessageKind::kDiscount) {
        EXPECT_EQ(s.to, OperatorId::kPeople);
        const Discount d = decode_discount(s.payload);
        EXPECT_EQ(d.flag_id, kId);
        list.push_back({place, s.key.hash, false, Stage::kOpened, d.open, d.scope.posts.size()});
      }
    }
    return list;
  }
  size_t mark() const { return world.context.sent.size(); }
  std::vector<FlagChange> changes() const {
    std::vector<FlagChange> list;
    for (const auto& e : world.context.emitted)
      if (e.kind == OutKind::kFlag) {
        EXPECT_TRUE(decode(e.payload, list.emplace_back()));
      }
    return list;
  }
  std::vector<Alert> alerts() const {
    std::vector<Alert> list;
    for (const auto& e : world.context.emitted)
      if (e.kind == OutKind::kAlert) {
        EXPECT_TRUE(decode(e.payload, list.emplace_back()));
      }
    return list;
  }
  // Every message counted by user; and no fold sent more than it may.
  void expect_bounded_sends() const {
    std::map<std::pair<int64_t, int>, size_t> sends;
    for (const auto& s : world.context.sent)
      if (s.from == OperatorId::kFlags) ++sends[{s.tick.slot, s.round}];
    for (const auto& [at, n] : sends) EXPECT_LE(n, static_cast<size_t>(kSendsMax));
  }

  FakeWorld world{{&flags_operator()}};
  Facts facts{world.context.hash};
  int64_t now = kStart;
};

TEST_F(FlagsTest, OpeningTellsBeneficiariesBeforeSubjects) {
  raise(ring(3, 2, 5));
  EXPECT_EQ(status(), FlagStatus::kOpen);
  const auto all = told();
  ASSERT_EQ(all.size(), 5U);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(all[i].benefit && all[i].stage == Stage::kOpened);
  for (int i = 2; i < 5; ++i) {
    EXPECT_TRUE(!all[i].benefit && all[i].open);
    EXPECT_GT(all[i].place, all[1].place);
    EXPECT_EQ(all[i].posts, 2U);
  }
  EXPECT_EQ(open_flags(), 1);
  ASSERT_EQ(world.context.indexed.size(), 1U);
  EXPECT_EQ(world.context.indexed.begin()->order, static_cast<uint64_t>(slot_of(now)) + (uint64_t{1} << 63));
  ASSERT_EQ(changes().size(), 1U);
  EXPECT_EQ(changes()[0].what, FlagChange::What::kOpened);
  EXPECT_EQ(changes()[0].id, kId);
  EXPECT_EQ(changes()[0].subjects, 3U);
  EXPECT_EQ(changes()[0].evidence, 5U);
  ASSERT_EQ(alerts().size(), 1U);
  EXPECT_EQ(
      alerts()[0].text,
      "ring-00000000000000aa: 3 accounts like the same 2 posts in lockstep; 2 users gained by it (confidence 87.5 %).");
}

TEST_F(FlagsTest, LargeFlagsAreToldInPartsAndInOrder) {
  raise(ring(500, 40, 600));
  expect_bounded_sends();
  auto all = told();
  ASSERT_EQ(all.size(), 540U);
  std::set<uint64_t> users;
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].benefit, i < 40);
    users.insert(all[i].user);
  }
  EXPECT_EQ(users.size(), 540U);
  EXPECT_GT(all[40].place, all[39].place);

  const size_t before = mark();
  decide(Decision::kDismissed);
  expect_bounded_sends();
  all = told(before);
  ASSERT_EQ(all.size(), 540U);
  for (size_t i = 0; i < 500; ++i) EXPECT_TRUE(!all[i].benefit && !all[i].open);
  for (size_t i = 500; i < 540; ++i) EXPECT_TRUE(all[i].benefit && all[i].stage == Stage::kDismissed);
  EXPECT_EQ(open_flags(), 0);
  EXPECT_FALSE(state()->working);
}

TEST_F(FlagsTest, DismissalReachesBeneficiariesAfterItHasSettled) {
  raise(ring(3, 1, 5));
  const size_t before = mark();
  decide(Decision::kDismissed);
  const auto all = told(before);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[3].place - all[2].place, static_cast<decltype(all[3].place - all[2].place)>(kSettleRounds));
  EXPECT_EQ(changes().back().what, FlagChange::What::kDecided);
  EXPECT_EQ(changes().back().decision, Decision::kDismissed);
  EXPECT_EQ(changes().back().status, FlagStatus::kDismissed);
}

TEST_F(FlagsTest, AVerdictDuringTheOpeningIsCarriedOutAfterIt) {
  world.post(OperatorId::kFlags, key(), now, 1, encode(ring(400, 10, 5)), OperatorId::kRings);
  world.run_at(now);
  EXPECT_TRUE(world.waiting());  // 16 rounds are not enough
  world.post(facts.verdict("v", "mod", now + kSecondUs, kId, Decision::kDismissed));
  world.run_at(now + kSecondUs);
  world.settle();
  std::map<uint64_t, int> discounted;
  bool ended = false;
  for (const Told& t : told()) {
    if (t.benefit) continue;
    discounted[t.user] += t.open ? 1 : -1;
    ended = ended || !t.open;
    EXPECT_FALSE(ended && t.open);
  }
  EXPECT_TRUE(ended);
  for (const auto& [user, n] : discounted) EXPECT_EQ(n, 0) << user;
  EXPECT_EQ(told().back().stage, Stage::kDismissed);
}

TEST_F(FlagsTest, AnExtensionTellsWhoIsNewAndWidensTheScope) {
  raise(ring(3, 2, 5));
  size_t before = mark();
  raise(ring(3, 2, 5));  // nothing new
  EXPECT_EQ(told(before).size(), 0U);
  EXPECT_EQ(changes().size(), 1U);

  raise(ring(5, 3, 9));  // same scope: only the new ones
  auto all = told(before);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].user, 9002U);
  EXPECT_EQ(all[1].user, 1003U);
  EXPECT_EQ(state()->evidence.size(), 9U);
  EXPECT_EQ(changes().back().what, FlagChange::What::kUpdated);

  before = mark();
  Raise wider = ring(5, 3, 9);
  wider.scope.posts = {40, 60};
  raise(wider);
  all = told(before);
  ASSERT_EQ(all.size(), 5U);
  for (const Told& t : all) EXPECT_TRUE(t.open && t.posts == 3);
  EXPECT_EQ(state()->scope.posts, (std::vector<uint64_t>{40, 50, 60}));
  EXPECT_EQ(open_flags(), 1);

  before = mark();
  decide(Decision::kDismissed);  // everybody who holds a discount
  EXPECT_EQ(told(before).size(), 8U);
}

TEST_F(FlagsTest, ConfirmedAppealedAndUpheld) {
  raise(ring(3, 2, 5));
  size_t before = mark();
  decide(Decision::kConfirmed);
  EXPECT_EQ(status(), FlagStatus::kConfirmed);
  ASSERT_EQ(told(before).size(), 2U);
  EXPECT_EQ(told(before)[0].stage, Stage::kConfirmed);
  before = mark();
  Raise mine = ring(3, 2, 5);
  mine.subjects.push_back(facts.user("ann").hash);
  raise(mine);
  before = mark();
  EXPECT_EQ(decide(Decision::kAppealed, "bob"), Outcome::kApplied);  // no subject: noted
  EXPECT_EQ(status(), FlagStatus::kConfirmed);
  decide(Decision::kAppealed, "ann");
  EXPECT_EQ(status(), FlagStatus::kAppealed);
  EXPECT_EQ(alerts().back().kind, AlertKind::kAppeal);
  EXPECT_EQ(told(before).size(), 0U);  // the discount stays
  EXPECT_EQ(open_flags(), 1);
  decide(Decision::kUpheld, "ann");  // not by a subject
  EXPECT_EQ(status(), FlagStatus::kAppealed);
  decide(Decision::kUpheld);
  EXPECT_EQ(status(), FlagStatus::kUpheld);
  decide(Decision::kReversed);
  EXPECT_EQ(status(), FlagStatus::kReversed);
  EXPECT_EQ(open_flags(), 0);
  EXPECT_EQ(told(before).size(), 6U);  // four subjects, two beneficiaries
  const auto flag = state();
  ASSERT_EQ(flag->history.size(), 6U);
  EXPECT_EQ(flag->history[0].user, "mod");
  EXPECT_EQ(flag->history[0].reason, "because");
  EXPECT_EQ(flag->history[0].status, FlagStatus::kConfirmed);
}

TEST_F(FlagsTest, DismissedAndConfirmedAgainDiscountsAnew) {
  raise(ring(3, 2, 5));
  decide(Decision::kDismissed);
  const size_t before = mark();
  decide(Decision::kConfirmed);
  EXPECT_EQ(status(), FlagStatus::kConfirmed);
  const auto all = told(before);
  ASSERT_EQ(all.size(), 7U);
  EXPECT_EQ(all[0].stage, Stage::kOpened);
  EXPECT_TRUE(all[2].open);
  EXPECT_EQ(all[6].stage, Stage::kConfirmed);
  EXPECT_EQ(open_flags(), 1);
}

TEST_F(FlagsTest, ADismissedFlagReopensOnceItsEvidenceHasDoubled) {
  raise(ring(3, 2, 5));
  decide(Decision::kDismissed);
  size_t before = mark();
  raise(ring(6, 2, 9));
  EXPECT_EQ(status(), FlagStatus::kDismissed);
  EXPECT_EQ(told(before).size(), 0U);
  raise(ring(6, 2, 10));
  EXPECT_EQ(status(), FlagStatus::kOpen);
  EXPECT_EQ(told(before).size(), 8U);
  EXPECT_EQ(open_flags(), 1);
}

TEST_F(FlagsTest, VerdictsAreFoldedOnce) {
  raise(ring(3, 2, 5));
  EXPECT_EQ(decide(Decision::kConfirmed, "mod", "v1"), Outcome::kApplied);
  EXPECT_EQ(decide(Decision::kDismissed, "mod", "v1"), Outcome::kDuplicate);
  EXPECT_EQ(status(), FlagStatus::kConfirmed);
  Fact& other = facts.verdict("v2", "mod", now, "ring-of-the-same-hash", Decision::kDismissed);
  other.home = key();
  world.post(other);
  world.run_at(now);
  EXPECT_EQ(world.context.outcomes.back(), Outcome::kCollision);
  EXPECT_EQ(status(), FlagStatus::kConfirmed);
}

TEST_F(FlagsTest, AVerdictBeforeItsFlagIsAppliedWhenItIsRaised) {
  EXPECT_EQ(decide(Decision::kDismissed), Outcome::kApplied);
  EXPECT_EQ(status(), FlagStatus::kNone);
  EXPECT_TRUE(changes().empty());
  raise(ring(3, 2, 5));
  EXPECT_EQ(status(), FlagStatus::kDismissed);
  EXPECT_EQ(told().size(), 0U);
  EXPECT_EQ(open_flags(), 0);
  EXPECT_TRUE(alerts().empty());
  ASSERT_EQ(changes().size(), 1U);
  EXPECT_EQ(changes()[0].status, FlagStatus::kDismissed);
}

TEST_F(FlagsTest, ChangesOfMindInOneTickComeToTheLastOne) {
  raise(ring(3, 2, 5));
  const size_t before = mark();
  now += kMinuteUs;
  world.post(facts.verdict("a", "mod", now, kId, Decision::kDismissed));
  world.post(facts.verdict("b", "mod", now + 1, kId, Decision::kConfirmed));
  world.run_at(now);
  world.settle();
  EXPECT_EQ(status(), FlagStatus::kConfirmed);
  for (const Told& t : told(before)) EXPECT_TRUE(t.benefit && t.stage == Stage::kConfirmed);
  EXPECT_EQ(changes().size(), 3U);  // all of it stays in the history
}

TEST_F(FlagsTest, EndsByItselfAndStaysAsHistory) {
  raise(ring(3, 2, 5));
  const auto timer = [&] { return world.context.timers[{OperatorId::kFlags, key()}]; };
  ASSERT_TRUE(timer());
  const size_t before = mark();
  EXPECT_EQ(*timer(), now + 182 * kDayUs);
  world.run_at(*timer());
  world.settle();
  EXPECT_EQ(status(), FlagStatus::kClosed);
  EXPECT_EQ(changes().back().what, FlagChange::What::kClosed);
  EXPECT_EQ(told(before).size(), 5U);
  EXPECT_EQ(open_flags(), 0);
  EXPECT_FALSE(timer());
  EXPECT_EQ(world.states().size(), 1U);
  EXPECT_FALSE(world.context.indexed.empty());
}

TEST_F(FlagsTest, WokenEarlyItWaitsOn) {
  raise(ring(3, 2, 5));
  const int64_t first = *world.context.timers[{OperatorId::kFlags, key()}];
  raise(ring(4, 2, 6), now + 10 * kDayUs);
  world.run_at(first);
  EXPECT_EQ(status(), FlagStatus::kOpen);
  EXPECT_EQ((*world.context.timers[{OperatorId::kFlags, key()}]), now + 182 * kDayUs);
}

TEST_F(FlagsTest, TheStateStaysBounded) {
  Raise big = ring(2000, 2000, 5000);
  for (uint64_t p = 0; p < 2000; ++p) big.scope.posts.push_back(100 + p);
  raise(big);
  const std::string reason(500, 'r');
  now += kHourUs;
  for (int i = 0; i < 1500; ++i)
    world.post(facts.verdict("w" + std::to_string(i), std::string(64, 'm'), now + i, kId,
                             i % 2 ? Decision::kDismissed : Decision::kConfirmed, reason));
  world.run_at(now + kSecondUs);
  world.settle();
  const auto flag = state();
  EXPECT_EQ(flag->subjects.size(), kFlagUsersMax);
  EXPECT_EQ(flag->more_subjects, 2000 - kFlagUsersMax);
  EXPECT_EQ(flag->evidence.size(), kFlagEvidenceMax);
  EXPECT_EQ(flag->evidence_total(), 5000U);
  EXPECT_EQ(flag->scope.posts.size(), kScopePostsMax);
  EXPECT_EQ(flag->history.size(), kFlagHistoryMax);
  EXPECT_EQ(flag->more_history, 1500 - kFlagHistoryMax);
  EXPECT_LT(world.states().begin()->second.size(), 125'000U);
  EXPECT_EQ(flag->status, FlagStatus::kDismissed);
  EXPECT_EQ(open_flags(), 0);
  expect_bounded_sends();
}

TEST(FlagDecisions, WhatEachMakesOfAFlag) {
  using S = FlagStatus;
  using D = Decision;
  EXPECT_EQ(decided(S::kOpen, D::kConfirmed), S::kConfirmed);
  EXPECT_EQ(decided(S::kConfirmed, D::kDismissed), S::kDismissed);
  EXPECT_EQ(decided(S::kDismissed, D::kAppealed), S::kDismissed);
  EXPECT_EQ(decided(S::kAppealed, D::kReversed), S::kReversed);
  EXPECT_EQ(decided(S::kReversed, D::kConfirmed), S::kConfirmed);
  EXPECT_EQ(decided(S::kReversed, D::kUpheld), S::kReversed);
  EXPECT_EQ(decided(S::kClosed, D::kConfirmed), S::kClosed);
  EXPECT_EQ(decided(S::kNone, D::kConfirmed), S::kNone);
}

}  // namespace
}  // namespace bellwether::flags_test

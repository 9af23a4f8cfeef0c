// Days active: the set itself, and when they come from the home of likes to the score (MessageKind::kWantDays).
#include "operators/active_days.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "operators/people.h"
#include "operators/posts.h"
#include "operators/scores.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::active_days_test {
namespace {

TEST(ActiveDays, AreTheSetOfTheLast192) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    ActiveDays some, others;
    std::set<int64_t> marked;
    const int64_t begin = static_cast<int64_t>(random() % 4000) - 2000;
    for (int i = 0; i < 60; ++i) {
      const int64_t day = begin + static_cast<int64_t>(random() % 300);
      (random() % 2 == 0 ? some : others).mark(day);
      marked.insert(day);
    }
    ActiveDays both = some;
    EXPECT_TRUE(both.add(others));
    EXPECT_FALSE(both.add(others));
    EXPECT_FALSE(both.add(some));
    const int64_t newest = *marked.rbegin();
    for (int64_t day = newest - ActiveDays::kDays - 5; day <= newest + 5; ++day)
      ASSERT_EQ(both.on(day), day > newest - ActiveDays::kDays && marked.contains(day)) << day;
    for (const int64_t today : {newest, newest + 3, newest + 170}) {
      int64_t expected = 0;
      for (const int64_t day : marked) expected += day >= today - 180 && day <= today && both.on(day);
      EXPECT_EQ(both.count(today, 180), expected);
    }
    std::string bytes;
    Writer w(bytes);
    both.write(w);
    Reader r(bytes);
    ActiveDays again;
    again.read(r);
    EXPECT_TRUE(r.ok() && r.done());
    EXPECT_FALSE(again.add(both));
    EXPECT_EQ(again.count(newest, 180), both.count(newest, 180));
  }
}

class DaysOfAUser : public testing::Test {
 protected:
  void like(const std::string& who, const std::string& post, const std::string& author, int64_t at,
            LikeKind kind = LikeKind::kLike) {
    now = std::max(now, at);
    Fact& f = facts.add("like" + std::to_string(++n), who, at, facts.user_key(who), LikeFact{});
    f.body = LikeFact{.post = facts.ref(KeyKind::kPost, post),
                      .author = facts.user(author),
                      .kind = kind,
                      .post_kind = PostKind::kArticle};
    world.post(f);
    world.run_at(now);
  }
  // So many points, of as many strangers.
  void earn(const std::string& who, int points, int64_t at) {
    for (int i = 0; i < points; ++i) like("fan" + std::to_string(++n), "of " + who, who, at + i * kSecondUs);
  }
  std::unique_ptr<ScoresState> scores(const std::string& who) {
    return world.state<ScoresState>(OperatorId::kScores, facts.user_key(who));
  }
  std::unique_ptr<PeopleState> people(const std::string& who) {
    return world.state<PeopleState>(OperatorId::kPeople, facts.user_key(who));
  }
  size_t told(const std::string& who) {
    size_t count = 0;
    for (const auto& m : world.context.sent)
      count += m.from == OperatorId::kPeople && m.from_key == facts.user_key(who) && m.to == OperatorId::kScores &&
               m.key == facts.user_key(who);
    return count;
  }

  FakeWorld world{{&people_operator(), &posts_operator(), &scores_operator()}};
  Facts facts{world.context.hash};
  static constexpr int64_t kStart = int64_t{20'000} * kDayUs;
  int64_t now = kStart;
  int n = 0;
};

TEST_F(DaysOfAUser, OfNoTierWithinReachAreToldOnce) {
  for (int day = 0; day < 20; ++day) like("ann", "p" + std::to_string(day), "bob", kStart + day * kDayUs);
  EXPECT_EQ(told("ann"), 1U);  // that she is there
  EXPECT_EQ(scores("ann")->portrait.days().count(20'019, 180), 1U);
  const auto home = people("ann");
  EXPECT_EQ(days_active(scores("ann").get(), &home->portrait.days(), now, 180), 20U);
  EXPECT_EQ(days_active(nullptr, &home->portrait.days(), now, 180), 20U);
  EXPECT_EQ(days_active(scores("ann").get(), nullptr, now, 180), 1U);
}

TEST_F(DaysOfAUser, AreThereInTheTickInWhichTheyDecide) {
  for (int day = 0; day < 4; ++day) like("ann", "p" + std::to_string(day), "bob", kStart + day * kDayUs);
  earn("ann", 20, kStart + 4 * kDayUs);
  const auto s = scores("ann");
  EXPECT_TRUE(s->wants_days);
  EXPECT_EQ(s->machine.tier, Tier::kContributor);
  EXPECT_NE(s->machine.reason.find("days active 4 of 3"), std::string::npos) << s->machine.reason;
  EXPECT_FALSE(world.waiting());
  // What goes out of the score says so too, at the next minute.
  world.run_at(now + kMinuteUs);
  ScoreRecord last;
  for (const auto& e : world.context.emitted)
    if (e.kind == OutKind::kScore && e.key == facts.user_key("ann") && !decode(e.payload, last)) ADD_FAILURE();
  EXPECT_EQ(last.tier, Tier::kContributor);
}

// An exam's points come in round 1, a like's in round 2, the days in round 3: nothing is told of the score before them.
TEST_F(DaysOfAUser, AreWaitedForByWhatComesMeanwhile) {
  for (int day = 0; day < 4; ++day) like("ann", "p" + std::to_string(day), "bob", kStart + day * kDayUs);
  now = kStart + 4 * kDayUs;
  Fact& exam = facts.add("exam", "ann", now, facts.user_key("ann"), AccountFact{});
  exam.body = AccountFact{.action = AccountAction::kExamPassed, .name = "first"};
  world.post(exam);
  like("fan", "of ann", "ann", now);
  const auto s = scores("ann");
  EXPECT_FALSE(s->awaits_days);
  EXPECT_EQ(s->machine.tier, Tier::kContributor);
  size_t records = 0;
  for (const auto& e : world.context.emitted) {
    ScoreRecord record;
    if (e.kind != OutKind::kScore || e.key != facts.user_key("ann")) continue;
    EXPECT_TRUE(decode(e.payload, record));
    EXPECT_EQ(record.tier, Tier::kContributor);
    ++records;
  }
  EXPECT_EQ(records, 1U);
}

TEST_F(DaysOfAUser, AreToldOneByOneOnceTheyDecide) {
  earn("ann", 25, kStart);
  EXPECT_EQ(scores("ann")->machine.tier, Tier::kMember);
  EXPECT_TRUE(people("ann")->tells_days);  // who never did anything of which a home knows
  like("ann", "p1", "bob", kStart + kDayUs);
  like("ann", "p2", "bob", kStart + kDayUs + kHourUs);
  EXPECT_EQ(scores("ann")->machine.tier, Tier::kMember);
  like("ann", "p3", "bob", kStart + 2 * kDayUs);
  EXPECT_EQ(scores("ann")->machine.tier, Tier::kMember);
  like("ann", "p4", "bob", kStart + 3 * kDayUs);
  EXPECT_EQ(scores("ann")->machine.tier, Tier::kContributor);
  EXPECT_EQ(told("ann"), 4U);  // the answer, and three days
}

TEST_F(DaysOfAUser, UnderNewRulesTheNextDayIsTold) {
  for (int day = 0; day < 4; ++day) like("ann", "p" + std::to_string(day), "bob", kStart + day * kDayUs);
  earn("ann", 5, kStart + 4 * kDayUs);
  EXPECT_FALSE(scores("ann")->wants_days);
  world.run_at(now + kMinuteUs);  // what is due of the score's report
  CommunityConfig rules = world.context.rules[0];
  rules.tiers[static_cast<size_t>(Tier::kContributor)].min_score_micros = 3'000'000;
  world.context.rules.push_back(rules);
  world.context.rules_number = 1;
  like("ann", "p10", "bob", kStart + 5 * kDayUs);
  EXPECT_EQ(scores("ann")->machine.tier, Tier::kContributor);
}

TEST_F(DaysOfAUser, AreNeverAskedForWhereNoTierAsks) {
  for (TierConfig& tier : world.context.rules[0].tiers) tier.gates.days_active = 0;
  like("ann", "p1", "bob", kStart);
  earn("ann", 20, kStart + kDayUs);
  EXPECT_EQ(scores("ann")->machine.tier, Tier::kContributor);
  EXPECT_FALSE(scores("ann")->wants_days);
}

TEST_F(DaysOfAUser, OfVersionOneAreAskedForAtTheNextLook) {
  ScoresState s;
  s.id = "ann", s.wants_days = true;
  std::string bytes;
  s.encode(bytes);
  bytes[0] = 1;
  EXPECT_FALSE(ScoresState().decode(bytes));  // version 1 has no such bit
  s.wants_days = false, bytes.clear();
  s.encode(bytes);
  bytes[0] = 1;
  ScoresState old;
  ASSERT_TRUE(old.decode(bytes));
  EXPECT_FALSE(old.wants_days);
}

}  // namespace
}  // namespace bellwether::active_days_test

// Rows of PeopleState: the front that answers read by itself, and rows of earlier versions.
#include <gtest/gtest.h>

#include "operators/erased.h"
#include "operators/people.h"
#include "operators/posts.h"
#include "operators/scores.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::people_rows_test {
namespace {

constexpr int64_t kStart = int64_t{20'000} * kDayUs;

void write_telling(Writer& w, const PeopleState& s) {
  w.varint(s.telling.size());
  for (const PeopleState::Telling& t : s.telling)
    w.varint(static_cast<uint64_t>(t.to)), w.u8(static_cast<uint8_t>(t.key.kind)), w.fixed64(t.key.hash),
        w.zigzag(t.time_us), w.fixed64(t.id_hash), w.bytes(t.payload);
}

// What earlier versions wrote.
std::string row_of_version(uint8_t version, const PeopleState& s) {
  const Seen& seen = s.seen;
  std::string out;
  Writer w(out);
  w.u8(version);
  w.bytes(s.id), w.zigzag(s.first_seen_us), w.zigzag(s.registered_us);
  w.u8(static_cast<uint8_t>(s.closed | (version > 1 ? s.tells_days << 1 : 0))), w.varint(s.followers);
  if (version > 1) w.varint(s.rules_told);
  w.u8(static_cast<uint8_t>(s.held));
  if (s.held != Tier::kUnspecified) w.zigzag(s.held_until_us), w.bytes(s.held_reason);
  if (version < 3) seen.write(w);
  s.portrait.write(w);
  if (version == 3) s.book.write(w), s.purpose.write(w), write_telling(w, s);
  std::string part;
  s.co_likers.encode(part), w.bytes(part);
  if (version == 3)
    seen.write(w);
  else
    s.purpose.write(w), write_telling(w, s), s.book.write(w);
  return out;
}

std::string row_of(const State& s) {
  std::string out;
  s.encode(out);
  return out;
}

class PeopleRows : public testing::Test {
 protected:
  // Ann has everything that a row can hold: account events, a hold, likes in blocks and open, a discount, co-likers,
  // and something left to tell.
  PeopleRows() {
    const Key key = facts.user_key("ann");
    const auto add = [&](int64_t at, Body body) {
      world.post(facts.add("e" + std::to_string(++n), "ann", at, key, std::move(body)));
      world.run_at(at);
    };
    add(kStart, AccountFact{.action = AccountAction::kRegistered});
    add(kStart + kSecondUs, AccountFact{.action = AccountAction::kFollowers, .followers = 12'345});
    for (int i = 0; i < 40; ++i)
      add(kStart + i * kHourUs, LikeFact{.post = facts.ref(KeyKind::kPost, "p" + std::to_string(i)),
                                         .author = facts.user("bob" + std::to_string(i % 5)),
                                         .kind = LikeKind::kLike,
                                         .post_kind = PostKind::kIdea});
    ann = world.state<PeopleState>(OperatorId::kPeople, key);
    ann->held = Tier::kKey, ann->held_until_us = kStart + 9 * kDayUs, ann->held_reason = "ambassador";
    ann->tells_days = true, ann->rules_told = 3;
    OpenDiscount d{77, "flag-77", FlagKind::kRing, 0, {}};
    d.scope.posts = {ann->book.entries().front().post}, d.scope.to_us = kStart + kDayUs;
    ann->book.set_discount(d);
    ann->telling.push_back({OperatorId::kScores, key, kStart, 5, "payload"});
  }
  static void expect_front(const PeopleShown& shown, const PeopleState& whole) {
    EXPECT_EQ(shown.id, whole.id);
    EXPECT_EQ(shown.first_seen_us, whole.first_seen_us);
    EXPECT_EQ(shown.registered_us, whole.registered_us);
    EXPECT_EQ(shown.closed, whole.closed);
    EXPECT_EQ(shown.followers, whole.followers);
    EXPECT_EQ(shown.held, whole.held);
    EXPECT_EQ(shown.held_until_us, whole.held_until_us);
    EXPECT_EQ(shown.held_reason, whole.held_reason);
    std::string a, b;
    Writer wa(a), wb(b);
    shown.portrait.write(wa), whole.portrait.write(wb);
    shown.book.write(wa), whole.book.write(wb);
    EXPECT_EQ(a, b);
    ASSERT_EQ(shown.book.discounts().size(), 1U);
    EXPECT_EQ(shown.book.discounts()[0].flag_id, "flag-77");
  }

  FakeWorld world{{&people_operator(), &posts_operator(), &scores_operator()}};
  Facts facts{world.context.hash};
  int n = 0;
  std::unique_ptr<PeopleState> ann;
};

TEST_F(PeopleRows, HoldWhatTheTestIsAbout) {
  EXPECT_EQ(ann->id, "ann");
  EXPECT_EQ(ann->followers, 12'345U);
  EXPECT_FALSE(ann->seen.empty());
  EXPECT_FALSE(ann->book.blocks().empty());
  EXPECT_FALSE(ann->book.entries().empty());
}

TEST_F(PeopleRows, OfEveryVersionComeToTheSameState) {
  const std::string row = row_of(*ann);
  EXPECT_EQ(row[0], PeopleState::kVersion);
  PeopleState again;
  ASSERT_TRUE(again.decode(row));
  EXPECT_EQ(row_of(again), row);
  for (const uint8_t version : {uint8_t{2}, uint8_t{3}}) {
    PeopleState before;
    ASSERT_TRUE(before.decode(row_of_version(version, *ann)));
    EXPECT_EQ(row_of(before), row);
  }
  // The first knew neither which days were told nor under which rules.
  PeopleState first;
  ann->rules_told = 0;
  ASSERT_TRUE(first.decode(row_of_version(1, *ann)));
  EXPECT_EQ(row_of(first), row_of(*ann));
}

TEST_F(PeopleRows, AreReadAtTheFrontWithoutTheRest) {
  const std::string row = row_of(*ann);
  PeopleShown shown;
  ASSERT_TRUE(shown.decode_front(row));
  expect_front(shown, *ann);
  // The rest is not looked at: a row that lost some of it shows the same, and is no state.
  const std::string cut = row.substr(0, row.size() - 1);
  PeopleShown front;
  ASSERT_TRUE(front.decode_front(cut));
  expect_front(front, *ann);
  EXPECT_FALSE(PeopleState().decode(cut));
  for (const uint8_t version : {uint8_t{1}, uint8_t{2}, uint8_t{3}}) {
    PeopleShown old;
    ASSERT_TRUE(old.decode_front(row_of_version(version, *ann)));
    expect_front(old, *ann);
  }
}

// Bea likes the same post again and again: none of those ids may come a second time, whatever it says, though most of
// them stand in blocks by then and her row is read anew for each tick.
TEST_F(PeopleRows, KnowTheIdsThatStandInBlocks) {
  const Key key = facts.user_key("bea");
  int64_t at = kStart;
  const auto like = [&](const std::string& id, const std::string& post) {
    world.post(facts.add(id, "bea", at += kHourUs, key,
                         LikeFact{.post = facts.ref(KeyKind::kPost, post),
                                  .author = facts.user("bob"),
                                  .kind = LikeKind::kLike,
                                  .post_kind = PostKind::kIdea}));
    world.run_at(at);
    return world.context.outcomes.back();
  };
  EXPECT_EQ(like("first", "p"), Outcome::kApplied);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(like("again" + std::to_string(i), "p"), Outcome::kDuplicate);
  const auto bea = world.state<PeopleState>(OperatorId::kPeople, key);
  EXPECT_EQ(bea->seen.blocks().size(), 3U);
  EXPECT_EQ(bea->seen.size(), 12U);  // of the row alone
  for (int i = 0; i < 60; i += 7)
    EXPECT_EQ(like("again" + std::to_string(i), "p" + std::to_string(i)), Outcome::kDuplicate);
  EXPECT_EQ(like("other", "p0"), Outcome::kApplied);
  at += kSeenUs + kDayUs;  // a week later they are free, and their blocks forgotten with the next id
  EXPECT_EQ(like("again0", "p1"), Outcome::kApplied);
  EXPECT_EQ(like("again1", "p1"), Outcome::kDuplicate);
  EXPECT_TRUE(world.state<PeopleState>(OperatorId::kPeople, key)->seen.blocks().empty());
}

TEST_F(PeopleRows, ThatAreBrokenAreRefused) {
  const std::string row = row_of(*ann);
  EXPECT_FALSE(PeopleShown().decode_front(row.substr(0, 20)));
  EXPECT_FALSE(PeopleShown().decode_front(""));
  for (const char version : {'\0', '\5', '\x7f'}) {
    std::string other = row;
    other[0] = version;
    EXPECT_FALSE(PeopleState().decode(other)) << static_cast<int>(version);
    EXPECT_FALSE(PeopleShown().decode_front(other)) << static_cast<int>(version);
  }
}

TEST_F(PeopleRows, ForgetNamesAtTheFrontAsAWhole) {
  Erased erased(world.context.hash);
  erased.add(facts.user_key("ann").hash, 3);
  const Key key = facts.user_key("ann");
  PeopleShown shown;
  ASSERT_TRUE(shown.decode_front(row_of(*ann)));
  EXPECT_TRUE(shown.forget_names(key, erased));
  EXPECT_TRUE(ann->forget(key, erased));
  EXPECT_NE(shown.id, "ann");
  EXPECT_TRUE(shown.held_reason.empty());
  expect_front(shown, *ann);
}

}  // namespace
}  // namespace bellwether::people_rows_test

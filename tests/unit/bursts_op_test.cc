#include "operators/bursts_op.h"

#include <gtest/gtest.h>

#include <bit>

#include "operators/messages.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::bursts_op_test {
namespace {

constexpr int64_t kStart = 1'700'000'000 * kSecondUs;

class BurstsTest : public testing::Test {
 protected:
  BurstsTest() {
    // A community whose likers are established.
    for (int64_t day = day_of(kStart) - 7; day <= day_of(kStart) + 60; ++day)
      world.context.sums[{kCounterLikers, static_cast<uint32_t>(day * 2)}] = 1000;
  }
  void like(uint64_t liker, bool young, bool one_purpose = false) {
    LikeSeen m;
    m.liker = liker, m.post = 5, m.author = author.hash, m.time_us = now, m.id_hash = liker, m.young = young,
    m.one_purpose = one_purpose;
    world.post(OperatorId::kBursts, author, now, liker, encode(m), OperatorId::kPosts);
    world.run_at(now);
  }
  std::vector<Raise> raises() const {
    std::vector<Raise> list;
    for (const auto& s : world.context.sent)
      if (kind_of(s.payload) == MessageKind::kRaise) list.push_back(decode_raise(s.payload));
    return list;
  }
  std::set<uint64_t> subjects() const {
    std::set<uint64_t> all;
    for (const Raise& r : raises()) all.insert(r.subjects.begin(), r.subjects.end());
    return all;
  }
  std::unique_ptr<BurstsState> state() const { return world.state<BurstsState>(OperatorId::kBursts, author); }

  FakeWorld world{{&bursts_operator()}};
  Key author{KeyKind::kUser, 77};
  int64_t now = kStart;
};

TEST_F(BurstsTest, YoungLikersInABurstAreFlaggedAllOfThem) {
  for (uint64_t day = 0; day < 10; ++day, now += kDayUs)
    for (uint64_t i = 0; i < 5; ++i) like(100 * day + i, false), now += kHourUs;
  for (uint64_t i = 0; i < 333; ++i) like(5000 + i, i % 2 == 0, true), now += 5 * kSecondUs;
  now += 2 * kHourUs;
  world.run_at(now);  // the timer tells the rest
  EXPECT_EQ(subjects().size(), 333U);
  EXPECT_EQ(*subjects().begin(), 5000U);
  const auto all = raises();
  ASSERT_GE(all.size(), 2U);
  EXPECT_LT(all.size(), 32U);
  for (const Raise& r : all) {
    EXPECT_EQ(r.id, all[0].id);
    EXPECT_EQ(r.id.size(), 22U);
    EXPECT_EQ(r.kind, FlagKind::kBurst);
    EXPECT_EQ(r.beneficiaries, (std::vector<uint64_t>{77}));
    EXPECT_TRUE(r.scope.posts.empty());
    EXPECT_EQ(r.scope.author, 77U);
    for (const EvidenceEvent& e : r.evidence) EXPECT_TRUE(r.scope.from_us <= e.time_us && e.time_us <= r.scope.to_us);
  }
  EXPECT_GE(all[0].confidence_permille, 500);
}

TEST_F(BurstsTest, APostThatGoesAroundIsNoBurst) {
  for (uint64_t i = 0; i < 500; ++i) like(i, i % 4 == 0), now += kSecondUs;
  EXPECT_TRUE(raises().empty());
}

TEST_F(BurstsTest, APopularAuthorMayHaveManyYoungLikers) {
  for (uint64_t hour = 0; hour < 200; ++hour)
    for (uint64_t i = 0; i < 40; ++i) like(hour * 100 + i, false), now += 90 * kSecondUs;
  for (uint64_t i = 0; i < 45; ++i) like(90'000 + i, true), now += 80 * kSecondUs;
  EXPECT_TRUE(raises().empty());
}

TEST_F(BurstsTest, InAYoungCommunityYouthSaysNothing) {
  for (int64_t day = day_of(kStart) - 7; day <= day_of(kStart); ++day)
    world.context.sums[{kCounterLikers, static_cast<uint32_t>(day * 2 + 1)}] = 900;
  for (uint64_t i = 0; i < 100; ++i) like(i, true), now += kSecondUs;
  EXPECT_TRUE(raises().empty());
}

TEST_F(BurstsTest, ALaterBurstIsAnotherFlag) {
  for (uint64_t i = 0; i < 40; ++i) like(i, true), now += kSecondUs;
  const size_t first = raises().size();
  ASSERT_GE(first, 1U);
  now += 9 * kDayUs;
  for (uint64_t i = 0; i < 40; ++i) like(1000 + i, true), now += kSecondUs;
  ASSERT_GT(raises().size(), first);
  EXPECT_NE(raises().back().id, raises().front().id);
  const auto last = raises().back();
  for (const uint64_t user : last.subjects) EXPECT_GE(user, 1000U);
}

TEST_F(BurstsTest, TheStateStaysBoundedAndLosesNobody) {
  for (uint64_t i = 0; i < 3000; ++i) like(i, true), now += kSecondUs / 10;
  EXPECT_EQ(subjects().size(), 3000U - state()->untold);
  const auto last = state();
  size_t held = last->likes.size();  // in the row; the rest stands in blocks
  for (const BurstLikes::Block& b : last->likes.blocks()) held += static_cast<size_t>(std::popcount(b.held));
  EXPECT_EQ(held, BurstLimits::kLikes);
  EXPECT_LT(world.states().begin()->second.size(), 2'000U);
}

TEST_F(BurstsTest, SwitchedOffItSaysNothing) {
  world.context.rules[0].bursts.enabled = false;
  for (uint64_t i = 0; i < 100; ++i) like(i, true), now += kSecondUs;
  EXPECT_TRUE(raises().empty());
}

}  // namespace
}  // namespace bellwether::bursts_op_test

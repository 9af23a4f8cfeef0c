#include "operators/bursts.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "operators/limits.h"

namespace bellwether::bursts_test {
namespace {

constexpr int64_t kStart = 17'000 * kDayUs;
const BurstsConfig kConfig;
const Prob kFew = prob(1, 10);  // a tenth of all likes are by suspects

struct Feed {
  BurstState state;
  std::vector<Burst> bursts;
  int64_t now = kStart;
  void likes(int count, int64_t over_us, int suspects_of_10, Prob usual = kFew) {
    for (int i = 0; i < count; ++i) {
      now += over_us / count;
      if (const auto b = state.on_like(now, i % 10 < suspects_of_10, usual, kConfig)) bursts.push_back(*b);
    }
  }
};

TEST(Bursts, BoughtLikesAreReported) {
  Feed run;
  run.likes(60, 60 * kDayUs, 1);  // one a day
  ASSERT_TRUE(run.bursts.empty());
  run.likes(50, 2 * kHourUs, 9);
  ASSERT_FALSE(run.bursts.empty());
  const Burst& first = run.bursts.front();
  EXPECT_GE(first.count, kConfig.likes_min);
  EXPECT_LE(first.count, 2 * kConfig.likes_min);
  EXPECT_GE(first.young_share_permille, kConfig.young_share_permille);
  EXPECT_GE(first.chi2_milli, kConfig.chi2_min_milli);
  EXPECT_EQ(first.expected, 2u);
  EXPECT_EQ(first.chi2_milli, uint64_t{first.count - 2} * (first.count - 2) * 1000 / 2);
  EXPECT_LE(first.from_us, run.now - 2 * kHourUs);
  EXPECT_LE(first.to_us, run.now);
  EXPECT_GE(first.confidence_permille, 500u);
  EXPECT_LT(run.bursts.size(), 10u) << "again only as it grows";
  EXPECT_GT(run.bursts.back().count, first.count);
}

TEST(Bursts, ViralAmongEstablishedMembersIsNot) {
  Feed run;
  run.likes(60, 60 * kDayUs, 1);
  run.likes(2000, 3 * kHourUs, 2);
  EXPECT_TRUE(run.bursts.empty());
}

TEST(Bursts, WhereEverybodyIsNewNobodyStandsOut) {
  Feed run;
  run.likes(300, 3 * kHourUs, 10, prob(95, 100));
  EXPECT_TRUE(run.bursts.empty());
  Feed off;
  off.likes(300, 3 * kHourUs, 10, kProbOne);
  EXPECT_TRUE(off.bursts.empty());
}

TEST(Bursts, OwnHistoryExplainsThePopular) {
  Feed run;
  for (int day = 0; day < 30; ++day) run.likes(24 * 40, kDayUs, 7, prob(4, 10));  // 40 an hour, mostly young, always
  const size_t early = run.bursts.size();
  for (int day = 0; day < 30; ++day) run.likes(24 * 45, kDayUs, 7, prob(4, 10));
  EXPECT_EQ(run.bursts.size(), early);
}

TEST(Bursts, SpreadOverADayIsSeenAtTheLongScale) {
  Feed run;
  run.likes(60, 60 * kDayUs, 1);
  run.likes(100, kDayUs, 9);  // four an hour: no burst of an hour
  ASSERT_FALSE(run.bursts.empty());
  EXPECT_GT(run.bursts.front().to_us - run.bursts.front().from_us, kDayUs);
}

TEST(Bursts, WhatIsAnomalousDoesNotBecomeHistory) {
  Feed run;
  run.likes(60, 60 * kDayUs, 1);
  size_t before = 0;
  for (int week = 0; week < 4; ++week) {  // a farm that comes every week is found every week
    run.likes(80, 2 * kHourUs, 10);
    EXPECT_GT(run.bursts.size(), before) << week;
    before = run.bursts.size();
    run.likes(3, 7 * kDayUs, 0);
  }
}

TEST(Bursts, BelowTheLeastNumberNothingIsSaid) {
  Feed run;
  run.likes(static_cast<int>(kConfig.likes_min) - 1, kHourUs / 2, 10, kFew);
  EXPECT_TRUE(run.bursts.empty());
  run.likes(1, kSecondUs, 10, kFew);
  EXPECT_EQ(run.bursts.size(), 1u);
}

TEST(Bursts, StateIsBoundedAndComesBack) {
  BurstState state;
  std::string bytes;
  for (int i = 0; i < 5'000'000; ++i) (void)state.on_like(kStart * 20 + i * 100, i % 3 == 0, kFew, kConfig);
  state.encode(bytes);
  EXPECT_LE(bytes.size(), BurstLimits::kBytes);
  const auto back = BurstState::decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, state);
  EXPECT_FALSE(BurstState::decode(bytes.substr(0, bytes.size() - 1)));
  EXPECT_FALSE(BurstState::decode(bytes + "x"));
  bytes[0] = 9;
  EXPECT_FALSE(BurstState::decode(bytes));
}

TEST(Bursts, LateAndAncientTimesAreBorne) {
  BurstState state;
  (void)state.on_like(kStart, true, kFew, kConfig);
  for (int i = 0; i < 100; ++i) {
    const auto b = state.on_like(kStart - kDayUs, true, kFew, kConfig);
    if (b) {
      EXPECT_LE(b->from_us, b->to_us);
      EXPECT_LE(b->to_us, kStart);
    }
  }
  (void)state.on_like(-kDayUs, true, kFew, kConfig);
}

// In memory all the time, and read again now and then with its blocks, of which the oldest may be gone by then: the
// same likes and bytes, those of a plain list.
TEST(BurstLikes, AreAPlainListInMemoryOrNot) {
  std::mt19937_64 random(13);
  BurstLikes held, again;
  std::vector<BurstLikes::Like> plain;
  std::map<std::pair<int64_t, uint32_t>, std::string> ledger;
  int64_t now = kStart;
  size_t blocks = 0, holes = 0;
  const auto seal = [&](BurstLikes& likes, bool writes) {
    BurstLikes::Block block;
    std::string bytes;
    while (likes.seal(day_of(now), block, bytes)) {
      EXPECT_TRUE(BurstLikes::is_block(bytes));
      const auto [at, fresh] = ledger.emplace(std::pair(block.day, block.number), bytes);
      EXPECT_EQ(fresh, writes);
      EXPECT_EQ(at->second, bytes);
    }
  };
  for (uint64_t step = 0; step < 20'000; ++step) {
    now += static_cast<int64_t>(random() % (step / 4000 % 2 == 0 ? kHourUs / 20 : 6 * kHourUs));
    if (random() % 2000 == 0) now += 200 * kDayUs;  // the ledger's blocks are gone, what is held of them goes too
    const int64_t kept_from = day_of(now) - 180;
    std::erase_if(ledger, [&](const auto& row) { return row.first.first < kept_from; });
    const size_t was = held.size();
    held.forget_blocks(kept_from), again.forget_blocks(kept_from);
    plain.erase(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(was - held.size()));
    if (!again.loaded()) again.load([&](int64_t day, uint32_t number) { return ledger.at({day, number}); });
    // Some come late, by up to four days.
    const int64_t time = now - (random() % 8 == 0 ? static_cast<int64_t>(random() % (4 * kDayUs)) : 0);
    const BurstLikes::Like like{random(), random(), time, random()};
    std::erase_if(plain, [&](const auto& l) { return l.time_us < time - 3 * kDayUs; });
    if (plain.size() == BurstLimits::kLikes) plain.erase(plain.begin());
    plain.push_back(like);
    held.add(like), again.add(like);
    seal(held, true), seal(again, false);
    ASSERT_EQ(held.within(INT64_MIN, INT64_MAX), plain) << step;
    ASSERT_EQ(again, held) << step;
    blocks = std::max(blocks, held.blocks().size());
    for (const BurstLikes::Block& b : held.blocks()) holes += b.held != UINT32_MAX;
    if (random() % 20 != 0) continue;
    std::string bytes;
    held.encode(bytes);
    ASSERT_LE(bytes.size(), 16 + 30 * 2 * BurstLikes::kBlock + 14 * held.blocks().size());
    auto back = BurstLikes::decode(bytes);
    ASSERT_TRUE(back);
    again = std::move(*back);
    std::string same;
    again.encode(same);
    ASSERT_EQ(same, bytes);
  }
  EXPECT_GE(blocks, BurstLimits::kLikes / BurstLikes::kBlock - 1);
  EXPECT_GT(holes, 1000U);
}

TEST(BurstLikes, HoldsTheNewest) {
  BurstLikes likes;
  for (uint64_t i = 0; i < 2 * BurstLimits::kLikes; ++i) likes.add({i, 7, kStart + static_cast<int64_t>(i), i});
  EXPECT_EQ(likes.size(), BurstLimits::kLikes);
  EXPECT_EQ(likes.within(kStart, kStart + kDayUs).front().liker, BurstLimits::kLikes);
  EXPECT_EQ(likes.within(kStart + 200, kStart + 204).size(), 5u);
  std::string bytes;
  likes.encode(bytes);
  EXPECT_LE(bytes.size(), BurstLimits::kLikesBytes);
  const auto back = BurstLikes::decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, likes);
  // As version 1 wrote it: all in the row.
  const std::string first = '\1' + bytes.substr(3);
  const auto before = BurstLikes::decode(first);
  ASSERT_TRUE(before);
  EXPECT_EQ(*before, likes);
  EXPECT_FALSE(BurstLikes::decode(bytes.substr(0, 100)));
  likes.add({1, 1, kStart + 10 * kDayUs, 1});
  EXPECT_EQ(likes.size(), 1u);
}

}  // namespace
}  // namespace bellwether::bursts_test

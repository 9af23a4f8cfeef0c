#include "operators/community.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/fake_context.h"

namespace bellwether::community_test {
namespace {

using Cells = std::vector<std::pair<uint32_t, int64_t>>;

TEST(CutoffCell, HoldsAtMostTheShareAndAtLeastTheTop) {
  EXPECT_EQ(cutoff_cell(Cells{}, 10), 0U);
  EXPECT_EQ(cutoff_cell(Cells{{5, 10}}, 0), 0U);
  EXPECT_EQ(cutoff_cell(Cells{{5, 10}}, 10), 5U);                     // 1 allowed, but the top cell holds 10
  EXPECT_EQ(cutoff_cell(Cells{{1, 980}, {7, 10}, {9, 10}}, 10), 9U);  // exactly 10
  EXPECT_EQ(cutoff_cell(Cells{{1, 980}, {7, 10}, {9, 10}}, 19), 9U);
  EXPECT_EQ(cutoff_cell(Cells{{1, 980}, {7, 10}, {9, 10}}, 20), 7U);
  EXPECT_EQ(cutoff_cell(Cells{{1, 981}, {7, 10}, {9, 10}}, 20), 7U);  // ceil(20.02) = 21
  EXPECT_EQ(cutoff_cell(Cells{{1, 10}, {7, 10}}, 1000), 1U);
}

TEST(CutoffCell, AgreesWithSortingTheUsers) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::map<uint32_t, int64_t> histogram;
    std::vector<uint32_t> users;
    for (int i = 0, n = 1 + static_cast<int>(random() % 400); i < n; ++i) {
      const uint32_t cell = 1 + random() % 40;
      ++histogram[cell], users.push_back(cell);
    }
    const uint32_t permille = 1 + random() % 1000;
    std::sort(users.rbegin(), users.rend());
    const size_t most = (users.size() * permille + 999) / 1000;
    uint32_t expected = users[0];
    for (const uint32_t cell : users)
      if (static_cast<size_t>(std::count_if(users.begin(), users.end(), [&](uint32_t u) { return u >= cell; })) <= most)
        expected = std::min(expected, cell);
    EXPECT_EQ(cutoff_cell(Cells(histogram.begin(), histogram.end()), permille), expected);
  }
}

class CommunityTest : public testing::Test {
 protected:
  CommunityTest() {
    for (auto& tier : world.context.rules[0].tiers) tier.top_permille = 0;
    world.context.rules[0].tiers[3].top_permille = 100;
    world.context.rules[0].tiers[4].top_permille = 10;
  }
  FakeWorld world{{&community_operator()}};
  static constexpr int64_t kHour = kHourUs / kSlotUs;
};

TEST_F(CommunityTest, SendsTheLinesOnceAnHourAndOnlyWhenTheyMoved) {
  world.run(0);
  EXPECT_TRUE(world.context.broadcasts.empty());  // nobody there
  world.context.sums[{kCounterCells, 4}] = 900;
  world.context.sums[{kCounterCells, 6}] = 91;
  world.context.sums[{kCounterCells, 8}] = 9;
  world.context.sums[{kCounterFlags, 9}] = 5;  // another family
  world.run(kHour - 1);
  EXPECT_TRUE(world.context.broadcasts.empty());  // not yet an hour
  world.run(kHour + 3);
  ASSERT_EQ(world.context.broadcasts.size(), 1U);
  EXPECT_EQ(world.context.broadcasts[0].version, 1U);
  EXPECT_EQ(world.context.broadcasts[0].cell, (std::array<uint32_t, 5>{0, 0, 0, 6, 8}));
  world.run(2 * kHour);
  EXPECT_EQ(world.context.broadcasts.size(), 1U);
  world.context.sums[{kCounterCells, 8}] = 0;
  world.context.sums[{kCounterCells, 9}] = 9;
  world.run(3 * kHour);
  ASSERT_EQ(world.context.broadcasts.size(), 2U);
  EXPECT_EQ(world.context.broadcasts[1].version, 2U);
  EXPECT_EQ(world.context.broadcasts[1].cell[4], 9U);
}

TEST_F(CommunityTest, NoPercentileAskedForAnyMoreSendsEverybody) {
  world.context.sums[{kCounterCells, 4}] = 10;
  world.run(kHour);
  for (auto& tier : world.context.rules[0].tiers) tier.top_permille = 0;
  world.run(2 * kHour);
  ASSERT_EQ(world.context.broadcasts.size(), 2U);
  EXPECT_EQ(world.context.broadcasts[1].cell, (std::array<uint32_t, 5>{}));
}

}  // namespace
}  // namespace bellwether::community_test

// The decay table for a half-life of 30 days is frozen: a changed number would change every score ever shown.
#include "operators/decay.h"

#include <gtest/gtest.h>

namespace bellwether {
namespace {

TEST(DecayGolden, TableOfThirtyDays) {
  // round(2^(20 + j/30)), computed with 50 decimal digits.
  constexpr uint32_t kTable[30] = {1048576, 1073085, 1098167, 1123836, 1150104, 1176987, 1204498, 1232651,
                                   1261463, 1290948, 1321123, 1352003, 1383604, 1415945, 1449041, 1482910,
                                   1517572, 1553043, 1589344, 1626493, 1664511, 1703417, 1743232, 1783978,
                                   1825677, 1868350, 1912021, 1956712, 2002448, 2049253};
  const Decay decay(30);
  ASSERT_EQ(decay.half_life_days(), 30U);
  for (size_t j = 0; j < 30; ++j) EXPECT_EQ(decay.mantissa(j), kTable[j]) << j;
}

TEST(DecayGolden, WeightDoublesEveryHalfLife) {
  const Decay decay(30);
  for (int64_t day : {-100, -1, 0, 1, 29, 30, 17000}) {
    const int64_t base = decay.block(day);
    EXPECT_EQ(decay.weight(day + 30, base), decay.weight(day, base) * 2) << day;
    EXPECT_LT(decay.weight(day, base), decay.weight(day + 1, base)) << day;
  }
}

TEST(DecayGolden, CellsAreFloorsOfEightTimesLog2) {
  EXPECT_EQ(cell_of(0, 5), 0U);
  EXPECT_EQ(cell_of(1, 0), static_cast<uint32_t>(kCellOffset));
  EXPECT_EQ(cell_of(2, 0), static_cast<uint32_t>(kCellOffset) + 8);
  EXPECT_EQ(cell_of(3, 0), static_cast<uint32_t>(kCellOffset) + 12);         // 8 * 1.58496
  EXPECT_EQ(cell_of(1000000, 0), static_cast<uint32_t>(kCellOffset) + 159);  // 8 * 19.93157
  EXPECT_EQ(cell_of(1, 7), cell_of(static_cast<uint128>(1) << 7, 0));        // a block of days is a factor of two
  uint32_t last = 0;
  for (uint64_t v = 1; v < 100000; ++v) {
    const uint32_t cell = cell_of(v, 0);
    EXPECT_GE(cell, last);
    last = cell;
  }
}

}  // namespace
}  // namespace bellwether

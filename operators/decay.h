// Decay without a midnight, exact (DESIGN.md, "Scores, caps, tiers"). A day d weighs c[d mod H] * 2^floor(d/H), with
// c[j] = round(2^(20 + j/H)) and H the half-life in days: an event's weight never changes, a score is divided by
// today's weight.
#pragma once

#include <cstdint>
#include <vector>

#include "operators/codec.h"

namespace bellwether {

class Decay {
 public:
  // half_life_days 1..365. Computed by integer arithmetic alone; for 30 the table is frozen by tests/golden.
  explicit Decay(uint32_t half_life_days);

  uint32_t half_life_days() const { return static_cast<uint32_t>(mantissa_.size()); }
  uint32_t mantissa(size_t j) const { return mantissa_[j]; }

  // Which block of H days a day is in.
  int64_t block(int64_t day) const;
  // The base block for sums kept on `day`: every day still in the window is in it or after it.
  int64_t base(int64_t day, uint32_t window_days) const { return block(day - static_cast<int64_t>(window_days) - 2); }
  // weight(day) / 2^base; day must be in block `base` or later, at most 64 blocks later.
  uint128 weight(int64_t day, int64_t base) const;

 private:
  std::vector<uint32_t> mantissa_;
};

// Index cells: kCellsPerDoubling to a factor of two of S, so that order by cell is order by score, roughly. 0 for S =
// 0. cell(S, base) = floor(kCellsPerDoubling * log2 S) + kCellsPerDoubling * base + kCellOffset, exact.
constexpr uint32_t kCellsPerDoubling = 8;
constexpr int64_t kCellOffset = 1 << 20;  // keeps cells of any day from year -10,000 on positive
uint32_t cell_of(uint128 sum, int64_t base);

}  // namespace bellwether

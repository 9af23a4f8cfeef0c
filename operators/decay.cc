#include "operators/decay.h"

#include <bit>
#include <cstdio>
#include <cstdlib>

#include "operators/limits.h"

namespace bellwether {
namespace {

[[noreturn]] void broken(const char* what) {
  std::fprintf(stderr, "bellwether: decay: %s\n", what);
  std::abort();
}

// A natural number of up to 16,384 bits, little-endian words of 32 bits: enough to raise 21-bit numbers to the 365th
// power.
class Big {
 public:
  explicit Big(uint64_t v) {
    for (; v != 0; v >>= 32) words_.push_back(static_cast<uint32_t>(v));
  }
  void multiply(uint32_t by) {
    uint64_t carry = 0;
    for (uint32_t& w : words_) carry += static_cast<uint64_t>(w) * by, w = static_cast<uint32_t>(carry), carry >>= 32;
    if (carry != 0) words_.push_back(static_cast<uint32_t>(carry));
  }
  void shift_left(uint32_t bits) {
    for (; bits >= 31; bits -= 31) multiply(1U << 31);
    multiply(1U << bits);
  }
  bool less(const Big& other) const {
    if (words_.size() != other.words_.size()) return words_.size() < other.words_.size();
    for (size_t i = words_.size(); i-- > 0;)
      if (words_[i] != other.words_[i]) return words_[i] < other.words_[i];
    return false;
  }

 private:
  std::vector<uint32_t> words_;
};

// round(2^(20 + j/h)): the x with (x - 1/2)^h <= 2^(20h + j) < (x + 1/2)^h, found by bisection over (2x + 1)^h < 2^(21h
// + j).
uint32_t rounded_power(uint32_t j, uint32_t h) {
  Big target(1);
  target.shift_left(21 * h + j);
  uint32_t low = 1U << 20, high = 1U << 21;  // the smallest x with (2x + 1)^h > target
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    Big power(1);
    for (uint32_t i = 0; i < h; ++i) power.multiply(2 * middle + 1);
    if (target.less(power))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

}  // namespace

Decay::Decay(uint32_t half_life_days) {
  if (half_life_days < 1 || half_life_days > 365) broken("a half-life outside 1..365 days");
  for (uint32_t j = 0; j < half_life_days; ++j) mantissa_.push_back(rounded_power(j, half_life_days));
}

int64_t Decay::block(int64_t day) const { return floor_div(day, static_cast<int64_t>(mantissa_.size())); }

uint128 Decay::weight(int64_t day, int64_t base) const {
  const int64_t h = static_cast<int64_t>(mantissa_.size()), b = floor_div(day, h);
  if (b < base || b - base > 64) broken("a day outside its sum's blocks");
  return static_cast<uint128>(mantissa_[static_cast<size_t>(day - b * h)]) << (b - base);
}

uint32_t cell_of(uint128 sum, int64_t base) {
  if (sum == 0) return 0;
  const auto high = static_cast<uint64_t>(sum >> 64);
  const int exponent = high != 0 ? 127 - std::countl_zero(high) : 63 - std::countl_zero(static_cast<uint64_t>(sum));
  // The fraction of log2: by squaring a 62-bit mantissa three times, one bit of the fraction each. Truncation loses
  // less than one part in 2^60 a step; what matters is that everybody computes the same.
  uint64_t m =
      exponent >= 62 ? static_cast<uint64_t>(sum >> (exponent - 62)) : static_cast<uint64_t>(sum << (62 - exponent));
  uint32_t fraction = 0;
  static_assert(kCellsPerDoubling == 8, "three squarings give eighths");
  for (int bit = 0; bit < 3; ++bit) {
    const uint128 square = static_cast<uint128>(m) * m;  // in [2^124, 2^126)
    const bool top = (square >> 125) != 0;
    fraction = fraction << 1 | static_cast<uint32_t>(top);
    m = static_cast<uint64_t>(square >> (top ? 63 : 62));
  }
  const int64_t cell = static_cast<int64_t>(kCellsPerDoubling) * (exponent + base) + fraction + kCellOffset;
  if (cell <= 0 || cell > UINT32_MAX) broken("a cell outside its range");
  return static_cast<uint32_t>(cell);
}

}  // namespace bellwether

#include "operators/fixed.h"

#include <array>
#include <bit>

namespace bellwether {
namespace {

constexpr int kTableBits = 10;
constexpr uint64_t kLn2Q30 = 744261118;     // ln 2 * 2^30
constexpr uint64_t kHalfLn2PiQ20 = 963577;  // ln(2 pi) / 2 * 2^20

// log2(1 + i / 2^10) * 2^30, by squaring: each square above 2 is one bit of the logarithm.
constexpr std::array<uint32_t, (1 << kTableBits) + 1> make_table() {
  std::array<uint32_t, (1 << kTableBits) + 1> table{};
  for (uint64_t i = 0; i < (1 << kTableBits); ++i) {
    uint64_t x = ((uint64_t{1} << kTableBits) + i) << (62 - kTableBits);  // in [1, 2) * 2^62
    uint32_t bits = 0;
    for (int bit = 0; bit < 31; ++bit) {
      const unsigned __int128 square = static_cast<unsigned __int128>(x) * x;  // * 2^124
      const bool two = static_cast<uint64_t>(square >> 125) != 0;
      x = static_cast<uint64_t>(square >> (two ? 63 : 62));
      bits = bits << 1 | (two ? 1 : 0);
    }
    table[i] = (bits + 1) >> 1;  // 31 bits, rounded to 30
  }
  table[1 << kTableBits] = uint32_t{1} << 30;
  return table;
}
constexpr auto kLog2 = make_table();

constexpr Nats to_nats(int64_t log2_q30) {  // >= 0, below 2^36
  return static_cast<Nats>((static_cast<unsigned __int128>(log2_q30) * kLn2Q30 + (uint64_t{1} << 39)) >> 40);
}

struct Factorials {
  std::array<Nats, 256> ln{};
  Factorials() {
    uint64_t sum_q30 = 0;
    for (uint64_t n = 1; n < ln.size(); ++n) {
      sum_q30 += static_cast<uint64_t>(log2_q30(n));
      ln[n] = to_nats(static_cast<int64_t>(sum_q30));
    }
  }
};

const Factorials& factorials() {
  static const Factorials table;
  return table;
}

}  // namespace

int64_t log2_q30(uint64_t x) {
  if (x < 2) return 0;
  const int exponent = 63 - std::countl_zero(x);
  const uint64_t mantissa = x << (63 - exponent);             // top bit set
  const uint64_t index = mantissa << 1 >> (64 - kTableBits);  // the next 10 bits
  const uint64_t rest = mantissa << (1 + kTableBits) >> 34;   // the next 30 bits
  const uint64_t low = kLog2[index], high = kLog2[index + 1];
  return (static_cast<int64_t>(exponent) << 30) + static_cast<int64_t>(low + ((high - low) * rest >> 30));
}

Nats ln(uint64_t x) { return to_nats(log2_q30(x)); }

Nats ln_ratio(uint64_t num, uint64_t den) {
  const int64_t d = log2_q30(num) - log2_q30(den);
  return d >= 0 ? to_nats(d) : -to_nats(-d);
}

Nats ln_factorial(uint64_t n) {
  if (n < 256) return factorials().ln[n];
  const __int128 log = ln(n);
  const __int128 main = (2 * static_cast<__int128>(n) + 1) * log / 2 - (static_cast<__int128>(n) << kNatBits);
  return static_cast<Nats>(main) + static_cast<Nats>(kHalfLn2PiQ20) + kNat / static_cast<Nats>(12 * n);
}

Nats ln_choose(uint64_t n, uint64_t k) {
  if (k == 0 || k >= n) return 0;
  if (n - k < k) k = n - k;
  if (k < 256 && n >= 256) {  // a product: differences of large factorials would lose what matters
    uint64_t sum = 0;
    for (uint64_t i = 0; i < k; ++i) sum += static_cast<uint64_t>(log2_q30(n - i));
    return to_nats(static_cast<int64_t>(sum)) - ln_factorial(k);
  }
  return ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
}

Nats poisson_llr(uint32_t x, uint64_t expected_q20) {
  const uint64_t x_q20 = static_cast<uint64_t>(x) << kNatBits;
  if (x_q20 <= expected_q20) return 0;
  if (expected_q20 == 0) expected_q20 = 1;
  const Nats gain = static_cast<Nats>(x) * ln_ratio(x_q20, expected_q20) - static_cast<Nats>(x_q20 - expected_q20);
  return gain > 0 ? gain : 0;
}

Nats binomial_llr(uint32_t x, uint32_t n, Prob p) {
  if (n == 0 || x == 0) return 0;
  if (x > n) x = n;
  if (p < 1) p = 1;
  if (p >= kProbOne) p = kProbOne - 1;
  if ((static_cast<uint64_t>(x) << 30) <= static_cast<uint64_t>(n) * p) return 0;
  Nats gain = static_cast<Nats>(x) * ln_ratio(static_cast<uint64_t>(x) << 30, static_cast<uint64_t>(n) * p);
  if (x < n)
    gain += static_cast<Nats>(n - x) *
            ln_ratio(static_cast<uint64_t>(n - x) << 30, static_cast<uint64_t>(n) * (kProbOne - p));
  return gain > 0 ? gain : 0;
}

Prob prob(uint64_t num, uint64_t den) {
  if (num >= den) return kProbOne - 1;
  while (num >> 33 != 0) num >>= 1, den >>= 1;
  const uint64_t p = (num << 30) / den;
  return static_cast<Prob>(p == 0 ? 1 : p >= kProbOne ? kProbOne - 1 : p);
}

uint32_t exp2_neg_permille(int64_t x_q20) {
  if (x_q20 < 0) x_q20 = 0;
  const int64_t whole = x_q20 >> 20;
  if (whole > 20) return 0;
  // 2^-f for f in [0, 1): the chord is off by up to 6 %, the quadratic through 0, 1/2, 1 by 0.2 %.
  const int64_t f = x_q20 & ((int64_t{1} << 20) - 1);
  constexpr int64_t kOne = int64_t{1} << 20, kRootHalf = 741455;  // 2^-1/2 * 2^20
  // a + b f + c f^2 with values 1, 2^-1/2, 1/2 at 0, 1/2, 1.
  const int64_t c = 2 * (kOne + kOne / 2) - 4 * kRootHalf, b = kOne / 2 - kOne - c;
  const int64_t value = kOne + (b * f >> 20) + ((c * f >> 20) * f >> 20);
  return static_cast<uint32_t>((value >> whole) * 1000 >> 20);
}

}  // namespace bellwether

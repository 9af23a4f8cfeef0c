// Randomness that is the same on every machine: integers only, no library distribution. For made-up data, never for the
// engine.
#pragma once

#include <cstdint>
#include <string_view>

namespace bellwether {

constexpr uint64_t splitmix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// log2 of x >= 1 in 16.16 fixed point, rounded down.
constexpr uint32_t log2_q16(uint64_t x) {
  const int whole = 63 - __builtin_clzll(x);
  uint64_t m = whole > 31 ? x >> (whole - 31) : x << (31 - whole);  // 1.0 <= m < 2.0 in 1.31
  uint32_t result = static_cast<uint32_t>(whole) << 16;
  for (uint32_t bit = 1U << 15; bit != 0; bit >>= 1) {
    m = m * m >> 31;
    if (m >> 32 != 0) m >>= 1, result |= bit;
  }
  return result;
}

// 2^(x / 65536), rounded down, for x < 63 * 65536.
constexpr uint64_t exp2_q16(uint32_t x) {
  // 2^(2^-i) in 1.31, i = 1..16: square roots of two, one after another.
  constexpr uint64_t kRoots[16] = {3037000499, 2553802833, 2341847523, 2242560871, 2194507416, 2170868211,
                                   2159144271, 2153306066, 2150392886, 2148937775, 2148210588, 2147847087,
                                   2147665360, 2147574502, 2147529074, 2147506361};
  uint64_t m = 1ULL << 31;
  for (int i = 0; i < 16; ++i)
    if (x >> (15 - i) & 1) m = m * kRoots[i] >> 31;
  const uint32_t whole = x >> 16;
  return whole >= 31 ? m << (whole - 31) : m >> (31 - whole);
}

// xoshiro256++ (Blackman and Vigna, public domain), seeded through splitmix64.
class Random {
 public:
  explicit constexpr Random(uint64_t seed) {
    for (uint64_t& word : s_) word = seed = splitmix64(seed);
  }
  constexpr uint64_t next() {
    const uint64_t result = rotl(s_[0] + s_[3], 23) + s_[0];
    const uint64_t t = s_[1] << 17;
    s_[2] ^= s_[0], s_[3] ^= s_[1], s_[1] ^= s_[2], s_[0] ^= s_[3];
    s_[2] ^= t;
    s_[3] = rotl(s_[3], 45);
    return result;
  }
  // 0 to n-1; 0 where n is 0.
  constexpr uint64_t below(uint64_t n) {
    return static_cast<uint64_t>(static_cast<unsigned __int128>(next()) * n >> 64);
  }
  // from low to high, both included.
  constexpr int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
  }
  // True in ppm of a million cases.
  constexpr bool chance(uint64_t ppm) { return below(1'000'000) < ppm; }
  // From low to high >= low >= 1, each doubling as likely as the next: ranks by Zipf's law, ages of what people read.
  constexpr uint64_t log_uniform(uint64_t low, uint64_t high) {
    const uint32_t from = log2_q16(low), to = log2_q16(high);
    const uint64_t v = exp2_q16(from + static_cast<uint32_t>(below(to - from + 1)));
    return v < low ? low : v > high ? high : v;
  }
  // 1, 2, 3 …, each further one with probability more/1000; at most `limit`.
  constexpr uint32_t run(uint32_t more_permille, uint32_t limit) {
    uint32_t n = 1;
    while (n < limit && below(1000) < more_permille) ++n;
    return n;
  }

 private:
  static constexpr uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }
  uint64_t s_[4]{};
};

}  // namespace bellwether

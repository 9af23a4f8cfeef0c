// Tells whether two walks in different orders met the same rows.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <string_view>

namespace bellwether {

// Of a set of rows: the same for the same rows in any order, and another for others, but for a chance of 2^-128.
struct RowSum {
  uint64_t rows = 0, low = 0, high = 0;
  void add(std::string_view key) {
    const XXH128_hash_t h = XXH3_128bits(key.data(), key.size());
    ++rows, low += h.low64, high += h.high64;
  }
  friend bool operator==(const RowSum&, const RowSum&) = default;
};

}  // namespace bellwether

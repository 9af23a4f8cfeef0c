// The days on which a user did something: a bit each, for the last 192 of them.
#pragma once

#include <array>
#include <cstdint>

#include "operators/codec.h"

namespace bellwether {

class ActiveDays {
 public:
  static constexpr int64_t kDays = 192;

  // A day more than 191 before the newest one is of no window: not kept.
  void mark(int64_t day);
  bool on(int64_t day) const {
    const int64_t at = day - first_;
    return at >= 0 && at < kDays && (days_[static_cast<size_t>(at / 64)] >> (at % 64) & 1);
  }
  bool none() const { return days_ == std::array<uint64_t, 3>{}; }
  // Marks the days of `other` too. True where one of them was not marked.
  bool add(const ActiveDays& other);
  // How many of the window's days up to `today`, both ends included, are marked.
  uint32_t count(int64_t today, uint32_t window_days) const;

  void write(Writer& w) const;
  void read(Reader& r);

 private:
  int64_t first_ = 0;  // of bit 0; rises as days are marked
  std::array<uint64_t, 3> days_{};
};

}  // namespace bellwether

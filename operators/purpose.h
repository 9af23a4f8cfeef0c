// What kind of liker a user is, as D1 asks: young (first seen a short while ago) or of one purpose (likes, nothing
// else, for a hand of authors). O(1); at most 48 bytes encoded.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "operators/codec.h"
#include "operators/limits.h"

namespace bellwether {

class Purpose {
 public:
  static constexpr size_t kAuthors = 4;     // distinct authors told apart; more is "many"
  static constexpr uint16_t kLikesMin = 3;  // fewer likes say nothing yet

  // First seen, registered or active at most `days` before `now_us`.
  bool young(int64_t now_us, uint32_t days) const {
    return now_us - std::min(first_us_, now_us) < static_cast<int64_t>(days) * kDayUs;
  }
  // Has only ever liked, at least kLikesMin times, and no more than two authors.
  bool one_purpose() const { return others_ == 0 && likes_ >= kLikesMin && known_ <= 2; }

  void on_like(uint64_t author, int64_t time_us) {
    first_us_ = std::min(first_us_, time_us);
    if (likes_ != UINT16_MAX) ++likes_;
    if (known_ > kAuthors || std::find(authors_.begin(), authors_.begin() + std::min<size_t>(known_, kAuthors),
                                       author) != authors_.begin() + std::min<size_t>(known_, kAuthors))
      return;
    if (known_ < kAuthors) authors_[known_] = author;
    ++known_;
  }
  void on_registered(int64_t time_us) { first_us_ = std::min(first_us_, time_us); }
  void on_other(int64_t time_us) {
    first_us_ = std::min(first_us_, time_us);
    if (others_ != UINT16_MAX) ++others_;
  }

  void write(Writer& w) const {
    w.zigzag(first_us_), w.varint(likes_), w.varint(others_), w.u8(known_);
    // Once there are many, the names no longer matter.
    for (size_t i = 0; i < named(); ++i) w.fixed64(authors_[i]);
  }
  bool read(Reader& r) {
    first_us_ = r.zigzag(), likes_ = static_cast<uint16_t>(r.varint()), others_ = static_cast<uint16_t>(r.varint()),
    known_ = r.u8();
    if (known_ > kAuthors + 1) return false;
    for (size_t i = 0; i < named(); ++i) authors_[i] = r.fixed64();
    return r.ok();
  }

 private:
  size_t named() const { return known_ > kAuthors ? 0 : known_; }
  int64_t first_us_ = INT64_MAX;
  uint16_t likes_ = 0, others_ = 0;
  uint8_t known_ = 0;
  std::array<uint64_t, kAuthors> authors_{};
};

}  // namespace bellwether

#include "operators/active_days.h"

#include <algorithm>
#include <bit>

namespace bellwether {

void ActiveDays::mark(int64_t day) {
  if (none()) first_ = day - kDays + 1;
  if (day < first_) return;
  if (day >= first_ + kDays) {
    const int64_t by = day - (first_ + kDays) + 1;
    std::array<uint64_t, 3> moved{};
    for (size_t word = 0; by < kDays && word + static_cast<size_t>(by / 64) < 3; ++word) {
      const size_t from = word + static_cast<size_t>(by / 64);
      moved[word] = days_[from] >> (by % 64);
      if (by % 64 != 0 && from + 1 < 3) moved[word] |= days_[from + 1] << (64 - by % 64);
    }
    days_ = moved, first_ += by;
  }
  const int64_t at = day - first_;
  days_[static_cast<size_t>(at / 64)] |= uint64_t{1} << (at % 64);
}

bool ActiveDays::add(const ActiveDays& other) {
  const ActiveDays before = *this;
  for (int64_t at = kDays; at-- > 0;)  // the newest first: it settles which are kept
    if (other.on(other.first_ + at)) mark(other.first_ + at);
  return before.first_ != first_ || before.days_ != days_;
}

uint32_t ActiveDays::count(int64_t today, uint32_t window_days) const {
  const int64_t from = std::max<int64_t>(0, today - static_cast<int64_t>(window_days) - first_);
  const int64_t to = std::min<int64_t>(kDays - 1, today - first_);  // bits from..to
  uint32_t n = 0;
  for (int64_t word = 0; word < 3; ++word) {
    const int64_t low = std::max<int64_t>(from - word * 64, 0), high = std::min<int64_t>(to - word * 64, 63);
    if (low > high) continue;
    n += static_cast<uint32_t>(
        std::popcount(days_[static_cast<size_t>(word)] & (~uint64_t{0} << low) & (~uint64_t{0} >> (63 - high))));
  }
  return n;
}

// The newest days are the high bits; a user of few days is written in few bytes by starting at the newest.
void ActiveDays::write(Writer& w) const {
  EntryWriter c(w);
  c.zigzag(first_);
  for (const uint64_t d : days_) c.varint(std::rotl(d, 1));
}

void ActiveDays::read(Reader& r) {
  first_ = r.above(0);
  for (uint64_t& d : days_) d = std::rotr(r.varint(), 1);
}

}  // namespace bellwether

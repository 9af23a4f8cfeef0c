#include "operators/portrait.h"

#include <algorithm>
#include <bit>

namespace bellwether {

void Portrait::mark_day(int64_t day) {
  if (days_ == std::array<uint64_t, 3>{}) first_day_ = day - kDays + 1;
  if (day < first_day_) return;  // older than anything the window asks for
  if (day >= first_day_ + kDays) {
    const int64_t by = day - (first_day_ + kDays) + 1;
    std::array<uint64_t, 3> moved{};
    for (size_t word = 0; by < kDays && word + static_cast<size_t>(by / 64) < 3; ++word) {
      const size_t from = word + static_cast<size_t>(by / 64);
      moved[word] = days_[from] >> (by % 64);
      if (by % 64 != 0 && from + 1 < 3) moved[word] |= days_[from + 1] << (64 - by % 64);
    }
    days_ = moved, first_day_ += by;
  }
  const int64_t at = day - first_day_;
  days_[static_cast<size_t>(at / 64)] |= uint64_t{1} << (at % 64);
}

bool Portrait::active_on(int64_t day) const {
  const int64_t at = day - first_day_;
  return at >= 0 && at < kDays && (days_[static_cast<size_t>(at / 64)] >> (at % 64) & 1);
}

uint32_t Portrait::days_active(int64_t today, uint32_t window_days) const {
  const int64_t from = std::max<int64_t>(0, today - static_cast<int64_t>(window_days) - first_day_);
  const int64_t to = std::min<int64_t>(kDays - 1, today - first_day_);  // bits from..to
  uint32_t n = 0;
  for (int64_t word = 0; word < 3; ++word) {
    const int64_t low = std::max<int64_t>(from - word * 64, 0), high = std::min<int64_t>(to - word * 64, 63);
    if (low > high) continue;
    n += static_cast<uint32_t>(
        std::popcount(days_[static_cast<size_t>(word)] & (~uint64_t{0} << low) & (~uint64_t{0} >> (63 - high))));
  }
  return n;
}

bool Portrait::act(int64_t time_us, ActKind kind, std::string_view channel) {
  const int64_t day = day_of(time_us);
  if (!erased_) {
    const size_t hour = static_cast<size_t>(floor_div(time_us - day * kDayUs, kHourUs));
    if (hours_[hour] != UINT32_MAX) ++hours_[hour];
    if (uint32_t& n = acts_[static_cast<size_t>(kind)]; n != UINT32_MAX) ++n;
    if (!channel.empty()) named(channels_, kChannels, channel);
  }
  if (active_on(day)) return false;
  mark_day(day);
  return true;
}

bool Portrait::forget() {
  if (erased_) return false;
  erased_ = true;
  hours_ = {}, acts_ = {};
  channels_.clear(), topics_.clear();
  return true;
}

void Portrait::named(std::vector<Named>& list, size_t most, std::string_view name) {
  for (Named& n : list)
    if (n.name == name) {
      if (n.count != UINT32_MAX) ++n.count;
      return;
    }
  if (list.size() < most) {
    list.push_back({std::string(name), 1});
    return;
  }
  const auto least =
      std::min_element(list.begin(), list.end(), [](const Named& a, const Named& b) { return a.count < b.count; });
  least->name = name;
  if (least->count != UINT32_MAX) ++least->count;
}

void Portrait::write(Writer& w) const {
  uint32_t hours = static_cast<uint32_t>(erased_) << 24;
  for (size_t i = 0; i < 24; ++i) hours |= static_cast<uint32_t>(hours_[i] != 0) << i;
  w.varint(hours);
  for (uint32_t n : hours_)
    if (n != 0) w.varint(n);
  uint32_t acts = 0;
  for (size_t i = 0; i < kActKinds; ++i) acts |= static_cast<uint32_t>(acts_[i] != 0) << i;
  w.varint(acts);
  for (uint32_t n : acts_)
    if (n != 0) w.varint(n);
  for (const auto* list : {&channels_, &topics_}) {
    w.varint(list->size());
    for (const Named& n : *list) w.bytes(n.name), w.varint(n.count);
  }
  // The newest days are the high bits; a user of few days is written in few bytes by starting at the newest.
  w.zigzag(first_day_);
  for (uint64_t d : days_) w.varint(std::rotl(d, 1));
}

bool Portrait::read(Reader& r) {
  const uint64_t hours = r.varint();
  for (size_t i = 0; i < 24; ++i)
    if (hours >> i & 1) hours_[i] = static_cast<uint32_t>(r.varint());
  erased_ = hours >> 24 & 1;
  const uint64_t acts = r.varint();
  for (size_t i = 0; i < kActKinds; ++i)
    if (acts >> i & 1) acts_[i] = static_cast<uint32_t>(r.varint());
  for (auto* list : {&channels_, &topics_})
    for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
      const std::string_view name = r.bytes();
      list->push_back({std::string(name), static_cast<uint32_t>(r.varint())});
    }
  first_day_ = r.zigzag();
  for (uint64_t& d : days_) d = std::rotr(r.varint(), 1);
  return r.ok();
}

size_t Portrait::memory() const { return (channels_.capacity() + topics_.capacity()) * sizeof(Named); }

}  // namespace bellwether

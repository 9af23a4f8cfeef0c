#include "operators/portrait.h"

#include <algorithm>
#include <bit>

namespace bellwether {
namespace {

void add_one(uint32_t& n) {
  if (n != UINT32_MAX) ++n;
}

void add_named(std::vector<Portrait::Named>& list, size_t most, std::string_view name) {
  for (Portrait::Named& n : list)
    if (n.name == name) return add_one(n.count);
  if (list.size() < most) {
    list.push_back({std::string(name), 1});
    return;
  }
  const auto least =
      std::min_element(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.count < b.count; });
  least->name = name;
  add_one(least->count);
}

// Those that are not 0, after a mask of which they are. `more`: a bit behind the mask's.
template <size_t N>
void write_some(Writer& w, const std::array<uint32_t, N>& list, bool more) {
  uint32_t mask = static_cast<uint32_t>(more) << N;
  for (size_t i = 0; i < N; ++i) mask |= static_cast<uint32_t>(list[i] != 0) << i;
  w.varint(mask);
  for (const uint32_t n : list)
    if (n != 0) w.varint(n);
}
template <size_t N>
bool read_some(Reader& r, std::array<uint32_t, N>& list) {
  const uint64_t mask = r.varint();
  for (size_t i = 0; i < N; ++i)
    if (mask >> i & 1) list[i] = static_cast<uint32_t>(r.varint());
  return mask >> N & 1;
}

void write_counts(Writer& w, const Portrait::Counts& counts, bool erased) {
  write_some(w, counts.hours, erased);
  write_some(w, counts.acts, false);
  for (const auto* list : {&counts.channels, &counts.topics}) {
    w.varint(list->size());
    for (const Portrait::Named& n : *list) w.bytes(n.name), w.varint(n.count);
  }
}
// Gives whether the user is erased.
bool read_counts(Reader& r, Portrait::Counts& counts) {
  const bool erased = read_some(r, counts.hours);
  read_some(r, counts.acts);
  for (auto* list : {&counts.channels, &counts.topics})
    for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
      const std::string_view name = r.bytes();
      list->push_back({std::string(name), static_cast<uint32_t>(r.varint())});
    }
  return erased;
}

bool none(const Portrait::Counts& c) {
  return c.channels.empty() && c.topics.empty() && std::count(c.hours.begin(), c.hours.end(), 0U) == 24 &&
         std::count(c.acts.begin(), c.acts.end(), 0U) == static_cast<ptrdiff_t>(kActKinds);
}

// One a thread: its lists keep their memory.
Portrait::Counts& scratch() {
  static thread_local Portrait::Counts counts;
  counts.hours = {}, counts.acts = {};
  counts.channels.clear(), counts.topics.clear();
  return counts;
}

}  // namespace

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
    Counts& counts = scratch();
    Reader r(counts_);
    if (!counts_.empty()) read_counts(r, counts);
    add_one(counts.hours[static_cast<size_t>(floor_div(time_us - day * kDayUs, kHourUs))]);
    add_one(counts.acts[static_cast<size_t>(kind)]);
    if (!channel.empty()) add_named(counts.channels, kChannels, channel);
    counts_.clear();
    Writer w(counts_);
    write_counts(w, counts, false);
  }
  if (active_on(day)) return false;
  mark_day(day);
  return true;
}

void Portrait::topic(std::string_view name) {
  if (erased_) return;
  Counts counts = this->counts();
  add_named(counts.topics, kTopics, name);
  counts_.clear();
  Writer w(counts_);
  write_counts(w, counts, false);
}

bool Portrait::forget() {
  if (erased_) return false;
  erased_ = true;
  counts_ = {};
  return true;
}

Portrait::Counts Portrait::counts() const {
  Counts counts;
  Reader r(counts_);
  if (!counts_.empty()) read_counts(r, counts);
  return counts;
}

void Portrait::write(Writer& w) const {
  if (counts_.empty())
    write_counts(w, scratch(), erased_);
  else
    w.append(counts_.data(), counts_.size());
  // The newest days are the high bits; a user of few days is written in few bytes by starting at the newest.
  w.zigzag(first_day_);
  for (uint64_t d : days_) w.varint(std::rotl(d, 1));
}

bool Portrait::read(Reader& r) {
  Counts& counts = scratch();
  const size_t before = r.left();
  const std::string_view all = r.peek();
  erased_ = read_counts(r, counts);
  if (!r.ok()) return false;
  // As write_counts writes them, whatever stood there: no state of ours is written otherwise.
  counts_ = erased_ || none(counts) ? std::string() : std::string(all.substr(0, before - r.left()));
  first_day_ = r.above(0);
  for (uint64_t& d : days_) d = std::rotr(r.varint(), 1);
  return r.ok();
}

}  // namespace bellwether

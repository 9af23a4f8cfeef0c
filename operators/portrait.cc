#include "operators/portrait.h"

#include <algorithm>

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
  if (days_.on(day)) return false;
  days_.mark(day);
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
  days_.write(w);
}

bool Portrait::read(Reader& r) {
  Counts& counts = scratch();
  const size_t before = r.left();
  const std::string_view all = r.peek();
  erased_ = read_counts(r, counts);
  if (!r.ok()) return false;
  // As write_counts writes them, whatever stood there: no state of ours is written otherwise.
  counts_ = erased_ || none(counts) ? std::string() : std::string(all.substr(0, before - r.left()));
  days_.read(r);
  return r.ok();
}

}  // namespace bellwether

#include "operators/portrait.h"

#include <algorithm>
#include <bit>

namespace bellwether {
namespace {

constexpr size_t kHours = 24;
constexpr std::string_view kNone("\0\0\0\0", 4);  // no hour, no act, no channel, no topic

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
void write_some(Writer& to, const std::array<uint32_t, N>& list, bool more) {
  static_assert((N + 1) * 5 <= EntryWriter::kBytes);
  EntryWriter w(to);
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

// What read_counts reads, looked over without building it: whether the user is erased, and whether any count is not 0.
struct Look {
  bool erased = false, any = false;
};
Look look_over(Reader& r) {
  Look look;
  const auto some = [&](size_t n) {
    const uint64_t mask = r.varint();
    for (size_t i = 0; i < n; ++i)
      if (mask >> i & 1) look.any |= r.varint() != 0;
    return mask >> n & 1;
  };
  look.erased = some(kHours) != 0;
  some(kActKinds);
  for (int list = 0; list < 2; ++list)
    for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) r.bytes(), r.varint(), look.any = true;
  return look;
}

// Counts as they are stored, copied with one of each list raised, without building them: an act a like is too many for
// that. They are read as write_counts wrote them, so they are not checked again. Where a count grows by a byte, or a
// name would have to give way, it gives up.
class Raised {
 public:
  static constexpr size_t kBytes = 512;
  explicit Raised(std::string_view from) : at_(from.data()), end_(from.data() + from.size()) {}

  // A list of write_some of `n`, with the count of `i` raised.
  bool some(size_t n, size_t i) {
    const char* const begin = at_;
    const uint64_t mask = varint(), counted = mask & ((uint64_t{1} << n) - 1);
    const bool there = counted >> i & 1;
    if (there)
      copy(begin, at_);
    else
      put(mask | uint64_t{1} << i);
    pass(static_cast<size_t>(std::popcount(counted & ((uint64_t{1} << i) - 1))));
    if (!there)
      bytes_[n_++] = 1;
    else if (!raise())
      return false;
    pass(static_cast<size_t>(std::popcount(counted >> i & ~uint64_t{1})));
    return true;
  }
  // A list of names, with the count of `name` raised; added if there are fewer than `most`. Of an empty one nothing.
  bool named(std::string_view name, size_t most) {
    const char* const begin = at_;
    const uint64_t names = varint();
    const size_t size_at = n_;
    copy(begin, at_);
    bool found = name.empty();
    for (uint64_t left = names; left > 0; --left) {
      const char* const entry = at_;
      const uint64_t size = varint();
      const bool here = !name.empty() && std::string_view(at_, size) == name;
      at_ += size;
      copy(entry, at_);
      if (!here)
        pass(1);
      else if (!raise())
        return false;
      found |= here;
    }
    if (found) return true;
    if (names >= most || name.size() > 0x7f) return false;
    ++bytes_[size_at];  // a byte: `most` is small
    bytes_[n_++] = static_cast<char>(name.size());
    copy(name.data(), name.data() + name.size());
    bytes_[n_++] = 1;
    return true;
  }
  std::string_view take() {
    copy(at_, end_);
    return {bytes_, n_};
  }

 private:
  uint64_t varint() {
    uint64_t v = 0;
    for (int shift = 0;; shift += 7) {
      const auto b = static_cast<uint8_t>(*at_++);
      v |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) return v;
    }
  }
  void put(uint64_t v) {
    for (; v >= 0x80; v >>= 7) bytes_[n_++] = static_cast<char>(static_cast<uint8_t>(v) | 0x80);
    bytes_[n_++] = static_cast<char>(v);
  }
  void copy(const char* from, const char* to) {
    std::copy(from, to, bytes_ + n_);
    n_ += static_cast<size_t>(to - from);
  }
  void pass(size_t varints) {
    for (; varints > 0; --varints) {
      while ((*at_ & 0x80) != 0) bytes_[n_++] = *at_++;
      bytes_[n_++] = *at_++;
    }
  }
  bool raise() {
    if ((*at_ & 0x7f) == 0x7f) return false;  // of the largest number too
    const size_t count = n_;
    pass(1);
    ++bytes_[count];
    return true;
  }
  const char* at_;
  const char* end_;
  size_t n_ = 0;
  char bytes_[kBytes];
};

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
    const auto hour = static_cast<size_t>(floor_div(time_us - day * kDayUs, kHourUs));
    if (!raise(hour, kind, channel)) {
      Counts& counts = scratch();
      Reader r(counts_);
      if (!counts_.empty()) read_counts(r, counts);
      add_one(counts.hours[hour]);
      add_one(counts.acts[static_cast<size_t>(kind)]);
      if (!channel.empty()) add_named(counts.channels, kChannels, channel);
      counts_.clear();
      Writer w(counts_);
      write_counts(w, counts, false);
    }
  }
  if (days_.on(day)) return false;
  days_.mark(day);
  return true;
}

// As act() counts; false where it has to be counted the long way.
bool Portrait::raise(size_t hour, ActKind kind, std::string_view channel) {
  if (counts_.size() + channel.size() > Raised::kBytes - 16) return false;
  Raised raised(counts_.empty() ? kNone : counts_);
  if (!raised.some(kHours, hour) || !raised.some(kActKinds, static_cast<size_t>(kind)) ||
      !raised.named(channel, kChannels))
    return false;
  counts_ = raised.take();
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
  if (counts_.empty() && !erased_)
    w.append(kNone.data(), kNone.size());
  else if (counts_.empty())
    write_counts(w, scratch(), true);
  else
    w.append(counts_.data(), counts_.size());
  days_.write(w);
}

bool Portrait::read(Reader& r) {
  const size_t before = r.left();
  const std::string_view all = r.peek();
  const Look look = look_over(r);
  if (!r.ok()) return false;
  erased_ = look.erased;
  // As write_counts writes them, whatever stood there: no state of ours is written otherwise.
  counts_ = erased_ || !look.any ? std::string() : std::string(all.substr(0, before - r.left()));
  days_.read(r);
  return r.ok();
}

}  // namespace bellwether

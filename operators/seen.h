// The event ids a home has folded in the last 7 days, for "same id again at the same home is a duplicate".
// Bound: nothing older than 7 days before the tick is kept; 24 bytes an event at most, in memory up to 96 where there
// are many.
#pragma once

#include <cstdint>
#include <vector>

#include "operators/codec.h"
#include "operators/like_numbers.h"
#include "operators/limits.h"

namespace bellwether {

class Seen {
 public:
  // True where the id was folded within the 7 days before tick slot `now_slot`; else remembers it.
  bool test_and_add(uint64_t id_hash, int64_t now_slot) {
    forget(now_slot);
    if (newest(id_hash) != nullptr) return true;
    push({id_hash, now_slot});
    return false;
  }
  bool test(uint64_t id_hash, int64_t now_slot) const {
    const Entry* e = newest(id_hash);
    return e != nullptr && e->slot + kSeenUs / kSlotUs >= now_slot;
  }
  void add(uint64_t id_hash, int64_t now_slot) { forget(now_slot), push({id_hash, now_slot}); }
  void forget(int64_t now_slot) {
    size_t gone = 0;  // entries come in tick order
    for (const Entry* e = begin(); e != end() && e->slot + kSeenUs / kSlotUs < now_slot; ++e) ++gone;
    drop(gone);
  }
  // For homes whose events anybody may repeat without end: at the bound the oldest ids are forgotten before their 7
  // days.
  void keep_newest(size_t most) {
    if (size() > most) drop(size() - most);
  }
  size_t size() const { return entries_.size() - front(); }
  bool empty() const { return size() == 0; }
  void write(Writer& w) const {
    w.varint(size());
    int64_t last = 0;
    for (const Entry* e = begin(); e != end(); ++e) w.fixed64(e->id_hash), w.zigzag(e->slot - last), last = e->slot;
  }
  bool read(Reader& r) {
    const uint64_t n = r.varint();
    int64_t last = 0;
    for (uint64_t i = 0; i < n && r.ok(); ++i) {
      const uint64_t h = r.fixed64();
      last = r.above(last);
      entries_.push_back({h, last});
    }
    find_all();
    return r.ok();
  }
  size_t memory() const {
    size_t bytes = entries_.capacity() * sizeof(Entry);
    for (const Index& index : index_) bytes += sizeof index + index.ids.memory();
    return bytes;
  }

 private:
  struct Entry {
    uint64_t id_hash;
    int64_t slot;
  };
  // Of many: whoever repeats likes, or counts followers by the minute, has tens of thousands, and each event asks.
  struct Index {
    LikeNumbers ids;   // the newest entry of each: its number
    size_t gone = 0;   // the number of entries_[0]
    size_t front = 0;  // entries before it are forgotten, and taken out many at once
  };
  struct IdOf {
    const Seen& seen;
    const uint64_t* operator()(uint32_t number) const {
      const Index& index = seen.index_.front();
      return number >= index.gone + index.front ? &seen.entries_[number - index.gone].id_hash : nullptr;
    }
  };
  static constexpr size_t kIndexAbove = 128, kIndexBelow = 64;  // up to some a scan is as cheap

  size_t front() const { return index_.empty() ? 0 : index_.front().front; }
  const Entry* begin() const { return entries_.data() + front(); }
  const Entry* end() const { return entries_.data() + entries_.size(); }

  // Slots rise, so that where the newest of an id is too old, all of them are.
  const Entry* newest(uint64_t id_hash) const {
    if (!index_.empty()) {
      const Index& index = index_.front();
      const uint32_t number = index.ids.find(id_hash, IdOf{*this});
      return number == LikeNumbers::kNone ? nullptr : &entries_[number - index.gone];
    }
    for (const Entry* e = end(); e != begin();)
      if ((--e)->id_hash == id_hash) return e;
    return nullptr;
  }
  void push(Entry entry) {
    entries_.push_back(entry);
    if (index_.empty()) {
      if (entries_.size() > kIndexAbove) find_all();
      return;
    }
    Index& index = index_.front();
    const size_t number = index.gone + entries_.size() - 1;
    if (number > LikeNumbers::kNumberMax) return find_all();
    index.ids.exchange(entry.id_hash, static_cast<uint32_t>(number), IdOf{*this});
  }
  void drop(size_t gone) {
    if (gone == 0) return;
    if (index_.empty()) {
      entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(gone));
      return;
    }
    Index& index = index_.front();
    index.front += gone;
    if (size() < kIndexBelow) return find_all();
    if (index.front * 2 < entries_.size()) return;
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(index.front));
    index.gone += index.front, index.front = 0;
  }
  // Numbers the entries anew, where there are so many that it pays, and no more than can be numbered.
  void find_all() {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(front()));
    index_.clear();
    if (entries_.size() <= kIndexBelow || entries_.size() > LikeNumbers::kNumberMax / 2) return;
    Index& index = index_.emplace_back();
    index.ids.reserve(entries_.size());
    for (size_t i = 0; i < entries_.size(); ++i)
      index.ids.exchange(entries_[i].id_hash, static_cast<uint32_t>(i), IdOf{*this});
  }

  std::vector<Entry> entries_;
  std::vector<Index> index_;  // one, or none
};

}  // namespace bellwether

// The event ids a home has folded in the last 7 days, for "same id again at the same home is a duplicate".
// Bound: nothing older than 7 days before the tick is kept; 24 bytes an event at most.
#pragma once

#include <cstdint>
#include <vector>

#include "operators/codec.h"
#include "operators/limits.h"

namespace bellwether {

class Seen {
 public:
  // True where the id was folded within the 7 days before tick slot `now_slot`; else remembers it.
  bool test_and_add(uint64_t id_hash, int64_t now_slot) {
    forget(now_slot);
    for (const Entry& e : entries_)
      if (e.id_hash == id_hash) return true;
    entries_.push_back({id_hash, now_slot});
    return false;
  }
  bool test(uint64_t id_hash, int64_t now_slot) const {
    for (const Entry& e : entries_)
      if (e.id_hash == id_hash && e.slot + kSeenUs / kSlotUs >= now_slot) return true;
    return false;
  }
  void add(uint64_t id_hash, int64_t now_slot) { forget(now_slot), entries_.push_back({id_hash, now_slot}); }
  void forget(int64_t now_slot) {
    size_t gone = 0;  // entries come in tick order
    while (gone < entries_.size() && entries_[gone].slot + kSeenUs / kSlotUs < now_slot) ++gone;
    if (gone > 0) entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(gone));
  }
  // For homes whose events anybody may repeat without end: at the bound the oldest ids are forgotten before their 7
  // days.
  void keep_newest(size_t most) {
    if (entries_.size() > most) entries_.erase(entries_.begin(), entries_.end() - static_cast<ptrdiff_t>(most));
  }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  void write(Writer& w) const {
    w.varint(entries_.size());
    int64_t last = 0;
    for (const Entry& e : entries_) w.fixed64(e.id_hash), w.zigzag(e.slot - last), last = e.slot;
  }
  bool read(Reader& r) {
    const uint64_t n = r.varint();
    int64_t last = 0;
    for (uint64_t i = 0; i < n && r.ok(); ++i) {
      const uint64_t h = r.fixed64();
      last = r.above(last);
      entries_.push_back({h, last});
    }
    return r.ok();
  }
  size_t memory() const { return entries_.capacity() * sizeof(Entry); }

 private:
  struct Entry {
    uint64_t id_hash;
    int64_t slot;
  };
  std::vector<Entry> entries_;
};

}  // namespace bellwether

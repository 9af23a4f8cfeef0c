// The event ids a home has folded in the last 7 days, for "same id again at the same home is a duplicate".
// Bound: nothing older than 7 days before the tick is kept; 24 bytes an event at most, in memory up to 96 where there
// are many.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/block_size.h"
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
  void write(Writer& w) const { write_entries(w, begin(), end()); }
  bool read(Reader& r) {
    const bool good = read_entries(r, entries_);
    find_all();
    return good;
  }
  size_t memory() const {
    size_t bytes = entries_.capacity() * sizeof(Entry);
    for (const Index& index : index_) bytes += sizeof index + index.ids.memory();
    return bytes;
  }

 protected:
  struct Entry {
    uint64_t id_hash;
    int64_t slot;
  };
  static void write_entries(Writer& w, const Entry* from, const Entry* to) {
    w.varint(static_cast<uint64_t>(to - from));
    int64_t last = 0;
    for (const Entry* e = from; e != to; ++e) w.fixed64(e->id_hash), w.zigzag(e->slot - last), last = e->slot;
  }
  static bool read_entries(Reader& r, std::vector<Entry>& out) {
    const uint64_t n = r.varint();
    int64_t last = 0;
    for (uint64_t i = 0; i < n && r.ok(); ++i) {
      const uint64_t h = r.fixed64();
      last = r.above(last);
      if (r.ok()) out.push_back({h, last});
    }
    return r.ok();
  }
  const Entry* end() const { return entries_.data() + entries_.size(); }
  void put_before(std::vector<Entry> older) {
    older.insert(older.end(), begin(), end());
    entries_ = std::move(older);
    if (!index_.empty()) index_.front().front = 0;
    find_all();
  }

 private:
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

// The same at a home where there may be many: all but the newest stand in blocks of the ledger, so that a further one
// does not write them all again. In memory all are held, once they were loaded. Bound of the row: kBlockRowsMax
// entries, 8 bytes a block.
class SeenBlocks final : public Seen {
 public:
  struct Block {
    int64_t day = 0;
    uint32_t number = 0, count = 0;  // the number within the ledger
    int64_t newest_slot = 0;
  };
  const std::vector<Block>& blocks() const { return blocks_; }

  // To be called before the first test; read(day, number) gives the bytes of a block.
  bool loaded() const { return loaded_; }
  template <class Read>
  void load(Read&& read) {
    std::vector<Entry> older;
    for (const Block& b : blocks_) (void)read_block(read(b.day, b.number), older);
    put_before(std::move(older));
    loaded_ = true;
  }
  void add(uint64_t id_hash, int64_t now_slot) {
    Seen::add(id_hash, now_slot);
    open_ = std::min(open_ + 1, size());
    std::erase_if(blocks_, [&](const Block& b) { return b.newest_slot + kSeenUs / kSlotUs < now_slot; });
  }
  // Of the oldest that stand in no block, once there are enough: the caller writes the bytes under (day, number).
  bool seal(int64_t filling_day, Block& block, std::string& bytes) {
    const size_t full = block_rows(blocks_.size());
    if (open_ < full) return false;
    const Entry* const from = end() - open_;
    block = {filling_day, kNumbers | next_++, static_cast<uint32_t>(full), from[full - 1].slot};
    bytes.clear();
    Writer w(bytes);
    w.u8(kBlockVersion);
    write_entries(w, from, from + full);
    open_ -= full;
    blocks_.push_back(block);
    return true;
  }
  // For comparisons, once loaded: as if they had never been cut into blocks.
  void take_as_open(int64_t now_slot) {
    forget(now_slot);
    blocks_.clear();
    open_ = size(), next_ = 0;
  }
  // How many entries a block holds that seal() wrote; -1: it is none.
  static int64_t block_entries(std::string_view bytes) {
    std::vector<Entry> entries;
    return read_block(bytes, entries) ? static_cast<int64_t>(entries.size()) : -1;
  }

  void write(Writer& w) const {
    w.varint(blocks_.size());
    Block last;
    for (const Block& b : blocks_) {
      w.zigzag(b.day - last.day), w.varint(b.number & ~kNumbers), w.varint(b.count);
      w.zigzag(b.newest_slot - last.newest_slot);
      last = b;
    }
    w.varint(next_);
    write_entries(w, end() - open_, end());
  }
  bool read(Reader& r) {
    Block last;
    for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
      Block b;
      b.day = r.above(last.day), b.number = kNumbers | static_cast<uint32_t>(r.varint());
      b.count = static_cast<uint32_t>(r.varint()), b.newest_slot = r.above(last.newest_slot);
      blocks_.push_back(last = b);
    }
    next_ = static_cast<uint32_t>(r.varint());
    loaded_ = blocks_.empty();
    return r.ok() && read_without_blocks(r);
  }
  // As Seen::write() wrote it.
  bool read_without_blocks(Reader& r) {
    const bool good = Seen::read(r);
    open_ = size();
    return good;
  }
  size_t memory() const { return Seen::memory() + blocks_.capacity() * sizeof(Block); }

 private:
  static constexpr uint32_t kNumbers = uint32_t{1} << 31;  // from here on: those below are other blocks of the same key
  static constexpr uint8_t kBlockVersion = 2;              // 1 is a block of likes
  static bool read_block(std::string_view bytes, std::vector<Entry>& out) {
    Reader r(bytes);
    return r.u8() == kBlockVersion && read_entries(r, out) && r.done();
  }

  std::vector<Block> blocks_;  // in order of their entries
  size_t open_ = 0;            // the newest so many stand in no block
  uint32_t next_ = 0;
  bool loaded_ = true;
};

}  // namespace bellwether

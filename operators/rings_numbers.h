// Numbers for hashes in the order in which they come: 0, 1, 2, …. A table of its own: an analysis asks it some hundred
// thousand times, which in a general map was a third of its time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bellwether {

class RingNumbers {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  RingNumbers() : slots_(size_t{1} << kFirstBits) {}
  size_t size() const { return size_; }
  // The hash's number; it is size() - 1 and new if size() grew.
  uint32_t add(uint64_t hash) {
    Slot& slot = slots_[place(hash)];
    if (slot.number != kNone) return slot.number;
    slot = {hash, size_};
    if (++size_ * size_t{2} > slots_.size()) grow();
    return size_ - 1;
  }
  uint32_t find(uint64_t hash) const { return slots_[place(hash)].number; }  // kNone: has none

 private:
  static constexpr int kFirstBits = 10;
  struct Slot {
    uint64_t hash = 0;
    uint32_t number = kNone;
  };
  size_t place(uint64_t hash) const {
    size_t at = static_cast<size_t>(hash * 0x9E3779B97F4A7C15u >> shift_);
    while (slots_[at].number != kNone && slots_[at].hash != hash) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    --shift_;
    for (const Slot& slot : old)
      if (slot.number != kNone) slots_[place(slot.hash)] = slot;
  }
  std::vector<Slot> slots_;
  int shift_ = 64 - kFirstBits;
  uint32_t size_ = 0;
};

}  // namespace bellwether

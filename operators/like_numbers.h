// Numbers of entries, found by a key that stands in the entry itself. Four bytes a cell: 24 bits of a number, 8 bits of
// the key's hash, so that what is not there is mostly told from the table alone. Open addressing by groups of cells
// that are looked at together; at most three quarters full. The entries of some numbers may be gone: nothing is found
// by them any more, and they are left out when the table grows.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace bellwether {

constexpr uint64_t spread(uint64_t key) { return (key ^ key >> 32) * 0x9E37'79B9'7F4A'7C15; }

// Which of eight words are `word` in the bits of `mask`: bit i for words[i].
inline uint32_t among_eight(const uint32_t* words, uint32_t word, uint32_t mask) {
  using Four = uint32_t __attribute__((vector_size(16)));
  Four low, high;
  std::memcpy(&low, words, sizeof low), std::memcpy(&high, words + 4, sizeof high);
  constexpr Four kLow = {1, 2, 4, 8}, kHigh = {16, 32, 64, 128};
  const Four hits = (((low ^ word) & mask) == 0 ? kLow : Four{}) | (((high ^ word) & mask) == 0 ? kHigh : Four{});
  uint64_t halves[2];
  std::memcpy(halves, &hits, sizeof halves);
  const uint64_t both = halves[0] | halves[1];
  return static_cast<uint32_t>(both | both >> 32);
}

class LikeNumbers {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kNumberMax = (1U << 24) - 2;

  // The number kept for `key`, or kNone. key_of(number) points to the key of an entry, null if it is gone.
  template <class KeyOf>
  uint32_t find(uint64_t key, KeyOf&& key_of) const {
    if (cells_.empty()) return kNone;
    const uint32_t* cell = find_cell(spread(key), key, key_of);
    return cell == nullptr ? kNone : number(*cell);
  }
  // Has the processor fetch where `key` would stand.
  void fetch(uint64_t key) const {
    if (!cells_.empty()) __builtin_prefetch(cells_.data() + home(spread(key)));
  }
  // Calls each(number) for what may be that of `key`, of the first group.
  template <class Each>
  void candidates(uint64_t key, Each&& each) const {
    if (cells_.empty()) return;
    const uint64_t hash = spread(key);
    const uint32_t* const group = cells_.data() + home(hash);
    for (uint32_t hits = among_eight(group, tag_of(hash), kTagMask); hits != 0; hits &= hits - 1)
      if (const uint32_t cell = group[std::countr_zero(hits)]; cell != 0) each(number(cell));
  }
  // Room for `keys` in an empty table.
  void reserve(size_t keys) { cells_ = std::vector<uint32_t>((keys / 5 + 2) * kGroup); }
  // Keeps `number`, at most kNumberMax, for `key` instead of the one it gives.
  template <class KeyOf>
  uint32_t exchange(uint64_t key, uint32_t with, KeyOf&& key_of) {
    if ((taken_ + 1) * 4 > cells_.size() * 3) grow(key_of);
    const uint64_t hash = spread(key);
    const uint32_t cell = tag_of(hash) | (with + 1);
    if (const uint32_t* old = find_cell(hash, key, key_of))
      return number(std::exchange(cells_[static_cast<size_t>(old - cells_.data())], cell));
    put(hash, cell);
    ++taken_;
    return kNone;
  }
  size_t memory() const { return cells_.capacity() * sizeof(uint32_t); }

 private:
  static constexpr size_t kGroup = 8;
  static constexpr uint32_t kTagMask = 0xff00'0000;
  static uint32_t number(uint32_t cell) { return (cell & ~kTagMask) - 1; }
  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash) & kTagMask; }
  // Where its group begins.
  size_t home(uint64_t hash) const { return ((hash >> 32) * (cells_.size() / kGroup) >> 32) * kGroup; }
  size_t next(size_t group) const { return group + kGroup == cells_.size() ? 0 : group + kGroup; }

  template <class KeyOf>
  const uint32_t* find_cell(uint64_t hash, uint64_t key, KeyOf&& key_of) const {
    for (size_t at = home(hash);; at = next(at)) {
      const uint32_t* group = cells_.data() + at;
      for (uint32_t hits = among_eight(group, tag_of(hash), kTagMask); hits != 0; hits &= hits - 1) {
        const uint32_t* cell = group + std::countr_zero(hits);
        if (*cell == 0) continue;
        if (const uint64_t* k = key_of(number(*cell)); k != nullptr && *k == key) return cell;
      }
      if (group[kGroup - 1] == 0) return nullptr;  // a group is filled from its front
    }
  }
  void put(uint64_t hash, uint32_t cell) {
    size_t at = home(hash);
    while (cells_[at + kGroup - 1] != 0) at = next(at);
    while (cells_[at] != 0) ++at;
    cells_[at] = cell;
  }
  template <class KeyOf>
  void grow(KeyOf&& key_of) {
    const std::vector<uint32_t> old = std::exchange(cells_, {});
    taken_ = 0;
    for (const uint32_t cell : old) taken_ += cell != 0 && key_of(number(cell)) != nullptr;
    cells_ = std::vector<uint32_t>((taken_ * 5 / 16 + 2) * kGroup);
    for (const uint32_t cell : old)
      if (const uint64_t* k = cell == 0 ? nullptr : key_of(number(cell))) put(spread(*k), cell);
  }

  std::vector<uint32_t> cells_;  // number + 1 under eight bits of the hash; 0: free
  size_t taken_ = 0;
};

}  // namespace bellwether

#include "pipeline/engine/state_rows.h"

#include <algorithm>

namespace bellwether {
namespace {

constexpr size_t kSpareBytes = 16 << 20;

}  // namespace

void StateRows::encode(const StateCache& cache) {
  dirty_ = cache.dirty();
  std::sort(dirty_.begin(), dirty_.end(), [](const CacheSlot* a, const CacheSlot* b) {
    const auto sa = slice_of(a->key.key.hash), sb = slice_of(b->key.key.hash);
    return sa != sb ? sa < sb : a->key < b->key;
  });
  rows_.reserve(dirty_.size());
  // Set aside, not used: doubling and copying would take thrice as much.
  if (const size_t likely = cache.dirty_row_bytes(); bytes_.capacity() < likely * 2) bytes_.reserve(likely * 4);
  for (CacheSlot* slot : dirty_) {
    const size_t begin = bytes_.size();
    const bool there = encode_state_row(*slot, bytes_);
    if (!there) bytes_.resize(begin);
    rows_.push_back({slot->key, bytes_.size(), there});
  }
  dirty_.clear();
}

void StateRows::write(WriteSet& set) const {
  size_t begin = 0;
  for (const Row& row : rows_) {
    if (row.there) {
      set.put(Family::kState, keys::state(row.key), std::string_view(bytes_).substr(begin, row.end - begin));
    } else {
      set.erase(Family::kState, keys::state(row.key));
    }
    begin = row.end;
  }
}

std::vector<StateRows> SpareRows::take(size_t shards) {
  std::vector<StateRows> rows;
  {
    const std::lock_guard lock(mutex_);
    rows.swap(spare_);
  }
  rows.resize(shards);
  return rows;
}

void SpareRows::give(std::vector<StateRows> rows) {
  size_t bytes = 0;
  for (const StateRows& r : rows) bytes += r.bytes();
  if (bytes < kSpareBytes) return;
  for (StateRows& r : rows) r.clear();
  const std::lock_guard lock(mutex_);
  spare_.swap(rows);
}

}  // namespace bellwether

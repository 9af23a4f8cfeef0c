#include "pipeline/engine/state_rows.h"

#include <algorithm>

namespace bellwether {
namespace {

constexpr size_t kSpareBytes = 16 << 20;

}  // namespace

void StateRows::encode(StateCache& cache, absl::FunctionRef<void(const CacheSlot&)> each) {
  dirty_.reserve(cache.dirty().size());
  for (CacheSlot* slot : cache.dirty()) {
    const StateKey& key = slot->key;
    dirty_.push_back({static_cast<uint64_t>(slice_of(key.key.hash)) << 32 | key.op_kind(), key.key.hash, slot});
  }
  std::sort(dirty_.begin(), dirty_.end(), [](const Dirty& a, const Dirty& b) {
    return a.slice_op_kind != b.slice_op_kind ? a.slice_op_kind < b.slice_op_kind : a.hash < b.hash;
  });
  rows_.reserve(dirty_.size());
  // Set aside, not used: doubling and copying would take thrice as much.
  if (const size_t likely = cache.dirty_row_bytes(); bytes_.capacity() < likely * 2) bytes_.reserve(likely * 4);
  for (size_t i = 0; i < dirty_.size(); ++i) {
    // Most were folded so long ago that no cache of the processor has them. In steps, since each names the next.
    if (i + 8 < dirty_.size()) StateCache::fetch_slot(dirty_[i + 8].slot);
    if (i + 5 < dirty_.size()) StateCache::fetch_state(dirty_[i + 5].slot);
    if (i + 3 < dirty_.size()) StateCache::fetch_before(dirty_[i + 3].slot);
    if (i + 2 < dirty_.size()) StateCache::fetch_inside(dirty_[i + 2].slot);
    CacheSlot* const slot = dirty_[i].slot;
    const size_t begin = bytes_.size();
    const bool there = encode_state_row(*slot, bytes_);
    if (!there) bytes_.resize(begin);
    const bool patched = cache.wrote(*slot, std::string_view(bytes_).substr(begin), patch_);
    if (patched) bytes_.replace(begin, std::string::npos, patch_);
    rows_.push_back({slot->key, bytes_.size(), patched ? Kind::kPatch : there ? Kind::kRow : Kind::kNone});
    each(*slot);
  }
  dirty_.clear();
}

void StateRows::write(WriteSet& set) const {
  size_t begin = 0;
  for (const Row& row : rows_) {
    const std::string_view bytes = std::string_view(bytes_).substr(begin, row.end - begin);
    begin = row.end;
    switch (row.kind) {
      case Kind::kRow:
        set.put(Family::kState, keys::state(row.key), bytes);
        break;
      case Kind::kPatch:
        set.patch(keys::state(row.key), bytes);
        break;
      case Kind::kNone:
        set.erase(Family::kState, keys::state(row.key));
        break;
    }
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

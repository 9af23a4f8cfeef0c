#include "pipeline/engine/cache.h"

#include <algorithm>
#include <utility>

#include "operators/codec.h"
#include "pipeline/engine/row_patch.h"

namespace bellwether {
namespace {

// What a state costs beside its object and what that holds: slot, map entry, what allocations round up.
constexpr size_t kRowBegins = 160, kRowGrows = 64;  // a new one, and one from one commit to the next, with its key
constexpr size_t kSlotBytes = sizeof(CacheSlot) + 32 + 64;

// What a row begins with (encode_state_row).
int64_t read_timer(Reader& r) {
  const uint64_t v = r.varint();
  return v == 0 ? kNoTimer : static_cast<int64_t>((v - 1) >> 1) ^ -static_cast<int64_t>((v - 1) & 1);
}

// Packed where it pays: its bytes are written and read again at its next fold.
constexpr size_t kPackedMax = 1024;

// Then the whole row is written: whoever reads it works in so many patches at most.
constexpr uint8_t kPatchesMax = 8;

Status unreadable(const Operator& op) {
  return Status::error("the state of operator " + std::string(op.name()) +
                       " cannot be read: the store is damaged, or was written by a later version; restore a backup, or "
                       "replay into a new folder");
}

}  // namespace

bool encode_state_row(CacheSlot& slot, std::string& out) {
  Writer w(out);
  if (slot.timer == kNoTimer) {
    w.varint(0);
  } else {
    w.varint(1 + (static_cast<uint64_t>(slot.timer) << 1 ^ static_cast<uint64_t>(slot.timer >> 63)));
  }
  if (slot.state == nullptr) {
    out += slot.packed();
  } else {
    const size_t before = out.size();
    slot.state->encode(out);
    slot.row_bytes = static_cast<uint32_t>(out.size() - before);
  }
  slot.blank = slot.row_bytes == 0;
  return slot.timer != kNoTimer || !slot.blank;
}

bool state_bytes(std::string_view row, std::string_view& bytes) {
  Reader r(row);
  (void)read_timer(r);
  bytes = r.rest();
  return r.ok();
}

bool decode_state_row(const Operator& op, std::string_view row, int64_t& timer, std::unique_ptr<State>* state,
                      bool* blank) {
  Reader r(row);
  timer = read_timer(r);
  if (!r.ok()) return false;
  if (blank != nullptr) *blank = r.left() == 0;
  if (state == nullptr) return true;
  *state = op.decode(row.substr(row.size() - r.left()));
  return *state != nullptr;
}

void StoredRow::assign(std::string_view row) {
  size = static_cast<uint32_t>(row.size());
  if (bytes == nullptr || size > room) {
    room = size + size / 8;  // it grows from commit to commit
    bytes = std::make_unique_for_overwrite<char[]>(room + 1);
  }
  std::copy(row.begin(), row.end(), bytes.get());
}

StateCache::StateCache(const OperatorSet& operators, const Store& store, const FoldOptions& options)
    : operators_(operators),
      store_(store),
      limit_bytes_(options.cache_bytes / options.shards),
      packs_above_(limit_bytes_ / 1000 * options.packs_above_permille),
      packs_after_(options.packs_after) {}

CacheSlot* StateCache::take() {
  if (free_.empty()) {
    slabs_.push_back(std::make_unique<CacheSlot[]>(kSlab));
    for (size_t i = kSlab; i > 0; --i) free_.push_back(&slabs_.back()[i - 1]);
  }
  CacheSlot* const slot = free_.back();
  free_.pop_back();
  return slot;
}

CacheSlot* StateCache::insert(const StateKey& key, bool found, std::string_view row, Status& status) {
  CacheSlot* const slot = take();
  slot->key = key;
  slot->timer = kNoTimer;
  slot->tick = slot->flight = 0;
  slot->dirty = false;
  slot->blank = !found;
  slot->fresh = true;
  slot->uses = 1;
  slot->folded_at = folds_ - packs_after_;
  slot->bytes = 0;
  std::string_view bytes;
  if (found) {
    Reader r(row);
    slot->timer = read_timer(r);
    bytes = r.rest();
    slot->blank = bytes.empty();
    if (!r.ok()) status = unreadable(operators_.get(key.op));
  } else {
    row = {};
  }
  slot->row = std::make_unique_for_overwrite<char[]>(row.size() + 1);  // never null: nothing is a state too
  std::copy(row.begin(), row.end(), slot->row.get());
  slot->row_bytes = static_cast<uint32_t>(bytes.size());
  slot->row_stored = static_cast<uint32_t>(row.size());
  slot->patches = 0;
  account(*slot, kSlotBytes + row.size());
  slots_.emplace(key, slot);
  if (erased_ != nullptr && !erased_->empty()) forget_packed(*slot);
  return slot;
}

bool StateCache::forget_packed(CacheSlot& slot) {
  const auto state = operators_.get(slot.key.op).decode(slot.packed());
  if (state == nullptr || !state->forget(slot.key.key, *erased_))
    return false;  // one that is broken is said when folded
  packing_.clear();
  state->encode(packing_);
  pack(slot, packing_);
  return true;
}

Status StateCache::unpack(CacheSlot& slot) {
  if (slot.state != nullptr) return {};
  const Operator& op = operators_.get(slot.key.op);
  slot.state = op.decode(slot.packed());
  if (slot.state == nullptr) return unreadable(op);
  if (keep_rows_ && slot.row_stored > 0) slot.before = {std::move(slot.row), slot.row_stored, slot.row_stored};
  slot.row.reset(), slot.row_stored = 0;
  slot.fixed_bytes = static_cast<uint32_t>(kSlotBytes + op.state_bytes());
  account(slot, slot.fixed_bytes + slot.state->memory() + slot.before.size);
  return {};
}

void StateCache::pack(CacheSlot& slot, std::string_view row) {
  slot.row = std::make_unique_for_overwrite<char[]>(row.size() + 1);
  std::copy(row.begin(), row.end(), slot.row.get());
  slot.row_bytes = static_cast<uint32_t>(row.size());
  slot.row_stored = 0;
  slot.blank = row.empty();
  slot.state.reset();
  account(slot, kSlotBytes + row.size() + slot.before.size);
}

void StateCache::account(CacheSlot& slot, size_t bytes) {
  const auto now = static_cast<uint32_t>(std::min<size_t>(bytes, UINT32_MAX));
  bytes_ += now, bytes_ -= slot.bytes;
  if (slot.dirty) dirty_bytes_ += now, dirty_bytes_ -= slot.bytes;
  slot.bytes = now;
}

Status StateCache::load(std::vector<StateKey>& keys) {
  Status status;
  // Stored order is by slice first, but within a shard that is the order of hashes near enough: sort by the bytes.
  std::erase_if(keys, [this](const StateKey& k) { return slots_.contains(k); });
  if (keys.empty()) return status;
  std::sort(keys.begin(), keys.end(), [](const StateKey& a, const StateKey& b) {
    const auto sa = slice_of(a.key.hash), sb = slice_of(b.key.hash);
    return sa != sb ? sa < sb : a < b;
  });
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  if (keys.size() == 1) {
    const bool found = store_.get(Family::kState, keys::state(keys[0]), row_, status);
    if (status.ok()) insert(keys[0], found, row_, status);
    return status;
  }
  row_keys_.clear(), views_.clear();
  for (const StateKey& k : keys) row_keys_.push_back(keys::state(k));
  for (const std::string& k : row_keys_) views_.push_back(k);
  Status broken;
  status = store_.multi_get(Family::kState, views_, [&](size_t i, const std::string_view* row) {
    insert(keys[i], row != nullptr, row != nullptr ? *row : std::string_view(), broken);
  });
  return status.ok() ? broken : status;
}

Status StateCache::peek(const StateKey& key, const State*& out) {
  out = nullptr;
  if (CacheSlot* slot = find(key)) {
    if (!slot->dirty && slot->blank) return {};
    if (Status status = unpack(*slot); !status.ok()) return status;
    if (!slot->dirty || !slot->state->blank()) out = slot->state.get();
    return {};
  }
  Status status;
  std::string row;
  if (!store_.get(Family::kState, keys::state(key), row, status)) return status;
  CacheSlot* const slot = insert(key, true, row, status);
  if (!status.ok() || slot->blank) return status;
  status = unpack(*slot);
  out = slot->state.get();
  return status;
}

void StateCache::forget(const Erased* erased) {
  erased_ = erased;
  if (erased == nullptr || erased->empty()) return;
  for (const auto& [key, slot] : slots_) {
    const bool has_row = slot->dirty || !slot->blank;
    if (slot->state != nullptr) {
      if (slot->state->forget(key.key, *erased) && has_row) folded(*slot);
      continue;
    }
    // Packed ones stay packed: as objects all of them would not fit.
    if (forget_packed(*slot) && has_row) soil(*slot);
  }
}

void StateCache::soil(CacheSlot& slot) {
  if (slot.dirty) return;
  slot.dirty = true;
  dirty_.push_back(&slot);
  dirty_bytes_ += slot.bytes;
  dirty_row_bytes_ += slot.row_bytes + (slot.row_bytes == 0 ? kRowBegins : kRowGrows);
}

void StateCache::folded(CacheSlot& slot) {
  soil(slot);
  const size_t heap = slot.state->memory();
  const bool again = folds_ - slot.folded_at < packs_after_;
  slot.folded_at = folds_++;
  if (bytes_ > packs_above_ && !again && heap < kPackedMax && slot.state->whole()) {
    packing_.clear();
    slot.state->encode(packing_);
    if (packing_.size() <= kPackedMax) return pack(slot, packing_);
  }
  account(slot, slot.fixed_bytes + heap + slot.before.size);
}

bool StateCache::wrote(CacheSlot& slot, std::string_view row, std::string& patch) {
  const size_t others = slot.bytes - slot.before.size;
  const bool patched = slot.before.size > 0 && !row.empty() && slot.patches < kPatchesMax &&
                       make_patch(slot.before.view(), row, row.size() / 2, patch);
  slot.patches = patched ? slot.patches + 1 : 0;
  if (slot.state == nullptr && (keep_rows_ || slot.row_stored > 0)) {
    slot.before.assign(row);
    slot.row_stored = slot.before.size;
    slot.row = std::exchange(slot.before, {}).bytes;
    account(slot, kSlotBytes + row.size());
    return patched;
  }
  if (slot.state != nullptr && keep_rows_ && !row.empty()) {
    slot.before.assign(row);
  } else {
    slot.before = {};
  }
  account(slot, others + slot.before.size);
  return patched;
}

void StateCache::carried(uint64_t flight) {
  for (CacheSlot* slot : dirty_) slot->dirty = false, slot->flight = flight;
  dirty_.clear();
  dirty_bytes_ = dirty_row_bytes_ = 0;
}

void StateCache::evict(uint64_t committed) {
  if (bytes_ <= limit_bytes_) return;
  const size_t target = limit_bytes_ - limit_bytes_ / 16;  // some room, so that not every tick comes here
  const size_t all = slabs_.size() * kSlab;
  for (size_t steps = 0; bytes_ > target && steps < 2 * all; ++steps) {
    CacheSlot& slot = slabs_[hand_ / kSlab][hand_ % kSlab];
    hand_ = hand_ + 1 == all ? 0 : hand_ + 1;
    if (!slot.here() || slot.dirty || slot.flight > committed) continue;
    if (slot.before.size > 0) {
      account(slot, slot.bytes - slot.before.size);
      slot.before = {};
    }
    if (slot.uses > 0) {
      --slot.uses;
      continue;
    }
    if (slot.state != nullptr && slot.row_bytes <= kPackedMax && slot.state->whole()) {
      packing_.clear();
      slot.state->encode(packing_);
      pack(slot, packing_);
      continue;
    }
    bytes_ -= slot.bytes;
    slots_.erase(slot.key);
    slot.state.reset(), slot.row.reset();
    free_.push_back(&slot);
  }
}

}  // namespace bellwether

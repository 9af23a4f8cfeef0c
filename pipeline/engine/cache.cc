#include "pipeline/engine/cache.h"

#include <algorithm>

#include "operators/codec.h"

namespace bellwether {
namespace {

// What a state costs beside its object and what that holds: slot, map entry, what allocations round up.
constexpr size_t kRowGrows = 128;  // from one commit to the next, with its key
constexpr size_t kSlotBytes = sizeof(CacheSlot) + 32 + 64;

}  // namespace

bool encode_state_row(CacheSlot& slot, std::string& out) {
  Writer w(out);
  if (slot.timer == kNoTimer) {
    w.varint(0);
  } else {
    w.varint(1 + (static_cast<uint64_t>(slot.timer) << 1 ^ static_cast<uint64_t>(slot.timer >> 63)));
  }
  const size_t before = out.size();
  slot.state->encode(out);
  slot.blank = out.size() == before;
  slot.row_bytes = static_cast<uint32_t>(out.size() - before);
  return slot.timer != kNoTimer || !slot.blank;
}

bool decode_state_row(const Operator& op, std::string_view row, int64_t& timer, std::unique_ptr<State>* state,
                      bool* blank) {
  Reader r(row);
  const uint64_t v = r.varint();
  if (!r.ok()) return false;
  timer = v == 0 ? kNoTimer : static_cast<int64_t>((v - 1) >> 1) ^ -static_cast<int64_t>((v - 1) & 1);
  if (blank != nullptr) *blank = r.left() == 0;
  if (state == nullptr) return true;
  *state = op.decode(row.substr(row.size() - r.left()));
  return *state != nullptr;
}

StateCache::StateCache(const OperatorSet& operators, const Store& store, size_t limit_bytes)
    : operators_(operators), store_(store), limit_bytes_(limit_bytes) {}

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
  const Operator& op = operators_.get(key.op);
  CacheSlot* const slot = take();
  slot->key = key;
  slot->timer = kNoTimer;
  slot->tick = slot->flight = 0;
  slot->dirty = false;
  slot->blank = !found;
  slot->row_bytes = static_cast<uint32_t>(found ? row.size() : 0);
  slot->fresh = true;
  slot->uses = 1;
  const bool good = found ? decode_state_row(op, row, slot->timer, &slot->state, &slot->blank)
                          : (slot->state = op.decode({})) != nullptr;
  if (!good) {
    status = Status::error("the state of operator " + std::string(op.name()) +
                           " cannot be read: the store is damaged, or was written by " +
                           "a later version; restore a backup, or replay into a new folder");
    slot->state = op.decode({});
    BELLWETHER_REQUIRE(slot->state != nullptr, "operator %s cannot make an empty state", op.name());
  }
  if (erased_ != nullptr && !erased_->empty()) slot->state->forget(key.key, *erased_);
  slot->fixed_bytes = static_cast<uint32_t>(kSlotBytes + op.state_bytes());
  slot->bytes = static_cast<uint32_t>(slot->fixed_bytes + slot->state->memory());
  bytes_ += slot->bytes;
  slots_.emplace(key, slot);
  return slot;
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
    rows_.resize(std::max<size_t>(rows_.size(), 1));
    const bool found = store_.get(Family::kState, keys::state(keys[0]), rows_[0], status);
    if (status.ok()) insert(keys[0], found, rows_[0], status);
    return status;
  }
  row_keys_.clear(), views_.clear();
  for (const StateKey& k : keys) row_keys_.push_back(keys::state(k));
  for (const std::string& k : row_keys_) views_.push_back(k);
  status = store_.multi_get(Family::kState, views_, rows_, found_);
  for (size_t i = 0; status.ok() && i < keys.size(); ++i) insert(keys[i], found_[i], rows_[i], status);
  return status;
}

Status StateCache::peek(const StateKey& key, const State*& out) {
  out = nullptr;
  if (const CacheSlot* slot = find(key)) {
    bool blank = slot->blank;
    if (slot->dirty) blank = slot->state->blank();
    if (!blank) out = slot->state.get();
    return {};
  }
  Status status;
  std::string row;
  if (!store_.get(Family::kState, keys::state(key), row, status)) return status;
  const CacheSlot* slot = insert(key, true, row, status);
  if (!slot->blank) out = slot->state.get();
  return status;
}

void StateCache::forget(const Erased* erased) {
  erased_ = erased;
  for (const auto& [key, slot] : slots_) {
    const bool has_row = slot->dirty || !slot->blank;
    if (slot->state->forget(key.key, *erased) && has_row) folded(*slot);
  }
}

void StateCache::folded(CacheSlot& slot) {
  const auto bytes = static_cast<uint32_t>(std::min<size_t>(slot.fixed_bytes + slot.state->memory(), UINT32_MAX));
  bytes_ += bytes;
  bytes_ -= slot.bytes;
  if (slot.dirty) {
    dirty_bytes_ -= slot.bytes;
  } else {
    slot.dirty = true;
    dirty_.push_back(&slot);
    dirty_row_bytes_ += slot.row_bytes + kRowGrows;
  }
  dirty_bytes_ += bytes;
  slot.bytes = bytes;
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
    if (slot.state == nullptr || slot.dirty || slot.flight > committed) continue;
    if (slot.uses > 0) {
      --slot.uses;
      continue;
    }
    bytes_ -= slot.bytes;
    slots_.erase(slot.key);
    slot.state.reset();
    free_.push_back(&slot);
  }
}

}  // namespace bellwether

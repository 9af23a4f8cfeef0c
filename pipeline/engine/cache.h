// The decoded states of one shard. Pure caching: what is in it changes no result, only the cost. Only states whose
// bytes the store has are evicted, by a clock hand, so the rest is bounded by how much a commit may hold. One thread at
// a time.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "operators/erased.h"
#include "pipeline/engine/fold_options.h"
#include "pipeline/engine/keys.h"
#include "pipeline/engine/operator_set.h"
#include "pipeline/engine/store.h"

namespace bellwether {

constexpr int64_t kNoTimer = INT64_MAX;

// A row as the store has it, or will have it with the newest commit that carries its state.
struct StoredRow {
  std::unique_ptr<char[]> bytes;
  uint32_t size = 0;  // 0: there is none, or it is not known
  uint32_t room = 0;
  std::string_view view() const { return {bytes.get(), size}; }
  void assign(std::string_view row);  // never null then: nothing is a row too
};

// A state in memory: as an object, or packed as the bytes it is stored as, which take a seventh. Beside an object the
// row may be kept that a commit then writes a patch of (row_patch.h).
struct CacheSlot {
  StateKey key;
  std::unique_ptr<State> state;  // null where it is packed
  std::unique_ptr<char[]> row;   // of a packed one: row_bytes, behind a timer where `row_stored`
  StoredRow before;              // of an object, or one that changed
  int64_t timer = kNoTimer;      // slot in which it is woken
  uint64_t tick = 0;             // number of the tick that `sequence` counts in
  uint64_t flight = 0;           // the newest commit that carries it
  uint32_t bytes = 0;            // of memory it takes in all
  uint32_t fixed_bytes = 0;      // of these, whatever the state holds
  uint32_t sequence = 0;
  uint32_t row_bytes = 0;   // as last read or written, without the timer
  uint32_t row_stored = 0;  // not 0: `row` is the whole row that the store has, of so many bytes
  uint32_t folded_at = 0;   // StateCache::folds() of the last fold
  bool dirty = false;
  bool blank = true;    // its state encodes to nothing; of dirty ones not known
  bool fresh = true;    // read, and not folded since
  uint8_t uses = 0;     // sweeps that it outlives: more where it is folded again and again
  uint8_t patches = 0;  // that the store was given since it was given the whole row
  bool here() const { return state != nullptr || row != nullptr; }
  std::string_view packed() const { return {row.get() + (row_stored > 0 ? row_stored - row_bytes : 0), row_bytes}; }
};

// A row of Family::kState: varint(0 without a timer, else 1 + zigzag of its slot), then the state's own bytes. Notes in
// `blank` whether there are any; false where there is neither: such a key has no row.
bool encode_state_row(CacheSlot& slot, std::string& out);
// The state's own bytes, empty where it is blank. False where the row is broken.
bool state_bytes(std::string_view row, std::string_view& bytes);
// False where the bytes are broken. `state` may be null to read the timer only.
bool decode_state_row(const Operator& op, std::string_view row, int64_t& timer, std::unique_ptr<State>* state,
                      bool* blank = nullptr);

class StateCache {
 public:
  // A shard's share of the memory.
  StateCache(const OperatorSet& operators, const Store& store, const FoldOptions& options);

  // Null where it is not here.
  CacheSlot* find(const StateKey& key) {
    const auto it = slots_.find(key);
    if (it == slots_.end()) return nullptr;
    return it->second;
  }
  // The same as a hint for later: a slot is memory as long as the cache is, but after an eviction somebody else's.
  CacheSlot* look(const StateKey& key) const {
    const auto it = slots_.find(key);
    return it == slots_.end() ? nullptr : it->second;
  }
  // The same for a fold: of what was asked to be fetched a moment ago without going through the map, which is too large
  // for the processor's caches.
  CacheSlot* near(const StateKey& key) const {
    CacheSlot* const hint = hints_[place(key)];
    return hint != nullptr && hint->key == key && hint->here() ? hint : look(key);
  }
  // Has the processor fetch what a fold of that key will read first: the map's place, which names the slot, which names
  // the state, which names what hangs on it. To be called in this order, some work apart.
  void fetch_place(const StateKey& key) const { slots_.prefetch(key); }
  static void fetch_slot(const CacheSlot* slot) {
    if (slot != nullptr) fetch_lines(slot, 2);
  }
  void fetch_slot(const StateKey& key, CacheSlot* slot) {
    fetch_slot(slot);
    hints_[place(key)] = slot;
  }
  static void fetch_state(const CacheSlot* slot) {
    if (slot == nullptr) return;
    if (slot->state != nullptr)
      fetch_lines(slot->state.get(), 8);
    else
      fetch_lines(slot->row.get(), std::min<size_t>(slot->row_bytes / 64 + 1, 8));
  }
  static void fetch_inside(const CacheSlot* slot) {
    if (slot != nullptr && slot->state != nullptr) slot->state->fetch_ahead();
  }
  static void fetch_before(const CacheSlot* slot) {
    if (slot->before.size > 0) fetch_lines(slot->before.bytes.get(), std::min<size_t>(slot->before.size / 64 + 1, 12));
  }
  // Of the home of a fact.
  static void fetch_places(const CacheSlot* slot, const Fact& fact) {
    if (slot != nullptr && slot->state != nullptr) slot->state->fetch_places(fact);
  }
  static void fetch_found(const CacheSlot* slot, const Fact& fact) {
    if (slot != nullptr && slot->state != nullptr) slot->state->fetch_found(fact);
  }

  // Reads those of `keys` that are not here, all in one sorted read; a key without a row becomes an empty state. Sorts
  // `keys`.
  Status load(std::vector<StateKey>& keys);
  // The state if the key has one that is not blank, here or in the store; null otherwise. Valid until it is evicted.
  Status peek(const StateKey& key, const State*& out);

  // Whose names no state may hold from here on; those that are here forget them, and are dirty where they did.
  void forget(const Erased* erased);

  // Makes the slot hold an object, to be folded.
  Status unpack(CacheSlot& slot);
  // Says that the next commit has to write it.
  void soil(CacheSlot& slot);
  // Says that the state was folded. Where memory is short, a small state that is not folded again and again is packed.
  void folded(CacheSlot& slot);
  const std::vector<CacheSlot*>& dirty() const { return dirty_; }
  // Whether commits come so soon one after another that rows are kept from here on, to write patches of them.
  void keep_rows(bool keep) { keep_rows_ = keep; }
  // Says that a commit writes this row of a dirty state, empty where it has none. True where `patch` is all that need
  // be written.
  bool wrote(CacheSlot& slot, std::string_view row, std::string& patch);
  // What the dirty states take in memory, and about what their rows will.
  size_t dirty_bytes() const { return dirty_bytes_; }
  size_t dirty_row_bytes() const { return dirty_row_bytes_; }
  // The dirty states are now carried by commit `flight` (rising).
  void carried(uint64_t flight);
  // Evicts down to the limit what commits up to `committed` carry, if anything.
  void evict(uint64_t committed);

  // Where the process ends: the states are left where they are. Nothing else may be called afterwards.
  void leave_memory() { (void)new auto(std::move(slabs_)); }

  size_t bytes() const { return bytes_; }
  size_t states() const { return slots_.size(); }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }
  void count(uint64_t hits, uint64_t misses) { hits_ += hits, misses_ += misses; }

 private:
  static void fetch_lines(const void* at, size_t n) {
    if (at == nullptr) return;  // of a slot that is somebody else's by now
    for (size_t i = 0; i < n; ++i) __builtin_prefetch(static_cast<const char*>(at) + 64 * i);
  }
  static constexpr size_t kSlab = 256, kHints = 4096;
  static size_t place(const StateKey& key) {
    return (key.key.hash ^ key.key.hash >> 32 ^ static_cast<size_t>(key.op) * 0x9e37) % kHints;
  }
  CacheSlot* take();
  // Takes the names of the erased out of a packed one; true where there were any.
  bool forget_packed(CacheSlot& slot);
  // Exchanges the object for `row`, its bytes.
  void pack(CacheSlot& slot, std::string_view row);
  void account(CacheSlot& slot, size_t bytes);  // what it takes now
  CacheSlot* insert(const StateKey& key, bool found, std::string_view row, Status& status);

  const OperatorSet& operators_;
  const Store& store_;
  const size_t limit_bytes_, packs_above_;
  const uint32_t packs_after_;
  const Erased* erased_ = nullptr;
  absl::flat_hash_map<StateKey, CacheSlot*, StateKey::Hash> slots_;
  std::vector<CacheSlot*> hints_ = std::vector<CacheSlot*>(kHints);  // slots stay where they are
  std::vector<std::unique_ptr<CacheSlot[]>> slabs_;
  std::vector<CacheSlot*> free_, dirty_;
  size_t bytes_ = 0, dirty_bytes_ = 0, dirty_row_bytes_ = 0, hand_ = 0;
  uint64_t hits_ = 0, misses_ = 0;
  uint32_t folds_ = 0;
  bool keep_rows_ = false;
  std::string packing_;
  std::string row_;
  std::vector<std::string> row_keys_;
  std::vector<std::string_view> views_;
};

}  // namespace bellwether

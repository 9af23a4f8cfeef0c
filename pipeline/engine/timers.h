// Who is to be woken when. Rows in Family::kTimers; in memory stand those due before a horizon, and the changes not yet
// committed.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "pipeline/engine/keys.h"
#include "pipeline/engine/store.h"

namespace bellwether {

// Many a tick, in order only at a commit.
using TimerChanges = absl::flat_hash_map<TimerKey, bool, TimerKey::Hash>;  // true: a row to write; false: one to erase
void write_timers(const TimerChanges& changes, WriteSet& set);

class Timers {
 public:
  // `settle` waits for the commit in flight, if any: only then do store and changes together tell the whole.
  Timers(const Store& store, std::function<Status()> settle, size_t load_rows = 1 << 18);

  // A key's one timer moves; kNoTimer is none. Exact: `from` is what is set.
  void change(const StateKey& key, int64_t from, int64_t to);
  // The earliest slot below `limit` in which somebody is to be woken; kNoTimer if none. May read the store.
  Status next(int64_t limit, int64_t& slot);
  // Takes out those due in the slot that next() gave, in key order.
  void take(int64_t slot, std::vector<StateKey>& out);
  // The earliest that may be due as far as memory knows; never later than the truth.
  int64_t soonest() const { return slots_.empty() ? horizon_ : slots_.front(); }

  // What no commit carries yet; a commit takes it along.
  TimerChanges take_changes() { return std::exchange(changes_, {}); }
  size_t changes() const { return changes_.size(); }

 private:
  Status load(int64_t limit);
  void put(const TimerKey& key);
  void erase(const TimerKey& key);
  void near_put(const TimerKey& key);
  void near_erase(const TimerKey& key);
  void drop_empty();

  const Store& store_;
  std::function<Status()> settle_;
  size_t load_rows_;
  int64_t horizon_ = INT64_MIN;  // near_ holds everything below
  absl::flat_hash_map<int64_t, absl::InlinedVector<StateKey, 1>> near_;  // by slot, none empty
  std::vector<int64_t> slots_;  // a heap, the earliest first: those of near_, and some that are empty but never the first
  TimerChanges changes_;
};

}  // namespace bellwether

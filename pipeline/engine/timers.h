// Who is to be woken when. Rows in Family::kTimers; in memory stand those due before a horizon, which comes nearer
// where they are many, and the changes not yet committed.
//
// Those in memory are a calendar: by hours of event time, unordered but for the hours that are open, which are as many
// as give some timers to look ahead at. So a timer that is set for some day costs the end of a list, not a place in a
// tree that no cache holds, and who is woken next is known in time to fetch their state.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "pipeline/engine/keys.h"
#include "pipeline/engine/store.h"

namespace bellwether {

// In the order they were made; true: a row to write; false: one to erase. Those of a key take turns.
using TimerChanges = std::vector<std::pair<TimerKey, bool>>;
void write_timers(TimerChanges changes, WriteSet& set);

class Timers {
 public:
  // No timer stands before the slot `from`: a store keeps the traces of erased rows for a while, and a scan over those
  // of a million timers that have fired takes its time.
  explicit Timers(const Store& store, size_t load_rows = 1 << 18, int64_t from = INT64_MIN);

  // A key's one timer moves; kNoTimer is none. Exact: `from` is what is set.
  void change(const StateKey& key, int64_t from, int64_t to);
  // The earliest slot below `limit` in which somebody is to be woken; kNoTimer if none. May read the store.
  Status next(int64_t limit, int64_t& slot);
  // Takes out those due in the slot that next() gave, in key order.
  void take(int64_t slot, std::vector<StateKey>& out);
  // The earliest that may be due as far as memory knows; never later than the truth.
  int64_t soonest() const;
  // Has ahead() know of those due before `slot`, up to `most` and an hour's. May read the store.
  Status look_ahead(int64_t slot, size_t most);
  // The n-th to be woken after those taken, most likely; null where it is not known. A hint.
  const TimerKey* ahead(size_t n) const { return at_ + n < open_.size() ? &open_[at_ + n] : nullptr; }

  // What no commit carries yet; a commit takes it along. Until landed() it may or may not be in the store.
  TimerChanges take_changes() {
    flying_ = changes_;
    return std::exchange(changes_, {});
  }
  void landed() { flying_.clear(); }
  size_t changes() const { return changes_.size(); }
  // Timers that stand in memory, beside the changes: at most twice as many as are read ahead, unless more have one
  // slot.
  size_t held() const { return open_.size() - at_ + fresh_.size() + later_; }

 private:
  Status load(int64_t limit);
  void draw_near();
  void put(const TimerKey& key);
  void erase(const TimerKey& key);
  void settle_head();
  bool open_hour(int64_t last);

  const Store& store_;
  const size_t load_rows_;
  int64_t ahead_;                 // slots that the next load reaches ahead
  size_t held_max_;               // more are too many
  int64_t horizon_;               // memory holds everything below
  int64_t open_end_ = INT64_MIN;  // open_ and fresh_ hold everything below
  std::vector<TimerKey> open_;    // of the hours that are open, in order, from at_ on
  size_t at_ = 0;
  int64_t taken_hour_ = INT64_MIN;                        // of the last slot taken
  std::vector<TimerKey> fresh_;                           // put since their hour opened: a heap, the earliest first
  int64_t first_hour_ = 0;                                // of hours_
  std::deque<std::vector<TimerKey>> hours_;               // hour by hour, none of them open
  std::map<int64_t, std::vector<TimerKey>> far_;          // by hour, those that were too far off for hours_
  size_t later_ = 0;                                      // timers in both
  absl::flat_hash_set<TimerKey, TimerKey::Hash> erased_;  // still standing in one of these
  TimerChanges flying_, changes_;
};

}  // namespace bellwether

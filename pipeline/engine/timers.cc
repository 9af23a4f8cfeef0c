#include "pipeline/engine/timers.h"

#include "operators/limits.h"
#include "pipeline/engine/cache.h"

namespace bellwether {

Timers::Timers(const Store& store, std::function<Status()> settle, size_t load_rows)
    : store_(store), settle_(std::move(settle)), load_rows_(load_rows) {}

void Timers::put(const TimerKey& key) {
  if (key.slot < horizon_) near_.insert(key);
  const auto [it, fresh] = changes_.try_emplace(key, true);
  if (!fresh && !it->second) changes_.erase(it);  // the row is still there
}

void Timers::erase(const TimerKey& key) {
  const auto [it, fresh] = changes_.try_emplace(key, false);
  if (!fresh && it->second) changes_.erase(it);  // the row never was
}

void Timers::change(const StateKey& key, int64_t from, int64_t to) {
  if (from == to) return;
  if (from != kNoTimer) {
    if (from < horizon_) near_.erase({from, key});
    erase({from, key});
  }
  if (to != kNoTimer) put({to, key});
}

Status Timers::next(int64_t limit, int64_t& slot) {
  slot = kNoTimer;
  while (near_.empty() && horizon_ < limit) {
    if (Status status = load(limit); !status.ok()) return status;
  }
  if (!near_.empty() && near_.begin()->slot < limit) slot = near_.begin()->slot;
  return {};
}

void Timers::take(int64_t slot, std::vector<StateKey>& out) {
  auto it = near_.begin();
  for (; it != near_.end() && it->slot == slot; ++it) {
    out.push_back(it->state);
    erase(*it);
  }
  near_.erase(near_.begin(), it);
}

Status Timers::load(int64_t limit) {
  if (Status status = settle_(); !status.ok()) return status;
  constexpr int64_t kAhead = kDayUs / kSlotUs;
  int64_t end = limit > INT64_MAX - kAhead ? INT64_MAX : limit + kAhead;
  size_t rows = 0;
  Status broken;
  const Status status = store_.snapshot()->scan(
      Family::kTimers, keys::timer_slot(horizon_), keys::timer_slot(end),
      [&](std::string_view bytes, std::string_view) {
        TimerKey key;
        if (!keys::parse_timer(bytes, key)) {
          broken = Status::error("a timer row of " + std::to_string(bytes.size()) + " bytes: the store is damaged");
          return false;
        }
        if (rows >= load_rows_ && !near_.empty() && near_.rbegin()->slot != key.slot) {
          end = key.slot;  // the rest another time, but a slot is never cut in two
          return false;
        }
        near_.insert(key);
        ++rows;
        return true;
      });
  if (!status.ok()) return status;
  if (!broken.ok()) return broken;
  for (auto it = changes_.lower_bound(TimerKey{horizon_, {}}); it != changes_.end() && it->first.slot < end; ++it) {
    if (it->second) {
      near_.insert(it->first);
    } else {
      near_.erase(it->first);
    }
  }
  horizon_ = end;
  return {};
}

void Timers::write(WriteSet& set) {
  for (const auto& [key, present] : changes_) {
    if (present) {
      set.put(Family::kTimers, keys::timer(key), {});
    } else {
      set.erase(Family::kTimers, keys::timer(key));
    }
  }
  changes_.clear();
}

}  // namespace bellwether

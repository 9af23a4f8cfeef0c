#include "pipeline/engine/timers.h"

#include <algorithm>

#include "operators/limits.h"
#include "pipeline/engine/cache.h"

namespace bellwether {

Timers::Timers(const Store& store, std::function<Status()> settle, size_t load_rows)
    : store_(store), settle_(std::move(settle)), load_rows_(load_rows) {}

void Timers::near_put(const TimerKey& key) {
  auto& due = near_[key.slot];
  if (due.empty()) {
    slots_.push_back(key.slot);
    std::push_heap(slots_.begin(), slots_.end(), std::greater<>());
  }
  due.push_back(key.state);
}

void Timers::near_erase(const TimerKey& key) {
  const auto at = near_.find(key.slot);
  if (at == near_.end()) return;
  const auto state = std::find(at->second.begin(), at->second.end(), key.state);
  if (state == at->second.end()) return;
  *state = at->second.back();
  at->second.pop_back();
  if (!at->second.empty()) return;
  near_.erase(at);
  drop_empty();
}

void Timers::drop_empty() {
  while (!slots_.empty() && !near_.contains(slots_.front())) {
    std::pop_heap(slots_.begin(), slots_.end(), std::greater<>());
    slots_.pop_back();
  }
}

void Timers::put(const TimerKey& key) {
  if (key.slot < horizon_) near_put(key);
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
    if (from < horizon_) near_erase({from, key});
    erase({from, key});
  }
  if (to != kNoTimer) put({to, key});
}

Status Timers::next(int64_t limit, int64_t& slot) {
  slot = kNoTimer;
  while (slots_.empty() && horizon_ < limit) {
    if (Status status = load(limit); !status.ok()) return status;
  }
  if (!slots_.empty() && slots_.front() < limit) slot = slots_.front();
  return {};
}

void Timers::take(int64_t slot, std::vector<StateKey>& out) {
  const auto at = near_.find(slot);
  if (at == near_.end()) return;
  const auto first = out.insert(out.end(), at->second.begin(), at->second.end());
  std::sort(first, out.end());
  for (const StateKey& key : at->second) erase({slot, key});
  near_.erase(at);
  drop_empty();
}

Status Timers::load(int64_t limit) {
  if (Status status = settle_(); !status.ok()) return status;
  // Far enough that a quiet stream, which passes a day in no time, does not wait for the commit in flight at each.
  constexpr int64_t kAhead = 16 * kDayUs / kSlotUs;
  int64_t end = limit > INT64_MAX - kAhead ? INT64_MAX : limit + kAhead;
  size_t rows = 0;
  int64_t newest = INT64_MIN;
  Status broken;
  const Status status = store_.snapshot()->scan(
      Family::kTimers, keys::timer_slot(horizon_), keys::timer_slot(end),
      [&](std::string_view bytes, std::string_view) {
        TimerKey key;
        if (!keys::parse_timer(bytes, key)) {
          broken = Status::error("a timer row of " + std::to_string(bytes.size()) + " bytes: the store is damaged");
          return false;
        }
        if (rows >= load_rows_ && newest != key.slot) {
          end = key.slot;  // the rest another time, but a slot is never cut in two
          return false;
        }
        near_put(key);
        newest = key.slot;
        ++rows;
        return true;
      });
  if (!status.ok()) return status;
  if (!broken.ok()) return broken;
  for (const auto& [key, there] : changes_) {
    if (key.slot < horizon_ || key.slot >= end) continue;
    if (there) {
      near_put(key);
    } else {
      near_erase(key);
    }
  }
  horizon_ = end;
  return {};
}

void write_timers(const TimerChanges& changes, WriteSet& set) {
  std::vector<std::pair<TimerKey, bool>> sorted(changes.begin(), changes.end());
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [key, there] : sorted) {
    if (there) {
      set.put(Family::kTimers, keys::timer(key), {});
    } else {
      set.erase(Family::kTimers, keys::timer(key));
    }
  }
}

}  // namespace bellwether

#include "pipeline/engine/timers.h"

#include <algorithm>
#include <iterator>

#include "operators/limits.h"
#include "pipeline/engine/cache.h"

namespace bellwether {
namespace {

constexpr int64_t kHourSlots = kHourUs / kSlotUs;
int64_t hour_of(int64_t slot) { return floor_div(slot, kHourSlots); }

// Timers known in order, if there are so many within these hours.
constexpr size_t kLookAhead = 16;
constexpr int64_t kOpenHours = 24;
// Hours that stand in an array; those behind, which are few, in a tree.
constexpr int64_t kHoursMax = 1 << 14;
// A load walks all that is not committed, so it reaches far where timers are few.
constexpr int64_t kLeastAhead = 16 * kDayUs / kSlotUs, kMostAhead = 512 * kDayUs / kSlotUs;

}  // namespace

Timers::Timers(const Store& store, size_t load_rows, int64_t from)
    : store_(store), load_rows_(load_rows), ahead_(kLeastAhead), held_max_(2 * load_rows), horizon_(from) {}

void Timers::put(const TimerKey& key) {
  if (!erased_.empty() && erased_.erase(key) != 0) return;  // it still stands where it stood
  if (key.slot < open_end_) {
    fresh_.push_back(key);
    std::push_heap(fresh_.begin(), fresh_.end(), std::greater<>());
    return;
  }
  const int64_t hour = hour_of(key.slot);
  if (hours_.empty()) first_hour_ = open_end_ == INT64_MIN ? hour : std::max(hour_of(open_end_), hour - kHoursMax / 2);
  ++later_;
  if (hour < first_hour_ || hour - first_hour_ >= kHoursMax) {
    far_[hour].push_back(key);
    return;
  }
  const auto i = static_cast<size_t>(hour - first_hour_);
  if (i >= hours_.size()) hours_.resize(i + 1);
  hours_[i].push_back(key);
}

void Timers::erase(const TimerKey& key) { erased_.insert(key); }

// Opens the next hour that has timers, if it is not after `last`.
bool Timers::open_hour(int64_t last) {
  if (later_ == 0) return false;
  while (!hours_.empty() && hours_.front().empty()) hours_.pop_front(), ++first_hour_;
  int64_t hour = hours_.empty() ? INT64_MAX : first_hour_;
  if (!far_.empty()) hour = std::min(hour, far_.begin()->first);
  if (hour > last) return false;
  if (at_ > open_.size() / 2) open_.erase(open_.begin(), open_.begin() + static_cast<ptrdiff_t>(at_)), at_ = 0;
  const size_t before = open_.size();
  if (!hours_.empty() && hour == first_hour_) {
    open_.insert(open_.end(), hours_.front().begin(), hours_.front().end());
    hours_.pop_front(), ++first_hour_;
  }
  if (!far_.empty() && hour == far_.begin()->first) {
    open_.insert(open_.end(), far_.begin()->second.begin(), far_.begin()->second.end());
    far_.erase(far_.begin());
  }
  later_ -= open_.size() - before;
  std::sort(open_.begin() + static_cast<ptrdiff_t>(before), open_.end());
  open_end_ = (hour + 1) * kHourSlots;
  return true;
}

// Afterwards the earliest of all is the first of open_ or of fresh_, unless there is none.
void Timers::settle_head() {
  for (;;) {
    while (at_ < open_.size() && !erased_.empty() && erased_.erase(open_[at_]) != 0) ++at_;
    while (!fresh_.empty() && !erased_.empty() && erased_.erase(fresh_.front()) != 0) {
      std::pop_heap(fresh_.begin(), fresh_.end(), std::greater<>());
      fresh_.pop_back();
    }
    // Not far past what happens now: what is put into hours that are open costs more.
    const bool none = at_ >= open_.size() && fresh_.empty();
    if (!none && open_.size() - at_ >= kLookAhead) return;
    const int64_t last = taken_hour_ == INT64_MIN ? INT64_MIN : taken_hour_ + kOpenHours;
    if (!open_hour(none ? INT64_MAX : last)) return;
  }
}

Status Timers::look_ahead(int64_t slot, size_t most) {
  int64_t soonest = kNoTimer;
  if (Status status = next(slot, soonest); !status.ok() || soonest == kNoTimer) return status;
  while (open_end_ < slot && open_.size() - at_ < most && open_hour(hour_of(slot - 1))) {
  }
  return {};
}

int64_t Timers::soonest() const {
  int64_t slot = horizon_;
  if (at_ < open_.size()) slot = std::min(slot, open_[at_].slot);
  if (!fresh_.empty()) slot = std::min(slot, fresh_.front().slot);
  return slot;
}

void Timers::change(const StateKey& key, int64_t from, int64_t to) {
  if (from == to) return;
  if (from != kNoTimer) {
    if (from < horizon_) erase({from, key});
    changes_.emplace_back(TimerKey{from, key}, false);
  }
  if (to != kNoTimer) {
    if (to < horizon_) put({to, key});
    changes_.emplace_back(TimerKey{to, key}, true);
  }
  if (held() > held_max_) draw_near();
  settle_head();
}

// What was loaded may be little and what is set since then much: users come, each with a timer. Those that are furthest
// away leave memory; the store and the changes have them.
void Timers::draw_near() {
  open_.erase(open_.begin(), open_.begin() + static_cast<ptrdiff_t>(at_));
  at_ = 0;
  std::vector<int64_t> slots;
  slots.reserve(held());
  const auto each = [&](auto&& visit) {
    visit(open_), visit(fresh_);
    for (std::vector<TimerKey>& hour : hours_) visit(hour);
    for (auto& [number, hour] : far_) visit(hour);
  };
  each([&](const std::vector<TimerKey>& keys) {
    for (const TimerKey& key : keys) slots.push_back(key.slot);
  });
  const auto cut = slots.begin() + static_cast<ptrdiff_t>(load_rows_);
  std::nth_element(slots.begin(), cut, slots.end());
  // A slot is never cut in two.
  horizon_ = std::max(*cut, *std::min_element(slots.begin(), cut) + 1);
  const auto beyond = [this](const TimerKey& key) { return key.slot >= horizon_; };
  each([&](std::vector<TimerKey>& keys) { std::erase_if(keys, beyond); });
  std::make_heap(fresh_.begin(), fresh_.end(), std::greater<>());
  std::erase_if(far_, [](const auto& hour) { return hour.second.empty(); });
  later_ = 0;
  for (const auto& hour : hours_) later_ += hour.size();
  for (const auto& [number, hour] : far_) later_ += hour.size();
  absl::erase_if(erased_, beyond);
  held_max_ = 2 * std::max(load_rows_, held());
  ahead_ = std::max(ahead_ / 2, kLeastAhead);
}

Status Timers::next(int64_t limit, int64_t& slot) {
  slot = kNoTimer;
  while (soonest() == horizon_ && horizon_ < limit) {
    if (Status status = load(limit); !status.ok()) return status;
  }
  if (soonest() < std::min(limit, horizon_)) slot = soonest();
  return {};
}

void Timers::take(int64_t slot, std::vector<StateKey>& out) {
  taken_hour_ = hour_of(slot);
  const size_t before = out.size();
  const auto taken = [&](const TimerKey& key) {
    if (!erased_.empty() && erased_.erase(key) != 0) return;
    out.push_back(key.state);
    changes_.emplace_back(key, false);
  };
  for (; at_ < open_.size() && open_[at_].slot == slot; ++at_) taken(open_[at_]);
  while (!fresh_.empty() && fresh_.front().slot == slot) {
    taken(fresh_.front());
    std::pop_heap(fresh_.begin(), fresh_.end(), std::greater<>());
    fresh_.pop_back();
  }
  std::sort(out.begin() + static_cast<ptrdiff_t>(before), out.end());
  settle_head();
}

// The store may hold the commit in flight already, or not: what its changes and the later ones say last of a key's slot
// holds either way.
Status Timers::load(int64_t limit) {
  int64_t end = limit > INT64_MAX - ahead_ ? INT64_MAX : limit + ahead_;
  absl::flat_hash_map<TimerKey, bool, TimerKey::Hash> last;
  const auto look = [&](const TimerChanges& changes) {
    for (const auto& [key, there] : changes)
      if (key.slot >= horizon_ && key.slot < end) last[key] = there;
  };
  look(flying_), look(changes_);
  size_t rows = 0;
  int64_t newest = INT64_MIN;
  Status broken;
  Status status = store_.snapshot()->scan(
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
        if (!last.contains(key)) put(key);
        newest = key.slot;
        ++rows;
        return true;
      });
  if (!status.ok()) return status;
  if (!broken.ok()) return broken;
  for (const auto& [key, there] : last)
    if (there && key.slot < end) put(key);
  horizon_ = end;
  if (rows < load_rows_ / 8) ahead_ = std::min(2 * ahead_, kMostAhead);
  if (rows > load_rows_ / 2) ahead_ = std::max(ahead_ / 2, kLeastAhead);
  settle_head();
  return {};
}

void write_timers(TimerChanges changes, WriteSet& set) {
  std::stable_sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0, next; i < changes.size(); i = next) {
    const TimerKey& key = changes[i].first;
    for (next = i + 1; next < changes.size() && changes[next].first == key;) ++next;
    const bool there = changes[next - 1].second;
    if (there != changes[i].second) continue;  // in and out again, or the other way: the row is as it was
    if (there) {
      set.put(Family::kTimers, keys::timer(key), {});
    } else {
      set.erase(Family::kTimers, keys::timer(key));
    }
  }
}

}  // namespace bellwether

#include "pipeline/engine/schedule.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "pipeline/engine/check.h"

namespace bellwether {
namespace {

int64_t saturating_sub(int64_t a, int64_t b) {  // b >= 0
  return a < INT64_MIN + b ? INT64_MIN : a - b;
}

// A queue in one piece of memory: searched like an array, taken from at the front.
template <typename T>
class Fifo {
 public:
  bool empty() const { return head_ == items_.size(); }
  size_t size() const { return items_.size() - head_; }
  T* begin() { return items_.data() + head_; }
  T* end() { return items_.data() + items_.size(); }
  const T* begin() const { return items_.data() + head_; }
  const T* end() const { return items_.data() + items_.size(); }
  T& front() { return items_[head_]; }
  const T& front() const { return items_[head_]; }
  T& back() { return items_.back(); }
  const T& back() const { return items_.back(); }
  void push_back(const T& item) { items_.push_back(item); }
  void insert(T* before, const T& item) { items_.insert(items_.begin() + (before - items_.data()), item); }
  void pop_front() {
    ++head_;
    if (head_ < 64 || head_ * 2 < items_.size()) return;
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
    // What one burst made large is given back.
    if (items_.capacity() > 4096 && items_.size() * 8 < items_.capacity()) items_.shrink_to_fit();
  }
  void truncate(size_t size) { items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(head_ + size), items_.end()); }

 private:
  std::vector<T> items_;
  size_t head_ = 0;
};

// How many records stand in each slot; slots rising.
class Fills {
 public:
  Fifo<SlotFill> slots;

  // Counts n more in `slot`; gives how many stood there before.
  uint64_t add(int64_t slot, uint64_t n) {
    if (!slots.empty() && slots.back().slot == slot)
      return std::exchange(slots.back().records, slots.back().records + n);
    if (slots.empty() || slots.back().slot < slot) {
      slots.push_back({slot, n});
      return 0;
    }
    SlotFill* at = first_from(slot);
    if (at->slot == slot) return std::exchange(at->records, at->records + n);
    slots.insert(at, {slot, n});
    return 0;
  }
  // The first at `slot` or above. Nearly always it is one of the last few.
  SlotFill* first_from(int64_t slot) {
    SlotFill* at = slots.end();
    for (int steps = 0; steps < 8; ++steps, --at) {
      if (at == slots.begin() || (at - 1)->slot < slot) return at;
    }
    return std::lower_bound(slots.begin(), at, slot, [](const SlotFill& fill, int64_t s) { return fill.slot < s; });
  }
  void forget_before(int64_t slot) {
    while (!slots.empty() && slots.front().slot < slot) slots.pop_front();
  }
};

// Records of a partition that follow each other in one tick, with the partition's time after the last of them. Restarts
// happen between runs only, since a tick is handed on as a whole.
struct Run {
  int64_t first_offset;
  TickId tick;
  uint32_t records;
  int64_t newest_us, watermark_us;
};

struct Floor {
  int64_t from_offset, slot;
};

int64_t low_of(int64_t watermark_us, int64_t floor_slot) {
  if (watermark_us == INT64_MIN) return std::max(floor_slot, kFirstSlot);
  return std::max(slot_of(watermark_us), floor_slot);
}

}  // namespace

// `low` is max(slot(W_p), F_p), or kFirstSlot where there is neither.
struct Schedule::Partition {
  // At the next offset unread.
  int64_t next_offset = 0, last_offset = INT64_MIN;  // last_offset: of the records placed since the start
  int64_t newest_us = INT64_MIN, watermark_us = INT64_MIN, floor_slot = INT64_MIN;
  int64_t low = kFirstSlot;
  uint64_t in_low = 0, above = 0;  // records in slot `low` and in slots above it
  Fills fills;                     // from the first open tick's slot or `low` on, whichever is lower
  size_t forget_at = 16;

  std::vector<Floor>
      floors;  // from_offset and slot rising; of those not after front_offset only what raised floor_slot last
  int64_t pending_from = INT64_MAX;  // from_offset of the first floor not yet in force

  // At the lowest offset not handed on: the same, some records earlier.
  Fifo<Run> runs;  // all records since then
  int64_t front_newest_us = INT64_MIN, front_watermark_us = INT64_MIN, front_floor_slot = INT64_MIN;
  Fills front_fills;
  size_t merge_at = 64;

  void raise_low(int64_t slot) {
    if (slot <= low) return;
    SlotFill* at = fills.first_from(low + 1);
    for (; at != fills.slots.end() && at->slot <= slot; ++at) above -= at->records;
    in_low = at != fills.slots.begin() && (at - 1)->slot == slot ? (at - 1)->records : 0;
    low = slot;
  }
  // Puts floors up to the next offset unread in force.
  void apply_floors() {
    pending_from = INT64_MAX;
    for (const Floor& floor : floors) {
      if (floor.from_offset > next_offset) {
        pending_from = floor.from_offset;
        break;
      }
      floor_slot = std::max(floor_slot, floor.slot);
    }
    raise_low(floor_slot);
  }
  void reach(int64_t offset) {
    next_offset = std::max(next_offset, offset);
    if (pending_from <= next_offset) apply_floors();
  }
  // Neighbours that are handed on already and wait only for an earlier record become one, so that one record held for
  // long does not make the list of those behind it grow.
  void merge_runs(TickId handed_on) {
    size_t kept = 0;
    for (Run* run = runs.begin(); run != runs.end(); ++run) {
      Run* last = kept == 0 ? nullptr : runs.begin() + kept - 1;
      if (last != nullptr && last->tick.slot == run->tick.slot && run->tick <= handed_on && last->tick <= handed_on &&
          last->records <= UINT32_MAX - run->records) {
        last->tick = run->tick;
        last->records += run->records;
        last->newest_us = run->newest_us;
        last->watermark_us = run->watermark_us;
      } else {
        runs.begin()[kept++] = *run;
      }
    }
    runs.truncate(kept);
    merge_at = std::max<size_t>(64, runs.size() * 2);
  }
};

Schedule::Schedule(const ScheduleLimits& limits, TickId committed)
    : limits_(limits),
      tick_records_shift_(std::has_single_bit(limits.tick_records) ? std::countr_zero(limits.tick_records) : -1),
      committed_(committed) {
  BELLWETHER_REQUIRE(limits.tick_records > 0 && limits.tick_records <= kTickRecordsMax, "records a tick out of range");
  BELLWETHER_REQUIRE(limits.lateness_us >= 0 && limits.skew_us >= 0 && limits.window_us >= 0, "a limit below 0");
}
Schedule::~Schedule() = default;
Schedule::Schedule(Schedule&&) noexcept = default;
Schedule& Schedule::operator=(Schedule&&) noexcept = default;

uint32_t Schedule::sub_of(uint64_t records) const {
  return static_cast<uint32_t>(tick_records_shift_ >= 0 ? records >> tick_records_shift_
                                                        : records / limits_.tick_records);
}

size_t Schedule::add_partition(const RestartPoint& at) {
  Partition& partition = partitions_.emplace_back();
  partition.next_offset = at.next_offset;
  partition.newest_us = partition.front_newest_us = at.newest_us;
  partition.watermark_us = partition.front_watermark_us = at.watermark_us;
  for (const SlotFill& fill : at.fill) {
    BELLWETHER_REQUIRE(partition.fills.slots.empty() || fill.slot > partition.fills.slots.back().slot,
                       "the fill of a restart point does not rise");
    partition.fills.slots.push_back(fill);
    partition.front_fills.slots.push_back(fill);
    if (fill.slot > partition.low) partition.above += fill.records;
    if (fill.slot == partition.low) partition.in_low = fill.records;
  }
  partition.raise_low(low_of(partition.watermark_us, INT64_MIN));
  firsts_.push_back({partition.low, sub_of(partition.in_low)});
  open_known_ = false;
  return partitions_.size() - 1;
}

size_t Schedule::partitions() const { return partitions_.size(); }

void Schedule::refresh(size_t p) {
  const Partition& partition = partitions_[p];
  const TickId first{partition.low, sub_of(partition.in_low)};
  if (first == firsts_[p]) return;
  firsts_[p] = first;
  open_known_ = false;
}

TickId Schedule::put(size_t p, int64_t offset, int64_t slot, int64_t trusted_us) {
  Partition& partition = partitions_[p];
  const uint64_t before = partition.fills.add(slot, 1);
  const TickId tick{slot, sub_of(before)};
  if (slot == partition.low) {
    ++partition.in_low;
  } else {
    ++partition.above;
  }
  if (trusted_us > partition.newest_us) {  // never so of dead letters: their time is INT64_MIN
    partition.newest_us = trusted_us;
    const int64_t watermark = saturating_sub(trusted_us, limits_.lateness_us);
    if (watermark > partition.watermark_us) {
      partition.watermark_us = watermark;
      partition.raise_low(slot_of(watermark));
    }
  }
  // Before floors of the next offset come in force: when this was read for the first time, nobody knew them yet.
  if (partition.above >= limits_.tick_records) {
    partition.watermark_us = partition.newest_us;
    partition.raise_low(slot_of(partition.watermark_us));
  }

  if (!partition.runs.empty() && partition.runs.back().tick == tick && partition.runs.back().records < UINT32_MAX) {
    Run& run = partition.runs.back();
    ++run.records;
    run.newest_us = partition.newest_us;
    run.watermark_us = partition.watermark_us;
  } else {
    partition.runs.push_back({offset, tick, 1, partition.newest_us, partition.watermark_us});
  }
  partition.last_offset = offset;
  partition.reach(offset + 1);
  refresh(p);
  if (partition.fills.slots.size() >= partition.forget_at) {
    partition.fills.forget_before(std::min(first_open().slot, partition.low));
    partition.forget_at = partition.fills.slots.size() * 2 + 16;
  }
  return tick;
}

Placed Schedule::place(size_t p, int64_t offset, int64_t event_us, int64_t append_us) {
  Partition& partition = partitions_[p];
  BELLWETHER_REQUIRE(offset >= partition.next_offset, "offsets of a partition must rise");
  partition.reach(offset);
  int64_t trusted = event_us;
  if (append_us >= 0 && event_us > append_us) {
    trusted = append_us;
    if (event_us - append_us > limits_.skew_us) {
      const TickId tick = put(p, offset, partition.low, INT64_MIN);
      return {tick, append_us, tick <= committed_ ? Placement::kSkip : Placement::kFuture};
    }
  }
  const int64_t own = slot_of(trusted);
  Placement placement = Placement::kOnTime;
  int64_t slot = own;
  if (own < partition.low) {
    slot = partition.low;
    const int64_t day_end_us = (day_of(trusted) + 1) * kDayUs;
    const bool expired = day_end_us < saturating_sub(slot * kSlotUs, limits_.window_us);
    placement = expired ? Placement::kExpired : Placement::kLate;
  }
  const TickId tick = put(p, offset, slot, placement == Placement::kExpired ? INT64_MIN : trusted);
  return {tick, trusted, tick <= committed_ ? Placement::kSkip : placement};
}

Placed Schedule::place_dead(size_t p, int64_t offset) {
  Partition& partition = partitions_[p];
  BELLWETHER_REQUIRE(offset >= partition.next_offset, "offsets of a partition must rise");
  partition.reach(offset);
  const TickId tick = put(p, offset, partition.low, INT64_MIN);
  return {tick, 0, tick <= committed_ ? Placement::kSkip : Placement::kOnTime};
}

void Schedule::passed(size_t p, int64_t next_offset) {
  partitions_[p].reach(next_offset);
  refresh(p);
}

void Schedule::add_floor(size_t p, int64_t from_offset, int64_t slot) {
  Partition& partition = partitions_[p];
  auto& floors = partition.floors;
  if (slot <= partition.floor_slot) return;
  for (const Floor& floor : floors) {
    if (floor.from_offset <= from_offset && floor.slot >= slot) return;
  }
  BELLWETHER_REQUIRE(from_offset > partition.last_offset,
                     "a floor must not reach back to records that have their tick");
  std::erase_if(floors, [&](const Floor& floor) { return floor.from_offset >= from_offset && floor.slot <= slot; });
  const auto after =
      std::find_if(floors.begin(), floors.end(), [&](const Floor& floor) { return floor.from_offset > from_offset; });
  floors.insert(after, {from_offset, slot});
  partition.apply_floors();
  refresh(p);
}

int64_t Schedule::low_slot(size_t p) const {
  const Partition& partition = partitions_[p];
  const bool neither = partition.watermark_us == INT64_MIN && partition.floor_slot == INT64_MIN;
  return neither ? INT64_MIN : partition.low;
}

int64_t Schedule::newest_us(size_t p) const { return partitions_[p].newest_us; }
int64_t Schedule::watermark_us(size_t p) const { return partitions_[p].watermark_us; }

TickId Schedule::lowest() const {
  if (!open_known_) {
    lowest_ = *std::min_element(firsts_.begin(), firsts_.end());
    open_known_ = true;
  }
  return lowest_;
}

TickId Schedule::first_open() const {
  if (firsts_.empty()) return {INT64_MIN, 0};
  // After a restart the partitions stand further back than what was committed: that stays closed.
  const TickId low = lowest();
  return low > committed_ ? low : TickId{committed_.slot, committed_.sub + 1};
}

bool Schedule::may_poll(size_t p) const {
  const TickId low = lowest();
  if (firsts_[p] == low) return true;  // somebody must always be
  if (held(p) >= limits_.tick_records) return false;
  // While the lowest has no time at all, nobody is ahead of it in time.
  return low.slot == kFirstSlot || firsts_[p].slot - low.slot <= kPollAheadUs / kSlotUs;
}

size_t Schedule::held(size_t p) const {
  const TickId open = first_open();
  const auto& slots = partitions_[p].fills.slots;
  const uint64_t closed = uint64_t{open.sub} * limits_.tick_records;
  uint64_t records = 0;
  for (const SlotFill* at = slots.end(); at != slots.begin() && (at - 1)->slot >= open.slot; --at) {
    const SlotFill& fill = *(at - 1);
    records += fill.slot > open.slot ? fill.records : fill.records - std::min(fill.records, closed);
  }
  return records;
}

RestartPoint Schedule::restart_point(size_t p, TickId t) {
  BELLWETHER_REQUIRE(t < first_open(), "a tick was handed on that is open");
  Partition& partition = partitions_[p];
  auto& runs = partition.runs;
  while (!runs.empty() && runs.front().tick <= t) {
    const Run& run = runs.front();
    partition.front_newest_us = run.newest_us;
    partition.front_watermark_us = run.watermark_us;
    partition.front_fills.add(run.tick.slot, run.records);
    if (run.watermark_us != INT64_MIN) partition.front_fills.forget_before(slot_of(run.watermark_us));
    runs.pop_front();
  }
  if (runs.size() >= partition.merge_at) partition.merge_runs(t);

  RestartPoint point;
  point.next_offset = runs.empty() ? partition.next_offset : runs.front().first_offset;
  point.newest_us = partition.front_newest_us;
  point.watermark_us = partition.front_watermark_us;
  auto& floors = partition.floors;
  auto passed = floors.begin();
  for (; passed != floors.end() && passed->from_offset <= point.next_offset; ++passed) {
    partition.front_floor_slot = std::max(partition.front_floor_slot, passed->slot);
  }
  floors.erase(floors.begin(), passed);
  partition.front_fills.forget_before(low_of(point.watermark_us, partition.front_floor_slot));
  point.fill.assign(partition.front_fills.slots.begin(), partition.front_fills.slots.end());
  return point;
}

}  // namespace bellwether

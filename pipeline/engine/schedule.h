// Which tick a record belongs to, and when a tick is closed: DESIGN.md's "Time" word for word. Pure: no clock, no I/O,
// one thread. Everything here depends on a partition's own records, in offset order, and on its floors; never on
// another partition's progress.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "operators/limits.h"

namespace bellwether {

// The slot of dead letters that come before their partition has any time: the first whose beginning is an int64_t of
// microseconds.
constexpr int64_t kFirstSlot = slot_of(INT64_MIN) + 1;

struct ScheduleLimits {
  int64_t lateness_us = kSecondUs;
  int64_t skew_us = 10 * kMinuteUs;
  int64_t window_us = 180 * kDayUs;
  uint32_t tick_records = kTickRecordsMax;  // smaller in tests only
};

struct SlotFill {
  int64_t slot = 0;
  uint64_t records = 0;
  friend bool operator==(const SlotFill&, const SlotFill&) = default;
};

// Where to begin reading a partition again, with the schedule's state as it was before that record.
struct RestartPoint {
  int64_t next_offset = 0;
  int64_t newest_us = INT64_MIN;     // newest trusted time at smaller offsets; INT64_MIN: none yet
  int64_t watermark_us = INT64_MIN;  // W_p (with the rise by held records)
  // How many records before next_offset went into each slot from max(slot(W_p), F_p) on; slots rising, none with 0. The
  // sub-ticks and the records held go on from these. At most lateness / 250 ms + 2 of them.
  std::vector<SlotFill> fill;
  friend bool operator==(const RestartPoint&, const RestartPoint&) = default;
};

enum class Placement : uint8_t {
  kOnTime,
  kLate,
  kFuture /* dead letter */,
  kExpired /* dead letter */,
  kSkip /* its tick was committed before a restart */
};

struct Placed {
  TickId tick;
  int64_t trusted_us = 0;  // of dead letters: meaningless
  Placement placement = Placement::kOnTime;
};

class Schedule {
 public:
  // `committed`: the last committed tick of an earlier run; records that fall into it or before are kSkip, but move
  // watermarks. TickId{} is "none yet".
  Schedule(const ScheduleLimits& limits, TickId committed);
  ~Schedule();
  Schedule(Schedule&&) noexcept;
  Schedule& operator=(Schedule&&) noexcept;

  // Partitions are numbered in the order added. A new one joins with a floor (see add_floor), else it holds every tick
  // open.
  size_t add_partition(const RestartPoint& at);
  size_t partitions() const;

  // A decoded event at `offset` (rising) of partition p. append_us < 0: no append time, event time is trusted.
  Placed place(size_t p, int64_t offset, int64_t event_us, int64_t append_us);
  // A record that decode rejected: tick max(slot(W_p), F_p); moves no watermark.
  Placed place_dead(size_t p, int64_t offset);
  // What was read without a record (control records, gaps): the next offset to read.
  void passed(size_t p, int64_t next_offset);
  // F_p: from `from_offset` (next offset unread) on nothing of p falls before `slot`. Lower or equal than a floor in
  // force: no effect.
  void add_floor(size_t p, int64_t from_offset, int64_t slot);

  // max(slot(W_p), F_p) at the next offset unread; INT64_MIN if it has neither.
  int64_t low_slot(size_t p) const;
  int64_t newest_us(size_t p) const;
  int64_t watermark_us(size_t p) const;
  // The first tick that is not closed; every tick before it is. With no partition: {INT64_MIN, 0}.
  TickId first_open() const;
  // The open partition to poll first, and whether it may be polled at all (not 5 s or 65,536 records ahead of the
  // lowest).
  bool may_poll(size_t p) const;
  // Whether nothing closes before p has more: no partition holds an earlier tick open.
  bool is_lowest(size_t p) const { return firsts_[p] == lowest(); }
  size_t held(size_t p) const;  // records of p placed in ticks from first_open() on

  // Says that ticks up to and including t are handed on (t < first_open()). Gives partition p's restart point as of
  // then. Call with rising t; O(records handed on).
  RestartPoint restart_point(size_t p, TickId t);

 private:
  struct Partition;
  uint32_t sub_of(uint64_t records) const;
  TickId put(size_t p, int64_t offset, int64_t slot, int64_t trusted_us);
  void refresh(size_t p);
  TickId lowest() const;

  ScheduleLimits limits_;
  int tick_records_shift_;  // -1: no power of two
  TickId committed_;
  std::vector<Partition> partitions_;
  std::vector<TickId> firsts_;       // of each partition, the first tick it holds open
  mutable TickId lowest_;            // the lowest of them,
  mutable bool open_known_ = false;  // if known
};

}  // namespace bellwether

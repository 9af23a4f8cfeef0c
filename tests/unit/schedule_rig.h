// What the tests of the schedule share.
#pragma once

#include <gtest/gtest.h>

#include <ostream>

#include "pipeline/engine/schedule.h"

namespace bellwether {

inline void PrintTo(const TickId& tick, std::ostream* out) { *out << "(" << tick.slot << ", " << tick.sub << ")"; }
inline void PrintTo(const RestartPoint& point, std::ostream* out) {
  *out << "offset " << point.next_offset << " newest " << point.newest_us << " watermark " << point.watermark_us;
  for (const SlotFill& fill : point.fill) *out << " [" << fill.slot << ": " << fill.records << "]";
}

namespace scheduling {

constexpr int64_t kBase = 1'700'000'000 * kSecondUs;  // on a tick's edge
constexpr int64_t kBaseSlot = slot_of(kBase);
constexpr int64_t ms(int64_t n) { return n * 1000; }

// A schedule of one partition, its offsets counted.
struct Single {
  explicit Single(ScheduleLimits limits = {}) : schedule(limits, {}) { schedule.add_partition({}); }
  Placed at(int64_t event_us, int64_t append_us = -1) { return schedule.place(0, next++, event_us, append_us); }
  Placed dead() { return schedule.place_dead(0, next++); }
  void floor(int64_t slot) { schedule.add_floor(0, next, slot); }
  Schedule schedule;
  int64_t next = 0;
};

}  // namespace scheduling
}  // namespace bellwether

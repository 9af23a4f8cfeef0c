// One test for each sentence of the design's section on time that the schedule answers for, then random streams against
// a plain recomputation, and restarts at every tick of them.
#include "pipeline/engine/schedule.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <optional>
#include <ostream>
#include <random>

namespace bellwether {

void PrintTo(const TickId& tick, std::ostream* out) { *out << "(" << tick.slot << ", " << tick.sub << ")"; }
void PrintTo(const RestartPoint& point, std::ostream* out) {
  *out << "offset " << point.next_offset << " newest " << point.newest_us << " watermark " << point.watermark_us;
  for (const SlotFill& fill : point.fill) *out << " [" << fill.slot << ": " << fill.records << "]";
}

namespace {

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

// "A tick is 250 ms of event time (a slot)."
TEST(Schedule, ATickIs250Milliseconds) {
  Single s;
  EXPECT_EQ(s.at(kBase).tick, (TickId{kBaseSlot, 0}));
  EXPECT_EQ(s.at(kBase + kSlotUs - 1).tick, (TickId{kBaseSlot, 0}));
  EXPECT_EQ(s.at(kBase + kSlotUs).tick, (TickId{kBaseSlot + 1, 0}));
}

TEST(Schedule, TimesBefore1970AndAfter2200) {
  Single s;
  EXPECT_EQ(s.at(-1).tick, (TickId{-1, 0}));
  EXPECT_EQ(s.at(0).tick, (TickId{0, 0}));
  Single far;
  EXPECT_EQ(far.at(-62'135'596'800 * kSecondUs).tick.slot, -62'135'596'800 * 4);  // the year 1
  EXPECT_EQ(far.schedule.low_slot(0), -62'135'596'801 * 4);
  EXPECT_EQ(far.at(-ms(250)).tick.slot, -1);
  EXPECT_EQ(far.at(8'000'000'000 * kSecondUs).tick.slot, 8'000'000'000 * 4);      // 2223
  EXPECT_EQ(far.at(253'402'300'799 * kSecondUs).tick.slot, 253'402'300'799 * 4);  // the end of 9999
  const Placed late = far.at(-62'135'596'800 * kSecondUs);
  EXPECT_EQ(late.placement, Placement::kExpired);
  EXPECT_EQ(late.tick.slot, 253'402'300'798 * 4);
}

// "A record's tick depends on its own partition's log and the control log only, never on how far another partition was
// read"
TEST(Schedule, AnotherPartitionsProgressChangesNoTick) {
  std::vector<std::vector<TickId>> seen[2];
  for (const bool slow_first : {true, false}) {
    Schedule schedule({}, {});
    schedule.add_partition({}), schedule.add_partition({});
    std::vector<std::vector<TickId>> ticks(2);
    for (const size_t p : slow_first ? std::vector<size_t>{0, 1} : std::vector<size_t>{1, 0}) {
      for (int64_t i = 0; i < 50; ++i) {
        const int64_t step = p == 0 ? ms(40) : ms(7000);
        ticks[p].push_back(schedule.place(p, i, kBase + i * step - (i % 7 == 0 ? ms(1500) : 0), -1).tick);
      }
    }
    seen[slow_first ? 0 : 1] = ticks;
  }
  EXPECT_EQ(seen[0], seen[1]);
}

// "Trusted time of a record = min(its event time, its append time)."
TEST(Schedule, TrustedTimeIsTheEarlierOne) {
  Single s;
  EXPECT_EQ(s.at(kBase, kBase + kHourUs).trusted_us, kBase);
  const Placed placed = s.at(kBase + kMinuteUs, kBase + ms(300));
  EXPECT_EQ(placed.trusted_us, kBase + ms(300));
  EXPECT_EQ(placed.tick.slot, kBaseSlot + 1);
  EXPECT_EQ(s.schedule.newest_us(0), kBase + ms(300));
  EXPECT_EQ(s.at(kBase + kDayUs).trusted_us, kBase + kDayUs);  // no append time: the event time
}

// "Event time more than the allowed skew (10 min) past the append time: dead letter future."
TEST(Schedule, TooFarPastItsAppendTimeIsFuture) {
  Single s;
  EXPECT_EQ(s.at(kBase + 10 * kMinuteUs, kBase).placement, Placement::kOnTime);
  EXPECT_EQ(s.at(kBase + 10 * kMinuteUs + 1, kBase).placement, Placement::kFuture);
  Single epoch;  // an append time of 0 is one
  EXPECT_EQ(epoch.at(11 * kMinuteUs, 0).placement, Placement::kFuture);
  EXPECT_EQ(epoch.at(11 * kMinuteUs, -1).placement, Placement::kOnTime);
}

// "W_p at offset o = the newest trusted time in partition p at smaller offsets, less the lateness (1 s)."
TEST(Schedule, TheWatermarkIsTheNewestOfSmallerOffsetsLessTheLateness) {
  Single s;
  EXPECT_EQ(s.schedule.watermark_us(0), INT64_MIN);
  EXPECT_EQ(s.schedule.low_slot(0), INT64_MIN);
  const Placed first = s.at(kBase);  // its own time does not count for itself
  EXPECT_EQ(first.placement, Placement::kOnTime);
  EXPECT_EQ(s.schedule.watermark_us(0), kBase - kSecondUs);
  EXPECT_EQ(s.schedule.low_slot(0), kBaseSlot - 4);
  s.at(kBase - ms(500));  // older: moves nothing
  EXPECT_EQ(s.schedule.watermark_us(0), kBase - kSecondUs);
  EXPECT_EQ(s.at(kBase + kDayUs).tick.slot, slot_of(kBase + kDayUs));
  EXPECT_EQ(s.schedule.watermark_us(0), kBase + kDayUs - kSecondUs);
  EXPECT_EQ(s.schedule.newest_us(0), kBase + kDayUs);
}

// "Dead letters move no watermark; one of decode or schedule belongs to tick max(slot(W_p), F_p)"
TEST(Schedule, DeadLettersMoveNoWatermarkAndBelongToTheLowestTick) {
  Single s;
  s.at(kBase);
  const TickId low{kBaseSlot - 4, 0};
  EXPECT_EQ(s.dead().tick, low);
  const Placed future = s.at(kBase + 2 * kHourUs, kBase + kHourUs);
  EXPECT_EQ(future.placement, Placement::kFuture);
  EXPECT_EQ(future.tick, low);
  const Placed expired = s.at(kBase - 200 * kDayUs);
  EXPECT_EQ(expired.placement, Placement::kExpired);
  EXPECT_EQ(expired.tick, low);
  EXPECT_EQ(s.schedule.watermark_us(0), kBase - kSecondUs);
  EXPECT_EQ(s.schedule.newest_us(0), kBase);
  s.floor(kBaseSlot + 100);
  EXPECT_EQ(s.dead().tick, (TickId{kBaseSlot + 100, 0}));
  // Newer than all before it, and yet expired by a floor: it moves nothing either.
  s.floor(kBaseSlot + 400 * kDayUs / kSlotUs);
  EXPECT_EQ(s.at(kBase + kDayUs).placement, Placement::kExpired);
  EXPECT_EQ(s.schedule.newest_us(0), kBase);
}

TEST(Schedule, DeadLettersBeforeAnyTimeComeBeforeEveryTick) {
  Single s({.tick_records = 2});
  EXPECT_EQ(s.dead().tick, (TickId{kFirstSlot, 0}));
  EXPECT_EQ(s.dead().placement, Placement::kOnTime);
  EXPECT_EQ(s.dead().tick, (TickId{kFirstSlot, 1}));
  EXPECT_EQ(s.schedule.low_slot(0), INT64_MIN);
  EXPECT_EQ(s.schedule.first_open(), (TickId{kFirstSlot, 1}));
  EXPECT_EQ(s.schedule.restart_point(0, {kFirstSlot, 0}).next_offset, 2);
  s.at(kBase);
  EXPECT_EQ(s.schedule.first_open(), (TickId{kBaseSlot - 4, 0}));
  EXPECT_EQ(s.schedule.restart_point(0, {kFirstSlot, 1}).next_offset, 3);
}

// "e(r) = max(slot(trusted time), slot(W_p), F_p)"; "Late means e(r) > slot(time): folded in tick e(r) under its own
// time"
TEST(Schedule, LateRecordsGoToTheLowestTickUnderTheirOwnTime) {
  Single s;
  s.at(kBase + ms(100));  // W = base - 900 ms, in slot base - 4
  const Placed edge = s.at(kBase - ms(1000));
  EXPECT_EQ(edge.placement, Placement::kOnTime);  // before W, but in its slot
  EXPECT_EQ(edge.tick.slot, kBaseSlot - 4);
  const Placed late = s.at(kBase - ms(1000) - 1);
  EXPECT_EQ(late.placement, Placement::kLate);
  EXPECT_EQ(late.tick.slot, kBaseSlot - 4);
  EXPECT_EQ(late.trusted_us, kBase - ms(1000) - 1);
}

// "where F_p is the highest floor of p whose from_offset <= o"
TEST(Schedule, FloorsHoldFromTheirOffsetOn) {
  Schedule schedule({}, {});
  schedule.add_partition({});
  schedule.add_floor(0, 2, kBaseSlot + 10);
  schedule.add_floor(0, 3, kBaseSlot + 5);  // lower than one in force: no effect
  schedule.add_floor(0, 4, kBaseSlot + 20);
  EXPECT_EQ(schedule.low_slot(0), INT64_MIN);
  EXPECT_EQ(schedule.place(0, 0, kBase, -1).tick.slot, kBaseSlot);
  EXPECT_EQ(schedule.low_slot(0), kBaseSlot - 4);
  EXPECT_EQ(schedule.place(0, 1, kBase, -1).tick.slot, kBaseSlot);
  EXPECT_EQ(schedule.low_slot(0), kBaseSlot + 10);  // at the next offset unread
  EXPECT_EQ(schedule.place(0, 2, kBase, -1).tick.slot, kBaseSlot + 10);
  EXPECT_EQ(schedule.place(0, 3, kBase + ms(250) * 11, -1).tick.slot, kBaseSlot + 11);
  EXPECT_EQ(schedule.place(0, 7, kBase, -1).tick.slot, kBaseSlot + 20);  // past a gap
  schedule.add_floor(0, 8, kBaseSlot + 19);
  EXPECT_EQ(schedule.low_slot(0), kBaseSlot + 20);
}

TEST(Schedule, PassingUnreadOffsetsPutsFloorsInForce) {
  Schedule schedule({}, {});
  schedule.add_partition({});
  schedule.add_floor(0, 100, kBaseSlot);
  schedule.passed(0, 99);
  EXPECT_EQ(schedule.low_slot(0), INT64_MIN);
  schedule.passed(0, 100);
  EXPECT_EQ(schedule.low_slot(0), kBaseSlot);
  EXPECT_EQ(schedule.first_open(), (TickId{kBaseSlot, 0}));
  EXPECT_EQ(schedule.restart_point(0, {kBaseSlot - 1, 0}).next_offset, 100);
}

TEST(ScheduleDeathTest, FloorsNeverReachBack) {
  Single s;
  s.at(kBase), s.at(kBase);
  EXPECT_DEATH(s.schedule.add_floor(0, 1, kBaseSlot), "reach back");
  EXPECT_DEATH(s.schedule.place(0, 1, kBase, -1), "rise");
}

// "Its day's end + the window before that tick: dead letter expired."
TEST(Schedule, ExpiredWhenItsDayLeftTheWindowBeforeItsTick) {
  const int64_t day = day_of(kBase);
  const int64_t end_us = (day + 1) * kDayUs + 180 * kDayUs;  // the day may count up to here
  for (const int64_t time : {day * kDayUs, (day + 1) * kDayUs - 1}) {
    Single s;
    s.floor(slot_of(end_us));
    EXPECT_EQ(s.at(time).placement, Placement::kLate);  // not before that tick: at its edge
    s.floor(slot_of(end_us) + 1);
    EXPECT_EQ(s.at(time).placement, Placement::kExpired);
    EXPECT_EQ(s.at((day + 1) * kDayUs).placement, Placement::kLate);
  }
  Single ages;  // an on-time record is never expired, whatever its time
  EXPECT_EQ(ages.at(-kBase).placement, Placement::kOnTime);
}

// "A partition puts at most 65,536 records into a tick; more go to (k,1), (k,2), …"
TEST(Schedule, MoreThan65536RecordsGoToSubTicks) {
  Single s;
  s.floor(kBaseSlot);
  for (int64_t i = 0; i < 3 * 65'536; ++i) {
    const Placed placed = i % 3 == 0 ? s.dead() : s.at(kBase);  // dead letters are records too
    ASSERT_EQ(placed.tick, (TickId{kBaseSlot, static_cast<uint32_t>(i / 65'536)})) << i;
  }
}

// "Tick (k,i) closes when every partition p has max(slot(W_p), F_p) > k, or = k and has filled it."
TEST(Schedule, ATickClosesWhenEveryPartitionIsPastItOrHasFilledIt) {
  Schedule schedule({.tick_records = 4}, {});
  EXPECT_EQ(schedule.first_open(), TickId{});
  for (int i = 0; i < 2; ++i) schedule.add_partition({});
  schedule.add_floor(0, 0, kBaseSlot);
  EXPECT_EQ(schedule.first_open(), (TickId{kFirstSlot, 0}));  // the other one has no time yet
  schedule.add_floor(1, 0, kBaseSlot + 3);
  EXPECT_EQ(schedule.first_open(), (TickId{kBaseSlot, 0}));
  for (int64_t i = 0; i < 3; ++i) schedule.place(0, i, kBase, -1);
  EXPECT_EQ(schedule.first_open(), (TickId{kBaseSlot, 0}));
  schedule.place(0, 3, kBase, -1);
  EXPECT_EQ(schedule.first_open(), (TickId{kBaseSlot, 1}));  // filled
  schedule.add_floor(0, 4, kBaseSlot + 3);
  EXPECT_EQ(schedule.first_open(), (TickId{kBaseSlot + 3, 0}));
  for (int64_t i = 0; i < 5; ++i) schedule.place(0, 4 + i, kBase, -1);
  EXPECT_EQ(schedule.first_open(), (TickId{kBaseSlot + 3, 0}));  // one has filled it, the other not
  for (int64_t i = 0; i < 4; ++i) schedule.place(1, i, kBase, -1);
  EXPECT_EQ(schedule.first_open(), (TickId{kBaseSlot + 3, 1}));
  schedule.add_partition({});
  EXPECT_EQ(schedule.first_open(), (TickId{kFirstSlot, 0}));
}

TEST(Schedule, RecordsAheadCountOnceTheWatermarkReachesTheirSlot) {
  Single s({.tick_records = 4});
  for (int i = 0; i < 3; ++i) s.at(kBase);
  s.at(kBase + kSecondUs);  // W is in the first three's slot now
  EXPECT_EQ(s.schedule.first_open(), (TickId{kBaseSlot, 0}));
  s.at(kBase);
  EXPECT_EQ(s.schedule.first_open(), (TickId{kBaseSlot, 1}));
  EXPECT_EQ(s.at(kBase).tick, (TickId{kBaseSlot, 1}));
}

// "At 65,536 records of p held above max(slot(W_p), F_p), W_p rises to p's newest trusted time"
TEST(Schedule, HeldRecordsRaiseTheWatermark) {
  Single s({.tick_records = 4});
  s.at(kBase), s.at(kBase), s.at(kBase + ms(300));
  EXPECT_EQ(s.schedule.watermark_us(0), kBase + ms(300) - kSecondUs);
  s.at(kBase - ms(10 * 1000));  // late: at the watermark, not above it
  s.dead();
  EXPECT_EQ(s.schedule.watermark_us(0), kBase + ms(300) - kSecondUs);
  s.at(kBase);  // the fourth
  EXPECT_EQ(s.schedule.watermark_us(0), kBase + ms(300));
  EXPECT_EQ(s.at(kBase).placement, Placement::kLate);  // the lateness does not apply here
  s.at(kBase + ms(900));
  EXPECT_EQ(s.schedule.watermark_us(0), kBase + ms(300));  // max(risen, newest - lateness)
  s.at(kBase + ms(1400));
  EXPECT_EQ(s.schedule.watermark_us(0), kBase + ms(400));
}

// "Poll the partition with the lowest watermark first; do not poll one more than 5 s of event time or 65,536 records
// ahead of it."
TEST(Schedule, NobodyIsPolledFarAheadOfTheLowest) {
  Schedule schedule({.tick_records = 8}, {});
  for (int i = 0; i < 3; ++i) schedule.add_partition({});
  for (size_t p = 0; p < 3; ++p) EXPECT_TRUE(schedule.may_poll(p));
  schedule.place(0, 0, kBase, -1);
  EXPECT_TRUE(schedule.may_poll(0));  // the lowest have no time: not ahead of them in time
  schedule.place(1, 0, kBase + 5 * kSecondUs, -1);
  schedule.place(2, 0, kBase + 5 * kSecondUs + kSlotUs, -1);
  EXPECT_TRUE(schedule.may_poll(0));
  EXPECT_TRUE(schedule.may_poll(1));
  EXPECT_FALSE(schedule.may_poll(2));
  schedule.place(0, 1, kBase + kSlotUs, -1);
  EXPECT_TRUE(schedule.may_poll(2));
  for (int64_t i = 1; i < 8; ++i) schedule.place(1, i, kBase + kSecondUs, -1);
  EXPECT_EQ(schedule.held(1), 8U);
  EXPECT_FALSE(schedule.may_poll(1));
  for (int64_t i = 2; i < 40; ++i) schedule.place(0, i, kBase - kHourUs, -1);  // the lowest always may
  EXPECT_TRUE(schedule.may_poll(0));
  EXPECT_EQ(schedule.held(0), 2U + 38U % 8U);  // what stands in filled ticks is closed
  schedule.place(0, 40, kBase + kDayUs, -1);
  EXPECT_EQ(schedule.held(1), 8U);  // the ticks behind them are closed, theirs are not
  EXPECT_TRUE(schedule.may_poll(1));
  EXPECT_FALSE(schedule.may_poll(0));
}

// --- Random streams
// --------------------------------------------------------------------------------------------------------------

struct Record {
  int64_t offset, event_us, append_us;
  bool dead;
};
struct FloorSet {
  int64_t from_offset, slot;
};
struct Stream {
  std::vector<Record> records;
  std::vector<FloorSet> floors;  // as the first run wrote them
};

Stream random_stream(std::mt19937_64& random, size_t count) {
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  Stream stream;
  int64_t now = kBase + below(kHourUs), offset = below(5);
  for (size_t i = 0; i < count; ++i) {
    now += below(3) == 0 ? below(ms(900)) : below(2) * below(ms(60));
    if (below(60) == 0) now += below(20 * kSecondUs);
    if (below(200) == 0) now += below(4 * kDayUs);
    Record record{offset, now, -1, below(15) == 0};
    if (below(4) == 0) record.event_us -= below(ms(3000));
    if (below(30) == 0) record.event_us -= below(6 * kDayUs);
    if (below(3) == 0) record.append_us = now + below(ms(500)) - ms(100);
    if (below(30) == 0) record.append_us = record.event_us - 10 * kMinuteUs - below(2);
    stream.records.push_back(record);
    offset += below(5) == 0 ? 1 + below(4) : 1;
  }
  return stream;
}

// The words of the design, recomputed from all records before, for each of them.
struct Expected {
  std::vector<Placed> placed;
  std::vector<int64_t> low_after;  // at the next offset, without floors that begin there
};
Expected recompute(const Stream& stream, const ScheduleLimits& limits) {
  Expected expected;
  std::optional<int64_t> newest, risen;
  for (size_t i = 0; i < stream.records.size(); ++i) {
    const Record& record = stream.records[i];
    const auto low = [&] {
      int64_t slot = kFirstSlot;
      if (newest) slot = std::max(slot, slot_of(*newest - limits.lateness_us));
      if (risen) slot = std::max(slot, slot_of(*risen));
      for (const FloorSet& floor : stream.floors) {
        if (floor.from_offset <= record.offset) slot = std::max(slot, floor.slot);
      }
      return slot;
    };
    const int64_t lowest = low();
    const int64_t trusted = record.append_us >= 0 ? std::min(record.event_us, record.append_us) : record.event_us;
    const int64_t slot = std::max(slot_of(trusted), lowest);
    Placed placed{{slot, 0}, trusted, slot > slot_of(trusted) ? Placement::kLate : Placement::kOnTime};
    if (placed.placement == Placement::kLate &&
        (floor_div(trusted, kDayUs) + 1) * kDayUs + limits.window_us < slot * kSlotUs) {
      placed.placement = Placement::kExpired;
    }
    if (record.append_us >= 0 && record.event_us > record.append_us + limits.skew_us)
      placed.placement = Placement::kFuture;
    if (record.dead) placed.placement = Placement::kOnTime;
    const bool moves =
        !record.dead && placed.placement != Placement::kFuture && placed.placement != Placement::kExpired;
    if (!moves) placed.tick.slot = lowest;
    uint32_t before = 0;
    for (const Placed& other : expected.placed) before += other.tick.slot == placed.tick.slot;
    placed.tick.sub = before / limits.tick_records;
    expected.placed.push_back(placed);
    if (moves) newest = std::max(newest.value_or(trusted), trusted);
    uint32_t held = 0;
    for (const Placed& other : expected.placed) held += other.tick.slot > low();
    if (held >= limits.tick_records) risen = newest;
    expected.low_after.push_back(low());
  }
  return expected;
}

ScheduleLimits random_limits(std::mt19937_64& random) {
  constexpr uint32_t kSizes[] = {1, 2, 3, 4, 7, 16, 50};
  constexpr int64_t kLateness[] = {0, ms(100), kSecondUs, 5 * kSecondUs};
  return {.lateness_us = kLateness[random() % 4],
          .window_us = static_cast<int64_t>(random() % 3) * kDayUs,
          .tick_records = kSizes[random() % std::size(kSizes)]};
}

// Several partitions being read in a random order by one schedule.
struct Reading {
  Reading(const ScheduleLimits& limits, TickId committed, const std::vector<RestartPoint>& points,
          const std::vector<Stream>& streams)
      : schedule(limits, committed) {
    for (size_t p = 0; p < points.size(); ++p) {
      schedule.add_partition(points[p]);
      size_t at = 0;
      while (at < streams[p].records.size() && streams[p].records[at].offset < points[p].next_offset) ++at;
      next.push_back(at);
    }
  }
  Placed step(size_t p, const Stream& stream) {
    const Record& record = stream.records[next[p]++];
    return record.dead ? schedule.place_dead(p, record.offset)
                       : schedule.place(p, record.offset, record.event_us, record.append_us);
  }
  Schedule schedule;
  std::vector<size_t> next;  // index of each stream's next record
};

void expect_same(const Placed& got, const Placed& want, bool dead, TickId committed) {
  EXPECT_EQ(got.tick, want.tick);
  EXPECT_EQ(got.placement, want.tick <= committed ? Placement::kSkip : want.placement);
  const bool counts = !dead && want.placement != Placement::kFuture && want.placement != Placement::kExpired;
  if (counts) {
    EXPECT_EQ(got.trusted_us, want.trusted_us);
  }
}

TEST(ScheduleRandom, EveryRecordAndEveryClosingAsRecomputed) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const ScheduleLimits limits = random_limits(random);
    std::vector<Stream> streams(1 + random() % 3);
    for (Stream& stream : streams) stream = random_stream(random, 120);
    Reading reading(limits, {}, std::vector<RestartPoint>(streams.size()), streams);
    std::vector<std::vector<Placed>> got(streams.size());
    for (size_t left = streams.size() * 120; left > 0; --left) {
      size_t p = random() % streams.size();
      while (reading.next[p] == 120) p = (p + 1) % streams.size();
      if (random() % 12 == 0) {
        const int64_t from = streams[p].records[reading.next[p]].offset;
        const int64_t slot =
            slot_of(streams[p].records[reading.next[p]].event_us) + static_cast<int64_t>(random() % 40) - 20;
        streams[p].floors.push_back({from, slot});
        reading.schedule.passed(p, from);
        reading.schedule.add_floor(p, from, slot);
      }
      const TickId open = reading.schedule.first_open();
      got[p].push_back(reading.step(p, streams[p]));
      ASSERT_GE(got[p].back().tick, open);  // nothing falls into a closed tick
    }
    std::vector<TickId> firsts;
    for (size_t p = 0; p < streams.size(); ++p) {
      const Expected expected = recompute(streams[p], limits);
      for (size_t i = 0; i < 120; ++i) {
        expect_same(got[p][i], expected.placed[i], streams[p].records[i].dead, {});
        if (::testing::Test::HasFailure()) FAIL() << "record " << i << " of partition " << p;
      }
      const int64_t low = expected.low_after.back();
      EXPECT_EQ(reading.schedule.low_slot(p), low);
      uint32_t sub = 0;
      const auto filled = [&] {
        return std::count_if(expected.placed.begin(), expected.placed.end(), [&](const Placed& placed) {
                 return placed.tick == TickId{low, sub};
               }) == limits.tick_records;
      };
      while (filled()) ++sub;
      firsts.push_back({low, sub});
    }
    EXPECT_EQ(reading.schedule.first_open(), *std::min_element(firsts.begin(), firsts.end()));
    for (size_t p = 0; p < streams.size(); ++p) {
      size_t held = 0;
      for (const Placed& placed : got[p]) held += placed.tick >= reading.schedule.first_open();
      EXPECT_EQ(reading.schedule.held(p), held);
    }
  }
}

// "After a restart records from there whose tick is already committed are skipped": the very same ticks, from every
// commit on.
TEST(ScheduleRandom, RestartedAtEveryTickEverythingFallsAsBefore) {
  for (uint64_t seed = 1000; seed < 1040; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const ScheduleLimits limits = random_limits(random);
    constexpr size_t kRecords = 100;
    std::vector<Stream> streams(1 + random() % 3);
    for (Stream& stream : streams) stream = random_stream(random, kRecords);
    std::vector<std::vector<Placed>> first(streams.size());
    struct Commit {
      TickId tick;
      std::vector<RestartPoint> points;
    };
    std::vector<Commit> commits;
    const auto commit = [&](Schedule& schedule, TickId tick) {
      Commit made{tick, {}};
      for (size_t p = 0; p < streams.size(); ++p) made.points.push_back(schedule.restart_point(p, tick));
      return made;
    };
    Reading reading(limits, {}, std::vector<RestartPoint>(streams.size()), streams);
    TickId last;
    for (size_t left = streams.size() * kRecords; left > 0; --left) {
      size_t p = random() % streams.size();
      while (reading.next[p] == kRecords) p = (p + 1) % streams.size();
      if (random() % 15 == 0) {
        const int64_t from = streams[p].records[reading.next[p]].offset;
        const int64_t slot =
            slot_of(streams[p].records[reading.next[p]].event_us) + static_cast<int64_t>(random() % 12) - 6;
        streams[p].floors.push_back({from, slot});
        reading.schedule.add_floor(p, from, slot);
      }
      first[p].push_back(reading.step(p, streams[p]));
      // Each closed tick with records is committed, one by one.
      std::vector<TickId> closed;
      for (const auto& placed : first) {
        for (const Placed& one : placed) {
          if (one.tick > last && one.tick < reading.schedule.first_open()) closed.push_back(one.tick);
        }
      }
      std::sort(closed.begin(), closed.end());
      closed.erase(std::unique(closed.begin(), closed.end()), closed.end());
      for (const TickId tick : closed) commits.push_back(commit(reading.schedule, last = tick));
    }
    const Commit end = commit(reading.schedule, last);
    for (const Commit& made : commits) {
      for (size_t p = 0; p < streams.size(); ++p) {
        // All before the point are in committed ticks.
        for (size_t i = 0; i < kRecords && streams[p].records[i].offset < made.points[p].next_offset; ++i) {
          ASSERT_LE(first[p][i].tick, made.tick);
        }
        EXPECT_LE(made.points[p].fill.size(), static_cast<size_t>(limits.lateness_us / kSlotUs + 2));
      }
      Reading again(limits, made.tick, made.points, streams);
      for (size_t p = 0; p < streams.size(); ++p) {
        EXPECT_EQ(again.schedule.restart_point(p, made.tick), made.points[p]);
        for (const FloorSet& floor : streams[p].floors) again.schedule.add_floor(p, floor.from_offset, floor.slot);
      }
      EXPECT_GT(again.schedule.first_open(), made.tick);
      for (size_t p = 0; p < streams.size(); ++p) {
        // The lowest not yet folded: the record there is in an open tick.
        const size_t at = again.next[p];
        if (at < kRecords && at < first[p].size() && streams[p].records[at].offset == made.points[p].next_offset) {
          EXPECT_GT(first[p][at].tick, made.tick);
        }
      }
      for (;;) {
        std::vector<size_t> left;
        for (size_t p = 0; p < streams.size(); ++p) {
          if (again.next[p] < kRecords) left.push_back(p);
        }
        if (left.empty()) break;
        const size_t p = left[random() % left.size()];
        const size_t i = again.next[p];
        expect_same(again.step(p, streams[p]), first[p][i], streams[p].records[i].dead, made.tick);
      }
      EXPECT_EQ(again.schedule.first_open(),
                std::max(reading.schedule.first_open(), TickId{made.tick.slot, made.tick.sub + 1}));
      for (size_t p = 0; p < streams.size(); ++p) {
        EXPECT_EQ(again.schedule.low_slot(p), reading.schedule.low_slot(p));
        EXPECT_EQ(again.schedule.restart_point(p, last), end.points[p]);
      }
      if (::testing::Test::HasFailure()) FAIL() << "committed " << ::testing::PrintToString(made.tick);
    }
  }
}

// --- Bounds
// ----------------------------------------------------------------------------------------------------------------------

size_t bytes_in_use() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(ScheduleBounds, OldRecordsBehindAHeldOneTakeNoMemory) {
  Single s({.tick_records = 64});
  s.at(kBase);  // stays open, so that reading would begin here again
  size_t after_some = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    ASSERT_EQ(s.at(kBase - kHourUs).placement, Placement::kLate);
    if (i % 1000 != 999) continue;
    const TickId open = s.schedule.first_open();
    ASSERT_EQ(open.slot, kBaseSlot - 4);
    const RestartPoint point = s.schedule.restart_point(0, {open.slot, open.sub - 1});
    ASSERT_EQ(point.next_offset, 0);
    ASSERT_TRUE(point.fill.empty());
    ASSERT_LT(s.schedule.held(0), 128U);
    if (i == 9999) after_some = bytes_in_use();
  }
  EXPECT_LE(bytes_in_use(), after_some + 16 * 1024);
  s.at(kBase + kDayUs);
  EXPECT_EQ(s.schedule.restart_point(0, {kBaseSlot, 0}).next_offset, 1'000'001);
}

TEST(ScheduleBounds, AStreamThatRunsOnTakesNoMemory) {
  Single s;
  size_t after_some = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    s.at(kBase + i * ms(300));
    if (i % 1000 != 999) continue;
    const TickId open = s.schedule.first_open();
    s.schedule.restart_point(0, {open.slot - 1, 0});
    if (i == 9999) after_some = bytes_in_use();
  }
  EXPECT_LE(bytes_in_use(), after_some + 16 * 1024);
}

}  // namespace
}  // namespace bellwether

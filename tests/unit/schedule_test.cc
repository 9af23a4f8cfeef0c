// One test for each sentence of the design's section on time that the schedule answers for. Through the whole engine:
// tests/sim/time_ticks_test.cc and time_floors_test.cc, with the table of sentences.
#include "schedule_rig.h"

namespace bellwether::schedule_test {
namespace {

using namespace scheduling;

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

}  // namespace
}  // namespace bellwether::schedule_test

// DESIGN.md, "Time: which tick a record belongs to", sentence by sentence, through the whole engine: what a clock
// decides, and that it stands in the control log. What a record's tick is without it: time_ticks_test.cc. Which test
// shows what:
//
// | sentence | here | elsewhere |
// |---|---|---|
// | when all files have ended: newest + 61 s, what is due later stays stored | FilesEndAMinuteAfterTheirNewest,
// AFileThatHasGrown | | | --until-end writes that floor, with idle and quiet floors off |
// UntilEndWritesTheEndsFloorAlone | integration: kills.py, same_state.py | | floors are control records, durable with
// the first commit that closes a tick because of them | AFloorIsThereAfterAKill | sim: every seed | | raised by later
// ones until a record from there is read | OneRowIsRaisedUntilARecordIsRead | | | a partition polled empty for `idle`
// gets floors that follow the others' lowest | AnIdlePartitionFollowsTheOthersLowest, IdleForAnHourItWakesWithOldEvents
// | | | an unpolled one is never idle | AfterAPauseNobodyIsIdle | | | all empty for 1 s: floors at the newest event +
// the wall time since - lateness | QuietTimeGoesOnFromTheNewestEvent | | | written only when something is due |
// ASilentNightWithATimerOfTwoDays | | | the evening's last like is seen | QuietTimeGoesOnFromTheNewestEvent |
// integration: live.py | | a paused replay of 2014 does not jump to today | QuietTimeGoesOnFromTheNewestEvent | | |
// `replay` writes none | ReplayWritesNone | | | a laggard is waited for unless max_lag lets it go |
// ADayBehindIsWaitedFor, ADayBehindIsLetGo | integration: live.py | | joined | APartitionIsAdded |
// integration_kafka_source_test, kafka_line.py | | configuration put on | | unit:
// Engine.RefusesAnotherConfigurationAndKeepsVersions; sim: kConfigChange | | a broken clock: a producer's, the
// broker's, the machine's | BrokenClocksOfProducers, TheBrokersClockJumps, TheMachinesClockJumps,
// TheTimeOfDayIsSetAYearAhead | sim: kClockForward, kClockBack, kBrokerClock | | "now" is the committed tick; what the
// service stamps carries it | NowIsTheCommittedTick | unit_service_flags_test; integration: live.py |
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

#include "tests/model/harness.h"
#include "tests/sim/time_rig.h"

namespace {
std::atomic<int64_t> wall_ahead_s{0};  // how far the time of day is off in this program
}
// In place of the C library's, for every library of this program.
extern "C" int clock_gettime(clockid_t clock, timespec* out) noexcept {
  const long code = syscall(SYS_clock_gettime, clock, out);
  if (code == 0 && clock == CLOCK_REALTIME) out->tv_sec += wall_ahead_s;
  return static_cast<int>(code);
}

namespace bellwether {
namespace {

using namespace timing;

constexpr int64_t kNoonSlot = slot_of(kNoon);

TEST(TimeFloors, FilesEndAMinuteAfterTheirNewest) {
  Rig rig({"a", "b"});
  rig.source.file = true;
  rig.say(0, "due in 60", kNoon, -1, "wake 60");
  rig.say(0, "due in 61", kNoon + ms(10), -1, "wake 61");
  rig.say(1, "newest", kNoon + ms(20));
  rig.say(1, "due in 62", kNoon + ms(15), -1, "wake 62");
  rig.read_to_end();
  // Ticks before the floor's are over: that of 60 s, not that of 61.
  EXPECT_EQ(rig.notes.timers, (std::vector<Notes::Timer>{{{kNoonSlot + 240, 0}, kNoon + 60 * kSecondUs}}));
  EXPECT_EQ(rig.published()->tick(), (TickId{kNoonSlot + 240, 0}));
  EXPECT_EQ(rig.stored_timers(), 2U);
  for (const FloorRow& row : rig.floors()) EXPECT_EQ(row.slot, kNoonSlot + 244) << row.partition.topic;
  rig.kill();
  rig.source.add("c");  // later files find it
  rig.say(2, "next day", kNoon + kDayUs);
  rig.read_to_end();
  EXPECT_EQ(rig.notes.timers.size(), 3U);
  EXPECT_EQ(rig.stored_timers(), 0U);
}

// What is written behind an end's floor and is no newer than it is late, and not left behind.
TEST(TimeFloors, AFileThatHasGrown) {
  for (const bool live : {false, true}) {
    Rig rig({"a"});
    rig.source.file = !live;
    rig.options.until_end = true;
    rig.say(0, "first", kNoon);
    rig.read_to_end();
    for (const int64_t after : {-kDayUs, ms(100), 30 * kSecondUs}) {
      rig.kill();
      rig.say(0, "after " + std::to_string(after), kNoon + after);
      rig.line(0, "no event");
      rig.read_to_end();
      EXPECT_TRUE(rig.folded("after " + std::to_string(after)));
      EXPECT_EQ(rig.pending(), 0U);
      EXPECT_EQ(rig.account().consumed, rig.source.parts[0].lines.size());
    }
    EXPECT_EQ(rig.account().late, 3U);
    rig.expect_same_by_control_log();
  }
}

TEST(TimeFloors, UntilEndWritesTheEndsFloorAlone) {
  Rig rig({"t0", "t1", "t2"});
  rig.options.until_end = true;
  rig.config.engine.idle_ms = 100;
  rig.say(0, "wakes", kNoon, -1, "wake 30");
  rig.say(2, "slow", kNoon + ms(10));
  rig.source.parts[2].away = true;
  rig.pass(kHourUs, 10 * kSecondUs);  // t0 and t1 are empty all the time
  EXPECT_TRUE(rig.floors("t2").empty());
  EXPECT_EQ(rig.account().consumed, 0U);
  rig.source.parts[2].away = false;
  rig.read_to_end();
  EXPECT_EQ(rig.account().applied, 2U);
  for (const char* topic : {"t0", "t1", "t2"}) {
    ASSERT_EQ(rig.floors(topic).size(), 1U) << topic;
    EXPECT_EQ(rig.floors(topic)[0].slot, kNoonSlot + 244) << topic;
  }
  EXPECT_EQ(rig.notes.timers.size(), 1U);
  rig.expect_same_by_control_log();
}

TEST(TimeFloors, ReplayWritesNone) {
  Rig rig({"a", "b"});
  rig.source.file = true;
  rig.options.floors = false;
  rig.source.parts[0].per_poll = rig.source.parts[1].per_poll = 1;
  for (int i = 0; i < 200; ++i) rig.say(i % 2, "e" + std::to_string(i), kNoon + i * kSecondUs);
  rig.source.parts[1].away = true;
  rig.pass(kHourUs, 10 * kSecondUs);
  EXPECT_TRUE(rig.floors().empty());
  rig.source.parts[1].away = false;
  rig.read_to_end();
  for (const FloorRow& row : rig.floors()) EXPECT_GE(row.slot, kNoonSlot + 4 * 198);
  EXPECT_EQ(rig.account().applied, 200U);
}

TEST(TimeFloors, AnIdlePartitionFollowsTheOthersLowest) {
  Rig rig({"t0", "t1", "t2"});
  rig.config.engine.idle_ms = 5000;
  int said = 0;
  const auto live = [&](int64_t us) {  // t0 and t1 say something every 100 ms, t1 a second behind
    for (int64_t gone = 0; gone < us; gone += ms(100)) {
      rig.say(0, "a" + std::to_string(said), rig.clock),
          rig.say(1, "b" + std::to_string(said++), rig.clock - kSecondUs);
      rig.pass(ms(100), ms(20));
    }
  };
  live(4 * kSecondUs);  // not yet idle: everybody waits
  EXPECT_TRUE(rig.floors("t2").empty());
  EXPECT_EQ(rig.account().consumed, 0U);
  EXPECT_EQ(rig.pending(), static_cast<uint64_t>(2 * said));
  live(2 * kSecondUs);
  ASSERT_EQ(rig.floors("t2").size(), 1U);
  // Where the lowest stands: two seconds back (a second behind, a second of lateness), to the last 100 ms.
  EXPECT_LE(rig.floors("t2")[0].slot, slot_of(rig.clock - 2 * kSecondUs));
  EXPECT_GE(rig.floors("t2")[0].slot, slot_of(rig.clock - 2 * kSecondUs) - 2);
  EXPECT_GT(rig.account().consumed, 60U);
  // What it brings now is on time where it is no older than the lowest allows.
  rig.say(2, "in time", rig.clock - kSecondUs), rig.say(2, "late", rig.clock - 4 * kSecondUs);
  live(2 * kSecondUs);
  rig.pass(20 * kSecondUs);
  EXPECT_EQ(rig.notes.folds["late"].time_us + 2 * kSecondUs < rig.tick_of("late").slot * kSlotUs + kSecondUs, true);
  EXPECT_EQ(rig.account().late, 1U);
  EXPECT_EQ(rig.account().consumed, static_cast<uint64_t>(2 * said + 2));
  EXPECT_TRUE(rig.floors("t0").size() <= 1 && rig.floors("t1").size() <= 1);  // those of the last silence
  rig.expect_same_by_control_log();
}

TEST(TimeFloors, IdleForAnHourItWakesWithOldEvents) {
  Rig rig({"t0", "t1"});
  rig.say(1, "before", kNoon);
  for (int i = 0; i < 3600; ++i) {
    rig.say(0, "a" + std::to_string(i), rig.clock);
    rig.pass(kSecondUs, ms(250));
  }
  EXPECT_EQ(rig.floors("t1").size(), 1U);  // one row, raised 3,600 times
  const int64_t floor = rig.floors("t1")[0].slot;
  EXPECT_GE(floor, slot_of(rig.clock - 4 * kSecondUs));
  for (int i = 0; i < 60; ++i) rig.say(1, "b" + std::to_string(i), kNoon + i * kMinuteUs);
  rig.say(1, "fresh", rig.clock);
  rig.pass(10 * kSecondUs, ms(100));
  EXPECT_EQ(rig.account().consumed, 3662U);
  EXPECT_EQ(rig.account().late, 60U);
  for (int i = 0; i < 60; ++i) {
    const Notes::Fold fold = rig.notes.folds["b" + std::to_string(i)];
    EXPECT_GE(fold.tick.slot, floor);
    EXPECT_EQ(fold.time_us, kNoon + i * kMinuteUs);  // under its own time
  }
  EXPECT_EQ(rig.tick_of("fresh").slot, slot_of(rig.notes.folds["fresh"].time_us));
  rig.expect_same_by_control_log();
}

// The process stood still (or its machine slept): nobody knows what came meanwhile, so nobody is idle before it was
// asked.
TEST(TimeFloors, AfterAPauseNobodyIsIdle) {
  Rig rig({"t0", "t1"});
  rig.say(0, "a", kNoon), rig.say(1, "b", kNoon);
  rig.pass(ms(500));
  rig.clock += kHourUs;
  for (int i = 0; i < 100; ++i) rig.say(i % 2, "c" + std::to_string(i), kNoon + kMinuteUs + i * kMinuteUs / 2);
  rig.source.parts[1].away = true;  // the other one first
  rig.pass(ms(900));
  rig.source.parts[1].away = false;
  rig.pass(20 * kSecondUs);
  EXPECT_EQ(rig.account().late, 0U);
  EXPECT_EQ(rig.account().applied, 102U);
  rig.expect_same_by_control_log();
}

// In 2014's time, whatever today is: the last event is seen two seconds later, and the time that passes is that which
// passes here.
TEST(TimeFloors, QuietTimeGoesOnFromTheNewestEvent) {
  Rig rig({"t0", "t1"});
  const int64_t in_2014 = kNoon - 3500 * kDayUs;
  rig.say(0, "evening's last", in_2014, -1, "wake 30"), rig.say(1, "other", in_2014 - ms(200));
  rig.pass(ms(900));
  EXPECT_FALSE(rig.folded("evening's last"));
  rig.pass(ms(1300));
  EXPECT_TRUE(rig.folded("evening's last"));
  EXPECT_LE(rig.floors("t0")[0].slot, slot_of(in_2014 + ms(1200)));
  rig.pass(27 * kSecondUs);
  EXPECT_TRUE(rig.notes.timers.empty());
  rig.pass(3 * kSecondUs);
  ASSERT_EQ(rig.notes.timers.size(), 1U);  // 30 s after its event, and the lateness
  rig.say(0, "a minute on", in_2014 + kMinuteUs);
  rig.say(0, "an hour on", in_2014 + kHourUs);
  rig.pass(10 * kSecondUs);
  EXPECT_EQ(rig.account().late, 0U);
  EXPECT_EQ(rig.account().applied, 4U);
  rig.expect_same_by_control_log();
}

TEST(TimeFloors, ASilentNightWithATimerOfTwoDays) {
  Rig rig({"t0", "t1", "t2"});
  rig.say(0, "wakes", kNoon, -1, "wake 172800");
  rig.pass(10 * kSecondUs);
  EXPECT_TRUE(rig.folded("wakes"));
  const size_t rows = rig.floors().size();
  const int64_t slot = rig.floors("t0")[0].slot;
  const uint64_t commits = rig.engine->figures().commit.commits;
  rig.pass(8 * kHourUs, kSecondUs);
  // Nothing was due: nothing was written, nothing committed, and time stands.
  EXPECT_EQ(rig.floors().size(), rows);
  EXPECT_EQ(rig.floors("t0")[0].slot, slot);
  EXPECT_LE(rig.engine->figures().commit.commits, commits + 1);
  EXPECT_EQ(rig.published()->tick().slot, slot_of(kNoon));
  // The morning's first is on time, though eight hours have passed.
  rig.say(1, "morning", rig.clock);
  rig.pass(10 * kSecondUs);
  EXPECT_EQ(rig.tick_of("morning").slot, slot_of(rig.notes.folds["morning"].time_us));
  EXPECT_EQ(rig.account().late, 0U);
  // And the timer comes when its time has come, after a restart too.
  rig.kill();
  rig.pass(kNoon + 48 * kHourUs - rig.clock - kMinuteUs, 10 * kSecondUs);
  EXPECT_TRUE(rig.notes.timers.empty());
  rig.pass(3 * kMinuteUs, kSecondUs);
  EXPECT_EQ(rig.notes.timers, (std::vector<Notes::Timer>{{{kNoonSlot + 48 * 3600 * 4, 0}, kNoon + 48 * kHourUs}}));
  EXPECT_EQ(rig.stored_timers(), 0U);
  rig.expect_same_by_control_log();
}

TEST(TimeFloors, OneRowIsRaisedUntilARecordIsRead) {
  Rig rig({"t0", "t1"});
  const auto minute = [&](const std::string& name) {
    for (int i = 0; i < 60; ++i) {
      rig.say(0, name + std::to_string(i), rig.clock);
      rig.pass(kSecondUs, ms(250));
    }
  };
  minute("a");
  ASSERT_EQ(rig.floors("t1").size(), 1U);
  EXPECT_EQ(rig.floors("t1")[0].from_offset, 0);
  const int64_t first = rig.floors("t1")[0].slot;
  rig.say(1, "read", rig.clock);
  minute("b");
  minute("c");
  const auto rows = rig.floors("t1");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].from_offset, 0);
  EXPECT_GE(rows[0].slot, first);
  EXPECT_EQ(rows[1].from_offset, 1);
  EXPECT_GT(rows[1].slot, rows[0].slot + 300);
  rig.pass(10 * kSecondUs);
  rig.expect_same_by_control_log();
}

// Killed at every step in turn while floors are written: what a tick was closed by is there with the tick, so that the
// record that comes afterwards is as late as it was.
TEST(TimeFloors, AFloorIsThereAfterAKill) {
  for (int at = 1; at < 60; ++at) {
    SCOPED_TRACE(at);
    Rig rig({"t0", "t1"});
    rig.config.engine.idle_ms = 300;
    int steps = 0;
    rig.options.commit_now = [&] { return ++steps % 3 == 0; };
    for (int i = 0; i < 30; ++i) rig.say(0, "a" + std::to_string(i), kNoon + i * ms(100));
    rig.source.parts[0].per_poll = 1;
    for (int i = 0; i < at; ++i) rig.clock += ms(40), rig.step();
    // Everything that a reader or a restart may see stands on committed floors.
    const int64_t closed = rig.published()->tick().slot;
    int64_t floor = INT64_MIN;
    for (const FloorRow& row : rig.floors("t1")) floor = std::max(floor, row.slot);
    if (closed != INT64_MIN) {
      EXPECT_GT(floor, closed);
    }
    rig.kill();
    rig.say(1, "old", kNoon);
    rig.pass(30 * kSecondUs);
    EXPECT_EQ(rig.account().consumed, 31U);
    if (closed != INT64_MIN) {
      EXPECT_GT(rig.tick_of("old").slot, closed);
    }
    rig.expect_same_by_control_log();
  }
}

TEST(TimeFloors, APartitionIsAdded) {
  Rig rig({"t0"});
  for (int i = 0; i < 20; ++i) rig.say(0, "a" + std::to_string(i), kNoon + i * kSecondUs);
  rig.pass(ms(200), ms(10));
  const uint64_t before = rig.account().consumed;
  EXPECT_GT(before, 10U);
  const TickId open = rig.published()->tick();
  rig.source.add("t1");
  rig.say(1, "old", kNoon - kDayUs);
  rig.say(1, "of before", kNoon + kSecondUs);
  rig.say(1, "of now", kNoon + 21 * kSecondUs);
  rig.say(0, "next", kNoon + 22 * kSecondUs);
  rig.pass(20 * kSecondUs);
  EXPECT_EQ(rig.account().consumed, 24U);
  EXPECT_EQ(rig.account().late, 2U);
  EXPECT_GT(rig.tick_of("old"), open);
  EXPECT_GT(rig.tick_of("of before"), open);
  EXPECT_EQ(rig.tick_of("of now").slot, slot_of(kNoon + 21 * kSecondUs));
  ASSERT_FALSE(rig.floors("t1").empty());
  EXPECT_EQ(rig.floors("t1")[0].from_offset, 0);
  rig.expect_same_by_control_log();
  rig.kill();
  rig.say(1, "afterwards", kNoon + kMinuteUs);
  rig.pass(20 * kSecondUs);
  EXPECT_EQ(rig.account().consumed, 25U);
  EXPECT_EQ(rig.account().late, 2U);
  rig.expect_same_by_control_log();
}

// t1 still reads yesterday: t0's events wait, few of them, and nothing is late.
TEST(TimeFloors, ADayBehindIsWaitedFor) {
  Rig rig({"t0", "t1"});
  rig.config.engine.batch = 50;
  rig.source.parts[1].per_poll = 1;
  for (int i = 0; i < 2000; ++i) rig.say(0, "a" + std::to_string(i), kNoon + i * ms(100));
  for (int i = 0; i < 2000; ++i) rig.say(1, "b" + std::to_string(i), kNoon - kDayUs + i * kDayUs / 1900);
  for (int i = 0; i < 300; ++i) {
    rig.source.parts[1].away = i % 5 != 0;  // and is slow
    rig.pass(ms(100), ms(20));
  }
  EXPECT_LE(rig.pending(), 200U);  // 5 s of event time and a batch
  EXPECT_EQ(rig.tick_of("a0"), TickId{});
  EXPECT_GT(rig.account().consumed, 100U);
  rig.source.parts[1].away = false;
  rig.pass(60 * kSecondUs, ms(20));
  EXPECT_EQ(rig.account().late, 0U);
  EXPECT_EQ(rig.account().applied, 4000U);
  EXPECT_LT(rig.tick_of("b1899"), rig.tick_of("a0"));
  rig.expect_same_by_control_log();
}

TEST(TimeFloors, ADayBehindIsLetGo) {
  Rig rig({"t0", "t1"});
  rig.config.engine.max_lag_ms = 2000;
  int said = 0;
  for (int i = 0; i < 50; ++i) rig.say(1, "b" + std::to_string(i), kNoon - kDayUs + i * kMinuteUs);
  rig.source.parts[1].per_poll = 1;
  const auto live = [&](int64_t us) {
    for (int64_t gone = 0; gone < us; gone += ms(100)) {
      rig.say(0, "a" + std::to_string(said++), rig.clock);
      rig.source.parts[1].away = said % 25 != 0;  // two records a second: it would take 25 s
      rig.pass(ms(100), ms(20));
    }
  };
  live(kSecondUs);
  EXPECT_FALSE(rig.folded("a0"));  // it is waited for
  live(5 * kSecondUs);
  EXPECT_TRUE(rig.folded("a0"));  // not any more
  EXPECT_FALSE(rig.floors("t1").empty());
  live(30 * kSecondUs);
  rig.source.parts[1].away = false;
  rig.say(1, "and on time", rig.clock);
  rig.pass(ms(200), ms(20));
  live(10 * kSecondUs);
  rig.source.parts[1].away = false;
  rig.pass(20 * kSecondUs);
  EXPECT_EQ(rig.account().consumed, static_cast<uint64_t>(said + 51));
  EXPECT_GT(rig.account().late, 30U);
  EXPECT_LE(rig.account().late, 50U);
  EXPECT_EQ(rig.notes.folds["b49"].time_us, kNoon - kDayUs + 49 * kMinuteUs);
  EXPECT_EQ(rig.tick_of("and on time").slot, slot_of(rig.notes.folds["and on time"].time_us));
  rig.expect_same_by_control_log();
}

// A producer whose clock is years ahead or behind harms itself alone, where the broker stamps records.
TEST(TimeFloors, BrokenClocksOfProducers) {
  Rig rig({"t0"});
  for (int i = 0; i < 10; ++i) {
    const int64_t now = kNoon + i * kSecondUs;
    rig.say(0, "good" + std::to_string(i), now, now + ms(20));
    rig.say(0, "years ahead" + std::to_string(i), now + 3 * 365 * kDayUs, now + ms(30));
    rig.say(0, "years behind" + std::to_string(i), now - 3 * 365 * kDayUs, now + ms(30));
    rig.say(0, "a month behind" + std::to_string(i), now - 30 * kDayUs, now + ms(30));
    rig.say(0, "minutes ahead" + std::to_string(i), now + 5 * kMinuteUs, now + ms(30));
  }
  rig.pass(20 * kSecondUs);
  const auto dead = rig.published()->progress().dead;
  EXPECT_EQ(dead[static_cast<size_t>(Reason::kFuture)], 10U);
  EXPECT_EQ(dead[static_cast<size_t>(Reason::kExpired)], 10U);
  EXPECT_EQ(rig.account().late, 10U);
  EXPECT_EQ(rig.account().applied, 20U);
  for (int i = 0; i < 10; ++i) {
    const std::string n = std::to_string(i);
    EXPECT_EQ(rig.tick_of("good" + n).slot, kNoonSlot + 4 * i);
    EXPECT_EQ(rig.notes.folds["minutes ahead" + n].time_us, kNoon + i * kSecondUs + ms(30));  // when it arrived
  }
  EXPECT_LE(rig.published()->tick().slot, kNoonSlot + 4 * 20);
  rig.expect_same_by_control_log();
}

// The broker's clock a year ahead: events keep their own time. A year behind: they cannot be told from the future, are
// kept as dead letters, and move nothing.
TEST(TimeFloors, TheBrokersClockJumps) {
  Rig rig({"t0"});
  rig.say(0, "before", kNoon, kNoon);
  rig.say(0, "ahead", kNoon + kSecondUs, kNoon + 365 * kDayUs);
  rig.say(0, "behind", kNoon + 2 * kSecondUs, kNoon - 365 * kDayUs);
  rig.say(0, "minutes behind", kNoon + 3 * kSecondUs, kNoon - 5 * kMinuteUs);
  rig.say(0, "right again", kNoon + 4 * kSecondUs, kNoon + 4 * kSecondUs);
  rig.pass(10 * kSecondUs);
  EXPECT_EQ(rig.tick_of("ahead").slot, kNoonSlot + 4);
  EXPECT_EQ(rig.dead(), (std::vector<Rig::Dead>{{"t0", 2, Reason::kFuture, kNoonSlot}}));
  EXPECT_EQ(rig.notes.folds["minutes behind"].time_us, kNoon - 5 * kMinuteUs);
  EXPECT_EQ(rig.tick_of("right again").slot, kNoonSlot + 16);
  EXPECT_EQ(rig.account().late, 1U);
  EXPECT_EQ(rig.account().consumed, 5U);
}

// What the engine measures its waits by, when it is set ahead or back by hours or years while it works: no record is
// lost or counted twice, nobody waits for a clock to come back, and the control log holds whatever was decided by it.
TEST(TimeFloors, TheMachinesClockJumps) {
  for (const int64_t jump : {-30 * 365 * kDayUs, -kHourUs, -ms(1), kHourUs, 30 * 365 * kDayUs}) {
    SCOPED_TRACE(jump);
    Rig rig({"t0", "t1"});
    int64_t event = kNoon;
    int said = 0;
    const auto live = [&](int64_t us) {
      for (int64_t gone = 0; gone < us; gone += ms(100), event += ms(100)) {
        rig.say(said % 2, "a" + std::to_string(said), event), ++said;
        rig.pass(ms(100), ms(20));
      }
    };
    live(5 * kSecondUs);
    rig.clock += jump;
    live(5 * kSecondUs);
    rig.pass(3 * kSecondUs);  // a silence
    rig.clock -= jump;
    event += 3 * kSecondUs;
    live(5 * kSecondUs);
    rig.pass(20 * kSecondUs);
    EXPECT_EQ(rig.account().consumed, static_cast<uint64_t>(said));
    EXPECT_EQ(rig.account().dead_lettered, 0U);
    EXPECT_EQ(rig.pending(), 0U);
    rig.expect_same_by_control_log();
  }
}

// The time of day is set a year ahead in a silence with a timer pending. `serve` does not measure by it: had the year
// passed for the engine, a floor in the control log would make whatever comes in the next year late, or expired.
TEST(TimeFloors, TheTimeOfDayIsSetAYearAhead) {
  Rig rig({"t0"});
  rig.options.clock_us = nullptr;
  rig.say(0, "a", kNoon, -1, "wake 1");
  const auto running = [] {
    timespec now{};
    EXPECT_EQ(clock_gettime(CLOCK_BOOTTIME, &now), 0);
    return now.tv_sec * kSecondUs + now.tv_nsec / 1000;
  };
  const int64_t begin = running();
  while (!rig.folded("a") && running() - begin < kMinuteUs) rig.step();
  const auto real = std::chrono::system_clock::now();
  wall_ahead_s = 365 * 86400;
  ASSERT_GT(std::chrono::system_clock::now() - real, std::chrono::hours(24 * 364));  // the test does what it says
  while (rig.notes.timers.empty() && running() - begin < kMinuteUs) rig.step();
  wall_ahead_s = 0;
  ASSERT_EQ(rig.notes.timers.size(), 1U);
  EXPECT_GE(running() - begin, 2 * kSecondUs - kSlotUs);  // its second and the lateness, as the machine has run
  for (const FloorRow& row : rig.floors()) EXPECT_LE(row.slot, kNoonSlot + 4 * 60);
  rig.say(0, "b", kNoon + kMinuteUs);
  while (!rig.folded("b") && running() - begin < kMinuteUs) rig.step();
  EXPECT_EQ(rig.account().applied, 2U);
}

TEST(TimeFloors, NowIsTheCommittedTick) {
  Rig rig({"t0"});
  EXPECT_NO_FATAL_FAILURE(rig.step());
  EXPECT_EQ(rig.published()->now_us(), 0);
  rig.say(0, "a", kNoon + ms(700));
  rig.say(0, "b", kNoon + 10 * kSecondUs);
  rig.pass(ms(500), ms(10));
  EXPECT_EQ(rig.published()->now_us(), kNoon + ms(500));  // the beginning of a's tick, whatever the wall's time is
  rig.clock += 5 * kHourUs;
  EXPECT_EQ(rig.published()->now_us(), kNoon + ms(500));
}

}  // namespace
}  // namespace bellwether

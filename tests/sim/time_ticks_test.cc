// DESIGN.md, "Time: which tick a record belongs to", sentence by sentence, through the whole engine: what a record's
// tick is. What the clock decides (idle, quiet, joined, let go, ended) is in time_floors_test.cc. Which test shows
// what:
//
// | sentence | here | elsewhere |
// |---|---|---|
// | A tick is 250 ms of event time | ATickIs250Milliseconds | unit: Schedule.ATickIs250Milliseconds |
// | a record's tick depends on its own partition's log and the control log only | ASlowAndAFastPartitionInEitherOrder |
// unit: Schedule.AnotherPartitionsProgressChangesNoTick; sim_determinism_test; every rig test:
// expect_same_by_control_log | | trusted time = min(event time, append time) | TrustedTimeIsTheEarlierOne | unit:
// Schedule.TrustedTimeIsTheEarlierOne | | append time: Kafka's | | integration_kafka_source_test (LogAppendTime,
// CreateTime) | | append time: the embedded log's | TheEmbeddedLogsAppendTimeIsTrusted | | | append time: a file's
// --until, recorded | AFilesAppendTimeIsRecorded | integration: same_state.py | | past the skew: dead letter `future` |
// TooFarPastItsAppendTimeIsFuture | | | CreateTime: serve warns | | integration_kafka_source_test, kafka_odd.py | | W_p
// is the newest trusted time less the lateness | TheWatermarkIsTheNewestLessTheLateness | unit: Schedule.* | | dead
// letters move no watermark, have the lowest tick, their id is (topic, partition, offset) | DeadLettersMoveNothing | |
// | after this stage the trusted time is the only time | TrustedTimeIsTheEarlierOne, OnTheEdgeOfADay | |
// | e(r) = max(slot, slot(W_p), F_p); late is folded under its own time, its day counts it |
// LateIsFoldedUnderItsOwnTime | unit: Schedule.FloorsHoldFromTheirOffsetOn | | its day's end + the window before that
// tick: `expired` | OnTheEdgeOfTheWindow | | | 65,536 a tick, more go to (k,1), in which no timer fires |
// MoreThanATickHoldsGoesToSubTicks | unit: Schedule.MoreThan65536RecordsGoToSubTicks | | when tick (k,i) closes |
// ATickClosesWhenAllArePastIt | unit: Schedule.ATickClosesWhenEveryPartitionIsPastItOrHasFilledIt | | at 65,536 held
// W_p rises: nothing is buffered without bound | WhatIsHeldIsBounded, OldRecordsIntoALivePartition | unit:
// Schedule.HeldRecordsRaiseTheWatermark, ScheduleBounds.* | | poll the lowest first, none 5 s or 65,536 records ahead |
// NobodyIsReadFarAhead | unit: Schedule.NobodyIsPolledFarAheadOfTheLowest | | day-resolution timestamps |
// DayResolutionIsOneTickADay | | | before 1970, after 2200 | BeforeTheYear1970AndAfter2200 | unit:
// Schedule.TimesBefore1970AndAfter2200 |
#include <malloc.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "operators/score_book.h"
#include "operators/scores.h"
#include "pipeline/sources/embedded_log.h"
#include "tests/model/harness.h"
#include "tests/sim/time_rig.h"

namespace bellwether {
namespace {

using namespace timing;

constexpr int64_t kNoonSlot = slot_of(kNoon);

TEST(TimeTicks, ATickIs250Milliseconds) {
  Rig rig;
  rig.source.file = true;
  rig.say(0, "first", kNoon);
  rig.say(0, "last", kNoon + kSlotUs - 1);
  rig.say(0, "next", kNoon + kSlotUs);
  rig.read_to_end();
  EXPECT_EQ(rig.tick_of("first"), (TickId{kNoonSlot, 0}));
  EXPECT_EQ(rig.tick_of("last"), (TickId{kNoonSlot, 0}));
  EXPECT_EQ(rig.tick_of("next"), (TickId{kNoonSlot + 1, 0}));
}

// One partition writes every 40 ms, the other every 7 s, both with late and dead records; whoever is read first, in
// whatever portions, and even if one is a file that is over and the other a log.
TEST(TimeTicks, ASlowAndAFastPartitionInEitherOrder) {
  std::vector<std::map<std::string, Notes::Fold>> folds;
  std::vector<Account> accounts;
  for (const size_t slow : {0, 1}) {
    for (const bool live : {false, true}) {
      Rig rig({"fast", "slow"});
      rig.options.tick_records = 5;
      rig.options.until_end = live;
      rig.source.file = !live;
      rig.source.parts[slow].per_poll = 1;
      for (int i = 0; i < 600; ++i) {
        const int64_t late = i % 11 == 0 ? ms(1700) : 0;
        rig.say(0, "f" + std::to_string(i), kNoon + i * ms(40) - late);
        if (i % 17 == 0) rig.line(0, "no event");
        if (i < 40) rig.say(1, "s" + std::to_string(i), kNoon + i * 7 * kSecondUs - (i % 5 == 0 ? kHourUs : 0));
      }
      rig.read_to_end();
      ASSERT_EQ(rig.notes.folds.size(), 640U);
      folds.push_back(rig.notes.folds);
      accounts.push_back(rig.account());
    }
  }
  for (size_t i = 1; i < folds.size(); ++i) {
    EXPECT_EQ(folds[i], folds[0]) << i;
    EXPECT_EQ(accounts[i], accounts[0]) << i;
  }
  EXPECT_GT(accounts[0].late, 40U);
}

TEST(TimeTicks, TrustedTimeIsTheEarlierOne) {
  Rig rig;
  rig.options.until_end = true;
  rig.say(0, "before its append time", kNoon, kNoon + kHourUs);
  rig.say(0, "after it", kNoon + kMinuteUs, kNoon + ms(300));
  rig.say(0, "without one", kNoon + ms(600));
  rig.read_to_end();
  EXPECT_EQ(rig.notes.folds["before its append time"], (Notes::Fold{{kNoonSlot, 0}, kNoon}));
  EXPECT_EQ(rig.notes.folds["after it"], (Notes::Fold{{kNoonSlot + 1, 0}, kNoon + ms(300)}));
  EXPECT_EQ(rig.notes.folds["without one"], (Notes::Fold{{kNoonSlot + 2, 0}, kNoon + ms(600)}));
  EXPECT_EQ(rig.account().late, 0U);
}

TEST(TimeTicks, TheEmbeddedLogsAppendTimeIsTrusted) {
  const std::string dir = testing::TempDir() + "time_ticks_log";
  std::filesystem::remove_all(dir);
  EmbeddedLog::Options options;
  options.config = default_config().log;
  options.config.partitions = 1;
  int64_t wall = kNoon;
  options.now_us = [&] { return wall; };
  std::unique_ptr<EmbeddedLog> log;
  std::vector<std::string> messages;
  ASSERT_TRUE(EmbeddedLog::open(dir, options, log, messages).ok());
  const auto write = [&](const std::string& id, int64_t time_us) {
    EXPECT_TRUE(log->append(0, {like(id, time_us, "p", "u" + id)}).status.ok());
  };
  write("now", kNoon);
  write("ahead", kNoon + 9 * kMinuteUs);
  write("too far ahead", kNoon + 10 * kMinuteUs + 1);
  wall += kMinuteUs;
  write("long ago", kNoon - kDayUs);
  Rig rig(std::vector<std::string>{});
  const auto reader = log->reader();
  rig.other = reader.get();
  rig.options.until_end = true;
  rig.read_to_end();
  EXPECT_EQ(rig.notes.folds["now"], (Notes::Fold{{kNoonSlot, 0}, kNoon}));
  EXPECT_EQ(rig.notes.folds["ahead"], (Notes::Fold{{kNoonSlot, 0}, kNoon}));
  EXPECT_EQ(rig.notes.folds["long ago"], (Notes::Fold{{kNoonSlot - 4, 0}, kNoon - kDayUs}));
  EXPECT_EQ(rig.dead(), (std::vector<Rig::Dead>{{"log", 2, Reason::kFuture, kNoonSlot - 4}}));
  rig.kill();
}

TEST(TimeTicks, AFilesAppendTimeIsRecorded) {
  Rig rig({"file"});
  rig.source.file = true;
  rig.options.file_append_us = kNoon;
  rig.say(0, "before", kNoon - kSecondUs);
  rig.say(0, "ahead", kNoon + kMinuteUs);
  rig.source.parts[0].per_poll = 1;
  rig.read(4);
  rig.kill();
  // Begun again a year later, and with more in the file.
  rig.options.file_append_us = kNoon + 365 * kDayUs;
  rig.say(0, "too far ahead", kNoon + kHourUs);
  rig.read_to_end();
  EXPECT_EQ(rig.notes.folds["ahead"].time_us, kNoon);
  // In the tick of the floor that the file's first end wrote, 61 s on.
  EXPECT_EQ(rig.dead(), (std::vector<Rig::Dead>{{"file", 2, Reason::kFuture, kNoonSlot + 244}}));
  // A file that this store sees for the first time has the append time of its own beginning.
  rig.kill();
  rig.source.add("another file");
  rig.say(1, "later", kNoon + kHourUs);
  rig.read_to_end();
  EXPECT_EQ(rig.notes.folds["later"].time_us, kNoon + kHourUs);
}

TEST(TimeTicks, TooFarPastItsAppendTimeIsFuture) {
  Rig rig;
  rig.options.until_end = true;
  rig.say(0, "just", kNoon + 10 * kMinuteUs, kNoon);
  rig.say(0, "too far", kNoon + 10 * kMinuteUs + 1, kNoon);
  rig.say(0, "a year", kNoon + 365 * kDayUs, kNoon + ms(10));
  rig.say(0, "nobody is hurt", kNoon + ms(20), kNoon + ms(20));
  rig.read_to_end();
  EXPECT_EQ(rig.dead(), (std::vector<Rig::Dead>{{"t0", 1, Reason::kFuture, kNoonSlot - 4},
                                                {"t0", 2, Reason::kFuture, kNoonSlot - 4}}));
  EXPECT_EQ(rig.account().late, 0U);
  EXPECT_EQ(rig.account().applied, 2U);
  Rig allowed;  // how far is configuration
  allowed.options.until_end = true;
  allowed.config.engine.skew_minutes = 60;
  allowed.say(0, "in an hour", kNoon + kHourUs, kNoon);
  allowed.read_to_end();
  EXPECT_EQ(allowed.account().applied, 1U);
}

TEST(TimeTicks, TheWatermarkIsTheNewestLessTheLateness) {
  Rig rig;
  rig.options.until_end = true;
  rig.say(0, "newest", kNoon);
  rig.say(0, "a second older", kNoon - kSecondUs);       // in the watermark's slot
  rig.say(0, "older than that", kNoon - kSecondUs - 1);  // late
  rig.say(0, "an hour on", kNoon + kHourUs);
  rig.say(0, "as old as it may", kNoon + kHourUs - kSecondUs);
  rig.say(0, "newest of before", kNoon + ms(100));  // late by an hour
  rig.read_to_end();
  EXPECT_EQ(rig.tick_of("a second older"), (TickId{kNoonSlot - 4, 0}));
  EXPECT_EQ(rig.notes.folds["older than that"], (Notes::Fold{{kNoonSlot - 4, 0}, kNoon - kSecondUs - 1}));
  EXPECT_EQ(rig.tick_of("as old as it may").slot, slot_of(kNoon + kHourUs) - 4);
  EXPECT_EQ(rig.tick_of("newest of before").slot, slot_of(kNoon + kHourUs) - 4);
  EXPECT_EQ(rig.account().late, 2U);
  EXPECT_EQ(rig.account().applied, 4U);
}

TEST(TimeTicks, DeadLettersMoveNothing) {
  Rig rig({"t0", "t1"});
  rig.options.until_end = true;
  rig.line(1, "dead before any time");
  rig.say(0, "first", kNoon);
  rig.line(0, "no event");
  rig.say(0, "future", kNoon + 2 * kHourUs, kNoon + kHourUs);
  rig.say(0, "expired", kNoon - 200 * kDayUs);
  rig.line(0, R"({"id":"no body","time":")" + time_text(kNoon + kDayUs) + R"(","user":"u"})");
  rig.say(0, "not late", kNoon - ms(900));
  rig.read_to_end();
  EXPECT_EQ(rig.account().late, 0U);
  const int64_t low = kNoonSlot - 4;
  EXPECT_EQ(rig.dead(), (std::vector<Rig::Dead>{{"t0", 1, Reason::kUndecodable, low},
                                                {"t0", 2, Reason::kFuture, low},
                                                {"t0", 3, Reason::kExpired, low},
                                                {"t0", 4, Reason::kBodyMissing, low},
                                                {"t1", 0, Reason::kUndecodable, kFirstSlot}}));
}

std::string post_of(const std::string& id, int64_t time_us, const std::string& user) {
  return R"({"id":")" + id + R"(","time":")" + time_text(time_us) + R"(","user":")" + user + R"(","post":{"post":"p)" +
         id + R"(","kind":"POST_KIND_IDEA","action":"POST_ACTION_PUBLISHED"}})";
}
std::vector<int64_t> days_of(const Published& published, const std::string& user) {
  const Hasher hasher(default_config().community.hash_key);
  Status status;
  const auto state = published.state(OperatorId::kScores, {KeyKind::kUser, hasher(KeyKind::kUser, user)}, status);
  EXPECT_TRUE(status.ok()) << status.message;
  std::vector<int64_t> days;
  if (state == nullptr) return days;
  for (const Bucket& b : static_cast<const ScoresState&>(*state).book.buckets())
    if (b.raw_micros != 0) days.push_back(b.day);
  return days;
}

TEST(TimeTicks, LateIsFoldedUnderItsOwnTime) {
  const auto store = make_memory_store();
  const int64_t midnight = day_of(kNoon) * kDayUs;
  const auto published = run_engine(default_config(), *store,
                                    {{post_of("1", kNoon, "ann"), post_of("2", midnight - 1, "bob"),
                                      post_of("3", midnight, "cid"), post_of("4", kNoon - 170 * kDayUs, "dot")}});
  EXPECT_EQ(published->account().late, 3U);
  EXPECT_EQ(days_of(*published, "ann"), std::vector<int64_t>{day_of(kNoon)});
  EXPECT_EQ(days_of(*published, "bob"), std::vector<int64_t>{day_of(kNoon) - 1});
  EXPECT_EQ(days_of(*published, "cid"), std::vector<int64_t>{day_of(kNoon)});
  EXPECT_EQ(days_of(*published, "dot"), std::vector<int64_t>{day_of(kNoon) - 170});
}

// A day begins with its first tick; what happened in the last microsecond before counts for the day before, whatever
// its append time says; and an event that ran ahead of its append time counts for the day of the latter.
TEST(TimeTicks, OnTheEdgeOfADay) {
  const auto store = make_memory_store();
  const int64_t day = day_of(kNoon), midnight = day * kDayUs;
  RunOptions options;
  options.change = [&](EngineOptions& o) { o.file_append_us = midnight + kHourUs; };
  const auto published =
      run_engine(default_config(), *store,
                 {{post_of("1", midnight - 1, "ann"), post_of("2", midnight, "bob"), post_of("3", midnight + 1, "cid"),
                   post_of("4", midnight + kHourUs + ms(1), "dot")}},
                 options);
  EXPECT_EQ(published->account().applied, 4U);
  EXPECT_EQ(days_of(*published, "ann"), std::vector<int64_t>{day - 1});
  EXPECT_EQ(days_of(*published, "bob"), std::vector<int64_t>{day});
  EXPECT_EQ(days_of(*published, "cid"), std::vector<int64_t>{day});
  options.change = [&](EngineOptions& o) { o.file_append_us = midnight - 1; };
  const auto other = make_memory_store();
  const auto cut = run_engine(default_config(), *other, {{post_of("1", midnight + kMinuteUs, "ann")}}, options);
  EXPECT_EQ(days_of(*cut, "ann"), std::vector<int64_t>{day - 1});
}

TEST(TimeTicks, OnTheEdgeOfTheWindow) {
  const int64_t day = day_of(kNoon) - 180;
  // As of this tick the day's end + the window is reached, and not passed.
  const int64_t edge = (day + 1) * kDayUs + 180 * kDayUs;
  for (const int64_t past : {int64_t{0}, kSlotUs}) {
    Rig rig;
    rig.options.until_end = true;
    rig.say(0, "now", edge + past + kSecondUs);
    rig.say(0, "first of the day", day * kDayUs);
    rig.say(0, "last of the day", (day + 1) * kDayUs - 1);
    rig.say(0, "next day", (day + 1) * kDayUs);
    rig.read_to_end();
    if (past == 0) {
      EXPECT_TRUE(rig.dead().empty());
      EXPECT_EQ(rig.notes.folds["last of the day"], (Notes::Fold{{slot_of(edge), 0}, (day + 1) * kDayUs - 1}));
    } else {
      EXPECT_EQ(rig.dead(), (std::vector<Rig::Dead>{{"t0", 1, Reason::kExpired, slot_of(edge) + 1},
                                                    {"t0", 2, Reason::kExpired, slot_of(edge) + 1}}));
    }
    EXPECT_TRUE(rig.folded("next day"));
    EXPECT_EQ(rig.account().consumed, 4U);
  }
}

TEST(TimeTicks, MoreThanATickHoldsGoesToSubTicks) {
  Rig rig({"t0", "t1"});
  rig.options.tick_records = 4;
  rig.options.until_end = true;
  rig.say(0, "wakes", kNoon - 10 * kSecondUs, -1, "wake 10");  // due in the crowded slot
  for (int i = 0; i < 10; ++i) rig.say(0, "a" + std::to_string(i), kNoon + i);
  for (int i = 0; i < 5; ++i) rig.say(1, "b" + std::to_string(i), kNoon + i);
  rig.line(1, "no event");
  rig.say(1, "on", kNoon + kMinuteUs);
  rig.read_to_end();
  for (uint32_t i = 0; i < 10; ++i) EXPECT_EQ(rig.tick_of("a" + std::to_string(i)), (TickId{kNoonSlot, i / 4}));
  for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(rig.tick_of("b" + std::to_string(i)), (TickId{kNoonSlot, i / 4}));
  ASSERT_EQ(rig.notes.timers.size(), 1U);
  EXPECT_EQ(rig.notes.timers[0], (Notes::Timer{{kNoonSlot, 0}, kNoon}));
  EXPECT_EQ(
      rig.notes.ticks,
      (std::set<TickId>{{kNoonSlot - 40, 0}, {kNoonSlot, 0}, {kNoonSlot, 1}, {kNoonSlot, 2}, {kNoonSlot + 240, 0}}));
}

// A timer that falls due while a crowded slot is being folded waits for the next slot's beginning.
TEST(TimeTicks, InSubTicksNoTimerFires) {
  Rig rig;
  rig.options.tick_records = 2;
  rig.options.until_end = true;
  rig.say(0, "wakes at once", kNoon, -1, "wake 0");
  for (int i = 0; i < 7; ++i) rig.say(0, "a" + std::to_string(i), kNoon + i);
  rig.say(0, "on", kNoon + kMinuteUs);
  rig.read_to_end();
  EXPECT_EQ(rig.tick_of("a6").sub, 3U);
  ASSERT_EQ(rig.notes.timers.size(), 1U);
  EXPECT_EQ(rig.notes.timers[0].tick, (TickId{kNoonSlot + 1, 0}));
}

TEST(TimeTicks, ATickClosesWhenAllArePastIt) {
  Rig rig({"t0", "t1"});
  rig.options.floors = false;  // nobody helps
  rig.source.parts[0].per_poll = rig.source.parts[1].per_poll = 1;
  rig.say(0, "a", kNoon);
  rig.say(0, "b", kNoon + 2 * kSecondUs);
  const auto read = [&] { rig.pass(ms(500), ms(10)); };
  read();
  EXPECT_EQ(rig.pending(), 2U);  // t1 has no time yet
  rig.say(1, "c", kNoon + ms(1249));
  read();
  EXPECT_EQ(rig.pending(), 3U);  // its watermark stands in the tick of a
  rig.say(1, "d", kNoon + ms(1250));
  read();
  EXPECT_TRUE(rig.folded("a"));  // and now behind it
  EXPECT_FALSE(rig.folded("b"));
  EXPECT_EQ(rig.pending(), 3U);
  EXPECT_EQ(rig.account().consumed, 1U);
}

// Each record in the same second: however many they are, only so many wait.
TEST(TimeTicks, WhatIsHeldIsBounded) {
  Rig rig({"t0", "t1"});
  constexpr uint32_t kHeld = 64;
  rig.options.tick_records = kHeld;
  rig.config.engine.batch = 32;
  for (int i = 0; i < 20'000; ++i) rig.say(0, "a" + std::to_string(i), kNoon + i % 900 * ms(1));
  rig.say(1, "b", kNoon + ms(500));
  rig.source.parts[1].away = true;  // and nothing closes at all
  rig.read(500);
  EXPECT_LE(rig.pending_most, kHeld + 32);
  EXPECT_EQ(rig.account().consumed, 0U);
  rig.source.parts[1].away = false;
  rig.pass(20 * kSecondUs, ms(20));
  EXPECT_LE(rig.pending_most, 2 * kHeld + 2 * 32);
  EXPECT_EQ(rig.account().consumed, 20'001U);
  EXPECT_GT(rig.account().late, 10'000U);  // the watermark rose inside the lateness
  rig.expect_same_by_control_log();
}

#ifdef __SANITIZE_ADDRESS__
// Of its allocator, which mallinfo2() does not know; Debian's compiler comes without the header.
extern "C" size_t __sanitizer_get_current_allocated_bytes();  // NOLINT
#endif
size_t bytes_in_use() {
#ifdef __SANITIZE_ADDRESS__
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

// Records of yesterday, one after the other as fast as they can be read, into one partition while the other lives on:
// each is folded, late, under its own time; the other one's are on time; and memory is what it was after half of
// them. BELLWETHER_TEST_OLD_RECORDS=10000000 is the whole.
TEST(TimeTicks, OldRecordsIntoALivePartition) {
  const char* asked = std::getenv("BELLWETHER_TEST_OLD_RECORDS");
  const int64_t records = asked != nullptr ? std::atoll(asked) : 300'000;
  Rig rig({"live", "old"});
  rig.notes.keep = false;
  rig.options.commit_now = nullptr;  // as often as the clock says
  rig.config.engine.commit_mb = 4, rig.config.engine.cache_mb = 16;
  rig.say(0, "l", kNoon), rig.say(1, "l", kNoon);
  rig.pass(kSecondUs);
  int64_t lived = 0;
  size_t after_half = 0;
  for (int64_t i = 0; i < records;) {
    for (int n = 0; n < 1000 && i < records; ++n, ++i)
      rig.line(1, like(std::to_string(i), kNoon - kDayUs + i % 1'000'000, "p", "u" + std::to_string(i % 5000)));
    while (rig.source.parts[1].at < rig.source.parts[1].end()) {
      rig.clock += ms(1);
      if (++lived % 8 == 0) rig.line(0, like("l" + std::to_string(lived), rig.clock, "p", "live"), rig.clock);
      rig.step();
    }
    for (const size_t p : {0, 1}) rig.source.forget(p, 2 * kTickRecordsMax + 2000);
    if (i == records / 2) after_half = bytes_in_use();
  }
  rig.pass(20 * kSecondUs, ms(100));
  const Account a = rig.account();
  EXPECT_EQ(a.late, static_cast<uint64_t>(records));
  EXPECT_EQ(a.consumed, static_cast<uint64_t>(records + 2 + lived / 8));
  EXPECT_EQ(rig.notes.count, static_cast<uint64_t>(records + 2 + lived / 8));
  EXPECT_LE(rig.pending_most, 2U * kTickRecordsMax + 2 * rig.config.engine.batch);
  ASSERT_GT(after_half, 0U);
  EXPECT_LE(bytes_in_use(), after_half + (size_t{16} << 20));
}

TEST(TimeTicks, NobodyIsReadFarAhead) {
  Rig rig({"t0", "t1", "t2"});
  std::mt19937_64 random(3);
  std::vector<std::vector<int64_t>> times(3);
  for (size_t p = 0; p < 3; ++p) {
    rig.source.parts[p].per_poll = 1;
    int64_t now = kNoon;
    for (int i = 0; i < 400; ++i) {
      now += static_cast<int64_t>(random() % (p == 0 ? 50 : p == 1 ? 2000 : 300)) * 1000;
      times[p].push_back(now);
      rig.say(p, std::to_string(p) + "-" + std::to_string(i), now);
    }
  }
  int ahead_most_s = 0, polls = 0;
  rig.source.on_poll = [&](size_t p, size_t) {
    // Where each stood when this poll was made, by its newest record.
    int64_t lowest = INT64_MAX, mine = INT64_MIN;
    for (size_t q = 0; q < 3; ++q) {
      const size_t read = rig.source.parts[q].at - (q == p ? 1 : 0);
      if (read == times[q].size() && q != p) continue;  // it has ended
      const int64_t newest = read == 0 || rig.source.parts[q].at == 0 ? INT64_MIN : times[q][read - 1];
      lowest = std::min(lowest, newest);
      if (q == p) mine = newest;
    }
    if (lowest == INT64_MIN || mine == INT64_MIN) return;
    ++polls;
    EXPECT_LE(slot_of(mine) - slot_of(lowest), 5 * kSecondUs / kSlotUs) << "partition " << p;
    ahead_most_s = std::max(ahead_most_s, static_cast<int>((mine - lowest) / kSecondUs));
  };
  for (int i = 0; i < 40; ++i) {  // now and then the slow one has no leader
    rig.source.parts[1].away = i % 2 == 1;
    rig.pass(kSecondUs, ms(20));
  }
  rig.pass(30 * kSecondUs);
  EXPECT_EQ(rig.account().applied, 1200U);
  EXPECT_EQ(rig.account().late, 0U);
  EXPECT_GT(polls, 500);
  EXPECT_GE(ahead_most_s, 4);  // the bound was reached
}

TEST(TimeTicks, DayResolutionIsOneTickADay) {
  Rig rig({"t0", "t1"});
  rig.source.file = true;
  const int64_t first = day_of(kNoon) * kDayUs;
  for (int day = 0; day < 4; ++day) {
    for (int i = 0; i < 3000; ++i)
      rig.say(i % 3 == 0, std::to_string(day) + "-" + std::to_string(i), first + day * kDayUs);
  }
  rig.read_to_end();
  EXPECT_EQ(rig.account().applied, 12'000U);
  std::set<TickId> ticks;
  for (int day = 0; day < 4; ++day) ticks.insert({slot_of(first + day * kDayUs), 0});
  EXPECT_EQ(rig.notes.ticks, ticks);

  // More of a day than a tick holds, and the files not quite in order of days: each is counted, under its own day.
  Rig small({"t0", "t1"});
  small.source.file = true;
  small.options.tick_records = 100;
  for (int day = 0; day < 4; ++day) {
    for (int i = 0; i < 500; ++i) {
      const int64_t time = first + (day - (i % 50 == 49 ? 1 : 0)) * kDayUs;
      small.say(i % 3 == 0, std::to_string(day) + "-" + std::to_string(i), time);
    }
  }
  small.read_to_end();
  EXPECT_EQ(small.account().consumed, 2000U);
  EXPECT_EQ(small.account().dead_lettered, 0U);
  EXPECT_EQ(small.account().late, 40U);
  for (int day = 0; day < 4; ++day)
    EXPECT_EQ(small.notes.folds[std::to_string(day) + "-49"].time_us, first + (day - 1) * kDayUs);
  EXPECT_LE(small.pending_most, 2 * (100U + small.config.engine.batch));
}

// All operators over centuries: each event is counted on its day, days turn, windows pass, and a second run over the
// same file, killed half-way, comes to the same dump.
TEST(TimeTicks, BeforeTheYear1970AndAfter2200) {
  const auto time = [](const char* text) {
    int64_t us = 0;
    EXPECT_TRUE(parse_time(text, us)) << text;
    return us;
  };
  struct Case {
    const char *from, *to;
  };
  for (const Case& c : {Case{"1899-12-31T23:59:59.999999Z", "1900-01-01T00:00:00Z"},
                        Case{"1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z"},
                        Case{"2199-12-31T23:59:59.999999Z", "2200-01-01T00:00:00Z"},
                        Case{"2261-12-30T23:59:59.999999Z", "2261-12-31T00:00:00Z"},
                        Case{"1700-01-01T00:00:00Z", "2261-12-31T00:00:00Z"}}) {
    const int64_t from = time(c.from), to = time(c.to);
    std::vector<std::string> lines = {post_of("1", from, "ann"), post_of("2", to, "bob"), post_of("3", to, "ann"),
                                      like("4", to + kSecondUs, "p3", "bob")};
    std::string first;
    for (const bool killed : {false, true}) {
      const auto store = make_memory_store();
      if (killed) {
        RunOptions options;
        Engine* engine = nullptr;
        int left = 2;
        options.started = [&](Engine& e) { engine = &e; };
        options.change = [&](EngineOptions& o) {
          o.commit_now = [&] {
            if (--left < 0) engine->abandon();
            return true;
          };
        };
        run_engine(default_config(), *store, {lines}, options);
      }
      const auto published = run_engine(default_config(), *store, {lines});
      ASSERT_NE(published, nullptr);
      EXPECT_EQ(published->account().applied, 4U) << c.from;
      EXPECT_EQ(days_of(*published, "bob"), (std::vector<int64_t>{day_of(to)})) << c.from;
      const std::vector<int64_t> both = {day_of(from), day_of(to)};
      EXPECT_EQ(days_of(*published, "ann"), to - from < kDayUs ? both : std::vector<int64_t>{day_of(to)}) << c.from;
      if (killed) {
        EXPECT_EQ(dump_text(*published), first) << c.from;
      }
      first = dump_text(*published);
    }
  }
}

}  // namespace
}  // namespace bellwether

// The schedule on random streams against a plain recomputation, restarted at every tick of them; and its memory.
#include <malloc.h>

#include <algorithm>
#include <optional>
#include <random>

#include "schedule_rig.h"

namespace bellwether::schedule_random_test {
namespace {

using namespace scheduling;

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
}  // namespace bellwether::schedule_random_test

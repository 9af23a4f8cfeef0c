// Law 1 and law 5 on the engine as a whole, with toy operators: the same logs give the same bytes whatever the shards,
// threads, batches, commits and restarts.
#include <gtest/gtest.h>

#include <random>

#include "engine_toys.h"
#include "pipeline/tools/times.h"

namespace bellwether::engine_test {
namespace {

using namespace toys;

constexpr int64_t kStart = 1'700'000'000'000'000;  // not at the beginning of a slot, hour or day

std::string like(const std::string& id, int64_t time_us, int user, int post, int author) {
  return R"({"id":")" + id + R"(","time":")" + time_text(time_us) + R"(","user":"u)" + std::to_string(user) +
         R"(","like":{"post":"p)" + std::to_string(post) + R"(","author":"u)" + std::to_string(author) +
         R"(","kind":"LIKE_KIND_LIKE"}})";
}

struct Input {
  std::vector<std::vector<std::string>> partitions;
  size_t records = 0;
};

// Quiet and crowded times over some days; duplicates, late ones, dead letters, out of order within the lateness.
Input make_input(uint32_t seed, int events, int partitions) {
  std::mt19937 random(seed);
  Input input;
  input.partitions.resize(partitions);
  std::vector<int64_t> now(partitions, kStart);
  for (int i = 0; i < events; ++i) {
    const size_t p = random() % partitions;
    const uint32_t what = random() % 1000;
    if (what < 5) {
      now[p] += static_cast<int64_t>(random() % 40) * kMinuteUs * 10;
    } else if (what < 300) {
      now[p] += random() % 3'000'000;
    } else {
      now[p] += random() % 2'000;
    }
    const int64_t jitter = random() % 900'000;
    const int64_t late = what % 97 == 0 ? 20 * kSecondUs : 0;
    auto& lines = input.partitions[p];
    if (what % 101 == 0) {
      lines.push_back("{broken " + std::to_string(i));
    } else if (what % 103 == 0) {
      lines.push_back(like("f" + std::to_string(i), kStart + 300 * kDayUs, 1, 1, 1));
    } else {
      const std::string id = "e" + std::to_string(i);
      lines.push_back(like(id, now[p] - jitter - late, random() % 300, random() % 100, random() % 40));
      if (what % 31 == 0) lines.push_back(lines.back()), ++input.records;  // the same record again
      if (what % 37 == 0) input.partitions[(p + 1) % partitions].push_back(lines.back()), ++input.records;
    }
    ++input.records;
  }
  return input;
}

struct HowRun {
  uint32_t shards = 1, threads = 1, batch = 1000, cache_mb = 64;
  uint32_t tick_records = 32;
  int commit_seed = 0;  // 0: only at the end
  int commit_one_in = 40;
  int kills = 0;
  int kill_within = 600;  // ticks and chunks, of some 4,000
  size_t timer_rows = 1 << 18;
  size_t parallel_items = 8;
  bool inline_ingest = true;
  bool in_flight = false;  // each commit stays under way until the next one is asked for
  size_t held_bytes = 0;
};

struct Result2 {
  std::vector<std::string> rows;
  Account account;
  std::vector<Account> by_partition;
  uint64_t ticks = 0, commits = 0;
  std::array<uint64_t, kReasons> dead{};
  // Restarts that found something waiting in the store: messages that a tick left over, results of analyses.
  size_t with_leftovers = 0, with_findings = 0;
  size_t held_most = 0;  // bytes of records that waited, between turns of the engine; inline_ingest only
};

void rows_of(const Store& store, Family family, std::string_view from, std::string_view to,
             std::vector<std::string>& out) {
  ASSERT_TRUE(store.snapshot()
                  ->scan(family, from, to,
                         [&](std::string_view key, std::string_view value) {
                           out.push_back(std::to_string(static_cast<int>(family)) + ":" + std::string(key) + "=" +
                                         std::string(value));
                           return true;
                         })
                  .ok());
}

void read_outcome(const Store& store, Result2& out) {
  for (const Family family : {Family::kState, Family::kLedger, Family::kViews, Family::kTimers})
    rows_of(store, family, {}, {}, out.rows);
  ControlLog control;
  ASSERT_TRUE(read_control(store, control).ok());
  std::vector<std::string> floors;  // their numbers tell who ended first, which depends on the polls
  for (const auto& [number, row] : control.floors)
    floors.push_back(row.partition.topic + " from " + std::to_string(row.from_offset) + " slot " +
                     std::to_string(row.slot));
  std::sort(floors.begin(), floors.end());
  out.rows.insert(out.rows.end(), floors.begin(), floors.end());
  rows_of(store, Family::kMeta, keys::counter_begin(), keys::counter_end(), out.rows);
  std::shared_ptr<const Published> published;
  ASSERT_TRUE(read_published(store, toy_operators(), published).ok());
  out.account = published->account();
  for (const PartitionState& p : published->partitions()) out.by_partition.push_back(p.account);
  out.ticks = published->progress().ticks;
  out.dead = published->progress().dead;
}

Config config_of(const HowRun& setup) {
  Config config = default_config();
  config.engine.shards = setup.shards, config.engine.threads = setup.threads, config.engine.batch = setup.batch;
  config.engine.cache_mb = setup.cache_mb, config.engine.commit_mb = 4;
  return config;
}

Result2 run(const Input& input, const HowRun& setup) {
  Result2 out;
  auto store = make_memory_store();
  std::mt19937 random(setup.commit_seed);
  for (int attempt = 0;; ++attempt) {
    VectorSource source;
    for (size_t p = 0; p < input.partitions.size(); ++p) source.add("t" + std::to_string(p), input.partitions[p]);
    EngineOptions options;
    options.floors = false;
    options.inline_ingest = setup.inline_ingest;
    options.inline_commit = setup.in_flight;
    options.held_bytes = setup.held_bytes;
    options.file_append_us = kStart + 100 * kDayUs;
    int64_t clock = 0;
    options.clock_us = [&clock] { return clock; };  // stands still: no commit by time
    options.tick_records = setup.tick_records;
    options.fold.parallel_items = setup.parallel_items, options.fold.parallel_rows = 1;
    options.fold.job_rows = 7;
    options.fold.timer_rows = setup.timer_rows;
    options.fold.dead_rows = 20;
    std::unique_ptr<Engine> engine;
    const bool kill = attempt < setup.kills;
    int left = kill ? static_cast<int>(random() % setup.kill_within) : -1;
    options.commit_now = [&] {
      if (kill && --left < 0) engine->abandon();
      return setup.commit_seed != 0 && random() % setup.commit_one_in == 0;
    };
    Status status = Engine::open(config_of(setup), toy_operators(), *store, {{&source, false}}, options, engine);
    EXPECT_TRUE(status.ok()) << status.message;
    if (setup.inline_ingest && !kill) {
      for (bool done = false; status.ok() && !done;) {
        status = engine->step(done);
        out.held_most = std::max(out.held_most, engine->figures().held_bytes);
      }
      if (status.ok()) status = engine->finish();
    } else {
      status = engine->run();
    }
    EXPECT_TRUE(status.ok()) << status.message;
    out.commits += engine->figures().commit.commits;
    if (!kill) break;
    engine.reset();
    std::shared_ptr<const Published> found;
    if (!read_published(*store, toy_operators(), found).ok()) continue;
    out.with_leftovers += !found->progress().leftovers.empty();
    out.with_findings += !found->progress().findings.empty();
  }
  read_outcome(*store, out);
  return out;
}

void expect_same(const Result2& a, const Result2& b) {
  EXPECT_EQ(a.account, b.account);
  EXPECT_EQ(a.by_partition, b.by_partition);
  EXPECT_EQ(a.ticks, b.ticks);
  EXPECT_EQ(a.dead, b.dead);
  ASSERT_EQ(a.rows.size(), b.rows.size());
  size_t differ = 0;
  for (size_t i = 0; i < a.rows.size(); ++i) {
    if (a.rows[i] == b.rows[i]) continue;
    if (++differ < 4) ADD_FAILURE() << testing::PrintToString(a.rows[i]) << "\n" << testing::PrintToString(b.rows[i]);
  }
  EXPECT_EQ(differ, 0u);
}

const Input& input() {
  static const Input it = make_input(7, 6000, 3);
  return it;
}
const Result2& reference() {
  static const Result2 it = run(input(), {});
  return it;
}

TEST(Engine, AccountsForEveryRecord) {
  const Account a = reference().account;
  EXPECT_EQ(a.consumed, input().records);
  EXPECT_EQ(a.consumed, a.applied + a.duplicate + a.late + a.dead_lettered);
  EXPECT_GT(a.applied, 3000u);
  EXPECT_GT(a.duplicate, 10u);
  EXPECT_GT(a.late, 10u);
  EXPECT_EQ(a.dead_lettered, reference().dead[static_cast<size_t>(Reason::kUndecodable)] +
                                 reference().dead[static_cast<size_t>(Reason::kFuture)]);
  EXPECT_GT(reference().dead[static_cast<size_t>(Reason::kFuture)], 10u);
}

// The input must reach what the comparisons below are meant to compare.
TEST(Engine, InputReachesEverything) {
  size_t timers = 0, dead = 0, changes = 0, lists = 0, blocks = 0;
  for (const std::string& row : reference().rows) {
    timers += row.starts_with("6:"), blocks += row.starts_with("1:");
    dead += row.starts_with("2:D"), changes += row.starts_with("2:C"), lists += row.starts_with("2:B");
  }
  EXPECT_GT(timers, 50u);
  EXPECT_EQ(dead, 20u);
  EXPECT_GT(changes, 100u);
  EXPECT_GT(lists, 30u);
  EXPECT_GT(blocks, 4000u);
  EXPECT_GT(reference().ticks, 1000u);
}

TEST(Engine, SameForAnyShardsThreadsAndBatches) {
  for (const uint32_t shards : {2u, 8u}) expect_same(reference(), run(input(), {.shards = shards}));
  for (const uint32_t threads : {2u, 4u}) expect_same(reference(), run(input(), {.shards = 8, .threads = threads}));
  for (const uint32_t batch : {1u, 7u, 10'000u}) expect_same(reference(), run(input(), {.shards = 2, .batch = batch}));
  expect_same(reference(), run(input(), {.shards = 2, .threads = 2, .inline_ingest = false}));
}

// Which tick a record belongs to must not hear of how much memory there is.
TEST(Engine, SameHoweverLittleMayWait) {
  for (const size_t bytes : {size_t{1}, size_t{3'000}, size_t{40'000}}) {
    const Result2 out = run(input(), {.shards = 2, .batch = 20, .held_bytes = bytes});
    expect_same(reference(), out);
    expect_same(reference(), run(input(), {.shards = 2, .threads = 2, .inline_ingest = false, .held_bytes = bytes}));
  }
}

TEST(Engine, WhatWaitsStaysWithinItsBytes) {
  // Thirty partitions whose records all lie within a second: nothing closes before each was read through.
  Input crowd;
  crowd.partitions.resize(30);
  for (int i = 0; i < 6000; ++i) {
    std::string line = like("e" + std::to_string(i), kStart + i % 900'000, i % 300, i % 100, i % 40);
    line.insert(1, "\"padding\":\"" + std::string(5'000, 'x') + "\",");
    crowd.partitions[i % 30].push_back(std::move(line));
  }
  const Result2 whole = run(crowd, {.batch = 10, .tick_records = 65'536});
  EXPECT_EQ(whole.account.consumed, 6000u);
  // As lines they are 30 MB.
  EXPECT_LT(whole.held_most, size_t{8} << 20);
  EXPECT_GT(whole.held_most, size_t{2} << 20);
}

TEST(Engine, NobodyIsReadFarAheadOfASilentPartition) {
  std::vector<std::string> loud;
  for (int i = 0; i < 20'000; ++i) loud.push_back(like("e" + std::to_string(i), kStart + i, i % 300, i % 100, i % 40));
  const auto held = [&loud](size_t most) {
    VectorSource source;
    source.live = true;
    source.add("silent", {}), source.add("loud", loud);
    EngineOptions options;
    options.floors = false, options.inline_ingest = true, options.held_bytes = most;
    options.clock_us = [] { return int64_t{0}; };
    auto store = make_memory_store();
    std::unique_ptr<Engine> engine;
    EXPECT_TRUE(
        Engine::open(config_of({.batch = 100}), toy_operators(), *store, {{&source, true}}, options, engine).ok());
    bool done = false;
    for (int i = 0; i < 400 && !done; ++i) EXPECT_TRUE(engine->step(done).ok());
    return engine->figures().held_bytes;
  };
  EXPECT_GT(held(size_t{1} << 30), size_t{5} << 20);
  const size_t tight = held(200'000);
  EXPECT_GE(tight, 200'000u);
  EXPECT_LT(tight, 200'000u + 100'000);  // and the last batch
}

TEST(Engine, SameWhereverCommitsFall) {
  for (int seed = 1; seed <= 4; ++seed) {
    const Result2 out = run(input(), {.shards = 4, .commit_seed = seed});
    EXPECT_GT(out.commits, 20u);
    expect_same(reference(), out);
  }
  expect_same(reference(), run(input(), {.cache_mb = 1, .commit_seed = 5, .timer_rows = 3}));
}

// What a commit carries that has not reached the store yet (ledger blocks, states, timers, lists) is read all the same:
// here each commit is under way while the ticks up to the next one fold, with a cache too small to hold what they need.
TEST(Engine, SameWhileACommitIsUnderWay) {
  for (int seed = 1; seed <= 3; ++seed) {
    const Result2 out =
        run(input(), {.shards = 2, .cache_mb = 1, .commit_seed = seed, .timer_rows = 3, .in_flight = true});
    EXPECT_GT(out.commits, 20u);
    expect_same(reference(), out);
    expect_same(reference(), run(input(), {.commit_seed = seed, .kills = 8, .in_flight = true}));
  }
}

TEST(Engine, SameWhereverItIsKilled) {
  for (int seed = 1; seed <= 6; ++seed) {
    HowRun how{.shards = 2, .batch = seed % 2 ? 50u : 1000u, .commit_seed = seed, .kills = 8};
    if (seed == 6) how.inline_ingest = false;
    expect_same(reference(), run(input(), how));
  }
}

// Every tick is committed, so that what a tick leaves to a later one is what the next process begins with.
TEST(Engine, NothingThatWaitsIsForgottenInARestart) {
  size_t leftovers = 0, findings = 0;
  for (int seed = 1; seed <= 2; ++seed) {
    const Result2 out =
        run(input(), {.shards = 2, .commit_seed = seed, .commit_one_in = 1, .kills = 25, .kill_within = 250});
    expect_same(reference(), out);
    leftovers += out.with_leftovers, findings += out.with_findings;
  }
  EXPECT_GT(leftovers, 1u);
  EXPECT_GT(findings, 1u);
}

// Runs that all forget the same thing are as like each other as those that forget nothing: so what must arrive is
// counted.
TEST(Engine, AChainLongerThanATickArrives) {
  constexpr size_t kHops = 40;  // toys::ToyPeople
  Input some;
  some.partitions.resize(1);
  for (int i = 0; i < 300; ++i) some.partitions[0].push_back(like("c" + std::to_string(i), kStart + i, i, 1, 2));
  some.records = 300;
  const Hasher hasher{Config().community.hash_key};
  size_t chains = 0;
  for (int i = 0; i < 300; ++i) chains += hasher(KeyKind::kEvent, "c" + std::to_string(i)) % 20 == 0;
  ASSERT_GT(chains, 5U);
  size_t posts = 0;  // states of the posts' operator: the post itself, and one for each hop
  for (const std::string& row : run(some, {}).rows) posts += row.starts_with("0:") && row[4] == 0 && row[5] == 2;
  EXPECT_EQ(posts, 1 + kHops * chains);
}

TEST(Engine, FailedWriteStopsAndLosesNothing) {
  MemoryFaults faults;
  auto store = make_memory_store(&faults);
  for (const int64_t writes : {int64_t{12}, int64_t{-1}}) {
    VectorSource source;
    for (size_t p = 0; p < input().partitions.size(); ++p) source.add("t" + std::to_string(p), input().partitions[p]);
    EngineOptions options;
    options.floors = false, options.inline_ingest = true, options.file_append_us = kStart + 100 * kDayUs;
    options.clock_us = [] { return int64_t{0}; };
    options.tick_records = 32, options.fold.job_rows = 7, options.fold.dead_rows = 20;
    int asked = 0;
    options.commit_now = [&] { return ++asked % 30 == 0; };
    std::unique_ptr<Engine> engine;
    ASSERT_TRUE(Engine::open(config_of({}), toy_operators(), *store, {{&source, false}}, options, engine).ok());
    faults.fail_write_after = writes;
    const Status status = engine->run();
    EXPECT_EQ(status.ok(), writes < 0);
    faults.fail_write_after = -1;
  }
  Result2 out;
  read_outcome(*store, out);
  expect_same(reference(), out);
}

TEST(Engine, RefusesAnotherConfigurationAndKeepsVersions) {
  auto store = make_memory_store();
  const auto open = [&](const Config& config, const std::vector<std::string>& lines) {
    VectorSource source;
    source.add("f", lines);
    EngineOptions options;
    options.floors = false, options.inline_ingest = true;
    std::unique_ptr<Engine> engine;
    Status status = Engine::open(config, toy_operators(), *store, {{&source, false}}, options, engine);
    if (status.ok()) status = engine->run();
    return status;
  };
  Config config = default_config();
  ASSERT_TRUE(open(config, {like("a", kStart, 1, 1, 2)}).ok());
  Config other = config;
  other.community.hash_key = "other";
  EXPECT_NE(open(other, {}).message.find("hash_key"), std::string::npos);
  other = config;
  other.engine.lateness_ms = 2000;
  EXPECT_NE(open(other, {}).message.find("lateness_ms"), std::string::npos);
  other = config;
  other.community.window_days = 90;
  EXPECT_NE(open(other, {}).message.find("window_days"), std::string::npos);
  other = config;
  other.community.version = "2";
  ASSERT_TRUE(open(other, {like("a", kStart, 1, 1, 2), like("b", kStart + kDayUs, 1, 1, 2)}).ok());
  std::shared_ptr<const Published> published;
  ASSERT_TRUE(read_published(*store, toy_operators(), published).ok());
  ASSERT_EQ(published->versions().size(), 2u);
  EXPECT_EQ(published->community().version, "2");
  EXPECT_GT(published->versions()[1].from_slot, slot_of(kStart));
  EXPECT_EQ(published->account().consumed, 2u);
}

// Live, with a clock in hand: idle floors let the others go on, quiet floors let time pass, and both are found again
// after a restart.
TEST(Engine, IdleAndQuietFloors) {
  auto store = make_memory_store();
  int64_t clock = kStart;
  VectorSource source;
  source.live = true;
  source.add("t0", {});
  source.add("t1", {});
  EngineOptions options;
  options.inline_ingest = true;
  options.clock_us = [&clock] { return clock; };
  std::unique_ptr<Engine> engine;
  int steps = 0, most = 200;
  int64_t step_us = 0;
  options.commit_now = [&] {
    clock += step_us;
    if (++steps >= most) engine->stop();
    return true;
  };
  const auto go = [&](int n, int64_t us) {
    steps = 0, most = n, step_us = us;
    ASSERT_TRUE(Engine::open(default_config(), toy_operators(), *store, {{&source, true}}, options, engine).ok());
    ASSERT_TRUE(engine->run().ok());
  };
  source.lines[0] = {like("a", kStart, 1, 1, 2), like("b", kStart + kSecondUs, 1, 1, 2)};
  go(50, 1000);  // 50 ms: t1 is empty, but not yet idle
  EXPECT_EQ(engine->published()->account().consumed, 0u);
  EXPECT_EQ(engine->figures().pending, 2u);
  go(100, 50'000);  // 5 s: all are empty for a second, time passes
  EXPECT_EQ(engine->published()->account().consumed, 2u);
  const int64_t slot = engine->published()->tick().slot;
  EXPECT_EQ(slot, slot_of(kStart + kSecondUs));
  go(200, kSecondUs);  // 200 s: the timer of one minute
  EXPECT_EQ(engine->published()->tick().slot, slot_of(kStart) + 60 * 4);
  source.lines[1] = {like("c", kStart + 2 * kSecondUs, 3, 1, 2)};  // behind the floor of t1
  go(100, kSecondUs);
  EXPECT_EQ(engine->published()->account().late, 1u);
  EXPECT_EQ(engine->published()->account().consumed, 3u);
}

TEST(Engine, UntilEndReadsWhatIsThere) {
  auto store = make_memory_store();
  VectorSource source;
  source.live = true;
  source.add("t0", {like("a", kStart, 1, 1, 2), like("b", kStart + kHourUs, 1, 1, 2)});
  source.add("t1", {like("c", kStart + kMinuteUs, 1, 1, 2)});
  source.add("t2", {});
  EngineOptions options;
  options.inline_ingest = true, options.until_end = true;
  std::unique_ptr<Engine> engine;
  ASSERT_TRUE(Engine::open(default_config(), toy_operators(), *store, {{&source, true}}, options, engine).ok());
  ASSERT_TRUE(engine->run().ok());
  EXPECT_EQ(engine->published()->account().consumed, 3u);
  EXPECT_EQ(engine->published()->account().applied, 3u);
}

// Old records are found by a new partition's floor: late, never lost.
TEST(Engine, NewPartitionJoinsAtTheOpenTick) {
  auto store = make_memory_store();
  for (int round = 0; round < 2; ++round) {
    VectorSource source;
    source.add("f" + std::to_string(round), {like("a" + std::to_string(round), kStart, 1, 1, 2), "nonsense"});
    EngineOptions options;
    options.floors = false, options.inline_ingest = true;
    std::unique_ptr<Engine> engine;
    ASSERT_TRUE(Engine::open(default_config(), toy_operators(), *store, {{&source, false}}, options, engine).ok());
    ASSERT_TRUE(engine->run().ok());
    const Account a = engine->published()->account();
    EXPECT_EQ(a.consumed, 2u * (round + 1));
    EXPECT_EQ(a.late, static_cast<uint64_t>(round));
    EXPECT_EQ(a.dead_lettered, 1u + round);
  }
}

TEST(Engine, OnlyDeadLettersAreCountedToo) {
  auto store = make_memory_store();
  VectorSource source;
  source.add("f", {"x", "y", "z"});
  EngineOptions options;
  options.floors = false, options.inline_ingest = true;
  std::unique_ptr<Engine> engine;
  ASSERT_TRUE(Engine::open(default_config(), toy_operators(), *store, {{&source, false}}, options, engine).ok());
  ASSERT_TRUE(engine->run().ok());
  EXPECT_EQ(engine->published()->account().dead_lettered, 3u);
  EXPECT_EQ(engine->published()->progress().ticks, 0u);
}

}  // namespace
}  // namespace bellwether::engine_test

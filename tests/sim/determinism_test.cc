// Law 1: the state is a function of the log. The same records give the same dump, byte for byte, whatever the shards,
// threads, batches and partitions, and wherever the engine was killed.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/model/communities.h"
#include "tests/model/events.h"
#include "tests/model/harness.h"

namespace bellwether {
namespace {

using Partitions = std::vector<std::vector<std::string>>;

Config config_of(uint32_t shards = 1, uint32_t threads = 1, uint32_t batch = 1024) {
  Config config = default_config();
  config.engine.shards = shards, config.engine.threads = threads, config.engine.batch = batch;
  return config;
}

std::string dump_of(const Config& config, const Partitions& partitions, const RunOptions& options = {}) {
  const auto store = make_memory_store();
  const auto published = run_engine(config, *store, partitions, options);
  if (published == nullptr) return "";
  EXPECT_TRUE(published->account().balanced());
  size_t records = 0;
  for (const auto& p : partitions) records += p.size();
  EXPECT_EQ(published->account().consumed, records);
  return dump_text(*published);
}

// Says where two dumps part, not all of both.
void expect_same(const std::string& got, const std::string& wanted, const std::string& when) {
  if (got == wanted) return;
  size_t at = 0;
  while (at < std::min(got.size(), wanted.size()) && got[at] == wanted[at]) ++at;
  const size_t line = got.rfind('\n', at) == std::string::npos ? 0 : got.rfind('\n', at) + 1;
  ADD_FAILURE() << when << ": the dumps differ at byte " << at << ":\n"
                << got.substr(line, 700) << "\nwanted\n"
                << wanted.substr(std::min(line, wanted.size()), 700);
}

// A community with two rings, whose flags are judged: one dismissed, the others confirmed.
struct Judged {
  std::vector<std::string> records;
  std::string dump;
  size_t flags = 0;
};
const Judged& judged() {
  static const Judged made = [] {
    Judged j;
    j.records =
        community_records({.users = 400, .days = 40, .seed = 11, .rings = {"20x10:0.9:burst", "25x12:0.9:spread"}});
    const auto store = make_memory_store();
    const auto published = run_engine(config_of(), *store, {j.records});
    if (published == nullptr) return j;
    const std::string dump = dump_text(*published);
    const int64_t last = time_of(j.records.back());
    std::vector<std::string> verdicts;
    static constexpr std::string_view kFlag = "{\"type\":\"flag\",\"id\":\"";
    for (size_t at = dump.find(kFlag); at != std::string::npos; at = dump.find(kFlag, at + 1)) {
      const size_t from = at + kFlag.size();
      const std::string flag = dump.substr(from, dump.find('"', from) - from);
      verdicts.push_back(
          verdict_record("verdict " + flag, flag, j.flags++ == 0 ? Decision::kDismissed : Decision::kConfirmed, last));
    }
    j.records.insert(j.records.end(), verdicts.begin(), verdicts.end());
    j.dump = dump_of(config_of(), {j.records});
    return j;
  }();
  return made;
}

// A stream of everything, out of order and broken.
const std::vector<std::string>& mixed() {
  static const std::vector<std::string> records = [] {
    std::vector<std::string> all;
    for (const model::Event& e :
         model::make_stream({.seed = 77, .days = 230, .users = 60, .posts = 80, .events = 4000}))
      all.push_back(model::wire(e));
    return all;
  }();
  return records;
}

TEST(Determinism, TheRingsAreFlaggedAtAll) {
  ASSERT_GE(judged().flags, 2U);
  EXPECT_NE(judged().dump.find("\"status\":\"dismissed\""), std::string::npos);
  EXPECT_NE(judged().dump.find("\"status\":\"confirmed\""), std::string::npos);
}

TEST(Determinism, ShardsThreadsAndBatches) {
  const std::string plain = dump_of(config_of(), {mixed()});
  for (const uint32_t shards : {1U, 2U, 8U}) {
    for (const uint32_t batch : {1U, 7U, 10'000U}) {
      const std::string when = std::to_string(shards) + " shards, batches of " + std::to_string(batch);
      // Rounds of one item are folded by the threads too.
      const RunOptions options{.change = [](EngineOptions& o) { o.fold.parallel_items = o.fold.parallel_rows = 1; }};
      expect_same(dump_of(config_of(shards, shards, batch), {judged().records}, options), judged().dump, when);
      expect_same(dump_of(config_of(shards, shards, batch), {mixed()}, options), plain, when);
    }
  }
}

TEST(Determinism, ASmallCacheAndMoreShardsThanThreads) {
  Config config = config_of(5, 2);
  config.engine.cache_mb = 1;
  model::Dice dice(3);
  // Something must be committed for anything to leave the cache.
  const RunOptions options{.change = [&](EngineOptions& o) { o.commit_now = [&] { return dice.below(200) == 0; }; }};
  expect_same(dump_of(config, {judged().records}, options), judged().dump, "a cache of 1 MB");
}

TEST(Determinism, StatesPackedAfterEachFold) {
  for (const uint32_t after : {0U, 1U, 50U}) {
    const RunOptions options{
        .change = [&](EngineOptions& o) { o.fold.packs_above_permille = 0, o.fold.packs_after = after; }};
    expect_same(dump_of(config_of(3, 2), {judged().records}, options), judged().dump, "packed");
  }
}

TEST(Determinism, PatchesOfRows) {
  for (const uint32_t after : {0U, 1U << 15}) {
    model::Dice dice(after + 4);
    Config config = config_of(3, 2);
    config.engine.cache_mb = 1;
    const RunOptions options{.change = [&](EngineOptions& o) {
      o.fold.patch_always = true;
      o.fold.packs_above_permille = 0, o.fold.packs_after = after;
      o.commit_now = [&] { return dice.below(20) == 0; };
    }};
    expect_same(dump_of(config, {judged().records}, options), judged().dump, "patches");
  }
}

TEST(Determinism, FewRecordsATickSoThatTicksArePartsOfASlot) {
  const RunOptions options{.change = [](EngineOptions& o) { o.tick_records = 2; }};
  const std::string wanted = dump_of(config_of(), {mixed()}, options);
  expect_same(dump_of(config_of(4, 2, 7), {mixed()}, options), wanted, "parts of a slot");
}

// Killed after a random number of ticks, with commits at random ticks, and opened again on what the store held: as
// often as it takes. Gives the number of kills.
int killed_and_resumed(const std::vector<std::string>& records, const std::string& wanted, uint64_t seed, int times) {
  model::Dice dice(seed);
  int all = 0;
  for (int turn = 0; turn < times; ++turn) {
    const auto store = make_memory_store();
    std::shared_ptr<const Published> published;
    int kills = 0;
    for (bool done = false; !done;) {
      Engine* engine = nullptr;
      int64_t left = kills < 5 ? 1 + dice.below(static_cast<int64_t>(records.size()) / 3) : INT64_MAX;
      const int64_t commits_every = 1 + dice.below(300);
      RunOptions options;
      options.started = [&](Engine& e) { engine = &e; };
      options.change = [&](EngineOptions& o) {
        o.commit_now = [&] {
          if (--left == 0) engine->abandon();
          return dice.below(commits_every) == 0;
        };
      };
      const uint32_t shards = 1 + static_cast<uint32_t>(dice.below(6));
      published =
          run_engine(config_of(shards, 1, 1 + static_cast<uint32_t>(dice.below(500))), *store, {records}, options);
      if (published == nullptr) return all;
      done = left > 0, kills += !done;
    }
    all += kills;
    EXPECT_TRUE(published->account().balanced());
    EXPECT_EQ(published->account().consumed, records.size());
    expect_same(dump_text(*published), wanted,
                "turn " + std::to_string(turn) + " with " + std::to_string(kills) + " kills");
    if (testing::Test::HasFailure()) break;
  }
  return all;
}

TEST(Determinism, KilledTwentyTimesAndResumed) {
  EXPECT_GE(killed_and_resumed(judged().records, judged().dump, 5, 4), 10);
  EXPECT_GE(killed_and_resumed(mixed(), dump_of(config_of(), {mixed()}), 6, 8), 20);
}

TEST(Determinism, OneOrFourPartitionsOfUnequalSpeed) {
  for (const uint64_t seed : {1, 2, 3}) {
    model::Dice dice(seed);
    Partitions four(4);
    for (const std::string& record : judged().records)
      four[static_cast<size_t>(std::max<int64_t>(0, dice.below(6) - 2))].push_back(record);
    // The third gives a record now and then, the others as many as they like.
    const RunOptions options{.speed = [&](size_t partition, size_t asked) {
      return partition == 2 ? static_cast<size_t>(dice.below(2))
                            : static_cast<size_t>(dice.below(static_cast<int64_t>(asked) + 1));
    }};
    expect_same(dump_of(config_of(3, 1, 100), four, options), judged().dump, "four partitions");
  }
}

}  // namespace
}  // namespace bellwether

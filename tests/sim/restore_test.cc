// What flags take they give back: after a dismissal users stand as if nobody had ever looked for rings, and while a
// flag is open nobody gains by it (law 4, DESIGN.md "Tiers").
#include <gtest/gtest.h>

#include <map>

#include "operators/scores.h"
#include "tests/model/communities.h"
#include "tests/model/harness.h"

namespace bellwether {
namespace {

Config config_of(bool detectors) {
  Config config = default_config();
  CommunityConfig& c = config.community;
  c.rings.enabled = c.bursts.enabled = detectors;
  // Cut-offs once sent are facts that a dismissal leaves alone: without them nobody depends on anybody else's score.
  for (TierConfig& tier : c.tiers) tier.top_permille = 0;
  c.tiers[2] = {.min_score_micros = 5'000'000, .gates = {.days_active = 2}};
  c.tiers[3] = {.min_score_micros = 20'000'000, .gates = {.days_active = 4, .distinct_likers = 3}};
  c.tiers[4] = {.min_score_micros = 60'000'000, .gates = {.days_active = 6, .distinct_likers = 10}};
  return config;
}

// The text of a member of a dump's line: of a string without its quotes, of a list or an object what stands before the
// first end of one.
std::string member(const std::string& line, const std::string& name) {
  const std::string key = "\"" + name + "\":";
  const size_t at = line.find(key);
  if (at == std::string::npos) return "";
  const size_t from = at + key.size();
  switch (line[from]) {
    case '"':
      return line.substr(from + 1, line.find('"', from + 1) - from - 1);
    case '{':
      return line.substr(from + 1, line.find('}', from + 1) - from - 1);
    case '[':
      return line.substr(from + 1, line.find(']', from + 1) - from - 1);
    default:
      return line.substr(from, line.find_first_of(",}", from) - from);
  }
}

struct World {
  std::map<std::string, std::string> users;  // their lines
  std::map<std::string, std::string> flags;
  int64_t score(const std::string& user) const { return std::stoll(member(users.at(user), "overall")); }
};

World world_of(const Config& config, const std::vector<std::string>& records) {
  const auto store = make_memory_store();
  const auto published = run_engine(config, *store, {records});
  World world;
  if (published == nullptr) return world;
  std::vector<std::string> lines;
  const Status status = dump_lines(*published, lines);
  EXPECT_TRUE(status.ok()) << status.message;
  for (const std::string& line : lines) {
    if (line.starts_with("{\"type\":\"user\"")) world.users[member(line, "id")] = line;
    if (line.starts_with("{\"type\":\"flag\"")) world.flags[member(line, "id")] = line;
  }
  return world;
}

std::vector<std::string> ringed(uint64_t seed) {
  return community_records({.users = 300, .days = 40, .seed = seed, .rings = {"20x10:0.9:burst", "20x12:0.9:spread"}});
}

// The verdicts stand at the end, with the time of the last event.
std::vector<std::string> with_verdicts(std::vector<std::string> records, const World& world, Decision decision,
                                       int64_t late_us) {
  const int64_t last = time_of(records.back()) + late_us;
  for (const auto& [flag, line] : world.flags)
    records.push_back(verdict_record("v" + std::to_string(static_cast<int>(decision)) + flag, flag, decision, last));
  return records;
}

TEST(Restore, AnOpenFlagOnlyTakes) {
  for (const uint64_t seed : {21, 22}) {
    const std::vector<std::string> records = ringed(seed);
    const World open = world_of(config_of(true), records), never = world_of(config_of(false), records);
    ASSERT_FALSE(open.flags.empty()) << seed;
    ASSERT_TRUE(never.flags.empty());
    ASSERT_EQ(open.users.size(), never.users.size());
    size_t lower = 0, rich = 0;
    for (const auto& [user, line] : never.users) {
      EXPECT_LE(open.score(user), never.score(user)) << seed << " " << user;
      lower += open.score(user) < never.score(user);
      rich += member(line, "tier") != "member";
    }
    EXPECT_GE(lower, 10U) << seed;  // the rings' targets
    EXPECT_GT(rich, 5U);
  }
}

void expect_restored(const World& got, const World& never, uint64_t seed) {
  ASSERT_EQ(got.users.size(), never.users.size());
  for (const auto& [user, line] : never.users) EXPECT_EQ(got.users.at(user), line) << "seed " << seed;
}

TEST(Restore, ADismissalLeavesNoTrace) {
  for (const uint64_t seed : {21, 22, 23}) {
    const std::vector<std::string> records = ringed(seed);
    const World open = world_of(config_of(true), records);
    ASSERT_FALSE(open.flags.empty()) << seed;
    const auto judged = with_verdicts(records, open, Decision::kDismissed, 0);
    const World dismissed = world_of(config_of(true), judged);
    for (const auto& [flag, line] : dismissed.flags) {
      if (member(line, "kind") != "ranking") {
        EXPECT_EQ(member(line, "status"), "dismissed") << line;
      }
    }
    // Verdicts on flags that were never raised change nobody.
    expect_restored(dismissed, world_of(config_of(false), judged), seed);
  }
}

TEST(Restore, ADismissalAfterTheVerdictsOfOthersDaysLater) {
  for (const uint64_t seed : {24, 25}) {
    std::vector<std::string> records = ringed(seed);
    const World open = world_of(config_of(true), records);
    ASSERT_FALSE(open.flags.empty()) << seed;
    records = with_verdicts(records, open, Decision::kConfirmed, 0);
    records = with_verdicts(records, open, Decision::kAppealed, 2 * kDayUs);
    records = with_verdicts(records, open, Decision::kReversed, 18 * kDayUs);
    expect_restored(world_of(config_of(true), records), world_of(config_of(false), records), seed);
  }
}

TEST(Restore, LikesThatComeAndGoMeanwhile) {
  for (const uint64_t seed : {28, 29}) {
    std::vector<std::string> records = with_undoes(ringed(seed), seed);
    const World open = world_of(config_of(true), records);
    ASSERT_FALSE(open.flags.empty()) << seed;
    records = with_verdicts(records, open, Decision::kDismissed, 0);
    expect_restored(world_of(config_of(true), records), world_of(config_of(false), records), seed);
  }
}

// Judged in the middle of the stream, so that likes before and after the verdict stand together.
TEST(Restore, InTheMiddleOfTheStream) {
  for (const uint64_t seed : {26, 27}) {
    std::vector<std::string> records = ringed(seed);
    const World open = world_of(config_of(true), records);
    ASSERT_FALSE(open.flags.empty()) << seed;
    const size_t at = records.size() * 9 / 10;
    const int64_t time = time_of(records[at]);
    std::vector<std::string> verdicts;
    for (const auto& [flag, line] : open.flags)
      verdicts.push_back(verdict_record("v" + flag, flag, Decision::kDismissed, time));
    records.insert(records.begin() + static_cast<ptrdiff_t>(at) + 1, verdicts.begin(), verdicts.end());
    const World got = world_of(config_of(true), records), never = world_of(config_of(false), records);
    // What was raised after the verdicts, or again, is still open: everybody else stands as if nothing had been.
    for (const auto& [user, line] : never.users) {
      if (member(got.users.at(user), "flags").empty()) {
        EXPECT_EQ(got.users.at(user), line) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace bellwether

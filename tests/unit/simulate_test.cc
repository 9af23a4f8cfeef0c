#include "pipeline/tools/simulate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "pipeline/tools/labels.h"
#include "pipeline/tools/plant.h"
#include "pipeline/tools/random.h"
#include "pipeline/tools/ring_spec.h"
#include "pipeline/tools/times.h"

namespace bellwether::simulate_test {
namespace {

using ::testing::HasSubstr;

std::string path_of(const std::string& name) {
  return ::testing::TempDir() + "simulate_test_" + ::testing::UnitTest::GetInstance()->current_test_info()->name() +
         "_" + name;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The text behind "name":" in a line, or empty.
std::string field(const std::string& line, const std::string& name) {
  const size_t at = line.find("\"" + name + "\":\"");
  if (at == std::string::npos) return {};
  const size_t from = at + name.size() + 4;
  return line.substr(from, line.find('"', from) - from);
}

struct Event {
  std::string id, user, post, author, kind;
  int64_t time_us = 0;
  bool like = false, undo = false, published = false;
};

std::vector<Event> events_of(const std::string& path) {
  std::ifstream in(path);
  std::vector<Event> events;
  for (std::string line; std::getline(in, line);) {
    Event e{field(line, "id"), field(line, "user"), field(line, "post"), field(line, "author"), field(line, "kind")};
    EXPECT_TRUE(parse_time(field(line, "time"), e.time_us)) << line;
    e.like = line.find("\"like\":{") != std::string::npos;
    e.undo = line.find("\"undo\":true") != std::string::npos;
    e.published = line.find("POST_ACTION_PUBLISHED") != std::string::npos;
    events.push_back(std::move(e));
  }
  return events;
}

SimulateOptions small(const std::string& tag, std::vector<std::string> rings) {
  SimulateOptions o;
  o.users = 1500, o.days = 45, o.seed = 11, o.rings = std::move(rings);
  o.out = path_of(tag + ".jsonl"), o.labels = path_of(tag + ".labels");
  return o;
}

TEST(Random, LogarithmAndPowerAreExactEnough) {
  EXPECT_EQ(log2_q16(1), 0U);
  EXPECT_EQ(log2_q16(1ULL << 63), 63U << 16);
  EXPECT_EQ(log2_q16(10), 217705U);  // 3.321928 * 65536 = 217705.9
  EXPECT_EQ(exp2_q16(10U << 16), 1024U);
  EXPECT_NEAR(static_cast<double>(exp2_q16(217706)), 10, 1);
  EXPECT_NEAR(static_cast<double>(exp2_q16((40U << 16) + 32768)), 1.41421356237 * 1099511627776.0, 1e4);
}

TEST(Random, FrozenSequence) {
  Random random(1);
  const uint64_t first = random.next();
  EXPECT_EQ(first, 8519585912109933218ULL);
  Random again(1), other(2);
  EXPECT_EQ(again.next(), first);
  EXPECT_NE(other.next(), first);
  uint64_t sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t v = random.log_uniform(60, 604'800);
    ASSERT_GE(v, 60U);
    ASSERT_LE(v, 604'800U);
    sum += v < 6024 ? 1 : 0;  // the geometric middle
  }
  EXPECT_NEAR(static_cast<double>(sum), 50'000, 1500);
}

TEST(RingSpec, ReadsAndRefuses) {
  RingSpec r;
  ASSERT_TRUE(parse_ring("20x10:0.75:drip", r).ok());
  EXPECT_EQ(r.members, 20U);
  EXPECT_EQ(r.targets, 10U);
  EXPECT_EQ(r.density_ppm, 750'000U);
  EXPECT_EQ(r.tempo, Tempo::kDrip);
  ASSERT_TRUE(parse_ring("5x3", r).ok());
  EXPECT_EQ(r.density_ppm, 900'000U);
  for (const char* bad :
       {"", "20", "x10", "20x", "1x5", "20x0", "20x10:1.1", "20x10:", "20x10:-1", "20x10:0.9:fast", "20x10:0.9:"})
    EXPECT_FALSE(parse_ring(bad, r).ok()) << bad;
}

TEST(Simulate, SameOptionsSameBytes) {
  std::ostringstream err;
  ASSERT_EQ(run_simulate(small("a", {"10x5:0.9:burst"}), err), 0) << err.str();
  ASSERT_EQ(run_simulate(small("b", {"10x5:0.9:burst"}), err), 0);
  EXPECT_EQ(bytes_of(path_of("a.jsonl")), bytes_of(path_of("b.jsonl")));
  EXPECT_EQ(bytes_of(path_of("a.labels")), bytes_of(path_of("b.labels")));
  SimulateOptions other = small("c", {"10x5:0.9:burst"});
  other.seed = 12;
  ASSERT_EQ(run_simulate(other, err), 0);
  EXPECT_NE(bytes_of(path_of("a.jsonl")), bytes_of(path_of("c.jsonl")));
}

TEST(Simulate, EventsAreInOrderAndHonest) {
  std::ostringstream err;
  ASSERT_EQ(run_simulate(small("a", {}), err), 0) << err.str();
  const auto events = events_of(path_of("a.jsonl"));
  ASSERT_GT(events.size(), 20'000U);
  std::map<std::string, int64_t> born;
  std::map<std::string, int> of_user;
  std::set<std::string> ids, liked;
  std::set<std::pair<std::string, std::string>> pairs;
  int64_t last_us = 0;
  for (const Event& e : events) {
    EXPECT_GE(e.time_us, last_us);
    last_us = e.time_us;
    EXPECT_TRUE(ids.insert(e.id).second) << e.id;
    ++of_user[e.user];
    if (e.published) born[e.post] = e.time_us;
    if (!e.like || e.kind != "LIKE_KIND_LIKE" || e.undo) continue;
    EXPECT_TRUE(born.contains(e.post)) << e.id;
    EXPECT_NE(e.user, e.author);
    EXPECT_TRUE(liked.insert(e.user + " " + e.post).second) << "liked twice: " << e.id;
    pairs.emplace(e.user, e.author);
  }
  EXPECT_LT(last_us, events.front().time_us + 45 * kDayUs);
  const auto reciprocal = std::count_if(pairs.begin(), pairs.end(), [&](const auto& p) {
    return pairs.contains({p.second, p.first});
  });
  EXPECT_GT(static_cast<double>(reciprocal) / static_cast<double>(pairs.size()), 0.02);
  std::vector<int> counts;
  for (const auto& [user, n] : of_user) counts.push_back(n);
  std::sort(counts.begin(), counts.end());
  const double weeks = 45.0 / 7;
  EXPECT_GT(counts[counts.size() / 2] / weeks, 1);  // the middle user: a few a week
  EXPECT_LT(counts[counts.size() / 2] / weeks, 10);
  EXPECT_GT(counts.back(), counts[counts.size() / 2] * 20);
}

TEST(Simulate, RingsLikeWhatTheLabelsSay) {
  std::ostringstream err;
  ASSERT_EQ(run_simulate(small("a", {"20x10:1:burst", "30x12:0.5:drip", "15x8:0.9:spread"}), err), 0) << err.str();
  std::map<std::string, RingLabels> rings;
  ASSERT_TRUE(read_labels(path_of("a.labels"), rings).ok());
  ASSERT_EQ(rings.size(), 3U);
  EXPECT_EQ(rings["ring1"].members.size(), 20U);
  EXPECT_EQ(rings["ring2"].members.size(), 30U);
  EXPECT_EQ(rings["ring3"].members.size(), 15U);
  EXPECT_GE(rings["ring1"].likes_us.size(), 195U);  // of 200; hijacked accounts may have liked by themselves
  EXPECT_NEAR(static_cast<double>(rings["ring2"].likes_us.size()), 180, 45);
  EXPECT_GE(rings["ring1"].beneficiaries.size(), 2U);

  std::map<std::string, std::string> ring_of_like;
  std::ifstream labels(path_of("a.labels"));
  for (std::string line; std::getline(labels, line);)
    if (!field(line, "like").empty()) ring_of_like[field(line, "like")] = field(line, "ring");
  struct Span {
    int64_t first = INT64_MAX, last = 0;
  };
  std::map<std::string, std::map<std::string, Span>> targets;  // ring, post
  std::map<std::string, uint64_t> others;                      // of members: likes that are not the ring's
  std::set<std::string> members;
  for (const auto& [name, ring] : rings) members.insert(ring.members.begin(), ring.members.end());
  for (const Event& e : events_of(path_of("a.jsonl"))) {
    const auto found = ring_of_like.find(e.id);
    if (found == ring_of_like.end()) {
      if (e.like && e.kind == "LIKE_KIND_LIKE" && members.contains(e.user)) ++others[e.user];
      continue;
    }
    EXPECT_TRUE(rings[found->second].members.contains(e.user)) << e.id;
    EXPECT_TRUE(rings[found->second].beneficiaries.contains(e.author)) << e.id;
    Span& span = targets[found->second][e.post];
    span.first = std::min(span.first, e.time_us), span.last = std::max(span.last, e.time_us);
  }
  EXPECT_EQ(targets["ring1"].size(), 10U);
  EXPECT_EQ(targets["ring2"].size(), 12U);
  int64_t longest_drip = 0;
  for (const auto& [post, span] : targets["ring1"]) EXPECT_LE(span.last - span.first, 10 * kMinuteUs);
  for (const auto& [post, span] : targets["ring3"]) EXPECT_LE(span.last - span.first, kDayUs);
  for (const auto& [post, span] : targets["ring2"]) {
    EXPECT_LE(span.last - span.first, 14 * kDayUs);
    longest_drip = std::max(longest_drip, span.last - span.first);
  }
  EXPECT_GT(longest_drip, 7 * kDayUs);
  uint64_t camouflage = 0, hiding = 0;
  for (const auto& [user, n] : others) camouflage += n, ++hiding;
  EXPECT_GT(camouflage, ring_of_like.size() * 8 / 10);
  EXPECT_EQ(hiding, members.size());
}

TEST(Simulate, LikesPerDayAreAboutWhatWasAsked) {
  SimulateOptions o = small("a", {});
  o.likes_per_day = "2";
  std::ostringstream err;
  ASSERT_EQ(run_simulate(o, err), 0);
  const auto events = events_of(o.out);
  const auto likes = std::count_if(events.begin(), events.end(),
                                   [](const Event& e) { return e.like && e.kind == "LIKE_KIND_LIKE" && !e.undo; });
  EXPECT_NEAR(static_cast<double>(likes) / (1500 * 45), 2, 0.6);
}

TEST(Simulate, RefusesBadOptions) {
  const auto fails = [](auto change, const std::string& says) {
    SimulateOptions o = small("x", {});
    change(o);
    std::ostringstream err;
    EXPECT_EQ(run_simulate(o, err), 2);
    EXPECT_THAT(err.str(), HasSubstr(says));
  };
  fails([](auto& o) { o.users = 3; }, "--users");
  fails([](auto& o) { o.days = 0; }, "--days");
  fails([](auto& o) { o.rings = {"20y10"}; }, "20y10");
  fails([](auto& o) { o.camouflage = "much"; }, "--camouflage");
  fails([](auto& o) { o.start = "monday"; }, "--start");
  SimulateOptions o = small("x", {});
  o.out = "/nowhere/at/all";
  std::ostringstream err;
  EXPECT_EQ(run_simulate(o, err), 1);
}

TEST(Plant, AddsLabelledLikesAndKeepsEveryLine) {
  std::ostringstream err;
  ASSERT_EQ(run_simulate(small("a", {}), err), 0);
  {
    std::ofstream more(path_of("a.jsonl"), std::ios::app);
    more << "this is no event\n";
  }
  PlantOptions o;
  o.events = path_of("a.jsonl"), o.out = path_of("b.jsonl"), o.labels = path_of("b.labels");
  o.rings = {"20x10:1:spread", "12x6:0.5:drip"}, o.camouflage = "2", o.seed = 5;
  ASSERT_EQ(run_plant(o, err), 0) << err.str();
  EXPECT_THAT(err.str(), HasSubstr("1 lines that are no events passed through"));
  std::map<std::string, RingLabels> rings;
  ASSERT_TRUE(read_labels(o.labels, rings).ok());
  EXPECT_EQ(rings["ring1"].members.size(), 20U);
  EXPECT_EQ(rings["ring1"].likes_us.size(), 200U);

  std::ifstream before(o.events), after(o.out);
  std::string line, old;
  int64_t last_us = 0, time_us = 0;
  size_t planted = 0, hijacked_likes = 0;
  std::map<std::string, int64_t> born;
  while (std::getline(after, line)) {
    if (parse_time(field(line, "time"), time_us)) {
      EXPECT_GE(time_us, last_us);
      last_us = time_us;
    }
    if (field(line, "id").starts_with("plant-")) {
      ++planted;
      EXPECT_TRUE(born.contains(field(line, "post"))) << line;
      const std::string user = field(line, "user");
      EXPECT_TRUE(rings["ring1"].members.contains(user) || rings["ring2"].members.contains(user));
      hijacked_likes += user.starts_with("plant-") ? 0 : 1;
      continue;
    }
    if (line.find("POST_ACTION_PUBLISHED") != std::string::npos) born[field(line, "post")] = time_us;
    ASSERT_TRUE(std::getline(before, old));
    ASSERT_EQ(line, old);
  }
  EXPECT_FALSE(std::getline(before, old));
  EXPECT_GT(hijacked_likes, 0U);
  const size_t ring_likes = rings["ring1"].likes_us.size() + rings["ring2"].likes_us.size();
  EXPECT_NEAR(static_cast<double>(planted), static_cast<double>(ring_likes) * 3, static_cast<double>(ring_likes) * 0.2);
}

TEST(Plant, RefusesWhatCannotBePlanted) {
  std::ofstream(path_of("e.jsonl"))
      << "{\"id\":\"1\",\"time\":\"2024-01-01T00:00:00Z\",\"user\":\"a\",\"like\":{\"post\":\"p\",\"author\":"
         "\"b\",\"kind\":\"LIKE_KIND_LIKE\"}}\n";
  PlantOptions o;
  o.events = path_of("e.jsonl"), o.out = path_of("o.jsonl"), o.rings = {"20x10"};
  std::ostringstream err;
  EXPECT_EQ(run_plant(o, err), 1);
  EXPECT_THAT(err.str(), HasSubstr("has 10 posts to plant into"));
  o.rings = {};
  EXPECT_EQ(run_plant(o, err), 2);
  o.rings = {"20x10"}, o.out = o.events;
  EXPECT_EQ(run_plant(o, err), 2);
}

}  // namespace
}  // namespace bellwether::simulate_test

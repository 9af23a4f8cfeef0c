// The engine against the naive recomputation: every user's points, scores, tier and their histories, and what became of
// every record. A failing seed is made small by halving its list of events again and again, and printed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "operators/people.h"
#include "operators/scores.h"
#include "operators/tiers.h"
#include "tests/model/harness.h"
#include "tests/model/naive.h"

namespace bellwether::model {
namespace {

// Low thresholds, so that a small community has all tiers and loses them again.
Config small_community() {
  Config config = default_config();
  config.engine.shards = 3;
  CommunityConfig& c = config.community;
  c.rings.enabled = c.bursts.enabled = c.ranking.enabled = false;
  c.tiers[2] = {.min_score_micros = 5'000'000, .gates = {.days_active = 3}};
  c.memberships = {"n0", "n2"};
  c.tiers[3] = {.min_score_micros = 25'000'000, .gates = {.days_active = 5, .distinct_likers = 4, .memberships = 1}};
  c.tiers[4] = {.min_score_micros = 60'000'000, .gates = {.certificates = 1, .points_micros = {10'000'000, 2'000'000}}};
  c.rules[static_cast<size_t>(RuleId::kLikeReceived)].cap_micros = 2'500'000;  // caps of likes that come and go
  return config;
}

struct Case {
  std::vector<Event> events;
  Config config;
  int64_t append_us = INT64_MAX;
};

template <class T>
void differ(std::ostream& out, const std::string& who, const char* what, const T& engine, const T& model) {
  if (engine == model) return;
  out << who << ": " << what << " is " << engine << " in the engine, " << model << " in the model\n";
}

void compare_points(std::ostream& out, const std::string& name, const ScoreBook& book, const User& model) {
  std::map<std::pair<int64_t, RuleId>, Points> engine = {};
  for (const Bucket& b : book.buckets()) {
    if (b.raw_micros != b.authentic_micros) out << name << ": a discount without a flag\n";
    if (b.count != 0 || b.raw_micros != 0) engine[{b.day, b.rule}] = {b.count, b.raw_micros};
  }
  if (engine == model.points) return;
  const auto show = [&](const char* where, const auto& mine, const auto& others) {
    for (const auto& [key, p] : mine)
      if (const auto it = others.find(key); it == others.end() || it->second != p)
        out << name << ": day " << key.first << " rule " << static_cast<int>(key.second) << ": " << p.count << " for "
            << p.micros << " in the " << where << "\n";
  };
  show("engine", engine, model.points), show("model", model.points, engine);
}

std::string show(const Numbers& n) {
  std::string text;
  for (int64_t c : n.capability) text += std::to_string(c) + " ";
  for (int64_t p : n.profile) text += "/ " + std::to_string(p);
  return text + "; days " + std::to_string(n.days_active) + " likers " + std::to_string(n.likers) + " certificates " +
         std::to_string(n.certificates) + " exams " + std::to_string(n.exams) + " memberships " +
         std::to_string(n.memberships);
}
std::string show(const std::vector<Step>& steps) {
  std::string text;
  for (const Step& s : steps)
    text += "[" + std::to_string(s.slot) + " " + tier_name(s.from) + ">" + tier_name(s.to) + " at " +
            std::to_string(s.score) + "]";
  return text;
}
std::string show(const Report& r) {
  std::string text = std::to_string(r.slot) + " " + tier_name(r.tier);
  for (int64_t c : r.capability) text += " " + std::to_string(c);
  for (int64_t p : r.profile) text += "/" + std::to_string(p);
  return text;
}

// What differs, in words; empty: nothing.
std::string differences(const Case& c) {
  std::vector<std::vector<std::string>> partitions(1);
  for (const Event& e : c.events) partitions[0].push_back(wire(e));
  const auto store = make_memory_store();
  RunOptions options;
  options.change = [&](EngineOptions& o) { o.file_append_us = c.append_us, o.outbox = true; };
  const auto published = run_engine(c.config, *store, partitions, options);
  if (published == nullptr) return "the engine failed";

  World world;
  world.community = c.config.community;
  world.append_us = c.append_us;
  const Outcome model = recompute(c.events, world, published->now_us());

  std::ostringstream out;
  const Account account = published->account();
  auto fates = model.count();
  differ(out, "account", "dead", account.dead_lettered, fates[Fate::kDead]);
  differ(out, "account", "duplicate", account.duplicate, fates[Fate::kDuplicate]);
  differ(out, "account", "late", account.late, fates[Fate::kLate]);
  differ(out, "account", "applied", account.applied, fates[Fate::kApplied]);

  // What the engine told of tiers and scores, by user and in order.
  std::map<std::string, std::vector<Step>> steps;
  std::map<std::string, std::vector<Report>> reports;
  Status status = published->scan_outbox(0, [&](uint64_t, uint8_t kind, const ChangeId& id, std::string_view payload) {
    if (kind == static_cast<uint8_t>(OutKind::kTier)) {
      TierChange change;
      EXPECT_TRUE(decode(payload, change));
      steps[change.user_id].push_back({id.tick.slot, change.from, change.to, change.score_micros});
    } else if (kind == static_cast<uint8_t>(OutKind::kScore)) {
      ScoreRecord record;
      EXPECT_TRUE(decode(payload, record));
      reports[record.user_id].push_back({id.tick.slot, record.tier, record.capability_micros, record.profile_micros});
    }
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.message;

  const Hasher hasher(c.config.community.hash_key);
  const RulesOf rules = [&](uint16_t) -> const CommunityConfig& { return c.config.community; };
  const int64_t now = published->now_us();
  for (const auto& [name, user] : model.users) {
    const auto state = published->state(OperatorId::kScores, {KeyKind::kUser, hasher(KeyKind::kUser, name)}, status);
    EXPECT_TRUE(status.ok()) << status.message;
    const ScoresState none;
    const ScoresState& s = state != nullptr ? static_cast<const ScoresState&>(*state) : none;
    differ(out, name, "known", !s.id.empty(), user.known);
    compare_points(out, name, s.book, user);
    const auto home = published->state(OperatorId::kPeople, {KeyKind::kUser, hasher(KeyKind::kUser, name)}, status);
    EXPECT_TRUE(status.ok()) << status.message;
    const ActiveDays* days = home != nullptr ? &static_cast<const PeopleState&>(*home).portrait.days() : nullptr;
    const Standing standing = standing_of(s, days, c.config.community, rules, now);
    const ScoreView view = scores_of(s, c.config.community, rules, now);
    const Numbers numbers{view.capability_micros, view.profile_micros, standing.days_active, s.likers,
                          standing.certificates,  standing.exams,      standing.memberships};
    differ(out, name, "all", show(numbers), show(user.numbers));
    differ(out, name, "tier", std::string(tier_name(s.machine.tier)), std::string(tier_name(user.tier)));
    differ(out, name, "since", s.machine.since_us, user.since_us);
    differ(out, name, "below since", s.machine.below_since_us, user.below_since_us);
    differ(out, name, "history of the tier", show(steps[name]), show(user.steps));
    const std::vector<Report>& told = reports[name];
    differ(out, name, "number of reports", told.size(), user.reports.size());
    for (size_t i = 0; i < std::min(told.size(), user.reports.size()); ++i) {
      if (told[i] == user.reports[i]) continue;
      differ(out, name, "a report", show(told[i]), show(user.reports[i]));
      break;
    }
  }
  return out.str();
}

// The smallest list that still differs, found by leaving out halves, quarters, … of what is left.
std::vector<Event> shrink(Case c) {
  for (size_t piece = c.events.size() / 2; piece > 0; piece /= 2) {
    for (size_t from = 0; from < c.events.size();) {
      Case smaller = c;
      const auto begin = smaller.events.begin() + static_cast<ptrdiff_t>(from);
      smaller.events.erase(begin, begin + static_cast<ptrdiff_t>(std::min(piece, c.events.size() - from)));
      if (!smaller.events.empty() && !differences(smaller).empty())
        c = std::move(smaller);
      else
        from += piece;
    }
  }
  return c.events;
}

void check(const StreamOptions& options, int64_t append_us = INT64_MAX) {
  Case c{make_stream(options), small_community(), append_us};
  c.config.community.own_minutes = options.seed % 3 != 0;
  const std::string found = differences(c);
  if (found.empty()) return;
  c.events = shrink(c);
  std::string list;
  for (const Event& e : c.events) list += text(e) + "\n";
  ADD_FAILURE() << "seed " << options.seed << ", " << options.days << " days differs:\n"
                << found.substr(0, 1500) << "\nas few as these " << c.events.size() << " events do:\n"
                << list << differences(c);
}

// MODEL_SEED=n: only that one; MODEL_SEEDS=n: so many of each.
int64_t seeds(int64_t usual) {
  const char* more = std::getenv("MODEL_SEEDS");
  return more != nullptr ? std::atoll(more) : usual;
}
template <class Check>
void each_seed(int64_t usual, Check&& check) {
  if (const char* one = std::getenv("MODEL_SEED")) return check(static_cast<uint64_t>(std::atoll(one)));
  for (int64_t seed = 1; seed <= seeds(usual) && !testing::Test::HasFailure(); ++seed)
    check(static_cast<uint64_t>(seed));
}

TEST(Model, AFewDays) {
  each_seed(60, [](uint64_t seed) { check({.seed = seed, .days = 8, .users = 20, .posts = 30, .events = 500}); });
}
TEST(Model, AMonth) {
  each_seed(30, [](uint64_t seed) { check({.seed = seed + 1000, .days = 45}); });
}
TEST(Model, DaysLeaveTheWindow) {
  each_seed(30, [](uint64_t seed) { check({.seed = seed + 2000, .days = 250}); });
}
TEST(Model, EventsInOrderOnly) {
  each_seed(15, [](uint64_t seed) { check({.seed = seed + 3000, .days = 220, .broken = false, .disorder = false}); });
}
// Everybody meets everybody, and themselves.
TEST(Model, FewUsers) {
  each_seed(22, [](uint64_t seed) {
    const int few = static_cast<int>(seed);
    check({.seed = seed + 6000, .days = 30, .users = 1 + few % 11, .posts = 1 + few % 9, .events = 300});
  });
}
TEST(Model, TimesAfterTheAppendTime) {
  each_seed(30, [](uint64_t seed) {
    check({.seed = seed + 4000, .days = 10, .users = 20, .posts = 30, .events = 400},
          kFirstDay * kDayUs + 9 * kDayUs + 12'345'678);
  });
}

// With percentiles a tier asks for more, so nobody stands higher, and not everybody stands high.
TEST(Model, PercentilesOnlyTake) {
  size_t lower = 0, high = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    std::vector<std::vector<std::string>> partitions(1);
    for (const Event& e : make_stream({.seed = seed + 5000, .days = 60})) partitions[0].push_back(wire(e));
    Config all = small_community(), some = small_community();
    some.community.tiers[3].top_permille = 200, some.community.tiers[4].top_permille = 50;
    const auto store = make_memory_store(), other_store = make_memory_store();
    const auto free = run_engine(all, *store, partitions), ranked = run_engine(some, *other_store, partitions);
    ASSERT_TRUE(free != nullptr && ranked != nullptr);
    EXPECT_EQ(free->cutoffs().cell[3], 0U);
    EXPECT_GT(ranked->cutoffs().cell[3], 0U);
    EXPECT_GE(ranked->cutoffs().cell[4], ranked->cutoffs().cell[3]);
    const Hasher hasher(all.community.hash_key);
    Status status;
    for (int i = 0; i < 40; ++i) {
      const Key key{KeyKind::kUser, hasher(KeyKind::kUser, "u" + std::to_string(i))};
      const auto a = free->state(OperatorId::kScores, key, status), b = ranked->state(OperatorId::kScores, key, status);
      ASSERT_TRUE(status.ok()) << status.message;
      if (a == nullptr || b == nullptr) continue;
      const Tier without = static_cast<const ScoresState&>(*a).machine.tier,
                 with = static_cast<const ScoresState&>(*b).machine.tier;
      EXPECT_LE(with, without) << "seed " << seed << " u" << i;
      lower += with < without, high += with >= Tier::kKey;
    }
  }
  EXPECT_GT(lower, 0U);
  EXPECT_GT(high, 0U);
}

// The model's own pieces, worked out by hand.
TEST(Naive, Decay) {
  EXPECT_EQ(decayed({{19'700, 1'000'000}}, 19'700), 1'000'000);
  EXPECT_EQ(decayed({{19'700, 1'000'000}}, 19'730), 500'000);
  EXPECT_EQ(decayed({{19'700, 1'000'000}, {19'730, 3}}, 19'760), 250'001);  // 250,000 + 1.5
  EXPECT_EQ(decayed({{19'710, 1'000'000}}, 19'715), 890'898);  // 2^(-5/30) = 0.890899 by the rounded weights
}

TEST(Naive, TiersAreReachedAtOnceAndLostAfterGrace) {
  const CommunityConfig c = small_community().community;
  Numbers n{.profile = {5'000'000}, .days_active = 3};
  TierState s;
  constexpr int64_t kNow = 1000 * kDayUs;
  look_at_tier(s, {.profile = {4'999'999}, .days_active = 3}, c, kNow, true);
  EXPECT_EQ(s.tier, Tier::kMember);
  look_at_tier(s, n, c, kNow, false);
  EXPECT_EQ(s.tier, Tier::kContributor);
  EXPECT_EQ(s.since_us, kNow);
  n.profile = {4'500'000};  // 90 %
  n.days_active = 3;
  look_at_tier(s, n, c, kNow + kDayUs, true);
  EXPECT_EQ(s.below_since_us, 0);
  n.profile = {4'499'999};
  look_at_tier(s, n, c, kNow + 2 * kDayUs, false);
  EXPECT_EQ(s.below_since_us, 0);
  look_at_tier(s, n, c, kNow + 2 * kDayUs, true);
  EXPECT_EQ(s.below_since_us, kNow + 2 * kDayUs);
  look_at_tier(s, n, c, kNow + 16 * kDayUs - 1, true);
  EXPECT_EQ(s.tier, Tier::kContributor);
  look_at_tier(s, n, c, kNow + 16 * kDayUs, true);
  EXPECT_EQ(s.tier, Tier::kMember);
}

Event like_of(const std::string& id, int64_t time_us, bool undo = false) {
  Event e;
  e.what = What::kLike, e.id = id, e.user = "ann", e.time_us = time_us;
  e.like = LikeKind::kLike, e.post = "p", e.author = "bob", e.undo = undo;
  return e;
}

TEST(Naive, LikesHalvedUndoneAndRepeated) {
  constexpr int64_t kT = kFirstDay * kDayUs;
  World world;
  world.community = default_config().community;
  std::vector<Event> log = {like_of("1", kT), like_of("2", kT + kHourUs), like_of("1", kT + 2 * kHourUs),
                            like_of("3", kT + 3 * kHourUs, true), like_of("4", kT + 4 * kHourUs)};
  const Outcome o = recompute(log, world, kT + kDayUs);
  EXPECT_EQ(o.fates, (std::vector{Fate::kApplied, Fate::kDuplicate, Fate::kDuplicate, Fate::kApplied, Fate::kApplied}));
  const User& bob = o.users.at("bob");
  // The second like is worth half; as the first no longer stands it is the first contact.
  EXPECT_EQ(bob.points,
            (std::map<std::pair<int64_t, RuleId>, Points>{{{kFirstDay, RuleId::kLikeReceived}, {1, 500'000}},
                                                          {{kFirstDay, RuleId::kPersonReached}, {1, 200'000}}}));
  EXPECT_EQ(bob.numbers.likers, 1);
  EXPECT_EQ(o.users.at("ann").numbers.days_active, 1);
  // 181 days and ann's own hours later nothing is left.
  EXPECT_TRUE(recompute(log, world, kT + 182 * kDayUs).users.at("bob").points.empty());
  EXPECT_EQ(recompute(log, world, kT + 182 * kDayUs).users.at("bob").numbers.likers, 0);
}

TEST(Naive, RecordsLateAndTooLate) {
  constexpr int64_t kT = kFirstDay * kDayUs;
  World world;
  world.community = default_config().community;
  world.append_us = kT + 300 * kDayUs;
  std::vector<Event> log = {like_of("1", kT + 200 * kDayUs), like_of("2", kT + 200 * kDayUs - kSecondUs, true),
                            like_of("3", kT + 199 * kDayUs), like_of("4", kT + 18 * kDayUs),
                            like_of("5", kT + 301 * kDayUs), Event{}};
  EXPECT_EQ(recompute(log, world, kT + 201 * kDayUs).fates,
            (std::vector{Fate::kApplied, Fate::kApplied, Fate::kLate, Fate::kDead, Fate::kDead, Fate::kDead}));
}

}  // namespace
}  // namespace bellwether::model

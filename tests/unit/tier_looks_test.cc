// A tier is looked at on the days that may cost it, not on all: what comes of it is what daily looks come to, and where
// the rules change everybody on a tier is looked at.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <tuple>

#include "operators/messages.h"
#include "operators/people.h"
#include "operators/scores.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"
#include "tests/unit/repair_rig.h"

namespace bellwether::tier_looks_test {
namespace {

constexpr int64_t kFirstDay = 20'000;
constexpr int64_t kDays = 260;
constexpr int kUsers = 40;

// Users who earn for some weeks and then fall silent; if `daily`, looked at every day by order.
struct Life {
  explicit Life(bool daily) : daily(daily) {
    CommunityConfig& community = world.context.rules[0];
    for (TierConfig& tier : community.tiers) tier.top_permille = 0, tier.gates = {};
    const auto set = [&](Tier tier, int64_t points) -> TierConfig& {
      TierConfig& t = community.tiers[static_cast<size_t>(tier)];
      t.min_score_micros = points * 1'000'000;
      return t;
    };
    set(Tier::kContributor, 10).gates.days_active = 3;
    set(Tier::kKey, 40).gates.points_micros[1] = 5'000'000;
    set(Tier::kLead, 90).gates.distinct_likers = 4;
    community.grace_days = 5;
    community.rules[static_cast<size_t>(RuleId::kLikeReceived)].cap_micros = 0;
  }

  void live(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::multimap<int64_t, int> events;  // by slot
    for (int u = 0; u < kUsers; ++u) {
      const int64_t until = kFirstDay + 5 + static_cast<int64_t>(random() % 90);
      for (int64_t day = kFirstDay; day < until; ++day)
        for (uint64_t n = random() % 3; n > 0; --n)
          events.emplace(day * kDaySlots + static_cast<int64_t>(random() % kDaySlots), u);
    }
    std::set<int64_t> looks;
    if (daily)
      for (int u = 0; u < kUsers; ++u)
        for (int64_t day = kFirstDay; day < kFirstDay + kDays; ++day) looks.insert(own_slot(u, day));
    auto event = events.begin();
    for (int64_t slot = kFirstDay * kDaySlots; slot < (kFirstDay + kDays) * kDaySlots;) {
      int64_t next = event == events.end() ? INT64_MAX : event->first;
      if (const auto look = looks.lower_bound(slot); look != looks.end()) next = std::min(next, *look);
      for (const auto& [who, at] : world.context.timers)
        if (at) next = std::min(next, std::max(slot, slot_of(*at + kSlotUs - 1)));
      if (next == INT64_MAX) break;
      for (; event != events.end() && event->first == next; ++event) earn(event->second, next, random());
      for (int u = 0; daily && u < kUsers; ++u)
        if (own_slot(u, floor_div(next, kDaySlots)) == next)
          world.post(OperatorId::kScores, key(u), next * kSlotUs, 1, std::string(1, char(MessageKind::kRecheck)));
      for (const auto& [who, at] : world.context.timers) woken += at && slot_of(*at + kSlotUs - 1) <= next;
      world.run(next);
      slot = next + 1;
    }
    for (const auto& e : world.context.emitted)
      if (e.kind == OutKind::kTier) changes.emplace_back(e.tick.slot, e.key.hash, e.payload);
  }

  void earn(int u, int64_t slot, uint64_t random) {
    Credit c;
    const std::string id = "u" + std::to_string(u);
    c.user_id = id, c.rule = random % 2 == 0 ? RuleId::kIdeaPosted : RuleId::kLikeReceived;
    c.day = floor_div(slot, kDaySlots), c.event = {key(u), slot * kSlotUs, random}, c.count = 1;
    c.raw_micros = c.authentic_micros = static_cast<int64_t>(random % 7'000'000);
    c.liker_delta = static_cast<int8_t>(random % 5 == 0);
    world.post(OperatorId::kScores, key(u), slot * kSlotUs, random, encode(c));
    Activity a;
    a.user_id = id, a.time_us = slot * kSlotUs;
    world.post(OperatorId::kScores, key(u), slot * kSlotUs, random + 1, encode(a));
  }
  Key key(int u) const { return facts.user_key("u" + std::to_string(u)); }
  // The first slot at or after a user's own hour of a day.
  int64_t own_slot(int u, int64_t day) const {
    const auto own = static_cast<int64_t>(key(u).hash % static_cast<uint64_t>(kDayUs));
    return floor_div(day * kDayUs + own + kSlotUs - 1, kSlotUs);
  }

  static constexpr int64_t kDaySlots = kDayUs / kSlotUs;
  const bool daily;
  FakeWorld world{{&people_operator(), &scores_operator()}};
  Facts facts{world.context.hash};
  std::vector<std::tuple<int64_t, uint64_t, std::string>> changes;
  size_t woken = 0;
};

TEST(TierLooks, ComeToWhatDailyOnesDo) {
  size_t lost = 0, daily_looks = 0, looks = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Life every(true), few(false);
    every.live(seed), few.live(seed);
    ASSERT_EQ(every.changes, few.changes);
    EXPECT_EQ(every.world.states(), few.world.states());
    for (const auto& [slot, user, payload] : few.changes) {
      TierChange change;
      ASSERT_TRUE(decode(payload, change));
      lost += change.to < change.from;
    }
    daily_looks += size_t{kUsers} * kDays, looks += few.woken;
  }
  EXPECT_GT(lost, 3U * kUsers);
  EXPECT_LT(looks, daily_looks / 5) << "of " << daily_looks;
}

// A place among others changes with the others: such a tier is looked at every day, and so is one that a flag touches.
TEST(TierLooks, AreDailyWhereOthersDecide) {
  Life life(false);
  life.world.context.rules[0].tiers[static_cast<size_t>(Tier::kContributor)].top_permille = 500;
  life.world.context.rules[0].tiers[static_cast<size_t>(Tier::kKey)].top_permille = 500;
  life.world.context.rules[0].tiers[static_cast<size_t>(Tier::kLead)].top_permille = 500;
  life.live(1);
  EXPECT_GT(life.woken, size_t{kUsers} * kDays / 3);
}

TEST(TierLooks, NewRulesHaveEverybodyOnATierLookedAt) {
  constexpr int64_t kStart = int64_t{1'740'000'000} * kSecondUs;
  const repair::Folder folder;
  const auto whose = [](const char* author) { return [author](int) { return author; }; };
  Config config = default_config();
  for (TierConfig& tier : config.community.tiers) tier.top_permille = 0, tier.gates = {};
  const auto asks = [&config](Tier tier, int64_t micros) {
    config.community.tiers[static_cast<size_t>(tier)].min_score_micros = micros;
  };
  asks(Tier::kContributor, 1'000), asks(Tier::kKey, 1'000'000'000), asks(Tier::kLead, 2'000'000'000);
  const std::unique_ptr<Store> store = make_memory_store();
  repair::replay(repair::likes(folder, "first", kStart, kMinuteUs, 50, whose("star")), *store, true, config);
  const auto star = [&] {
    const std::string dump = repair::dump_of(*store);
    const size_t at = dump.find(R"({"type":"user","id":"star")");
    return at == std::string::npos ? std::string() : dump.substr(at, dump.find('\n', at) - at);
  };
  ASSERT_NE(star().find(R"("tier":"contributor")"), std::string::npos) << star();
  // Nothing happens to them any more, and for a month nothing would be looked at.
  config.community.version = "dearer";
  asks(Tier::kContributor, 1'000'000'000);
  const int grace = static_cast<int>(config.community.grace_days);
  const auto other = [&](const char* name, int day, int days) {
    const int64_t first = kStart + day * kDayUs;
    repair::replay(repair::likes(folder, name, first, kDayUs, days, whose("other")), *store, true, config);
  };
  other("second", 1, grace);
  EXPECT_NE(star().find(R"("tier":"contributor")"), std::string::npos) << "in grace: " << star();
  other("third", grace + 1, 4);
  EXPECT_NE(star().find(R"("tier":"member")"), std::string::npos) << star();
}

}  // namespace
}  // namespace bellwether::tier_looks_test

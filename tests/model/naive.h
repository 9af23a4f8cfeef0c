// What a list of events comes to, computed the slow way: every answer by loops over all events, nothing kept up to
// date. Written from DESIGN.md, EVENTS.md and FRAMEWORK.md apart from the operators, so that both can only be wrong in
// different ways.
//
// Left out on purpose: flags (nothing is discounted), percentiles, more than one version of the configuration,
// sub-ticks.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "operators/fact.h"
#include "tests/model/events.h"

namespace bellwether::model {

enum class Fate : uint8_t { kDead, kDuplicate, kLate, kApplied };

// What a user has on a day, micro-points.
struct Numbers {
  std::array<int64_t, 4> capability{};
  std::vector<int64_t> profile;
  int64_t days_active = 0, likers = 0, certificates = 0, exams = 0, memberships = 0;
  friend bool operator==(const Numbers&, const Numbers&) = default;
};

struct Points {
  int64_t count = 0, micros = 0;  // before the cap
  friend bool operator==(const Points&, const Points&) = default;
};

// A tier that changed, a score that was reported: in which tick, in this order in the tick.
struct Step {
  int64_t slot = 0;
  Tier from = Tier::kMember, to = Tier::kMember;
  int64_t score = 0;
  friend bool operator==(const Step&, const Step&) = default;
};
struct Report {
  int64_t slot = 0;
  Tier tier = Tier::kMember;
  std::array<int64_t, 4> capability{};
  std::vector<int64_t> profile;
  friend bool operator==(const Report&, const Report&) = default;
};

struct User {
  bool known = false;  // has a name in the scores
  std::map<std::pair<int64_t, RuleId>, Points> points;
  Numbers numbers;
  Tier tier = Tier::kMember;
  int64_t since_us = 0, below_since_us = 0;
  std::vector<Step> steps;
  std::vector<Report> reports;
};

struct Outcome {
  std::vector<Fate> fates;            // by record
  std::map<std::string, User> users;  // everybody named anywhere
  std::map<Fate, uint64_t> count() const {
    std::map<Fate, uint64_t> n;
    for (const Fate f : fates) ++n[f];
    return n;
  }
};

struct World {
  CommunityConfig community;
  int64_t lateness_us = 1'000'000, skew_us = 600'000'000;
  int64_t append_us = INT64_MAX;  // of every record, as of a file's
};

// All records of one partition in the order of its log, up to and with the tick that begins at `now_us` (a whole slot).
Outcome recompute(const std::vector<Event>& log, const World& world, int64_t now_us);

// Pieces of it, for cases worked out by hand.
int64_t decayed(const std::vector<std::pair<int64_t, int64_t>>& day_points, int64_t today);  // floor of the decayed sum
struct TierState {
  Tier tier = Tier::kMember;
  int64_t since_us = 0, below_since_us = 0;
};
// `own_hour`: the daily look, the only one at which grace begins or a tier is lost.
void look_at_tier(TierState& state, const Numbers& numbers, const CommunityConfig& community, int64_t now_us,
                  bool own_hour);

}  // namespace bellwether::model

// C1 and B2: tiers with gates, hysteresis and grace. A pure machine: what a user has, what the community asks, and the
// time go in; the tier and a reason come out. It is folded at each change of a user's score, at those of their
// day turns that may cost the tier, and when a line moves or the rules change.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "operators/codec.h"
#include "operators/operator.h"

namespace bellwether {

// What a user has, in one world.
struct Standing {
  int64_t score_micros = 0;                // of the overall profile
  uint32_t cell = 0;                       // of its sum
  std::array<int64_t, 4> points_micros{};  // of the capabilities
  uint32_t days_active = 0, distinct_likers = 0, certificates = 0, exams = 0, memberships = 0;
};

struct GateCheck {
  std::string name;                // "days active", "distinct likers", "score", "top permille", …
  int64_t required = 0, have = 0;  // micro-points where the name says points or score; cells for the percentile
  bool met = false;
};
// Everything a tier asks for, with what the user has.
std::vector<GateCheck> checks(Tier tier, const Standing& standing, const CommunityConfig& community,
                              const Cutoffs& cutoffs);
// The highest tier whose every check is met.
Tier entry_tier(const Standing& standing, const CommunityConfig& community, const Cutoffs& cutoffs);
// The lowest score that any tier above the first asks for, in micro-points; 0: one of them asks for none.
int64_t lowest_tier_micros(const CommunityConfig& community);
// Whether any tier asks for days active.
bool days_asked(const CommunityConfig& community);
// Whether a tier asks for days active and everything else that it asks for is met.
bool days_decide(const Standing& standing, const CommunityConfig& community, const Cutoffs& cutoffs);
// Whether a tier once reached is held: every number at hysteresis_percent of its entry or above.
bool holds(Tier tier, const Standing& standing, const CommunityConfig& community, const Cutoffs& cutoffs);

struct TierMachine {
  Tier tier = Tier::kMember;
  int64_t since_us = 0;
  int64_t below_since_us = 0;  // grace runs from here; 0: not below
  std::string reason;          // of the last change, for people

  // Returns true where the tier changed. A tier is reached at any step; grace begins, and a tier is lost, at the user's
  // own hour only (`daily`): scores fall with the days, and how often somebody looks in between must not tell.
  bool step(const Standing& standing, const CommunityConfig& community, const Cutoffs& cutoffs, int64_t now_us,
            bool daily);
  void write(Writer& w) const;
  bool read(Reader& r);
};

const char* tier_name(Tier tier);         // "member", "contributor", "key", "lead"
std::string points_text(int64_t micros);  // "12.5", exact, trailing zeros dropped

// Payload of OutKind::kTier.
struct TierChange {
  std::string user_id;
  Tier from = Tier::kUnspecified, to = Tier::kUnspecified, visible = Tier::kUnspecified;
  int64_t score_micros = 0;
  std::string reason;
  Tier from_visible = Tier::kUnspecified;  // what members saw before
  std::vector<GateCheck> gates;            // of the new tier on the way up, of the lost one on the way down
};
std::string encode(const TierChange&);
bool decode(std::string_view payload, TierChange& out);

// Payload of OutKind::kScore.
struct ScoreRecord {
  std::string user_id;
  int64_t day = 0;
  std::array<int64_t, 4> capability_micros{};
  std::vector<int64_t> profile_micros;
  Tier tier = Tier::kUnspecified, visible = Tier::kUnspecified;
};
std::string encode(const ScoreRecord&);
void write(std::string& out, const ScoreRecord&);  // the same, behind what is there
bool decode(std::string_view payload, ScoreRecord& out);

}  // namespace bellwether

// A user as the service shows them, by who asks.
#pragma once

#include "bellwether/v1/key_users.pb.h"
#include "pipeline/service/convert.h"
#include "pipeline/service/reading.h"

namespace bellwether {

enum class Audience : uint8_t { kMember, kPlatform, kStaff };

// False where nothing is known of the user. Errors of the store stay in lookup.status().
bool user_message(Lookup& lookup, uint64_t user, Audience audience, pb::User& out);

// The tier that counts: the one staff hold, else the computed one; and as members see it.
struct ShownTier {
  Tier tier = Tier::kMember, visible = Tier::kMember;
  bool held = false;
};
ShownTier shown_tier(const ScoresState* scores, const PeopleShown* people, const Reading& reading);

// What a tier asks for and what the user has; nothing for kMember.
void fill_gates(Tier tier, const Standing& standing, const ScoresState& scores, const Reading& reading,
                pb::TierGates& out);

// Days active within the window, from both states.
uint32_t active_days(const Reading& reading, const ScoresState* scores, const PeopleShown* people);
// Time of the latest event of theirs that is still known: exact for likes and the like, else the day's beginning; 0 for
// none.
int64_t last_active_us(const ScoresState* scores, const PeopleShown* people, int64_t now_us);
int64_t first_active_us(const ScoresState* scores, const PeopleShown* people);

// Whether a flag that discounts names the user.
bool flagged(Lookup& lookup, const ScoresState* scores, const PeopleShown* people);

// Fills rank and percentile of a score.
void fill_rank(const Reading& reading, const ScoresState& scores, uint64_t user, BoardNumber board, Status& status,
               pb::Score& out);

}  // namespace bellwether

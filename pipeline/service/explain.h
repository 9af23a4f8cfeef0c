// Where a score comes from: every (day, rule) with what it gives, and the events behind it.
#pragma once

#include <optional>

#include "bellwether/v1/key_users.pb.h"
#include "pipeline/service/user_view.h"

namespace bellwether {

// Which score: a capability 0..3, or a profile by its place in the configuration.
struct ScoreChoice {
  bool profile = true;
  size_t number = 0;
  BoardNumber board() const { return profile ? kCapabilities + number : number; }
};

constexpr size_t kExplainEventsMax = 2000;  // named in one answer; the rest is counted

// Fills score, contributions, discounts. The user must be known. Aborts where the contributions do not sum to the
// score.
void explain_score(Lookup& lookup, uint64_t user, const ScoreChoice& choice, size_t events_each, Audience audience,
                   pb::ExplainScoreResponse& out);

// Event, what sort of thing it was, and its home's name as far as it is known.
void fill_event_ref(Lookup& lookup, const EventRef& event, pb::EventKind kind, pb::EventRef& out);

}  // namespace bellwether

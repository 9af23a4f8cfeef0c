// All operators of the engine, and how to find one.
#pragma once

#include <span>

#include "operators/operator.h"

namespace bellwether {

// The one key of community-wide figures.
constexpr Key kCommunityKey = Key{KeyKind::kCommunity, 0x8000000000000001};

// By ascending id.
std::span<const Operator* const> all_operators();
// Null where there is none of that id.
const Operator* find_operator(OperatorId id);
// Calls each() for the states that folding the fact will most likely ask for, its home first: so that the engine can
// fetch them in time. A hint; nothing depends on it.
void likely_states(const Fact& fact, const CommunityConfig& community,
                   absl::FunctionRef<void(OperatorId op, Key key)> each);
// Those that it will ask for besides where its home has no state yet.
void likely_states_of_new(const Fact& fact, const CommunityConfig& community,
                          absl::FunctionRef<void(OperatorId op, Key key)> each);

}  // namespace bellwether

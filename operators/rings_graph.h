// The graph of pairs: peeling and components. Used by RingEvidence (what is worth an analysis) and by find_rings (what
// to test).
#pragma once

#include <cstdint>
#include <vector>

#include "operators/rings.h"

namespace bellwether {

struct RingComponent {
  std::vector<uint64_t> users;         // ascending
  std::vector<RingInput::Edge> edges;  // by (a, b)
};

// Edges above `threshold`, peeled until every user has RingLimits::kPartnersMin partners and RingLimits::kUserMin above
// kEdgeMin in all; then the connected components that hold one of `fresh` (ascending). Components by their lowest user.
// Order of `edges` is free.
std::vector<RingComponent> ring_components(const std::vector<RingInput::Edge>& edges,
                                           const std::vector<uint64_t>& fresh, Nats threshold);

}  // namespace bellwether

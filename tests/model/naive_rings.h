// The block test in its plain form: every list read anew, every question asked of the whole list. What the fast one
// (operators/rings_find.cc) must say, finding for finding.
#pragma once

#include <vector>

#include "operators/rings.h"

namespace bellwether {

std::vector<RingFinding> find_rings_plainly(const RingInput& input, const LedgerView& ledger, const RingsConfig& config,
                                            const RingBounds& bounds = {});

}  // namespace bellwether

// The operators as the program runs them.
#pragma once

#include "operators/analysis.h"
#include "operators/registry.h"
#include "pipeline/engine/engine.h"

namespace bellwether::bench {

inline const OperatorSet& operator_set() {
  static const OperatorSet set = [] {
    std::array<OperatorId, kKeyKinds> homes{};
    for (size_t kind = 0; kind < kKeyKinds; ++kind) homes[kind] = home_operator(static_cast<KeyKind>(kind));
    return OperatorSet(all_operators(), homes, run_analysis, likely_states, likely_states_of_new);
  }();
  return set;
}

}  // namespace bellwether::bench

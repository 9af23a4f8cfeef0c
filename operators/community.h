// The cut-offs behind "within the top 1 %": once an event hour, from the histogram of scores by cell, sent out when
// they changed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "operators/operator.h"

namespace bellwether {

// What was sent out last. Bound: 32 bytes encoded.
struct CommunityState final : State {
  Cutoffs sent;  // version 0: nothing yet

  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override { return 0; }
};

// The lowest cell such that the users at or above it are at most ceil(total * permille / 1000), but at least the
// highest cell that holds anybody. `cells`: (cell, users > 0) by ascending cell; total is their sum. 0 (everybody)
// where there is nobody or permille is 0.
uint32_t cutoff_cell(std::span<const std::pair<uint32_t, int64_t>> cells, uint32_t permille);

const Operator& community_operator();

}  // namespace bellwether

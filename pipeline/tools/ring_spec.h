// Rings of accounts that like together, as `simulate` and `plant` are asked for them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/sources/source.h"

namespace bellwether {

enum class Tempo : uint8_t { kBurst, kSpread, kDrip };

struct RingSpec {
  uint32_t members = 0;            // 2..100,000
  uint32_t targets = 0;            // 1..10,000
  uint32_t density_ppm = 900'000;  // that a member likes a target, 0..1,000,000
  Tempo tempo = Tempo::kSpread;
};

// "MEMBERSxTARGETS[:DENSITY[:burst|spread|drip]]", e.g. "20x10:0.9:drip". The error says what is wrong.
Status parse_ring(std::string_view text, RingSpec& ring);
Status parse_rings(const std::vector<std::string>& texts, std::vector<RingSpec>& rings);
// A decimal number from 0 to `max`, in millionths; digits past the sixth are cut.
bool parse_millionths(std::string_view text, uint64_t max, uint64_t& millionths);

// Within how long after its first like a target gets the ring's others: 10 minutes, a day, 14 days.
int64_t tempo_us(Tempo tempo);
// Over how long a ring's targets are spread, where the events last that long: 30 days, of drips 60.
int64_t span_us(Tempo tempo);

}  // namespace bellwether

// A flag as moderators see it: hashes turned into names, what it takes off whom, the tier with and without.
#pragma once

#include "pipeline/service/convert.h"
#include "pipeline/service/reading.h"

namespace bellwether {

constexpr size_t kFlagEvidenceListed = 1000;

// `evidence`: with its events and what each beneficiary loses; without, only how many events there are.
void flag_message(Lookup& lookup, const FlagsState& flag, uint64_t hash, bool evidence, pb::Flag& out);

}  // namespace bellwether

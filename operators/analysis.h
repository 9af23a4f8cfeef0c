// Analyses: what needs many keys at once. A pure function of a stored input and of the states and ledgers as of its
// tick; the engine runs it when Context::analyse was called and hands what it gives back to the operator that asked.
#pragma once

#include <string>
#include <string_view>

#include "operators/state_reader.h"

namespace bellwether {

// The block test of rings over `input`, a RingInput's bytes. Gives the payload of the kFindings message; never empty.
std::string run_analysis(std::string_view input, StateReader& reader);

}  // namespace bellwether

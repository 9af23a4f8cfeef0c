// Analyses: what needs many keys at once. A pure function of a stored input and of the states and ledgers as of its
// tick; the engine runs it when Context::analyse was called and hands what it gives back to the operator that asked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "operators/rings.h"
#include "operators/state_reader.h"

namespace bellwether {

// The like ledger up to the tick of that time: by user in the people's books, by post in the posts' rows and blocks.
// `reader` must outlive it.
std::unique_ptr<LedgerView> ledger_of(StateReader& reader, int64_t as_of_us);

// The block test of rings over `input`, a RingInput's bytes. Gives the payload of the kFindings message; never empty.
std::string run_analysis(std::string_view input, StateReader& reader);

}  // namespace bellwether

// What a state of the registry's operators promises about other rows: the places in lists that it stands in, the blocks
// of the ledger that it names, the sums it is counted in. Shared by the parts of the check.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "operators/operator.h"
#include "operators/scores.h"
#include "pipeline/engine/config_version.h"
#include "pipeline/engine/keys.h"

namespace bellwether {

struct BlockRef {
  int64_t day = 0;
  uint32_t number = 0, count = 0;
};
// As the state was last put into lists.
std::vector<IndexKey> lists_of(const StateKey& key, const State& state);
std::vector<BlockRef> blocks_of(const StateKey& key, const State& state);
// Entries in a block's bytes of that operator; -1: it cannot be read.
int64_t block_entries(OperatorId op, std::string_view bytes);
// Adds what the state is counted as; only sums that are those of states as they stand.
void count_state(const StateKey& key, const State& state, std::map<CounterId, int64_t>& sums);
bool counted_by_states(CounterId id);

// `scores "ada" (0011223344556677)`: operator, id where the state has one, hash of its key.
std::string describe(const StateKey& key, const char* op, const State* state);
std::string list_name(uint8_t index);

// What is wrong with the numbers of a user, a sentence each; none: nothing. `rows` are all of the user's ledger, in any
// order; `versions` the community's rules, all up to the one in force; `now_us` the last tick's. Adds the contributions
// that were summed to `contributions`.
std::vector<std::string> score_faults(Key key, const ScoresState& state, const std::vector<CreditRow>& rows,
                                      const std::vector<ConfigVersion>& versions, uint16_t version, int64_t now_us,
                                      uint64_t& contributions);

}  // namespace bellwether

// Reads many keys at once, as of one tick: what an analysis and `dump` get beside their input. Reading changes nothing.
#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "operators/hash.h"
#include "operators/operator.h"

namespace bellwether {

class StateReader {
 public:
  virtual ~StateReader() = default;
  // Null where the key has no state. Valid until the next call.
  virtual const State* state(OperatorId op, Key key) = 0;
  // A row that Context::write_block wrote; empty where there is none.
  virtual std::string block(OperatorId op, Key key, int64_t day, uint32_t number) = 0;
  // The rules in force at the tick.
  virtual const CommunityConfig& community() const = 0;
};

}  // namespace bellwether

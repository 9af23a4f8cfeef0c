// Made-up communities with planted rings, as records for the engine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operators/fact.h"

namespace bellwether {

struct CommunityOptions {
  uint64_t users = 400, days = 40, seed = 1;
  std::vector<std::string> rings;  // as `simulate --ring`
};
// JSON lines in the order of their times. Empty, and a failed test, where they cannot be made.
std::vector<std::string> community_records(const CommunityOptions& options);
// The same with some likes taken back, within ten days, and some of those given again.
std::vector<std::string> with_undoes(const std::vector<std::string>& records, uint64_t seed);
// The event time of a record, microseconds.
int64_t time_of(const std::string& record);
// A verdict of staff on a flag.
std::string verdict_record(const std::string& id, const std::string& flag, Decision decision, int64_t time_us);

}  // namespace bellwether

// The control log: every decision that a wall clock or an operator made, as input. Rows of Family::kControl, by number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/engine/shard.h"
#include "pipeline/engine/store.h"

namespace bellwether {

// From `from_offset` on nothing of the partition falls before `slot`. A row is raised in place until a record from
// there is read.
struct FloorRow {
  PartitionId partition;
  int64_t from_offset = 0;
  int64_t slot = INT64_MIN;
};
std::string encode(const FloorRow& row);
std::string encode(const ConfigVersion& row);

struct ControlLog {
  std::vector<std::pair<uint64_t, FloorRow>> floors;  // with their numbers, rising
  std::vector<ConfigVersion> versions;                // [number]
  uint64_t next = 1;
};
Status read_control(const Store& store, ControlLog& out);

}  // namespace bellwether

// The control log: every decision that a wall clock or an operator made, as input. Rows of Family::kControl, by number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "operators/codec.h"
#include "pipeline/engine/config_version.h"
#include "pipeline/engine/record.h"
#include "pipeline/engine/store.h"

namespace bellwether {

// From `from_offset` on nothing of the partition falls before `slot`. A row is raised in place until a record from
// there is read.
struct FloorRow {
  PartitionId partition;
  int64_t from_offset = 0;
  int64_t slot = INT64_MIN;
};
// Offsets [from, to) of the partition were gone at the source before they were read, and the operator said to go on.
// After a restart the same offsets may be told again in a longer row.
struct GapRow {
  PartitionId partition;
  int64_t from = 0, to = 0;
};
// A user who asked to be forgotten, by the hash of their id; the id's length finds it in texts. Durable with the commit
// of the erasure's tick. Holds for every record, whatever its position, so that a replay never learns the name.
struct ErasureRow {
  uint64_t user = 0;
  uint32_t id_bytes = 0;  // 0: not known
};
// Numbers of their own, behind all others: the fold writes them, the rest is ingest's.
constexpr uint64_t kErasureNumbers = uint64_t{1} << 63;
std::string encode(const ErasureRow& row);
std::string encode(const FloorRow& row);
std::string encode(const GapRow& row);
std::string encode(const ConfigVersion& row);

struct ControlLog {
  std::vector<std::pair<uint64_t, FloorRow>> floors;  // with their numbers, rising
  std::vector<GapRow> gaps;                           // in the order they were met
  std::vector<ConfigVersion> versions;                // [number]
  std::vector<ErasureRow> erasures;                   // [number - kErasureNumbers]
  uint64_t next = 1;
};
// How many offsets rows of one partition cover; those told twice count once.
uint64_t gap_offsets(std::vector<GapRow> rows);
// What a store keeps of community.hash_key, which is a secret: the last of its fixed settings.
std::string hash_key_print(const Hasher& hasher);
Status read_control(const Store& store, ControlLog& out);

}  // namespace bellwether

// What stands in rows that leave the pipeline: dead letters, and what waits for sinks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "operators/erased.h"
#include "pipeline/decode/reason.h"
#include "pipeline/engine/keys.h"
#include "pipeline/engine/store.h"
#include "pipeline/sources/source.h"

namespace bellwether {

// Kinds of outbox rows are those of OutKind, and this one.
constexpr uint8_t kOutDeadLetter = 5;
// A key whose records in a topic shall go: an empty value in a compacted topic. The payload is encode_tombstone().
constexpr uint8_t kOutTombstone = 6;
std::string encode_tombstone(std::string_view topic, std::string_view key);  // topic without prefix: ".scores"
bool decode_tombstone(std::string_view payload, std::string_view& topic, std::string_view& key);

// A dead letter as it stands in `views` and in the outbox.
struct DeadLetterRow {
  PartitionId from;
  int64_t offset = 0;
  Reason reason = Reason::kNone;
  int64_t slot = 0;
  uint32_t sub = 0;
  std::string_view detail, raw;  // raw is cut as held.h says
  uint64_t raw_bytes = 0;
};
// Takes the names of the erased out of it: bytes go, and a sentence becomes this one. True where there were any.
constexpr std::string_view kNamedSentence = "it named somebody who was erased";
bool forget(DeadLetterRow& row, const Erased& erased);
std::string encode(const DeadLetterRow& row);
bool decode(std::string_view bytes, DeadLetterRow& out);  // its views point into `bytes`
// An outbox row: kind, id (of dead letters the tick only: their id is topic, partition and offset), the record's own
// bytes.
std::string encode_out_row(uint8_t kind, const ChangeId& id, std::string_view payload);
void begin_out_row(std::string& out, uint8_t kind, const ChangeId& id, size_t payload_bytes);  // up to the payload
bool decode_out_row(std::string_view bytes, uint8_t& kind, ChangeId& id, std::string_view& payload);

// A row of the store by its name.
struct RowName {
  Family family = Family::kState;
  std::string key;
};

}  // namespace bellwether

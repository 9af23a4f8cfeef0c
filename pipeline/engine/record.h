// What ingest hands to the fold: closed ticks with their records, many a chunk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/fact.h"
#include "pipeline/decode/reason.h"
#include "pipeline/engine/schedule.h"
#include "pipeline/sources/source.h"

namespace bellwether {

// A record on its way: the fact, or why it is none, and where it came from. Derived from Fact, so that an operator's
// fact leads back.
struct Record : Fact {
  uint64_t content = 0;     // hash of its bytes, by which facts alike to the operators are ordered; of facts only
  std::string_view raw;     // of dead letters only: its bytes, as far as they are kept
  std::string_view detail;  // of dead letters only
  uint64_t raw_bytes = 0;   // how long it was
  int64_t offset = 0;
  uint32_t partition = 0;  // number in the engine
  bool late = false;
  bool erases = false;            // holds an Erasure
  uint32_t erased = 0;            // how many erasures were known when it was decoded
  Reason reason = Reason::kNone;  // not kNone: a dead letter
};

class HeldTick;  // held.h

struct ControlRow {
  uint64_t number = 0;
  std::string value;
};

struct Chunk {
  struct Tick {
    TickId id;
    uint32_t begin = 0, end = 0;  // in records
  };
  std::vector<Tick> ticks;                      // rising
  std::vector<std::unique_ptr<HeldTick>> held;  // of each of them; to be let go as soon as it was folded
  std::vector<Record*> records;                 // in no order within a tick
  TickId closed_before;                         // every tick before it is closed
  std::vector<RestartPoint> restart;            // of each partition, as of closed_before
  std::vector<uint64_t> gaps;                   // of each partition: offsets passed over so far
  std::vector<Bookmark> bookmarks;              // of each partition: of a record below its restart point
  std::vector<PartitionId> partitions;          // those added since the chunk before
  std::vector<int64_t> append_us;               // of those: the append time of records without one, or -1
  std::vector<ControlRow> control;              // durable with the first commit of anything in this chunk
  bool near_end = false;                        // every partition was read to its end within the last second
  int64_t made_at = 0;                          // by the clock that measures waits
};

}  // namespace bellwether

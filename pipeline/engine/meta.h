// What a restart needs beside the states, as one row: where every partition stands, the account, what is waiting.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/engine/account.h"
#include "pipeline/engine/keys.h"
#include "pipeline/engine/record.h"

namespace bellwether {

// Sends kRecheck to the users of the overall board from one cell to another, or to all on a tier (`next` says which).
struct RecheckJob {
  uint8_t tier = 0;
  uint32_t high = 0;  // the last cell
  IndexKey next;      // the first row not yet told
  friend bool operator==(const RecheckJob&, const RecheckJob&) = default;
};
// A message for a later tick's round 1: what an analysis found, or what 16 rounds did not reach.
struct StoredMessage {
  int64_t slot = 0;  // findings only
  StateKey to;
  StateKey sender;
  uint32_t sequence = 0;
  int64_t time_us = 0;
  uint64_t id_hash = 0;
  std::string payload;
  friend bool operator==(const StoredMessage&, const StoredMessage&) = default;
};
struct PartitionState {
  PartitionId id;
  RestartPoint at;
  int64_t append_us = -1;  // for records without an append time
  Account account;
  uint64_t gap = 0;     // offsets gone before they were read, passed over by order; no part of the account's sum
  Bookmark bookmark;    // of a record below at.next_offset
  int64_t read_to = 0;  // no record from here on was ever folded; those between at.next_offset and here may have been
  friend bool operator==(const PartitionState&, const PartitionState&) = default;
};

struct EngineProgress {
  TickId tick;                       // the last one done; {INT64_MIN, 0}: none, or one of dead letters before any event
  bool begun = false;                // any tick was done
  int64_t first_folded = INT64_MIN;  // slot of the first tick that operators saw
  int64_t folded = INT64_MIN;        // of the last
  int64_t hour = INT64_MIN;          // of that tick
  uint64_t ticks = 0;                // that operators saw
  uint64_t outbox_next = 1;          // number of the next outbox row
  int64_t changes_from = INT64_MIN;  // slot: change rows before it are erased
  int64_t ledger_from = INT64_MIN;   // day: ledger rows before it are dropped
  std::array<uint64_t, kReasons> dead{};  // dead letters by reason
  Cutoffs cutoffs;
  std::vector<RecheckJob> jobs;         // in the order begun
  std::vector<StoredMessage> findings;  // by (slot, arrival)
  std::vector<StoredMessage> leftovers;
  std::vector<PartitionState> partitions;  // by number in the engine

  Account account() const;  // of all partitions
  uint64_t gap() const;     // likewise
  std::string encode() const;
  bool decode(std::string_view bytes);
  friend bool operator==(const EngineProgress&, const EngineProgress&) = default;
};

}  // namespace bellwether

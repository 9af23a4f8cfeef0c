// Runs ticks: rounds over all shards, then what the tick as a whole asks for (counters, lists, timers, out records,
// jobs, analyses). What it does is a function of the ticks it is given; threads, shards and cache change nothing but
// the time it takes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "pipeline/engine/index_overlay.h"
#include "pipeline/engine/meta.h"
#include "pipeline/engine/pool.h"
#include "pipeline/engine/shard.h"
#include "pipeline/engine/timers.h"

namespace bellwether {

struct FoldOptions {
  uint32_t shards = 1, threads = 1;
  size_t cache_bytes = size_t{64} << 20;
  bool outbox = true;           // false: no out records are kept for sinks
  size_t parallel_items = 256;  // rounds smaller than this are folded by the caller
  size_t job_rows = 4096;       // rows of lists that jobs walk in a tick
  size_t dead_rows = 100'000;   // dead letters kept for ListDeadLetters
  int64_t dead_us = 7 * kDayUs;
  size_t timer_rows = 1 << 18;  // timers read ahead
};

// Kinds of outbox rows are those of OutKind, and this one.
constexpr uint8_t kOutDeadLetter = 5;

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
std::string encode(const DeadLetterRow& row);
bool decode(std::string_view bytes, DeadLetterRow& out);  // its views point into `bytes`
// An outbox row: kind, id (of dead letters the tick only: their id is topic, partition and offset), the record's own
// bytes.
std::string encode_out_row(uint8_t kind, const ChangeId& id, std::string_view payload);
bool decode_out_row(std::string_view bytes, uint8_t& kind, ChangeId& id, std::string_view& payload);

class TickRunner final : public StateReader {
 public:
  // `settle`: as for Timers. All must outlive the runner.
  TickRunner(const FoldOptions& options, const OperatorSet& operators, const Hasher& hasher, const Store& store,
             const std::vector<ConfigVersion>& versions, EngineProgress& progress, std::function<Status()> settle);

  // What no commit carries yet, beside dirty states, goes straight into this set: called once after each commit began.
  void set_write_set(WriteSet* set) { set_ = set; }
  // Reads counters and dead letters' keys; after `progress` was filled.
  Status open();

  // Reads what the facts of these records will need, if it is not in memory.
  Status prefetch(std::span<Record* const> records);
  // The same for the processor's caches, of records some way ahead: `step` as for StateCache::fetch_ahead.
  void fetch_ahead(const Record& record, StateCache::Ahead step) const;
  // Runs the ticks before `before` that have no records: timers, leftovers, jobs, new days. Gives true while there may
  // be more, so that the caller can commit between them.
  Status advance(TickId before, bool& more);
  // One tick with its records. Every internal tick before it must have run.
  Status run(TickId tick, std::span<Record* const> records);
  // The earliest slot in which something happens without a record, as far as memory knows.
  int64_t next_due() const;

  // For the commit: everything beside `progress` that is not in the set yet, states too. What it gives is called with
  // the same set on the commit's thread: it adds the rows that need no fold to stand still.
  std::function<void(WriteSet&)> write(WriteSet& set, uint64_t flight);
  void committed(uint64_t flight);  // that commit is in the store
  void evict();                     // between ticks
  size_t dirty_bytes() const;
  void collect_accounts();  // into progress; aborts where law 5 does not hold

  struct Figures {
    size_t cache_bytes = 0, states = 0;
    uint64_t cache_hits = 0, cache_misses = 0;
  };
  Figures figures() const;
  uint16_t version() const { return env_.version; }  // of the community's rules at the last tick
  void add_partition(const PartitionId& id) { partition_ids_.push_back(id); }

  // StateReader, between ticks and for analyses
  const State* state(OperatorId op, Key key) override;
  std::string block(OperatorId op, Key key, int64_t day, uint32_t number) override;
  const CommunityConfig& community() const override { return versions_[env_.version].config; }

 private:
  Shard& shard(uint64_t hash) const { return *shards_[shard_of(hash, static_cast<uint32_t>(shards_.size()))]; }
  uint16_t version_at(int64_t slot) const;
  Status begin(TickId tick, std::span<Record* const> records);
  Status rounds();
  void leave_over();
  Status finish();
  void dead(TickId tick, const Record& record);
  void engine_message(StoredMessage message);
  Status slice_jobs();
  void start_jobs(const Cutoffs& before, const Cutoffs& after);
  void emit(const Shard::Emitted& out);
  Status failure() const;

  const FoldOptions options_;
  const OperatorSet& operators_;
  const Hasher& hasher_;
  const Store& store_;
  const std::vector<ConfigVersion>& versions_;
  EngineProgress& progress_;
  TickEnv env_;
  std::vector<std::unique_ptr<Shard>> shards_;
  Pool pool_;
  Timers timers_;
  IndexOverlay index_;
  Counters counters_;
  std::vector<PartitionId> partition_ids_;
  std::vector<uint64_t> consumed_;  // by partition
  std::vector<uint64_t> dead_;      // by partition
  std::vector<const Operator*> hourly_;
  std::set<DeadKey> dead_keys_;  // of the rows in `views`
  WriteSet* set_ = nullptr;
  uint64_t committed_ = 0;
  uint32_t engine_sequence_ = 0;
  std::vector<StateKey> due_;
  std::vector<IndexKey> rows_;
  std::vector<std::vector<StateKey>> wanted_;  // by shard
};

}  // namespace bellwether

// Runs ticks: rounds over all shards, then what the tick as a whole asks for (counters, lists, timers, out records,
// jobs, analyses). What it does is a function of the ticks it is given; threads, shards and cache change nothing but
// the time it takes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "pipeline/engine/board_moves.h"
#include "pipeline/engine/fold_options.h"
#include "pipeline/engine/index_overlay.h"
#include "pipeline/engine/list_counts.h"
#include "pipeline/engine/meta.h"
#include "pipeline/engine/out_rows.h"
#include "pipeline/engine/pool.h"
#include "pipeline/engine/rows.h"
#include "pipeline/engine/shard.h"
#include "pipeline/engine/state_rows.h"
#include "pipeline/engine/timers.h"

namespace bellwether {

class TickRunner final : public StateReader {
 public:
  // All must outlive the runner.
  TickRunner(const FoldOptions& options, const OperatorSet& operators, const Hasher& hasher, const Store& store,
             const std::vector<ConfigVersion>& versions, EngineProgress& progress);

  // What no commit carries yet, beside dirty states, goes straight into this set: called once after each commit began.
  void set_write_set(WriteSet* set) { set_ = set; }
  // Those of the control log, and what of the record's names goes because of them; before open().
  void set_erased(std::shared_ptr<const Erased> erased);
  const std::shared_ptr<const Erased>& erased() const { return erased_; }
  // Puts rows that hold a name of theirs into the write set anew, without it (erasure.h). `outbox_from`: the first row
  // of the outbox that is still there.
  Status scrub(std::span<const RowName> rows, uint64_t outbox_from);
  // Reads counters and dead letters' keys, and converts what an earlier version wrote (list_counts.h); after `progress`
  // was filled and a write set given.
  Status open(Store& store);

  // Reads what the facts of these records will need, and whoever is woken before slot `until`, if not in memory.
  Status prefetch(std::span<Record* const> records, int64_t until);
  // The same for the processor's caches, record by record, some way ahead of its fold: `i` of those last prefetched.
  void fetch_ahead(size_t i);
  // Runs the ticks before `before` that have no records: timers, leftovers, jobs, new days. Gives true while there may
  // be more, so that the caller can commit between them.
  Status advance(TickId before, bool& more);
  // One tick with its records. Every internal tick before it must have run.
  Status run(TickId tick, std::span<Record* const> records);
  // The earliest slot in which something happens without a record, as far as memory knows.
  int64_t next_due() const;

  // For the commit: everything beside `progress` that is not in the set yet, states too. What it gives is called with
  // the same set on the commit's thread: it adds the rows that need no fold to stand still. `again_soon`: the next
  // commit comes so soon that rows are kept, to write only what changed of them.
  std::function<void(WriteSet&)> write(WriteSet& set, uint64_t flight, bool again_soon);
  // How many users the cells of each board have, as of the last commit whose rows were made; on the commit's thread, or
  // while no commit is under way.
  const std::shared_ptr<const BoardTables>& boards() const { return list_counts_.tables(); }
  // Who moved with what write() last gave out; null where nobody asks, or it is too much.
  std::shared_ptr<const BoardMoves> take_moves() { return std::move(moves_); }
  void committed(uint64_t flight);  // that commit is in the store
  void evict();                     // between ticks
  // What a commit would write, and what the states that it waits for take in memory.
  size_t dirty_bytes() const;
  size_t dirty_memory() const;
  void collect_accounts();  // into progress; aborts where law 5 does not hold

  FoldFigures figures() const;
  void leave_memory();                               // StateCache::leave_memory()
  uint16_t version() const { return env_.version; }  // of the community's rules at the last tick
  void add_partition(const PartitionId& id) { partition_ids_.push_back(id); }

  // StateReader, between ticks and for analyses
  const State* state(OperatorId op, Key key) override;
  std::string block(OperatorId op, Key key, int64_t day, uint32_t number) override;
  const CommunityConfig& community() const override { return versions_[env_.version].config; }

 private:
  Shard& shard(uint64_t hash) const { return *shards_[shard_of(hash, static_cast<uint32_t>(shards_.size()))]; }
  uint16_t version_at(int64_t slot) const;
  void fetch_woken();
  Status begin(TickId tick, std::span<Record* const> records);
  Status rounds();
  void leave_over();
  Status finish();
  void dead(TickId tick, const Record& record);
  Status learn_erasures(TickId tick, std::span<Record* const> records);
  Status say_flags_anew();
  void engine_message(const StoredMessage& message);
  Status slice_jobs();
  void start_jobs(const Cutoffs& before, const Cutoffs& after);
  void look_at_tiers();
  void emit(const Shard::Emitted& out);
  class Moving;
  Status load_wanted(size_t count);
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
  ListCounts list_counts_;
  Counters counters_;
  std::vector<PartitionId> partition_ids_;
  std::vector<uint64_t> consumed_;  // by partition
  std::vector<uint64_t> dead_;      // by partition
  std::vector<const Operator*> hourly_;
  std::set<DeadKey> dead_keys_;  // of the rows in `views`
  std::shared_ptr<const Erased> erased_;
  std::vector<uint64_t> erased_now_;  // in the tick in hand
  WriteSet* set_ = nullptr;
  uint64_t committed_ = 0;
  uint32_t engine_sequence_ = 0;
  SpareRows spare_rows_;
  std::shared_ptr<BoardMoves> moves_;
  OutRows out_rows_;
  std::vector<StateKey> due_;
  std::vector<IndexKey> rows_;
  std::vector<std::vector<StateKey>> wanted_;  // by shard
  // Of the records last prefetched: the states they will likely need, and where those of each record begin.
  std::span<Record* const> likely_records_;
  std::vector<StateKey> likely_;
  std::vector<CacheSlot*> likely_slots_;
  std::vector<uint32_t> likely_of_;
  std::array<CacheSlot*, 8> woken_{};  // of timers to come, in a ring
  size_t woken_at_ = 0;
};

}  // namespace bellwether

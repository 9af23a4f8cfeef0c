// From sources to closed ticks: polls, decodes, places by the schedule, holds open ticks, writes floors. One thread; no
// clock of its own. What it decides by the clock it writes down as control rows, so that a replay decides the same.
#pragma once

#include <absl/container/btree_map.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "pipeline/decode/decoder.h"
#include "pipeline/engine/control.h"
#include "pipeline/engine/held.h"
#include "pipeline/engine/meta.h"
#include "pipeline/engine/record.h"

namespace bellwether {

struct IngestSource {
  Source* source = nullptr;
  bool live = true;   // false: files, which end
  size_t joined = 0;  // partitions known to ingest
};

struct IngestOptions {
  ScheduleLimits limits;
  std::function<int64_t()> clock_us;  // measures waits; microseconds, from any beginning
  uint32_t batch = 1024;              // records a poll
  size_t held_bytes = SIZE_MAX;       // of records read and not folded yet; beyond, only who is waited for is read
  int wait_ms = 5;                    // how long a poll waits when there is nothing to read; 0 never
  bool floors = true;                 // idle and quiet floors by the clock
  bool until_end = false;             // live sources are read to where they ended at the start, then end like files
  int64_t idle_us = 5 * kSecondUs, quiet_us = kSecondUs, max_lag_us = 0;
  int64_t file_append_us = INT64_MAX;  // append time of records of files
};

// How a partition stands, for status and metrics.
struct PartitionFigures {
  PartitionId id;
  int64_t next_offset = 0, end_offset = -1;
  int64_t watermark_us = INT64_MIN, newest_us = INT64_MIN;
  int64_t floor_slot = INT64_MIN;
  bool idle = false, finished = false;
  uint64_t held = 0;
};

class Ingest {
 public:
  // `known`: partitions of the store, by number in the engine; new ones get the numbers behind. `committed`: TickId{}
  // for a new store.
  Ingest(const IngestOptions& options, const Hasher& hasher, std::vector<IngestSource> sources,
         const ControlLog& control, const std::vector<PartitionState>& known, TickId committed);

  // One poll and what follows from it. `chunk` is set when ticks closed. `done`: everything is read and closed (files,
  // until_end). `waited`: there was nothing to do, and nothing was waited for.
  Status step(std::unique_ptr<Chunk>& chunk, bool& done, bool& waited);

  // Whose names are dropped as records are decoded. Any thread.
  void set_erased(std::shared_ptr<const Erased> erased);
  // The earliest slot in which something happens without a record; told by the fold, read by quiet floors.
  void set_next_due(int64_t slot) { next_due_.store(slot, std::memory_order_relaxed); }
  std::vector<PartitionFigures> figures() const;                                 // any thread; up to 100 ms old
  uint64_t pending() const { return pending_.load(std::memory_order_relaxed); }  // records in open ticks
  // What records read and not folded yet take: those in open ticks, and those in chunks until they are let go. Any
  // thread.
  size_t held_bytes() const { return held_->load(std::memory_order_relaxed); }
  // Nothing more to read, as of the last polls.
  bool caught_up() const { return caught_up_.load(std::memory_order_relaxed); }

 private:
  struct Partition {
    size_t source = 0, local = 0;
    uint32_t number = 0;  // in the engine
    PartitionId id;
    bool live = true;
    int64_t append_us = -1;
    int64_t next_offset = 0;
    int64_t read_to = 0;       // up to here an earlier run may have folded records: no floor may fall on one of them
    int64_t end_target = -1;   // until_end: not known yet
    int64_t empty_since = -1;  // clock of the first empty poll in a row
    int64_t polled_at = 0;
    int64_t at_end_at = INT64_MIN / 2;  // when it was last read to its end
    bool at_end = false, finished = false, idle = false;
    bool seen = false;  // the source answered: what stands there is what was read, not a shorter log of the same name
    int64_t holds_since = -1;  // clock since when it is the one that the others wait for; -1: it is not
    bool let_go = false;       // max_lag: until it has caught up with its floor
    int64_t floor_slot = INT64_MIN;
    FloorRow floor;             // the newest control row
    uint64_t floor_number = 0;  // 0: none
    bool floor_changed = false;
  };

  Status refresh(bool first);
  Status join(size_t source, size_t local, bool first);
  bool waits_for_known() const;
  void set_back(int64_t us);
  bool may_poll(size_t index) const;
  int pick(int64_t now);
  Status poll(Partition& p, size_t index, int64_t now);
  void place(Partition& p, size_t index);
  void pass_gap(Partition& p, size_t index, int64_t from, int64_t to);
  void hold(const Record& record, TickId tick);
  void floors(int64_t now);
  void let_go_laggards(int64_t now);
  int64_t end_slot() const;  // the floor of everything that has ended
  void add_floor(Partition& p, size_t index, int64_t slot);
  bool quiet_due(int64_t now, int64_t& slot) const;
  std::unique_ptr<Chunk> close();
  void pass_absent(Chunk& chunk);
  void publish(int64_t now);

  IngestOptions options_;
  std::vector<IngestSource> sources_;
  Decoder decoder_;
  Schedule schedule_;
  std::vector<Partition> partitions_;                                             // as in the schedule
  std::vector<bool> found_;                                                       // by number in the engine
  std::vector<PartitionState> known_;                                             // by number in the engine
  std::map<PartitionId, std::vector<std::pair<uint64_t, FloorRow>>> old_floors_;  // of partitions not yet found
  std::map<PartitionId, std::vector<GapRow>> gaps_;
  std::vector<ControlRow> new_gaps_;  // not yet in a chunk
  bool tell_ = false;                 // something in the control log must not wait for a tick to close
  std::vector<ControlRow> raised_;    // floors that records were read under, likewise
  uint64_t next_control_;
  bool fresh_;
  TickId committed_, closed_;
  int64_t newest_us_ = INT64_MIN, newest_read_at_ = 0;
  // The highest floor of any partition, and since when nothing came and it stood: quiet floors go on from there where
  // it is ahead of the events, as after a long silence.
  int64_t highest_floor_ = INT64_MIN, floor_stands_since_ = 0;
  int64_t clock_at_ = INT64_MIN;  // at the last step
  bool ended_ = false, started_ = false;

  // Of the poll in hand; its memory is used again by the next one.
  Batch batch_;
  Arena arena_;
  Record record_;

  const HeldBytes held_ = std::make_shared<std::atomic<size_t>>(0);
  absl::btree_map<TickId, std::unique_ptr<HeldTick>> open_;
  TickId last_tick_;
  HeldTick* last_held_ = nullptr;  // of last_tick_
  std::vector<PartitionId> joined_;
  std::vector<int64_t> joined_append_us_;
  std::string detail_;

  std::mutex erased_mutex_;
  std::shared_ptr<const Erased> erased_told_;
  std::atomic<size_t> erased_count_{0};  // in erased_told_
  std::shared_ptr<const Erased> erased_;
  std::atomic<int64_t> next_due_{INT64_MAX};
  std::atomic<uint64_t> pending_{0};
  std::atomic<bool> caught_up_{false};
  bool near_end_ = false;
  mutable std::mutex figures_mutex_;
  std::vector<PartitionFigures> figures_;
  int64_t figures_at_ = 0;
};

}  // namespace bellwether

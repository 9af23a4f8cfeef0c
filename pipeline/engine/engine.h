// The pipeline put together: sources -> ingest -> ticks -> commits -> what queries read.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/engine/board_moves.h"
#include "pipeline/engine/commit.h"
#include "pipeline/engine/erasure.h"
#include "pipeline/engine/fold_options.h"
#include "pipeline/engine/ingest.h"
#include "pipeline/engine/published.h"

namespace bellwether {

struct EngineOptions {
  bool floors = true;                 // idle and quiet floors by the clock; false: replay
  bool until_end = false;             // live sources are read to where they ended at the start
  bool outbox = false;                // keep out records for sinks until outbox_delivered()
  bool board_moves = false;           // publish who moved on the boards, for who keeps lists of them
  int64_t file_append_us = -1;        // append time of files' records; -1: the time of day at the start
  std::function<int64_t()> clock_us;  // measures waits only, from any beginning; empty: how long the machine runs
  bool inline_ingest = false;         // no ingest thread: the caller of run() polls too
  bool inline_commit = false;  // no commit thread: a commit reaches the store in land(), or when it is waited for
  // The first step of an erasure where there is a log of ours (erasure.h), and a line for the program's log.
  decltype(Eraser::Deps::rewrite_log) rewrite_log;
  decltype(Eraser::Deps::drop_old) drop_old;
  std::function<void(const std::string&)> say;
  bool process_ends = false;  // the process ends with the engine: most of its memory is left to the system
  // The last tick to run: run() ends when it is done, or when all is read. What is found out by the clock is then not
  // written down: the control log is one that was written before (rebuild).
  std::optional<TickId> until;
  // Tests only: smaller bounds, commits where they say (asked after every tick and chunk).
  uint32_t tick_records = kTickRecordsMax;
  size_t held_bytes = 0;  // instead of engine.pending_mb; 0: that
  FoldOptions fold;       // shards, threads, cache and outbox are set from the configuration
  std::function<bool()> commit_now;
};

struct EngineFigures {
  uint64_t ticks = 0;                      // folded since the store was made
  uint64_t pending = 0;                    // records read that wait in open ticks or in the queue
  size_t held_bytes = 0, dirty_bytes = 0;  // of those records; of changed states
  bool caught_up = false;
  CommitFigures commit;
  FoldFigures cache;
  std::vector<PartitionFigures> partitions;
  uint64_t outbox_pending = 0;
  uint64_t erased = 0, erasures_pending = 0;  // people erased; those of whom a file may still hold the name
};

class TickRunner;

// What a store holds, without an engine: for `dump` and tools beside nothing else. `operators` must outlive it.
Status read_published(const Store& store, const OperatorSet& operators, std::shared_ptr<const Published>& out);

class Engine {
 public:
  // Store and sources must outlive the engine. Fails where the store belongs to another configuration, or cannot be
  // read. Partitions known now are read from where the store's last commit stands.
  static Status open(const Config& config, const OperatorSet& operators, Store& store,
                     std::vector<IngestSource> sources, const EngineOptions& options, std::unique_ptr<Engine>& out);
  ~Engine();  // what is not committed is lost, as in a crash

  // Works in the calling thread until files (or until_end) are through, stop() or a failure; then commits what is
  // folded.
  Status run();
  // run() in its parts, for who steps the engine (inline_ingest): one turn of its loop; its end. `done`: no more turns.
  Status step(bool& done);
  Status finish();
  // With inline_commit: the commit in flight, if any, reaches the store and is published.
  void land() { committer_->land(); }
  // Any thread, and signal handlers: run() folds what is closed already, for at most 5 s, commits and returns.
  void stop() { stop_.store(true); }
  // As stop(), but nothing more is folded or committed.
  void abandon() { abandon_.store(true), stop_.store(true); }

  // Any thread.
  std::shared_ptr<const Published> published() const;
  // Waits until something newer than commit `number` is published, or the time is over; gives the newest then.
  std::shared_ptr<const Published> wait_published(uint64_t number, int64_t timeout_us) const;
  EngineFigures figures() const;
  const Hasher& hasher() const { return hasher_; }
  // Whose names nothing may hold that is written from now on. Any thread.
  std::shared_ptr<const Erased> erased() const;
  // Outbox rows up to and including this number have arrived where they should; the next commit erases them.
  void outbox_delivered(uint64_t through) { outbox_delivered_.store(through); }

 private:
  Engine(const Config& config, const OperatorSet& operators, Store& store, const EngineOptions& options);
  Status restore(std::vector<IngestSource> sources);
  Status check_fixed(bool fresh);
  Status put_on_config(bool fresh);
  void ingest_loop();
  Status next_chunk(std::unique_ptr<Chunk>& chunk, bool& done);
  Status process(Chunk& chunk);
  bool cut_short();
  Status after_tick(bool idle);
  int64_t due_us() const;
  int64_t until_due_us() const;
  Status scrub();
  Status finish_erasures();
  void tell_erased();
  void leave_memory();
  Status commit();
  Status settle();
  int64_t now_us() const { return options_.clock_us(); }

  Config config_;
  const OperatorSet& operators_;
  Store& store_;
  EngineOptions options_;
  Hasher hasher_;
  EngineProgress progress_;
  ControlLog control_;
  std::shared_ptr<std::vector<ConfigVersion>> versions_;
  std::unique_ptr<TickRunner> runner_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<WriteSet> set_;
  MovesKept moves_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Eraser> eraser_;
  uint64_t flight_ = 0, landed_ = 0;                  // numbers of commits
  bool anything_ = false;                             // to commit
  int64_t committed_at_ = 0, tick_committed_at_ = 0;  // the last commit; the last with ticks
  uint64_t committed_ticks_ = 0;                      // of progress_, at the last commit
  uint32_t ticks_since_look_ = 0;
  size_t commit_bytes_ = 0, dirty_begins_ = 0, dirty_max_ = 0, held_max_ = 0;
  bool behind_ = true;
  uint64_t outbox_erased_ = 0;

  std::atomic<bool> stop_{false}, abandon_{false};
  std::chrono::steady_clock::time_point stop_seen_;
  std::atomic<uint64_t> outbox_delivered_{0};
  mutable std::mutex mutex_;
  mutable std::condition_variable published_changed_;
  std::shared_ptr<const Published> published_;
  std::shared_ptr<const Erased> erased_;
  EngineFigures figures_;
  int64_t figures_at_ = 0;

  mutable std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<std::unique_ptr<Chunk>> queue_;
  std::vector<std::unique_ptr<Chunk>> spent_;  // folded, to be let go
  size_t queue_records_ = 0;                   // in the queue, and in the chunk that is being folded
  bool ingest_done_ = false;
  Status ingest_status_;
  std::thread ingest_thread_;
};

}  // namespace bellwether

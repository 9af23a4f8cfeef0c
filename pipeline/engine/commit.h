// One commit in flight, on a thread of its own, while the next ticks fold.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "pipeline/engine/store.h"

namespace bellwether {

struct CommitFigures {
  uint64_t commits = 0, rows = 0, bytes = 0;
  int64_t last_us = 0, total_us = 0;  // time in the store
};

class Committer {
 public:
  // `threaded` false: a commit begun does its work in land() or settle(), on the caller's thread, so that a simulation
  // chooses the moment.
  explicit Committer(Store& store, bool threaded = true);
  ~Committer();  // waits for the one in flight; without a thread it is lost, as in a crash

  struct Job {
    std::unique_ptr<WriteSet> set;
    std::function<void(WriteSet&)> prepare;  // called first, on the commit thread; may be empty
    std::string ledger_from, ledger_to;      // rows to drop once the set is in; equal: none
    // Called on the commit thread with the new snapshot, once the set is durable.
    std::function<void(std::shared_ptr<const Snapshot>)> publish;
  };
  // None may be in flight.
  void start(Job job);
  // Whether one is in flight; any failure of an earlier one is told here.
  bool busy(Status& status);
  Status settle();
  void land();  // without a thread only
  CommitFigures figures() const;
  // A set to fill: that of the last commit, whose memory need not be asked for and cleared again, or a new one.
  std::unique_ptr<WriteSet> empty_set();

 private:
  void work();
  // Takes the job and does it with the lock let go.
  void perform(std::unique_lock<std::mutex>& lock);
  Store& store_;
  const bool threaded_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Job job_;
  std::unique_ptr<WriteSet> spare_;
  bool busy_ = false, stop_ = false;
  Status status_;
  CommitFigures figures_;
  std::thread thread_;
};

}  // namespace bellwether

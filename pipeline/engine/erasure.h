// How an erasure reaches everything that is stored (what it means: operators/erased.h).
//
// The fold learns it at the start of its tick, and with that tick's commit it stands in the control log; from then on
// it is applied to every record as it is decoded and to every row as it is read, so that no answer holds the name. What
// is left is on disk, and goes step by step, on a thread of its own; each step may be killed and is done again:
//   1. the embedded log: segments with the name are written anew, each record at its offset (embedded_log.h); stores
//      that a rebuild replaced and kept are deleted
//   2. a walk over states, changes, dead letters and outbox finds the rows that hold the name; the fold puts them again
//   3. with Kafka: the brokers have the tombstones of the out topics
//   4. the store's files are rewritten, so that no overwritten row is left in any, once no reader pins an older state
//   5. the name itself, kept in `meta` for 1 and for a restart, is erased, and the files of `meta` are rewritten
//   6. a row in `meta` says how many erasures are done
// Erasures that come meanwhile are done together in the next turn. Pages that were begun before go on from the newest
// state; a long query holds up step 4 until it is answered, a broker that is away step 3.
//
// Beyond its reach: input topics and files (they are the platform's; what they still hold is dropped at decode), out
// topics that are not compacted, backups made before, the program's own log, blocks that the file system let go of.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "pipeline/engine/published.h"
#include "pipeline/engine/rows.h"

namespace bellwether {

// Takes the names of the erased out of a change, an outbox row or a dead letter (`kind` as in the outbox; a dead letter
// is left without its bytes). False where it holds none; else `out` is the payload without them.
bool forget_row(uint8_t kind, const ChangeId& id, std::string_view payload, const Erased& erased, std::string& out);
// What an out record of a dead letter is called: topic, partition, offset.
std::string dead_letter_id(const DeadLetterRow& row);
// The erasures of a control log.
struct ControlLog;
std::shared_ptr<const Erased> erased_of(const ControlLog& control, const Hasher& hasher);

// Puts the erasures that `from` knows into `to`, before an engine opens it: who reads topics that still hold the erased
// into a new folder never learns their names. Fails where their hashes are of another community.hash_key.
Status take_erasures(const Store& from, Store& to, const Hasher& hasher);

class Eraser {
 public:
  struct Deps {
    std::function<std::shared_ptr<const Published>()> published;
    // Step 1; takes its time, ends early where `stop` says so. Empty: there is no log of ours.
    std::function<Status(const std::shared_ptr<const Erased>&, const std::vector<std::string>& names,
                         const std::function<bool()>& stop)>
        rewrite_log;
    // What else of ours may hold names and nobody reads: stores that a rebuild replaced. May be empty.
    std::function<Status()> drop_old;
    std::function<void(const std::string&)> say;  // a line for the log; may be empty
  };
  // `done`: how many erasures the store says are done.
  Eraser(Store& store, Deps deps, uint64_t done) : store_(store), deps_(std::move(deps)), done_(done) {}
  ~Eraser() { stop(); }

  void start();  // a thread of its own; without, the caller steps
  void stop();
  // One step. `waits`: nothing could be done now. A failure ends it for good: the files are no longer known to be
  // clean.
  Status step(bool& waits);

  // Of the fold's thread.
  bool has_work() const { return has_work_.load(std::memory_order_acquire); }
  std::vector<RowName> take(size_t most);  // rows for TickRunner::scrub
  bool says_done(uint64_t& done);          // the fold shall write keys::kErased
  void committing(uint64_t flight);        // the commit of that number carries what was taken

  // Any thread.
  uint64_t done() const { return done_.load(); }
  // Whether it waits for what this program cannot hasten: brokers.
  bool waits_outside() const { return waits_outside_.load(); }
  Status failure() const;

 private:
  enum class Phase : uint8_t {
    kIdle,
    kLog,
    kWalk,
    kRows,
    kBrokers,
    kFiles,
    kNames,
    kNamesGone,
    kMetaFiles,
    kDone,
    kDoneGone
  };
  void run();
  Status walk(const Published& at, std::vector<RowName>& rows);
  void hand(std::vector<RowName> rows, uint64_t done);
  bool landed(const Published& at);
  bool stopping() const { return stop_.load(); }

  Store& store_;
  const Deps deps_;
  Phase phase_ = Phase::kIdle;
  uint64_t batch_ = 0;  // erasures that this turn removes
  std::vector<std::string> names_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<RowName> todo_;
  uint64_t say_done_ = 0;
  bool taken_ = false;       // all of it, by the fold, and no commit carries it yet
  uint64_t carried_by_ = 0;  // the commit that does
  Status failure_;
  std::atomic<bool> has_work_{false}, waits_outside_{false}, stop_{false};
  std::atomic<uint64_t> done_;
  std::thread thread_;
};

}  // namespace bellwether

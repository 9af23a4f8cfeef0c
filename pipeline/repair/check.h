// Looks a whole store and its embedded log over, changes nothing, and says what is wrong, where, and what to do. Memory
// does not grow with the store: rows are walked, and what must agree is compared by sums; only where sums differ are
// the rows looked up one by one.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/engine/meta.h"
#include "pipeline/engine/operator_set.h"
#include "pipeline/engine/store.h"

namespace bellwether {

enum class FaultKind : uint8_t {
  kFile,        // a file cannot be read, or its checksum is wrong
  kUnreadable,  // a row that is none of ours
  kAccount,     // consumed is not what became of the records
  kControl,     // the control log
  kIndex,       // a list and the states do not agree
  kTimer,       // the calendar and the states do not agree
  kCounter,     // a community-wide sum and the states do not agree
  kLedger,      // a block that a state names is not there
  kScore,       // a score is not the sum of its contributions
  kOutbox,      // an out record
  kLog,         // the embedded log
};
constexpr size_t kFaultKinds = 11;
const char* fault_name(FaultKind kind);    // "index"
const char* fault_advice(FaultKind kind);  // what to do, a sentence

struct Fault {
  FaultKind kind = FaultKind::kFile;
  std::string where, what;
};

// Counts all, tells the first of each kind.
class Faults {
 public:
  explicit Faults(std::function<void(const Fault&)> tell, uint64_t told_max = 20)
      : tell_(std::move(tell)), told_max_(told_max) {}
  void add(FaultKind kind, std::string where, std::string what) {
    if (counts_[static_cast<size_t>(kind)]++ < told_max_) tell_({kind, std::move(where), std::move(what)});
  }
  uint64_t count(FaultKind kind) const { return counts_[static_cast<size_t>(kind)]; }
  uint64_t count() const {
    uint64_t sum = 0;
    for (const uint64_t n : counts_) sum += n;
    return sum;
  }
  uint64_t told_max() const { return told_max_; }

 private:
  std::function<void(const Fault&)> tell_;
  uint64_t told_max_;
  std::array<uint64_t, kFaultKinds> counts_{};
};

struct CheckFigures {
  uint64_t states = 0, blocks = 0, contributions = 0, index_rows = 0, timers = 0, changes = 0, dead_letters = 0;
  uint64_t outbox = 0, control = 0, counters = 0;
  uint64_t segments = 0, frames = 0, records = 0, torn_bytes = 0;
};

// The store. `operators` are the program's.
void check_store(const Store& store, const OperatorSet& operators, Faults& faults, CheckFigures& figures);
// The embedded log in DIR/log, and whether it goes as far as the store's positions.
void check_log(const std::string& dir, const std::vector<PartitionState>& partitions, Faults& faults,
               CheckFigures& figures);

}  // namespace bellwether

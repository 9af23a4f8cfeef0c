// What goes wrong, and when: every fault of a simulated run is drawn here, from one seed. Each kind has dice of its
// own, so that leaving one kind out leaves the others where they were, as far as the run itself lets them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/model/events.h"

namespace bellwether::sim {

enum class Fault : uint8_t {
  kKill,               // between two steps
  kKillBeforeWrite,    // of a commit
  kKillAfterWrite,     // written, not yet durable
  kKillAfterSync,      // durable, and nobody was told
  kKillBeforePublish,  // when the snapshot for the readers is taken
  kKillBeforeDrop,     // published, old ledger rows not yet dropped
  kKillBeforeAck,      // out records arrived, the sink has not said so
  kPowerLoss,          // of a kill: writes that were not synced are lost, some or all
  kTornWrite,          // of a power loss: the first lost one is there in part
  kWriteError,         // a write fails, wholly or in part on disk
  kSyncError,          // written, the sync fails: durable or not, nobody knows
  kDiskFull,           // writes fail, through restarts, until room is made
  kReadError,          //
  kBitFlip,            // in what was read
  kPollError,          // the source gives up
  kPollDelay,          // nothing comes, though there is something
  kStall,              // a partition gives nothing for a while
  kVanish,             // no partition does
  kPartitionAdded,     //
  kRedelivery,         // offsets handed out again
  kLeaderMove,         // away, then offsets again, then an end that lies before what was read
  kOffsetGap,          // offsets without records
  kTruncated,          // records deleted before they were read
  kProducerHalf,       // a request is written in part, and sent again
  kSameEvent,          // an event is produced twice, later, anywhere
  kClockForward,       //
  kClockBack,          //
  kBrokerClock,        // append times go back
  kPause,              // the process stands still for a minute or an hour
  kStop,               // in good order
  kConfigChange,       //
  kSinkFull,           // takes no more for now
  kSinkLate,           // answers nothing
  kSinkFails,          // for good, with records under way
  kSinkRefused,        // no new sink to be had
};
constexpr size_t kFaults = static_cast<size_t>(Fault::kSinkRefused) + 1;
std::string_view name_of(Fault fault);
bool fault_named(std::string_view name, Fault& out);

struct FaultSet {
  std::array<bool, kFaults> on{};
  bool has(Fault f) const { return on[static_cast<size_t>(f)]; }
  void set(Fault f, bool value) { on[static_cast<size_t>(f)] = value; }
};
FaultSet all_faults();

// Thrown where the process is killed. It goes through the engine as a SIGKILL does: nothing runs behind it but
// destructors, and those write nothing.
struct Killed {
  Fault at;
};

class Chaos {
 public:
  // Of `allowed` a run uses some, by its seed, at rates of its own; `limit` faults at most (-1: no limit).
  Chaos(uint64_t seed, const FaultSet& allowed, int64_t limit, bool verbose);

  // One opportunity: true if it goes wrong now.
  bool roll(Fault fault);
  void kill(Fault fault) {
    if (roll(fault)) throw Killed{fault};
  }
  void calm() { calm_ = true; }  // nothing goes wrong any more
  // For how, once something goes wrong.
  model::Dice& dice(Fault fault) { return dice_[static_cast<size_t>(fault)]; }
  const std::array<uint64_t, kFaults>& counts() const { return counts_; }
  int64_t total() const { return total_; }

  bool verbose() const { return verbose_; }
  void say(const std::string& line);  // a step, where steps are wanted
  uint64_t step = 0;

 private:
  std::array<model::Dice, kFaults> dice_;
  std::array<int64_t, kFaults> rate_{};  // of a million opportunities
  std::array<uint64_t, kFaults> counts_{};
  int64_t limit_, total_ = 0;
  bool calm_ = false, verbose_;
};

}  // namespace bellwether::sim

// Makes a store's state again from its logs, as of the same tick, and compares the two row for row. By law 1 they are
// the same, unless one of them, or the log, was damaged.
//
// The new store takes over what cannot be found in the input: the control log (floors, versions of the rules), how
// files' records are dated, and out records that are still on their way.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "pipeline/engine/engine.h"
#include "pipeline/engine/store.h"

namespace bellwether {

// Of a store that nobody writes: what another one of the same logs has to come to.
struct RebuildTarget {
  EngineProgress progress;
  CommunityConfig community;  // the latest version of the rules; without the hash key, which no store holds
};
Status read_target(const Store& from, RebuildTarget& out);

// Makes `to` ready: a new store, or one that an earlier call has made and that was folded up to some earlier tick.
// Errors: `to` is ahead of `from`, or of other fixed settings.
Status begin_rebuild(const Store& from, const RebuildTarget& target, Store& to);
// Folds the sources into `to` up to the target's tick. Their partitions must be the target's; an error names one that
// is missing, does not go back to where `to` reads on, or ends before what the target has read. `stop`: for signals;
// called with the engine before it runs and with null after.
Status run_rebuild(const Config& config, const OperatorSet& operators, const RebuildTarget& target,
                   const std::vector<IngestSource>& sources, Store& to, const std::function<void(Engine*)>& stop);
// Takes over the out records that wait for delivery.
Status end_rebuild(const Store& from, const RebuildTarget& target, Store& to);

struct StoreDifference {
  bool tick = false;  // the second did not come to the same tick
  bool account = false;
  uint64_t rows = 0;  // the same in both
  struct OfFamily {
    std::string name;
    uint64_t only_first = 0, only_second = 0, other = 0;
  };
  std::vector<OfFamily> families;  // those with a difference
  uint64_t written_otherwise = 0;  // states that mean the same in the bytes of another version
  std::vector<std::string> lines;  // of `dump`, or a key's name: "- …" of the first, "+ …" of the second; not all
  bool none() const { return !tick && !account && families.empty(); }
};
Status compare_stores(const Store& first, const Store& second, const OperatorSet& operators, StoreDifference& out);

// Puts DATA/rebuild/store in the place of DATA/store, in one step where the file system can. The old one is DATA/NAME/
// store then, `kept` says which; empty: it was removed. No process may have either open for writing.
Status switch_stores(const std::string& data, bool keep, std::string& kept);

// Deletes the stores that rebuilds of the folder replaced and kept, DIR/before-rebuild*.
Status drop_replaced(const std::string& data);

}  // namespace bellwether

// A disk, and the store on it, as RocksDB keeps its promises: a write is one record of a log, whole or not there; what
// was synced survives a loss of power, of the rest a beginning does; after a failed write nothing more is taken until
// the store is opened again; rows carry checksums, so that a flipped bit is an error and never a value.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/engine/store.h"
#include "tests/sim/chaos.h"

namespace bellwether::sim {

struct Row {
  std::string value;
  uint64_t check = 0;  // of key and value
};
using Rows = std::map<std::string, Row, std::less<>>;
using Families = std::array<std::shared_ptr<Rows>, kFamilies>;

class Disk {
 public:
  Disk();
  // The process is gone; with the power lost, some of what was not synced goes too.
  void crash(Chaos& chaos);
  // Reads the log back, up to the first record that is not whole. Before the store is opened again.
  void recover(Chaos& chaos);
  const Rows& rows(Family family) const { return *durable_[static_cast<size_t>(family)]; }
  bool get(Family family, std::string_view key, std::string& value) const;

 private:
  friend class SimStore;
  Families durable_;              // as of the last sync
  std::vector<std::string> log_;  // records since: check u64, body
  int full_ = 0;                  // openings until there is room again; 0: there is
};

// The store of one process. `disk` and `chaos` must outlive it and its snapshots.
std::unique_ptr<Store> open_sim_store(Disk& disk, Chaos& chaos);

}  // namespace bellwether::sim

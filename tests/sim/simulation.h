// One simulated run: a community's events come in, the real engine reads, folds and commits, out records leave, and
// everything goes wrong that one seed asks for. Then the same logs, with the control log, once more without faults:
// both must have come to the same. One thread; the same options give the same run, step by step.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/chaos.h"

namespace bellwether::sim {

struct Options {
  uint64_t seed = 1;
  int64_t events = -1;      // the first so many of the seed's stream; -1: all
  int64_t partitions = -1;  // at the start; -1: as the seed has it
  FaultSet faults = all_faults();
  int64_t fault_limit = -1;                       // only the first so many go wrong; -1: all
  std::vector<std::pair<int64_t, int64_t>> drop;  // events of the stream left out: [from, to)
  bool verbose = false;
};

struct Result {
  std::string failure;  // empty: all laws held
  std::array<uint64_t, kFaults> faults{};
  uint64_t steps = 0, events = 0, processes = 0, commits = 0, floors = 0, versions = 0, out_records = 0, flags = 0,
           verdicts = 0, lost = 0;
};

Result simulate(const Options& options);

}  // namespace bellwether::sim

// How much memory the configuration allows: the sum of every budget, each of which is held where it is spent. What
// `serve` and `replay` say at their start, and what tests/integration/overload.py holds them to.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"

namespace bellwether {

struct MemoryBound {
  std::vector<std::pair<std::string, size_t>> parts;  // name, MB
  size_t total_mb() const;
  std::string text() const;  // "1234 MB = states 512 + pending 256 + …"
};

// `serves`: with live sources and a query service; false: files only.
MemoryBound memory_bound(const Config& config, bool serves);

// What a commit may hold before it is begun, in bytes: engine.commit_mb, but at most a quarter of the states' cache, as
// changed states cannot leave it.
size_t commit_bytes(const EngineConfig& config);

// Lets the process open as many files as the system allows; every connection is one. Gives how many connections there
// is room for beside the store's files.
size_t room_for_connections();

}  // namespace bellwether

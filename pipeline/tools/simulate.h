// A labelled synthetic community: people with habits, and rings planted among them.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace bellwether {

struct SimulateOptions {
  uint64_t users = 10'000;  // 10 to 10,000,000
  uint64_t days = 60;       // 1 to 3650
  uint64_t seed = 1;
  std::vector<std::string> rings;    // see parse_ring
  std::string out = "-";             // events
  std::string labels;                // see labels.h; empty: none are written
  std::string start = "2025-01-01";  // the first day, in UTC; any time of parse_time
  std::string camouflage = "1.0";    // honest-looking likes of each ring member, for each of its ring likes; 0 to 100
  std::string likes_per_day;         // of the mean user, 0.001 to 100; empty: what the habits give (about 0.5)
};

// The same options give the same bytes on every machine. Events come out in time order as they are made; memory is some
// 500 bytes a user (themselves, and what all wrote and liked of late), however many days. Gives the exit code: 0, 1
// (cannot write), 2 (bad option).
int run_simulate(const SimulateOptions& options, std::ostream& err);

}  // namespace bellwether

// Plants rings of accounts into an existing event file, to measure what the detection finds in a real community.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace bellwether {

struct PlantOptions {
  std::string events;              // JSON lines in time order, plain, .gz or .zst; read twice, so not standard input
  std::vector<std::string> rings;  // see parse_ring
  uint64_t seed = 1;
  std::string out = "-";
  std::string labels;              // see labels.h; empty: none are written
  std::string camouflage = "1.0";  // other likes of each member for each of its ring likes, 0 to 100
  bool camouflage_random = false;  // of any posts; else of posts as they are liked (popular ones more often)
};

// Targets are existing posts of existing authors, drawn evenly, each begun upon within a week of its birth (its record,
// or its first like); a fifth of the members are existing accounts with at least three likes, whose own likes stay as
// they are. Members are named "plant-ring1-7", planted likes "plant-ring1-like-9". Memory: samples of 65,536 posts,
// 16,384 users and 131,072 likes. Lines that are no events pass through untouched and are counted. Gives the exit code:
// 0, 1 (I/O failed, nothing to plant into), 2.
int run_plant(const PlantOptions& options, std::ostream& err);

}  // namespace bellwether

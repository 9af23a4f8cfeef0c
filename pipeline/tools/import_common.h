// What every importer does: check an event, write it, and account for each row that was left out.
#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <string_view>

#include "operators/fact.h"
#include "pipeline/sources/source.h"
#include "pipeline/tools/time_sorter.h"

namespace bellwether {

// Rows left out, by reason, with the place of the first of each.
class Skipped {
 public:
  void add(std::string_view reason, std::string_view place, uint64_t line);
  uint64_t total() const { return total_; }
  uint64_t of(std::string_view reason) const;
  void print(std::ostream& err) const;

 private:
  struct Count {
    uint64_t rows = 0;
    std::string first;
  };
  std::map<std::string, Count, std::less<>> counts_;
  uint64_t total_ = 0;
};

// Events in, JSON lines in time order out. `sort_bytes`: see TimeSorter.
class EventSorter {
 public:
  explicit EventSorter(size_t sort_bytes) : sorter_(sort_bytes) {}
  // An event that the wire contract would refuse (an id that is empty, over 64 bytes or no UTF-8, a time outside the
  // years 1678 to 2262) is counted as skipped. `place`, `line`: where its row stands.
  Status add(const Fact& event, std::string_view place, uint64_t line, Skipped& skipped);
  // Writes all to `path` (see LineWriter). Draws the bar `label`.
  Status write(const std::string& path, const std::string& label);
  uint64_t events() const { return events_; }

 private:
  TimeSorter sorter_;
  std::string line_;
  uint64_t events_ = 0;
};

constexpr size_t kSortBytes = 64 << 20;

}  // namespace bellwether

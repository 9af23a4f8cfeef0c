// Puts lines into time order with bounded memory: what does not fit is sorted, compressed to temporary files and
// merged.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/sources/source.h"

namespace bellwether {

class TimeSorter {
 public:
  // memory_bytes: held before a run goes to disk; merging takes about 1 MiB for each of at most 96 open runs besides.
  // Runs are unnamed files in $TMPDIR (default /tmp), gone with the process.
  explicit TimeSorter(size_t memory_bytes = 64 << 20);
  ~TimeSorter();
  // Lines of equal time keep the order in which they were added.
  Status add(int64_t time_us, std::string_view line);
  // Hands out every line in order, then is empty. Ends at the sink's first error.
  Status drain(const std::function<Status(int64_t time_us, std::string_view line)>& sink);
  uint64_t runs_spilled() const { return runs_spilled_; }

 private:
  struct Entry {
    int64_t time_us;
    uint64_t sequence;
    size_t offset, length;
  };
  struct Run;
  Status spill();
  Status fold_level(size_t level);
  void sort_memory();

  size_t memory_bytes_;
  std::string text_;
  std::vector<Entry> entries_;
  uint64_t sequence_ = 0, runs_spilled_ = 0;
  std::vector<std::vector<std::unique_ptr<Run>>> levels_;  // a run of level n+1 is a full level n merged
};

}  // namespace bellwether

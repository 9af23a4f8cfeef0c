// Records in memory as a source, for tests: partitions of any speed, ended like files or open like a log.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/sources/source.h"

namespace bellwether {

class MemorySource final : public Source {
 public:
  // Of each partition its records, in order. Offsets are their places. The records must outlive the source.
  explicit MemorySource(const std::vector<std::vector<std::string>>& partitions) : records_(partitions) {
    for (size_t p = 0; p < partitions.size(); ++p) ids_.push_back({"memory", static_cast<int32_t>(p)});
    at_.resize(partitions.size());
  }
  // How many of the records asked for a poll of this partition gives; for unequal speeds. 0 is an empty poll.
  std::function<size_t(size_t partition, size_t asked)> speed;

  const std::vector<PartitionId>& partitions() const override { return ids_; }
  Status refresh() override { return {}; }
  Status start(size_t partition, int64_t next_offset) override {
    at_[partition] = next_offset < 0 ? 0 : static_cast<size_t>(next_offset);
    return {};
  }
  Status poll(size_t partition, size_t max_records, int, Batch& out) override {
    out.clear();
    const std::vector<std::string>& records = records_[partition];
    size_t n = std::min(max_records, records.size() - at_[partition]);
    if (speed) n = std::min(n, speed(partition, n));
    for (size_t i = 0; i < n; ++i, ++at_[partition])
      out.records.push_back({static_cast<int64_t>(at_[partition]), -1, records[at_[partition]]});
    out.next_offset = static_cast<int64_t>(at_[partition]);
    out.at_end = out.ended = at_[partition] == records.size();
    return {};
  }
  int64_t end_offset(size_t partition) override { return static_cast<int64_t>(records_[partition].size()); }

 private:
  const std::vector<std::vector<std::string>>& records_;
  std::vector<PartitionId> ids_;
  std::vector<size_t> at_;
};

}  // namespace bellwether

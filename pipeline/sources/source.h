// Where records come from: a Kafka topic, the embedded log, files. A source hands out raw bytes with their positions
// and knows nothing of events. All calls come from one thread (the ingest thread) unless a call says otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bellwether {

// Failure of I/O: empty message = fine. The caller must read it.
struct [[nodiscard]] Status {
  std::string message;
  bool ok() const { return message.empty(); }
  static Status fine() { return {}; }
  static Status error(std::string text) { return {std::move(text)}; }
};

// A partition is named for ever by (topic, number). For the embedded log the topic is "log", for a file its path as
// given.
struct PartitionId {
  std::string topic;
  int32_t number = 0;
  friend bool operator==(const PartitionId&, const PartitionId&) = default;
  friend auto operator<=>(const PartitionId&, const PartitionId&) = default;
};

struct RawRecord {
  int64_t offset = 0;  // position in its partition, rising; gaps are allowed (compaction, control records). Files: line
                       // number from 0
  int64_t append_us = -1;  // append (record) time in microseconds since 1970; -1 where the source has none
  std::string_view value;  // the bytes as they stood; valid while the Batch lives
};

// Records of one partition in offset order. `keep` owns the bytes: whoever keeps a view keeps the batch.
struct Batch {
  std::vector<RawRecord> records;
  std::vector<std::shared_ptr<void>> keep;
  int64_t next_offset = 0;  // the offset to read next after this batch (past gaps and control records too)
  bool at_end = false;      // nothing more to read at the moment of the call
  bool ended = false;       // files only: nothing will ever follow
  // Offsets [gap_from, gap_to) were gone before they were read, and the operator said to go on: then there are no
  // records, and next_offset is gap_to. Equal: no gap.
  int64_t gap_from = 0, gap_to = 0;
  void clear() { records.clear(), keep.clear(), at_end = ended = false, gap_from = gap_to = 0; }
};

// What a partition held at an offset, so that another topic of the same name is told from it. offset -1: none.
struct Bookmark {
  int64_t offset = -1;
  uint64_t check = 0;
  friend bool operator==(const Bookmark&, const Bookmark&) = default;
};

class Source {
 public:
  virtual ~Source() = default;
  // The partitions known now; the index is the handle below. Only grows; order of discovery.
  virtual const std::vector<PartitionId>& partitions() const = 0;
  // Looks for new partitions if it is time to (may talk to the network, bounded by a second).
  virtual Status refresh() = 0;
  // The first offset that the partition held when it was found; -1: not known, start() at -1 finds it.
  virtual int64_t first_offset(size_t /*partition*/) const { return -1; }
  // A bookmark of a record handed out below that offset, the newest kept; none where there is none.
  virtual Bookmark bookmark(size_t /*partition*/, int64_t /*below*/) { return {}; }
  // Said before start(): what an earlier run read. poll() gives an error where something else stands there now.
  virtual void expect(size_t /*partition*/, const Bookmark& /*bookmark*/) {}
  // Says where to begin reading a partition; once for each, before its first poll. -1: from its beginning.
  virtual Status start(size_t partition, int64_t next_offset) = 0;
  // Up to max_records of one partition into `out` (cleared first); waits up to timeout_ms for the first. An error of
  // the moment (broker away) is not an error here: it gives an empty batch with at_end = false, and the source says it
  // in the log by its own rule. A gap that lost data (our offset is below the first one kept) is an error, or told in
  // the batch where the operator said so.
  virtual Status poll(size_t partition, size_t max_records, int timeout_ms, Batch& out) = 0;
  // The offset one past the newest record, or -1 if not known; for lag and --until-end.
  virtual int64_t end_offset(size_t partition) = 0;
};

}  // namespace bellwether

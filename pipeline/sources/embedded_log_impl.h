// The inside of the embedded log, shared by its writer (embedded_log.cc) and its readers (log_reader.cc) only.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/sources/embedded_log.h"
#include "pipeline/sources/log_segment.h"

namespace bellwether {

class EmbeddedLog::Impl {
 public:
  Impl(std::string dir, Options options) : dir_(std::move(dir)), options_(std::move(options)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  Status open(std::vector<std::string>& messages);
  void append(size_t partition, const std::vector<std::string_view>& values, std::function<void(const Appended&)> done);
  Status enforce_retention();
  Status rewrite(const Change& change, const std::function<bool()>& stop);
  void set_retain_from(size_t partition, int64_t offset);
  void hold(int count);
  std::vector<SegmentFile> segments() const;

  size_t partitions() const { return partitions_.size(); }
  int64_t end_offset(size_t partition) const;
  int64_t first_offset(size_t partition) const;

  // For readers. What is known of the segment that begins at `first` (or, if none does, of the one that holds that
  // offset).
  struct SegmentView {
    bool found = false;
    std::string path;
    int64_t first_offset = 0;
    int64_t durable_bytes = 0;
    int64_t next_first_offset = -1;  // of the segment after it, -1 where it is the newest
    uint64_t generation = 0;         // rises when it is rewritten: then bytes lie elsewhere, offsets do not
  };
  SegmentView segment(size_t partition, int64_t offset) const;
  // Waits until the end lies past `offset`; gives the end.
  int64_t wait_past(size_t partition, int64_t offset, int timeout_ms) const;

 private:
  struct Segment {
    int64_t first_offset = 0;
    int64_t created_us = 0;
    int64_t durable_bytes = 0;
    std::string path;
    uint64_t generation = 0;
  };
  struct Partition {
    std::string dir;
    // Guarded by mutex_.
    std::vector<Segment> segments;  // the last one is written to
    int64_t end_offset = 0;
    int64_t retain_from = -1;
    // Of the commit thread.
    std::unique_ptr<LogFile> file;  // of the last segment
    uint64_t salt = 0;
    int64_t bytes = 0;  // of the last segment
    Status poison;      // what makes every further append fail
  };
  struct Pending {
    size_t partition = 0;
    std::string records;  // encoded
    uint32_t count = 0;
    std::function<void(const Appended&)> done;
    bool seal = false;  // no records: the next ones begin a new segment
  };

  Status open_partition(size_t number, std::vector<std::string>& messages);
  Status recover(Partition& partition, uint32_t number, std::vector<std::string>& messages);
  void run();
  void commit(std::vector<Pending> group);
  Status write_frame(Partition& partition, uint32_t number, const std::string& records, uint32_t count,
                     int64_t append_us);
  Status begin_segment(Partition& partition, uint32_t number, int64_t append_us);
  Status seal(size_t partition);
  Status seal_now(Partition& partition, uint32_t number, int64_t append_us);
  Status rewrite_segment(size_t partition, int64_t first_offset, const Change& change,
                         const std::function<bool()>& stop);
  Status write_all(LogFile& file, std::string_view bytes, int64_t at);

  const std::string dir_;
  const Options options_;
  int lock_fd_ = -1;
  std::vector<std::unique_ptr<Partition>> partitions_;
  int64_t last_append_us_ = 0;  // of the commit thread
  Status poison_;               // of the commit thread: set for good by a failed fsync

  mutable std::mutex mutex_;
  mutable std::condition_variable appended_;  // readers: something became durable
  std::condition_variable queued_, room_;
  std::deque<Pending> queue_;
  size_t queued_bytes_ = 0;
  std::chrono::steady_clock::time_point first_queued_{};
  bool stopping_ = false;
  int holds_ = 0;  // copies under way
  std::thread thread_;
};

}  // namespace bellwether

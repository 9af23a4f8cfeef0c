// The embedded log: what gRPC ingest writes and the engine reads when there is no Kafka. Append-only, in
// DIR/log/<partition>/, group commit, read back through Source. A record that an append answered for survives a crash;
// readers see only such records.
//
// A segment file is named by its first offset in 20 digits, ".seg". All numbers are little-endian.
//   segment = header frame*
//   header  = magic "BWLOGSEG" · version u32 (1) · partition u32 · first_offset i64 · created_us i64 · salt u64 · check
//   u64
//             check = XXH3 of the header's bytes before it
//   frame   = magic "BWFR" · check u64 · length u32 · first_offset i64 · append_us i64 · count u32 · record{count}
//             length = bytes after the length field; check = XXH3 with seed salt of the bytes from the length field to
//             the end
//   record  = size u32 · size bytes
// A frame is what one fsync of the partition made durable, and the next frame is written only after that fsync. So a
// bad frame with nothing good behind it is a torn write that nobody was answered for, and is cut off; a bad frame
// before a good one is damage to durable data, and is an error. The salt, drawn at random for each segment, keeps
// values that look like frames from being taken for some. An append lies in one frame: after a crash all of it is there
// or none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "pipeline/sources/log_file.h"
#include "pipeline/sources/source.h"

namespace bellwether {

struct Appended {
  Status status;
  int64_t first_offset = -1;  // of the append's first value; the others follow
  int64_t append_us = -1;
};

class EmbeddedLog {
 public:
  static constexpr size_t kAppendBytesMax = size_t{32} << 20;  // of one append, all values

  struct Options {
    LogConfig config;
    std::function<int64_t()> now_us;  // wall clock in microseconds since 1970; any thread
    LogFileFactory files;             // empty: real files
  };

  // Opens or creates DIR/log. `messages` gets a line for each torn write cut off. Errors: a partition's newest segment
  // is damaged, the log is open in another process, a newer format version, I/O. There are as many partitions as the
  // configuration says or as the folder has, whichever is more.
  static Status open(const std::string& dir, Options options, std::unique_ptr<EmbeddedLog>& out,
                     std::vector<std::string>& messages);
  // Waits for the appends under way. Sources made by reader() must be gone.
  ~EmbeddedLog();

  size_t partitions() const;

  // Appends the values, in order and without others between, and returns once they are on disk (fsync). Any thread.
  // Blocks while too much is queued. A full disk fails this append and leaves the log as it was; after a failed fsync
  // every append fails, as what is on disk is no longer known.
  Appended append(size_t partition, const std::vector<std::string_view>& values);
  // The same without waiting for the disk; `done` is called exactly once, on the commit thread (or here, where the call
  // is refused at once), and must be short. The values are copied.
  void append_async(size_t partition, const std::vector<std::string_view>& values,
                    std::function<void(const Appended&)> done);

  // The offset one past the newest durable record; the lowest one kept. Any thread.
  int64_t end_offset(size_t partition) const;
  int64_t first_offset(size_t partition) const;

  // The lowest offset not yet folded: nothing from there on is ever deleted. Before the first call nothing is. Any
  // thread.
  void set_retain_from(size_t partition, int64_t offset);
  // Deletes whole segments that are older than the retention and wholly below set_retain_from. Also done when a segment
  // is begun. Any thread.
  Status enforce_retention();

  // Gives each record for which `change` gives another value that value, at the same offset, so that the old one is in
  // no file of the log any more. Holds for every record appended before the call; appends and readers go on meanwhile,
  // and a reader may still be handed the old value. Segments are written beside the old ones, synced, and renamed over
  // them: a kill leaves each either old or new. `stop` is asked now and then and ends it early. One call at a time, on
  // a thread that may take its time.
  using Change = std::function<bool(std::string_view value, std::string& out)>;
  Status rewrite(const Change& change, const std::function<bool()>& stop);
  // For a copy of the log. While what hold() gives lives, no segment is deleted. segments() are those of all partitions
  // as they stand on disk, in order: the first `bytes` of each are durable and never change, and of all but a
  // partition's newest (`sealed`) that is the whole file. Any thread; what hold() gave must be gone before the log is.
  struct SegmentFile {
    size_t partition = 0;
    std::string path;
    int64_t bytes = 0;
    bool sealed = false;
  };
  std::shared_ptr<void> hold();
  std::vector<SegmentFile> segments() const;

  // A source over the durable records; topic "log". Its calls come from one thread; several readers may live at once.
  std::unique_ptr<Source> reader();

 private:
  class Impl;
  class Reader;
  explicit EmbeddedLog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bellwether

// Event files as a source: one partition a file, "-" is standard input. JSON lines as they are, gzip or zstd, told by
// the first bytes, not by the name. The offset of a record is its line number from 0; blank lines are counted but not
// handed out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/sources/source.h"

namespace bellwether {

class FileSource : public Source {
 public:
  // A line longer than this is handed out cut to kLineBytesMax + 1 bytes, so that decode sees that it is too long.
  static constexpr size_t kLineBytesMax = size_t{1} << 20;

  // `paths` in the order of the partitions; a path named twice gets numbers 0, 1, …. Gives an error naming the first
  // file that cannot be read; files are opened at their first poll, so thousands may be named.
  static Status open(const std::vector<std::string>& paths, std::unique_ptr<FileSource>& out);
  ~FileSource() override;

  const std::vector<PartitionId>& partitions() const override { return partitions_; }
  Status refresh() override { return {}; }
  // Lines below next_offset are read and skipped. A file that turns out to have fewer lines gives an error when polled.
  Status start(size_t partition, int64_t next_offset) override;
  // A truncated or corrupt compressed file, or one that cannot be read, gives an error naming file and byte after
  // everything before that byte was handed out, and again at every further poll. A batch ends early at about 4 MiB.
  Status poll(size_t partition, size_t max_records, int timeout_ms, Batch& out) override;
  // Known once the file was read to its end.
  int64_t end_offset(size_t partition) override;

  // For a progress bar, in bytes as stored (compressed). Any thread. Total is -1 if a file's size is not known (a
  // pipe).
  int64_t bytes_read() const;
  int64_t bytes_total() const { return bytes_total_; }

 private:
  struct File;
  FileSource() = default;

  std::vector<PartitionId> partitions_;
  std::vector<std::unique_ptr<File>> files_;
  int64_t bytes_total_ = 0;
};

}  // namespace bellwether

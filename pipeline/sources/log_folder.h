// The folder of an embedded log (embedded_log.h), read as files: it is not opened, nothing in it is changed, and no
// lock is taken. For checks, and for reading again a log that nobody writes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/sources/source.h"

namespace bellwether {

struct LogFolderSegment {
  size_t partition = 0;
  int64_t first_offset = 0;
  std::string path;
  bool newest = false;  // of its partition
};
// DIR/log, by partition and offset; none where there is no such folder.
Status list_log_folder(const std::string& dir, std::vector<LogFolderSegment>& out);

// What stands in one segment. `faults` say at which byte and what; a torn end of the newest segment is none, for nobody
// was answered for it.
struct SegmentWalk {
  int64_t created_us = 0;
  int64_t next_offset = 0;  // one past the last good record
  uint64_t frames = 0, records = 0;
  uint64_t torn_bytes = 0;
  std::vector<std::string> faults;
};
// Every frame's checksum. An error where the file cannot be read at all. Memory: that of the system's page cache.
Status walk_segment(const LogFolderSegment& segment, SegmentWalk& out);

// A source over the log as it stands now; topic "log". Errors: a damaged newest segment; later, damage where it is met.
Status open_log_folder(const std::string& dir, std::unique_ptr<Source>& out);

}  // namespace bellwether

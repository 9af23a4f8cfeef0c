// The few things the embedded log does to a file it writes, so that tests can make them fail.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "pipeline/sources/source.h"

namespace bellwether {

class LogFile {
 public:
  virtual ~LogFile() = default;
  // Writes at that byte. Gives the count written, which may be short, or -errno.
  virtual ssize_t write_at(const char* bytes, size_t size, int64_t at) = 0;
  virtual int sync() = 0;                  // the bytes and the size; 0 or -errno
  virtual int truncate(int64_t size) = 0;  // 0 or -errno
};

// Opens for writing, creating the file if `create`. Gives null and an error.
using LogFileFactory = std::function<std::unique_ptr<LogFile>(const std::string& path, bool create, Status& error)>;

std::unique_ptr<LogFile> open_log_file(const std::string& path, bool create, Status& error);

// Makes the names in a folder durable.
Status sync_directory(const std::string& path);

}  // namespace bellwether

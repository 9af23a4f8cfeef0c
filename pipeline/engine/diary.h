// A diary in a file: lines with the time they were written, PATH and the one before it, PATH.old. A line that finds no
// room on the disk is left out. Any thread.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <mutex>
#include <string>

namespace bellwether {

class DiaryFile {
 public:
  explicit DiaryFile(std::string path);
  DiaryFile(const DiaryFile&) = delete;
  DiaryFile& operator=(const DiaryFile&) = delete;
  ~DiaryFile();

  // As vprintf; a line end is put where there is none. Longer than 2,000 bytes: cut.
  void add(const char* format, va_list arguments);

 private:
  void close();
  void turn();

  const std::string path_;
  std::mutex mutex_;
  int fd_ = -1;
  size_t bytes_ = 0;
};

}  // namespace bellwether

#include "pipeline/engine/diary.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <utility>

namespace bellwether {

namespace {
constexpr size_t kBytesMax = size_t{1} << 20;
}  // namespace

DiaryFile::DiaryFile(std::string path) : path_(std::move(path)) { turn(); }
DiaryFile::~DiaryFile() { close(); }

void DiaryFile::add(const char* format, va_list arguments) {
  char text[2048];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  const size_t stamp = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ ", &utc);
  const int more = std::vsnprintf(text + stamp, sizeof text - stamp - 1, format, arguments);
  if (more < 0) return;
  size_t size = std::min(stamp + static_cast<size_t>(more), sizeof text - 2);
  if (text[size - 1] != '\n') text[size++] = '\n';
  const std::lock_guard lock(mutex_);
  if (bytes_ > kBytesMax) turn();
  if (fd_ < 0) return;
  const ssize_t written = ::write(fd_, text, size);
  if (written > 0) bytes_ += static_cast<size_t>(written);
}

void DiaryFile::close() {
  if (const int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);
}

void DiaryFile::turn() {
  close();
  std::error_code error;
  std::filesystem::rename(path_, path_ + ".old", error);  // the first time there is none
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  bytes_ = 0;
}

}  // namespace bellwether

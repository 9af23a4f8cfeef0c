#include "pipeline/sources/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bellwether {
namespace {

class PosixLogFile : public LogFile {
 public:
  explicit PosixLogFile(int fd) : fd_(fd) {}
  PosixLogFile(const PosixLogFile&) = delete;
  PosixLogFile& operator=(const PosixLogFile&) = delete;
  ~PosixLogFile() override { (void)close(fd_); }
  ssize_t write_at(const char* bytes, size_t size, int64_t at) override {
    const ssize_t count = pwrite(fd_, bytes, size, at);
    return count < 0 ? -errno : count;
  }
  int sync() override { return fdatasync(fd_) == 0 ? 0 : -errno; }
  int truncate(int64_t size) override { return ftruncate(fd_, size) == 0 ? 0 : -errno; }

 private:
  int fd_;
};

}  // namespace

std::unique_ptr<LogFile> open_log_file(const std::string& path, bool create, Status& error) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0644);
  if (fd < 0) {
    error = Status::error(path + ": " + std::strerror(errno));
    return nullptr;
  }
  return std::make_unique<PosixLogFile>(fd);
}

Status sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Status::error(path + ": " + std::strerror(errno));
  const int code = fsync(fd) == 0 ? 0 : errno;
  (void)close(fd);
  return code == 0 ? Status{} : Status::error(path + ": fsync: " + std::strerror(code));
}

}  // namespace bellwether

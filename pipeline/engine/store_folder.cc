#include "pipeline/engine/store_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace bellwether {

int64_t lock_holder(const std::string& path) {
  const int fd = ::open((path + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  struct flock lock = {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  const bool held = ::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  return held ? lock.l_pid : 0;
}

int64_t recorded_holder(const std::string& dir) {
  int64_t pid = 0;
  std::ifstream in(dir + "/pid");
  return in >> pid ? pid : 0;
}

std::string record_holder(const std::string& dir) {
  std::string file = dir + "/pid";
  std::ofstream pid(file, std::ios::trunc);
  return pid << ::getpid() << "\n" ? file : std::string();
}

Status not_ours(const std::string& path, const std::string& why) {
  return Status::error(path + " is no store of Bellwether's (" + why +
                       "); choose another data folder, nothing was changed");
}

Status other_format(const std::string& path, const std::string& found) {
  return Status::error("the store in " + path + " has the format \"" + found + "\", this program reads \"" +
                       std::string(kFormat) +
                       "\"; use the version of the program that wrote it, or replay the logs into a new folder");
}

bool may_be_unfinished(const std::string& name) {
  for (const char* start : {"LOCK", "LOG", "IDENTITY", "MANIFEST-", "OPTIONS-", "CURRENT."}) {
    if (name.starts_with(start)) return true;
  }
  return name.ends_with(".dbtmp") || name.ends_with(".log");
}

uint64_t folder_bytes(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;  // a file may be deleted between listing and asking
    const uint64_t size = it->file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

Status store_failure(const std::string& doing, const std::string& path, const std::string& text, bool full,
                     bool damaged) {
  if (full || text.find("No space left") != std::string::npos) {
    return Status::error("the disk is full: cannot " + doing + " in " + path +
                         "; free some space and start again, nothing committed is lost (" + text + ")");
  }
  if (damaged) {
    return Status::error("the store in " + path + " is damaged: cannot " + doing + " (" + text +
                         "); restore a backup, or replay the logs into a new folder");
  }
  return Status::error("cannot " + doing + " in " + path + ": " + text);
}

Status make_folder(const std::string& dir, const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Status::error("cannot make the folder " + path + ": " + error.message());
  // So that the folder itself outlives a crash, as what is in it does.
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Status::error("cannot open the folder " + dir + ": " + std::strerror(errno));
  const bool synced = ::fsync(fd) == 0;
  const int reason = errno;
  ::close(fd);
  return synced ? Status::fine()
                : Status::error("cannot make the folder " + path + " durable: " + std::strerror(reason));
}

}  // namespace bellwether

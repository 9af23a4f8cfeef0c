#include "pipeline/repair/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "pipeline/sources/log_file.h"

namespace bellwether {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = size_t{1} << 20;

Status failure(const std::string& path, const char* what, int code) {
  if (code == ENOSPC || code == EDQUOT)
    return Status::error("the disk is full: cannot " + std::string(what) + " " + path +
                         "; free some space, or name a folder on another disk");
  return Status::error("cannot " + std::string(what) + " " + path + ": " + std::strerror(code));
}

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// 0, or the code of the error.
int write_all(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t count = ::write(fd, bytes, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count < 0 ? errno : EIO;
    bytes += count, size -= static_cast<size_t>(count);
  }
  return 0;
}

using Sum = std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)>;

std::string text_of(const XXH128_hash_t& sum) {
  char text[40];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(sum.high64),
                static_cast<unsigned long long>(sum.low64));
  return text;
}

// Reads `in` piece by piece into the sum and, if it is there, into `out`.
Status pump(const File& in, const std::string& from, const File* out, const std::string& to, int64_t bytes_max,
            const Cancelled& cancelled, FileSum& result) {
  if (in.fd() < 0) return failure(from, "open", errno);
  if (out != nullptr && out->fd() < 0) return failure(to, "create", errno);
  const Sum sum(XXH3_createState(), XXH3_freeState);
  XXH3_128bits_reset(sum.get());
  const auto buffer = std::make_unique<char[]>(kPieceBytes);
  result = {};
  while (bytes_max < 0 || static_cast<int64_t>(result.bytes) < bytes_max) {
    if (cancelled && cancelled()) return Status::error("stopped before it was done");
    size_t piece = kPieceBytes;
    if (bytes_max >= 0) piece = std::min(piece, static_cast<size_t>(bytes_max) - result.bytes);
    const ssize_t count = ::read(in.fd(), buffer.get(), piece);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(from, "read", errno);
    if (count == 0) break;
    XXH3_128bits_update(sum.get(), buffer.get(), static_cast<size_t>(count));
    result.bytes += static_cast<uint64_t>(count);
    if (out == nullptr) continue;
    if (const int code = write_all(out->fd(), buffer.get(), static_cast<size_t>(count)); code != 0)
      return failure(to, "write", code);
  }
  if (bytes_max >= 0 && static_cast<int64_t>(result.bytes) < bytes_max)
    return Status::error(from + " is shorter than it was: " + std::to_string(result.bytes) + " bytes of " +
                         std::to_string(bytes_max));
  if (out != nullptr && ::fsync(out->fd()) != 0) return failure(to, "write", errno);
  result.check = text_of(XXH3_128bits_digest(sum.get()));
  return {};
}

}  // namespace

Status sum_file(const std::string& path, int64_t bytes_max, const Cancelled& cancelled, FileSum& out) {
  return pump(File(path, O_RDONLY), path, nullptr, {}, bytes_max, cancelled, out);
}

Status copy_file(const std::string& from, const std::string& to, int64_t bytes_max, const Cancelled& cancelled,
                 FileSum& out) {
  const File in(from, O_RDONLY);
  if (in.fd() < 0) return failure(from, "open", errno);
  const File made(to, O_WRONLY | O_CREAT | O_EXCL);
  return pump(in, from, &made, to, bytes_max, cancelled, out);
}

Status link_or_copy(const std::string& from, const std::string& to, const Cancelled& cancelled, FileSum& out,
                    bool& linked) {
  linked = ::link(from.c_str(), to.c_str()) == 0;
  if (linked) return sum_file(to, -1, cancelled, out);
  // Another file system, one without links, or a file that has too many: the bytes do as well.
  if (errno == EXDEV || errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK)
    return copy_file(from, to, -1, cancelled, out);
  return failure(to, "create", errno);
}

Status write_file(const std::string& path, std::string_view bytes) {
  const File file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (file.fd() < 0) return failure(path, "create", errno);
  if (const int code = write_all(file.fd(), bytes.data(), bytes.size()); code != 0) return failure(path, "write", code);
  return ::fsync(file.fd()) == 0 ? Status{} : failure(path, "write", errno);
}

Status read_file(const std::string& path, std::string& out) {
  const File file(path, O_RDONLY);
  if (file.fd() < 0) return failure(path, "open", errno);
  out.clear();
  char piece[4096];
  for (;;) {
    const ssize_t count = ::read(file.fd(), piece, sizeof piece);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(path, "read", errno);
    if (count == 0) return {};
    out.append(piece, static_cast<size_t>(count));
  }
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0) return failure(path, "create the folder", errno);
  return sync_directory(parent_of(path));
}

Status sync_tree(const std::string& path) {
  std::error_code code;
  for (fs::directory_iterator it(path, code), end; !code && it != end; it.increment(code)) {
    if (!it->is_directory(code) || code) continue;
    if (Status status = sync_tree(it->path().string()); !status.ok()) return status;
  }
  if (code) return Status::error("cannot look at " + path + ": " + code.message());
  return sync_directory(path);
}

std::string trimmed(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string parent_of(const std::string& path) {
  const std::string parent = fs::path(trimmed(path)).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace bellwether

#include "pipeline/sources/byte_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace bellwether {
namespace {

constexpr size_t kInputBytes = size_t{256} << 10;

// The file as it is stored. Bytes read ahead to tell the format are given back with unread().
class RawFile {
 public:
  RawFile(std::string path, int fd, std::atomic<int64_t>* counter)
      : path_(std::move(path)), fd_(fd), counter_(counter) {
    struct stat status {};
    regular_ = fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
    if (regular_) (void)posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;
  ~RawFile() {
    if (fd_ != STDIN_FILENO) (void)close(fd_);
  }

  ByteReader::Result read(char* to, size_t size, int timeout_ms, size_t& got) {
    if (!ahead_.empty()) {
      got = std::min(size, ahead_.size());
      std::memcpy(to, ahead_.data(), got);
      ahead_.erase(0, got);
      position_ += static_cast<int64_t>(got);
      return ByteReader::Result::kBytes;
    }
    if (!regular_) {
      pollfd ready{fd_, POLLIN, 0};
      const int count = ::poll(&ready, 1, timeout_ms);
      if (count == 0 || (count < 0 && errno == EINTR)) return ByteReader::Result::kWait;
    }
    ssize_t count = 0;
    do {
      count = ::read(fd_, to, size);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return ByteReader::Result::kWait;
    if (count < 0) {
      error_ = Status::error(at_byte() + std::strerror(errno));
      return ByteReader::Result::kError;
    }
    if (count == 0) return ByteReader::Result::kEnd;
    got = static_cast<size_t>(count);
    position_ += count;
    if (counter_ != nullptr) counter_->fetch_add(count, std::memory_order_relaxed);
    return ByteReader::Result::kBytes;
  }
  void unread(std::string bytes) {
    position_ -= static_cast<int64_t>(bytes.size());
    ahead_ = std::move(bytes);
  }
  // `behind`: how many of the bytes read were not used yet.
  std::string at_byte(size_t behind = 0) const {
    return path_ + ": at byte " + std::to_string(position_ - static_cast<int64_t>(behind)) + ": ";
  }
  const Status& error() const { return error_; }

 private:
  std::string path_;
  int fd_;
  std::atomic<int64_t>* counter_;
  bool regular_ = false;
  int64_t position_ = 0;
  std::string ahead_;
  Status error_;
};

class PlainReader : public ByteReader {
 public:
  explicit PlainReader(std::unique_ptr<RawFile> file) : file_(std::move(file)) {}
  Result read(char* to, size_t size, int timeout_ms, size_t& got) override {
    const Result result = file_->read(to, size, timeout_ms, got);
    if (result == Result::kError) error_ = file_->error();
    return result;
  }

 private:
  std::unique_ptr<RawFile> file_;
};

// What the two decompressors share: a buffer of stored bytes that is filled when it has run out.
class PackedReader : public ByteReader {
 public:
  explicit PackedReader(std::unique_ptr<RawFile> file) : file_(std::move(file)), input_(kInputBytes) {}

 protected:
  Result fill(int timeout_ms) {
    size_t got = 0;
    const Result result = file_->read(input_.data(), input_.size(), timeout_ms, got);
    if (result == Result::kBytes) used_ = 0, filled_ = got;
    if (result == Result::kError) error_ = file_->error();
    return result;
  }
  Result fail(const std::string& what) {
    error_ = Status::error(file_->at_byte(filled_ - used_) + what);
    return Result::kError;
  }

  std::unique_ptr<RawFile> file_;
  std::vector<char> input_;
  size_t used_ = 0, filled_ = 0;
};

class GzipReader : public PackedReader {
 public:
  explicit GzipReader(std::unique_ptr<RawFile> file) : PackedReader(std::move(file)) {
    ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK;
  }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;
  ~GzipReader() override {
    if (ready_) (void)inflateEnd(&stream_);
  }

  Result read(char* to, size_t size, int timeout_ms, size_t& got) override {
    if (!error_.ok()) return Result::kError;
    if (!ready_) return fail("no memory for zlib");
    for (;;) {
      if (used_ == filled_) {
        const Result result = fill(timeout_ms);
        if (result == Result::kEnd) return inside_ ? fail("the gzip file is cut short") : Result::kEnd;
        if (result != Result::kBytes) return result;
      }
      if (!inside_) {
        // Files may be joined end to end, and tapes are padded with zeros; anything else after a member is damage.
        if (padding_ || input_[used_] == 0) {
          padding_ = true;
          while (used_ < filled_ && input_[used_] == 0) ++used_;
          if (used_ < filled_) return fail("bytes after the end of the gzip data");
          continue;
        }
        if (inflateReset(&stream_) != Z_OK) return fail("zlib cannot start a member");
        inside_ = true;
      }
      stream_.next_in = reinterpret_cast<Bytef*>(input_.data() + used_);
      stream_.avail_in = static_cast<uInt>(filled_ - used_);
      stream_.next_out = reinterpret_cast<Bytef*>(to);
      stream_.avail_out = static_cast<uInt>(std::min<size_t>(size, 1u << 30));
      const uInt room = stream_.avail_out;
      const int code = inflate(&stream_, Z_NO_FLUSH);
      used_ = filled_ - stream_.avail_in;
      got = room - stream_.avail_out;
      if (code == Z_STREAM_END) inside_ = false;
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        const Result failed =
            fail(std::string("the gzip data are corrupt: ") + (stream_.msg ? stream_.msg : "zlib error"));
        return got > 0 ? Result::kBytes : failed;
      }
      if (got > 0) return Result::kBytes;
    }
  }

 private:
  z_stream stream_{};
  bool ready_ = false;
  bool inside_ = false;   // in a member: the end of the file would be a cut
  bool padding_ = false;  // zeros seen after the last member
};

class ZstdReader : public PackedReader {
 public:
  explicit ZstdReader(std::unique_ptr<RawFile> file) : PackedReader(std::move(file)), context_(ZSTD_createDCtx()) {}
  ZstdReader(const ZstdReader&) = delete;
  ZstdReader& operator=(const ZstdReader&) = delete;
  ~ZstdReader() override { ZSTD_freeDCtx(context_); }

  Result read(char* to, size_t size, int timeout_ms, size_t& got) override {
    if (!error_.ok()) return Result::kError;
    if (context_ == nullptr) return fail("no memory for zstd");
    for (;;) {
      if (used_ == filled_ && !more_) {
        const Result result = fill(timeout_ms);
        if (result == Result::kEnd) return inside_ ? fail("the zstd file is cut short") : Result::kEnd;
        if (result != Result::kBytes) return result;
      }
      ZSTD_outBuffer output{to, size, 0};
      ZSTD_inBuffer input{input_.data() + used_, filled_ - used_, 0};
      const size_t left = ZSTD_decompressStream(context_, &output, &input);
      used_ += input.pos;
      got = output.pos;
      if (ZSTD_isError(left)) {
        const Result failed = fail(std::string("the zstd data are corrupt: ") + ZSTD_getErrorName(left));
        return got > 0 ? Result::kBytes : failed;
      }
      inside_ = left != 0;
      more_ = inside_ && output.pos == output.size;  // the decoder may hold bytes that did not fit
      if (got > 0) return Result::kBytes;
    }
  }

 private:
  ZSTD_DCtx* context_;
  bool inside_ = false;
  bool more_ = false;
};

}  // namespace

Status ByteReader::open(const std::string& path, std::atomic<int64_t>* raw_bytes, std::unique_ptr<ByteReader>& out) {
  if (path == "-") return adopt(STDIN_FILENO, "standard input", raw_bytes, out);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Status::error(path + ": " + std::strerror(errno));
  return adopt(fd, path, raw_bytes, out);
}

Status ByteReader::adopt(int fd, const std::string& name, std::atomic<int64_t>* raw_bytes,
                         std::unique_ptr<ByteReader>& out) {
  struct stat status {};
  const bool folder = fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
  auto file = std::make_unique<RawFile>(name, fd, raw_bytes);
  if (folder) return Status::error(name + ": is a directory");
  // Four bytes tell the format; a pipe may give them one at a time.
  std::string head;
  while (head.size() < 4) {
    char bytes[4];
    size_t got = 0;
    const Result result = file->read(bytes, 4 - head.size(), -1, got);
    if (result == Result::kError) return file->error();
    if (result == Result::kEnd) break;
    if (result == Result::kBytes) head.append(bytes, got);
    // Plain text is known by its first byte, and must not wait for the rest of a line that is typed slowly.
    if (!head.empty() && head[0] != '\x1f' && head[0] != '\x28' && (head[0] & 0xf0) != 0x50) break;
  }
  const bool gzip = head.size() >= 2 && head[0] == '\x1f' && head[1] == '\x8b';
  const bool zstd = head == std::string("\x28\xb5\x2f\xfd", 4) ||
                    (head.size() == 4 && (head[0] & 0xf0) == 0x50 && head.compare(1, 3, "\x2a\x4d\x18") == 0);
  file->unread(std::move(head));
  if (gzip) {
    out = std::make_unique<GzipReader>(std::move(file));
  } else if (zstd) {
    out = std::make_unique<ZstdReader>(std::move(file));
  } else {
    out = std::make_unique<PlainReader>(std::move(file));
  }
  return {};
}

}  // namespace bellwether

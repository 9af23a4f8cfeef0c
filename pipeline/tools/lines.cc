#include "pipeline/tools/lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

#include "pipeline/sources/byte_reader.h"

namespace bellwether {
namespace {

constexpr size_t kBuffer = 1 << 17;
constexpr size_t kSpillAt = 1 << 16;

std::string reason() { return std::strerror(errno); }

}  // namespace

Codec codec_of_name(std::string_view path) {
  if (path.ends_with(".gz")) return Codec::kGzip;
  if (path.ends_with(".zst")) return Codec::kZstd;
  return Codec::kPlain;
}

struct InputStream::State {
  std::string name;
  std::atomic<int64_t> raw{0};
  uint64_t total = 0;
  std::unique_ptr<ByteReader> reader;
};

InputStream::InputStream() = default;
InputStream::~InputStream() = default;
InputStream::InputStream(InputStream&&) noexcept = default;
InputStream& InputStream::operator=(InputStream&&) noexcept = default;

Status InputStream::open(const std::string& path) {
  if (path == "-") return adopt(STDIN_FILENO, "standard input");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Status::error(path + ": cannot open: " + reason());
  return adopt(fd, path);
}

Status InputStream::adopt(int fd, std::string name) {
  state_ = std::make_unique<State>();
  State& s = *state_;
  s.name = std::move(name);
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) s.total = static_cast<uint64_t>(info.st_size);
  return ByteReader::adopt(fd, s.name, &s.raw, s.reader);
}

Status InputStream::read(char* to, size_t n, size_t& got) {
  got = 0;
  if (n == 0) return Status::fine();
  for (;;) {
    switch (state_->reader->read(to, n, -1, got)) {
      case ByteReader::Result::kBytes:
        return Status::fine();
      case ByteReader::Result::kEnd:
        got = 0;
        return Status::fine();
      case ByteReader::Result::kWait:  // a signal came in between
        continue;
      case ByteReader::Result::kError:
        got = 0;
        return state_->reader->error();
    }
  }
}

uint64_t InputStream::raw_bytes() const { return state_ ? static_cast<uint64_t>(state_->raw.load()) : 0; }
uint64_t InputStream::raw_total() const { return state_ ? state_->total : 0; }
const std::string& InputStream::name() const { return state_->name; }

Status LineReader::open(const std::string& path) {
  begin_ = end_ = 0, eof_ = false, line_number_ = 0;
  status_ = in_.open(path);
  if (!status_.ok()) eof_ = true;
  return status_;
}

// One more read behind what is buffered; false at the end or on an error.
bool LineReader::fill() {
  if (eof_) return false;
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    end_ -= begin_, begin_ = 0;
  }
  if (buffer_.size() < end_ + kBuffer) buffer_.resize(end_ + kBuffer);
  size_t got = 0;
  status_ = in_.read(buffer_.data() + end_, kBuffer, got);
  end_ += got;
  if (got == 0) eof_ = true;
  return got > 0;
}

LineReader::Got LineReader::next(std::string_view& line) {
  size_t scanned = 0;  // of the bytes from begin_, those known to hold no line end
  bool too_long = false;
  std::string head;
  for (;;) {
    const char* from = buffer_.data() + begin_;
    const size_t have = end_ - begin_;
    const void* hit = have > scanned ? std::memchr(from + scanned, '\n', have - scanned) : nullptr;
    size_t length = 0;
    bool whole = false;
    if (hit != nullptr) {
      length = static_cast<size_t>(static_cast<const char*>(hit) - from), whole = true;
    } else if (have > max_line_) {
      if (!too_long) head.assign(from, max_line_);
      too_long = true;
      begin_ = end_, scanned = 0;
    } else {
      scanned = have;
    }
    if (!whole) {
      if (fill()) continue;
      if (!status_.ok()) return Got::kError;
      length = end_ - begin_;
      if (length == 0 && !too_long) return Got::kEnd;
    }
    ++line_number_;
    if (!too_long && length > max_line_) head.assign(buffer_.data() + begin_, max_line_), too_long = true;
    line = std::string_view(buffer_.data() + begin_, length);
    begin_ += length + (whole ? 1 : 0);
    if (too_long) {
      overlong_.swap(head);
      line = overlong_;
      return Got::kTooLong;
    }
    if (line.ends_with('\r')) line.remove_suffix(1);
    return Got::kLine;
  }
}

struct OutputStream::State {
  int fd = -1;
  bool close_fd = true;
  std::string name;
  Codec codec = Codec::kPlain;
  Status failed;
  std::vector<unsigned char> out = std::vector<unsigned char>(kBuffer);
  bool zlib_made = false;
  z_stream z{};
  ZSTD_CStream* zstd = nullptr;

  ~State() {
    if (zlib_made) deflateEnd(&z);
    if (zstd != nullptr) ZSTD_freeCStream(zstd);
    if (fd >= 0 && close_fd) ::close(fd);
  }
  Status put(const void* bytes, size_t n) {
    const char* p = static_cast<const char*>(bytes);
    while (n > 0) {
      const ssize_t done = ::write(fd, p, n);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return failed = Status::error(name + ": cannot write: " + reason());
      p += done, n -= static_cast<size_t>(done);
    }
    return Status::fine();
  }
  Status deflate_all(std::string_view bytes, int flush) {
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    z.avail_in = static_cast<uInt>(bytes.size());
    int r = Z_OK;
    do {
      z.next_out = out.data(), z.avail_out = static_cast<uInt>(out.size());
      r = deflate(&z, flush);
      if (r == Z_STREAM_ERROR) return failed = Status::error(name + ": zlib failed");
      if (Status s = put(out.data(), out.size() - z.avail_out); !s.ok()) return s;
    } while (flush == Z_FINISH ? r != Z_STREAM_END : z.avail_in > 0 || z.avail_out == 0);
    return Status::fine();
  }
  Status zstd_all(std::string_view bytes, ZSTD_EndDirective end) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer to{out.data(), out.size(), 0};
      const size_t left = ZSTD_compressStream2(zstd, &to, &in, end);
      if (ZSTD_isError(left)) return failed = Status::error(name + ": zstd failed: " + ZSTD_getErrorName(left));
      if (Status s = put(out.data(), to.pos); !s.ok()) return s;
      if (end == ZSTD_e_end ? left == 0 : in.pos == in.size) return Status::fine();
    }
  }
};

OutputStream::OutputStream() = default;
OutputStream::~OutputStream() = default;
OutputStream::OutputStream(OutputStream&&) noexcept = default;
OutputStream& OutputStream::operator=(OutputStream&&) noexcept = default;

Status OutputStream::open(const std::string& path) {
  if (path == "-") return adopt(STDOUT_FILENO, "standard output", Codec::kPlain);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return Status::error(path + ": cannot open for writing: " + reason());
  Status s = adopt(fd, path, codec_of_name(path));
  state_->close_fd = true;
  return s;
}

Status OutputStream::adopt(int fd, std::string name, Codec codec, int level) {
  state_ = std::make_unique<State>();
  State& s = *state_;
  s.fd = fd, s.name = std::move(name), s.codec = codec, s.close_fd = false;
  if (codec == Codec::kGzip) {
    if (deflateInit2(&s.z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      return s.failed = Status::error(s.name + ": no memory for zlib");
    s.zlib_made = true;
  } else if (codec == Codec::kZstd) {
    s.zstd = ZSTD_createCStream();
    if (s.zstd == nullptr) return s.failed = Status::error(s.name + ": no memory for zstd");
    ZSTD_CCtx_setParameter(s.zstd, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(s.zstd, ZSTD_c_checksumFlag, 1);  // as gzip has one: broken bytes must not pass for others
  }
  return Status::fine();
}

Status OutputStream::write(std::string_view bytes) {
  State& s = *state_;
  if (!s.failed.ok() || bytes.empty()) return s.failed;
  switch (s.codec) {
    case Codec::kPlain:
      return s.put(bytes.data(), bytes.size());
    case Codec::kGzip:
      return s.deflate_all(bytes, Z_NO_FLUSH);
    case Codec::kZstd:
      return s.zstd_all(bytes, ZSTD_e_continue);
  }
  return Status::fine();
}

Status OutputStream::finish() {
  State& s = *state_;
  if (!s.failed.ok()) return s.failed;
  Status done;
  if (s.codec == Codec::kGzip) done = s.deflate_all({}, Z_FINISH);
  if (s.codec == Codec::kZstd) done = s.zstd_all({}, ZSTD_e_end);
  if (!done.ok()) return done;
  if (s.close_fd) {
    const int fd = s.fd;
    s.fd = -1;
    if (::close(fd) != 0) return s.failed = Status::error(s.name + ": cannot write: " + reason());
  }
  return Status::fine();
}

Status LineWriter::write(std::string_view line) {
  buffer_.append(line);
  buffer_.push_back('\n');
  if (buffer_.size() < kSpillAt) return Status::fine();
  Status s = out_.write(buffer_);
  buffer_.clear();
  return s;
}

Status LineWriter::finish() {
  Status s = out_.write(buffer_);
  buffer_.clear();
  return s.ok() ? out_.finish() : s;
}

}  // namespace bellwether

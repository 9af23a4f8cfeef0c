#include "pipeline/sources/file_source.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "pipeline/sources/byte_reader.h"

namespace bellwether {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr size_t kReadBytesMin = size_t{64} << 10;
constexpr size_t kBatchBytes = size_t{4} << 20;

bool blank(const char* at, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (at[i] != ' ' && at[i] != '\t' && at[i] != '\r') return false;
  }
  return true;
}

}  // namespace

// One file being read. Lines are views into `chunk`; a chunk that is full is left to the batches that use it, and only
// the begun line is copied to the next one.
struct FileSource::File {
  std::string path;
  std::atomic<int64_t> raw_bytes{0};
  std::unique_ptr<ByteReader> reader;
  std::shared_ptr<char[]> chunk;
  size_t capacity = 0, begin = 0, scanned = 0, end = 0;  // chunk[begin, end) is unread, no newline in [begin, scanned)
  int64_t line = 0;                                      // number of the line at `begin`
  int64_t from = 0;                                      // lines below are skipped
  bool cutting = false;                                  // inside the rest of a line that was too long
  bool whole = false;                                    // the reader has come to its end
  bool ended = false;
  Status error;

  enum class Next { kLine, kWait, kEnd, kError };
  Next next(int timeout_ms, std::string_view& value);
  ByteReader::Result fill(int timeout_ms);
};

// More bytes after `end`, in place while there is room: views handed out before stay where they are.
ByteReader::Result FileSource::File::fill(int timeout_ms) {
  if (capacity - end < kReadBytesMin) {
    const size_t carry = end - begin;
    if (carry == 0 && chunk.use_count() == 1 && capacity == kChunkBytes) {
      // Nobody looks at this chunk any more.
    } else {
      const size_t grown = kChunkBytes + (carry > kReadBytesMin ? carry : 0);
      std::shared_ptr<char[]> fresh(new char[grown]);
      if (carry > 0) std::memcpy(fresh.get(), chunk.get() + begin, carry);
      chunk = std::move(fresh);
      capacity = grown;
    }
    scanned -= begin;
    begin = 0;
    end = carry;
  }
  size_t got = 0;
  const ByteReader::Result result = reader->read(chunk.get() + end, capacity - end, timeout_ms, got);
  if (result == ByteReader::Result::kBytes) end += got;
  return result;
}

FileSource::File::Next FileSource::File::next(int timeout_ms, std::string_view& value) {
  for (;;) {
    const char* base = chunk.get();
    const char* newline =
        end > scanned ? static_cast<const char*>(std::memchr(base + scanned, '\n', end - scanned)) : nullptr;
    size_t size = 0;  // of the line, without its newline
    size_t skip = 0;  // bytes to go past it
    if (newline != nullptr) {
      size = static_cast<size_t>(newline - base) - begin;
      skip = size + 1;
    } else if (whole) {
      if (begin == end) {
        if (std::exchange(cutting, false)) ++line;
        return Next::kEnd;
      }
      size = skip = end - begin;
    } else {
      scanned = end;
      if (cutting) {
        begin = scanned = end;  // dropped unseen, so that a line without end takes no memory
      } else if (end - begin > kLineBytesMax + 1) {
        // Too long whether or not a \r ends it: handed out cut, the rest is passed over.
        value = std::string_view(base + begin, kLineBytesMax + 1);
        begin = scanned = end;
        cutting = true;
        return Next::kLine;
      }
      switch (fill(timeout_ms)) {
        case ByteReader::Result::kBytes:
          continue;
        case ByteReader::Result::kWait:
          return Next::kWait;
        case ByteReader::Result::kEnd:
          whole = true;
          continue;
        case ByteReader::Result::kError:
          return Next::kError;
      }
    }
    const char* at = base + begin;
    begin += skip;
    scanned = begin;
    const int64_t number = line++;
    if (cutting) {  // the line itself was counted only now, with its newline
      cutting = false;
      continue;
    }
    if (number < from) continue;
    if (size > kLineBytesMax + 1) {  // the same bytes as above, where its newline was still to come
      value = std::string_view(at, kLineBytesMax + 1);
      return Next::kLine;
    }
    if (number == 0 && size >= 3 && std::memcmp(at, "\xef\xbb\xbf", 3) == 0) at += 3, size -= 3;
    if (size > 0 && at[size - 1] == '\r') --size;
    if (size == 0 || (static_cast<unsigned char>(at[0]) <= ' ' && blank(at, size))) continue;
    value = std::string_view(at, size);
    return Next::kLine;
  }
}

FileSource::~FileSource() = default;

Status FileSource::open(const std::vector<std::string>& paths, std::unique_ptr<FileSource>& out) {
  std::unique_ptr<FileSource> source(new FileSource);
  std::map<std::string, int32_t> seen;
  for (const std::string& path : paths) {
    struct stat status {};
    if (path == "-") {
      if (fstat(STDIN_FILENO, &status) != 0)
        return Status::error(std::string("standard input: ") + std::strerror(errno));
    } else {
      if (stat(path.c_str(), &status) != 0) return Status::error(path + ": " + std::strerror(errno));
      if (S_ISDIR(status.st_mode)) return Status::error(path + ": is a directory");
      if (access(path.c_str(), R_OK) != 0) return Status::error(path + ": " + std::strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
      source->bytes_total_ = -1;
    } else if (source->bytes_total_ >= 0) {
      source->bytes_total_ += status.st_size;
    }
    source->partitions_.push_back({path, seen[path]++});
    source->files_.push_back(std::make_unique<File>());
    source->files_.back()->path = path;
  }
  out = std::move(source);
  return {};
}

Status FileSource::start(size_t partition, int64_t next_offset) {
  files_.at(partition)->from = std::max<int64_t>(next_offset, 0);
  return {};
}

Status FileSource::poll(size_t partition, size_t max_records, int timeout_ms, Batch& out) {
  out.clear();
  File& file = *files_.at(partition);
  out.next_offset = std::max(file.cutting ? file.line + 1 : file.line, file.from);
  if (!file.error.ok()) return file.error;
  if (file.ended) {
    out.at_end = out.ended = true;
    return {};
  }
  if (file.reader == nullptr) {
    if (file.path == "-") {  // telling the format needs bytes, and these may be long in coming
      pollfd ready{STDIN_FILENO, POLLIN, 0};
      if (::poll(&ready, 1, timeout_ms) == 0) {
        out.at_end = true;
        return {};
      }
    }
    file.error = ByteReader::open(file.path, &file.raw_bytes, file.reader);
    if (!file.error.ok()) return file.error;
  }
  size_t bytes = 0;
  while (out.records.size() < max_records && bytes < kBatchBytes) {
    std::string_view value;
    // Only the first record is waited for.
    const File::Next next = file.next(out.records.empty() ? timeout_ms : 0, value);
    if (next == File::Next::kLine) {
      if (out.keep.empty() || out.keep.back().get() != file.chunk.get()) out.keep.emplace_back(file.chunk);
      const int64_t number = file.cutting ? file.line : file.line - 1;
      if (number < file.from) continue;  // a cut line below the start
      out.records.push_back({number, -1, value});
      bytes += value.size();
      continue;
    }
    if (next == File::Next::kWait) out.at_end = true;
    if (next == File::Next::kError) file.error = file.reader->error();
    if (next == File::Next::kEnd) {
      file.reader.reset();
      file.chunk.reset();
      if (file.line < file.from) {
        file.error = Status::error(file.path + ": has " + std::to_string(file.line) + " lines, but " +
                                   std::to_string(file.from) + " were read from it before: it is not the same file");
      } else {
        file.ended = out.at_end = out.ended = true;
      }
    }
    break;
  }
  // A line being cut is handed out already: a restart must begin after it.
  out.next_offset = std::max(file.cutting ? file.line + 1 : file.line, file.from);
  return out.records.empty() ? file.error : Status{};
}

int64_t FileSource::end_offset(size_t partition) {
  const File& file = *files_.at(partition);
  return file.ended ? file.line : -1;
}

int64_t FileSource::bytes_read() const {
  int64_t sum = 0;
  for (const auto& file : files_) sum += file->raw_bytes.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace bellwether

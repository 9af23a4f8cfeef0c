// Bytes and lines in and out of files: plain, gzip or zstd, told by what the file holds and not by its name; "-" is
// standard input or output. Everything streams: memory is a few buffers whatever the file's size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pipeline/sources/source.h"

namespace bellwether {

enum class Codec : uint8_t { kPlain, kGzip, kZstd };

// The codec a path's ending asks for: ".gz", ".zst", else plain. For writing only.
Codec codec_of_name(std::string_view path);

// Decompressed bytes of a file, as the file source reads them (pipeline/sources/byte_reader.h). Not for several
// threads.
class InputStream {
 public:
  InputStream();
  ~InputStream();
  InputStream(InputStream&&) noexcept;
  InputStream& operator=(InputStream&&) noexcept;
  // "-" reads standard input. Errors name the path.
  Status open(const std::string& path);
  // Takes an open descriptor, closed with the stream (standard input is not); `name` is for messages.
  Status adopt(int fd, std::string name);
  // Up to n decompressed bytes; got = 0 is the end. A broken or truncated compressed file is an error that names file
  // and byte, after everything before that byte was given.
  Status read(char* to, size_t n, size_t& got);
  uint64_t raw_bytes() const;  // bytes of the file (compressed) read so far
  uint64_t raw_total() const;  // the file's size, 0 where it is not known (a pipe)
  const std::string& name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Lines of an InputStream, without their '\n' or "\r\n". The last line needs no line end.
class LineReader {
 public:
  static constexpr size_t kMaxLine = 1 << 20;
  enum class Got : uint8_t {
    kLine,
    kTooLong,  // longer than max_line bytes: `line` holds the first of them, the rest was passed over
    kEnd,
    kError,  // see status()
  };
  explicit LineReader(size_t max_line = kMaxLine) : max_line_(max_line) {}
  Status open(const std::string& path);
  // `line` lives until the next call.
  Got next(std::string_view& line);
  uint64_t line_number() const { return line_number_; }  // of the line last given, from 1
  const Status& status() const { return status_; }
  const InputStream& stream() const { return in_; }

 private:
  bool fill();
  InputStream in_;
  Status status_;
  size_t max_line_;
  std::string buffer_, overlong_;
  size_t begin_ = 0, end_ = 0;
  bool eof_ = false;
  uint64_t line_number_ = 0;
};

// Compressed bytes to a file. After a failure every call gives the same error.
class OutputStream {
 public:
  OutputStream();
  ~OutputStream();
  OutputStream(OutputStream&&) noexcept;
  OutputStream& operator=(OutputStream&&) noexcept;
  // The codec is told by the name; "-" is standard output, plain. An existing file is written over.
  Status open(const std::string& path);
  // Does not close the descriptor. `level`: of zstd.
  Status adopt(int fd, std::string name, Codec codec, int level = 3);
  Status write(std::string_view bytes);
  // Ends the compressed frame and closes. Without it the file is not whole.
  Status finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class LineWriter {
 public:
  Status open(const std::string& path) { return out_.open(path); }
  Status write(std::string_view line);  // adds the '\n'
  Status finish();

 private:
  OutputStream out_;
  std::string buffer_;
};

}  // namespace bellwether

// Reads a file or pipe as a stream of plain bytes, whatever it is compressed with. The one reader of such files: the
// file source and, behind InputStream, every tool read through it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "pipeline/sources/source.h"

namespace bellwether {

class ByteReader {
 public:
  enum class Result {
    kBytes,  // `got` > 0 bytes were read
    kEnd,    // whole and over
    kWait,   // nothing within the timeout (pipes only)
    kError,  // see error()
  };
  virtual ~ByteReader() = default;

  // "-" is standard input. Opens, looks at the first bytes and chooses plain, gzip or zstd. An empty file is plain.
  // `raw_bytes` (may be null, must outlive the reader) counts the bytes read from the file.
  static Status open(const std::string& path, std::atomic<int64_t>* raw_bytes, std::unique_ptr<ByteReader>& out);
  // The same of an open descriptor, which it closes unless it is standard input; `name` is for messages.
  static Status adopt(int fd, const std::string& name, std::atomic<int64_t>* raw_bytes,
                      std::unique_ptr<ByteReader>& out);

  // Up to `size` > 0 bytes into `to`. Waits up to timeout_ms (-1: for ever) where the file is a pipe or terminal.
  virtual Result read(char* to, size_t size, int timeout_ms, size_t& got) = 0;
  // Names the file and the byte, counted in the file as stored.
  const Status& error() const { return error_; }

 protected:
  Status error_;
};

}  // namespace bellwether

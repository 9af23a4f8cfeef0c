// Records in a file, as a topic would hold them: u32 key length, u32 value length (little endian), key, value. And what
// every program here needs: clocks, and an end with a reason.
#pragma once

#include <sys/resource.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace bellwether::bench {

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

// Processor time of the whole process so far.
inline double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

inline double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class RecordWriter {
 public:
  explicit RecordWriter(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "wb")) {
    if (file_ == nullptr) fail("cannot write " + path);
  }
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;
  ~RecordWriter() {
    if (std::fclose(file_) != 0) fail("cannot write " + path_);
  }
  void write(std::string_view key, std::string_view value) {
    const std::array<uint32_t, 2> sizes = {static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size())};
    if (std::fwrite(sizes.data(), sizeof sizes, 1, file_) != 1 ||
        std::fwrite(key.data(), 1, key.size(), file_) != key.size() ||
        std::fwrite(value.data(), 1, value.size(), file_) != value.size())
      fail("cannot write " + path_);
  }

 private:
  const std::string path_;
  std::FILE* const file_;
};

class RecordReader {
 public:
  explicit RecordReader(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rb")) {
    if (file_ == nullptr) fail("cannot read " + path);
  }
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;
  ~RecordReader() { (void)std::fclose(file_); }
  // False at the end. The views hold until the next call.
  bool next(std::string_view& key, std::string_view& value) {
    std::array<uint32_t, 2> sizes{};
    if (!have(sizeof sizes)) {
      if (at_ != end_) fail(path_ + " ends within a record");
      return false;
    }
    std::memcpy(sizes.data(), buffer_.data() + at_, sizeof sizes);
    if (!have(sizeof sizes + sizes[0] + sizes[1])) fail(path_ + " ends within a record");
    key = {buffer_.data() + at_ + sizeof sizes, sizes[0]};
    value = {key.data() + key.size(), sizes[1]};
    at_ += sizeof sizes + sizes[0] + sizes[1];
    return true;
  }

 private:
  bool have(size_t bytes) {
    if (end_ - at_ >= bytes) return true;
    std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
    end_ -= at_, at_ = 0;
    if (buffer_.size() < bytes) buffer_.resize(bytes);
    end_ += std::fread(buffer_.data() + end_, 1, buffer_.size() - end_, file_);
    return end_ >= bytes;
  }
  const std::string path_;
  std::FILE* const file_;
  std::vector<char> buffer_ = std::vector<char>(1 << 20);
  size_t at_ = 0, end_ = 0;
};

}  // namespace bellwether::bench

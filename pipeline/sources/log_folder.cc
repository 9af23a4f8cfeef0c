#include "pipeline/sources/log_folder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "pipeline/sources/log_segment.h"

namespace bellwether {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchBytes = size_t{4} << 20;

class Mapping {
 public:
  Mapping(void* data, size_t size) : data_(data), size_(size) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (data_ != nullptr) (void)munmap(data_, size_);
  }
  std::string_view bytes() const { return {static_cast<const char*>(data_), data_ == nullptr ? 0 : size_}; }

 private:
  void* data_;
  size_t size_;
};

Status map_file(const std::string& path, std::shared_ptr<Mapping>& out) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Status::error("cannot open " + path + ": " + std::strerror(errno));
  struct stat status {};
  int code = fstat(fd, &status) == 0 ? 0 : errno;
  const auto size = static_cast<size_t>(status.st_size);
  void* data = nullptr;
  if (code == 0 && size > 0) {
    data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) code = errno, data = nullptr;
  }
  (void)close(fd);
  out = std::make_shared<Mapping>(data, size);
  return code == 0 ? Status{} : Status::error("cannot read " + path + ": " + std::strerror(code));
}

bool partition_of(const std::string& name, size_t& out) {
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out);
  return error == std::errc{} && end == name.data() + name.size() && out < 65536;
}

// What is wrong with a segment's header; empty: nothing.
std::string header_fault(std::string_view bytes, const LogFolderSegment& segment, SegmentHeader& header) {
  bool newer = false;
  if (!decode_segment_header(bytes, header, newer))
    return newer ? "was written by a later version of this program" : "at byte 0: the segment's header is damaged";
  if (header.first_offset == segment.first_offset && header.partition == segment.partition) return {};
  return "holds partition " + std::to_string(header.partition) + " from offset " + std::to_string(header.first_offset) +
         ", not what its name says";
}

}  // namespace

Status list_log_folder(const std::string& dir, std::vector<LogFolderSegment>& out) {
  out.clear();
  const std::string log = dir + "/log";
  std::error_code error;
  if (!fs::exists(log, error) && !error) return {};
  for (fs::directory_iterator it(log, error), end; !error && it != end; it.increment(error)) {
    size_t partition = 0;
    if (!partition_of(it->path().filename().string(), partition)) continue;
    std::error_code inside;
    for (fs::directory_iterator file(it->path(), inside), last; !inside && file != last; file.increment(inside)) {
      LogFolderSegment segment{partition, 0, file->path().string(), false};
      if (parse_segment_name(file->path().filename().string(), segment.first_offset)) out.push_back(std::move(segment));
    }
    if (inside) return Status::error("cannot look at " + it->path().string() + ": " + inside.message());
  }
  if (error) return Status::error("cannot look at " + log + ": " + error.message());
  std::sort(out.begin(), out.end(), [](const LogFolderSegment& a, const LogFolderSegment& b) {
    return std::pair(a.partition, a.first_offset) < std::pair(b.partition, b.first_offset);
  });
  for (size_t i = 0; i < out.size(); ++i)
    out[i].newest = i + 1 == out.size() || out[i + 1].partition != out[i].partition;
  return {};
}

Status walk_segment(const LogFolderSegment& segment, SegmentWalk& out) {
  out = {};
  out.next_offset = segment.first_offset;
  std::shared_ptr<Mapping> file;
  if (Status status = map_file(segment.path, file); !status.ok()) return status;
  const std::string_view bytes = file->bytes();
  if (segment.newest && bytes.size() <= SegmentHeader::kBytes) {
    SegmentHeader unfinished;
    bool newer = false;
    if (!decode_segment_header(bytes, unfinished, newer) && !newer) {  // was being created at a crash
      out.torn_bytes = bytes.size();
      return {};
    }
  }
  SegmentHeader header;
  if (std::string fault = header_fault(bytes, segment, header); !fault.empty()) {
    out.faults.push_back(std::move(fault));
    return {};
  }
  out.created_us = header.created_us;
  for (size_t at = SegmentHeader::kBytes; at < bytes.size();) {
    Frame frame;
    size_t size = 0;
    if (decode_frame(header.salt, bytes.substr(at), frame, size) != FrameState::kGood) {
      const size_t next = find_frame(header.salt, bytes, at);
      if (next == std::string_view::npos && segment.newest) {
        out.torn_bytes = bytes.size() - at;
        return {};
      }
      out.faults.push_back(
          "at byte " + std::to_string(at) + ": the records from offset " + std::to_string(out.next_offset) +
          " on are damaged" +
          (next == std::string_view::npos ? ", to the end of the file" : ", up to byte " + std::to_string(next)));
      if (next == std::string_view::npos) return {};
      at = next;
      (void)decode_frame(header.salt, bytes.substr(at), frame, size);
      out.next_offset = frame.first_offset;
    }
    if (frame.first_offset != out.next_offset)
      out.faults.push_back("at byte " + std::to_string(at) + ": offset " + std::to_string(frame.first_offset) +
                           " stands where " + std::to_string(out.next_offset) + " should");
    std::string_view value;
    uint32_t records = 0;
    while (next_record(frame.records, value)) ++records;
    if (records != frame.count || !frame.records.empty())
      out.faults.push_back("at byte " + std::to_string(at) + ": holds " + std::to_string(records) + " records, not " +
                           std::to_string(frame.count));
    at += size;
    ++out.frames, out.records += frame.count;
    out.next_offset = frame.first_offset + frame.count;
  }
  return {};
}

namespace {

class LogFolder final : public Source {
 public:
  Status open(const std::string& dir) {
    std::vector<LogFolderSegment> segments;
    if (Status status = list_log_folder(dir, segments); !status.ok()) return status;
    for (LogFolderSegment& segment : segments) {
      while (partitions_.size() <= segment.partition) {
        ids_.push_back({"log", static_cast<int32_t>(partitions_.size())});
        partitions_.emplace_back();
      }
      Partition& p = partitions_[segment.partition];
      if (segment.newest) {
        SegmentWalk walk;
        if (Status status = walk_segment(segment, walk); !status.ok()) return status;
        if (!walk.faults.empty()) return Status::error(segment.path + ": " + walk.faults.front());
        p.end = walk.next_offset;
      }
      p.segments.push_back(std::move(segment));
    }
    return {};
  }

  const std::vector<PartitionId>& partitions() const override { return ids_; }
  Status refresh() override { return {}; }
  int64_t first_offset(size_t partition) const override {
    const Partition& p = partitions_.at(partition);
    return p.segments.empty() ? 0 : p.segments.front().first_offset;
  }
  Status start(size_t partition, int64_t next_offset) override {
    Partition& p = partitions_.at(partition);
    p.next = next_offset < 0 ? first_offset(partition) : next_offset;
    p.file.reset(), p.frame = {};
    if (p.next < first_offset(partition))
      return Status::error("log [" + std::to_string(partition) + "]: offset " + std::to_string(p.next) +
                           " was deleted; the first one kept is " + std::to_string(first_offset(partition)));
    return {};
  }
  Status poll(size_t partition, size_t max_records, int /*timeout_ms*/, Batch& out) override {
    out.clear();
    Partition& p = partitions_.at(partition);
    size_t bytes = 0;
    Status status;
    while (status.ok() && p.next < p.end && out.records.size() < max_records && bytes < kBatchBytes) {
      std::string_view value;
      if (!next_record(p.frame.records, value)) {
        status = next_frame(p);
        continue;
      }
      const int64_t offset = p.record++;
      if (offset < p.next) continue;
      if (out.keep.empty() || out.keep.back() != p.file) out.keep.push_back(p.file);
      out.records.push_back({offset, p.frame.append_us, value});
      bytes += value.size();
      p.next = offset + 1;
    }
    out.next_offset = p.next;
    out.at_end = p.next == p.end;
    return out.records.empty() ? status : Status{};
  }
  int64_t end_offset(size_t partition) override { return partitions_.at(partition).end; }

 private:
  struct Partition {
    std::vector<LogFolderSegment> segments;
    int64_t end = 0, next = 0;
    size_t segment = 0;
    std::shared_ptr<Mapping> file;  // of that segment
    SegmentHeader header;
    size_t at = 0;  // in the file: where the next frame begins
    int64_t offset = 0;
    Frame frame;  // being handed out
    int64_t record = 0;
  };

  static Status open_segment(Partition& p, size_t number) {
    p.segment = number;
    const LogFolderSegment& segment = p.segments[number];
    if (Status status = map_file(segment.path, p.file); !status.ok()) return status;
    if (std::string fault = header_fault(p.file->bytes(), segment, p.header); !fault.empty())
      return Status::error(segment.path + ": " + fault);
    p.at = SegmentHeader::kBytes, p.offset = segment.first_offset;
    return {};
  }

  // Only while the log's end lies past p.next.
  static Status next_frame(Partition& p) {
    if (p.file == nullptr) {
      size_t number = p.segments.size() - 1;
      while (number > 0 && p.segments[number].first_offset > p.next) --number;
      if (Status status = open_segment(p, number); !status.ok()) return status;
    } else if (p.at >= p.file->bytes().size()) {
      const std::string& path = p.segments[p.segment].path;
      if (p.segment + 1 == p.segments.size() || p.segments[p.segment + 1].first_offset != p.offset)
        return Status::error(path + ": ends at offset " + std::to_string(p.offset) +
                             ", and no segment goes on from there");
      if (Status status = open_segment(p, p.segment + 1); !status.ok()) return status;
    }
    size_t size = 0;
    if (decode_frame(p.header.salt, p.file->bytes().substr(p.at), p.frame, size) != FrameState::kGood ||
        p.frame.first_offset != p.offset) {
      p.frame = {};
      return Status::error(p.segments[p.segment].path + ": at byte " + std::to_string(p.at) +
                           ": the record at offset " + std::to_string(p.offset) + " is damaged");
    }
    p.record = p.offset;
    p.at += size, p.offset += p.frame.count;
    return {};
  }

  std::vector<PartitionId> ids_;
  std::vector<Partition> partitions_;
};

}  // namespace

Status open_log_folder(const std::string& dir, std::unique_ptr<Source>& out) {
  auto folder = std::make_unique<LogFolder>();
  if (Status status = folder->open(dir); !status.ok()) return status;
  out = std::move(folder);
  return {};
}

}  // namespace bellwether

// Reads the embedded log back, as far as it is durable.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "pipeline/sources/embedded_log.h"
#include "pipeline/sources/embedded_log_impl.h"
#include "pipeline/sources/log_segment.h"

namespace bellwether {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr size_t kBatchBytes = size_t{4} << 20;

}  // namespace

class EmbeddedLog::Reader : public Source {
 public:
  explicit Reader(const Impl* log) : log_(log) {
    for (size_t i = 0; i < log->partitions(); ++i) {
      ids_.push_back({"log", static_cast<int32_t>(i)});
      cursors_.push_back(std::make_unique<Cursor>());
    }
  }

  const std::vector<PartitionId>& partitions() const override { return ids_; }
  Status refresh() override { return {}; }
  Status start(size_t partition, int64_t next_offset) override {
    Cursor& cursor = *cursors_.at(partition);
    cursor.reset();
    cursor.next = next_offset < 0 ? log_->first_offset(partition) : next_offset;
    cursor.error = {};
    return {};
  }
  Status poll(size_t partition, size_t max_records, int timeout_ms, Batch& out) override;
  int64_t end_offset(size_t partition) override { return log_->end_offset(partition); }

 private:
  struct Cursor {
    int64_t next = 0;  // offset to hand out next
    int fd = -1;
    std::string path;
    int64_t segment_first = -1;
    uint64_t generation = 0;  // of the segment when it was opened
    uint64_t salt = 0;
    int64_t durable_bytes = 0;  // of the segment, when last asked
    int64_t byte = 0;           // where the next frame begins in the file
    int64_t frame_offset = 0;   // its first offset
    std::shared_ptr<char[]> buffer;
    int64_t buffer_byte = 0;  // where the buffer begins in the file
    size_t buffer_bytes = 0;
    Frame frame;  // being handed out; `records` is what is left of it
    int64_t record_offset = 0;
    Status error;

    Cursor() = default;
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    ~Cursor() { reset(); }
    void reset() {
      if (fd >= 0) (void)close(fd);
      fd = -1;
      segment_first = -1;
      durable_bytes = 0;
      buffer.reset();
      buffer_bytes = 0;
      frame = {};
    }
    // Brings `size` bytes from `byte` on into the buffer, and more where they are durable.
    Status fill(size_t size);
    Status damaged() const {
      return Status::error(path + ": at byte " + std::to_string(byte) + ": the record at offset " +
                           std::to_string(frame_offset) + " is damaged");
    }
  };

  Status open_segment(size_t partition, Cursor& cursor, int64_t offset);
  // Makes cursor.frame the next frame. Only called while the log's end lies past cursor.frame_offset.
  Status next_frame(size_t partition, Cursor& cursor);

  const Impl* log_;
  std::vector<PartitionId> ids_;
  std::vector<std::unique_ptr<Cursor>> cursors_;
};

Status EmbeddedLog::Reader::Cursor::fill(size_t size) {
  const int64_t ahead = byte - buffer_byte;
  if (buffer != nullptr && ahead + static_cast<int64_t>(size) <= static_cast<int64_t>(buffer_bytes)) return {};
  const auto wanted = static_cast<size_t>(std::min<int64_t>(std::max(size, kReadBytes), durable_bytes - byte));
  if (wanted < size) return damaged();
  buffer.reset(new char[wanted]);
  buffer_byte = byte;
  buffer_bytes = wanted;
  for (size_t done = 0; done < wanted;) {
    const ssize_t count = pread(fd, buffer.get() + done, wanted - done, byte + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Status::error(path + ": at byte " + std::to_string(byte) + ": " + std::strerror(errno));
    if (count == 0) return damaged();
    done += static_cast<size_t>(count);
  }
  return {};
}

Status EmbeddedLog::Reader::open_segment(size_t partition, Cursor& cursor, int64_t offset) {
  Impl::SegmentView segment = log_->segment(partition, offset);
  for (bool same = false; !same;) {
    cursor.reset();
    const int64_t first = log_->first_offset(partition);
    if (!segment.found || offset < first) {
      return Status::error("log [" + std::to_string(partition) + "]: offset " + std::to_string(offset) +
                           " was deleted; the first one kept is " + std::to_string(first));
    }
    cursor.path = segment.path;
    cursor.fd = ::open(segment.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (cursor.fd < 0) return Status::error(segment.path + ": " + std::strerror(errno));
    // Rewritten between the look and the opening: which of the two was opened is not known.
    const Impl::SegmentView again = log_->segment(partition, offset);
    same = again.generation == segment.generation;
    segment = again;
  }
  cursor.generation = segment.generation;
  cursor.byte = 0;
  cursor.frame_offset = segment.first_offset;
  cursor.durable_bytes = segment.durable_bytes;
  if (Status status = cursor.fill(SegmentHeader::kBytes); !status.ok()) return status;
  SegmentHeader header;
  bool newer_version = false;
  if (!decode_segment_header({cursor.buffer.get(), cursor.buffer_bytes}, header, newer_version))
    return cursor.damaged();
  cursor.salt = header.salt;
  cursor.byte = SegmentHeader::kBytes;
  cursor.segment_first = segment.first_offset;
  return {};
}

Status EmbeddedLog::Reader::next_frame(size_t partition, Cursor& cursor) {
  if (cursor.segment_first < 0) {
    if (Status status = open_segment(partition, cursor, cursor.next); !status.ok()) return status;
  }
  if (cursor.byte >= cursor.durable_bytes) {
    const Impl::SegmentView segment = log_->segment(partition, cursor.segment_first);
    const bool deleted = !segment.found || segment.first_offset != cursor.segment_first;
    const bool rewritten = !deleted && segment.generation != cursor.generation;
    if (!deleted && !rewritten) cursor.durable_bytes = segment.durable_bytes;
    if (deleted || rewritten || cursor.byte >= cursor.durable_bytes) {
      // A segment deleted under the reader is left where it stands; the next one begins at the next offset or the gap
      // is told. Of one that was rewritten all that was known of the old form is read; what it holds more begins at
      // another byte.
      if (!deleted && !rewritten && segment.next_first_offset != cursor.frame_offset) {
        return Status::error(cursor.path + ": ends at offset " + std::to_string(cursor.frame_offset) +
                             ", but the next segment begins at " + std::to_string(segment.next_first_offset));
      }
      if (Status status = open_segment(partition, cursor, cursor.frame_offset); !status.ok()) return status;
    }
  }
  size_t size = Frame::kHeaderBytes;
  for (;;) {
    if (Status status = cursor.fill(size); !status.ok()) return status;
    const auto ahead = static_cast<size_t>(cursor.byte - cursor.buffer_byte);
    const std::string_view bytes(cursor.buffer.get() + ahead, cursor.buffer_bytes - ahead);
    const FrameState state = decode_frame(cursor.salt, bytes, cursor.frame, size);
    if (state == FrameState::kShort) continue;
    if (state == FrameState::kBad || cursor.frame.first_offset != cursor.frame_offset) return cursor.damaged();
    break;
  }
  cursor.record_offset = cursor.frame_offset;
  cursor.byte += static_cast<int64_t>(size);
  cursor.frame_offset += cursor.frame.count;
  return {};
}

Status EmbeddedLog::Reader::poll(size_t partition, size_t max_records, int timeout_ms, Batch& out) {
  out.clear();
  Cursor& cursor = *cursors_.at(partition);
  out.next_offset = cursor.next;
  if (!cursor.error.ok()) return cursor.error;
  const int64_t end = log_->wait_past(partition, cursor.next, timeout_ms);
  if (cursor.next > end) {
    cursor.error = Status::error("log [" + std::to_string(partition) + "]: offset " + std::to_string(cursor.next) +
                                 " was read before, but the log ends at " + std::to_string(end) +
                                 ": it is not the log that this position belongs to");
    return cursor.error;
  }
  size_t bytes = 0;
  while (cursor.next < end && out.records.size() < max_records && bytes < kBatchBytes) {
    std::string_view value;
    if (!next_record(cursor.frame.records, value)) {
      cursor.error = next_frame(partition, cursor);
      if (!cursor.error.ok()) {
        cursor.frame = {};
        break;
      }
      continue;
    }
    const int64_t offset = cursor.record_offset++;
    if (offset < cursor.next) continue;
    if (out.keep.empty() || out.keep.back().get() != cursor.buffer.get()) out.keep.emplace_back(cursor.buffer);
    out.records.push_back({offset, cursor.frame.append_us, value});
    bytes += value.size();
    cursor.next = offset + 1;
  }
  out.next_offset = cursor.next;
  out.at_end = cursor.next == end;
  if (out.at_end) {  // a partition at rest holds no buffer; what comes next is read into a new one anyway
    cursor.frame = {};
    cursor.buffer.reset();
    cursor.buffer_bytes = 0;
  }
  return out.records.empty() ? cursor.error : Status{};
}

std::unique_ptr<Source> EmbeddedLog::reader() { return std::make_unique<Reader>(impl_.get()); }

}  // namespace bellwether

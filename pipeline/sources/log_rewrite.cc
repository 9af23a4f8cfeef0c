// Takes values out of the embedded log without moving an offset.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "pipeline/sources/embedded_log_impl.h"

namespace bellwether {
namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;
constexpr size_t kReadBytes = size_t{4} << 20;

Status io_error(const std::string& path, const char* what, int code) {
  return Status::error(path + ": " + what + ": " + std::strerror(code));
}

// The frame with every value that `change` changes; empty where it changes none.
std::string changed_frame(uint64_t salt, const Frame& frame, const EmbeddedLog::Change& change) {
  std::string records, out;
  bool changed = false;
  std::string_view left = frame.records, value;
  while (next_record(left, value)) {
    if (change(value, out)) {
      if (!changed)  // everything before it as it was
        records.assign(frame.records.substr(0, frame.records.size() - left.size() - sizeof(uint32_t) - value.size()));
      changed = true;
      encode_record(out, records);
    } else if (changed) {
      encode_record(value, records);
    }
  }
  return changed ? encode_frame(salt, frame.first_offset, frame.append_us, frame.count, records) : std::string();
}

}  // namespace

Status EmbeddedLog::Impl::seal(size_t partition) {
  std::promise<Status> sealed;
  Pending pending{partition, {}, 0, [&sealed](const Appended& a) { sealed.set_value(a.status); }, true};
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return Status::error(dir_ + ": the log is being closed");
    if (queue_.empty()) first_queued_ = std::chrono::steady_clock::now();
    queue_.push_back(std::move(pending));
  }
  queued_.notify_one();
  return sealed.get_future().get();
}

Status EmbeddedLog::Impl::seal_now(Partition& partition, uint32_t number, int64_t append_us) {
  if (!poison_.ok()) return poison_;
  if (!partition.poison.ok()) return partition.poison;
  if (partition.file == nullptr || partition.bytes <= static_cast<int64_t>(SegmentHeader::kBytes)) return {};
  return begin_segment(partition, number, append_us);
}

Status EmbeddedLog::Impl::rewrite(const Change& change, const std::function<bool()>& stop) {
  for (size_t p = 0; p < partitions_.size(); ++p) {
    if (Status status = seal(p); !status.ok()) return status;
    std::vector<int64_t> sealed;
    {
      const std::lock_guard lock(mutex_);
      const auto& segments = partitions_[p]->segments;
      for (size_t i = 0; i + 1 < segments.size(); ++i) sealed.push_back(segments[i].first_offset);
    }
    for (const int64_t first_offset : sealed) {
      if (stop()) return {};
      if (Status status = rewrite_segment(p, first_offset, change, stop); !status.ok()) return status;
    }
  }
  return {};
}

Status EmbeddedLog::Impl::rewrite_segment(size_t number, int64_t first_offset, const Change& change,
                                          const std::function<bool()>& stop) {
  const SegmentView segment = this->segment(number, first_offset);
  if (!segment.found || segment.first_offset != first_offset) return {};  // its time was over
  const auto damaged = [&](int64_t at) {
    return Status::error(segment.path + ": at byte " + std::to_string(at) + ": a record is damaged");
  };
  std::ifstream in(segment.path, std::ios::binary);
  if (!in) return errno == ENOENT ? Status{} : io_error(segment.path, "open", errno);

  const std::string path = partitions_[number]->dir + "/" + segment_name(first_offset) + ".new";
  std::unique_ptr<LogFile> file;
  std::string out;
  int64_t written = 0;
  const auto flush = [&]() -> Status {
    Status status = write_all(*file, out, written);
    if (!status.ok()) return Status::error(path + ": " + status.message);
    written += static_cast<int64_t>(out.size());
    out.clear();
    return {};
  };
  const auto give_up = [&](Status status) {
    file.reset();
    (void)unlink(path.c_str());
    return status;
  };

  std::string bytes;  // of the segment from `begin` on
  int64_t begin = 0;
  size_t at = 0;  // in `bytes`
  // True once `size` bytes stand from `at` on.
  const auto fill = [&](size_t size) {
    if (bytes.size() - at >= size) return true;
    bytes.erase(0, at), begin += static_cast<int64_t>(at), at = 0;
    const size_t before = bytes.size();
    bytes.resize(std::max(size, kReadBytes));
    in.read(bytes.data() + before, static_cast<std::streamsize>(bytes.size() - before));
    bytes.resize(before + static_cast<size_t>(in.gcount()));
    return bytes.size() >= size;
  };
  SegmentHeader header;
  bool newer = false;
  if (!fill(SegmentHeader::kBytes) || !decode_segment_header(bytes, header, newer)) return damaged(0);
  at = SegmentHeader::kBytes;
  while (begin + static_cast<int64_t>(at) < segment.durable_bytes) {
    if (stop()) return give_up({});
    Frame frame;
    size_t size = Frame::kHeaderBytes;
    FrameState state = FrameState::kShort;
    while (state == FrameState::kShort) {
      if (!fill(size)) return give_up(damaged(begin + static_cast<int64_t>(at)));
      state = decode_frame(header.salt, std::string_view(bytes).substr(at), frame, size);
    }
    if (state == FrameState::kBad) return give_up(damaged(begin + static_cast<int64_t>(at)));
    const std::string changed = changed_frame(header.salt, frame, change);
    if (!changed.empty() && file == nullptr) {
      (void)unlink(path.c_str());
      Status status;
      file = options_.files(path, true, status);
      if (file == nullptr) return status;
      // The header and all frames before this one, byte by byte: the salt is the same.
      std::ifstream head(segment.path, std::ios::binary);
      for (int64_t left = begin + static_cast<int64_t>(at); left > 0;) {
        out.resize(static_cast<size_t>(std::min<int64_t>(left, kWriteBytes)));
        if (!head.read(out.data(), static_cast<std::streamsize>(out.size()))) return give_up(damaged(0));
        left -= static_cast<int64_t>(out.size());
        if (status = flush(); !status.ok()) return give_up(std::move(status));
      }
    }
    if (file != nullptr) {
      out += changed.empty() ? std::string_view(bytes).substr(at, size) : std::string_view(changed);
      if (out.size() >= kWriteBytes)
        if (Status status = flush(); !status.ok()) return give_up(std::move(status));
    }
    at += size;
  }
  if (file == nullptr) return {};
  if (Status status = flush(); !status.ok()) return give_up(std::move(status));
  if (const int code = file->sync(); code != 0) return give_up(io_error(path, "fsync", -code));
  {
    std::unique_lock lock(mutex_);
    while (holds_ > 0) {  // a copy of the log under way reads each segment as it found it
      lock.unlock();
      if (stop()) return give_up({});
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      lock.lock();
    }
    auto& segments = partitions_[number]->segments;
    const auto known = std::ranges::find(segments, first_offset, &Segment::first_offset);
    if (known == segments.end()) return give_up({});  // deleted meanwhile
    if (std::rename(path.c_str(), segment.path.c_str()) != 0) return give_up(io_error(path, "rename", errno));
    known->durable_bytes = written;
    ++known->generation;
  }
  return sync_directory(partitions_[number]->dir);
}

}  // namespace bellwether

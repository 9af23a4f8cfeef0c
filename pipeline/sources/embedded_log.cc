#include "pipeline/sources/embedded_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <future>
#include <random>
#include <utility>

#include "pipeline/engine/named_thread.h"
#include "pipeline/sources/embedded_log_impl.h"

namespace bellwether {
namespace {

namespace fs = std::filesystem;

constexpr size_t kGroupBytes = size_t{4} << 20;   // a group is committed at once when it has so much
constexpr size_t kQueueBytes = size_t{16} << 20;  // appends block while more is waiting

Status io_error(const std::string& path, const char* what, int code) {
  return Status::error(path + ": " + what + ": " + std::strerror(code));
}

// A file's bytes, mapped, so that looking through a segment takes no memory of its size.
class Mapped {
 public:
  Mapped() = default;
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (data_ != nullptr) (void)munmap(data_, size_);
  }
  Status open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_error(path, "open", errno);
    struct stat status {};
    int code = fstat(fd, &status) == 0 ? 0 : errno;
    if (code == 0 && status.st_size > 0) {
      size_ = static_cast<size_t>(status.st_size);
      void* data = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
      if (data == MAP_FAILED) {
        code = errno;
      } else {
        data_ = data;
      }
    }
    (void)close(fd);
    return code == 0 ? Status{} : io_error(path, "read", code);
  }
  std::string_view bytes() const { return {static_cast<const char*>(data_), data_ == nullptr ? 0 : size_}; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

Status make_directory(const std::string& path, const std::string& parent) {
  if (mkdir(path.c_str(), 0755) != 0) return errno == EEXIST ? Status{} : io_error(path, "create", errno);
  return sync_directory(parent);
}

}  // namespace

// ----------------------------------------------------------------------------------------------------------------
// open, recover

Status EmbeddedLog::Impl::open(std::vector<std::string>& messages) {
  std::error_code code;
  fs::create_directories(fs::path(dir_).parent_path(), code);
  if (code) return Status::error(dir_ + ": " + code.message());
  const std::string parent = fs::path(dir_).parent_path().string();
  if (Status status = make_directory(dir_, parent.empty() ? "." : parent); !status.ok()) return status;
  const std::string lock = dir_ + "/lock";
  lock_fd_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_fd_ < 0) return io_error(lock, "open", errno);
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return Status::error(dir_ + ": the log is in use by another process");
  }
  size_t count = std::max<size_t>(options_.config.partitions, 1);
  for (const fs::directory_entry& entry : fs::directory_iterator(dir_, code)) {
    const std::string name = entry.path().filename().string();
    size_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed.ec == std::errc{} && parsed.ptr == name.data() + name.size() && number < 65536) {
      count = std::max(count, number + 1);
    }
  }
  if (code) return Status::error(dir_ + ": " + code.message());
  for (size_t number = 0; number < count; ++number) {
    partitions_.push_back(std::make_unique<Partition>());
    if (Status status = open_partition(number, messages); !status.ok()) return status;
  }
  thread_ = named_thread("log", [this] { run(); });
  return {};
}

Status EmbeddedLog::Impl::open_partition(size_t number, std::vector<std::string>& messages) {
  Partition& partition = *partitions_[number];
  partition.dir = dir_ + "/" + std::to_string(number);
  if (Status status = make_directory(partition.dir, dir_); !status.ok()) return status;
  std::error_code code;
  for (const fs::directory_entry& entry : fs::directory_iterator(partition.dir, code)) {
    Segment segment;
    segment.path = entry.path().string();
    if (segment.path.ends_with(kRewrittenEnding)) {  // a kill came before it took the old one's place
      std::error_code gone;
      fs::remove(segment.path, gone);
      continue;
    }
    if (!parse_segment_name(entry.path().filename().string(), segment.first_offset)) continue;
    segment.durable_bytes = static_cast<int64_t>(entry.file_size(code));
    if (code) break;
    partition.segments.push_back(std::move(segment));
  }
  if (code) return Status::error(partition.dir + ": " + code.message());
  std::ranges::sort(partition.segments, {}, &Segment::first_offset);
  return recover(partition, static_cast<uint32_t>(number), messages);
}

Status EmbeddedLog::Impl::recover(Partition& partition, uint32_t number, std::vector<std::string>& messages) {
  for (size_t i = 0; i < partition.segments.size(); ++i) {
    Segment& segment = partition.segments[i];
    const bool newest = i + 1 == partition.segments.size();
    Mapped file;
    if (Status status = file.open(segment.path); !status.ok()) return status;
    SegmentHeader header;
    bool newer_version = false;
    if (!decode_segment_header(file.bytes(), header, newer_version)) {
      if (newer_version) return Status::error(segment.path + ": was written by a newer version of this program");
      if (newest && file.bytes().size() <= SegmentHeader::kBytes) {
        // The header is made durable before the first frame is written: nothing was ever in this file.
        messages.push_back(segment.path + ": was being created at a crash; removed");
        if (unlink(segment.path.c_str()) != 0) return io_error(segment.path, "remove", errno);
        if (Status status = sync_directory(partition.dir); !status.ok()) return status;
        partition.segments.pop_back();
        // Its predecessor is the newest now and has to be looked through; it is the last element again.
        if (partition.segments.empty()) return {};
        i -= 2;
        continue;
      }
      return Status::error(segment.path + ": at byte 0: the segment's header is damaged");
    }
    if (header.first_offset != segment.first_offset || header.partition != number) {
      return Status::error(segment.path + ": holds partition " + std::to_string(header.partition) + " from offset " +
                           std::to_string(header.first_offset) + ", not what its name says");
    }
    segment.created_us = header.created_us;
    last_append_us_ = std::max(last_append_us_, header.created_us);
    if (!newest) continue;

    const std::string_view bytes = file.bytes();
    size_t at = SegmentHeader::kBytes;
    int64_t offset = segment.first_offset;
    while (at < bytes.size()) {
      Frame frame;
      size_t size = 0;
      if (decode_frame(header.salt, bytes.substr(at), frame, size) != FrameState::kGood ||
          frame.first_offset != offset) {
        break;
      }
      at += size;
      offset += frame.count;
      last_append_us_ = std::max(last_append_us_, frame.append_us);
    }
    if (at < bytes.size() && find_frame(header.salt, bytes, at) != std::string_view::npos) {
      return Status::error(segment.path + ": at byte " + std::to_string(at) + ": the record at offset " +
                           std::to_string(offset) + " is damaged, and good records follow it");
    }
    Status status;
    partition.file = options_.files(segment.path, false, status);
    if (partition.file == nullptr) return status;
    if (at < bytes.size()) {
      messages.push_back(segment.path + ": a torn write after offset " + std::to_string(offset) + " was cut off (" +
                         std::to_string(bytes.size() - at) + " bytes that no append answered for)");
      if (const int code = partition.file->truncate(static_cast<int64_t>(at)); code != 0) {
        return io_error(segment.path, "truncate", -code);
      }
    }
    // What a killed process had written but not synced is about to be read, so it has to be durable first.
    if (const int code = partition.file->sync(); code != 0) return io_error(segment.path, "fsync", -code);
    partition.salt = header.salt;
    partition.bytes = segment.durable_bytes = static_cast<int64_t>(at);
    partition.end_offset = offset;
  }
  return {};
}

EmbeddedLog::Impl::~Impl() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    queued_.notify_all();
    thread_.join();
  }
  if (lock_fd_ >= 0) (void)close(lock_fd_);
}

// ----------------------------------------------------------------------------------------------------------------
// append, commit

void EmbeddedLog::Impl::append(size_t partition, const std::vector<std::string_view>& values,
                               std::function<void(const Appended&)> done) {
  size_t bytes = 0;
  for (const std::string_view value : values) bytes += sizeof(uint32_t) + value.size();
  if (partition >= partitions_.size()) {
    return done({Status::error("the log has no partition " + std::to_string(partition))});
  }
  if (values.empty()) return done({Status::error("nothing to append")});
  if (bytes > kAppendBytesMax) {
    return done({Status::error("an append of " + std::to_string(bytes) + " bytes; the most is " +
                               std::to_string(kAppendBytesMax))});
  }
  Pending pending{partition, {}, static_cast<uint32_t>(values.size()), std::move(done)};
  pending.records.reserve(bytes);
  for (const std::string_view value : values) encode_record(value, pending.records);
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return queued_bytes_ < kQueueBytes; });
    if (queue_.empty()) first_queued_ = std::chrono::steady_clock::now();
    queued_bytes_ += bytes;
    queue_.push_back(std::move(pending));
  }
  queued_.notify_one();
}

void EmbeddedLog::Impl::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    queued_.wait(lock, [&] { return !queue_.empty() || stopping_; });
    if (queue_.empty()) return;
    const auto due = first_queued_ + std::chrono::milliseconds(options_.config.fsync_ms);
    queued_.wait_until(lock, due, [&] { return queued_bytes_ >= kGroupBytes || stopping_; });
    std::vector<Pending> group;
    size_t bytes = 0;
    while (!queue_.empty() && bytes < kGroupBytes) {
      bytes += queue_.front().records.size();
      group.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    queued_bytes_ -= bytes;
    // What is left has waited for its fsync already: it goes with the next group at once.
    lock.unlock();
    room_.notify_all();
    commit(std::move(group));
    lock.lock();
  }
}

void EmbeddedLog::Impl::commit(std::vector<Pending> group) {
  std::stable_sort(group.begin(), group.end(),
                   [](const Pending& a, const Pending& b) { return a.partition < b.partition; });
  const int64_t append_us = last_append_us_ = std::max(options_.now_us(), last_append_us_);
  std::vector<Pending> seals;
  for (Pending& pending : group)
    if (pending.seal) seals.push_back(std::move(pending));
  std::erase_if(group, [](const Pending& pending) { return pending.seal; });
  for (size_t begin = 0; begin < group.size();) {
    const size_t number = group[begin].partition;
    Partition& partition = *partitions_[number];
    std::string records = std::move(group[begin].records);
    uint32_t count = group[begin].count;
    size_t end = begin + 1;
    for (; end < group.size() && group[end].partition == number; ++end) {
      records += group[end].records;
      count += group[end].count;
    }
    int64_t offset = partition.end_offset;  // written by this thread only
    const Status status = write_frame(partition, static_cast<uint32_t>(number), records, count, append_us);
    if (status.ok()) appended_.notify_all();
    for (; begin < end; ++begin) {
      group[begin].done(status.ok() ? Appended{{}, offset, append_us} : Appended{status, -1, -1});
      offset += group[begin].count;
    }
  }
  for (const Pending& seal : seals) {
    const Status status = seal_now(*partitions_[seal.partition], static_cast<uint32_t>(seal.partition), append_us);
    seal.done({status, -1, -1});
  }
}

Status EmbeddedLog::Impl::write_frame(Partition& partition, uint32_t number, const std::string& records, uint32_t count,
                                      int64_t append_us) {
  if (!poison_.ok()) return poison_;
  if (!partition.poison.ok()) return partition.poison;
  const auto frame_bytes = static_cast<int64_t>(Frame::kHeaderBytes + records.size());
  const int64_t segment_bytes = int64_t{options_.config.segment_mb} << 20;
  const bool full =
      partition.bytes > static_cast<int64_t>(SegmentHeader::kBytes) && partition.bytes + frame_bytes > segment_bytes;
  if (partition.file == nullptr || full) {
    if (Status status = begin_segment(partition, number, append_us); !status.ok()) return status;
  }
  const std::string& path = partition.segments.back().path;
  const std::string frame = encode_frame(partition.salt, partition.end_offset, append_us, count, records);
  if (Status status = write_all(*partition.file, frame, partition.bytes); !status.ok()) {
    status.message = path + ": " + status.message + "; nothing of this append was kept";
    if (const int code = partition.file->truncate(partition.bytes); code != 0) {
      partition.poison = io_error(path, "truncate after a failed write", -code);
    }
    return status;
  }
  if (const int code = partition.file->sync(); code != 0) {
    // The kernel may have dropped the pages and would call the next fsync a success.
    poison_ = io_error(path, "fsync", -code);
    poison_.message += "; the log takes no more appends until a restart";
    return poison_;
  }
  partition.bytes += frame_bytes;
  const std::lock_guard lock(mutex_);
  partition.segments.back().durable_bytes = partition.bytes;
  partition.end_offset += count;
  return {};
}

Status EmbeddedLog::Impl::begin_segment(Partition& partition, uint32_t number, int64_t append_us) {
  Segment segment;
  segment.first_offset = partition.end_offset;
  segment.created_us = append_us;
  segment.durable_bytes = static_cast<int64_t>(SegmentHeader::kBytes);
  segment.path = partition.dir + "/" + segment_name(segment.first_offset);
  SegmentHeader header{number, segment.first_offset, append_us, 0};
  std::random_device random;
  header.salt = (uint64_t{random()} << 32) | random();
  Status status;
  std::unique_ptr<LogFile> file = options_.files(segment.path, true, status);
  if (file == nullptr) return status;
  status = write_all(*file, encode_segment_header(header), 0);
  if (status.ok()) {
    if (const int code = file->sync(); code != 0) status = Status::error(std::string("fsync: ") + std::strerror(-code));
  }
  if (status.ok()) status = sync_directory(partition.dir);
  if (!status.ok()) {
    (void)unlink(segment.path.c_str());
    status.message = segment.path + ": " + status.message;
    return status;
  }
  partition.file = std::move(file);
  partition.salt = header.salt;
  partition.bytes = segment.durable_bytes;
  {
    const std::lock_guard lock(mutex_);
    partition.segments.push_back(std::move(segment));
  }
  // An old segment that cannot be deleted is no reason to refuse a new record.
  (void)enforce_retention();
  return {};
}

Status EmbeddedLog::Impl::write_all(LogFile& file, std::string_view bytes, int64_t at) {
  while (!bytes.empty()) {
    const ssize_t count = file.write_at(bytes.data(), bytes.size(), at);
    if (count == -EINTR) continue;
    if (count <= 0)
      return Status::error(std::string("write: ") + std::strerror(count == 0 ? EIO : static_cast<int>(-count)));
    bytes.remove_prefix(static_cast<size_t>(count));
    at += count;
  }
  return {};
}

// ----------------------------------------------------------------------------------------------------------------
// state, retention

void EmbeddedLog::Impl::set_retain_from(size_t partition, int64_t offset) {
  const std::lock_guard lock(mutex_);
  partitions_.at(partition)->retain_from = offset;
}

Status EmbeddedLog::Impl::enforce_retention() {
  if (options_.config.retention_hours == 0) return {};
  const int64_t oldest_us = options_.now_us() - int64_t{options_.config.retention_hours} * 3'600'000'000;
  const std::lock_guard lock(mutex_);
  if (holds_ > 0) return {};  // the next segment begun, or the next call, makes up for it
  for (const auto& partition : partitions_) {
    auto& segments = partition->segments;
    bool deleted = false;
    // A segment's newest record is no newer than the beginning of the next one. Oldest first, so that a crash leaves no
    // hole.
    while (segments.size() > 1 && segments[1].created_us < oldest_us &&
           segments[1].first_offset <= partition->retain_from) {
      if (unlink(segments[0].path.c_str()) != 0 && errno != ENOENT) return io_error(segments[0].path, "delete", errno);
      segments.erase(segments.begin());
      deleted = true;
    }
    if (deleted) {
      if (Status status = sync_directory(partition->dir); !status.ok()) return status;
    }
  }
  return {};
}

void EmbeddedLog::Impl::hold(int count) {
  const std::lock_guard lock(mutex_);
  holds_ += count;
}

std::vector<EmbeddedLog::SegmentFile> EmbeddedLog::Impl::segments() const {
  std::vector<SegmentFile> files;
  const std::lock_guard lock(mutex_);
  for (size_t p = 0; p < partitions_.size(); ++p)
    for (const Segment& segment : partitions_[p]->segments)
      files.push_back({p, segment.path, segment.durable_bytes, &segment != &partitions_[p]->segments.back()});
  return files;
}

int64_t EmbeddedLog::Impl::end_offset(size_t partition) const {
  const std::lock_guard lock(mutex_);
  return partitions_.at(partition)->end_offset;
}

int64_t EmbeddedLog::Impl::first_offset(size_t partition) const {
  const std::lock_guard lock(mutex_);
  const Partition& known = *partitions_.at(partition);
  return known.segments.empty() ? known.end_offset : known.segments.front().first_offset;
}

EmbeddedLog::Impl::SegmentView EmbeddedLog::Impl::segment(size_t partition, int64_t offset) const {
  const std::lock_guard lock(mutex_);
  const auto& segments = partitions_.at(partition)->segments;
  const auto after = std::ranges::upper_bound(segments, offset, {}, &Segment::first_offset);
  if (after == segments.begin()) return {};
  const Segment& segment = *std::prev(after);
  return {true,
          segment.path,
          segment.first_offset,
          segment.durable_bytes,
          after == segments.end() ? -1 : after->first_offset,
          segment.generation};
}

int64_t EmbeddedLog::Impl::wait_past(size_t partition, int64_t offset, int timeout_ms) const {
  std::unique_lock lock(mutex_);
  const Partition& known = *partitions_.at(partition);
  if (timeout_ms > 0) {
    appended_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return known.end_offset > offset; });
  }
  return known.end_offset;
}

// ---------------------------------------------------------------------------------------------------------------- the
// public face

EmbeddedLog::EmbeddedLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EmbeddedLog::~EmbeddedLog() = default;

Status EmbeddedLog::open(const std::string& dir, Options options, std::unique_ptr<EmbeddedLog>& out,
                         std::vector<std::string>& messages) {
  if (!options.files) options.files = open_log_file;
  auto impl = std::make_unique<Impl>(dir + "/log", std::move(options));
  if (Status status = impl->open(messages); !status.ok()) return status;
  out.reset(new EmbeddedLog(std::move(impl)));
  return {};
}

size_t EmbeddedLog::partitions() const { return impl_->partitions(); }

Appended EmbeddedLog::append(size_t partition, const std::vector<std::string_view>& values) {
  std::promise<Appended> answer;
  impl_->append(partition, values, [&answer](const Appended& appended) { answer.set_value(appended); });
  return answer.get_future().get();
}

void EmbeddedLog::append_async(size_t partition, const std::vector<std::string_view>& values,
                               std::function<void(const Appended&)> done) {
  impl_->append(partition, values, std::move(done));
}

int64_t EmbeddedLog::end_offset(size_t partition) const { return impl_->end_offset(partition); }
int64_t EmbeddedLog::first_offset(size_t partition) const { return impl_->first_offset(partition); }
void EmbeddedLog::set_retain_from(size_t partition, int64_t offset) { impl_->set_retain_from(partition, offset); }
Status EmbeddedLog::rewrite(const Change& change, const std::function<bool()>& stop) {
  return impl_->rewrite(change, stop);
}
Status EmbeddedLog::enforce_retention() { return impl_->enforce_retention(); }
std::shared_ptr<void> EmbeddedLog::hold() {
  Impl* const impl = impl_.get();
  impl->hold(1);
  return {impl, [](Impl* held) { held->hold(-1); }};
}
std::vector<EmbeddedLog::SegmentFile> EmbeddedLog::segments() const { return impl_->segments(); }

}  // namespace bellwether

#include "pipeline/sources/embedded_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "pipeline/sources/log_segment.h"

namespace bellwether::embedded_log_test {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kHour = 3'600'000'000;

// Real files whose writes and syncs can be made to fail.
struct Faults {
  std::atomic<int64_t> room{INT64_MAX};  // bytes that may still be written; then ENOSPC, after a short write
  std::atomic<bool> sync_fails{false}, truncate_fails{false};
  std::atomic<int> syncs{0};

  LogFileFactory factory() {
    return [this](const std::string& path, bool create, Status& error) -> std::unique_ptr<LogFile> {
      auto file = open_log_file(path, create, error);
      return file == nullptr ? nullptr : std::make_unique<File>(std::move(file), this);
    };
  }

 private:
  struct File : LogFile {
    File(std::unique_ptr<LogFile> inner, Faults* faults) : inner(std::move(inner)), faults(faults) {}
    ssize_t write_at(const char* bytes, size_t size, int64_t at) override {
      const int64_t room = faults->room;
      if (room <= 0) return -ENOSPC;
      const ssize_t count = inner->write_at(bytes, std::min(size, static_cast<size_t>(room)), at);
      if (count > 0 && room != INT64_MAX) faults->room -= count;
      return count;
    }
    int sync() override {
      ++faults->syncs;
      return faults->sync_fails ? -EIO : inner->sync();
    }
    int truncate(int64_t size) override { return faults->truncate_fails ? -EIO : inner->truncate(size); }
    std::unique_ptr<LogFile> inner;
    Faults* faults;
  };
};

struct Record {
  int64_t offset, append_us;
  std::string value;
  friend bool operator==(const Record&, const Record&) = default;
};

class EmbeddedLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ("log." + std::to_string(getpid()) + "." + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(root_);
    config_.fsync_ms = 0;
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string dir(const std::string& name = "data") const { return (root_ / name).string(); }
  Status try_open(const std::string& dir, std::unique_ptr<EmbeddedLog>& log) {
    messages_.clear();
    EmbeddedLog::Options options;
    options.config = config_;
    options.now_us = [this] { return now_us_.load(); };
    options.files = faults_.factory();
    return EmbeddedLog::open(dir, options, log, messages_);
  }
  std::unique_ptr<EmbeddedLog> open(const std::string& dir) {
    std::unique_ptr<EmbeddedLog> log;
    const Status status = try_open(dir, log);
    EXPECT_TRUE(status.ok()) << status.message;
    return log;
  }
  static int64_t append(EmbeddedLog& log, size_t partition, const std::vector<std::string>& values) {
    const Appended appended = log.append(partition, {values.begin(), values.end()});
    EXPECT_TRUE(appended.status.ok()) << appended.status.message;
    return appended.first_offset;
  }
  static std::vector<Record> read(EmbeddedLog& log, size_t partition, int64_t from = -1, size_t batch = 1000,
                                  std::string* error = nullptr) {
    const auto source = log.reader();
    EXPECT_TRUE(source->start(partition, from).ok());
    std::vector<Record> records;
    Batch out;
    do {
      const Status status = source->poll(partition, batch, 0, out);
      if (!status.ok()) {
        EXPECT_NE(error, nullptr) << status.message;
        if (error != nullptr) *error = status.message;
        break;
      }
      EXPECT_LE(out.records.size(), batch);
      EXPECT_FALSE(out.ended);
      for (const RawRecord& record : out.records) {
        EXPECT_LT(record.offset, out.next_offset);
        records.push_back({record.offset, record.append_us, std::string(record.value)});
      }
    } while (!out.at_end);
    return records;
  }
  static std::vector<fs::path> segments(const std::string& dir, int partition = 0) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(fs::path(dir) / "log" / std::to_string(partition))) {
      found.push_back(entry.path());
    }
    std::ranges::sort(found);
    return found;
  }
  static std::string bytes_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void put_bytes(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  // What a crash leaves: the folder as it stands, without the lock.
  std::string copy(const std::string& from, const std::string& name) {
    fs::remove_all(dir(name));
    fs::copy(from, dir(name), fs::copy_options::recursive);
    return dir(name);
  }

  fs::path root_;
  LogConfig config_;
  std::atomic<int64_t> now_us_{1'000'000};
  Faults faults_;
  std::vector<std::string> messages_;
};

TEST_F(EmbeddedLogTest, ReadsBackWhatWasAppended) {
  config_.partitions = 2;
  const auto log = open(dir());
  EXPECT_EQ(log->partitions(), 2u);
  EXPECT_EQ(append(*log, 0, {"a", "", std::string("\0x\n", 3)}), 0);
  now_us_ = 2'000'000;
  EXPECT_EQ(append(*log, 0, {"b"}), 3);
  EXPECT_EQ(append(*log, 1, {"c"}), 0);
  EXPECT_EQ(
      read(*log, 0),
      (std::vector<Record>{
          {0, 1'000'000, "a"}, {1, 1'000'000, ""}, {2, 1'000'000, std::string("\0x\n", 3)}, {3, 2'000'000, "b"}}));
  EXPECT_EQ(read(*log, 1), (std::vector<Record>{{0, 2'000'000, "c"}}));
  EXPECT_EQ(log->reader()->partitions(), (std::vector<PartitionId>{{"log", 0}, {"log", 1}}));
  EXPECT_EQ(log->end_offset(0), 4);
  EXPECT_EQ(log->end_offset(1), 1);
}

TEST_F(EmbeddedLogTest, RefusesWhatItCannotTake) {
  const auto log = open(dir());
  EXPECT_FALSE(log->append(1, {"x"}).status.ok());
  EXPECT_FALSE(log->append(0, {}).status.ok());
  const std::string large(EmbeddedLog::kAppendBytesMax, 'x');
  EXPECT_FALSE(log->append(0, {large}).status.ok());
  EXPECT_EQ(append(*log, 0, {large.substr(4)}), 0);
  EXPECT_EQ(read(*log, 0).at(0).value.size(), large.size() - 4);
}

TEST_F(EmbeddedLogTest, AppendTimesNeverGoBack) {
  {
    const auto log = open(dir());
    now_us_ = 5'000'000;
    append(*log, 0, {"a"});
    now_us_ = 3'000'000;
    append(*log, 0, {"b"});
  }
  const auto log = open(dir());
  append(*log, 0, {"c"});
  now_us_ = 6'000'000;
  append(*log, 0, {"d"});
  EXPECT_EQ(read(*log, 0),
            (std::vector<Record>{{0, 5'000'000, "a"}, {1, 5'000'000, "b"}, {2, 5'000'000, "c"}, {3, 6'000'000, "d"}}));
}

TEST_F(EmbeddedLogTest, ResumesAtAnyOffsetInAnyBatches) {
  config_.segment_mb = 1;
  auto log = open(dir());
  std::vector<Record> all;
  for (int i = 0; i < 60; ++i) {  // some 60 frames of 64 KB over several segments
    std::vector<std::string> values;
    for (int j = 0; j < 4; ++j) values.push_back(std::string(16'000, static_cast<char>('a' + (i + j) % 26)));
    const int64_t first = append(*log, 0, values);
    for (int j = 0; j < 4; ++j) all.push_back({first + j, now_us_, values[j]});
  }
  EXPECT_GE(segments(dir()).size(), 4u);
  for (int reopened = 0; reopened < 2; ++reopened) {
    for (const size_t batch : {1, 7, 1000}) {
      for (const int64_t from : {0, 1, 3, 63, 64, 65, 130, 239, 240}) {
        EXPECT_TRUE(read(*log, 0, from, batch) == std::vector<Record>(all.begin() + from, all.end())) << from;
      }
    }
    log.reset();
    log = open(dir());
    EXPECT_TRUE(messages_.empty());
    EXPECT_EQ(log->end_offset(0), 240);
  }
  std::string error;
  EXPECT_TRUE(read(*log, 0, 241, 10, &error).empty());
  EXPECT_NE(error.find("offset 241 was read before, but the log ends at 240"), std::string::npos) << error;
}

TEST_F(EmbeddedLogTest, ViewsLiveAsLongAsTheirBatch) {
  const auto log = open(dir());
  for (int i = 0; i < 200; ++i) append(*log, 0, {std::string(20'000, static_cast<char>('a' + i % 26))});
  auto source = log->reader();
  ASSERT_TRUE(source->start(0, 0).ok());
  std::vector<Batch> batches;
  do {
    batches.emplace_back();
    ASSERT_TRUE(source->poll(0, 13, 0, batches.back()).ok());
  } while (!batches.back().at_end);
  source.reset();
  int i = 0;
  for (const Batch& batch : batches) {
    for (const RawRecord& record : batch.records) {
      ASSERT_EQ(record.value, std::string(20'000, static_cast<char>('a' + i % 26)));
      ++i;
    }
  }
  EXPECT_EQ(i, 200);
}

TEST_F(EmbeddedLogTest, AReaderWaitsForWhatComes) {
  const auto log = open(dir());
  const auto source = log->reader();
  ASSERT_TRUE(source->start(0, -1).ok());
  Batch out;
  ASSERT_TRUE(source->poll(0, 10, 1, out).ok());
  EXPECT_TRUE(out.at_end);
  EXPECT_TRUE(out.records.empty());
  auto writer = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    append(*log, 0, {"late"});
  });
  ASSERT_TRUE(source->poll(0, 10, 30'000, out).ok());
  ASSERT_EQ(out.records.size(), 1u);
  EXPECT_EQ(out.records[0].value, "late");
  writer.get();
}

// A crash at any byte of the newest record: all the earlier records are there, it is gone, and the log goes on.
TEST_F(EmbeddedLogTest, ATornTailIsCutAtEveryByte) {
  {
    const auto log = open(dir());
    append(*log, 0, {"first", "second"});
    append(*log, 0, {"third, the last", "and with it"});
  }
  const std::string whole = bytes_of(segments(dir())[0]);
  SegmentHeader header;
  bool newer = false;
  ASSERT_TRUE(decode_segment_header(whole, header, newer));
  Frame frame;
  size_t size = 0;
  ASSERT_EQ(decode_frame(header.salt, std::string_view(whole).substr(SegmentHeader::kBytes), frame, size),
            FrameState::kGood);
  const size_t last = SegmentHeader::kBytes + size;
  for (size_t keep = last; keep <= whole.size(); ++keep) {
    for (const bool zeros : {false, true}) {  // the size may be durable before the bytes
      const std::string torn = copy(dir(), "torn");
      std::string bytes = whole.substr(0, keep);
      if (zeros) bytes.resize(whole.size() + 100, '\0');
      put_bytes(segments(torn)[0], bytes);
      const auto log = open(torn);
      ASSERT_NE(log, nullptr);
      const bool all = keep == whole.size();
      EXPECT_EQ(log->end_offset(0), all ? 4 : 2) << keep;
      EXPECT_EQ(messages_.size(),
                bytes.size() == last || bytes.size() == whole.size() ? (all || keep == last ? 0u : 1u) : 1u)
          << keep;
      EXPECT_EQ(append(*log, 0, {"next"}), all ? 4 : 2);
      const auto records = read(*log, 0);
      ASSERT_EQ(records.size(), all ? 5u : 3u);
      EXPECT_EQ(records[1].value, "second");
      EXPECT_EQ(records.back().value, "next");
    }
  }
}

// The first record of a new segment, and the segment itself, may be what a crash cuts.
TEST_F(EmbeddedLogTest, ATornSegmentIsCutAtEveryByte) {
  config_.segment_mb = 1;
  const std::string large(700'000, 'x');
  {
    const auto log = open(dir());
    append(*log, 0, {large});
    append(*log, 0, {large.substr(0, 699'000) + "y"});
  }
  ASSERT_EQ(segments(dir()).size(), 2u);
  const std::string whole = bytes_of(segments(dir())[1]);
  for (size_t keep = 0; keep <= SegmentHeader::kBytes + Frame::kHeaderBytes + 10; ++keep) {
    const std::string torn = copy(dir(), "torn");
    put_bytes(segments(torn)[1], whole.substr(0, keep));
    const auto log = open(torn);
    ASSERT_NE(log, nullptr) << keep;
    EXPECT_EQ(log->end_offset(0), 1);
    EXPECT_EQ(messages_.size(), keep == SegmentHeader::kBytes ? 0u : 1u);
    EXPECT_EQ(append(*log, 0, {"next"}), 1);
    const auto records = read(*log, 0);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].value, large);
    EXPECT_EQ(records[1].value, "next");
  }
}

TEST_F(EmbeddedLogTest, DamageBeforeTheTailIsAnError) {
  {
    const auto log = open(dir());
    for (const char* value : {"first", "second", "third"}) append(*log, 0, {value});
  }
  const std::string whole = bytes_of(segments(dir())[0]);
  const size_t frame_bytes = (whole.size() - SegmentHeader::kBytes - 16) / 3;  // the values have 5, 6 and 5 bytes
  ASSERT_EQ(frame_bytes, Frame::kHeaderBytes + 4);
  const size_t third = whole.size() - frame_bytes - 5;
  for (size_t at = SegmentHeader::kBytes; at < third; ++at) {
    const std::string bad = copy(dir(), "bad");
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    put_bytes(segments(bad)[0], bytes);
    std::unique_ptr<EmbeddedLog> log;
    const Status status = try_open(bad, log);
    ASSERT_FALSE(status.ok()) << at;
    const bool first = at < SegmentHeader::kBytes + frame_bytes + 5;
    EXPECT_NE(status.message.find(segments(bad)[0].string()), std::string::npos);
    EXPECT_NE(status.message.find(first ? "offset 0 is damaged" : "offset 1 is damaged"), std::string::npos)
        << status.message;
  }
  for (size_t at = 0; at < SegmentHeader::kBytes; ++at) {
    const std::string bad = copy(dir(), "bad");
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    put_bytes(segments(bad)[0], bytes);
    std::unique_ptr<EmbeddedLog> log;
    EXPECT_FALSE(try_open(bad, log).ok()) << at;
  }
}

TEST_F(EmbeddedLogTest, DamageInAnOldSegmentIsFoundWhenItIsRead) {
  config_.segment_mb = 1;
  {
    const auto log = open(dir());
    for (int i = 0; i < 12; ++i) append(*log, 0, {std::string(300'000, 'x')});
  }
  const fs::path old = segments(dir())[1];
  std::string bytes = bytes_of(old);
  bytes[bytes.size() - 5] ^= 1;
  put_bytes(old, bytes);
  const auto log = open(dir());
  std::string error;
  const auto records = read(*log, 0, -1, 1000, &error);
  EXPECT_EQ(records.size(), 5u);  // three in the first segment, two good ones in the second
  EXPECT_NE(error.find(old.string()), std::string::npos) << error;
  EXPECT_NE(error.find("offset 5 is damaged"), std::string::npos) << error;
  // A segment lost from the middle is told as well.
  fs::remove(old);
  error.clear();
  EXPECT_EQ(read(*open(copy(dir(), "lost")), 0, -1, 1000, &error).size(), 3u);
  EXPECT_NE(error.find("ends at offset 3, but the next segment begins at 6"), std::string::npos) << error;
}

// A value may hold the bytes of a log: it must not be taken for one when a torn tail is looked through.
TEST_F(EmbeddedLogTest, AValueThatLooksLikeAFrameIsNone) {
  std::string frame;
  {
    const auto log = open(dir("other"));
    append(*log, 0, {"x"});
    frame = bytes_of(segments(dir("other"))[0]).substr(SegmentHeader::kBytes);
  }
  {
    const auto log = open(dir());
    append(*log, 0, {"a"});
    append(*log, 0, {frame + frame, "tail"});
  }
  const fs::path segment = segments(dir())[0];
  put_bytes(segment, bytes_of(segment).substr(0, fs::file_size(segment) - 1));
  const auto log = open(dir());
  ASSERT_NE(log, nullptr);
  EXPECT_EQ(log->end_offset(0), 1);
}

TEST_F(EmbeddedLogTest, AnotherVersionOrProcessIsRefused) {
  auto log = open(dir());
  append(*log, 0, {"a"});
  std::unique_ptr<EmbeddedLog> second;
  EXPECT_NE(try_open(dir(), second).message.find("in use by another process"), std::string::npos);
  log.reset();
  std::string bytes = bytes_of(segments(dir())[0]);
  bytes[8] = 2;
  put_bytes(segments(dir())[0], bytes);
  EXPECT_NE(try_open(dir(), second).message.find("newer version"), std::string::npos);
}

TEST_F(EmbeddedLogTest, MorePartitionsNowAndThen) {
  config_.partitions = 3;
  append(*open(dir()), 2, {"x"});
  config_.partitions = 1;  // what was written stays readable
  const auto log = open(dir());
  EXPECT_EQ(log->partitions(), 3u);
  EXPECT_EQ(read(*log, 2).size(), 1u);
}

TEST_F(EmbeddedLogTest, ConcurrentAppendersShareFsyncs) {
  config_.partitions = 3;
  config_.fsync_ms = 2;
  config_.segment_mb = 1;
  constexpr int kThreads = 8, kAppends = 200;
  std::mutex mutex;
  std::map<std::pair<size_t, int64_t>, std::string> expected;
  {
    const auto log = open(dir());
    const int before = faults_.syncs;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kAppends; ++i) {
          const size_t partition = static_cast<size_t>(i) % 3;
          const std::vector<std::string> values{std::to_string(t) + ":" + std::to_string(i), std::string(300, 'p')};
          const int64_t first = append(*log, partition, values);
          // Durable by now: a reader that starts here sees it.
          if (i % 50 == 0) {
            EXPECT_EQ(read(*log, partition, first, 1).at(0).value, values[0]);
          }
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(expected.emplace(std::pair(partition, first), values[0]).second);
          EXPECT_TRUE(expected.emplace(std::pair(partition, first + 1), values[1]).second);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LT(faults_.syncs - before, kThreads * kAppends);
  }
  const auto log = open(dir());
  size_t count = 0;
  for (size_t p = 0; p < 3; ++p) {
    int64_t next = 0;
    for (const Record& record : read(*log, p)) {
      EXPECT_EQ(record.offset, next++);
      EXPECT_EQ(record.value, expected.at({p, record.offset}));
      ++count;
    }
  }
  EXPECT_EQ(count, expected.size());
}

TEST_F(EmbeddedLogTest, AsyncAppendsAnswerOnceAndInOrder) {
  std::vector<int64_t> answered;
  {
    const auto log = open(dir());
    for (int i = 0; i < 1000; ++i) {
      log->append_async(0, {"v"}, [&](const Appended& appended) {  // one thread answers: no lock
        EXPECT_TRUE(appended.status.ok());
        answered.push_back(appended.first_offset);
      });
    }
  }  // closing waits for them
  ASSERT_EQ(answered.size(), 1000u);
  for (int64_t i = 0; i < 1000; ++i) EXPECT_EQ(answered[static_cast<size_t>(i)], i);
}

TEST_F(EmbeddedLogTest, RetentionTakesWholeOldFoldedSegments) {
  config_.segment_mb = 1;
  config_.retention_hours = 2;
  now_us_ = 0;
  const auto log = open(dir());
  for (int i = 0; i < 8; ++i) {  // one a segment, one an hour
    append(*log, 0, {std::string(900'000, 'x')});
    now_us_ += kHour;
  }
  EXPECT_EQ(segments(dir()).size(), 8u) << "nothing goes before the first set_retain_from";
  const auto reader = log->reader();  // stands in the first segment
  ASSERT_TRUE(reader->start(0, 0).ok());
  Batch out;
  ASSERT_TRUE(reader->poll(0, 1, 0, out).ok());
  // Now 8 h: records up to 5 are older than 2 h, and the segment of 5 ends with the beginning of 6, at 6 h: not older.
  log->set_retain_from(0, 3);
  ASSERT_TRUE(log->enforce_retention().ok());
  EXPECT_EQ(log->first_offset(0), 3);
  log->set_retain_from(0, 8);
  ASSERT_TRUE(log->enforce_retention().ok());
  EXPECT_EQ(log->first_offset(0), 5);
  EXPECT_EQ(segments(dir()).size(), 3u);
  std::string error;
  EXPECT_TRUE(read(*log, 0, 4, 10, &error).empty());
  EXPECT_NE(error.find("offset 4 was deleted; the first one kept is 5"), std::string::npos) << error;
  EXPECT_EQ(read(*log, 0).size(), 3u);
  // The reader left behind is told, and does not skip.
  const Status left = reader->poll(0, 10, 0, out);
  EXPECT_NE(left.message.find("offset 1 was deleted; the first one kept is 5"), std::string::npos) << left.message;
  // Much later everything is old, but the segment being written stays.
  now_us_ += 100 * kHour;
  ASSERT_TRUE(log->enforce_retention().ok());
  EXPECT_EQ(log->first_offset(0), 7);
  EXPECT_EQ(append(*log, 0, {"next"}), 8);
}

// At every byte where the disk may fill up: the append fails, nothing of it stays, and later appends work.
TEST_F(EmbeddedLogTest, AFullDiskFailsTheAppendOnly) {
  for (int64_t room = 0; room <= 200; room += 3) {
    const std::string where = dir("full" + std::to_string(room));
    faults_.room = INT64_MAX;
    auto log = open(where);
    if (room % 2 == 0) append(*log, 0, {"before"});  // else the segment itself cannot be begun
    const int64_t base = log->end_offset(0);
    faults_.room = room;
    const Appended failed = log->append(0, {std::string(200, 'x'), "y"});
    ASSERT_FALSE(failed.status.ok());
    EXPECT_NE(failed.status.message.find("No space left on device"), std::string::npos) << failed.status.message;
    EXPECT_EQ(log->end_offset(0), base);
    faults_.room = INT64_MAX;
    EXPECT_EQ(append(*log, 0, {"after"}), base);
    EXPECT_EQ(read(*log, 0).back().value, "after");
    log.reset();
    log = open(where);
    EXPECT_TRUE(messages_.empty());
    EXPECT_EQ(read(*log, 0).size(), static_cast<size_t>(base + 1));
  }
}

TEST_F(EmbeddedLogTest, AFailedFsyncPoisonsTheLog) {
  auto log = open(dir());
  append(*log, 0, {"good"});
  faults_.sync_fails = true;
  EXPECT_NE(log->append(0, {"lost"}).status.message.find("fsync"), std::string::npos);
  faults_.sync_fails = false;
  EXPECT_FALSE(log->append(0, {"refused"}).status.ok()) << "the kernel may have dropped what it could not write";
  EXPECT_EQ(read(*log, 0).size(), 1u) << "readers see durable records only";
  log.reset();
  log = open(dir());
  EXPECT_GE(append(*log, 0, {"again"}), 1);
}

TEST_F(EmbeddedLogTest, AFailedTruncatePoisonsThePartitionOnly) {
  config_.partitions = 2;
  const auto log = open(dir());
  append(*log, 0, {"a"});
  append(*log, 1, {"a"});
  faults_.room = 10;
  faults_.truncate_fails = true;
  EXPECT_FALSE(log->append(0, {"b"}).status.ok());
  faults_.room = INT64_MAX;
  faults_.truncate_fails = false;
  EXPECT_FALSE(log->append(0, {"c"}).status.ok());
  EXPECT_EQ(append(*log, 1, {"d"}), 1);
}

// The bytes of a segment are an on-disk format: they may only change with its version.
TEST_F(EmbeddedLogTest, BytesAreFrozen) {
  const std::string header = encode_segment_header({3, 42, 1'700'000'000'000'000, 0x0123456789abcdef});
  std::string records;
  encode_record("abc", records);
  encode_record("", records);
  const std::string frame = encode_frame(0x0123456789abcdef, 42, 1'700'000'000'000'001, 2, records);
  const auto hex = [](const std::string& bytes) {
    std::string text;
    for (const unsigned char byte : bytes) {
      text += "0123456789abcdef"[byte >> 4];
      text += "0123456789abcdef"[byte & 15];
    }
    return text;
  };
  EXPECT_EQ(hex(header),
            "42574c4f4753454701000000030000002a0000000000000000401e18240a0600efcdab896745230187135da056d56629");
  EXPECT_EQ(hex(frame),
            "42574652f743d4f73495f7f11f0000002a0000000000000001401e18240a0600020000000300000061626300000000");
  EXPECT_EQ(segment_name(42), "00000000000000000042.seg");
}

}  // namespace
}  // namespace bellwether::embedded_log_test

// Values taken out of the embedded log: offsets stand, readers go on, a kill or a full disk leaves each segment old or
// new.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "pipeline/sources/embedded_log.h"

namespace bellwether::log_rewrite_test {
namespace {

namespace fs = std::filesystem;

// Fails the writes of new segments' files once told so.
struct Disk {
  std::atomic<int64_t> room{INT64_MAX};
  LogFileFactory factory() {
    return [this](const std::string& path, bool create, Status& error) -> std::unique_ptr<LogFile> {
      auto file = open_log_file(path, create, error);
      if (file == nullptr) return nullptr;
      struct File : LogFile {
        File(std::unique_ptr<LogFile> f, Disk* d) : inner(std::move(f)), disk(d) {}
        ssize_t write_at(const char* bytes, size_t size, int64_t at) override {
          if (disk->room.fetch_sub(static_cast<int64_t>(size)) < static_cast<int64_t>(size)) return -ENOSPC;
          return inner->write_at(bytes, size, at);
        }
        int sync() override { return inner->sync(); }
        int truncate(int64_t size) override { return inner->truncate(size); }
        std::unique_ptr<LogFile> inner;
        Disk* disk;
      };
      return std::make_unique<File>(std::move(file), this);
    };
  }
};

class LogRewrite : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) / ("rewrite." + std::to_string(getpid()) + "." +
                                              ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    open();
  }
  void TearDown() override {
    log_.reset();
    fs::remove_all(root_);
  }
  void open() {
    log_.reset();
    EmbeddedLog::Options options;
    options.config.partitions = 2, options.config.fsync_ms = 0, options.config.segment_mb = 1;
    options.now_us = [] { return int64_t{1'700'000'000'000'000}; };
    options.files = disk_.factory();
    messages_.clear();
    const Status status = EmbeddedLog::open(root_.string(), options, log_, messages_);
    ASSERT_TRUE(status.ok()) << status.message;
  }
  void append(size_t partition, const std::vector<std::string>& values) {
    const Appended done = log_->append(partition, {values.begin(), values.end()});
    ASSERT_TRUE(done.status.ok()) << done.status.message;
  }
  // Some segments of records, every 7th of which holds the name.
  void fill(int frames) {
    for (int i = 0; i < frames; ++i) {
      std::vector<std::string> values;
      for (int k = 0; k < 3; ++k) {
        const int n = i * 3 + k;
        values.push_back(std::to_string(n) + (n % 7 == 0 ? " name " : " ") + std::string(20'000, 'x'));
      }
      append(0, values);
    }
  }
  static bool change(std::string_view value, std::string& out) {
    const size_t at = value.find("name");
    if (at == std::string_view::npos) return false;
    out = std::string(value.substr(0, at)) + "nobody at all" + std::string(value.substr(at + 4));
    return true;
  }
  Status rewrite() {
    return log_->rewrite(change, [] { return false; });
  }
  std::vector<std::string> read(Source& source, size_t most = SIZE_MAX) {
    std::vector<std::string> values;
    Batch batch;
    while (values.size() < most) {
      const Status status = source.poll(0, 10, 0, batch);
      EXPECT_TRUE(status.ok()) << status.message;
      if (!status.ok() || batch.records.empty()) break;
      for (const RawRecord& record : batch.records) {
        if (record.offset != next_offset_++) ADD_FAILURE() << "offset " << record.offset << " out of turn";
        values.emplace_back(record.value.substr(0, record.value.find("xx")));
      }
    }
    return values;
  }
  std::vector<std::string> read_all() {
    const auto source = log_->reader();
    EXPECT_TRUE(source->start(0, 0).ok());
    next_offset_ = 0;
    return read(*source);
  }
  size_t files(const std::string& word) const {
    size_t n = 0;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      n += std::string{std::istreambuf_iterator<char>(in), {}}.find(word) != std::string::npos;
    }
    return n;
  }
  static std::vector<std::string> wanted(int records, const std::string& name) {
    std::vector<std::string> values;
    for (int n = 0; n < records; ++n) values.push_back(std::to_string(n) + (n % 7 == 0 ? " " + name + " " : " "));
    return values;
  }

  fs::path root_;
  Disk disk_;
  std::unique_ptr<EmbeddedLog> log_;
  std::vector<std::string> messages_;
  int64_t next_offset_ = 0;
};

TEST_F(LogRewrite, EveryRecordKeepsItsOffset) {
  fill(60);
  ASSERT_GE(files("name"), 3U);
  ASSERT_TRUE(rewrite().ok());
  EXPECT_EQ(files("name"), 0U);
  EXPECT_EQ(read_all(), wanted(180, "nobody at all"));
  // What comes after goes on behind, and is not searched again by a second call but where it stands.
  append(0, {"the last name of all"});
  ASSERT_TRUE(rewrite().ok());
  EXPECT_EQ(files("name"), 0U);
  open();
  EXPECT_TRUE(messages_.empty());
  EXPECT_EQ(log_->end_offset(0), 181);
  std::vector<std::string> all = wanted(180, "nobody at all");
  all.emplace_back("the last nobody at all of all");
  EXPECT_EQ(read_all(), all);
}

TEST_F(LogRewrite, ReadersGoOnWhereTheyStand) {
  fill(60);
  std::vector<std::unique_ptr<Source>> sources;
  std::vector<std::vector<std::string>> got;
  std::vector<int64_t> next;
  for (size_t at : {0, 1, 17, 50, 51, 100, 179, 180}) {
    next_offset_ = 0;
    sources.push_back(log_->reader());
    ASSERT_TRUE(sources.back()->start(0, 0).ok());
    got.push_back(at == 0 ? std::vector<std::string>() : read(*sources.back(), at));
    next.push_back(next_offset_);
  }
  ASSERT_TRUE(rewrite().ok());
  append(0, {"after xx"});
  ASSERT_TRUE(rewrite().ok());
  for (size_t i = 0; i < sources.size(); ++i) {
    next_offset_ = next[i];
    const std::vector<std::string> rest = read(*sources[i]);
    got[i].insert(got[i].end(), rest.begin(), rest.end());
    ASSERT_EQ(got[i].size(), 181U) << i;
    for (int n = 0; n < 180; ++n)  // either form, but each record once and in its place
      EXPECT_TRUE(got[i][static_cast<size_t>(n)].starts_with(std::to_string(n) + " ")) << i << " " << n;
    EXPECT_EQ(got[i].back(), "after ");
  }
}

TEST_F(LogRewrite, AppendsAndReadersBesideIt) {
  fill(20);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop && i < 400; ++i) {
      const std::vector<std::string> values = {"name by the way" + std::string(10'000, 'x')};
      const Appended done = log_->append(0, {values.begin(), values.end()});
      EXPECT_TRUE(done.status.ok()) << done.status.message;
    }
    stop = true;
  });
  std::thread reader([&] {
    const auto source = log_->reader();
    EXPECT_TRUE(source->start(0, 0).ok());
    int64_t next = 0;
    Batch batch;
    while (!stop || next < log_->end_offset(0)) {
      const Status status = source->poll(0, 50, 1, batch);
      ASSERT_TRUE(status.ok()) << status.message;
      for (const RawRecord& record : batch.records) ASSERT_EQ(record.offset, next++);
    }
  });
  while (!stop) EXPECT_TRUE(rewrite().ok());
  writer.join();
  reader.join();
  EXPECT_TRUE(rewrite().ok());
  EXPECT_EQ(files("name"), 0U);
}

TEST_F(LogRewrite, AFullDiskAndAKillLeaveTheOldOne) {
  fill(60);
  disk_.room = 1'500'000;
  const Status full = rewrite();
  EXPECT_FALSE(full.ok());
  EXPECT_NE(full.message.find(".seg.new"), std::string::npos) << full.message;
  disk_.room = INT64_MAX;
  const std::vector<std::string> values = read_all();
  ASSERT_EQ(values.size(), 180U);
  EXPECT_GE(files("name"), 1U);
  // What a kill leaves beside a segment is no part of the log.
  std::ofstream(root_ / "log" / "0" / "00000000000000000000.seg.new") << "half a name";
  open();
  EXPECT_FALSE(fs::exists(root_ / "log" / "0" / "00000000000000000000.seg.new"));
  ASSERT_EQ(read_all().size(), 180U);
  ASSERT_TRUE(rewrite().ok());
  EXPECT_EQ(files("name"), 0U);
  EXPECT_EQ(read_all(), wanted(180, "nobody at all"));
}

TEST_F(LogRewrite, NothingToDoTouchesNothing) {
  append(1, {"one", "two"});
  ASSERT_TRUE(rewrite().ok());
  ASSERT_TRUE(rewrite().ok());
  size_t segments = 0;
  for (const auto& entry : fs::directory_iterator(root_ / "log" / "1")) segments += entry.path().extension() == ".seg";
  EXPECT_EQ(segments, 2U);  // the sealed one, and an empty one that waits for records
}

}  // namespace
}  // namespace bellwether::log_rewrite_test

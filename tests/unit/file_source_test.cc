#include "pipeline/sources/file_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace bellwether::file_source_test {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::pair<int64_t, std::string>>;

class FileSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(::testing::TempDir()) / ("file_source." + std::to_string(getpid()) + "." +
                                             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  std::string write(const std::string& name, const std::string& bytes) {
    const std::string path = (dir_ / name).string();
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::unique_ptr<FileSource> open(const std::vector<std::string>& paths) {
    std::unique_ptr<FileSource> source;
    const Status status = FileSource::open(paths, source);
    EXPECT_TRUE(status.ok()) << status.message;
    return source;
  }
  // Everything from `from` on, in batches of `batch`; `error` is the status that ended it.
  Lines read(const std::string& path, size_t batch = 1000, int64_t from = -1, std::string* error = nullptr) {
    const auto source = open({path});
    EXPECT_TRUE(source->start(0, from).ok());
    Lines lines;
    Batch out;
    for (;;) {
      const Status status = source->poll(0, batch, 100, out);
      if (!status.ok()) {
        EXPECT_TRUE(out.records.empty());
        EXPECT_EQ(source->poll(0, batch, 100, out).message, status.message) << "an error stays";
        if (error != nullptr) *error = status.message;
        EXPECT_NE(error, nullptr) << status.message;
        return lines;
      }
      EXPECT_LE(out.records.size(), batch);
      for (const RawRecord& record : out.records) {
        EXPECT_EQ(record.append_us, -1);
        EXPECT_LT(record.offset, out.next_offset);
        lines.emplace_back(record.offset, std::string(record.value));
      }
      if (out.ended) {
        EXPECT_TRUE(out.at_end);
        EXPECT_EQ(source->end_offset(0), out.next_offset);
        return lines;
      }
    }
  }
  fs::path dir_;
};

std::string gzip(const std::string& plain) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string zstd(const std::string& plain) {
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
  return packed;
}

// Lines of many lengths, so that every chunk border falls inside some line.
std::string many_lines(size_t count, Lines* expected) {
  std::string text;
  uint64_t state = 7;
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::string line = "{\"n\":" + std::to_string(i) + ",\"pad\":\"";
    line.append((state >> 33) % 700, static_cast<char>('a' + i % 26));
    line += "\"}";
    if (expected != nullptr) expected->emplace_back(static_cast<int64_t>(i), line);
    text += line + "\n";
  }
  return text;
}

TEST_F(FileSourceTest, LinesAreNumberedAndBlankOnesSkipped) {
  const Lines expected{{0, "a"}, {2, "b"}, {5, "c d"}, {6, std::string("x\0y", 3)}, {7, "last"}};
  EXPECT_EQ(read(write("f", std::string("a\n\nb\r\n\r\n \t\nc d\nx\0y\nlast", 23))), expected);
  EXPECT_EQ(read(write("g", std::string("a\n\nb\r\n\r\n \t\nc d\nx\0y\nlast\n", 24)), 1), expected);
}

TEST_F(FileSourceTest, OnlyOneCarriageReturnGoes) {
  EXPECT_EQ(read(write("f", "a\r\r\nb\rc\n")), (Lines{{0, "a\r"}, {1, "b\rc"}}));
}

TEST_F(FileSourceTest, ByteOrderMarkIsNoPartOfTheFirstLine) {
  EXPECT_EQ(read(write("f", "\xef\xbb\xbf{}\n\xef\xbb\xbf{}\n")), (Lines{{0, "{}"}, {1, "\xef\xbb\xbf{}"}}));
}

TEST_F(FileSourceTest, EmptyFiles) {
  EXPECT_TRUE(read(write("empty", "")).empty());
  EXPECT_TRUE(read(write("blank", "\n\n\n")).empty());
  EXPECT_TRUE(read(write("empty.gz", gzip(""))).empty());
  EXPECT_TRUE(read(write("empty.zst", zstd(""))).empty());
}

TEST_F(FileSourceTest, SameLinesHoweverStoredAndHoweverRead) {
  Lines expected;
  const std::string text = many_lines(12000, &expected);  // some 4 MB: several chunks
  const std::string half = text.substr(0, text.size() / 2), rest = text.substr(text.size() / 2);
  // The names are misleading on purpose: the bytes decide.
  const std::string paths[] = {write("plain.gz", text), write("gzip", gzip(text)), write("zstd.json", zstd(text)),
                               write("members", gzip(half) + gzip(rest) + std::string(512, '\0')),
                               write("frames", zstd(half) + zstd(rest))};
  for (const std::string& path : paths) {
    for (const size_t batch : {1, 7, 10000}) EXPECT_TRUE(read(path, batch) == expected) << path << " " << batch;
  }
}

TEST_F(FileSourceTest, ViewsLiveAsLongAsTheirBatch) {
  Lines expected;
  const std::string path = write("f", many_lines(20000, &expected));
  auto source = open({path});
  ASSERT_TRUE(source->start(0, 0).ok());
  std::vector<Batch> batches;
  do {
    batches.emplace_back();
    ASSERT_TRUE(source->poll(0, 999, 0, batches.back()).ok());
  } while (!batches.back().ended);
  source.reset();
  size_t i = 0;
  for (const Batch& batch : batches) {
    for (const RawRecord& record : batch.records) ASSERT_EQ(record.value, expected.at(i++).second);
  }
  EXPECT_EQ(i, expected.size());
}

TEST_F(FileSourceTest, ResumesAtAnyLine) {
  const std::string text = "a\n\nb\nc\n\nd";
  const Lines all{{0, "a"}, {2, "b"}, {3, "c"}, {5, "d"}};
  for (const std::string& path : {write("f", text), write("g", gzip(text))}) {
    for (int64_t from = 0; from <= 6; ++from) {
      Lines expected;
      for (const auto& line : all) {
        if (line.first >= from) expected.push_back(line);
      }
      EXPECT_EQ(read(path, 2, from), expected) << from;
    }
  }
}

TEST_F(FileSourceTest, NextOffsetOfEveryBatchIsAPlaceToResume) {
  Lines expected;
  const std::string path =
      write("f", many_lines(50, &expected) + std::string(FileSource::kLineBytesMax * 3, 'x') + "\nend\n");
  expected.emplace_back(50, std::string(FileSource::kLineBytesMax + 1, 'x'));
  expected.emplace_back(51, "end");
  Lines lines;
  int64_t next = 0;
  for (bool ended = false; !ended;) {
    const auto source = open({path});
    ASSERT_TRUE(source->start(0, next).ok());
    Batch out;
    ASSERT_TRUE(source->poll(0, 3, 0, out).ok());
    for (const RawRecord& record : out.records) lines.emplace_back(record.offset, std::string(record.value));
    next = out.next_offset;
    ended = out.ended;
  }
  EXPECT_TRUE(lines == expected);
}

TEST_F(FileSourceTest, AFileThatShrankIsAnotherFile) {
  std::string error;
  EXPECT_TRUE(read(write("f", "a\nb\n"), 10, 3, &error).empty());
  EXPECT_NE(error.find("has 2 lines, but 3 were read"), std::string::npos) << error;
}

TEST_F(FileSourceTest, LongLinesAreCutAndPassed) {
  constexpr size_t kMax = FileSource::kLineBytesMax;
  for (const size_t size : {kMax - 1, kMax, kMax + 1, kMax + 2, 2 * kMax, 5 * kMax + 17}) {
    const std::string line(size, 'x');
    for (const char* end : {"\n", "\r\n"}) {
      const Lines expected{{0, "a"}, {1, line.substr(0, kMax + 1)}, {2, "b"}};
      EXPECT_TRUE(read(write("f", "a\n" + line + end + "b\n")) == expected) << size;
      EXPECT_TRUE(read(write("g", gzip("a\n" + line + end + "b"))) == expected) << size;
    }
    EXPECT_TRUE(read(write("f", "a\n" + line)) == (Lines{{0, "a"}, {1, line.substr(0, kMax + 1)}})) << size;
  }
  // Cut as it stands: a mark before it is taken off, or blanks are passed over, of whole lines only.
  for (const size_t size : {kMax + 1, kMax + 70'000, 3 * kMax})
    for (const std::string& line : {"\xef\xbb\xbf" + std::string(size, 'x'), std::string(size + 1, ' ')})
      for (const char* end : {"", "\n", "\r\n", "\nb\n"}) {
        Lines expected{{0, line.substr(0, kMax + 1)}};
        if (std::string_view(end).ends_with("b\n")) expected.emplace_back(1, "b");
        EXPECT_TRUE(read(write("f", line + end)) == expected) << size << line[0] << end;
        EXPECT_TRUE(read(write("g", gzip(line + end))) == expected) << size << line[0] << end;
      }
}

TEST_F(FileSourceTest, TruncatedPackedFilesGiveWhatIsThereThenAnError) {
  Lines expected;
  const std::string text = many_lines(3000, &expected);
  for (const bool gz : {true, false}) {
    const std::string packed = gz ? gzip(text) : zstd(text);
    for (const size_t keep : {size_t{5}, packed.size() / 2, packed.size() - 1}) {
      const std::string path = write("cut", packed.substr(0, keep));
      std::string error;
      const Lines lines = read(path, 100, -1, &error);
      ASSERT_LE(lines.size(), expected.size());
      for (size_t i = 0; i < lines.size(); ++i) ASSERT_EQ(lines[i], expected[i]);
      if (gz && keep == packed.size() - 1) {
        EXPECT_EQ(lines.size(), expected.size());
      }
      EXPECT_NE(error.find(path + ": at byte " + std::to_string(keep) + ": "), std::string::npos) << error;
      EXPECT_NE(error.find("cut short"), std::string::npos) << error;
    }
  }
}

TEST_F(FileSourceTest, CorruptPackedFilesGiveAnError) {
  const std::string text = many_lines(3000, nullptr);
  for (const bool gz : {true, false}) {
    std::string packed = gz ? gzip(text) : zstd(text);
    for (size_t i = packed.size() / 2; i < packed.size() / 2 + 40; ++i) packed[i] = static_cast<char>(packed[i] ^ 0x5a);
    const std::string path = write("bad", packed);
    std::string error;
    (void)read(path, 100, -1, &error);
    EXPECT_NE(error.find(path + ": at byte "), std::string::npos) << error;
    EXPECT_NE(error.find("corrupt"), std::string::npos) << error;
  }
  std::string error;
  EXPECT_EQ(read(write("garbage", gzip("a\n") + "garbage"), 10, -1, &error), (Lines{{0, "a"}}));
  EXPECT_NE(error.find("corrupt"), std::string::npos) << error;
}

TEST_F(FileSourceTest, OpeningNamesTheFileAtFault) {
  std::unique_ptr<FileSource> source;
  const std::string good = write("good", "a\n");
  EXPECT_NE(FileSource::open({good, "/no/such/file"}, source).message.find("/no/such/file: No such file"),
            std::string::npos);
  EXPECT_NE(FileSource::open({dir_.string()}, source).message.find("is a directory"), std::string::npos);
  EXPECT_EQ(source, nullptr);
}

TEST_F(FileSourceTest, PartitionsAndProgress) {
  const std::string a = write("a", "1\n22\n"), b = write("b", gzip("333\n"));
  const auto source = open({a, b, a});
  EXPECT_EQ(source->partitions(), (std::vector<PartitionId>{{a, 0}, {b, 0}, {a, 1}}));
  const auto total = static_cast<int64_t>(5 + fs::file_size(b) + 5);
  EXPECT_EQ(source->bytes_total(), total);
  EXPECT_EQ(source->bytes_read(), 0);
  Batch out;
  for (size_t p = 0; p < 3; ++p) {
    ASSERT_TRUE(source->start(p, -1).ok());
    do {
      ASSERT_TRUE(source->poll(p, 10, 0, out).ok());
    } while (!out.ended);
  }
  EXPECT_EQ(source->bytes_read(), total);
}

// A pipe gives what it has; a record begun but not ended is waited for, and an empty pipe is at its end for the moment.
TEST_F(FileSourceTest, PipesAreFollowed) {
  const std::string path = (dir_ / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int writer = ::open(path.c_str(), O_RDWR);
  ASSERT_GE(writer, 0);
  const auto send = [&](const std::string& text) {
    ASSERT_EQ(::write(writer, text.data(), text.size()), (ssize_t)text.size());
  };
  auto source = open({path});
  EXPECT_EQ(source->bytes_total(), -1);
  ASSERT_TRUE(source->start(0, -1).ok());
  Batch out;
  send("one\ntw");
  ASSERT_TRUE(source->poll(0, 10, 1000, out).ok());
  ASSERT_EQ(out.records.size(), 1u);
  EXPECT_EQ(out.records[0].value, "one");
  EXPECT_FALSE(out.ended);
  ASSERT_TRUE(source->poll(0, 10, 10, out).ok());
  EXPECT_TRUE(out.records.empty());
  EXPECT_TRUE(out.at_end);
  EXPECT_EQ(out.next_offset, 1);
  send("o\n");
  ASSERT_TRUE(source->poll(0, 10, 1000, out).ok());
  ASSERT_EQ(out.records.size(), 1u);
  EXPECT_EQ(out.records[0].value, "two");
  send("three");
  close(writer);
  ASSERT_TRUE(source->poll(0, 10, 1000, out).ok());
  ASSERT_EQ(out.records.size(), 1u);
  EXPECT_EQ(out.records[0].value, "three");
  ASSERT_TRUE(source->poll(0, 10, 1000, out).ok());
  EXPECT_TRUE(out.ended);
}

}  // namespace
}  // namespace bellwether::file_source_test

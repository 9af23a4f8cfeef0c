#include "pipeline/tools/lines.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <vector>

#include "pipeline/tools/event_json.h"
#include "pipeline/tools/time_sorter.h"
#include "pipeline/tools/times.h"

namespace bellwether::lines_test {
namespace {

std::string path_of(const std::string& name) {
  return ::testing::TempDir() + "lines_test_" + ::testing::UnitTest::GetInstance()->current_test_info()->name() + "_" +
         name;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void write_lines(const std::string& path, const std::vector<std::string>& lines) {
  LineWriter out;
  ASSERT_TRUE(out.open(path).ok());
  for (const std::string& line : lines) ASSERT_TRUE(out.write(line).ok());
  ASSERT_TRUE(out.finish().ok());
}

std::vector<std::string> read_lines(const std::string& path, std::string* error = nullptr) {
  LineReader in;
  std::vector<std::string> lines;
  Status opened = in.open(path);
  std::string_view line;
  LineReader::Got got = LineReader::Got::kError;
  if (opened.ok())
    while ((got = in.next(line)) == LineReader::Got::kLine) lines.emplace_back(line);
  if (got == LineReader::Got::kError && error != nullptr) *error = opened.ok() ? in.status().message : opened.message;
  return lines;
}

std::vector<std::string> many() {
  std::vector<std::string> lines;
  for (int i = 0; i < 50'000; ++i) lines.push_back("line " + std::to_string(i * 2654435761U));
  return lines;
}

TEST(Lines, EveryCodecGivesBackWhatWasWritten) {
  for (const char* name : {"plain.jsonl", "packed.gz", "packed.zst"}) {
    write_lines(path_of(name), many());
    EXPECT_EQ(read_lines(path_of(name)), many()) << name;
  }
  EXPECT_EQ(bytes_of(path_of("packed.gz")).substr(0, 2), "\x1f\x8b");
  EXPECT_EQ(bytes_of(path_of("packed.zst")).substr(0, 4), "\x28\xb5\x2f\xfd");
}

TEST(Lines, ContentDecidesNotTheName) {
  write_lines(path_of("a.gz"), {"x", "y"});
  put(path_of("b.zst"), bytes_of(path_of("a.gz")));
  EXPECT_EQ(read_lines(path_of("b.zst")), (std::vector<std::string>{"x", "y"}));
}

TEST(Lines, SeveralMembersAndFramesAreOneFile) {
  for (const char* name : {"a.gz", "a.zst"}) {
    write_lines(path_of(name), {"one", "two"});
    const std::string once = bytes_of(path_of(name));
    put(path_of(name), once + once);
    EXPECT_EQ(read_lines(path_of(name)), (std::vector<std::string>{"one", "two", "one", "two"})) << name;
  }
}

TEST(Lines, LastLineNeedsNoEndAndCarriageReturnsGo) {
  put(path_of("a"), "one\r\n\ntwo");
  EXPECT_EQ(read_lines(path_of("a")), (std::vector<std::string>{"one", "", "two"}));
  put(path_of("empty"), "");
  EXPECT_TRUE(read_lines(path_of("empty")).empty());
}

TEST(Lines, TruncatedFilesNameFileAndByte) {
  for (const char* name : {"a.gz", "a.zst"}) {
    write_lines(path_of(name), many());
    const std::string whole = bytes_of(path_of(name));
    put(path_of(name), whole.substr(0, whole.size() - 7));
    std::string error;
    read_lines(path_of(name), &error);
    EXPECT_NE(error.find(path_of(name) + ": at byte"), std::string::npos) << error;
    EXPECT_NE(error.find("cut short"), std::string::npos) << error;
    EXPECT_NE(error.find("at byte " + std::to_string(whole.size() - 7)), std::string::npos) << error;
  }
}

TEST(Lines, BrokenBytesAreAnError) {
  for (const char* name : {"a.gz", "a.zst"}) {
    write_lines(path_of(name), many());
    std::string bytes = bytes_of(path_of(name));
    for (size_t i = bytes.size() / 2; i < bytes.size() / 2 + 64; ++i) bytes[i] = static_cast<char>(~bytes[i]);
    put(path_of(name), bytes);
    std::string error;
    read_lines(path_of(name), &error);
    EXPECT_NE(error.find(path_of(name)), std::string::npos) << name << ": " << error;
  }
  std::string error;
  read_lines(path_of("missing"), &error);
  EXPECT_NE(error.find("cannot open"), std::string::npos);
}

TEST(Lines, LongLinesAreReportedAndPassedOver) {
  const std::string mega(LineReader::kMaxLine + 1, 'x'), just(LineReader::kMaxLine, 'y'), giant(5 << 20, 'z');
  put(path_of("a"), mega + "\n" + just + "\n" + giant + "\nshort\n" + giant);
  LineReader in;
  ASSERT_TRUE(in.open(path_of("a")).ok());
  std::string_view line;
  EXPECT_EQ(in.next(line), LineReader::Got::kTooLong);
  EXPECT_EQ(line.size(), LineReader::kMaxLine);
  EXPECT_EQ(in.line_number(), 1U);
  EXPECT_EQ(in.next(line), LineReader::Got::kLine);
  EXPECT_EQ(line, just);
  EXPECT_EQ(in.next(line), LineReader::Got::kTooLong);
  EXPECT_EQ(line.front(), 'z');
  EXPECT_EQ(in.next(line), LineReader::Got::kLine);
  EXPECT_EQ(line, "short");
  EXPECT_EQ(in.line_number(), 4U);
  EXPECT_EQ(in.next(line), LineReader::Got::kTooLong);
  EXPECT_EQ(in.next(line), LineReader::Got::kEnd);
}

TEST(Lines, FullDeviceIsAnError) {
  LineWriter out;
  ASSERT_TRUE(out.open("/dev/full").ok());
  Status s;
  for (int i = 0; i < 100'000 && s.ok(); ++i) s = out.write("some line that fills the buffer");
  EXPECT_NE(s.message.find("cannot write"), std::string::npos);
}

TEST(TimeSorter, SortsStablyInMemoryAndThroughManyRuns) {
  for (const size_t memory : {size_t{1} << 30, size_t{4000}}) {
    TimeSorter sorter(memory);
    uint64_t x = 7;
    constexpr int kLines = 20'000;
    for (int i = 0; i < kLines; ++i) {
      x = x * 6364136223846793005ULL + 1442695040888963407ULL;
      const int64_t time = static_cast<int64_t>(x >> 54) - 100;  // many are equal, some negative
      ASSERT_TRUE(sorter.add(time, std::to_string(time) + " " + std::to_string(i)).ok());
    }
    EXPECT_EQ(sorter.runs_spilled() > 64, memory == 4000);  // so that levels were merged
    int64_t last_time = INT64_MIN, last_number = -1;
    int count = 0;
    const Status s = sorter.drain([&](int64_t time, std::string_view line) {
      int64_t said = 0, number = 0;
      std::istringstream(std::string(line)) >> said >> number;
      EXPECT_EQ(said, time);
      EXPECT_TRUE(time > last_time || (time == last_time && number > last_number));
      last_time = time, last_number = number, ++count;
      return Status::fine();
    });
    EXPECT_TRUE(s.ok());
    EXPECT_EQ(count, kLines);
  }
}

TEST(Times, TextAndBack) {
  int64_t t = 0;
  ASSERT_TRUE(parse_time("2009-09-28T01:02:03.000004Z", t));
  EXPECT_EQ(t, 1254099723000004);
  EXPECT_EQ(time_text(t), "2009-09-28T01:02:03.000004Z");
  ASSERT_TRUE(parse_time("2024-02-29", t));
  EXPECT_EQ(time_text(t), "2024-02-29T00:00:00.000000Z");
  ASSERT_TRUE(parse_time("2024-03-01 00:30:00.5+02:00", t));
  EXPECT_EQ(time_text(t), "2024-02-29T22:30:00.500000Z");
  ASSERT_TRUE(parse_time("1969-12-31T23:59:59.999999Z", t));
  EXPECT_EQ(t, -1);
  EXPECT_EQ(time_text(t), "1969-12-31T23:59:59.999999Z");
  ASSERT_TRUE(parse_time("2011-08-17T20:32:41.1234567", t));
  EXPECT_EQ(t % kSecondUs, 123456);
  for (const char* bad : {"", "2023-02-29", "2024-13-01", "2024-1-1", "2024-01-01T25:00:00Z", "2024-01-01T00:00:00.Z",
                          "2024-01-01T00:00:00Zx", "2024-01-01x", "yesterday", "2024-01-01T00:00:00.5x"})
    EXPECT_FALSE(parse_time(bad, t)) << bad;
}

TEST(EventJson, EscapesAndLeavesDefaultsOut) {
  std::string out;
  append_json_string("a\"b\\c\n\x01\x1f é\x7f", out);
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\n\\u0001\\u001f é\x7f\"");
  Fact event;
  event.id = "e1", event.user.id = "u\"1", event.time_us = 1;
  LikeFact like;
  like.post.id = "p", like.author.id = "a", like.kind = LikeKind::kShare, like.undo = true;
  event.body = like;
  out.clear();
  append_event_json(event, out);
  EXPECT_EQ(out,
            "{\"id\":\"e1\",\"time\":\"1970-01-01T00:00:00.000001Z\",\"user\":\"u\\\"1\","
            "\"like\":{\"post\":\"p\",\"author\":\"a\",\"kind\":\"LIKE_KIND_SHARE\",\"undo\":true}}");
  event.channel = "web";
  ReferralFact referral;
  referral.referral.id = "r", referral.referrer.id = "a", referral.stage = ReferralStage::kConverted;
  referral.amount_micros = -5;
  event.body = referral;
  out.clear();
  append_event_json(event, out);
  EXPECT_NE(out.find("\"origin\":{\"channel\":\"web\"}"), std::string::npos);
  EXPECT_NE(out.find("\"amountMicros\":\"-5\""), std::string::npos);
  EXPECT_NE(out.find("REFERRAL_STAGE_CONVERTED"), std::string::npos);
}

TEST(EventJson, EnumNames) {
  EXPECT_EQ(enum_value(EventEnum::kLikeKind, "view"), 5);
  EXPECT_EQ(enum_value(EventEnum::kLikeKind, "LIKE_KIND_LIKE"), 1);
  EXPECT_EQ(enum_value(EventEnum::kAccountAction, "exam-passed"), 4);
  EXPECT_EQ(enum_value(EventEnum::kPostAction, "unaccepted"), 11);
  EXPECT_EQ(enum_value(EventEnum::kLikeKind, "unspecified"), 0);
  EXPECT_EQ(enum_names(EventEnum::kPrompt), "prompted, unprompted");
}

}  // namespace
}  // namespace bellwether::lines_test

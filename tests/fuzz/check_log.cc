// Segments of the embedded log. The input is a script that writes segments as the log does and then damages them, or
// the bytes of a segment as they stand. However the folder looks: opening says an error or gives a log that hands out
// the very records written, from the first on without a gap; what was opened takes an append and opens again.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "pipeline/sources/embedded_log.h"
#include "pipeline/sources/log_segment.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

constexpr int64_t kNowUs = 1'767'225'600'000'000;

EmbeddedLog::Options options() {
  EmbeddedLog::Options o;
  o.config.fsync_ms = 0;
  o.now_us = [] { return kNowUs; };
  return o;
}

struct Folder {
  const std::string dir = scratch() + "/logs";
  const std::string partition = dir + "/log/0";
  Folder() {
    std::filesystem::remove_all(dir);
    std::filesystem::create_directories(partition);
  }
  void segment(int64_t first_offset, std::string_view bytes) const {
    scratch_file("logs/log/0/" + segment_name(first_offset), bytes);
  }
};

// All records from the first kept on; `error` where reading ended in one.
std::vector<std::string> read_all(EmbeddedLog& log, std::string& error) {
  const auto reader = log.reader();
  std::vector<std::string> records;
  const int64_t first = log.first_offset(0);
  require(reader->start(0, -1).ok(), "a log cannot be started");
  for (;;) {
    Batch batch;
    const Status status = reader->poll(0, 3, 0, batch);
    for (const RawRecord& r : batch.records) {
      require(r.offset == first + static_cast<int64_t>(records.size()), "a gap in the log is not told");
      records.emplace_back(r.value);
    }
    if (!status.ok()) {
      error = status.message;
      return records;
    }
    if (batch.at_end) return records;
    require(!batch.records.empty(), "the log gives nothing and does not end");
  }
}

struct Script {
  std::vector<std::pair<int64_t, std::string>> segments;  // first offset, bytes
  std::vector<std::string> records;                       // from offset 0 on
  size_t whole = 0;                                       // records before the newest segment's last frame
  bool damaged = false;                                   // anything but whole frames was done
  bool torn = true;  // the damage lies behind the whole frames of the newest segment
};

Script run_script(Input& in) {
  Script s;
  SegmentHeader header;
  size_t last_frame = 0;  // where the last frame of the newest segment begins
  const auto begin = [&] {
    header = {0, static_cast<int64_t>(s.records.size()), kNowUs - 1000, 0x9e3779b97f4a7c15 * (s.segments.size() + 1)};
    s.segments.emplace_back(header.first_offset, encode_segment_header(header));
    last_frame = SegmentHeader::kBytes;
    s.whole = s.records.size();
  };
  begin();
  for (int steps = 0; steps < 64 && !in.empty(); ++steps) {
    std::string& bytes = s.segments.back().second;
    switch (const uint8_t what = in.byte(); what % 8) {
      default: {  // a frame of one to four records
        std::string encoded;
        last_frame = bytes.size(), s.whole = s.records.size();
        if (s.damaged) s.torn = false;  // damage before it is no torn write
        const uint32_t count = 1 + what / 8 % 4;
        for (uint32_t i = 0; i < count; ++i) {
          s.records.emplace_back(in.text());
          encode_record(s.records.back(), encoded);
        }
        bytes += encode_frame(header.salt, static_cast<int64_t>(s.whole), kNowUs - 1000 + steps, count, encoded);
        break;
      }
      case 4:
        if (s.segments.back().first == static_cast<int64_t>(s.records.size())) break;  // it would have the same name
        if (s.damaged) s.torn = false;
        begin();
        break;
      case 5:  // bytes of a write that was never whole
        s.damaged = true;
        bytes += in.text();
        break;
      case 6: {  // a bit flips
        const size_t at = in.number<uint16_t>() % bytes.size();
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << what / 8 % 8);
        s.damaged = true;
        if (at < last_frame) s.torn = false;
        break;
      }
      case 7: {  // cut short
        const size_t size = bytes.size() - std::min<size_t>(bytes.size(), in.byte());
        s.damaged = true;
        if (size < last_frame) s.torn = false;
        bytes.resize(size);
        if (bytes.empty()) steps = 64;
      }
    }
  }
  return s;
}

}  // namespace

void check_log(std::string_view input) {
  Input in(input);
  const uint8_t how = in.byte();
  const Folder folder;
  Script script;
  if (how >= 224) {
    script.damaged = true, script.torn = false;
    folder.segment(how % 3, in.rest());
  } else {
    script = run_script(in);
    for (const auto& [first, bytes] : script.segments) folder.segment(first, bytes);
  }
  std::unique_ptr<EmbeddedLog> log;
  std::vector<std::string> messages;
  const Status opened = EmbeddedLog::open(folder.dir, options(), log, messages);
  if (!opened.ok()) {
    require(script.damaged && !script.torn, "a log that was only torn does not open: " + opened.message);
    return;
  }
  require(script.damaged || messages.empty(), "nothing was torn, and yet: " + (messages.empty() ? "" : messages[0]));
  std::string error;
  const std::vector<std::string> got = read_all(*log, error);
  if (how < 224) {
    require(got.size() <= script.records.size() && std::equal(got.begin(), got.end(), script.records.begin()),
            "the log hands out what was never written");
    if (!script.damaged) require(error.empty() && got.size() == script.records.size(), "records are lost: " + error);
    if (script.torn) require(error.empty() && got.size() >= script.whole, "a torn write took whole records: " + error);
  }
  // What it opened goes on: an append is answered, and stands after the next opening.
  const int64_t end = log->end_offset(0);
  const Appended appended = log->append(0, {"one", "", "three"});
  require(appended.status.ok() && appended.first_offset == end, "an append fails: " + appended.status.message);
  log.reset();
  messages.clear();
  const Status again = EmbeddedLog::open(folder.dir, options(), log, messages);
  require(again.ok() && messages.empty(), "what was opened does not open again: " + again.message);
  require(log->end_offset(0) == end + 3, "an answered append is gone");
  std::string error_again;
  std::vector<std::string> more = read_all(*log, error_again);
  // Damage behind the last frame of an older segment shows only once there is something to read past it.
  const bool shows_later = script.damaged && !script.torn && error.empty() && more.size() == got.size();
  require(error_again == error || shows_later, "the log reads differently the second time: " + error_again);
  if (error_again.empty()) {
    require(more.size() == got.size() + 3 && std::equal(got.begin(), got.end(), more.begin()), "records changed");
    require(more[got.size()] == "one" && more[got.size() + 1].empty() && more[got.size() + 2] == "three", "an append");
  }
}

}  // namespace bellwether::fuzz

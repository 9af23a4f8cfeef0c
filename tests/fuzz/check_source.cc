// Event files: the source hands out the lines that stand in the file, whatever it is compressed with, in batches of any
// size, from any line on; and the importers read the same bytes of it.
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "pipeline/sources/byte_reader.h"
#include "pipeline/sources/file_source.h"
#include "pipeline/tools/lines.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

struct Line {
  int64_t number;
  std::string value;
  bool operator==(const Line&) const = default;
};
struct Read {
  std::vector<Line> lines;
  bool failed = false;
  int64_t end = -1;
};

// Plain and slow: what the lines of a text are.
Read lines_of(std::string_view text) {
  Read out;
  int64_t number = 0;
  for (; !text.empty(); ++number) {
    const size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    const bool cut = line.size() > FileSource::kLineBytesMax + 1;
    if (number == 0 && line.starts_with("\xef\xbb\xbf") && !cut) line.remove_prefix(3);
    if (!cut && line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos && !cut) continue;
    out.lines.push_back({number, std::string(line.substr(0, FileSource::kLineBytesMax + 1))});
  }
  out.end = number;
  return out;
}

Read read_source(const std::string& path, size_t batch, int64_t from) {
  Read out;
  std::unique_ptr<FileSource> source;
  require(FileSource::open({path}, source).ok(), "a file that is there cannot be opened");
  require(source->start(0, from).ok(), "a file cannot be started");
  std::vector<Batch> kept;  // views must stay good while their batch lives, whatever is read after it
  for (bool ended = false; !ended && !out.failed;) {
    Batch& got = kept.emplace_back();
    const Status status = source->poll(0, batch, 0, got);
    require(got.records.size() <= batch, "more records than asked for");
    ended = got.ended;
    out.failed = !status.ok();
    require(ended || out.failed || !got.records.empty(), "a file gives nothing and does not end");
    if (!got.records.empty()) require(got.next_offset > got.records.back().offset, "the next offset lies behind");
  }
  for (const Batch& b : kept)
    for (const RawRecord& r : b.records) out.lines.push_back({r.offset, std::string(r.value)});
  out.end = source->end_offset(0);
  return out;
}

std::string read_bytes(const std::string& path, size_t step, bool& failed) {
  std::unique_ptr<ByteReader> reader;
  std::string out, buffer(step, '\0');
  failed = !ByteReader::open(path, nullptr, reader).ok();
  while (!failed) {
    size_t got = 0;
    const auto result = reader->read(buffer.data(), step, 0, got);
    if (result == ByteReader::Result::kEnd) break;
    require(result != ByteReader::Result::kBytes || (got > 0 && got <= step), "a read of nothing, or of too much");
    failed = result == ByteReader::Result::kError;
    if (!failed) out.append(buffer, 0, got);
    if (out.size() > size_t{16} << 20) break;
  }
  return out;
}

std::string read_stream(const std::string& path, size_t step, bool& failed) {
  InputStream in;
  std::string out, buffer(step, '\0');
  failed = !in.open(path).ok();
  while (!failed) {
    size_t got = 0;
    failed = !in.read(buffer.data(), step, got).ok();
    if (failed || got == 0) break;
    out.append(buffer, 0, got);
    if (out.size() > size_t{16} << 20) break;
  }
  return out;
}

std::string gzip(std::string_view text) {
  z_stream z{};
  require(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib");
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data())), z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data()), z.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  (void)deflateEnd(&z);
  require(code == Z_STREAM_END, "zlib");
  return out;
}
std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

// Each 0xff becomes a run as long as the byte after it says, so that small inputs reach the bounds of a line.
std::string stretched(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\xff' || i + 1 == text.size() || out.size() > size_t{2} << 20)
      out += text[i];
    else
      out.append(static_cast<uint8_t>(text[++i]) * size_t{16384} + 1, 'x');
  }
  return out;
}

bool packed(std::string_view text) {
  return text.starts_with("\x1f\x8b") || text.starts_with("\x28\xb5\x2f\xfd") ||
         (text.size() >= 4 && (text[0] & 0xf0) == 0x50 && text.substr(1, 3) == "\x2a\x4d\x18");
}

}  // namespace

void check_source(std::string_view input) {
  Input in(input);
  const uint8_t how = in.byte(), batch_byte = in.byte(), from = in.byte();
  const size_t batch = batch_byte < 200 ? 1 + batch_byte % 7 : 10'000;
  const std::string text = how >= 252 ? stretched(in.rest()) : std::string(in.rest());
  const bool plain = !packed(text);
  if ((how & 3) == 3 || !plain) {  // as it stands, maybe a hostile compressed file: both readers say the same of it
    const std::string path = scratch_file("events", text);
    const size_t step = text.size() > 65536 ? 65536 : 1 + batch_byte * size_t{37};
    bool failed = false, stream_failed = false;
    const std::string bytes = read_bytes(path, step, failed), stream = read_stream(path, step, stream_failed);
    require(failed == stream_failed, "the tools take what the source refuses");
    require(bytes == stream, "the tools read other bytes than the source");
    const Read got = read_source(path, batch, 0);
    require(got.failed == failed, "the source takes what its reader refuses");
    if (!failed) require(got.lines == lines_of(bytes).lines, "the source reads other lines than there are");
    return;
  }
  const Read expected = lines_of(text);
  const std::string stored = (how & 3) == 0 ? text : (how & 3) == 1 ? gzip(text) : zstd(text);
  const std::string path = scratch_file("events", stored);
  const Read got = read_source(path, batch, 0);
  require(!got.failed, "a whole file fails");
  require(got.end == expected.end,
          "the end is line " + std::to_string(got.end) + ", not " + std::to_string(expected.end));
  require(got.lines == expected.lines, "the source reads other lines than there are");
  const Read later = read_source(path, batch, from);
  require(later.failed == (from > expected.end), "a start behind the end is not told");
  auto rest = expected.lines;
  std::erase_if(rest, [&](const Line& l) { return l.number < from; });
  if (!later.failed) require(later.lines == rest, "from a later line on it reads other lines");
}

}  // namespace bellwether::fuzz

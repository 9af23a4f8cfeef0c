#include "pipeline/sources/log_segment.h"

#include <xxhash.h>

#include <bit>
#include <cstdio>
#include <cstring>

namespace bellwether {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the log's numbers are little-endian and copied as they stand");

constexpr std::string_view kSegmentMagic = "BWLOGSEG";
constexpr std::string_view kFrameMagic = "BWFR";
constexpr uint32_t kVersion = 1;
constexpr size_t kLengthAt = 12;  // in a frame: after magic and check
constexpr size_t kAfterLength = Frame::kHeaderBytes - kLengthAt - sizeof(uint32_t);
constexpr uint32_t kLengthMax = 1u << 30;

template <typename T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
T get(std::string_view from, size_t at) {
  T value;
  std::memcpy(&value, from.data() + at, sizeof value);
  return value;
}

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
  std::string bytes(kSegmentMagic);
  put(bytes, kVersion);
  put(bytes, header.partition);
  put(bytes, header.first_offset);
  put(bytes, header.created_us);
  put(bytes, header.salt);
  put(bytes, static_cast<uint64_t>(XXH3_64bits(bytes.data(), bytes.size())));
  return bytes;
}

bool decode_segment_header(std::string_view bytes, SegmentHeader& header, bool& newer_version) {
  newer_version = false;
  if (bytes.size() < SegmentHeader::kBytes || !bytes.starts_with(kSegmentMagic)) return false;
  const auto version = get<uint32_t>(bytes, 8);
  newer_version = version > kVersion;
  constexpr size_t kCheckAt = SegmentHeader::kBytes - sizeof(uint64_t);
  if (version != kVersion || get<uint64_t>(bytes, kCheckAt) != XXH3_64bits(bytes.data(), kCheckAt)) return false;
  header.partition = get<uint32_t>(bytes, 12);
  header.first_offset = get<int64_t>(bytes, 16);
  header.created_us = get<int64_t>(bytes, 24);
  header.salt = get<uint64_t>(bytes, 32);
  return true;
}

void encode_record(std::string_view value, std::string& records) {
  put(records, static_cast<uint32_t>(value.size()));
  records.append(value);
}

std::string encode_frame(uint64_t salt, int64_t first_offset, int64_t append_us, uint32_t count,
                         std::string_view records) {
  std::string bytes;
  bytes.reserve(Frame::kHeaderBytes + records.size());
  bytes.append(kFrameMagic);
  put(bytes, uint64_t{0});
  put(bytes, static_cast<uint32_t>(kAfterLength + records.size()));
  put(bytes, first_offset);
  put(bytes, append_us);
  put(bytes, count);
  bytes.append(records);
  const uint64_t check = XXH3_64bits_withSeed(bytes.data() + kLengthAt, bytes.size() - kLengthAt, salt);
  std::memcpy(bytes.data() + kFrameMagic.size(), &check, sizeof check);
  return bytes;
}

FrameState decode_frame(uint64_t salt, std::string_view bytes, Frame& frame, size_t& size) {
  size = Frame::kHeaderBytes;
  const size_t seen = bytes.size() < kFrameMagic.size() ? bytes.size() : kFrameMagic.size();
  if (bytes.substr(0, seen) != kFrameMagic.substr(0, seen)) return FrameState::kBad;
  if (bytes.size() < Frame::kHeaderBytes) return FrameState::kShort;
  const auto length = get<uint32_t>(bytes, kLengthAt);
  if (length < kAfterLength || length > kLengthMax) return FrameState::kBad;
  size = kLengthAt + sizeof(uint32_t) + length;
  if (bytes.size() < size) return FrameState::kShort;
  if (get<uint64_t>(bytes, kFrameMagic.size()) !=
      XXH3_64bits_withSeed(bytes.data() + kLengthAt, size - kLengthAt, salt)) {
    return FrameState::kBad;
  }
  frame.first_offset = get<int64_t>(bytes, 16);
  frame.append_us = get<int64_t>(bytes, 24);
  frame.count = get<uint32_t>(bytes, 32);
  frame.records = bytes.substr(Frame::kHeaderBytes, size - Frame::kHeaderBytes);
  return FrameState::kGood;
}

bool next_record(std::string_view& records, std::string_view& value) {
  if (records.size() < sizeof(uint32_t)) return false;
  const auto size = get<uint32_t>(records, 0);
  if (records.size() - sizeof(uint32_t) < size) return false;
  value = records.substr(sizeof(uint32_t), size);
  records.remove_prefix(sizeof(uint32_t) + size);
  return true;
}

size_t find_frame(uint64_t salt, std::string_view bytes, size_t from) {
  for (size_t at = bytes.find(kFrameMagic, from); at != std::string_view::npos; at = bytes.find(kFrameMagic, at + 1)) {
    Frame frame;
    size_t size = 0;
    if (decode_frame(salt, bytes.substr(at), frame, size) == FrameState::kGood) return at;
  }
  return std::string_view::npos;
}

std::string segment_name(int64_t first_offset) {
  char name[32];
  (void)std::snprintf(name, sizeof name, "%020lld.seg", static_cast<long long>(first_offset));
  return name;
}

bool parse_segment_name(std::string_view name, int64_t& first_offset) {
  if (name.size() != 24 || name.substr(20) != ".seg") return false;
  first_offset = 0;
  for (const char digit : name.substr(0, 20)) {
    if (digit < '0' || digit > '9' || first_offset > (INT64_MAX - 9) / 10) return false;
    first_offset = first_offset * 10 + (digit - '0');
  }
  return true;
}

}  // namespace bellwether

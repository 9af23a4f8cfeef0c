// The bytes of an embedded log segment (grammar in embedded_log.h): written, checked and walked here, and nowhere else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/sources/source.h"

namespace bellwether {

struct SegmentHeader {
  static constexpr size_t kBytes = 48;
  uint32_t partition = 0;
  int64_t first_offset = 0;
  int64_t created_us = 0;  // append time of its first frame; every earlier segment's frames are not newer
  uint64_t salt = 0;
};

std::string encode_segment_header(const SegmentHeader& header);
// False where the bytes are not a whole, good header; `newer_version` says that they are one of a later format.
bool decode_segment_header(std::string_view bytes, SegmentHeader& header, bool& newer_version);

struct Frame {
  static constexpr size_t kHeaderBytes = 36;
  int64_t first_offset = 0;
  int64_t append_us = 0;
  uint32_t count = 0;
  std::string_view records;  // record{count}, into the bytes decoded
};

// `records` = record{count}, made by encode_record.
void encode_record(std::string_view value, std::string& records);
std::string encode_frame(uint64_t salt, int64_t first_offset, int64_t append_us, uint32_t count,
                         std::string_view records);

enum class FrameState {
  kGood,
  kShort,  // good as far as it goes; `size` = bytes the whole frame has
  kBad,
};
// Looks at the frame at the start of `bytes`. `size`: its bytes, magic included (kGood, kShort; kShort with fewer than
// a frame header of bytes gives the frame header's size).
FrameState decode_frame(uint64_t salt, std::string_view bytes, Frame& frame, size_t& size);

// Takes the next record off frame.records. False at the end; a checked frame's records are always well formed.
bool next_record(std::string_view& records, std::string_view& value);

// Where the next good frame begins in `bytes` from `from` on; npos where there is none.
size_t find_frame(uint64_t salt, std::string_view bytes, size_t from);

// Ends the name of a segment's new form until it takes the old one's place.
constexpr std::string_view kRewrittenEnding = ".seg.new";
std::string segment_name(int64_t first_offset);  // "00000000000000000042.seg"
bool parse_segment_name(std::string_view name, int64_t& first_offset);

}  // namespace bellwether

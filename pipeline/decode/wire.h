// Protobuf's wire format, read without copying. Tolerates what the protobuf library tolerates (overlong varints,
// unknown fields and groups, lengths in up to five bytes) and refuses what it refuses.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace bellwether::decode {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kGroup = 3, kEndGroup = 4, kFixed32 = 5 };

constexpr uint32_t tag_of(uint32_t number, WireType type) { return number << 3 | type; }

class Wire {
 public:
  explicit Wire(std::string_view in) : at_(in.data()), end_(in.data() + in.size()) {}
  bool done() const { return at_ == end_; }

  // All return false where the bytes end too early or are malformed; the reader is then of no more use.
  bool tag(uint32_t& out) {
    if (at_ < end_ && (out = byte(0)) < 0x80) {
      ++at_;
      return out >> 3 != 0;
    }
    uint64_t v = 0;
    if (!varint(v, 5)) return false;
    out = static_cast<uint32_t>(v);
    return out >> 3 != 0;
  }
  bool varint(uint64_t& out) {
    if (at_ < end_ && byte(0) < 0x80) {
      out = byte(0), ++at_;
      return true;
    }
    return varint(out, 10);
  }
  bool bytes(std::string_view& out) {
    uint64_t n = 0;
    if (at_ < end_ && byte(0) < 0x80) {
      n = byte(0), ++at_;
    } else if (!varint(n, 5)) {
      return false;
    }
    if (n > static_cast<uint64_t>(end_ - at_)) return false;
    out = {at_, n}, at_ += n;
    return true;
  }
  // Passes over the value of a field nobody knows, groups with all they hold included.
  bool skip(uint32_t tag);

 private:
  uint8_t byte(size_t i) const { return static_cast<uint8_t>(at_[i]); }
  bool varint(uint64_t& out, int bytes_max) {
    uint64_t v = 0;
    for (int i = 0; i < bytes_max && at_ < end_; ++i) {
      const uint64_t b = byte(0);
      ++at_;
      v |= (b & 0x7f) << (7 * i);
      if (b < 0x80) {
        out = v;
        return true;
      }
    }
    return false;
  }

  const char* at_;
  const char* end_;
};

// Strict UTF-8: no overlong form, no surrogate, nothing above U+10FFFF.
bool valid_utf8_slow(std::string_view text);
inline bool valid_utf8(std::string_view text) {
  const char* at = text.data();
  size_t left = text.size();
  uint64_t high = 0;
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    high |= word;
  }
  for (; left > 0; ++at, --left) high |= static_cast<uint64_t>(static_cast<uint8_t>(*at));
  return (high & 0x8080808080808080) == 0 || valid_utf8_slow(text);
}

}  // namespace bellwether::decode

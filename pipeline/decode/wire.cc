#include "pipeline/decode/wire.h"

#include <simdjson.h>

#include <array>

namespace bellwether::decode {

bool Wire::skip(uint32_t tag) {
  // Groups are walked with a stack of our own: no input makes the program's stack grow.
  static constexpr size_t kDepthMax = 100;
  std::array<uint32_t, kDepthMax> open;
  size_t depth = 0;
  for (;;) {
    uint64_t ignored = 0;
    std::string_view text;
    switch (tag & 7) {
      case kVarint:
        if (!varint(ignored)) return false;
        break;
      case kFixed64:
        if (end_ - at_ < 8) return false;
        at_ += 8;
        break;
      case kLength:
        if (!bytes(text)) return false;
        break;
      case kGroup:
        if (depth == kDepthMax) return false;
        open[depth++] = tag >> 3;
        break;
      case kEndGroup:
        if (depth == 0 || open[--depth] != tag >> 3) return false;
        break;
      case kFixed32:
        if (end_ - at_ < 4) return false;
        at_ += 4;
        break;
      default:
        return false;
    }
    if (depth == 0) return true;
    if (!this->tag(tag)) return false;
  }
}

bool valid_utf8_slow(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

}  // namespace bellwether::decode

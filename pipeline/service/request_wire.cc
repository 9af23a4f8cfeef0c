#include "pipeline/service/request_wire.h"

namespace bellwether {
namespace {

constexpr size_t kFieldBytes = 128;  // an object of a list with its texts, the list's pointers, what malloc adds
constexpr size_t kByteBytes = 16;    // fields that nobody knows: two bytes can be one, in a list that has just grown
constexpr uint32_t kBodyFirst = 10, kJudgement = 14, kBodyLast = 17;  // fields of Event

bool varint(std::string_view& in, uint64_t& out) {
  out = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in.front());
    in.remove_prefix(1);
    out |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Calls each(field, is_number, is_bytes, number, bytes) for the fields of a message.
template <class Each>
bool fields(std::string_view in, Each each) {
  while (!in.empty()) {
    uint64_t tag = 0, number = 0;
    if (!varint(in, tag) || tag >> 3 == 0 || tag > UINT32_MAX) return false;
    std::string_view bytes;
    size_t skip = 0;
    switch (tag & 7) {
      case 0:
        if (!varint(in, number)) return false;
        break;
      case 1:
        skip = 8;
        break;
      case 2:
        if (!varint(in, number) || number > in.size()) return false;
        bytes = in.substr(0, number), skip = number;
        break;
      case 5:
        skip = 4;
        break;
      default:  // groups are of proto2
        return false;
    }
    if (skip > in.size()) return false;
    in.remove_prefix(skip);
    each(static_cast<uint32_t>(tag >> 3), (tag & 7) == 0, (tag & 7) == 2, number, bytes);
  }
  return true;
}

}  // namespace

bool weigh_request(std::string_view wire, RequestSize& out) {
  out.fields = 0;
  if (!fields(wire, [&](auto&&...) { ++out.fields; })) return false;
  out.weight = 512 + out.fields * kFieldBytes + wire.size() * kByteBytes;
  return true;
}

bool read_publish(std::string_view wire, PublishFields of, size_t most, PublishWire& out) {
  out.events.clear();
  out.count = 0, out.sequence = 0;
  return fields(wire, [&](uint32_t field, bool is_number, bool is_bytes, uint64_t number, std::string_view bytes) {
    if (field == of.events && is_bytes) {
      if (out.count++ < most) out.events.push_back(bytes);
    } else if (field == of.sequence && is_number) {
      out.sequence = number;
    }
  });
}

bool is_judgement(std::string_view event) {
  uint32_t body = 0;
  (void)fields(event, [&](uint32_t field, bool, bool is_bytes, uint64_t, std::string_view) {
    if (is_bytes && field >= kBodyFirst && field <= kBodyLast) body = field;
  });
  return body == kJudgement;
}

}  // namespace bellwether

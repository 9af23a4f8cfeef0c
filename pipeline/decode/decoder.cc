#include "pipeline/decode/decoder.h"

#include <algorithm>

#include "pipeline/decode/json.h"
#include "pipeline/decode/parse.h"
#include "pipeline/decode/wire.h"

namespace bellwether {
namespace {

constexpr bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

enum class Encoding { kProtobuf, kRegistry, kJson, kJsonOrProtobuf };

Encoding encoding_of(std::string_view value) {
  switch (value[0]) {
    case 0:
      return Encoding::kRegistry;
    case '{':
    case ' ':
    case '\t':
    case '\r':
      return Encoding::kJson;
    case '\n':
      break;
    default:
      return Encoding::kProtobuf;
  }
  // A line feed is also the tag of Event.id, with which nearly every protobuf event begins. Then comes the id's length,
  // and then the id: only an id that begins with '{' and is 9, 10, 13 or 32 bytes long needs a closer look.
  size_t at = 1;
  while (at < value.size() && blank(value[at])) ++at;
  return at < value.size() && value[at] == '{' ? Encoding::kJsonOrProtobuf : Encoding::kProtobuf;
}

constexpr std::string_view kErasedDead{"\0erased\0", 8};

constexpr size_t kSentenceBytesMax = 200;  // of ours the longest has some 100

// Anybody may send such a record: what stands in it is told to people only where it could be a sentence of ours.
bool decode_erased_dead(std::string_view value, Reason& reason, std::string_view& detail) {
  if (value.size() <= kErasedDead.size() || !value.starts_with(kErasedDead)) return false;
  const auto number = static_cast<uint8_t>(value[kErasedDead.size()]);
  if (number == 0 || number >= static_cast<uint8_t>(Reason::kFuture)) return false;  // those behind are schedule's
  reason = static_cast<Reason>(number), detail = value.substr(kErasedDead.size() + 1);
  return !detail.empty() && detail.size() <= kSentenceBytesMax &&
         std::all_of(detail.begin(), detail.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Takes the schema registry's prefix off: 0, the schema's id in four bytes, and the path to the message within the
// schema: a count and as many indexes, all zigzag varints; a count of 0 is short for the schema's first message. Which
// schema a producer registered is its affair; the fields are read as the contract numbers them.
bool strip_registry_prefix(std::string_view& value) {
  constexpr size_t kFixedBytes = 5;
  constexpr uint64_t kIndexesMax = 16;
  if (value.size() < kFixedBytes) return false;
  std::string_view rest = value.substr(kFixedBytes);
  const auto varint = [&rest](uint64_t& out) {
    out = 0;
    for (int shift = 0; shift < 35 && !rest.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest.front());
      rest.remove_prefix(1);
      out |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  };
  uint64_t count = 0;
  if (!varint(count) || count % 2 != 0 || count / 2 > kIndexesMax) return false;
  for (uint64_t i = 0; i < count / 2; ++i) {
    uint64_t index = 0;
    if (!varint(index) || index % 2 != 0) return false;
  }
  value = rest;
  return true;
}

}  // namespace

std::string encode_erased_dead(Reason reason, std::string_view detail) {
  std::string out(kErasedDead);
  out += static_cast<char>(reason);
  return out.append(detail);
}

struct Decoder::Json {
  decode::JsonReader reader;
};

Decoder::Decoder(const Hasher& hasher) : hasher_(&hasher), json_(std::make_unique<Json>()) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;

Reason Decoder::decode(std::string_view value, Arena& arena, Fact& out, std::string* detail) {
  const auto fail = [detail](Reason reason, std::string_view text) {
    if (detail != nullptr) *detail = text;
    return reason;
  };
  if (value.size() > kRecordBytesMax) return fail(Reason::kTooLarge, "the record is larger than 1 MiB");
  if (value.empty()) return fail(Reason::kUndecodable, "the record is empty");

  std::string_view wire = value, said;
  Reason was;
  switch (encoding_of(value)) {
    case Encoding::kProtobuf:
      break;
    case Encoding::kRegistry:
      if (decode_erased_dead(value, was, said)) return fail(was, said);
      if (!strip_registry_prefix(wire)) return fail(Reason::kUndecodable, "the schema-registry prefix is malformed");
      break;
    case Encoding::kJson: {
      const Reason reason = json_->reader.translate(value, arena, wire, detail);
      if (reason != Reason::kNone) return reason;
      break;
    }
    case Encoding::kJsonOrProtobuf: {
      // The tag of Event.time is no character JSON allows, so what is read as the one can hardly be the other.
      std::string json_detail;
      const Reason json = json_->reader.translate(value, arena, wire, &json_detail);
      if (json == Reason::kNone) break;
      decode::Parsed parsed;
      decode::Problem problem;
      if (!decode::parse_event(value, out, parsed, problem)) return fail(json, json_detail);
      wire = value;
      break;
    }
  }

  decode::Parsed parsed;
  decode::Problem problem;
  if (decode::parse_event(wire, out, parsed, problem) && decode::check_event(*hasher_, parsed, out, problem)) {
    return Reason::kNone;
  }
  if (detail != nullptr) *detail = std::string(problem.where) + " " + problem.what;
  return problem.reason;
}

}  // namespace bellwether

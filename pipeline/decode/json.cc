#include "pipeline/decode/json.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "pipeline/decode/json_fields.h"
#include "pipeline/decode/json_time.h"
#include "pipeline/decode/wire.h"

namespace bellwether::decode {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

// Writes wire bytes into room that was measured beforehand.
class WireWriter {
 public:
  WireWriter(char* at, size_t room) : begin_(at), at_(at), end_(at + room) {}
  size_t size() const { return static_cast<size_t>(at_ - begin_); }
  void varint(uint64_t v) {
    need(10);
    for (; v >= 0x80; v >>= 7) *at_++ = static_cast<char>(v | 0x80);
    *at_++ = static_cast<char>(v);
  }
  void tag(uint32_t number, WireType type) { varint(tag_of(number, type)); }
  void bytes(std::string_view text) {
    varint(text.size());
    need(text.size());
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  // A message's length is known at its end only: four bytes are kept free and filled with an overlong varint then.
  size_t begin_message() {
    need(kLengthBytes);
    at_ += kLengthBytes;
    return size();
  }
  void end_message(size_t from) {
    const size_t n = size() - from;
    char* const at = begin_ + from - kLengthBytes;
    for (size_t i = 0; i < kLengthBytes; ++i) {
      at[i] = static_cast<char>((n >> (7 * i) & 0x7f) | (i + 1 < kLengthBytes ? 0x80 : 0));
    }
  }

 private:
  static constexpr size_t kLengthBytes = 4;
  static_assert(kRecordBytesMax < size_t{1} << 7 * kLengthBytes);
  void need(size_t n) {
    if (n <= static_cast<size_t>(end_ - at_)) return;
    std::fputs("bellwether: the bytes of an event outgrew its JSON\n", stderr);
    std::abort();
  }
  char* begin_;
  char* at_;
  char* end_;
};

// Every field takes more characters in JSON than bytes on the wire; the rest is for the longest varint at the very end.
constexpr size_t kRoomBeyondJson = 64;

class Translation {
 public:
  explicit Translation(WireWriter& out) : out_(out) {}

  bool message(const object& in, const MessageFields& fields) {
    bool has_member = false;
    size_t at = 0;  // producers write fields in order: the next is mostly the one after the last
    for (const auto [key, value] : in) {
      const Field* const field = find(fields, key, at);
      if (field == nullptr || value.is_null()) continue;
      path_[depth_++] = field;
      if (field->oneof && std::exchange(has_member, true)) return fail(Reason::kUndecodable, "is a second body");
      if (!this->value(value, *field)) return false;
      --depth_;
    }
    return true;
  }

  Reason reason() const { return reason_; }
  std::string detail() const {
    std::string text;
    for (size_t i = 0; i < depth_; ++i) text.append(i > 0 ? "." : "").append(path_[i]->name);
    return text.append(" ").append(what_);
  }

 private:
  bool fail(Reason reason, const char* what) {
    reason_ = reason, what_ = what;
    return false;
  }

  static const Field* find(const MessageFields& fields, std::string_view key, size_t& at) {
    for (size_t tried = 0; tried < fields.fields.size(); ++tried) {
      const Field& field = fields.fields[at];
      at = at + 1 < fields.fields.size() ? at + 1 : 0;
      if (field.json == key || field.name == key) return &field;
    }
    return nullptr;
  }

  bool value(const element& in, const Field& field) {
    switch (field.type) {
      case FieldType::kText:
        return text(in, field);
      case FieldType::kTexts:
        return texts(in, field);
      case FieldType::kBool:
        return boolean(in, field);
      case FieldType::kUint32:
        return integer<uint32_t>(in, field, [](uint32_t v) -> uint64_t { return v; });
      case FieldType::kUint64:
        return integer<uint64_t>(in, field, [](uint64_t v) { return v; });
      case FieldType::kInt64:
        return integer<int64_t>(in, field, [](int64_t v) { return static_cast<uint64_t>(v); });
      case FieldType::kSint32:
        return integer<int32_t>(in, field, [](int32_t v) { return zigzag(v); });
      case FieldType::kSint64:
        return integer<int64_t>(in, field, [](int64_t v) { return zigzag(v); });
      case FieldType::kEnum:
        return enumeration(in, field);
      case FieldType::kTime:
        return time(in, field);
      case FieldType::kMessage:
        break;
    }
    object inner;
    if (in.get(inner) != simdjson::SUCCESS) return fail(Reason::kUndecodable, "is not an object");
    out_.tag(field.number, kLength);
    const size_t from = out_.begin_message();
    if (!message(inner, *field.message)) return false;
    out_.end_message(from);
    return true;
  }

  static uint64_t zigzag(int64_t v) { return static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63); }

  bool text(const element& in, const Field& field) {
    std::string_view v;
    if (in.get(v) != simdjson::SUCCESS) return fail(Reason::kUndecodable, "is not a string");
    out_.tag(field.number, kLength);
    out_.bytes(v);
    return true;
  }

  bool texts(const element& in, const Field& field) {
    simdjson::dom::array list;
    if (in.get(list) != simdjson::SUCCESS) return fail(Reason::kUndecodable, "is not an array");
    for (const element each : list) {
      if (!text(each, field)) return false;
    }
    return true;
  }

  bool boolean(const element& in, const Field& field) {
    bool v = false;
    if (in.get(v) != simdjson::SUCCESS) return fail(Reason::kUndecodable, "is neither true nor false");
    out_.tag(field.number, kVarint);
    out_.varint(v ? 1 : 0);
    return true;
  }

  // One in quotes, with a sign or without, as protobuf's library takes them.
  template <std::integral Int>
  static std::errc whole_text(std::string_view text, Int& out) {
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end != text.data() + text.size() ? std::errc::invalid_argument : error;
  }

  // A whole number as JSON writes them: 7, 7.0, 7e0 or "7".
  template <std::integral Int>
  bool whole(const element& in, Int& out) {
    const char* const range = "is out of its type's range";
    switch (in.type()) {
      case element_type::INT64: {
        const int64_t v = in.get_int64().value_unsafe();
        if (!std::in_range<Int>(v)) return fail(Reason::kOutOfRange, range);
        out = static_cast<Int>(v);
        return true;
      }
      case element_type::UINT64: {
        const uint64_t v = in.get_uint64().value_unsafe();
        if (!std::in_range<Int>(v)) return fail(Reason::kOutOfRange, range);
        out = static_cast<Int>(v);
        return true;
      }
      case element_type::DOUBLE: {
        const double v = in.get_double().value_unsafe();
        if (v != std::trunc(v)) return fail(Reason::kUndecodable, "is not a whole number");
        // Both bounds are exact as doubles: the lower is 0 or a power of two, the upper one more than the largest
        // value.
        if (v < static_cast<double>(std::numeric_limits<Int>::min()) ||
            v >= std::ldexp(1.0, std::numeric_limits<Int>::digits)) {
          return fail(Reason::kOutOfRange, range);
        }
        out = static_cast<Int>(v);
        return true;
      }
      case element_type::STRING: {
        const std::errc error = whole_text(in.get_string().value_unsafe(), out);
        if (error == std::errc::result_out_of_range) return fail(Reason::kOutOfRange, range);
        return error == std::errc{} || fail(Reason::kUndecodable, "is not a whole number");
      }
      default:
        return fail(Reason::kUndecodable, "is not a number");
    }
  }

  template <std::integral Int, class ToWire>
  bool integer(const element& in, const Field& field, ToWire to_wire) {
    Int v = 0;
    if (!whole(in, v)) return false;
    out_.tag(field.number, kVarint);
    out_.varint(to_wire(v));
    return true;
  }

  // Of a newer producer's values only the place where they stand is known, so they are 0 as in protobuf.
  bool enumeration(const element& in, const Field& field) {
    const EnumNames& names = *field.names;
    uint64_t number = 0;
    const auto known = [&](int32_t v) {
      if (v > 0 && static_cast<size_t>(v) < names.values.size()) number = static_cast<uint64_t>(v);
    };
    std::string_view name;
    if (in.get(name) == simdjson::SUCCESS) {
      int32_t v = 0;
      if (whole_text(name, v) == std::errc{}) {
        known(v);
      } else if (name.starts_with(names.prefix)) {  // any other text is a name, known or not
        name.remove_prefix(names.prefix.size());
        for (size_t i = 0; i < names.values.size(); ++i) {
          if (names.values[i] == name) number = i;
        }
      }
    } else {
      int32_t v = 0;
      if (!whole(in, v)) return false;
      known(v);
    }
    out_.tag(field.number, kVarint);
    out_.varint(number);
    return true;
  }

  bool time(const element& in, const Field& field) {
    std::string_view v;
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (in.get(v) != simdjson::SUCCESS || !parse_rfc3339(v, seconds, nanos)) {
      return fail(Reason::kInvalidTime, "is not an RFC 3339 time");
    }
    out_.tag(field.number, kLength);
    const size_t from = out_.begin_message();
    out_.tag(1, kVarint);
    out_.varint(static_cast<uint64_t>(seconds));
    out_.tag(2, kVarint);
    out_.varint(static_cast<uint64_t>(nanos));
    out_.end_message(from);
    return true;
  }

  WireWriter& out_;
  std::array<const Field*, 4> path_;  // Event, Judgement, Rating, expires: the contract is no deeper
  size_t depth_ = 0;
  Reason reason_ = Reason::kNone;
  const char* what_ = "";
};

// The parser gives up at a number that no 64-bit type or double holds, though it may stand in a field nobody reads.
// Long numbers outside strings become 0.5, which a known whole-number field still refuses. Returns whether any did.
bool blunt_numbers(char* text, size_t size) {
  constexpr size_t kLong = 20;  // a whole number of fewer characters always fits; "1e999" is short and does not
  bool any = false;
  for (size_t i = 0; i < size;) {
    if (text[i] == '"') {
      for (++i; i < size && text[i] != '"'; ++i) i += text[i] == '\\' ? 1 : 0;
      ++i;
      continue;
    }
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (!digit(text[i]) && text[i] != '-') {
      ++i;
      continue;
    }
    const size_t from = i;
    const auto digits = [&] {
      const size_t first = i;
      while (i < size && digit(text[i])) ++i;
      return i > first;
    };
    if (text[i] == '-') ++i;
    const bool leading_zero = i < size && text[i] == '0';
    const size_t first = i;
    bool number = digits() && (!leading_zero || i == first + 1);
    bool exponent = false;
    if (i < size && text[i] == '.') ++i, number = digits() && number;
    if (i < size && (text[i] == 'e' || text[i] == 'E')) {
      ++i, exponent = true;
      if (i < size && (text[i] == '+' || text[i] == '-')) ++i;
      number = digits() && number;
    }
    if (number && i - from >= 3 && (exponent || i - from >= kLong)) {
      std::copy_n("0.5", 3, text + from);
      std::memset(text + from + 3, ' ', i - from - 3);
      any = true;
    }
  }
  return any;
}

}  // namespace

struct JsonReader::State {
  simdjson::dom::parser parser;
  std::vector<char> padded;
};

JsonReader::JsonReader() : state_(std::make_unique<State>()) {}
JsonReader::~JsonReader() = default;

Reason JsonReader::translate(std::string_view json, Arena& arena, std::string_view& wire, std::string* detail) {
  // The parser reads past the end, and the caller's bytes may end with the page.
  std::vector<char>& padded = state_->padded;
  const size_t size = json.size() + simdjson::SIMDJSON_PADDING;
  if (padded.size() < size) padded.resize(size);
  std::memcpy(padded.data(), json.data(), json.size());
  std::memset(padded.data() + json.size(), 0, simdjson::SIMDJSON_PADDING);

  const auto parse = [&] { return state_->parser.parse(padded.data(), json.size(), false); };
  auto parsed = parse();
  if ((parsed.error() == simdjson::NUMBER_ERROR) && blunt_numbers(padded.data(), json.size())) parsed = parse();
  if (parsed.error() != simdjson::SUCCESS) {
    if (detail != nullptr) *detail = std::string("JSON: ") + simdjson::error_message(parsed.error());
    return parsed.error() == simdjson::UTF8_ERROR ? Reason::kInvalidUtf8 : Reason::kUndecodable;
  }
  object root;
  if (parsed.get(root) != simdjson::SUCCESS) {
    if (detail != nullptr) *detail = "JSON: not an object";
    return Reason::kUndecodable;
  }

  const size_t room = json.size() + kRoomBeyondJson;
  char* const bytes = arena.allocate(room);
  WireWriter out(bytes, room);
  Translation translation(out);
  if (!translation.message(root, kEventFields)) {
    arena.give_back(room);
    if (detail != nullptr) *detail = translation.detail();
    return translation.reason();
  }
  arena.give_back(room - out.size());
  wire = {bytes, out.size()};
  return Reason::kNone;
}

}  // namespace bellwether::decode

// Decoding against the protobuf library: both take and refuse the same bytes and read the same facts out of them.
#include <google/protobuf/util/json_util.h>
#include <simdjson.h>

#include <set>

#include "config/text.h"
#include "pipeline/decode/decoder.h"
#include "tests/fuzz/checks.h"
#include "tests/unit/decode_reference.h"

namespace bellwether::fuzz {
namespace {

struct Decoded {
  Reason reason = Reason::kNone;
  std::string detail, facts;  // facts: where there is no reason against it
  bool operator==(const Decoded&) const = default;
};

const Hasher& hasher() {
  static const Hasher instance("fuzz");
  return instance;
}

Decoded decode(std::string_view value) {
  static Decoder decoder(hasher());
  static Arena arena;
  static Fact fact;  // used again and again, as the engine does: nothing of the record before may show
  const Exact bytes(value);
  arena.clear();
  Decoded out;
  out.reason = decoder.decode(bytes.view(), arena, fact, &out.detail);
  require(out.detail.empty() == (out.reason == Reason::kNone), "a reason and its sentence come together");
  require(out.detail.size() <= 200 && !invalid_utf8_at(out.detail), "the sentence is no text: " + out.detail);
  if (out.reason == Reason::kNone) out.facts = decode_reference::dump(fact);
  Decoded silent;
  silent.reason = decoder.decode(bytes.view(), arena, fact, nullptr);
  require(silent.reason == out.reason, "the reason depends on whether the sentence is asked for");
  return out;
}

bool unreadable(Reason reason) { return reason == Reason::kUndecodable || reason == Reason::kInvalidUtf8; }
std::string said(const Decoded& d) { return std::string(reason_name(d.reason)) + " (" + d.detail + ")"; }

// `ours` must say of the event what the contract does.
void compare(const Decoded& ours, const v1::Event& event) {
  static decode_reference::Reference reference(hasher());
  const bool valid = reference.valid(event);
  require(valid == (ours.reason == Reason::kNone), "we say " + said(ours) + " of " + event.DebugString());
  if (valid) require(ours.facts == reference.dump(event), "we read\n" + ours.facts + "\nnot\n" + reference.dump(event));
}

// Whether an object somewhere names a member twice. JSON leaves open what that means: here the last one counts, the
// library keeps an earlier enum where the last one is unknown.
bool names_twice(const simdjson::dom::element& in) {
  if (in.is_array()) {
    for (const simdjson::dom::element each : simdjson::dom::array(in))
      if (names_twice(each)) return true;
  } else if (in.is_object()) {
    std::set<std::string_view> names;
    for (const auto& [name, value] : simdjson::dom::object(in))
      if (!names.insert(name).second || names_twice(value)) return true;
  }
  return false;
}

enum class Json { kNone, kStrict, kOpen };  // kOpen: grammar or meaning is not for us to judge
Json judge(std::string_view text) {
  static simdjson::dom::parser parser;
  const simdjson::padded_string padded(text);
  simdjson::dom::element root;
  const simdjson::error_code error = parser.parse(padded).get(root);
  // A number larger than this parser holds may be JSON; decoding passes over it in fields that nobody reads.
  if (error == simdjson::NUMBER_ERROR) return Json::kOpen;
  if (error != simdjson::SUCCESS) return Json::kNone;
  return names_twice(root) ? Json::kOpen : Json::kStrict;
}

bool parse_json(const std::string& text, v1::Event& event) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  event.Clear();
  return google::protobuf::util::JsonStringToMessage(text, &event, options).ok();
}

// A member without a name: the library refuses it even where unknown names are passed over, JSON and we do not.
bool nameless(std::string_view text) {
  for (size_t at = text.find("\"\""); at != std::string_view::npos; at = text.find("\"\"", at + 1)) {
    const size_t next = text.find_first_not_of(" \t\r\n", at + 2);
    if (next != std::string_view::npos && text[next] == ':') return true;
  }
  return false;
}

bool digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

void check_decode(std::string_view input) {
  if (input.size() > kRecordBytesMax - 6) return;
  // Behind the prefix every input is read as protobuf, whatever its first byte.
  const std::string prefixed = std::string("\0\0\0\0\1\0", 6) + std::string(input);
  const Decoded ours = decode(prefixed);
  v1::Event event;
  const bool parses = event.ParseFromArray(input.data(), static_cast<int>(input.size()));
  require(parses != unreadable(ours.reason), "the library " + std::string(parses ? "reads" : "refuses") +
                                                 " what we call " + said(ours) + ": " + event.DebugString());
  if (parses) compare(ours, event);
  // Bare, the same bytes are the same event, unless their beginning says that they are something else.
  const Decoded bare = decode(input);
  if (input.empty()) {
    require(bare.reason == Reason::kUndecodable, "an empty record is " + said(bare));
  } else if (std::string_view("\0{ \t\r\n", 6).find(input[0]) == std::string_view::npos) {
    require(bare == ours, "bare we say " + said(bare) + ", behind a prefix " + said(ours));
  } else if (input[0] == '\n' && ours.reason == Reason::kNone) {
    require(bare == ours, "an event that begins with its id is bare " + said(bare));
  }
  if (!parses) return;
  // What the library writes of it means the same.
  const Decoded again = decode(std::string("\0\0\0\0\1\0", 6) + event.SerializeAsString());
  require(again.reason == ours.reason && again.facts == ours.facts, "written again it is " + said(again));
}

void check_json(std::string_view input) {
  // A blank in front makes any input JSON.
  const std::string text = " " + std::string(input);
  if (text.size() > kRecordBytesMax) return;
  const Decoded ours = decode(text);
  if (!input.empty() && input[0] == '{') require(decode(input) == ours, "a blank in front changes what we say");
  v1::Event event;
  // The library also takes what is no JSON (single quotes, names without quotes): there only our yes binds.
  const Json json = judge(text);
  if (json == Json::kOpen) return;
  if (json == Json::kNone) {
    require(ours.reason != Reason::kNone, "we take what is no JSON");
    return;
  }
  const bool parses = parse_json(text, event);
  if (!parses && nameless(text)) return;
  if (!parses && ours.reason == Reason::kNone) {
    // RFC 3339 allows a lower-case 't' and 'z', which the library does not. The ids change with them.
    std::string upper = text;
    for (size_t i = 1; i < upper.size(); ++i)
      if (digit(upper[i - 1]) && (upper[i] == 't' || upper[i] == 'z')) upper[i] = static_cast<char>(upper[i] - 32);
    require(parse_json(upper, event), "we read an event where the library refuses: " + ours.facts);
    return;
  }
  if (!parses) return;
  // The library takes times with single digits, booleans in quotes, and one text for a list of them, which proto3 JSON
  // does not have.
  for (const std::string_view strictness : {"is not an RFC 3339 time", "is neither true nor false", "is not an array"})
    if (ours.detail.ends_with(strictness)) return;
  require(!unreadable(ours.reason), "we say " + said(ours) + " of " + event.DebugString());
  compare(ours, event);
}

}  // namespace bellwether::fuzz

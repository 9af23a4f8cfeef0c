// Events as proto3 JSON lines of bellwether.v1.Event, written by hand: importers and the simulator make millions.
#pragma once

#include <string>
#include <string_view>

#include "operators/fact.h"

namespace bellwether {

// Appends a JSON string literal. `text` must be UTF-8 (see valid_utf8).
void append_json_string(std::string_view text, std::string& out);
bool valid_utf8(std::string_view text);

// Appends one event as a JSON object without a line end. Fields at their proto default are left out; ids are taken from
// the texts, hashes and `home` are ignored. Enums by proto name, 64-bit numbers as strings, times with microseconds.
void append_event_json(const Fact& event, std::string& out);

// The enum's values by their short lower-case names, from 1 ("like", "share", …): what options and tables of users say.
// Gives 0 for an unknown name. A full proto name ("LIKE_KIND_LIKE") in any case is understood too.
enum class EventEnum : uint8_t {
  kPostKind,
  kPostAction,
  kLikeKind,
  kReferralStage,
  kBetaTestKind,
  kBetaTestStatus,
  kPrompt,
  kAccountAction,
  kFeedbackKind
};
uint8_t enum_value(EventEnum which, std::string_view name);
std::string enum_names(EventEnum which);  // "like, share, follow, …", for messages

}  // namespace bellwether

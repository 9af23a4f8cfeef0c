// proto3 JSON to protobuf bytes, so that one reader decides for both.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pipeline/decode/arena.h"
#include "pipeline/decode/reason.h"

namespace bellwether::decode {

// Keeps the parser's memory; one a thread.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  // Translates one JSON object into an Event's bytes in `arena`. Taken as proto3 JSON says: names in camelCase or as in
  // the .proto, enums by name or number, 64-bit numbers as text or number, RFC 3339 times, null for absent; unknown
  // fields are skipped, an unknown name of an enum is 0. kNone: `wire` is set. Otherwise `detail`, if not null, says
  // what is wrong.
  Reason translate(std::string_view json, Arena& arena, std::string_view& wire, std::string* detail);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bellwether::decode

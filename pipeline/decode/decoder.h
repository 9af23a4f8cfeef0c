// From the bytes of a record to a fact, or to the reason why it is a dead letter. Pure: the same bytes give the same
// answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "operators/fact.h"
#include "operators/hash.h"
#include "pipeline/decode/arena.h"
#include "pipeline/decode/reason.h"

namespace bellwether {

// What takes the place of a record that was a dead letter and named somebody who is erased: no event either, for the
// same reason. No producer can mean it: its beginning was a malformed schema-registry prefix from the first.
std::string encode_erased_dead(Reason reason, std::string_view detail);

// One for each thread: it keeps the JSON parser's memory.
class Decoder {
 public:
  // `hasher` must outlive the decoder.
  explicit Decoder(const Hasher& hasher);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) = delete;

  // Decodes one record in any of the three encodings, told apart by the first byte: '{' or a blank is proto3 JSON, 0
  // the schema-registry prefix, anything else bare protobuf. kNone: `out` is a valid event; its views point into
  // `value` or into `arena` and live as long as both. Any other reason: `out` is unspecified, and `detail`, if not
  // null, says in a sentence what is wrong, naming the field ("like.author is empty").
  Reason decode(std::string_view value, Arena& arena, Fact& out, std::string* detail);

 private:
  const Hasher* hasher_;
  struct Json;
  std::unique_ptr<Json> json_;
};

}  // namespace bellwether

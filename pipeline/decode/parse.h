// The two halves of decoding protobuf bytes: parse reads the wire into a fact, check makes sure of the contract and
// fills in what follows from it (hashes, times, the home). Between them stands what a fact has no place for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "operators/fact.h"
#include "pipeline/decode/reason.h"

namespace bellwether::decode {

// What is wrong; reason kNone while nothing is. `where` is a field's path, `what` the rest of the sentence; both
// literals.
struct Problem {
  Reason reason = Reason::kNone;
  const char* where = "";
  const char* what = "";
};

// A google.protobuf.Timestamp as it stands on the wire; its parts may come apart and merge.
struct RawTime {
  int64_t seconds = 0;
  int32_t nanos = 0;
  bool present = false;
};

struct Parsed {
  RawTime time, expires;   // `expires` is of the body
  uint32_t body = 0;       // field number of Event.body, 0 where none is set
  uint32_t judgement = 0;  // field number of Judgement.body, 0 where none is set
  uint32_t topics = 0;     // how many there are; only the first kTopicsMax are kept
};

// Reads an Event's bytes with proto3's rules: the last value of a field wins, messages given twice merge, of a oneof
// the last member stands. Ids are not hashed yet; unknown values of enums are 0. False, with `problem` set, if it is no
// event.
bool parse_event(std::string_view wire, Fact& out, Parsed& parsed, Problem& problem);

// The contract's checks in a fixed order; the first that fails is the problem. True: `fact` is complete.
bool check_event(const Hasher& hasher, const Parsed& parsed, Fact& fact, Problem& problem);

}  // namespace bellwether::decode

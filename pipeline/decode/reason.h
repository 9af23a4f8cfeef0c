// Why a record is a dead letter. The numbers are those of bellwether.v1.DeadLetterReason; they are stored: never
// renumber.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "operators/limits.h"

namespace bellwether {

enum class Reason : uint8_t {
  kNone = 0,             // no dead letter: the record is an event
  kUndecodable = 1,      // the bytes are no event in any of the encodings
  kTooLarge = 2,         // the record is larger than kRecordBytesMax
  kInvalidUtf8 = 3,      // a text is not UTF-8
  kEmptyId = 4,          // a required id is empty
  kIdTooLong = 5,        // an id is longer than kIdBytesMax
  kUnspecifiedEnum = 6,  // a required enum is 0 or unknown
  kBodyMissing = 7,      // the event, or a judgement, has no body
  kTimeMissing = 8,      // the event has no time
  kInvalidTime = 9,      // a time that is none, or outside the years 1678 to 2262
  kOutOfRange = 10,      // a number outside its range
  kTextTooLong = 11,     // a name or token over kNameBytesMax, or a reason over kReasonBytesMax
  kTooManyTopics = 12,   // more than kTopicsMax
  kFuture = 13,          // event time too far after the append time; found by schedule
  kExpired = 14,         // the event's day has left the score window; found by schedule
};
constexpr size_t kReasons = 15;  // Reason < kReasons

constexpr size_t kNameBytesMax = 64;
constexpr size_t kReasonBytesMax = 500;
constexpr size_t kTopicsMax = 8;

// As in filters, metrics and logs: "empty_id"; "none" for kNone.
std::string_view reason_name(Reason reason);

}  // namespace bellwether

// Requests on the wire. What one may take as an object is known, and bounded, before the object is made: two bytes of a
// request can be a position without a field, or an event, or an id, and these take forty times the bytes and more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bellwether {

struct RequestSize {
  size_t fields = 0;  // at its top level: each element of a list is one
  size_t weight = 0;  // bytes of memory that its object takes at most
};
// False where the bytes are no protobuf message.
bool weigh_request(std::string_view wire, RequestSize& out);

// A publish request: its events are cut out and handed on as they came, and never become objects, for a request of
// 4 MB may hold two million empty ones.
struct PublishWire {
  std::vector<std::string_view> events;  // as far as they were asked for; point into the request
  size_t count = 0;                      // how many there are
  uint64_t sequence = 0;                 // of PublishStreamRequest
};

// The fields of PublishRequest and PublishStreamRequest in schemas/bellwether/v1/ingest.proto; 0: it has none.
struct PublishFields {
  uint32_t events = 0, sequence = 0;
};
constexpr PublishFields kPublishRequest{1, 0}, kPublishStreamRequest{2, 1};

// Cuts out up to `most` events, and counts all. False where the bytes are no protobuf message.
bool read_publish(std::string_view wire, PublishFields fields, size_t most, PublishWire& out);

// Whether the event's body is a judgement: of a oneof the last member stands. Of broken bytes: as far as they can be
// read.
bool is_judgement(std::string_view event);

}  // namespace bellwether

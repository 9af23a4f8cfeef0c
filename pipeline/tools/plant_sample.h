// What `plant` needs to know of an event file, found in one pass with bounded memory.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <unordered_map>
#include <vector>

#include "operators/fact.h"
#include "pipeline/sources/source.h"
#include "pipeline/tools/random.h"

namespace bellwether {

struct PlantPost {
  std::string id, author, kind;  // kind: the JSON name of the enum, may be empty
  int64_t born_us = 0;           // its record, or its first like
};
struct PlantLike {
  int64_t time_us = 0;
  PlantPost post;  // born_us is not set
};

struct PlantUser {
  std::string name;
  uint32_t likes = 0;
  int64_t first_us = 0, last_us = 0;  // of their likes
};

class PlantSample {
 public:
  explicit PlantSample(uint64_t seed) : seed_(seed), random_(seed) {}
  Status read(const std::string& path, std::ostream& err);

  std::vector<PlantPost> posts;  // an even sample of all posts, by time of birth
  std::vector<PlantUser> users;  // an even sample of the users with at least three likes, by name
  std::vector<PlantLike> likes;  // an even sample of all likes, by time
  int64_t first_us = 0, last_us = 0;
  uint64_t events = 0, others = 0;  // lines that are events, lines that are none

 private:
  // The k ids of lowest hash: an even sample of distinct ids, each known from its first sight on.
  template <typename Value>
  class Lowest;
  uint64_t seed_;
  Random random_;
};

// Reads the time of an event line; false where the line is no event.
class EventTimeReader {
 public:
  EventTimeReader();
  ~EventTimeReader();
  bool time_of(std::string_view line, int64_t& time_us);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bellwether

// What is known of planted rings, as JSON lines beside the events:
//   {"user":"u12","ring":"ring1"}          a member
//   {"ring":"ring1","beneficiary":"u77"}   whom the ring's likes serve; not a member
//   {"ring":"ring1","like":"e345","time":"2025-01-09T…Z","post":"p5"}   one of the ring's own likes, by its event id
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/tools/lines.h"

namespace bellwether {

class LabelWriter {
 public:
  // An empty path writes nothing.
  Status open(const std::string& path);
  Status member(std::string_view ring, std::string_view user);
  Status beneficiary(std::string_view ring, std::string_view user);
  Status like(std::string_view ring, std::string_view event, int64_t time_us, std::string_view post);
  Status finish();

 private:
  LineWriter out_;
  std::string line_;
  bool open_ = false;
};

struct RingLabels {
  std::set<std::string, std::less<>> members, beneficiaries;
  std::vector<int64_t> likes_us;  // sorted; empty where the labels name no likes
};
// By ring. Lines of other shapes are errors that name file and line. Memory: the labels.
Status read_labels(const std::string& path, std::map<std::string, RingLabels>& rings);

}  // namespace bellwether

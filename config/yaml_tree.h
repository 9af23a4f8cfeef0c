// YAML as a plain tree with line numbers. Only what a configuration needs: maps, lists, scalars. Anchors, aliases, tags
// and several documents are refused, and everything is bounded, so that a hostile file costs nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace bellwether {

constexpr size_t kYamlBytesMax = 1 << 20;
constexpr size_t kYamlScalarBytesMax = 64 << 10;
constexpr size_t kYamlNodesMax = 20000;
constexpr size_t kYamlDepthMax = 8;

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;       // from 1; of the value
  bool plain = true;  // a scalar without quotes
  std::string text;   // of a scalar
  std::string key;    // of a map's member
  int key_line = 0;
  std::vector<YamlNode>
      members;  // of a list or map, in the order written; a map may hold a key twice: the caller judges
};

// `name` stands in front of the line in errors: "NAME:LINE: broken YAML: …". An empty text is a null node.
Result<YamlNode> parse_yaml(std::string_view text, const std::string& name);

}  // namespace bellwether

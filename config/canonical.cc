#include <xxhash.h>

#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/schema.h"

namespace bellwether {
namespace {

constexpr std::string_view kGroup = "community.";

// Writes nested YAML from full names that come group by group: a group's head once, then its keys two blanks deeper.
class Outline {
 public:
  void add(std::string_view name, const std::string& value) {
    std::vector<std::string> groups;
    for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
      groups.emplace_back(name.substr(0, dot));
      name.remove_prefix(dot + 1);
    }
    size_t common = 0;
    while (common < groups.size() && common < open_.size() && groups[common] == open_[common]) ++common;
    for (size_t depth = common; depth < groups.size(); ++depth) line(depth, groups[depth], "");
    line(groups.size(), name, " " + value);
    open_ = std::move(groups);
  }
  std::string text() && { return std::move(text_); }

 private:
  void line(size_t depth, std::string_view name, const std::string& rest) {
    text_.append(2 * depth, ' ').append(name).append(":").append(rest).append("\n");
  }
  std::vector<std::string> open_;
  std::string text_;
};

}  // namespace

std::string canonical(const CommunityConfig& community) {
  Config config;
  config.community = community;
  Outline outline;
  bool profiles_written = false;
  for (const KeySpec& key : schema()) {
    if (!key.name.starts_with(kGroup)) continue;
    const std::string name = key.name.substr(kGroup.size());
    if (name.find('*') == std::string::npos) {
      outline.add(name, value_text(key, "", config));
    } else if (!profiles_written) {
      profiles_written = true;
      for (const ProfileConfig& profile : community.profiles) {
        for (size_t i = 0; i < profile.weights.size(); ++i) {
          std::string chosen;
          const std::string weight = "profiles." + profile.name + "." + kCapabilityNames[i];
          outline.add(weight, value_text(*find_key(std::string(kGroup) + weight, chosen), profile.name, config));
        }
      }
    }
  }
  return std::move(outline).text();
}

uint64_t content_hash(const CommunityConfig& community) {
  const std::string text = canonical(community);
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace bellwether

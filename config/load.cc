#include "config/load.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "config/check.h"
#include "config/schema.h"
#include "config/text.h"
#include "config/yaml_tree.h"

namespace bellwether {
namespace {

constexpr std::string_view kPrefix = "BELLWETHER_";

// engine.threads -> BELLWETHER_ENGINE_THREADS
std::string environment_name(std::string_view key) {
  std::string name(kPrefix);
  for (const char c : key) name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string below(std::string_view group, std::string_view name) {
  return group.empty() ? std::string(name) : std::string(group) + "." + std::string(name);
}

// A name as it was given; one that a terminal could choke on, or very long, as quoted() shows it.
std::string shown(const std::string& name) {
  const auto printable = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
  const bool plain = name.size() <= 100 && !invalid_utf8_at(name) && std::all_of(name.begin(), name.end(), printable);
  return plain ? name : quoted(name);
}

std::string shown(const YamlNode& node, const KeySpec* key) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
    case YamlNode::Kind::kScalar:
      break;
  }
  if (key && key->secret) return "a text of " + std::to_string(node.text.size()) + " bytes";
  const bool number_in_quotes = key && !node.plain && key->type != ValueType::kText && key->type != ValueType::kList;
  return quoted(node.text) + (number_in_quotes ? " in quotes" : "");
}

class Loader {
 public:
  explicit Loader(std::string file) : file_(std::move(file)) {}

  void read_tree(const YamlNode& root, const std::string& group) {
    if (root.kind == YamlNode::Kind::kMap) {
      walk(root, group);
    } else if (root.kind != YamlNode::Kind::kNull) {
      error(place(root.line), "given " + shown(root, nullptr) + ", allowed: a map of " + join(children_of(group)));
    }
  }

  void read_environment(const Environment& environment) {
    std::map<std::string, const KeySpec*> names;
    for (const KeySpec& key : schema()) names.emplace(environment_name(key.name), &key);
    for (const auto& [name, value] : environment) {
      if (!name.starts_with(kPrefix) || is_foreign(std::string_view(name).substr(kPrefix.size()))) continue;
      const std::string origin = "environment " + shown(name);
      std::string chosen;
      const KeySpec* key = nullptr;
      if (const auto it = names.find(name); it != names.end()) key = it->second;
      if (!key) key = find_starred(name, chosen);
      if (key) {
        set_text(*key, chosen, value, origin);
        continue;
      }
      std::vector<std::string> candidates;
      candidates.reserve(names.size());
      for (const auto& known : names) candidates.push_back(known.first);
      const std::string near = closest(name, candidates);
      error(origin, "unknown key" + (near.empty() ? ", allowed: BELLWETHER_SECTION_KEY as in bellwether.yaml"
                                                  : "; did you mean " + near + "?"));
    }
  }

  void read_sets(const std::vector<std::string>& sets) {
    std::set<std::string> seen;
    for (const std::string& set : sets) {
      const size_t equals = set.find('=');
      const std::string name = set.substr(0, equals);
      const std::string origin = name.empty() ? "--set" : "--set " + shown(name);
      if (equals == std::string::npos || name.empty()) {
        error(origin, "given " + quoted(set) + ", allowed: KEY=VALUE");
        continue;
      }
      if (!seen.insert(name).second) {
        bad_.insert(name);
        error(origin, "given twice");
        continue;
      }
      std::string chosen;
      if (const KeySpec* key = find_key(name, chosen)) {
        set_text(*key, chosen, set.substr(equals + 1), origin);
      } else if (is_group(name)) {
        error(origin, "is a group of keys, allowed: one of " + join(children_of(name)) + " below it");
      } else {
        const size_t dot = name.rfind('.');
        const bool has_group = dot != std::string::npos && is_group(std::string_view(name).substr(0, dot));
        error(origin, unknown(has_group ? name.substr(0, dot) : "", has_group ? name.substr(dot + 1) : name));
      }
    }
  }

  // The rules over several keys. One that leans on a key already found wrong would only repeat that.
  void check(bool whole_process) {
    const Fail fail = [this](const std::vector<std::string>& keys, const std::string& why) {
      const auto is_bad = [this](const std::string& key) { return bad_.contains(key); };
      if (std::any_of(keys.begin(), keys.end(), is_bad)) return;
      std::string origin = "defaults";
      for (const std::string& key : keys) {
        if (const auto it = origins_.find(key); it != origins_.end()) {
          origin = it->second;
          break;
        }
      }
      const bool named = why.starts_with(keys.front()) || origin.ends_with(" " + keys.front());
      error(origin, named ? why : keys.front() + ": " + why);
    };
    check_community(config_, fail);
    if (whole_process) check_process(config_, fail);
  }

  const std::vector<std::string>& seen() const { return seen_; }
  void error(const std::string& where, const std::string& what) { errors_.push_back(where + ": " + what); }
  Result<Config> result() && {
    return errors_.empty() ? Result<Config>(std::move(config_)) : Result<Config>::failed(std::move(errors_));
  }

 private:
  std::string place(int line) const { return file_ + ":" + std::to_string(line); }

  static bool is_foreign(std::string_view rest) {
    return rest.starts_with("CTL_") || rest.starts_with("TEST_") || rest.starts_with("BROKER_") || rest == "TOKEN" ||
           rest == "CACHE" || rest == "DATA" || rest == "SERVICE_HOST" || rest.starts_with("SERVICE_PORT") ||
           rest == "PORT" || rest.starts_with("PORT_");
  }

  static const KeySpec* find_starred(const std::string& name, std::string& chosen) {
    for (const KeySpec& key : schema()) {
      const size_t star = key.name.find('*');
      if (star == std::string::npos) continue;
      const std::string front = environment_name(key.name.substr(0, star));
      std::string back;
      for (const char c : environment_name(key.name.substr(star + 1)).substr(kPrefix.size())) back += c;
      if (name.size() <= front.size() + back.size() || !name.starts_with(front) || !name.ends_with(back)) continue;
      chosen = name.substr(front.size(), name.size() - front.size() - back.size());
      const bool property = back.empty();  // librdkafka's names are lower case with dots
      for (char& c : chosen)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '_' && property ? '.' : c;
      if (property || is_profile_name(chosen)) return &key;
    }
    return nullptr;
  }

  void walk(const YamlNode& map, const std::string& group) {
    std::map<std::string_view, int> lines;
    for (const YamlNode& node : map.members) {
      const std::string name = below(group, node.key);
      const std::string where = place(node.key_line);
      if (const auto [it, fresh] = lines.emplace(node.key, node.key_line); !fresh) {
        error(where, below(group, shortened(node.key)) + ": given twice, first on line " + std::to_string(it->second));
        bad_.insert(name);
        continue;
      }
      std::string chosen;
      const bool dotted = node.key.find('.') != std::string::npos && group != "kafka.properties";
      if (const KeySpec* key = dotted ? nullptr : find_key(name, chosen)) {
        set_node(*key, name, chosen, node, where);
      } else if (!dotted && is_group(name)) {
        walk_group(node, name, where);
      } else {
        error(where, below(group, shortened(node.key)) + ": " + unknown(group, node.key));
      }
    }
  }

  void walk_group(const YamlNode& node, const std::string& name, const std::string& where) {
    origins_[name] = where;
    // The profiles of a file are the profiles: a default one is left out by not naming it.
    if (name == "community.profiles" && node.kind == YamlNode::Kind::kMap) config_.community.profiles.clear();
    if (name.starts_with("community.profiles.") && node.kind == YamlNode::Kind::kMap) {
      config_.community.profiles.push_back({name.substr(std::string_view("community.profiles.").size()), {}});
    }
    if (node.kind == YamlNode::Kind::kMap) {
      walk(node, name);
    } else if (node.kind != YamlNode::Kind::kNull) {  // a group whose keys are all commented out is empty, not wrong
      error(where, name + ": given " + shown(node, nullptr) + ", allowed: a map" + keys_below(name));
    }
  }

  static std::string keys_below(const std::string& group) {
    const std::vector<std::string> names = children_of(group);
    return names.empty() ? "" : " of " + join(names);
  }

  static std::string shortened(const std::string& key) {
    const std::string text = quoted(key);
    return text == "\"" + key + "\"" ? key : text;
  }

  // What to say of a key that is not there: the nearest, or else what may stand there.
  static std::string unknown(const std::string& group, const std::string& name) {
    const std::vector<std::string> siblings = children_of(group);
    std::string near = closest(name, siblings);
    if (!near.empty()) near = below(group, near);
    std::vector<std::string> all;
    for (const KeySpec& key : schema()) {
      if (near.empty() && key.name.ends_with("." + name)) near = key.name;
      all.push_back(key.name);
    }
    if (near.empty()) near = closest(below(group, name), all);
    if (!near.empty()) return "unknown key; did you mean " + near + "?";
    if (group == "community.profiles") return "unknown key, allowed: a name of a-z 0-9 _ that begins with a letter";
    return "unknown key, allowed" + (group.empty() ? "" : " in " + group) + ": " + join(siblings);
  }

  void set_node(const KeySpec& key, const std::string& name, const std::string& chosen, const YamlNode& node,
                const std::string& where) {
    bool fits = false;
    if (key.type == ValueType::kList && node.kind == YamlNode::Kind::kList) {
      std::vector<std::string> texts;
      fits = true;
      for (const YamlNode& entry : node.members) {
        std::vector<std::string> one{entry.text};
        Config scratch;
        if (entry.kind == YamlNode::Kind::kScalar && set_list(key, chosen, one, scratch)) {
          texts.push_back(entry.text);
          continue;
        }
        bad_.insert(name);
        error(place(entry.line), name + ": given " + shown(entry, &key) + " in it, allowed: " + key.allowed);
      }
      if (texts.size() == node.members.size()) set_list(key, chosen, std::move(texts), config_);
    } else if (node.kind == YamlNode::Kind::kScalar) {
      fits = set_value(key, chosen, node.text, node.plain, config_);
    }
    if (!fits) {
      bad_.insert(name);
      error(where, name + ": given " + shown(node, &key) + ", allowed: " + key.allowed);
    }
    origins_[name] = where;
    seen_.push_back(name);
  }

  void set_text(const KeySpec& key, const std::string& chosen, const std::string& text, const std::string& origin) {
    std::string name = key.name;
    if (const size_t star = name.find('*'); star != std::string::npos) name.replace(star, 1, chosen);
    bool fits = false;
    if (key.type == ValueType::kList) {
      std::vector<std::string> texts;
      for (size_t from = 0; from < text.size();) {
        const size_t comma = std::min(text.find(',', from), text.size());
        texts.push_back(text.substr(from, comma - from));
        from = comma + 1;
      }
      fits = set_list(key, chosen, std::move(texts), config_);
    } else {
      fits = set_value(key, chosen, text, true, config_);
    }
    if (!fits) {
      YamlNode node;
      node.kind = text.empty() ? YamlNode::Kind::kNull : YamlNode::Kind::kScalar;
      node.text = text;
      error(origin, (origin.ends_with(" " + name) ? "" : name + ": ") + "given " + shown(node, &key) +
                        ", allowed: " + key.allowed);
    }
    fits ? bad_.erase(name) : bad_.insert(name).second;
    origins_[name] = origin;
  }

  std::string file_;
  Config config_ = default_config();
  std::vector<std::string> errors_;
  std::map<std::string, std::string> origins_;  // key -> where its value was given
  std::set<std::string> bad_;                   // keys with an error of their own
  std::vector<std::string> seen_;               // keys of the file
};

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

Result<Config> load(const std::optional<std::string>& path, const std::vector<std::string>& sets,
                    const Environment& environment) {
  if (!path) return load_text("", "", sets, environment);
  std::string why;
  const auto text = read_file(*path, kYamlBytesMax, why);
  if (text) return load_text(*text, *path, sets, environment);
  Loader loader(*path);
  loader.error(*path, why);
  loader.read_environment(environment);
  loader.read_sets(sets);
  return std::move(loader).result();
}

Result<Config> load_text(std::string_view text, const std::string& name, const std::vector<std::string>& sets,
                         const Environment& environment) {
  Loader loader(name);
  const auto tree = parse_yaml(text, name);
  if (tree.ok()) {
    loader.read_tree(tree.value(), "");
  } else {
    for (const std::string& why : tree.errors())
      loader.error(why.substr(0, why.find(": ")), why.substr(why.find(": ") + 2));
  }
  loader.read_environment(environment);
  loader.read_sets(sets);
  if (tree.ok()) loader.check(true);
  return std::move(loader).result();
}

Result<std::vector<std::string>> keys_set_in(std::string_view text, const std::string& name) {
  const auto tree = parse_yaml(text, name);
  if (!tree.ok()) return Result<std::vector<std::string>>::failed(tree.errors());
  Loader loader(name);
  loader.read_tree(tree.value(), "");
  const std::vector<std::string> seen = loader.seen();
  const auto config = std::move(loader).result();
  return config.ok() ? Result(seen) : Result<std::vector<std::string>>::failed(config.errors());
}

Result<CommunityConfig> parse_canonical(std::string_view text) {
  const std::string name = "community configuration";
  const auto tree = parse_yaml(text, name);
  if (!tree.ok()) return Result<CommunityConfig>::failed(tree.errors());
  Loader loader(name);
  loader.read_tree(tree.value(), "community");
  loader.check(false);
  const auto config = std::move(loader).result();
  if (!config.ok()) return Result<CommunityConfig>::failed(config.errors());
  CommunityConfig community = config.value().community;
  // Before there was the key everybody's minutes were the clock's.
  const auto names_it = [](const YamlNode& member) { return member.key == "own_minutes"; };
  if (std::none_of(tree.value().members.begin(), tree.value().members.end(), names_it)) community.own_minutes = false;
  return community;
}

}  // namespace bellwether

// The table of every key of the configuration: name, type, range, unit, where it lives in Config. The loader, `--set`,
// the environment, the canonical text and the documentation check all read this one table; the defaults are Config's
// own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"

namespace bellwether {

enum class ValueType : uint8_t {
  kWhole,   // uint32_t
  kPoints,  // int64_t micro-points, written in points with up to 6 decimals
  kWeight,  // uint32_t thousandths, written as a number with up to 3 decimals
  kBool,
  kText,
  kList,  // of text
};

using Slot = std::variant<uint32_t*, int64_t*, bool*, std::string*, std::vector<std::string>*>;

struct KeySpec {
  std::string name;  // "engine.threads"; one segment may be "*", a name the operator chooses
  ValueType type = ValueType::kText;
  int64_t min = 0;  // kWhole, kPoints, kWeight: of the value as stored; kText, kList: bytes of a text
  int64_t max = 0;
  std::string unit;                                     // "ms", "MB", "points", …; empty where there is none
  std::string allowed;                                  // for messages: "a whole number 1..256 (threads)"
  bool (*check)(std::string_view) = nullptr;            // kText, kList: what a text must look like beyond its length
  bool secret = false;                                  // its value never shows in a message
  std::function<Slot(Config&, std::string_view)> slot;  // the second is what "*" stands for, made if it is new
};

// In the order of config/bellwether.yaml.
const std::vector<KeySpec>& schema();

// The key with this full name, and in `chosen` what stands for its "*". Null: no such key.
const KeySpec* find_key(std::string_view name, std::string& chosen);
// Whether `name` is a group of keys ("engine", "community.rules.like_received").
bool is_group(std::string_view name);
// The names directly below a group, "*" left out, in order, each once. The empty name is the root.
std::vector<std::string> children_of(std::string_view group);

// Sets a key from text as written in YAML or after `=`. `plain`: without quotes. False: not allowed, nothing is
// changed.
bool set_value(const KeySpec& key, std::string_view chosen, std::string_view text, bool plain, Config& config);
bool set_list(const KeySpec& key, std::string_view chosen, std::vector<std::string> texts, Config& config);
// The value as YAML: what set_value() and set_list() read back to the same value.
std::string value_text(const KeySpec& key, std::string_view chosen, const Config& config);

// The names of the points rules in order, with their RuleId and capability.
struct RuleName {
  RuleId id;
  const char* name;
  int capability;                     // 1..4
  int64_t points_micros, cap_micros;  // defaults
};
const std::vector<RuleName>& rule_names();
extern const char* const kCapabilityNames[4];  // innovation, communication, referral, knowledge
extern const char* const kTierNames[5];        // "", member, contributor, key, lead: by bellwether.v1.Tier

bool is_profile_name(std::string_view name);  // [a-z][a-z0-9_]*, at most 64 bytes
// HOST:PORT with HOST a name, an IPv4 or a bracketed IPv6 address, PORT 0..65535 (0: any free one).
bool is_listen_address(std::string_view address);
// Whether only this machine can connect to the address. False for what is not an address.
bool is_loopback(std::string_view address);

}  // namespace bellwether

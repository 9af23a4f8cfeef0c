#include "config/schema.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "config/text.h"

namespace bellwether {
namespace {

constexpr int64_t kPointsMaxMicros = 1'000'000'000'000;  // a million points
constexpr int kPointsDigits = 6, kWeightDigits = 3;

bool is_any_text(std::string_view) { return true; }

bool is_topic(std::string_view text) {
  return text != "." && text != ".." && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}
bool is_level(std::string_view text) {
  return text == "trace" || text == "debug" || text == "info" || text == "warn" || text == "error" || text == "off";
}
bool is_format(std::string_view text) { return text == "text" || text == "json"; }
bool is_on_gap(std::string_view text) { return text == "fail" || text == "skip"; }
bool is_listen_or_empty(std::string_view text) { return text.empty() || is_listen_address(text); }

// HOST and PORT of an address; an empty host if it is none.
std::pair<std::string_view, int> split_address(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string_view host = address.substr(0, colon);
  const auto port = parse_decimal(address.substr(colon + 1), 0);
  if (!port || *port > 65535) return {};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) return {};
    if (host.find(':') == std::string_view::npos) return {};
  } else if (host.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") !=
             std::string_view::npos) {
    return {};
  }
  return {host, static_cast<int>(*port)};
}

std::string with_unit(const std::string& text, const std::string& unit) {
  return unit.empty() ? text : text + " (" + unit + ")";
}

class Table {
 public:
  std::vector<KeySpec> keys;

  template <class Get>
  void whole(std::string name, int64_t min, int64_t max, std::string unit, Get get) {
    const std::string allowed = "a whole number " + std::to_string(min) + ".." + std::to_string(max);
    add({std::move(name), ValueType::kWhole, min, max, unit, with_unit(allowed, unit)}, get);
  }
  template <class Get>
  void boolean(std::string name, Get get) {
    add({std::move(name), ValueType::kBool, 0, 1, "", "true or false"}, get);
  }
  template <class Get>
  void text(std::string name, int64_t min, int64_t max, std::string allowed, bool (*check)(std::string_view), Get get) {
    add({std::move(name), ValueType::kText, min, max, "", std::move(allowed), check}, get);
  }
  template <class Get>
  void path(std::string name, Get get) {
    text(std::move(name), 0, 4096, "a path of at most 4096 bytes, or \"\" for none", is_any_text, get);
  }
  template <class Get>
  void points(std::string name, Get get) {
    add({std::move(name), ValueType::kPoints, 0, kPointsMaxMicros, "points",
         "a number 0..1000000 with at most 6 decimals (points)"},
        get);
  }
  template <class Get>
  void add(KeySpec key, Get get) {
    key.slot = [get](Config& config, std::string_view chosen) -> Slot {
      if constexpr (std::is_invocable_v<Get, Config&, std::string_view>) {
        return &get(config, chosen);
      } else {
        return &get(config);
      }
    };
    keys.push_back(std::move(key));
  }
};

void engine_keys(Table& t) {
  t.text(
      "engine.data_dir", 1, 4096, "a path of 1..4096 bytes", is_any_text,
      [](Config & c) -> auto& { return c.engine.data_dir; });
  t.whole(
      "engine.threads", 1, 256, "threads", [](Config & c) -> auto& { return c.engine.threads; });
  t.whole(
      "engine.shards", 1, 256, "shards", [](Config & c) -> auto& { return c.engine.shards; });
  t.whole(
      "engine.lateness_ms", 0, 3'600'000, "ms", [](Config & c) -> auto& { return c.engine.lateness_ms; });
  t.whole(
      "engine.skew_minutes", 0, 1440, "minutes", [](Config & c) -> auto& { return c.engine.skew_minutes; });
  t.whole(
      "engine.idle_ms", 100, 3'600'000, "ms", [](Config & c) -> auto& { return c.engine.idle_ms; });
  t.whole(
      "engine.max_lag_ms", 0, 604'800'000, "ms", [](Config & c) -> auto& { return c.engine.max_lag_ms; });
  t.whole(
      "engine.batch", 1, 100'000, "records", [](Config & c) -> auto& { return c.engine.batch; });
  t.whole(
      "engine.commit_ms", 10, 60'000, "ms", [](Config & c) -> auto& { return c.engine.commit_ms; });
  t.whole(
      "engine.commit_behind_ms", 10, 600'000, "ms", [](Config & c) -> auto& { return c.engine.commit_behind_ms; });
  t.whole(
      "engine.commit_mb", 1, 4096, "MB", [](Config & c) -> auto& { return c.engine.commit_mb; });
  t.whole(
      "engine.cache_mb", 8, 1'048'576, "MB", [](Config & c) -> auto& { return c.engine.cache_mb; });
  t.whole(
      "engine.block_cache_mb", 8, 1'048'576, "MB", [](Config & c) -> auto& { return c.engine.block_cache_mb; });
  t.whole(
      "engine.write_buffer_mb", 4, 1'048'576, "MB", [](Config & c) -> auto& { return c.engine.write_buffer_mb; });
  t.whole(
      "engine.pending_mb", 8, 1'048'576, "MB", [](Config & c) -> auto& { return c.engine.pending_mb; });
  t.whole(
      "engine.nice", 0, 19, "steps", [](Config & c) -> auto& { return c.engine.nice; });
}

void source_keys(Table& t) {
  t.text(
      "kafka.brokers", 0, 4096, "HOST:PORT,… of at most 4096 bytes, or \"\" for no Kafka", is_any_text,
      [](Config & c) -> auto& { return c.kafka.brokers; });
  t.add(
      {"kafka.topics", ValueType::kList, 1, 249, "",
       "a list of topic names (letters, digits, . _ -; 1..249 bytes each)", is_topic},
      [](Config & c) -> auto& { return c.kafka.topics; });
  t.text(
      "kafka.group", 1, 255, "a name of 1..255 bytes", is_any_text, [](Config & c) -> auto& { return c.kafka.group; });
  t.add(
      {"kafka.properties.*", ValueType::kText, 0, 65536, "", "a text of at most 65536 bytes", is_any_text, true},
      [](Config & c, std::string_view name) -> auto& { return c.kafka.properties[std::string(name)]; });
  t.whole(
      "kafka.refresh_s", 1, 86'400, "s", [](Config & c) -> auto& { return c.kafka.refresh_s; });
  t.whole(
      "kafka.statistics_s", 0, 3600, "s", [](Config & c) -> auto& { return c.kafka.statistics_s; });
  t.whole(
      "kafka.queued_mb", 1, 2048, "MB", [](Config & c) -> auto& { return c.kafka.queued_mb; });
  t.boolean(
      "kafka.outputs", [](Config & c) -> auto& { return c.kafka.outputs; });
  t.text(
      "kafka.out_prefix", 1, 200, "a topic name (letters, digits, . _ -) of 1..200 bytes", is_topic,
      [](Config & c) -> auto& { return c.kafka.out_prefix; });
  t.text(
      "kafka.on_gap", 1, 16, "one of fail, skip", is_on_gap, [](Config & c) -> auto& { return c.kafka.on_gap; });
  t.boolean(
      "log.enabled", [](Config & c) -> auto& { return c.log.enabled; });
  t.whole(
      "log.partitions", 1, 256, "partitions", [](Config & c) -> auto& { return c.log.partitions; });
  t.whole(
      "log.segment_mb", 1, 1024, "MB", [](Config & c) -> auto& { return c.log.segment_mb; });
  t.whole(
      "log.retention_hours", 0, 87'600, "hours", [](Config & c) -> auto& { return c.log.retention_hours; });
  t.whole(
      "log.fsync_ms", 0, 1000, "ms", [](Config & c) -> auto& { return c.log.fsync_ms; });
}

void service_keys(Table& t) {
  t.text(
      "service.listen", 1, 256, "HOST:PORT with a port 0..65535", is_listen_address,
      [](Config & c) -> auto& { return c.service.listen; });
  t.path(
      "service.tls_cert", [](Config & c) -> auto& { return c.service.tls_cert; });
  t.path(
      "service.tls_key", [](Config & c) -> auto& { return c.service.tls_key; });
  t.path(
      "service.tls_client_ca", [](Config & c) -> auto& { return c.service.tls_client_ca; });
  t.path(
      "service.tokens", [](Config & c) -> auto& { return c.service.tokens; });
  t.whole(
      "service.drain_s", 0, 600, "s", [](Config & c) -> auto& { return c.service.drain_s; });
  t.whole(
      "service.max_connections", 1, 100'000, "connections",
      [](Config & c) -> auto& { return c.service.max_connections; });
  t.whole(
      "service.max_streams", 1, 100'000, "streams", [](Config & c) -> auto& { return c.service.max_streams; });
  t.whole(
      "service.max_calls", 1, 65'536, "calls", [](Config & c) -> auto& { return c.service.max_calls; });
  t.whole(
      "service.calls_mb", 1, 65'536, "MB", [](Config & c) -> auto& { return c.service.calls_mb; });
  t.whole(
      "service.publish_mb", 1, 65'536, "MB", [](Config & c) -> auto& { return c.service.publish_mb; });
  t.whole(
      "service.grpc_mb", 16, 65'536, "MB", [](Config & c) -> auto& { return c.service.grpc_mb; });
  t.whole(
      "service.stall_s", 1, 3600, "s", [](Config & c) -> auto& { return c.service.stall_s; });
  t.whole(
      "service.idle_s", 1, 86'400, "s", [](Config & c) -> auto& { return c.service.idle_s; });
  t.whole(
      "service.max_message_kb", 4, 65'536, "KB", [](Config & c) -> auto& { return c.service.max_message_kb; });
  t.whole(
      "service.default_deadline_ms", 100, 600'000, "ms",
      [](Config & c) -> auto& { return c.service.default_deadline_ms; });
  t.whole(
      "service.page_max", 1, 10'000, "rows", [](Config & c) -> auto& { return c.service.page_max; });
  t.text(
      "metrics.listen", 0, 256, "HOST:PORT with a port 0..65535, or \"\" for none", is_listen_or_empty,
      [](Config & c) -> auto& { return c.metrics.listen; });
  t.text(
      "logging.level", 1, 16, "one of trace, debug, info, warn, error, off", is_level,
      [](Config & c) -> auto& { return c.logging.level; });
  t.text(
      "logging.format", 1, 16, "one of text, json", is_format, [](Config & c) -> auto& { return c.logging.format; });
}

void tier_keys(Table& t) {
  t.add(
      {"community.memberships", ValueType::kList, 1, 64, "", "a list of names of roles (1..64 bytes each)",
       is_any_text},
      [](Config & c) -> auto& { return c.community.memberships; });
  for (size_t tier = 2; tier < 5; ++tier) {
    const std::string name = std::string("community.tiers.") + kTierNames[tier];
    const std::string gates = name + ".gates.";
    t.points(
        name + ".min_score", [tier](Config & c) -> auto& { return c.community.tiers[tier].min_score_micros; });
    t.whole(
        name + ".top_permille", 0, 1000, "of 1000 users with a score; 0 = not asked", [tier](Config & c) -> auto& {
          return c.community.tiers[tier].top_permille;
        });
    t.whole(
        gates + "days_active", 0, 730,
        "days", [tier](Config & c) -> auto& { return c.community.tiers[tier].gates.days_active; });
    t.whole(
        gates + "distinct_likers", 0, 1'000'000,
        "users", [tier](Config & c) -> auto& { return c.community.tiers[tier].gates.distinct_likers; });
    t.whole(
        gates + "certificates", 0, 1000,
        "certificates", [tier](Config & c) -> auto& { return c.community.tiers[tier].gates.certificates; });
    t.whole(
        gates + "exams", 0, 1000, "exams", [tier](Config & c) -> auto& { return c.community.tiers[tier].gates.exams; });
    t.whole(
        gates + "memberships", 0, 100,
        "memberships", [tier](Config & c) -> auto& { return c.community.tiers[tier].gates.memberships; });
    for (size_t i = 0; i < 4; ++i) {
      t.points(
          gates + "points." + kCapabilityNames[i],
          [ tier, i ](Config & c) -> auto& { return c.community.tiers[tier].gates.points_micros[i]; });
    }
  }
  t.whole(
      "community.hysteresis_percent", 1, 100, "%", [](Config & c) -> auto& { return c.community.hysteresis_percent; });
  t.whole(
      "community.grace_days", 0, 365, "days", [](Config & c) -> auto& { return c.community.grace_days; });
  t.whole(
      "community.visible_delay_hours", 0, 720, "hours",
      [](Config & c) -> auto& { return c.community.visible_delay_hours; });
  t.boolean(
      "community.own_minutes", [](Config & c) -> auto& { return c.community.own_minutes; });
}

void detection_keys(Table& t) {
  t.boolean(
      "community.rings.enabled", [](Config & c) -> auto& { return c.community.rings.enabled; });
  t.whole(
      "community.rings.score_min_milli", 0, 1'000'000, "thousandths of a nat",
      [](Config & c) -> auto& { return c.community.rings.score_min_milli; });
  t.whole(
      "community.rings.odds_min", 1, 1'000'000, "to 1", [](Config & c) -> auto& { return c.community.rings.odds_min; });
  t.whole(
      "community.rings.density_min_permille", 1, 1000, "of 1000",
      [](Config & c) -> auto& { return c.community.rings.density_min_permille; });
  t.whole(
      "community.rings.members_min", 2, 1000, "users",
      [](Config & c) -> auto& { return c.community.rings.members_min; });
  t.whole(
      "community.rings.targets_min", 2, 1000, "posts",
      [](Config & c) -> auto& { return c.community.rings.targets_min; });
  t.boolean(
      "community.bursts.enabled", [](Config & c) -> auto& { return c.community.bursts.enabled; });
  t.whole(
      "community.bursts.likes_min", 1, 1'000'000, "likes",
      [](Config & c) -> auto& { return c.community.bursts.likes_min; });
  t.whole(
      "community.bursts.chi2_min_milli", 1, 1'000'000'000, "thousandths",
      [](Config & c) -> auto& { return c.community.bursts.chi2_min_milli; });
  t.whole(
      "community.bursts.young_share_permille", 0, 1000, "of 1000",
      [](Config & c) -> auto& { return c.community.bursts.young_share_permille; });
  t.whole(
      "community.bursts.young_days", 0, 365, "days", [](Config & c) -> auto& { return c.community.bursts.young_days; });
  t.boolean(
      "community.ranking.enabled", [](Config & c) -> auto& { return c.community.ranking.enabled; });
  t.whole(
      "community.ranking.fake_share_permille", 1, 1000, "of 1000",
      [](Config & c) -> auto& { return c.community.ranking.fake_share_permille; });
}

uint32_t& profile_weight(Config& config, std::string_view name, size_t capability) {
  auto& profiles = config.community.profiles;
  auto it = std::find_if(profiles.begin(), profiles.end(), [&](const ProfileConfig& p) { return p.name == name; });
  if (it == profiles.end()) it = profiles.insert(it, ProfileConfig{std::string(name), {}});
  return it->weights[capability];
}

void community_keys(Table& t) {
  t.text(
      "community.version", 1, 64, "a text of 1..64 bytes", is_any_text,
      [](Config & c) -> auto& { return c.community.version; });
  t.add(
      {"community.hash_key", ValueType::kText, 1, 256, "", "a text of 1..256 bytes", is_any_text, true},
      [](Config & c) -> auto& { return c.community.hash_key; });
  t.whole(
      "community.half_life_days", 1, 365, "days", [](Config & c) -> auto& { return c.community.half_life_days; });
  t.whole(
      "community.window_days", 1, 730, "days", [](Config & c) -> auto& { return c.community.window_days; });
  for (const RuleName& rule : rule_names()) {
    const auto id = static_cast<size_t>(rule.id);
    const std::string name = std::string("community.rules.") + rule.name;
    t.points(
        name + ".points", [id](Config & c) -> auto& { return c.community.rules[id].points_micros; });
    t.points(
        name + ".daily_cap", [id](Config & c) -> auto& { return c.community.rules[id].cap_micros; });
  }
  for (size_t i = 0; i < 4; ++i) {
    t.add(
        {std::string("community.profiles.*.") + kCapabilityNames[i], ValueType::kWeight, 0, 1000, "",
         "a number 0..1 with at most 3 decimals"},
        [i](Config & c, std::string_view name) -> auto& { return profile_weight(c, name, i); });
  }
  tier_keys(t);
  detection_keys(t);
}

std::string yaml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

bool text_allowed(const KeySpec& key, std::string_view text) {
  const auto size = static_cast<int64_t>(text.size());
  // Tabs and line breaks only where a value may be a whole PEM file.
  const bool control = !key.name.starts_with("kafka.properties.") && std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  return size >= key.min && size <= key.max && !control && !invalid_utf8_at(text) && (!key.check || key.check(text));
}

// Walks two dotted names side by side. `rest`: what of the key's name is left, from its dot on.
bool name_matches(std::string_view pattern, std::string_view name, bool prefix_only, std::string& chosen) {
  while (true) {
    const size_t pattern_end = std::min(pattern.find('.'), pattern.size());
    const std::string_view segment = pattern.substr(0, pattern_end);
    const bool last = pattern_end == pattern.size();
    if (segment == "*" && last) {  // the name of a librdkafka property, dots and all
      if (prefix_only || name.empty()) return false;
      chosen = name;
      return true;
    }
    const size_t name_end = std::min(name.find('.'), name.size());
    const std::string_view given = name.substr(0, name_end);
    if (segment == "*") {
      if (!is_profile_name(given)) return false;
      chosen = given;
    } else if (segment != given) {
      return false;
    }
    const bool name_done = name_end == name.size();
    if (last || name_done) return prefix_only ? name_done && !last : last && name_done;
    pattern.remove_prefix(pattern_end + 1);
    name.remove_prefix(name_end + 1);
  }
}

}  // namespace

const std::vector<KeySpec>& schema() {
  static const std::vector<KeySpec> keys = [] {
    Table table;
    engine_keys(table);
    source_keys(table);
    service_keys(table);
    community_keys(table);
    return std::move(table.keys);
  }();
  return keys;
}

const KeySpec* find_key(std::string_view name, std::string& chosen) {
  for (const KeySpec& key : schema()) {
    if (name_matches(key.name, name, false, chosen)) return &key;
  }
  return nullptr;
}

bool is_group(std::string_view name) {
  std::string chosen;
  return std::any_of(schema().begin(), schema().end(),
                     [&](const KeySpec& key) { return name_matches(key.name, name, true, chosen); });
}

std::vector<std::string> children_of(std::string_view group) {
  const size_t depth = group.empty() ? 0 : static_cast<size_t>(std::count(group.begin(), group.end(), '.')) + 1;
  std::vector<std::string> names;
  for (const KeySpec& key : schema()) {
    std::string chosen;
    if (!group.empty() && !name_matches(key.name, group, true, chosen)) continue;
    std::string_view rest = key.name;
    for (size_t i = 0; i < depth; ++i) rest.remove_prefix(rest.find('.') + 1);
    std::string name(rest.substr(0, rest.find('.')));
    if (name != "*" && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

bool set_value(const KeySpec& key, std::string_view chosen, std::string_view text, bool plain, Config& config) {
  switch (key.type) {
    case ValueType::kWhole:
    case ValueType::kPoints:
    case ValueType::kWeight: {
      const int digits = key.type == ValueType::kPoints   ? kPointsDigits
                         : key.type == ValueType::kWeight ? kWeightDigits
                                                          : 0;
      const auto value = plain ? parse_decimal(text, digits) : std::nullopt;
      if (!value || *value < key.min || *value > key.max) return false;
      const Slot slot = key.slot(config, chosen);
      if (auto* const* target = std::get_if<int64_t*>(&slot)) {
        **target = *value;
      } else {
        *std::get<uint32_t*>(slot) = static_cast<uint32_t>(*value);
      }
      return true;
    }
    case ValueType::kBool:
      if (!plain || (text != "true" && text != "false")) return false;
      *std::get<bool*>(key.slot(config, chosen)) = text == "true";
      return true;
    case ValueType::kText:
      if (!text_allowed(key, text)) return false;
      *std::get<std::string*>(key.slot(config, chosen)) = text;
      return true;
    case ValueType::kList:
      return false;
  }
  return false;
}

bool set_list(const KeySpec& key, std::string_view chosen, std::vector<std::string> texts, Config& config) {
  if (key.type != ValueType::kList) return false;
  if (!std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return text_allowed(key, text); }))
    return false;
  *std::get<std::vector<std::string>*>(key.slot(config, chosen)) = std::move(texts);
  return true;
}

std::string value_text(const KeySpec& key, std::string_view chosen, const Config& config) {
  Config copy = config;  // a slot is reached through a Config that may be written
  const Slot slot = key.slot(copy, chosen);
  switch (key.type) {
    case ValueType::kWhole:
      return std::to_string(*std::get<uint32_t*>(slot));
    case ValueType::kPoints:
      return decimal_text(*std::get<int64_t*>(slot), kPointsDigits);
    case ValueType::kWeight:
      return decimal_text(*std::get<uint32_t*>(slot), kWeightDigits);
    case ValueType::kBool:
      return *std::get<bool*>(slot) ? "true" : "false";
    case ValueType::kText:
      return yaml_quoted(*std::get<std::string*>(slot));
    case ValueType::kList:
      break;
  }
  std::string out;
  for (const std::string& text : *std::get<std::vector<std::string>*>(slot))
    out += (out.empty() ? "" : ", ") + yaml_quoted(text);
  return "[" + out + "]";
}

bool is_profile_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name.front() >= 'a' && name.front() <= 'z' &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

bool is_listen_address(std::string_view address) { return !split_address(address).first.empty(); }

bool is_loopback(std::string_view address) {
  const std::string_view host = split_address(address).first;
  if (host == "localhost" || host == "::1") return true;
  // 127.0.0.0/8, written as four numbers: "127.evil.example" is a name.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos &&
         std::count(host.begin(), host.end(), '.') == 3;
}

}  // namespace bellwether

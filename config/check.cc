#include "config/check.h"

#include <algorithm>
#include <set>

#include "config/schema.h"

namespace bellwether {
namespace {

// A profile's sum is points x authenticity x weight(day) x thousandths x 4 capabilities in 128 bits. weight(day) stays
// below 2^(22 + window / half-life + 1), so with this bound 2^(63 + 49 + 12) is the most that 63 bits of points can
// reach.
constexpr uint32_t kHalfLivesMax = 24;
constexpr size_t kProfilesMax = 16;
constexpr size_t kTopicsMax = 64;

int64_t number(const Config& config, const std::string& name) {
  std::string chosen;
  const KeySpec* key = find_key(name, chosen);
  Config copy = config;
  const Slot slot = key->slot(copy, chosen);
  if (auto* const* wide = std::get_if<int64_t*>(&slot)) return **wide;
  return *std::get<uint32_t*>(slot);
}

std::string shown(const Config& config, const std::string& name) {
  std::string chosen;
  const KeySpec* key = find_key(name, chosen);
  return name + " (" + value_text(*key, chosen, config) + ")";
}

void at_least(const Config& config, const std::string& high, const std::string& low, const Fail& fail) {
  if (number(config, high) < number(config, low)) {
    fail({high, low}, shown(config, high) + " must be at least " + shown(config, low));
  }
}

// Every lead would pass for key, and every key for contributor: otherwise a rise could lose what the lower tier had.
void check_tiers(const Config& config, const Fail& fail) {
  for (size_t tier = 3; tier < 5; ++tier) {
    const std::string high = std::string("community.tiers.") + kTierNames[tier] + ".";
    const std::string low = std::string("community.tiers.") + kTierNames[tier - 1] + ".";
    at_least(config, high + "min_score", low + "min_score", fail);
    const std::string permille = "top_permille";
    const int64_t wide = number(config, low + permille), narrow = number(config, high + permille);
    if (wide != 0 && (narrow == 0 || narrow > wide)) {
      fail({high + permille, low + permille},
           shown(config, high + permille) + " must be 1 up to " + shown(config, low + permille));
    }
    for (const char* gate : {"days_active", "distinct_likers", "certificates", "exams", "memberships"}) {
      at_least(config, high + "gates." + gate, low + "gates." + gate, fail);
    }
    for (const char* capability : kCapabilityNames) {
      at_least(config, high + "gates.points." + capability, low + "gates.points." + capability, fail);
    }
  }
}

void check_profiles(const std::vector<ProfileConfig>& profiles, const Fail& fail) {
  if (profiles.empty() || profiles.front().name != "overall") {
    fail({"community.profiles"}, "the first profile must be \"overall\": tiers go by it");
  }
  if (profiles.size() > kProfilesMax) {
    fail({"community.profiles"},
         std::to_string(profiles.size()) + " profiles, at most " + std::to_string(kProfilesMax));
  }
  for (const ProfileConfig& profile : profiles) {
    if (std::all_of(profile.weights.begin(), profile.weights.end(), [](uint32_t weight) { return weight == 0; })) {
      const std::string name = "community.profiles." + profile.name;
      std::vector<std::string> keys = {name};
      for (const char* capability : kCapabilityNames) keys.push_back(name + "." + capability);
      fail(keys, "a profile needs a weight above 0");
    }
  }
}

void check_kafka(const Config& config, const Fail& fail) {
  const KafkaConfig& kafka = config.kafka;
  if (!kafka.brokers.empty() && kafka.topics.empty())
    fail({"kafka.topics", "kafka.brokers"}, "kafka.brokers needs kafka.topics");
  if (kafka.topics.size() > kTopicsMax) {
    fail({"kafka.topics"}, std::to_string(kafka.topics.size()) + " topics, at most " + std::to_string(kTopicsMax));
  }
  std::set<std::string> seen;
  for (const std::string& topic : kafka.topics) {
    if (!seen.insert(topic).second) fail({"kafka.topics"}, "topic \"" + topic + "\" is named twice");
    if (kafka.outputs && topic.starts_with(kafka.out_prefix + ".")) {
      fail({"kafka.topics", "kafka.out_prefix"}, "topic \"" + topic + "\" begins with kafka.out_prefix (\"" +
                                                     kafka.out_prefix + "\"): output would be read as input");
    }
  }
  // What decides where reading starts and stands belongs to the engine: positions live in its store.
  static const std::vector<std::pair<std::string, std::string>> kOwned = {
      {"bootstrap.servers", "use kafka.brokers"},
      {"metadata.broker.list", "use kafka.brokers"},
      {"group.id", "use kafka.group"},
      {"auto.offset.reset", "positions are kept in the store"},
      {"enable.auto.commit", "positions are kept in the store"},
      {"enable.auto.offset.store", "positions are kept in the store"},
      {"enable.partition.eof", "the engine needs it on"},
      {"statistics.interval.ms", "use kafka.statistics_s"},
      {"queued.max.messages.kbytes", "use kafka.queued_mb"},
  };
  for (const auto& [name, why] : kOwned) {
    if (kafka.properties.contains(name)) fail({"kafka.properties." + name}, "may not be set: " + why);
  }
}

}  // namespace

void check_community(const Config& config, const Fail& fail) {
  const CommunityConfig& community = config.community;
  if (community.window_days > kHalfLivesMax * community.half_life_days) {
    fail({"community.window_days", "community.half_life_days"},
         shown(config, "community.window_days") + " must be at most " + std::to_string(kHalfLivesMax) + " times " +
             shown(config, "community.half_life_days"));
  }
  if (community.grace_days >= community.window_days) {
    fail({"community.grace_days", "community.window_days"},
         shown(config, "community.grace_days") + " must be below " + shown(config, "community.window_days"));
  }
  for (size_t tier = 2; tier < 5; ++tier) {
    const std::string gate = std::string("community.tiers.") + kTierNames[tier] + ".gates.days_active";
    if (number(config, gate) > community.window_days) {
      fail({gate, "community.window_days"}, shown(config, gate) + " must be at most " +
                                                shown(config, "community.window_days") +
                                                ": days are counted within it");
    }
  }
  check_profiles(community.profiles, fail);
  check_tiers(config, fail);
}

void check_process(const Config& config, const Fail& fail) {
  at_least(config, "engine.shards", "engine.threads", fail);
  at_least(config, "engine.commit_behind_ms", "engine.commit_ms", fail);
  check_kafka(config, fail);
  if (config.kafka.brokers.empty() && !config.log.enabled) {
    fail({"log.enabled", "kafka.brokers"}, "log.enabled (false) without kafka.brokers: nothing could come in");
  }
  const ServiceConfig& service = config.service;
  if (service.tls_cert.empty() != service.tls_key.empty()) {
    fail({"service.tls_cert", "service.tls_key"}, "service.tls_cert and service.tls_key need each other");
  }
  if (!service.tls_client_ca.empty() && service.tls_cert.empty()) {
    fail({"service.tls_client_ca", "service.tls_cert"},
         "service.tls_client_ca needs service.tls_cert and service.tls_key");
  }
  if (!is_loopback(service.listen) && service.tokens.empty()) {
    fail({"service.listen", "service.tokens"},
         "service.listen (\"" + service.listen +
             "\") is open to other machines and needs service.tokens, a file of who may");
  }
  if (service.listen == config.metrics.listen && !service.listen.ends_with(":0")) {
    fail({"metrics.listen", "service.listen"},
         "metrics.listen and service.listen must differ (\"" + service.listen + "\")");
  }
}

}  // namespace bellwether

// The configuration: everything an operator of Bellwether may set, with its default. `config/bellwether.yaml` shows
// each key. The community part (rules, tiers, profiles, detection) is data of the pipeline: it carries a version and a
// content hash.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bellwether {

// Every way to earn points. The number stands in ledgers: never renumber.
enum class RuleId : uint8_t {
  kNone = 0,
  kIdeaAdopted = 1,
  kFeatured = 2,
  kSuggestionAdopted = 3,
  kBugConfirmed = 4 /* times severity */,
  kBugFixed = 5,
  kIdeaPosted = 6,
  kBetaSession = 7,
  kLikeReceived = 10,
  kShareReceived = 11,
  kFollowReceived = 12,
  kReplyReceived = 13,
  kPersonReached = 14,
  kReader = 15,
  kReferralJoined = 20,
  kReferralActivated = 21,
  kReferralConverted = 22,
  kReferralProfitable = 23,
  kReferralInvited = 24,
  kAnswerAccepted = 30,
  kAnswerLiked = 31,
  kCertificate = 32,
  kExam = 33,
};
constexpr size_t kRuleIds = 40;  // RuleId < kRuleIds

struct RuleConfig {
  const char* name = nullptr;  // key in the YAML, e.g. "like_received"; null: no such rule
  int capability = 0;          // 1..4, as bellwether.v1.Capability
  int64_t points_micros = 0;   // micro-points each
  int64_t cap_micros = 0;      // a day's ceiling on authentic points, 0 = none
  bool operator==(const RuleConfig&) const = default;
};

// What a tier asks for. All that are set must hold. 0 = not asked.
struct GateConfig {
  uint32_t days_active = 0;                // distinct days with an event of theirs, in the window
  uint32_t distinct_likers = 0;            // distinct users with an authentic like of theirs in the window
  uint32_t certificates = 0;               // distinct certificates held now
  uint32_t exams = 0;                      // distinct exams passed
  uint32_t memberships = 0;                // of CommunityConfig::memberships held now
  std::array<int64_t, 4> points_micros{};  // of each capability
  bool operator==(const GateConfig&) const = default;
};
struct TierConfig {              // contributor, key, lead; member asks for nothing
  int64_t min_score_micros = 0;  // of the overall profile
  uint32_t top_permille = 0;     // within the top so many of 1,000 users with a score; 0 = not asked
  GateConfig gates;
  bool operator==(const TierConfig&) const = default;
};
struct ProfileConfig {
  std::string name;
  std::array<uint32_t, 4> weights{};  // of innovation, communication, referral, knowledge; 0..1000 thousandths
  bool operator==(const ProfileConfig&) const = default;
};

struct RingsConfig {  // D2
  bool enabled = true;
  uint32_t score_min_milli = 35000;  // nats x 1000 above which a block is flagged
  uint32_t odds_min = 15;
  uint32_t density_min_permille = 330;
  uint32_t members_min = 5, targets_min = 3;
  bool operator==(const RingsConfig&) const = default;
};
struct BurstsConfig {  // D1
  bool enabled = true;
  uint32_t likes_min = 30;              // likes in the burst before anything is said
  uint32_t chi2_min_milli = 60000;      // chi-square x 1000 against the key's own history
  uint32_t young_share_permille = 600;  // of the burst's likers that are young or one-purpose
  uint32_t young_days = 7;              // first seen at most so many days before
  bool operator==(const BurstsConfig&) const = default;
};
struct RankingConfig {  // D7
  bool enabled = true;
  uint32_t fake_share_permille =
      300;  // of a score taken off by other flags, at which the rank is said to be carried by fakes
  bool operator==(const RankingConfig&) const = default;
};

struct CommunityConfig {
  std::string version = "1";
  std::string hash_key = "bellwether";  // keyed hash of ids; change only by replay into a new store
  uint32_t half_life_days = 30, window_days = 180;
  std::array<RuleConfig, kRuleIds> rules;           // by RuleId
  std::vector<ProfileConfig> profiles;              // [0] is "overall"
  std::vector<std::string> memberships = {"paid"};  // roles (account events) that are paid memberships
  std::array<TierConfig, 5> tiers;                  // by bellwether.v1.Tier; [2] contributor, [3] key, [4] lead
  uint32_t hysteresis_percent = 90;                 // a tier is lost below so much of its entry
  uint32_t grace_days = 14;
  uint32_t visible_delay_hours = 0;  // how long members see the tier from before a flag
  bool own_minutes = true;  // a user's minutes, of a score record each, begin at a second of their own, not the clock's
  RingsConfig rings;
  BurstsConfig bursts;
  RankingConfig ranking;
  bool operator==(const CommunityConfig&) const = default;
};

struct EngineConfig {
  std::string data_dir = "data";
  uint32_t threads = 1;  // fold threads
  uint32_t shards = 2;   // 1..256; the state does not depend on it
  uint32_t lateness_ms = 1000;
  uint32_t skew_minutes = 10;  // how far an event's time may lie past its append time
  uint32_t idle_ms = 5000;     // a partition empty so long no longer holds the others up
  uint32_t max_lag_ms = 0;     // a laggard is let go after so much event time; 0 = waited for
  uint32_t batch = 1024;       // records a poll, 1..100000
  uint32_t commit_ms = 100, commit_behind_ms = 2000;
  uint32_t commit_mb = 128;
  uint32_t cache_mb = 1024;        // decoded states
  uint32_t block_cache_mb = 128;   // RocksDB: blocks
  uint32_t write_buffer_mb = 192;  // RocksDB: memtables
  uint32_t pending_mb = 256;       // open ticks
  uint32_t nice = 5;               // steps by which bulk work gives way to answers, 0..19
  bool operator==(const EngineConfig&) const = default;
};
struct KafkaConfig {
  std::string brokers;  // empty: no Kafka
  std::vector<std::string> topics = {"community.posts",     "community.likes",      "community.referrals",
                                     "community.betatests", "community.judgements", "community.accounts"};  // in
  std::string group = "bellwether";               // client.id and consumer metrics only; positions live in the store
  std::map<std::string, std::string> properties;  // passed to librdkafka as they are (SASL, TLS, …)
  uint32_t refresh_s = 30;                        // how often new partitions are looked for
  uint32_t statistics_s = 15;
  uint32_t queued_mb = 64;                // fetch queue over all partitions
  std::string out_prefix = "bellwether";  // .scores .tiers .flags .alerts .deadletters
  bool outputs = true;                    // false: nothing is written to Kafka
  std::string on_gap = "fail";            // records gone before they were read: fail, or skip to the first available
  bool operator==(const KafkaConfig&) const = default;
};
struct LogConfig {  // the embedded log
  bool enabled = true;
  uint32_t partitions = 1;
  uint32_t segment_mb = 64;
  uint32_t retention_hours = 0;  // 0 = for ever
  uint32_t fsync_ms = 5;         // appends within so long share one fsync; an append answers after it
  bool operator==(const LogConfig&) const = default;
};
struct ServiceConfig {
  std::string listen = "127.0.0.1:7400";
  std::string tls_cert, tls_key, tls_client_ca;  // PEM files
  std::string tokens;                            // file: TOKEN USER ROLE a line; empty: loopback only
  uint32_t drain_s = 10;
  uint32_t max_connections = 1000, max_message_kb = 4096;
  uint32_t max_streams = 1000;  // Watch* and PublishStream that are open
  uint32_t max_calls = 256;     // queries in hand at once, and as many writes
  uint32_t calls_mb = 64;       // of queries in hand and of answers that their clients have not taken yet
  uint32_t publish_mb = 64;     // of writes in hand
  uint32_t grpc_mb = 128;       // gRPC's own buffers
  uint32_t stall_s = 30;        // a client that does not read for so long is ended
  uint32_t idle_s = 600;        // a connection without a call for so long is closed
  uint32_t default_deadline_ms = 10000;
  uint32_t page_max = 1000;
  bool operator==(const ServiceConfig&) const = default;
};
struct MetricsConfig {
  std::string listen = "127.0.0.1:7401" /* empty: no metrics port */;
  bool operator==(const MetricsConfig&) const = default;
};
struct LoggingConfig {
  std::string level = "info", format = "text";
  bool operator==(const LoggingConfig&) const = default;
};

struct Config {
  EngineConfig engine;
  KafkaConfig kafka;
  LogConfig log;
  ServiceConfig service;
  MetricsConfig metrics;
  LoggingConfig logging;
  CommunityConfig community;
  bool operator==(const Config&) const = default;
};

// The defaults above with the rules, profiles and tiers of config/bellwether.yaml.
Config default_config();

}  // namespace bellwether

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/schema.h"
#include "config/text.h"
#include "config/yaml_tree.h"

#ifndef BELLWETHER_SOURCE_DIR
#error "the build names the source folder"
#endif

namespace bellwether::config_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string documented() {
  std::string why;
  const auto text = read_file(BELLWETHER_SOURCE_DIR "/config/bellwether.yaml", kYamlBytesMax, why);
  EXPECT_TRUE(text) << why;
  return text.value_or("");
}

// The errors of a file that says `yaml`.
std::vector<std::string> errors_of(const std::string& yaml) { return load_text(yaml, "b.yaml").errors(); }
std::vector<std::string> set_errors(const std::vector<std::string>& sets) {
  return load(std::nullopt, sets, {}).errors();
}
std::vector<std::string> environment_errors(const Environment& environment) {
  return load(std::nullopt, {}, environment).errors();
}

Config loaded(const std::string& yaml, const std::vector<std::string>& sets = {}, const Environment& environment = {}) {
  const auto config = load_text(yaml, "b.yaml", sets, environment);
  EXPECT_TRUE(config.ok()) << config.error_text();
  return config.ok() ? config.value() : Config{};
}

// --- the documented file and the table

TEST(ConfigFile, EqualsTheDefaults) {
  const auto config = load(BELLWETHER_SOURCE_DIR "/config/bellwether.yaml", {}, {});
  ASSERT_TRUE(config.ok()) << config.error_text();
  EXPECT_EQ(config.value(), default_config());
}

TEST(ConfigFile, HasEveryKeyOfTheTableWithItsRangeAndUnit) {
  const std::string text = documented();
  const auto keys = keys_set_in(text, "bellwether.yaml");
  ASSERT_TRUE(keys.ok()) << keys.error_text();
  std::set<std::string> patterns;
  for (const std::string& name : keys.value()) {
    std::string chosen;
    patterns.insert(find_key(name, chosen)->name);
  }
  for (const KeySpec& key : schema()) {
    if (key.name == "kafka.properties.*") {
      EXPECT_THAT(text, HasSubstr("\n  properties: {}"));
      continue;
    }
    EXPECT_TRUE(patterns.contains(key.name)) << key.name << " is not in config/bellwether.yaml";
    const bool described_by_its_group =
        key.name.find(".rules.") != std::string::npos || key.name.find(".tiers.") != std::string::npos;
    if (key.type != ValueType::kWhole || described_by_its_group) continue;
    const std::string value = value_text(key, "", default_config());
    EXPECT_THAT(text, HasSubstr("(" + value + "; " + std::to_string(key.min) + ".." + std::to_string(key.max) + " " +
                                key.unit + ")"))
        << key.name;
  }
}

TEST(Schema, EveryKeyIsItsOwnInEveryWriting) {
  std::set<std::string> names, folded;
  std::set<const void*> places;
  Config config = default_config();
  for (const KeySpec& key : schema()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    std::string flat = key.name;
    std::replace(flat.begin(), flat.end(), '.', '_');
    EXPECT_TRUE(folded.insert(flat).second) << key.name << " has the environment name of another key";
    const Slot slot = key.slot(config, "overall");
    EXPECT_TRUE(places.insert(std::visit([](auto* at) -> const void* { return at; }, slot)).second)
        << key.name << " writes where another key writes";
    EXPECT_FALSE(key.allowed.empty());
  }
}

TEST(Schema, EveryDefaultIsAllowedAndReadsBack) {
  for (const KeySpec& key : schema()) {
    const std::string star = key.name == "kafka.properties.*" ? "sasl.username" : "overall";
    std::string name = key.name;
    if (const size_t at = name.find('*'); at != std::string::npos) name.replace(at, 1, star);
    std::string chosen;
    ASSERT_EQ(find_key(name, chosen), &key) << name;
    EXPECT_EQ(chosen, key.name == name ? "" : star);
    if (key.type == ValueType::kList || key.type == ValueType::kText) continue;
    Config config;
    const std::string text = value_text(key, chosen, default_config());
    EXPECT_TRUE(set_value(key, chosen, text, true, config)) << name << " = " << text;
    EXPECT_EQ(value_text(key, chosen, config), text);
  }
}

TEST(Defaults, AreTheFrameworks) {
  const Config config = default_config();
  const auto& community = config.community;
  const auto rule = [&](RuleId id) { return community.rules[static_cast<size_t>(id)]; };
  EXPECT_EQ(rule(RuleId::kIdeaAdopted).points_micros, 50'000'000);
  EXPECT_EQ(rule(RuleId::kReader).points_micros, 10'000);
  EXPECT_EQ(rule(RuleId::kReferralInvited).points_micros, 200'000);
  EXPECT_EQ(rule(RuleId::kReferralInvited).cap_micros, 2'000'000);
  EXPECT_EQ(rule(RuleId::kExam).capability, 4);
  EXPECT_STREQ(rule(RuleId::kLikeReceived).name, "like_received");
  EXPECT_EQ(rule(RuleId::kNone).name, nullptr);
  ASSERT_EQ(community.profiles.size(), 5U);
  EXPECT_EQ(community.profiles[0].name, "overall");
  EXPECT_EQ(community.profiles[0].weights, (std::array<uint32_t, 4>{1000, 1000, 1000, 1000}));
  EXPECT_EQ(community.tiers[3].top_permille, 50U);
  EXPECT_EQ(community.tiers[4].gates.distinct_likers, 20U);
}

// --- what wins

TEST(Precedence, SetBeatsEnvironmentBeatsFileBeatsDefault) {
  const std::string yaml = "engine: {batch: 1, shards: 4, threads: 2, commit_mb: 7}\n";
  const Environment environment{{"BELLWETHER_ENGINE_SHARDS", "8"}, {"BELLWETHER_ENGINE_THREADS", "3"}, {"PATH", "x"}};
  const Config config = loaded(yaml, {"engine.threads=5"}, environment);
  EXPECT_EQ(config.engine.batch, 1U);
  EXPECT_EQ(config.engine.shards, 8U);
  EXPECT_EQ(config.engine.threads, 5U);
  EXPECT_EQ(config.engine.commit_mb, 7U);
  EXPECT_EQ(config.engine.cache_mb, 1024U);
}

TEST(Precedence, NothingGivenIsTheDefault) {
  EXPECT_EQ(loaded(""), default_config());
  EXPECT_EQ(loaded("# only a comment\n"), default_config());
  EXPECT_EQ(loaded("engine:\n  # threads: 2\n"), default_config());
}

TEST(Precedence, EveryTypeByEveryWay) {
  const Config config =
      loaded("kafka:\n  properties: {security.protocol: SASL_SSL, retries: 3}\n  topics:\n    - a\n    - b\n",
             {"log.enabled=false", "kafka.brokers=k1:9092,k2:9092", "community.rules.reader.points=0.000001",
              "community.profiles.help_desk.referral=0.25", "community.profiles.mine.knowledge=1",
              "kafka.properties.sasl.username=me=you"},
             {{"BELLWETHER_KAFKA_TOPICS", "x,y,z"},
              {"BELLWETHER_KAFKA_PROPERTIES_SASL_PASSWORD", "p=w"},
              {"BELLWETHER_COMMUNITY_PROFILES_LAUNCH_BUZZ_KNOWLEDGE", "0.007"},
              {"BELLWETHER_LOGGING_FORMAT", "json"}});
  EXPECT_FALSE(config.log.enabled);
  EXPECT_EQ(config.kafka.brokers, "k1:9092,k2:9092");
  EXPECT_THAT(config.kafka.topics, ElementsAre("x", "y", "z"));
  EXPECT_EQ(
      config.kafka.properties,
      (std::map<std::string, std::string>{
          {"security.protocol", "SASL_SSL"}, {"retries", "3"}, {"sasl.username", "me=you"}, {"sasl.password", "p=w"}}));
  EXPECT_EQ(config.community.rules[static_cast<size_t>(RuleId::kReader)].points_micros, 1);
  EXPECT_EQ(config.community.profiles[4].weights[2], 250U);
  EXPECT_EQ(config.community.profiles[2].weights[3], 7U);
  ASSERT_EQ(config.community.profiles.size(), 6U);
  EXPECT_EQ(config.community.profiles[5], (ProfileConfig{"mine", {0, 0, 0, 1000}}));
  EXPECT_EQ(config.logging.format, "json");
}

TEST(Precedence, TheFilesProfilesReplaceTheDefaultOnes) {
  const Config config = loaded(
      "community:\n  profiles:\n    overall: {knowledge: 0.5}\n    zebra: {referral: 1}\n    ant: {innovation: 1}\n");
  EXPECT_THAT(config.community.profiles,
              ElementsAre(ProfileConfig{"overall", {0, 0, 0, 500}}, ProfileConfig{"zebra", {0, 0, 1000, 0}},
                          ProfileConfig{"ant", {1000, 0, 0, 0}}));
}

TEST(Precedence, ForeignEnvironmentIsPassedOver) {
  EXPECT_THAT(environment_errors({{"BELLWETHER_CTL_TOKEN", "x"},
                                  {"BELLWETHER_TEST_SLOW", "1"},
                                  {"BELLWETHER_SERVICE_HOST", "10.0.0.1"},
                                  {"BELLWETHER_SERVICE_PORT_GRPC", "7400"},
                                  {"BELLWETHER_PORT", "tcp://10.0.0.1:7400"},
                                  {"BELLWETHER_PORT_7400_TCP_ADDR", "10.0.0.1"}}),
              IsEmpty());
}

TEST(Decimals, AreExact) {
  EXPECT_EQ(parse_decimal("0.5", 6), 500'000);
  EXPECT_EQ(parse_decimal("0.1", 6), 100'000);
  EXPECT_EQ(parse_decimal("123456.789012", 6), 123'456'789'012);
  EXPECT_EQ(parse_decimal("0", 0), 0);
  for (const char* bad : {"", ".", "1.", ".5", "-1", "+1", "1e3", "0x1", "1 ", " 1", "01", "1.0000001", "1.2.3", "1,5",
                          "٣", "nan", "9999999999999", "99999999999999999999999999"}) {
    EXPECT_EQ(parse_decimal(bad, 6), std::nullopt) << bad;
  }
  EXPECT_EQ(parse_decimal("1.0", 0), std::nullopt);
  EXPECT_EQ(decimal_text(500'000, 6), "0.5");
  EXPECT_EQ(decimal_text(1, 6), "0.000001");
  EXPECT_EQ(decimal_text(50'000'000, 6), "50");
}

// --- mistakes, each with where, what was given and what is allowed

TEST(Errors, AllAreFoundInOneGo) {
  const auto config = load_text("engine:\n  threads: many\n  shards: 0\nkafka:\n  refresh_s: -1\n", "b.yaml",
                                {"log.partitions=1.5"}, {{"BELLWETHER_LOG_ENABLED", "yes"}});
  EXPECT_THAT(config.errors(),
              ElementsAre("b.yaml:2: engine.threads: given \"many\", allowed: a whole number 1..256 (threads)",
                          "b.yaml:3: engine.shards: given \"0\", allowed: a whole number 1..256 (shards)",
                          "b.yaml:5: kafka.refresh_s: given \"-1\", allowed: a whole number 1..86400 (s)",
                          "environment BELLWETHER_LOG_ENABLED: log.enabled: given \"yes\", allowed: true or false",
                          "--set log.partitions: given \"1.5\", allowed: a whole number 1..256 (partitions)"));
}

TEST(Errors, WrongTypes) {
  EXPECT_THAT(
      errors_of("engine:\n  threads: \"2\"\n  batch:\n  commit_ms: [1]\n  commit_mb: {a: 1}\n  cache_mb: 1e3\n"),
      ElementsAre("b.yaml:2: engine.threads: given \"2\" in quotes, allowed: a whole number 1..256 (threads)",
                  "b.yaml:3: engine.batch: given nothing, allowed: a whole number 1..100000 (records)",
                  "b.yaml:4: engine.commit_ms: given a list, allowed: a whole number 10..60000 (ms)",
                  "b.yaml:5: engine.commit_mb: given a map, allowed: a whole number 1..4096 (MB)",
                  "b.yaml:6: engine.cache_mb: given \"1e3\", allowed: a whole number 8..1048576 (MB)"));
  EXPECT_THAT(
      errors_of("log: {enabled: \"true\"}\nkafka:\n  topics: community.posts\n  outputs: True\n"),
      ElementsAre(
          "b.yaml:1: log.enabled: given \"true\" in quotes, allowed: true or false",
          "b.yaml:3: kafka.topics: given \"community.posts\", allowed: a list of topic names (letters, digits, . _ -; "
          "1..249 bytes each)",
          "b.yaml:4: kafka.outputs: given \"True\", allowed: true or false"));
  EXPECT_THAT(
      errors_of("kafka:\n  topics:\n    - ok\n    - not ok\n    - [x]\n"),
      ElementsAre(
          "b.yaml:4: kafka.topics: given \"not ok\" in it, allowed: a list of topic names (letters, digits, "
          ". _ "
          "-; 1..249 bytes each)",
          "b.yaml:5: kafka.topics: given a list in it, allowed: a list of topic names (letters, digits, . _ -; 1..249 "
          "bytes each)"));
  EXPECT_THAT(errors_of("engine: 3\n"),
              ElementsAre(StartsWith("b.yaml:1: engine: given \"3\", allowed: a map of data_dir, threads, ")));
  EXPECT_THAT(errors_of("- engine\n"),
              ElementsAre("b.yaml:1: given a list, allowed: a map of engine, kafka, log, service, metrics, "
                          "logging, community"));
}

TEST(Errors, WrongRangesOfEveryKind) {
  EXPECT_THAT(
      errors_of("community:\n  rules:\n    reader: {points: 0.0000001}\n    exam: {daily_cap: -1, points: 1000000.1}\n"
                "  profiles:\n    overall: {innovation: 1.001, knowledge: 1}\n"),
      ElementsAre(
          "b.yaml:3: community.rules.reader.points: given \"0.0000001\", allowed: a number 0..1000000 with at most 6 "
          "decimals (points)",
          "b.yaml:4: community.rules.exam.daily_cap: given \"-1\", allowed: a number 0..1000000 with at most 6 "
          "decimals (points)",
          "b.yaml:4: community.rules.exam.points: given \"1000000.1\", allowed: a number 0..1000000 with at most 6 "
          "decimals (points)",
          "b.yaml:6: community.profiles.overall.innovation: given \"1.001\", allowed: a number 0..1 with at most 3 "
          "decimals"));
  EXPECT_THAT(
      errors_of("logging: {level: loud, format: xml}\nservice: {listen: localhost}\nmetrics: {listen: \":70000\"}\n"),
      ElementsAre(
          "b.yaml:1: logging.level: given \"loud\", allowed: one of trace, debug, info, warn, error, off",
          "b.yaml:1: logging.format: given \"xml\", allowed: one of text, json",
          "b.yaml:2: service.listen: given \"localhost\", allowed: HOST:PORT with a port 0..65535",
          "b.yaml:3: metrics.listen: given \":70000\", allowed: HOST:PORT with a port 0..65535, or \"\" for none"));
  EXPECT_THAT(errors_of("community: {version: \"\", hash_key: \"\"}\nengine: {data_dir: \"a\\nb\"}\n"),
              ElementsAre("b.yaml:1: community.version: given \"\", allowed: a text of 1..64 bytes",
                          "b.yaml:1: community.hash_key: given a text of 0 bytes, allowed: a text of 1..256 bytes",
                          "b.yaml:2: engine.data_dir: given \"a\\x0ab\", allowed: a path of 1..4096 bytes"));
}

TEST(Errors, UnknownKeysNameTheNearest) {
  EXPECT_THAT(errors_of("engine:\n  thread: 2\nengin: {}\nthreads: 2\n"),
              ElementsAre("b.yaml:2: engine.thread: unknown key; did you mean engine.threads?",
                          "b.yaml:3: engin: unknown key; did you mean engine?",
                          "b.yaml:4: threads: unknown key; did you mean engine.threads?"));
  EXPECT_THAT(errors_of("metrics:\n  colour: red\nengine.threads: 2\n"),
              ElementsAre("b.yaml:2: metrics.colour: unknown key, allowed in metrics: listen",
                          "b.yaml:3: engine.threads: unknown key; did you mean engine.threads?"));
  EXPECT_THAT(
      errors_of("community:\n  rules:\n    idea_adoptd: {points: 1}\n  profiles:\n    overall: {knowlege: 1}\n    "
                "Big-One: {}\n"),
      ElementsAre(
          "b.yaml:3: community.rules.idea_adoptd: unknown key; did you mean community.rules.idea_adopted?",
          "b.yaml:5: community.profiles.overall.knowlege: unknown key; did you mean "
          "community.profiles.overall.knowledge?",
          "b.yaml:6: community.profiles.Big-One: unknown key, allowed: a name of a-z 0-9 _ that begins with a letter",
          "b.yaml:5: community.profiles.overall: a profile needs a weight above 0"));
  EXPECT_THAT(
      set_errors(
          {"engine.thread=2", "zzzzzz=1", "engine=2", "engine.threads", "=1", "engine.batch=5", "engine.batch=6"}),
      ElementsAre("--set engine.thread: unknown key; did you mean engine.threads?",
                  "--set zzzzzz: unknown key, allowed: engine, kafka, log, service, metrics, logging, community",
                  StartsWith("--set engine: is a group of keys, allowed: one of data_dir, threads, "),
                  "--set engine.threads: given \"engine.threads\", allowed: KEY=VALUE",
                  "--set: given \"=1\", allowed: KEY=VALUE", "--set engine.batch: given twice"));
  EXPECT_THAT(environment_errors({{"BELLWETHER_ENGINE_THREDS", "2"}, {"BELLWETHER_WEATHER_IN_SPRING", "sun"}}),
              ElementsAre("environment BELLWETHER_ENGINE_THREDS: unknown key; did you mean BELLWETHER_ENGINE_THREADS?",
                          "environment BELLWETHER_WEATHER_IN_SPRING: unknown key, allowed: BELLWETHER_SECTION_KEY as "
                          "in bellwether.yaml"));
}

TEST(Errors, KeysGivenTwice) {
  EXPECT_THAT(errors_of("engine:\n  threads: 1\n  batch: 2\n  threads: 2\nlog: {}\nengine: {}\n"),
              ElementsAre("b.yaml:4: engine.threads: given twice, first on line 2",
                          "b.yaml:6: engine: given twice, first on line 1"));
}

TEST(Errors, SecretsAreNotShown) {
  const auto config = load_text("kafka: {properties: {sasl.password: [hush]}}\n", "b.yaml",
                                {"community.hash_key=" + std::string(300, 'h')}, {});
  EXPECT_THAT(
      config.errors(),
      ElementsAre("b.yaml:1: kafka.properties.sasl.password: given a list, allowed: a text of at most 65536 bytes",
                  "--set community.hash_key: given a text of 300 bytes, allowed: a text of 1..256 bytes"));
}

TEST(Errors, FilesThatCannotBeRead) {
  EXPECT_THAT(load("/nonexistent/b.yaml", {"engine.threads=x"}, {}).errors(),
              ElementsAre("/nonexistent/b.yaml: cannot be read: No such file or directory",
                          "--set engine.threads: given \"x\", allowed: a whole number 1..256 (threads)"));
  EXPECT_THAT(load("/", {}, {}).errors(), ElementsAre("/: cannot be read: Is a directory"));
}

// --- rules over several keys

TEST(Together, EachRule) {
  const std::string tiers = "community.tiers.";
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"engine.threads=4"}, "--set engine.threads: engine.shards (2) must be at least engine.threads (4)"},
      {{"engine.commit_ms=3000"},
       "--set engine.commit_ms: engine.commit_behind_ms (2000) must be at least engine.commit_ms (3000)"},
      {{"service.tls_cert=c"}, "--set service.tls_cert: service.tls_cert and service.tls_key need each other"},
      {{"service.tls_client_ca=c"},
       "--set service.tls_client_ca: service.tls_client_ca needs service.tls_cert and service.tls_key"},
      {{"service.listen=0.0.0.0:7400"},
       "--set service.listen: service.listen (\"0.0.0.0:7400\") is open to other machines and needs service.tokens, a "
       "file of who may"},
      {{"metrics.listen=127.0.0.1:7400"},
       "--set metrics.listen: metrics.listen and service.listen must differ (\"127.0.0.1:7400\")"},
      {{"log.enabled=false"}, "--set log.enabled: log.enabled (false) without kafka.brokers: nothing could come in"},
      {{"kafka.brokers=k:1", "kafka.topics="}, "--set kafka.topics: kafka.brokers needs kafka.topics"},
      {{"kafka.topics=a,b,a"}, "--set kafka.topics: topic \"a\" is named twice"},
      {{"kafka.topics=bellwether.flags"},
       "--set kafka.topics: topic \"bellwether.flags\" begins with kafka.out_prefix (\"bellwether\"): output would be "
       "read as input"},
      {{"kafka.properties.group.id=x"}, "--set kafka.properties.group.id: may not be set: use kafka.group"},
      {{"community.half_life_days=7"},
       "--set community.half_life_days: community.window_days (180) must be at most 24 times community.half_life_days "
       "(7)"},
      {{"community.window_days=30", "community.grace_days=30"},
       "--set community.grace_days: community.grace_days (30) must be below community.window_days (30)"},
      {{"community.window_days=29"},
       "--set community.window_days: community.tiers.lead.gates.days_active (30) must be at most community.window_days "
       "(29): days are counted within it"},
      {{"community.profiles.none.referral=0"},
       "--set community.profiles.none.referral: community.profiles.none: a profile needs a weight above 0"},
      {{tiers + "key.min_score=9.5"},
       "--set community.tiers.key.min_score: community.tiers.key.min_score (9.5) must be at least "
       "community.tiers.contributor.min_score (10)"},
      {{tiers + "lead.top_permille=0"},
       "--set community.tiers.lead.top_permille: community.tiers.lead.top_permille (0) must be 1 up to "
       "community.tiers.key.top_permille (50)"},
      {{tiers + "contributor.gates.exams=1", tiers + "key.gates.exams=1"},
       "--set community.tiers.key.gates.exams: community.tiers.lead.gates.exams (0) must be at least "
       "community.tiers.key.gates.exams (1)"},
      {{tiers + "lead.gates.points.referral=1", tiers + "key.gates.points.referral=2"},
       "--set community.tiers.lead.gates.points.referral: community.tiers.lead.gates.points.referral (1) must be at "
       "least community.tiers.key.gates.points.referral (2)"},
  };
  for (const auto& [sets, message] : cases) EXPECT_THAT(set_errors(sets), ElementsAre(message));
}

TEST(Together, NameTheLineOfTheFile) {
  EXPECT_THAT(errors_of("service:\n  listen: 10.0.0.1:7400\n"),
              ElementsAre("b.yaml:2: service.listen (\"10.0.0.1:7400\") is open to other machines and needs "
                          "service.tokens, a file of who may"));
  EXPECT_THAT(errors_of("community:\n  profiles:\n    first: {referral: 1}\n"),
              ElementsAre("b.yaml:2: community.profiles: the first profile must be \"overall\": tiers go by it"));
  EXPECT_THAT(errors_of("community:\n  profiles: {}\n"),
              ElementsAre("b.yaml:2: community.profiles: the first profile must be \"overall\": tiers go by it"));
}

TEST(Together, WhatIsAllowedIsAllowed) {
  loaded("service: {listen: \"0.0.0.0:7400\", tokens: who, tls_cert: c, tls_key: k, tls_client_ca: a}\n");
  loaded("service: {listen: \"[::1]:0\"}\nmetrics: {listen: \"\"}\n");
  loaded("community: {half_life_days: 8}\n");
}

TEST(Addresses, Loopback) {
  for (const char* yes : {"127.0.0.1:1", "127.8.9.10:0", "localhost:65535", "[::1]:7400"})
    EXPECT_TRUE(is_loopback(yes)) << yes;
  for (const char* no : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "127.evil.example:1", "127.1:1", "localhost", "", ":1",
                         "[::1]", "a:b", "localhost:65536", "localhost.example:1"}) {
    EXPECT_FALSE(is_loopback(no)) << no;
  }
  for (const char* no : {"a b:1", "host", ":1", "[zz]:1", "[]:1", "[1]:1", "h:", "h:-1", "h:1x"})
    EXPECT_FALSE(is_listen_address(no)) << no;
}

// --- hostile YAML

TEST(Hostile, IsRefusedClearly) {
  EXPECT_THAT(errors_of("a: &x [1]\nb: *x\n"),
              ElementsAre("b.yaml:1: broken YAML: anchors and aliases are not allowed"));
  EXPECT_THAT(errors_of("engine: {threads: *x}\n"), ElementsAre(HasSubstr("b.yaml:1: broken YAML: ")));
  EXPECT_THAT(errors_of("engine: !!python/object:os.system {threads: 2}\n"),
              ElementsAre(HasSubstr("b.yaml:1: broken YAML: tags are not allowed")));
  EXPECT_THAT(errors_of("engine:\n  threads: 2\n---\nlog: {}\n"),
              ElementsAre(HasSubstr("broken YAML: more than one document")));
  EXPECT_THAT(errors_of("{[1]: 2}\n"), ElementsAre("b.yaml:1: broken YAML: a key must be a name, not a list or map"));
  EXPECT_THAT(errors_of("\"\": 2\n"), ElementsAre("b.yaml:1: broken YAML: a key without a name"));
  EXPECT_THAT(errors_of("x:\n  \xff\xfe\n"), ElementsAre("b.yaml:2: broken YAML: not valid UTF-8"));
  EXPECT_THAT(errors_of("\xc0\xaf"), ElementsAre("b.yaml:1: broken YAML: not valid UTF-8"));
  EXPECT_THAT(errors_of("\xed\xa0\x80"), ElementsAre("b.yaml:1: broken YAML: not valid UTF-8"));
  EXPECT_THAT(errors_of(std::string("a: \0b", 5)), ElementsAre("b.yaml:1: broken YAML: a control character"));
  EXPECT_THAT(errors_of("engine:\n threads: 2\nbad\n"), ElementsAre(StartsWith("b.yaml:3: bad: unknown key")));
  EXPECT_THAT(errors_of("engine: {threads: 2\n"), ElementsAre(HasSubstr("broken YAML: ")));
  EXPECT_THAT(errors_of("engine:\n\tthreads: 2\n"), ElementsAre(HasSubstr("broken YAML: ")));
  EXPECT_THAT(errors_of("a: " + std::string(kYamlScalarBytesMax + 1, 'x')),
              ElementsAre("b.yaml:1: broken YAML: a value of more than 65536 bytes"));
  EXPECT_THAT(errors_of(std::string(kYamlBytesMax + 1, '#')),
              ElementsAre("b.yaml: is too large: more than 1048576 bytes"));
  EXPECT_THAT(errors_of("a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}\n"),
              ElementsAre("b.yaml:1: broken YAML: nested deeper than 8 levels"));
  std::string many = "kafka:\n  topics: [";
  for (int i = 0; i < 30000; ++i) many += "a,";
  EXPECT_THAT(errors_of(many + "a]\n"), ElementsAre("b.yaml:2: broken YAML: more than 20000 values"));
}

TEST(Hostile, CostsNothing) {
  const auto start = std::chrono::steady_clock::now();
  std::string indented;
  for (int i = 0; i < 1000; ++i) indented += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string name = "a" + std::to_string(i), before = "*a" + std::to_string(i - 1);
    for (const std::string& part :
         {name, std::string(": &"), name, std::string(" ["), before, std::string(","), before})
      bomb += part;
    bomb += "]\n";
  }
  for (const std::string& text :
       {std::string(1 << 20, '['), std::string(1 << 20, '{'), std::string(1 << 20, '-'), std::string(1 << 20, '?'),
        std::string(1 << 20, '"'), std::string(1 << 20, '\n'), indented, bomb}) {
    for (const std::string& error : errors_of(text)) EXPECT_THAT(error, StartsWith("b.yaml:"));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Hostile, BrokenCopiesOfTheFileNeverCrash) {
  const std::string original = documented();
  std::mt19937 random(7);
  const std::string pieces = "{}[]:,-#&*!|>'\"%@`?\n\t ~0a\xc3";
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string text = original;
    for (int edit = 0; edit < 4; ++edit) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = pieces[random() % pieces.size()];
          break;
        case 1:
          text.erase(at, random() % 40);
          break;
        default:
          text.insert(at, 1, pieces[random() % pieces.size()]);
      }
    }
    const auto config = load_text(text, "b.yaml");
    refused += !config.ok();
    for (const std::string& error : config.errors())
      EXPECT_THAT(error, testing::AnyOf(StartsWith("b.yaml:"), StartsWith("defaults: ")));
  }
  EXPECT_GT(refused, 100);
}

// --- versions

TEST(Canonical, RoundTrips) {
  CommunityConfig community = default_config().community;
  const auto check = [&] {
    const auto back = parse_canonical(canonical(community));
    ASSERT_TRUE(back.ok()) << back.error_text() << "\n" << canonical(community);
    EXPECT_EQ(back.value(), community);
    EXPECT_EQ(canonical(back.value()), canonical(community));
    EXPECT_EQ(content_hash(back.value()), content_hash(community));
  };
  check();
  community.version = "it's \"2\" \\ #; é: {x}";
  community.hash_key = "null";
  community.profiles = {{"overall", {1, 20, 300, 1000}}, {"z", {0, 0, 0, 1}}, {"true", {5, 0, 0, 0}}};
  community.rules[1].points_micros = 1;
  community.rules[2].cap_micros = 1'000'000'000'000;
  community.tiers[4].gates.points_micros = {1, 2, 3, 4};
  community.rings.enabled = false;
  community.memberships = {"a, \"b\"", "ü"};
  community.own_minutes = false;
  check();
  community.memberships.clear();
  check();
}

TEST(Canonical, EveryCommunityKeyChangesTheHash) {
  const uint64_t before = content_hash(default_config().community);
  for (const KeySpec& key : schema()) {
    if (!key.name.starts_with("community.")) continue;
    Config config = default_config();
    const Slot slot = key.slot(config, "overall");
    if (auto* const* whole = std::get_if<uint32_t*>(&slot)) ++**whole;
    if (auto* const* points = std::get_if<int64_t*>(&slot)) ++**points;
    if (auto* const* on = std::get_if<bool*>(&slot)) **on = !**on;
    if (auto* const* text = std::get_if<std::string*>(&slot)) **text += "x";
    if (auto* const* list = std::get_if<std::vector<std::string>*>(&slot)) (*list)->push_back("x");
    EXPECT_NE(content_hash(config.community), before) << key.name;
  }
}

TEST(Canonical, LayoutIsFrozen) {
  const std::string text = canonical(default_config().community);
  EXPECT_THAT(text, StartsWith("version: \"1\"\n"
                               "hash_key: \"bellwether\"\n"
                               "half_life_days: 30\n"
                               "window_days: 180\n"
                               "rules:\n"
                               "  idea_adopted:\n"
                               "    points: 50\n"
                               "    daily_cap: 0\n"));
  EXPECT_THAT(text, HasSubstr("profiles:\n"
                              "  overall:\n"
                              "    innovation: 1\n"
                              "    communication: 1\n"
                              "    referral: 1\n"
                              "    knowledge: 1\n"
                              "  beta_recruiting:\n"
                              "    innovation: 1\n"
                              "    communication: 0.2\n"));
}

// A version that an older program put on stays what it was.
TEST(Canonical, KeysOfLaterProgramsAreAsBefore) {
  CommunityConfig before = default_config().community;
  before.own_minutes = false;
  std::string text = canonical(before);
  const std::string line = "own_minutes: false\n";
  ASSERT_THAT(text, HasSubstr(line));
  text.erase(text.find(line), line.size());
  const auto back = parse_canonical(text);
  ASSERT_TRUE(back.ok()) << back.error_text();
  EXPECT_EQ(back.value(), before);
  EXPECT_FALSE(parse_canonical("").value().own_minutes);
}

TEST(Canonical, BrokenTextIsRefused) {
  EXPECT_THAT(
      parse_canonical("half_life_days: 0\n").errors(),
      ElementsAre(
          "community configuration:1: community.half_life_days: given \"0\", allowed: a whole number 1..365 (days)"));
  EXPECT_THAT(parse_canonical("engine: {threads: 1}\n").errors(),
              ElementsAre(HasSubstr("community configuration:1: community.engine: unknown key")));
  EXPECT_THAT(parse_canonical("half_life_days: 1\n").errors(), ElementsAre(HasSubstr("at most 24 times")));
  EXPECT_FALSE(parse_canonical("[").ok());
}

}  // namespace
}  // namespace bellwether::config_test

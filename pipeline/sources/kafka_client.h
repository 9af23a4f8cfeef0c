// What the Kafka source and sink share: settings, and how a broker that is away is spoken of. Names librdkafka's types
// without its header, which only kafka*.cc include.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "pipeline/sources/source.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;

namespace bellwether {

enum class KafkaLevel { kInfo, kWarning, kError };

// Both may be called from any thread, until the source or sink and the last of its batches are gone; both may be empty.
struct KafkaHooks {
  std::function<void(KafkaLevel, std::string_view text)> log;
  std::function<void(std::string_view json)> statistics;  // librdkafka's own JSON, every statistics_s
};

// Says that the broker is away once, then every minute, and once when it answers again. Any thread.
class KafkaNotice {
 public:
  KafkaNotice(KafkaHooks hooks, std::string who) : hooks_(std::move(hooks)), who_(std::move(who)) {}
  void away(const std::string& why);
  // A client lost all its connections, which may also be because they were idle; check() finds out.
  void suspect(const std::string& why);
  // Asks the brokers where they are suspected or known to be away, at most every two seconds; may block for 200 ms.
  void check(rd_kafka_s* client);
  void back();
  // Says it again if a minute has passed. True while away.
  bool remind();
  // Said at most once a minute for each `key`.
  void seldom(const std::string& key, KafkaLevel level, const std::string& text);
  void say(KafkaLevel level, const std::string& text) const;
  void statistics(std::string_view json) const {
    if (hooks_.statistics) hooks_.statistics(json);
  }

 private:
  using Time = std::chrono::steady_clock::time_point;
  const KafkaHooks hooks_;
  const std::string who_;
  std::mutex mutex_;
  bool away_ = false, suspected_ = false;
  std::string why_;
  Time since_, said_, asked_;
  std::vector<std::pair<std::string, Time>> seldom_;
};

using KafkaHandle = std::shared_ptr<rd_kafka_s>;

// Makes a client of the configured brokers and properties. `settings` are ours and may not be configured otherwise;
// `defaults` may. librdkafka's reports go to `notice`, which the client keeps.
Status make_kafka_client(bool producer, const KafkaConfig& config,
                         const std::vector<std::pair<std::string, std::string>>& settings,
                         const std::vector<std::pair<std::string, std::string>>& defaults,
                         const std::shared_ptr<KafkaNotice>& notice, KafkaHandle& out,
                         const std::function<void(rd_kafka_conf_s*)>& prepare = {});

}  // namespace bellwether

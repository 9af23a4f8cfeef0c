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

// Several clients of the same brokers: only the first to miss them, and the last to find them again, says so.
struct KafkaOutage {
  std::mutex mutex;
  size_t clients = 0;  // that miss them
  std::chrono::steady_clock::time_point said;
  std::vector<std::pair<std::string, std::chrono::steady_clock::time_point>> seldom;  // what is wrong, and when said
};

// Both may be called from any thread, until the source or sink and the last of its batches are gone; both may be empty.
struct KafkaHooks {
  std::function<void(KafkaLevel, std::string_view text)> log;
  std::function<void(std::string_view json)> statistics;  // librdkafka's own JSON, every statistics_s
  std::shared_ptr<KafkaOutage> outage = nullptr;          // null: this client speaks for itself alone
};

// Says that the broker is away once, then every minute, and once when it answers again. Any thread.
class KafkaNotice {
 public:
  KafkaNotice(KafkaHooks hooks, std::string who) : hooks_(std::move(hooks)), who_(std::move(who)) {}
  KafkaNotice(const KafkaNotice&) = delete;
  KafkaNotice& operator=(const KafkaNotice&) = delete;
  ~KafkaNotice();
  void away(const std::string& why);
  // A client lost all its connections, which may also be because they were idle; check() finds out.
  void suspect(const std::string& why);
  // What else to say where a login fails. Before any other call.
  void set_login_hint(std::string hint) { login_hint_ = std::move(hint); }
  const std::string& login_hint() const { return login_hint_; }
  // Why a connection was lost, in case that all are.
  void lost(const std::string& why);
  // Asks the brokers where they are suspected or known to be away, at most every two seconds; may block for 300 ms.
  void check(const std::shared_ptr<rd_kafka_s>& client);
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
  std::string login_hint_;
  std::mutex mutex_;
  bool away_ = false, suspected_ = false;
  std::string why_, lost_;
  Time since_, said_, asked_;
  std::vector<std::pair<std::string, Time>> seldom_;
};

using KafkaHandle = std::shared_ptr<rd_kafka_s>;

// Runs `ask`, a call of librdkafka 2.0 that does not keep its own timeout (issue 4460; rd_kafka_metadata hangs for good
// where brokers drop every connection, as they do on clients without a certificate), on a thread of its own. False
// where it did not end in time; what it writes must live on. At most four such calls wait at a time, more are false at
// once.
bool ask_kafka(std::function<void()> ask, int timeout_ms);

// Makes a client of the configured brokers and properties. `settings` are ours and may not be configured otherwise;
// `defaults` may. librdkafka's reports go to `notice`, which the client keeps.
Status make_kafka_client(bool producer, const KafkaConfig& config,
                         const std::vector<std::pair<std::string, std::string>>& settings,
                         const std::vector<std::pair<std::string, std::string>>& defaults,
                         const std::shared_ptr<KafkaNotice>& notice, KafkaHandle& out,
                         const std::function<void(rd_kafka_conf_s*)>& prepare = {});

}  // namespace bellwether

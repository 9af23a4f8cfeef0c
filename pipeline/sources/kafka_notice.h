// How a client of Kafka speaks of its brokers: that they are away is said once and not with each attempt, and once for
// several clients of the same brokers.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bellwether {

enum class KafkaLevel { kInfo, kWarning, kError };

// Several clients of the same brokers: only the first to miss them, and the last to find them again, says so.
struct KafkaOutage {
  std::mutex mutex;
  size_t clients = 0;     // that miss them
  bool why_said = false;  // of this outage: why connections end
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
  // Why a connection was lost, in case that all are. Where the brokers were called away before anything was known of
  // that, it is said now.
  void lost(const std::string& why);
  // Asks the brokers where they are suspected or known to be away, at most every two seconds; may block for 300 ms.
  // `answers` says whether any of them answers within so many milliseconds.
  void check(const std::function<bool(int timeout_ms)>& answers);
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
  std::string reason() const;  // under the lock

  const KafkaHooks hooks_;
  const std::string who_;
  std::mutex mutex_;
  bool away_ = false, suspected_ = false;
  std::string why_, lost_;
  Time since_, said_, asked_;
  std::vector<std::pair<std::string, Time>> seldom_;
};

}  // namespace bellwether

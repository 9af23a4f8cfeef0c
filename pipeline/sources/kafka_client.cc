#include "pipeline/sources/kafka_client.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <thread>

namespace bellwether {
namespace {

constexpr int kScramWorksFrom = 0x020601ff;

void on_error(rd_kafka_t* client, int code, const char* text_of, void* opaque) {
  const std::string reason = text_of;
  KafkaNotice& notice = *static_cast<KafkaNotice*>(opaque);
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  switch (error) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
      return notice.suspect(reason);
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
      return notice.lost(reason);  // one of several brokers, or the first sign of all being down
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
      return notice.seldom(rd_kafka_err2name(error), KafkaLevel::kError, reason + notice.login_hint());
    case RD_KAFKA_RESP_ERR__SSL:
      return notice.seldom(rd_kafka_err2name(error), KafkaLevel::kError, reason);
    case RD_KAFKA_RESP_ERR__FATAL: {
      char text[512];
      (void)rd_kafka_fatal_error(client, text, sizeof text);
      return notice.seldom("fatal", KafkaLevel::kError, text);
    }
    default:
      return notice.seldom(rd_kafka_err2name(error), KafkaLevel::kWarning, reason);
  }
}

void on_log(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  // Each attempt to connect logs its failure; the notice says it at its own pace.
  const std::string_view what = facility;
  if (what == "FAIL" || what == "ERROR" || level > 4) return;
  KafkaNotice& notice = *static_cast<KafkaNotice*>(rd_kafka_opaque(client));
  notice.seldom(std::string(what) + text, level <= 3 ? KafkaLevel::kError : KafkaLevel::kWarning, text);
}

int on_statistics(rd_kafka_t*, char* json, size_t size, void* opaque) {
  static_cast<KafkaNotice*>(opaque)->statistics({json, size});
  return 0;  // librdkafka frees it
}

// True if any broker answers within the timeout.
bool kafka_answers(const KafkaHandle& client, int timeout_ms) {
  auto answers = std::make_shared<std::atomic<bool>>(false);
  return ask_kafka(
             [client, answers, timeout_ms] {
               const rd_kafka_metadata_t* metadata = nullptr;
               if (rd_kafka_metadata(client.get(), 0, nullptr, &metadata, timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR)
                 return;
               rd_kafka_metadata_destroy(metadata);
               *answers = true;
             },
             timeout_ms) &&
         *answers;
}

}  // namespace

bool ask_kafka(std::function<void()> ask, int timeout_ms) {
  constexpr int kWaitingMax = 4;
  constexpr int kGraceMs = 100;
  static std::atomic<int> waiting{0};
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
  };
  if (waiting.fetch_add(1) >= kWaitingMax) {
    waiting.fetch_sub(1);
    return false;
  }
  auto state = std::make_shared<State>();
  std::thread([state, ask = std::move(ask)]() mutable {
    ask();
    ask = {};
    waiting.fetch_sub(1);
    const std::lock_guard lock(state->mutex);
    state->done = true;
    state->changed.notify_all();
  }).detach();
  std::unique_lock lock(state->mutex);
  return state->changed.wait_for(lock, std::chrono::milliseconds(timeout_ms + kGraceMs), [&] { return state->done; });
}

void check_kafka(KafkaNotice& notice, const KafkaHandle& client) {
  notice.check([&](int timeout_ms) { return kafka_answers(client, timeout_ms); });
}

Status make_kafka_client(bool producer, const KafkaConfig& config,
                         const std::vector<std::pair<std::string, std::string>>& settings,
                         const std::vector<std::pair<std::string, std::string>>& defaults,
                         const std::shared_ptr<KafkaNotice>& notice, KafkaHandle& out,
                         const std::function<void(rd_kafka_conf_s*)>& prepare) {
  std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)> owner(rd_kafka_conf_new(), rd_kafka_conf_destroy);
  rd_kafka_conf_t* conf = owner.get();
  char text[512];
  Status status;
  const auto set = [&](const std::string& key, const std::string& value) {
    if (!status.ok()) return;
    if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), text, sizeof text) != RD_KAFKA_CONF_OK) {
      status = Status::error("kafka." + key + ": " + text);
    }
  };
  set("bootstrap.servers", config.brokers);
  set("client.id", config.group);
  set("log.connection.close", "false");    // idle connections are closed by brokers as a matter of course
  set("socket.keepalive.enable", "true");  // a peer that vanished is noticed
  set("reconnect.backoff.ms", "100");
  set("reconnect.backoff.max.ms", "5000");
  for (const auto& [key, value] : defaults) set(key, value);
  for (const auto& [key, value] : config.properties) {
    const auto fixed = [&](const auto& setting) { return setting.first == key; };
    if (key == "bootstrap.servers" || key == "metadata.broker.list" || key == "group.id" ||
        std::ranges::any_of(settings, fixed)) {
      return Status::error("kafka.properties." + key + ": is set by this program and cannot be configured");
    }
    set(key, value);
  }
  for (const auto& [key, value] : settings) set(key, value);
  if (!status.ok()) return status;
  const auto mechanism = std::ranges::find_if(config.properties, [](const auto& property) {
    return property.first == "sasl.mechanism" || property.first == "sasl.mechanisms";
  });
  // Its answer repeats a part that brokers no longer let pass (pull request 4895 of librdkafka).
  if (mechanism != config.properties.end() && mechanism->second.starts_with("SCRAM") &&
      rd_kafka_version() < kScramWorksFrom) {
    notice->set_login_hint(std::string("; librdkafka ") + rd_kafka_version_str() +
                           ", which this program runs with, cannot log in by SCRAM to Apache Kafka 4, whatever the "
                           "password: that needs 2.6.1 or newer. PLAIN over TLS and client certificates work");
  }
  rd_kafka_conf_set_opaque(conf, notice.get());
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_log_cb(conf, on_log);
  rd_kafka_conf_set_stats_cb(conf, on_statistics);
  if (prepare) prepare(conf);
  // rd_kafka_new takes the settings over only where it succeeds.
  rd_kafka_t* client = rd_kafka_new(producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, text, sizeof text);
  if (client == nullptr) return Status::error(std::string("kafka: ") + text);
  (void)owner.release();
  out = KafkaHandle(client, [notice](rd_kafka_t* ending) { rd_kafka_destroy(ending); });
  return {};
}

}  // namespace bellwether

#include "pipeline/sources/kafka_client.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace bellwether {

struct RdClient {
  RdClient() = default;
  RdClient(const RdClient&) = delete;
  RdClient& operator=(const RdClient&) = delete;
  // What the callbacks use outlives them: they come until this returns.
  ~RdClient() {
    if (handle != nullptr) rd_kafka_destroy(handle);
  }

  rd_kafka_t* handle = nullptr;
  std::shared_ptr<KafkaNotice> notice;
  std::function<void(const KafkaDelivery&)> delivered;
  std::string login_hint;                    // what else to say where a login fails
  std::string user, password;                // as configured
  std::vector<rd_kafka_message_t*> to_read;  // of KafkaFetch::read, which one thread calls
};

struct RdFetch {
  RdFetch(std::shared_ptr<RdClient> client, rd_kafka_topic_t* topic, int32_t partition)
      : client(std::move(client)), topic(topic), partition(partition) {}
  RdFetch(const RdFetch&) = delete;
  RdFetch& operator=(const RdFetch&) = delete;
  ~RdFetch() {
    stop();
    rd_kafka_topic_destroy(topic);
  }
  void stop() {
    if (queue == nullptr) return;
    (void)rd_kafka_consume_stop(topic, partition);
    rd_kafka_queue_destroy(queue);
    queue = nullptr;
  }

  const std::shared_ptr<RdClient> client;
  rd_kafka_topic_t* const topic;  // librdkafka counts how many have it
  const int32_t partition;
  rd_kafka_queue_t* queue = nullptr;
};

struct RdQuestion {
  explicit RdQuestion(std::shared_ptr<RdClient> client)
      : client(std::move(client)), queue(rd_kafka_queue_new(this->client->handle)) {}
  RdQuestion(const RdQuestion&) = delete;
  RdQuestion& operator=(const RdQuestion&) = delete;
  ~RdQuestion() { rd_kafka_queue_destroy(queue); }

  const std::shared_ptr<RdClient> client;
  rd_kafka_queue_t* const queue;
};

namespace {

constexpr int kScramWorksFrom = 0x020601ff;
std::atomic<int> asking{0};  // calls of ask() that are not over

// The messages of a read, freed with the last who keeps them.
class Messages {
 public:
  Messages(std::shared_ptr<RdClient> client, rd_kafka_message_t* const* messages, size_t count)
      : client_(std::move(client)), messages_(messages, messages + count) {}
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;
  ~Messages() {
    for (rd_kafka_message_t* message : messages_) rd_kafka_message_destroy(message);
  }

 private:
  const std::shared_ptr<RdClient> client_;
  const std::vector<rd_kafka_message_t*> messages_;
};

void on_error(rd_kafka_t* client, int code, const char* text_of, void* opaque) {
  const std::string reason = text_of;
  const RdClient& ours = *static_cast<RdClient*>(opaque);
  KafkaNotice& notice = *ours.notice;
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  switch (error) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
      return notice.suspect(reason);
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
      return notice.lost(reason);  // one of several brokers, or the first sign of all being down
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
      return notice.seldom(rd_kafka_err2name(error), KafkaLevel::kError, reason + ours.login_hint);
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
  KafkaNotice& notice = *static_cast<RdClient*>(rd_kafka_opaque(client))->notice;
  notice.seldom(std::string(what) + text, level <= 3 ? KafkaLevel::kError : KafkaLevel::kWarning, text);
}

int on_statistics(rd_kafka_t*, char* json, size_t size, void* opaque) {
  static_cast<RdClient*>(opaque)->notice->statistics({json, size});
  return 0;  // librdkafka frees it
}

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  KafkaDelivery delivery;
  delivery.ticket = message->_private;
  if (message->rkt != nullptr) delivery.topic = rd_kafka_topic_name(message->rkt);
  delivery.partition = message->partition;
  delivery.offset = message->offset;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) delivery.error = rd_kafka_err2str(message->err);
  static_cast<RdClient*>(opaque)->delivered(delivery);
}

// Runs `question`, a call of librdkafka 2.0 that does not keep its own timeout (issue 4460; rd_kafka_metadata hangs for
// good where brokers drop every connection, as they do on clients without a certificate), on a thread of its own.
// Nothing where it did not end in time; what it uses must live on. At most four such calls wait at a time, more give
// nothing at once.
template <typename T>
std::optional<T> ask(int timeout_ms, std::function<std::optional<T>()> question) {
  constexpr int kAskingMax = 4;
  constexpr int kGraceMs = 100;
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    std::optional<T> answer;
  };
  if (asking.fetch_add(1) >= kAskingMax) {
    asking.fetch_sub(1);
    return std::nullopt;
  }
  auto state = std::make_shared<State>();
  std::thread([state, question = std::move(question)]() mutable {
    std::optional<T> answer = question();
    question = {};
    asking.fetch_sub(1);
    const std::lock_guard lock(state->mutex);
    state->answer = std::move(answer);
    state->done = true;
    state->changed.notify_all();
  }).detach();
  std::unique_lock lock(state->mutex);
  (void)state->changed.wait_for(lock, std::chrono::milliseconds(timeout_ms + kGraceMs), [&] { return state->done; });
  return std::move(state->answer);
}

// SCRAM's answer repeats a part that brokers no longer let pass (pull request 4895 of librdkafka).
std::string login_hint(const KafkaConfig& config) {
  const auto mechanism = std::ranges::find_if(config.properties, [](const auto& property) {
    return property.first == "sasl.mechanism" || property.first == "sasl.mechanisms";
  });
  if (mechanism == config.properties.end() || !mechanism->second.starts_with("SCRAM") ||
      rd_kafka_version() >= kScramWorksFrom) {
    return "";
  }
  return std::string("; librdkafka ") + rd_kafka_version_str() +
         ", which this program runs with, cannot log in by SCRAM to Apache Kafka 4, whatever the "
         "password: that needs 2.6.1 or newer. PLAIN over TLS and client certificates work";
}

KafkaItem::Kind kind_of(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return KafkaItem::Kind::kRecord;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      return KafkaItem::Kind::kEnd;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return KafkaItem::Kind::kNoOffset;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return KafkaItem::Kind::kNoTopic;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
      return KafkaItem::Kind::kUnreadable;
    default:
      return KafkaItem::Kind::kTrouble;
  }
}

KafkaItem item_of(const rd_kafka_message_t& message) {
  KafkaItem item;
  item.offset = message.offset;
  item.kind = kind_of(message.err);
  if (item.kind != KafkaItem::Kind::kRecord) {
    item.value = rd_kafka_message_errstr(&message);
    item.name = rd_kafka_err2name(message.err);
    return item;
  }
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  item.stamp_ms = rd_kafka_message_timestamp(&message, &type);
  item.stamp = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? KafkaItem::Stamp::kAppend
               : type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? KafkaItem::Stamp::kNone
                                                          : KafkaItem::Stamp::kProducer;
  if (message.payload != nullptr) item.value = {static_cast<const char*>(message.payload), message.len};
  return item;
}

}  // namespace

Status KafkaClient::open(const KafkaConfig& config, const Settings& settings, const Settings& defaults,
                         std::shared_ptr<KafkaNotice> notice, std::function<void(const KafkaDelivery&)> delivered,
                         KafkaClient& out) {
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
    if (key == "bootstrap.servers" || key == "metadata.broker.list" || key == "group.id" ||
        std::ranges::find(settings, key, &std::pair<std::string, std::string>::first) != settings.end()) {
      return Status::error("kafka.properties." + key + ": is set by this program and cannot be configured");
    }
    set(key, value);
  }
  for (const auto& [key, value] : settings) set(key, value);
  if (!status.ok()) return status;
  const auto property = [&](const char* key) {
    const auto at = config.properties.find(key);
    return at == config.properties.end() ? std::string("none") : at->second;
  };
  auto client = std::make_shared<RdClient>();
  client->notice = std::move(notice);
  client->delivered = std::move(delivered);
  client->login_hint = login_hint(config);
  client->user = property("sasl.username");
  client->password = property("sasl.password");
  const bool producer = client->delivered != nullptr;
  rd_kafka_conf_set_opaque(conf, client.get());
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_log_cb(conf, on_log);
  rd_kafka_conf_set_stats_cb(conf, on_statistics);
  if (producer) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  // rd_kafka_new takes the settings over only where it succeeds.
  client->handle = rd_kafka_new(producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, text, sizeof text);
  if (client->handle == nullptr) return Status::error(std::string("kafka: ") + text);
  (void)owner.release();
  out.rd_ = std::move(client);
  return {};
}

void KafkaClient::poll(int timeout_ms) const { (void)rd_kafka_poll(rd_->handle, timeout_ms); }

void KafkaClient::check() const {
  rd_->notice->check([this](int timeout_ms) { return answers(timeout_ms); });
}

bool KafkaClient::answers(int timeout_ms) const {
  return ask<bool>(timeout_ms,
                   [rd = rd_, timeout_ms]() -> std::optional<bool> {
                     const rd_kafka_metadata_t* metadata = nullptr;
                     if (rd_kafka_metadata(rd->handle, 0, nullptr, &metadata, timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR)
                       return false;
                     rd_kafka_metadata_destroy(metadata);
                     return true;
                   })
      .value_or(false);
}

std::optional<KafkaRange> KafkaClient::range(const PartitionId& id, int timeout_ms) const {
  return ask<KafkaRange>(timeout_ms, [rd = rd_, id, timeout_ms]() -> std::optional<KafkaRange> {
    KafkaRange range;
    if (rd_kafka_query_watermark_offsets(rd->handle, id.topic.c_str(), id.number, &range.low, &range.high,
                                         timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return std::nullopt;
    return range;
  });
}

std::optional<KafkaTopic> KafkaClient::topic(const std::string& name, int timeout_ms) const {
  return ask<KafkaTopic>(timeout_ms, [rd = rd_, name, timeout_ms]() -> std::optional<KafkaTopic> {
    rd_kafka_topic_t* wanted = rd_kafka_topic_new(rd->handle, name.c_str(), nullptr);
    if (wanted == nullptr) return std::nullopt;
    const rd_kafka_metadata_t* metadata = nullptr;
    const rd_kafka_resp_err_t error = rd_kafka_metadata(rd->handle, 0, wanted, &metadata, timeout_ms);
    rd_kafka_topic_destroy(wanted);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
    KafkaTopic topic;
    topic.error = "the brokers do not list it";
    for (int t = 0; t < metadata->topic_cnt; ++t) {
      const rd_kafka_metadata_topic_t& listed = metadata->topics[t];
      if (name != listed.topic) continue;
      topic.missing = listed.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
      topic.error = listed.err == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : rd_kafka_err2str(listed.err);
      for (int p = 0; p < listed.partition_cnt; ++p) topic.partitions.push_back(listed.partitions[p].id);
    }
    std::ranges::sort(topic.partitions);
    rd_kafka_metadata_destroy(metadata);
    return topic;
  });
}

std::optional<KafkaRange> KafkaClient::known_range(const PartitionId& id) const {
  KafkaRange range;
  if (rd_kafka_get_watermark_offsets(rd_->handle, id.topic.c_str(), id.number, &range.low, &range.high) !=
          RD_KAFKA_RESP_ERR_NO_ERROR ||
      range.high < 0)
    return std::nullopt;
  return range;
}

KafkaQuestion KafkaClient::ask_settings(const std::vector<std::string>& topics, int timeout_ms) const {
  std::vector<rd_kafka_ConfigResource_t*> wanted;
  wanted.reserve(topics.size());
  for (const std::string& topic : topics)
    wanted.push_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  char text[256];
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(rd_->handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
  KafkaQuestion question;
  question.rd_ = std::make_shared<RdQuestion>(rd_);
  rd_kafka_DescribeConfigs(rd_->handle, wanted.data(), wanted.size(), options, question.rd_->queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy_array(wanted.data(), wanted.size());
  return question;
}

Status KafkaClient::make_topics(const std::vector<std::string>& topics, int partitions, int replication, int timeout_ms,
                                KafkaQuestion& out) const {
  std::vector<rd_kafka_NewTopic_t*> wanted;
  Status status;
  char text[256];
  for (const std::string& topic : topics) {
    rd_kafka_NewTopic_t* made = rd_kafka_NewTopic_new(topic.c_str(), partitions, replication, text, sizeof text);
    if (made == nullptr) {
      status = Status::error("topic " + topic + ": " + text);
      break;
    }
    wanted.push_back(made);
  }
  if (status.ok()) {
    rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(rd_->handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    (void)rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, text, sizeof text);
    out.rd_ = std::make_shared<RdQuestion>(rd_);
    rd_kafka_CreateTopics(rd_->handle, wanted.data(), wanted.size(), options, out.rd_->queue);
    rd_kafka_AdminOptions_destroy(options);
  }
  rd_kafka_NewTopic_destroy_array(wanted.data(), wanted.size());
  return status;
}

std::optional<KafkaAnswer> KafkaQuestion::take(int wait_ms) const {
  const std::unique_ptr<rd_kafka_event_t, decltype(&rd_kafka_event_destroy)> event(
      rd_kafka_queue_poll(rd_->queue, wait_ms), rd_kafka_event_destroy);
  if (event == nullptr) return std::nullopt;
  KafkaAnswer answer;
  answer.ok = rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR_NO_ERROR;
  size_t count = 0;
  if (const rd_kafka_DescribeConfigs_result_t* result = rd_kafka_event_DescribeConfigs_result(event.get())) {
    const rd_kafka_ConfigResource_t** resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
    for (size_t r = 0; r < count; ++r) {
      KafkaAnswer::Topic& topic = answer.topics.emplace_back();
      topic.name = rd_kafka_ConfigResource_name(resources[r]);
      if (const rd_kafka_resp_err_t error = rd_kafka_ConfigResource_error(resources[r])) {
        topic.error = rd_kafka_err2str(error);
        continue;
      }
      size_t entries = 0;
      const rd_kafka_ConfigEntry_t** entry = rd_kafka_ConfigResource_configs(resources[r], &entries);
      for (size_t e = 0; e < entries; ++e) {
        const char* value = rd_kafka_ConfigEntry_value(entry[e]);
        topic.settings[rd_kafka_ConfigEntry_name(entry[e])] = value == nullptr ? "" : value;
      }
    }
  } else if (const rd_kafka_CreateTopics_result_t* result = rd_kafka_event_CreateTopics_result(event.get())) {
    const rd_kafka_topic_result_t** made = rd_kafka_CreateTopics_result_topics(result, &count);
    for (size_t t = 0; t < count; ++t) {
      KafkaAnswer::Topic& topic = answer.topics.emplace_back();
      topic.name = rd_kafka_topic_result_name(made[t]);
      const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(made[t]);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
      const char* why = rd_kafka_topic_result_error_string(made[t]);
      topic.error = why != nullptr ? why : rd_kafka_err2str(error);
    }
  }
  return answer;
}

void KafkaClient::wake() const {
  // This call, meant for changed passwords, only stores its two strings and wakes those threads; they are the
  // configured ones.
  rd_kafka_error_t* error = rd_kafka_sasl_set_credentials(rd_->handle, rd_->user.c_str(), rd_->password.c_str());
  if (error != nullptr) rd_kafka_error_destroy(error);
}

std::optional<KafkaRefusal> KafkaClient::produce(const std::string& topic, std::string_view key, std::string_view value,
                                                 std::string_view id, void* ticket) const {
  rd_kafka_headers_t* headers = nullptr;
  if (!id.empty()) {
    headers = rd_kafka_headers_new(1);
    (void)rd_kafka_header_add(headers, "id", 2, id.data(), static_cast<ssize_t>(id.size()));
  }
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  if (headers != nullptr) {
    error = rd_kafka_producev(rd_->handle, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY(key.empty() ? nullptr : key.data(), key.size()),
                              RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                              RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(ticket), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) rd_kafka_headers_destroy(headers);
  } else {
    error = rd_kafka_producev(rd_->handle, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY(key.empty() ? nullptr : key.data(), key.size()),
                              RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                              RD_KAFKA_V_OPAQUE(ticket), RD_KAFKA_V_END);
  }
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  return KafkaRefusal{error == RD_KAFKA_RESP_ERR__QUEUE_FULL, rd_kafka_err2str(error)};
}

void KafkaClient::drop(int timeout_ms) const {
  (void)rd_kafka_purge(rd_->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  (void)rd_kafka_flush(rd_->handle, timeout_ms);
}

Status KafkaFetch::open(const KafkaClient& client, const PartitionId& id, KafkaFetch& out) {
  rd_kafka_topic_t* topic = rd_kafka_topic_new(client.rd_->handle, id.topic.c_str(), nullptr);
  if (topic == nullptr) return Status::error("kafka: " + id.topic + ": " + rd_kafka_err2str(rd_kafka_last_error()));
  out.rd_ = std::make_shared<RdFetch>(client.rd_, topic, id.number);
  return {};
}

// A seek is refused after an offset that is out of range (issue 2961 of librdkafka), and what is queued must go.
Status KafkaFetch::start(int64_t offset) const {
  rd_->stop();
  rd_->queue = rd_kafka_queue_new(rd_->client->handle);
  if (offset < 0) offset = RD_KAFKA_OFFSET_BEGINNING;
  if (rd_kafka_consume_start_queue(rd_->topic, rd_->partition, offset, rd_->queue) == 0) return {};
  const rd_kafka_resp_err_t error = rd_kafka_last_error();
  return Status::error(std::string("kafka: ") + rd_kafka_topic_name(rd_->topic) + " [" +
                       std::to_string(rd_->partition) + "]: " + rd_kafka_err2str(error));
}

std::shared_ptr<void> KafkaFetch::read(size_t items_max, int timeout_ms, std::vector<KafkaItem>& out) const {
  out.clear();
  items_max = std::max<size_t>(items_max, 1);
  std::vector<rd_kafka_message_t*>& to_read = rd_->client->to_read;
  if (to_read.size() < items_max) to_read.resize(items_max);
  rd_kafka_message_t** const messages = to_read.data();
  // The batch call waits until the batch is full: what is there is taken at once, and only a first message is waited
  // for.
  ssize_t count = rd_kafka_consume_batch_queue(rd_->queue, 0, messages, items_max);
  if (count == 0 && timeout_ms > 0) {
    count = rd_kafka_consume_batch_queue(rd_->queue, timeout_ms, messages, 1);
    if (count == 1 && items_max > 1) {
      count += std::max<ssize_t>(rd_kafka_consume_batch_queue(rd_->queue, 0, messages + 1, items_max - 1), 0);
    }
  }
  if (count <= 0) return nullptr;
  const auto items = static_cast<size_t>(count);
  out.reserve(items);
  for (size_t i = 0; i < items; ++i) out.push_back(item_of(*messages[i]));
  return std::make_shared<Messages>(rd_->client, messages, items);
}

size_t KafkaFetch::queued() const { return rd_kafka_queue_length(rd_->queue); }

}  // namespace bellwether

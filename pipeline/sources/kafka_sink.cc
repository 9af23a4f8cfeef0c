#include "pipeline/sources/kafka_sink.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "pipeline/sources/kafka_topics.h"

namespace bellwether {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kPollMs = 50;
constexpr int kAdminMs = 5000;
constexpr int kFullWaitMs = 5;

}  // namespace

class KafkaSink::Impl {
 public:
  Impl(Options options, KafkaHooks hooks)
      : options_(std::move(options)), notice_(std::make_shared<KafkaNotice>(std::move(hooks), "kafka sink")) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  Status open(const KafkaConfig& config);
  bool enqueue(const OutRecord& record, int timeout_ms);
  uint64_t acknowledged() const;
  Status failure() const;
  Status flush(int timeout_ms);
  std::vector<Produced> produce_all(const std::vector<ToProduce>& records, int timeout_ms);

 private:
  // Rides through librdkafka with each message; a sequence or a waiter is set.
  struct Ticket {
    struct Waiter {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
      Produced produced;
    };
    Impl* sink = nullptr;
    uint64_t sequence = 0;
    std::shared_ptr<Waiter> waiter;
  };

  static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque);
  void delivered(const rd_kafka_message_t& message);
  void run();
  bool make_topics();
  rd_kafka_resp_err_t send(const std::string& topic, std::string_view key, std::string_view value, std::string_view id,
                           Ticket* ticket);
  void fail(const std::string& why);

  const Options options_;
  const std::shared_ptr<KafkaNotice> notice_;
  KafkaHandle client_;
  std::atomic<bool> stopping_{false};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool topics_made_ = false;
  std::deque<std::pair<uint64_t, bool>> waiting_;  // sequences taken, in order, and whether acknowledged
  uint64_t acknowledged_ = 0;
  Status failure_;
  std::thread thread_;
};

Status KafkaSink::Impl::open(const KafkaConfig& config) {
  Status status =
      make_kafka_client(true, config,
                        {{"enable.idempotence", "true"},
                         {"acks", "all"},
                         {"message.timeout.ms", "0"},  // for ever: the outbox would only send it again
                         {"queue.buffering.max.messages", std::to_string(std::max<size_t>(options_.queue_records, 1))},
                         {"queue.buffering.max.kbytes", std::to_string(std::max<size_t>(options_.queue_mb, 1) * 1024)}},
                        {{"linger.ms", "5"}, {"compression.type", "lz4"}}, notice_, client_,
                        [](rd_kafka_conf_t* conf) { rd_kafka_conf_set_dr_msg_cb(conf, on_delivery); });
  if (!status.ok()) return status;
  topics_made_ = options_.topics.empty();
  thread_ = std::thread([this] { run(); });
  return {};
}

KafkaSink::Impl::~Impl() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  if (client_ == nullptr) return;
  // Whoever waits in produce() is told, and the tickets come back.
  (void)rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  (void)rd_kafka_flush(client_.get(), 1000);
}

void KafkaSink::Impl::run() {
  auto asked = Clock::time_point{};
  bool made = options_.topics.empty();
  while (!stopping_) {
    (void)rd_kafka_poll(client_.get(), kPollMs);
    check_kafka(*notice_, client_);
    if (!made && Clock::now() - asked >= std::chrono::seconds(1)) {
      made = make_topics();
      asked = Clock::now();
      if (made) {
        const std::lock_guard lock(mutex_);
        topics_made_ = true;
        changed_.notify_all();
      }
    }
  }
}

bool KafkaSink::Impl::make_topics() {
  rd_kafka_t* client = client_.get();
  std::vector<rd_kafka_NewTopic_t*> wanted;
  char text[256];
  for (const std::string& topic : options_.topics) {
    rd_kafka_NewTopic_t* made =
        rd_kafka_NewTopic_new(topic.c_str(), options_.partitions, options_.replication, text, sizeof text);
    if (made == nullptr) {
      fail("topic " + topic + ": " + text);
      break;
    }
    wanted.push_back(made);
  }
  if (wanted.size() != options_.topics.size()) {
    rd_kafka_NewTopic_destroy_array(wanted.data(), wanted.size());
    return false;
  }
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  (void)rd_kafka_AdminOptions_set_request_timeout(options, kAdminMs, text, sizeof text);
  (void)rd_kafka_AdminOptions_set_operation_timeout(options, kAdminMs, text, sizeof text);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
  rd_kafka_CreateTopics(client, wanted.data(), wanted.size(), options, queue);
  rd_kafka_event_t* event = nullptr;
  const auto until = Clock::now() + milliseconds(kAdminMs + 500);
  while (event == nullptr && !stopping_ && Clock::now() < until) {
    event = rd_kafka_queue_poll(queue, kPollMs);
    (void)rd_kafka_poll(client, 0);
    check_kafka(*notice_, client_);
  }
  bool all = false;
  if (const rd_kafka_CreateTopics_result_t* result = event ? rd_kafka_event_CreateTopics_result(event) : nullptr) {
    size_t count = 0;
    const rd_kafka_topic_result_t** topics = rd_kafka_CreateTopics_result_topics(result, &count);
    all = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR && count == wanted.size();
    for (size_t i = 0; i < count; ++i) {
      const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(topics[i]);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
      const std::string name = rd_kafka_topic_result_name(topics[i]);
      // A topic that exists is all that is needed, also without the right to make topics.
      const auto metadata = kafka_topic(client_, name, kAdminMs);
      if (metadata != nullptr && metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt > 0) continue;
      all = false;
      const char* why = rd_kafka_topic_result_error_string(topics[i]);
      notice_->seldom("make " + name, KafkaLevel::kWarning,
                      "topic " + name + " cannot be made: " + (why ? why : rd_kafka_err2str(error)));
    }
  }
  if (event != nullptr) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy_array(wanted.data(), wanted.size());
  return all;
}

rd_kafka_resp_err_t KafkaSink::Impl::send(const std::string& topic, std::string_view key, std::string_view value,
                                          std::string_view id, Ticket* ticket) {
  rd_kafka_headers_t* headers = nullptr;
  if (!id.empty()) {
    headers = rd_kafka_headers_new(1);
    (void)rd_kafka_header_add(headers, "id", 2, id.data(), static_cast<ssize_t>(id.size()));
  }
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  if (headers != nullptr) {
    error = rd_kafka_producev(client_.get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY(key.empty() ? nullptr : key.data(), key.size()),
                              RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                              RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(ticket), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) rd_kafka_headers_destroy(headers);
  } else {
    error = rd_kafka_producev(client_.get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY(key.empty() ? nullptr : key.data(), key.size()),
                              RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                              RD_KAFKA_V_OPAQUE(ticket), RD_KAFKA_V_END);
  }
  return error;
}

bool KafkaSink::Impl::enqueue(const OutRecord& record, int timeout_ms) {
  const auto until = Clock::now() + milliseconds(timeout_ms);
  {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [&] { return topics_made_ || !failure_.ok(); });
    if (!topics_made_ || !failure_.ok()) return false;
    waiting_.emplace_back(record.sequence, false);  // before the delivery report can come
  }
  auto ticket = std::make_unique<Ticket>();
  ticket->sink = this;
  ticket->sequence = record.sequence;
  for (;;) {
    const rd_kafka_resp_err_t error =
        send(std::string(record.topic), record.key, record.tombstone ? std::string_view{} : record.value, record.id,
             ticket.get());
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      (void)ticket.release();
      return true;
    }
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL && Clock::now() < until && failure().ok()) {
      std::this_thread::sleep_for(milliseconds(kFullWaitMs));
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      waiting_.pop_back();  // one thread enqueues, so it is the last
    }
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) fail(std::string(record.topic) + ": " + rd_kafka_err2str(error));
    return false;
  }
}

void KafkaSink::Impl::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  // Not the callback's own pointer: that is the notice, which all callbacks of a client share.
  static_cast<Ticket*>(message->_private)->sink->delivered(*message);
}

void KafkaSink::Impl::delivered(const rd_kafka_message_t& message) {
  const std::unique_ptr<Ticket> ticket(static_cast<Ticket*>(message._private));
  const bool ok = message.err == RD_KAFKA_RESP_ERR_NO_ERROR;
  const std::string topic = message.rkt != nullptr ? rd_kafka_topic_name(message.rkt) : "";
  if (ok) notice_->back();
  if (ticket->waiter != nullptr) {
    const std::lock_guard lock(ticket->waiter->mutex);
    Produced& produced = ticket->waiter->produced;
    produced.partition = {topic, message.partition};
    produced.offset = ok ? message.offset : -1;
    if (!ok) produced.status = Status::error("kafka: " + topic + ": " + rd_kafka_err2str(message.err));
    ticket->waiter->done = true;
    ticket->waiter->changed.notify_all();
    return;
  }
  if (!ok) {
    if (!stopping_) fail(topic + ": " + rd_kafka_err2str(message.err));
    return;
  }
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::lower_bound(waiting_, ticket->sequence, {}, &std::pair<uint64_t, bool>::first);
  if (at != waiting_.end() && at->first == ticket->sequence) at->second = true;
  while (!waiting_.empty() && waiting_.front().second) {
    acknowledged_ = waiting_.front().first;
    waiting_.pop_front();
  }
  changed_.notify_all();
}

void KafkaSink::Impl::fail(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_.ok()) return;
    failure_ = Status::error("kafka: " + why);
    changed_.notify_all();
  }
  notice_->say(KafkaLevel::kError, why);
}

uint64_t KafkaSink::Impl::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

Status KafkaSink::Impl::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

Status KafkaSink::Impl::flush(int timeout_ms) {
  std::unique_lock lock(mutex_);
  const bool over =
      changed_.wait_for(lock, milliseconds(timeout_ms), [&] { return waiting_.empty() || !failure_.ok(); });
  if (!failure_.ok()) return failure_;
  if (over) return {};
  return Status::error("kafka: " + std::to_string(waiting_.size()) + " records were not acknowledged within " +
                       std::to_string(timeout_ms) + " ms");
}

std::vector<Produced> KafkaSink::Impl::produce_all(const std::vector<ToProduce>& records, int timeout_ms) {
  const auto until = Clock::now() + milliseconds(timeout_ms);
  std::vector<Produced> out(records.size());
  std::vector<std::shared_ptr<Ticket::Waiter>> waiters(records.size());  // null: not even taken
  for (size_t i = 0; i < records.size(); ++i) {
    const ToProduce& record = records[i];
    auto waiter = std::make_shared<Ticket::Waiter>();
    auto ticket = std::make_unique<Ticket>();
    ticket->sink = this;
    ticket->waiter = waiter;
    for (;;) {
      const rd_kafka_resp_err_t error = send(record.topic, record.key, record.value, {}, ticket.get());
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)ticket.release();
        waiters[i] = std::move(waiter);
        break;
      }
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || Clock::now() >= until) {
        out[i] = {Status::error("kafka: " + record.topic + ": " + rd_kafka_err2str(error)), {record.topic, -1}, -1};
        break;
      }
      std::this_thread::sleep_for(milliseconds(kFullWaitMs));
    }
  }
  for (size_t i = 0; i < records.size(); ++i) {
    if (waiters[i] == nullptr) continue;
    std::unique_lock lock(waiters[i]->mutex);
    if (waiters[i]->changed.wait_until(lock, until, [&] { return waiters[i]->done; })) {
      out[i] = waiters[i]->produced;
    } else {
      out[i] = {Status::error("kafka: " + records[i].topic + ": not confirmed within " + std::to_string(timeout_ms) +
                              " ms; it may still be written"),
                {records[i].topic, -1},
                -1};
    }
  }
  return out;
}

KafkaSink::KafkaSink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KafkaSink::~KafkaSink() = default;

Status KafkaSink::open(const KafkaConfig& config, Options options, KafkaHooks hooks, std::unique_ptr<KafkaSink>& out) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(hooks));
  if (Status status = impl->open(config); !status.ok()) return status;
  out.reset(new KafkaSink(std::move(impl)));
  return {};
}

bool KafkaSink::enqueue(const OutRecord& record, int timeout_ms) { return impl_->enqueue(record, timeout_ms); }
uint64_t KafkaSink::acknowledged() const { return impl_->acknowledged(); }
Status KafkaSink::failure() const { return impl_->failure(); }
Status KafkaSink::flush(int timeout_ms) { return impl_->flush(timeout_ms); }
Produced KafkaSink::produce(const std::string& topic, std::string_view key, std::string_view value, int timeout_ms) {
  return impl_->produce_all({{topic, key, value}}, timeout_ms).front();
}
std::vector<Produced> KafkaSink::produce_all(const std::vector<ToProduce>& records, int timeout_ms) {
  return impl_->produce_all(records, timeout_ms);
}

}  // namespace bellwether

#include "pipeline/sources/kafka_sink.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "pipeline/engine/named_thread.h"
#include "pipeline/sources/kafka_client.h"

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
  // What rides with a record until its delivery: of the outbox's its sequence, told by the lowest bit; of who waits a
  // Ticket.
  struct Ticket {
    struct Waiter {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
      Produced produced;
    };
    std::shared_ptr<Waiter> waiter;
  };
  static void* ticket_of(uint64_t sequence) { return std::bit_cast<void*>(uintptr_t{sequence << 1 | 1}); }
  static bool is_sequence(void* ticket) { return (reinterpret_cast<uintptr_t>(ticket) & 1) != 0; }
  static uint64_t sequence_of(void* ticket) { return reinterpret_cast<uintptr_t>(ticket) >> 1; }
  void delivered_waited(const KafkaDelivery& delivery);

  void delivered(const KafkaDelivery& delivery);
  void run();
  bool make_topics();
  void fail(const std::string& why);

  const Options options_;
  const std::shared_ptr<KafkaNotice> notice_;
  KafkaClient client_;
  std::atomic<bool> stopping_{false};

  std::string topic_;  // of the record being enqueued

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool topics_made_ = false;
  std::deque<std::pair<uint64_t, bool>> waiting_;  // sequences taken, in order, and whether acknowledged
  uint64_t acknowledged_ = 0;
  Status failure_;
  std::thread thread_;
};

Status KafkaSink::Impl::open(const KafkaConfig& config) {
  Status status = KafkaClient::open(
      config,
      {{"enable.idempotence", "true"},
       {"acks", "all"},
       {"message.timeout.ms", "0"},  // for ever: the outbox would only send it again
       {"queue.buffering.max.messages", std::to_string(std::max<size_t>(options_.queue_records, 1))},
       {"queue.buffering.max.kbytes", std::to_string(std::max<size_t>(options_.queue_mb, 1) * 1024)}},
      {{"linger.ms", "5"}, {"compression.type", "lz4"}}, notice_,
      [this](const KafkaDelivery& delivery) { delivered(delivery); }, client_);
  if (!status.ok()) return status;
  topics_made_ = options_.topics.empty();
  thread_ = named_thread("sink", [this] { run(); });
  return {};
}

KafkaSink::Impl::~Impl() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  // Whoever waits in produce() is told, and the tickets come back.
  if (client_) client_.drop(1000);
}

void KafkaSink::Impl::run() {
  auto asked = Clock::time_point{};
  bool made = options_.topics.empty();
  while (!stopping_) {
    client_.poll(kPollMs);
    client_.check();
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
  KafkaQuestion question;
  if (Status status =
          client_.make_topics(options_.topics, options_.partitions, options_.replication, kAdminMs, question);
      !status.ok()) {
    fail(status.message);
    return false;
  }
  std::optional<KafkaAnswer> answer;
  const auto until = Clock::now() + milliseconds(kAdminMs + 500);
  while (!answer && !stopping_ && Clock::now() < until) {
    answer = question.take(kPollMs);
    client_.poll(0);
    client_.check();
  }
  if (!answer) return false;
  bool all = answer->ok && answer->topics.size() == options_.topics.size();
  for (const KafkaAnswer::Topic& topic : answer->topics) {
    if (topic.error.empty()) continue;
    // A topic that exists is all that is needed, also without the right to make topics.
    const auto there = client_.topic(topic.name, kAdminMs);
    if (there && !there->partitions.empty()) continue;
    all = false;
    notice_->seldom("make " + topic.name, KafkaLevel::kWarning,
                    "topic " + topic.name + " cannot be made: " + topic.error);
  }
  return all;
}

bool KafkaSink::Impl::enqueue(const OutRecord& record, int timeout_ms) {
  std::optional<Clock::time_point> until;  // the clock is asked where there is something to wait for
  {
    std::unique_lock lock(mutex_);
    if (!topics_made_ && failure_.ok()) {
      until = Clock::now() + milliseconds(timeout_ms);
      changed_.wait_until(lock, *until, [&] { return topics_made_ || !failure_.ok(); });
    }
    if (!topics_made_ || !failure_.ok()) return false;
    waiting_.emplace_back(record.sequence, false);  // before the delivery report can come
  }
  topic_ = record.topic;
  for (;;) {
    const auto refused = client_.produce(topic_, record.key, record.tombstone ? std::string_view{} : record.value,
                                         record.id, ticket_of(record.sequence));
    if (!refused) return true;
    if (!until) until = Clock::now() + milliseconds(timeout_ms);
    if (refused->full && Clock::now() < *until && failure().ok()) {
      std::this_thread::sleep_for(milliseconds(kFullWaitMs));
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      waiting_.pop_back();  // one thread enqueues, so it is the last
    }
    if (!refused->full) fail(topic_ + ": " + refused->why);
    return false;
  }
}

void KafkaSink::Impl::delivered_waited(const KafkaDelivery& delivery) {
  const std::unique_ptr<Ticket> ticket(static_cast<Ticket*>(delivery.ticket));
  const bool ok = delivery.error.empty();
  const std::string topic(delivery.topic);
  const std::lock_guard lock(ticket->waiter->mutex);
  Produced& produced = ticket->waiter->produced;
  produced.partition = {topic, delivery.partition};
  produced.offset = ok ? delivery.offset : -1;
  if (!ok) produced.status = Status::error("kafka: " + topic + ": " + delivery.error);
  ticket->waiter->done = true;
  ticket->waiter->changed.notify_all();
}

void KafkaSink::Impl::delivered(const KafkaDelivery& delivery) {
  const bool ok = delivery.error.empty();
  if (ok) notice_->back();
  if (!is_sequence(delivery.ticket)) return delivered_waited(delivery);
  if (!ok) {
    if (!stopping_) fail(std::string(delivery.topic) + ": " + delivery.error);
    return;
  }
  const uint64_t sequence = sequence_of(delivery.ticket);
  const std::lock_guard lock(mutex_);
  // Numbers are seldom left out: where it would stand then, else where it is found.
  auto at = waiting_.begin();
  if (!waiting_.empty() && sequence - at->first < waiting_.size()) at += static_cast<ptrdiff_t>(sequence - at->first);
  if (at != waiting_.end() && at->first != sequence)
    at = std::ranges::lower_bound(waiting_, sequence, {}, &std::pair<uint64_t, bool>::first);
  if (at != waiting_.end() && at->first == sequence) at->second = true;
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
    ticket->waiter = waiter;
    for (;;) {
      const auto refused = client_.produce(record.topic, record.key, record.value, {}, ticket.get());
      if (!refused) {
        (void)ticket.release();
        waiters[i] = std::move(waiter);
        break;
      }
      if (!refused->full || Clock::now() >= until) {
        out[i] = {Status::error("kafka: " + record.topic + ": " + refused->why), {record.topic, -1}, -1};
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

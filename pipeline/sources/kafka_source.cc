#include "pipeline/sources/kafka_source.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace bellwether {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kRefreshMs = 900;          // Source::refresh is bounded by a second
constexpr size_t kRecordOverhead = 320;  // bytes that librdkafka keeps for each queued record beside its value
constexpr auto kWakeEvery = milliseconds(2);

// A batch's messages: the values are views into librdkafka's fetch buffers, freed with their last message.
class Messages {
 public:
  Messages(KafkaHandle client, std::vector<rd_kafka_message_t*> messages)
      : client_(std::move(client)), messages_(std::move(messages)) {}
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;
  ~Messages() {
    for (rd_kafka_message_t* message : messages_) rd_kafka_message_destroy(message);
  }

 private:
  KafkaHandle client_;
  std::vector<rd_kafka_message_t*> messages_;
};

struct Watermarks {
  int64_t low = -1, high = -1;
};

// librdkafka 2.0 does not always keep this call's timeout (issue 4460), and the ingest thread must not hang in it.
std::optional<Watermarks> query_watermarks(const KafkaHandle& client, const PartitionId& id, int timeout_ms) {
  struct Answer {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    std::optional<Watermarks> marks;
  };
  auto answer = std::make_shared<Answer>();
  std::thread([answer, client, id, timeout_ms] {
    Watermarks marks;
    const rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(client.get(), id.topic.c_str(), id.number,
                                                                       &marks.low, &marks.high, timeout_ms);
    const std::lock_guard lock(answer->mutex);
    answer->done = true;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) answer->marks = marks;
    answer->changed.notify_all();
  }).detach();
  std::unique_lock lock(answer->mutex);
  answer->changed.wait_for(lock, milliseconds(timeout_ms + 100), [&] { return answer->done; });
  return answer->marks;
}

}  // namespace

class KafkaSource::Impl {
 public:
  Impl(const KafkaConfig& config, KafkaHooks hooks)
      : config_(config), notice_(std::make_shared<KafkaNotice>(std::move(hooks), "kafka source")) {}
  ~Impl();

  Status open();
  Status refresh();
  Status start(size_t index, int64_t next_offset);
  Status poll(size_t index, size_t max_records, int timeout_ms, Batch& out);
  int64_t end_offset(size_t index);
  std::vector<std::string> check_topic_times(int timeout_ms);

  std::vector<PartitionId> ids_;
  struct Partition {
    rd_kafka_topic_t* topic = nullptr;  // of the fetching client
    rd_kafka_queue_t* queue = nullptr;
    int64_t next = -1;    // offset to read next, -1 where it is the beginning
    bool at_end = false;  // everything up to `next` was handed out and nothing came since
    bool append_time = false;
    Clock::time_point end_asked{};
    int64_t end_known = -1;
    Status error;
  };
  std::vector<Partition> partitions_;

 private:
  Status make_fetcher();
  bool list_topic(const std::string& topic, int timeout_ms, bool& answered);
  Status gap(size_t index, int64_t offset);
  Status take(size_t index, rd_kafka_message_t* message, Batch& out);
  void serve();
  void wake(size_t index);

  const KafkaConfig config_;
  const std::shared_ptr<KafkaNotice> notice_;
  KafkaHandle finder_;   // metadata, offsets, topic settings: never blocked by fetches, never makes topics
  KafkaHandle fetcher_;  // made when the number of partitions is known, as its queue bound is for each partition
  size_t share_partitions_ = 0;
  size_t share_bytes_ = 0;
  std::map<std::string, rd_kafka_topic_t*> topics_;  // of the fetcher
  Clock::time_point asked_{};
  bool incomplete_ = true;  // a topic or all brokers were missing when last asked
  Clock::time_point woken_{};
  std::vector<rd_kafka_message_t*> buffer_;
};

Status KafkaSource::Impl::open() {
  // `enable.auto.commit` and the like are ours: positions live in the store.
  return make_kafka_client(false, config_, {{"enable.auto.commit", "false"}}, {}, notice_, finder_);
}

KafkaSource::Impl::~Impl() {
  for (size_t i = 0; i < partitions_.size(); ++i) {
    Partition& partition = partitions_[i];
    if (partition.topic == nullptr) continue;
    (void)rd_kafka_consume_stop(partition.topic, ids_[i].number);
    rd_kafka_queue_destroy(partition.queue);
  }
  for (const auto& [name, topic] : topics_) rd_kafka_topic_destroy(topic);
}

// The bound on queued bytes is a client's, for each partition alike, so the share is taken of the partitions known by
// now, with room for as many again up to the next power of two.
Status KafkaSource::Impl::make_fetcher() {
  share_partitions_ = std::bit_ceil(std::max<size_t>(ids_.size(), 1));
  share_bytes_ = std::max<size_t>((size_t{config_.queued_mb} << 20) / share_partitions_, size_t{256} << 10);
  const auto text = [](size_t value) { return std::to_string(value); };
  // Half of the share is for values, half for what librdkafka keeps beside them; a fetch under way comes on top of
  // either bound.
  const size_t kilobytes = std::clamp<size_t>(share_bytes_ / 2 / 1024, 1, 2097151);
  const size_t records = std::clamp<size_t>(share_bytes_ / 2 / kRecordOverhead, 1000, 10000000);
  const size_t fetch_bytes = std::clamp<size_t>(share_bytes_ / 4, size_t{64} << 10, size_t{1} << 20);
  return make_kafka_client(false, config_,
                           {{"enable.auto.commit", "false"},
                            {"enable.auto.offset.store", "false"},
                            {"enable.partition.eof", "true"},
                            {"auto.offset.reset", "error"},  // a gap is to be loud
                            {"isolation.level", "read_committed"},
                            {"check.crcs", "true"},
                            {"statistics.interval.ms", text(size_t{config_.statistics_s} * 1000)}},
                           {{"queued.max.messages.kbytes", text(kilobytes)},
                            {"queued.min.messages", text(records)},
                            {"fetch.message.max.bytes", text(fetch_bytes)},
                            {"fetch.wait.max.ms", "100"},
                            {"fetch.error.backoff.ms", "100"}},
                           notice_, fetcher_);
}

// Appends the topic's partitions not known yet. False where the topic is missing; `answered` says whether a broker did.
bool KafkaSource::Impl::list_topic(const std::string& name, int timeout_ms, bool& answered) {
  answered = false;
  rd_kafka_topic_t* topic = rd_kafka_topic_new(finder_.get(), name.c_str(), nullptr);
  if (topic == nullptr) return false;
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error = rd_kafka_metadata(finder_.get(), 0, topic, &metadata, timeout_ms);
  rd_kafka_topic_destroy(topic);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  answered = true;
  bool found = false;
  for (int t = 0; t < metadata->topic_cnt; ++t) {
    const rd_kafka_metadata_topic_t& listed = metadata->topics[t];
    if (name != listed.topic) continue;
    if (listed.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      notice_->seldom("topic " + name, KafkaLevel::kWarning,
                      "topic " + name + " cannot be read yet: " + rd_kafka_err2str(listed.err));
      continue;
    }
    std::vector<int32_t> numbers;
    for (int p = 0; p < listed.partition_cnt; ++p) numbers.push_back(listed.partitions[p].id);
    std::ranges::sort(numbers);
    found = !numbers.empty();
    for (const int32_t number : numbers) {
      PartitionId id{name, number};
      if (std::ranges::find(ids_, id) != ids_.end()) continue;
      ids_.push_back(std::move(id));
      partitions_.emplace_back();
    }
  }
  rd_kafka_metadata_destroy(metadata);
  return found;
}

Status KafkaSource::Impl::refresh() {
  serve();
  const auto now = Clock::now();
  const auto every = incomplete_ ? std::chrono::seconds(1) : std::chrono::seconds(std::max(1u, config_.refresh_s));
  if (asked_ != Clock::time_point{} && now - asked_ < every) return {};
  incomplete_ = false;
  const size_t known = ids_.size();
  for (const std::string& topic : config_.topics) {
    const auto spent = std::chrono::duration_cast<milliseconds>(Clock::now() - now).count();
    bool answered = false;
    if (!list_topic(topic, std::max<int>(kRefreshMs - static_cast<int>(spent), 20), answered)) incomplete_ = true;
    if (!answered) {
      notice_->away("no answer to a metadata request");
      break;
    }
    notice_->back();
  }
  asked_ = Clock::now();
  if (fetcher_ != nullptr && ids_.size() > known && ids_.size() > share_partitions_) {
    notice_->say(KafkaLevel::kWarning, std::to_string(ids_.size()) + " partitions share a fetch queue made for " +
                                           std::to_string(share_partitions_) +
                                           "; until a restart it may take more than kafka.queued_mb");
  }
  return {};
}

Status KafkaSource::Impl::start(size_t index, int64_t next_offset) {
  const PartitionId& id = ids_.at(index);
  Partition& partition = partitions_[index];
  if (partition.topic != nullptr) return Status::error("kafka: " + id.topic + " is started twice");
  if (fetcher_ == nullptr) {
    if (Status status = make_fetcher(); !status.ok()) return status;
  }
  rd_kafka_topic_t*& topic = topics_[id.topic];
  if (topic == nullptr) topic = rd_kafka_topic_new(fetcher_.get(), id.topic.c_str(), nullptr);
  if (topic == nullptr) return Status::error("kafka: " + id.topic + ": " + rd_kafka_err2str(rd_kafka_last_error()));
  partition.next = next_offset;
  partition.topic = topic;
  partition.queue = rd_kafka_queue_new(fetcher_.get());
  const int64_t offset = next_offset < 0 ? RD_KAFKA_OFFSET_BEGINNING : next_offset;
  if (rd_kafka_consume_start_queue(topic, id.number, offset, partition.queue) != 0) {
    partition.topic = nullptr;
    rd_kafka_queue_destroy(std::exchange(partition.queue, nullptr));
    return Status::error("kafka: " + id.topic + ": " + rd_kafka_err2str(rd_kafka_last_error()));
  }
  return {};
}

// Callbacks, and whether the brokers are back: an idle topic's fetches give no sign of it.
void KafkaSource::Impl::serve() {
  (void)rd_kafka_poll(finder_.get(), 0);
  if (fetcher_ != nullptr) (void)rd_kafka_poll(fetcher_.get(), 0);
  notice_->check(finder_.get());
}

// A fetch thread whose partitions all have full queues sleeps for up to a second (a constant of librdkafka 2.0) and so
// starves a fast reader. This call, meant for changed passwords, only stores its two strings and wakes those threads;
// they are the configured ones.
void KafkaSource::Impl::wake(size_t index) {
  const size_t queued = rd_kafka_queue_length(partitions_[index].queue);
  const auto now = Clock::now();
  if (queued * kRecordOverhead > share_bytes_ / 8 || now - woken_ < kWakeEvery) return;
  woken_ = now;
  const auto property = [&](const char* key) {
    const auto at = config_.properties.find(key);
    return at == config_.properties.end() ? std::string("none") : at->second;
  };
  rd_kafka_error_t* error = rd_kafka_sasl_set_credentials(fetcher_.get(), property("sasl.username").c_str(),
                                                          property("sasl.password").c_str());
  if (error != nullptr) rd_kafka_error_destroy(error);
}

Status KafkaSource::Impl::gap(size_t index, int64_t offset) {
  const PartitionId& id = ids_[index];
  const std::string where =
      "kafka: " + id.topic + " [" + std::to_string(id.number) + "]: our offset " + std::to_string(offset);
  const std::optional<Watermarks> marks = query_watermarks(finder_, id, 1000);
  if (!marks) return Status::error(where + " is not on the broker, which does not say what is");
  if (offset < marks->low) {
    return Status::error(where + " was deleted; the first offset kept is " + std::to_string(marks->low) + ": " +
                         std::to_string(marks->low - offset) + " records are lost");
  }
  return Status::error(where + " lies past the end " + std::to_string(marks->high) +
                       ": the log was cut, or the topic is another one of the same name");
}

// One message or event of the queue, which it owns only where it is a record that it puts into the batch.
Status KafkaSource::Impl::take(size_t index, rd_kafka_message_t* message, Batch& out) {
  const PartitionId& id = ids_[index];
  Partition& partition = partitions_[index];
  const auto where = [&] { return "kafka: " + id.topic + " [" + std::to_string(id.number) + "]: "; };
  switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: {
      rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
      const int64_t stamp_ms = rd_kafka_message_timestamp(message, &type);
      partition.append_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
      const bool stamped = type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && stamp_ms >= 0 && stamp_ms <= INT64_MAX / 1000;
      out.records.push_back({message->offset, stamped ? stamp_ms * 1000 : -1,
                             std::string_view(static_cast<const char*>(message->payload), message->len)});
      partition.next = message->offset + 1;
      partition.at_end = false;
      return {};
    }
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      // Lies past control records and aborted transactions, which are never handed out.
      partition.next = std::max(partition.next, message->offset);
      partition.at_end = true;
      return {};
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return gap(index, partition.next >= 0 ? partition.next : message->offset);
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
      // librdkafka goes on behind what it could not read, which would lose it in silence.
      return Status::error(where() + "at offset " + std::to_string(partition.next) + ": " +
                           rd_kafka_message_errstr(message));
    default:
      notice_->seldom(id.topic + rd_kafka_err2name(message->err), KafkaLevel::kWarning,
                      id.topic + " [" + std::to_string(id.number) + "]: " + rd_kafka_message_errstr(message));
      return {};
  }
}

Status KafkaSource::Impl::poll(size_t index, size_t max_records, int timeout_ms, Batch& out) {
  out.clear();
  Partition& partition = partitions_.at(index);
  out.next_offset = std::max<int64_t>(partition.next, 0);
  if (!partition.error.ok()) return partition.error;
  if (partition.queue == nullptr) return Status::error("kafka: " + ids_[index].topic + " is polled before its start");
  serve();
  max_records = std::max<size_t>(max_records, 1);
  buffer_.resize(max_records);
  // The batch call waits until the batch is full: what is there is taken at once, and only a first record is waited
  // for.
  ssize_t count = rd_kafka_consume_batch_queue(partition.queue, 0, buffer_.data(), max_records);
  if (count == 0 && timeout_ms > 0) {
    count = rd_kafka_consume_batch_queue(partition.queue, timeout_ms, buffer_.data(), 1);
    if (count == 1 && max_records > 1) {
      count +=
          std::max<ssize_t>(rd_kafka_consume_batch_queue(partition.queue, 0, buffer_.data() + 1, max_records - 1), 0);
    }
  }
  std::vector<rd_kafka_message_t*> kept;
  kept.reserve(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  for (ssize_t i = 0; i < count; ++i) {
    rd_kafka_message_t* message = buffer_[static_cast<size_t>(i)];
    const bool record = message->err == RD_KAFKA_RESP_ERR_NO_ERROR && partition.error.ok();
    if (partition.error.ok()) partition.error = take(index, message, out);
    if (record) {
      kept.push_back(message);
    } else {
      rd_kafka_message_destroy(message);
    }
  }
  if (!kept.empty()) {
    out.keep.push_back(std::make_shared<Messages>(fetcher_, std::move(kept)));
    notice_->back();
    wake(index);
  }
  out.next_offset = std::max<int64_t>(partition.next, 0);
  out.at_end = partition.at_end && !notice_->remind();
  return out.records.empty() ? partition.error : Status{};
}

int64_t KafkaSource::Impl::end_offset(size_t index) {
  Partition& partition = partitions_.at(index);
  const PartitionId& id = ids_[index];
  Watermarks marks;
  if (fetcher_ != nullptr &&
      rd_kafka_get_watermark_offsets(fetcher_.get(), id.topic.c_str(), id.number, &marks.low, &marks.high) ==
          RD_KAFKA_RESP_ERR_NO_ERROR &&
      marks.high >= 0) {
    return std::max(marks.high, partition.next);
  }
  const auto now = Clock::now();
  if (partition.end_asked == Clock::time_point{} || now - partition.end_asked >= std::chrono::seconds(1)) {
    if (!notice_->remind()) {
      if (const auto asked = query_watermarks(finder_, id, 1000)) partition.end_known = asked->high;
    }
    partition.end_asked = Clock::now();
  }
  return partition.end_known;
}

std::vector<std::string> KafkaSource::Impl::check_topic_times(int timeout_ms) {
  std::vector<std::string> warnings;
  std::vector<rd_kafka_ConfigResource_t*> wanted;
  for (const std::string& topic : config_.topics) {
    wanted.push_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  }
  if (wanted.empty()) return warnings;
  char text[256];
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(finder_.get(), RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(finder_.get());
  rd_kafka_DescribeConfigs(finder_.get(), wanted.data(), wanted.size(), options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, timeout_ms + 500);
  const rd_kafka_DescribeConfigs_result_t* result = event ? rd_kafka_event_DescribeConfigs_result(event) : nullptr;
  size_t count = 0;
  const rd_kafka_ConfigResource_t** resources =
      result ? rd_kafka_DescribeConfigs_result_resources(result, &count) : nullptr;
  for (size_t r = 0; r < count; ++r) {
    if (rd_kafka_ConfigResource_error(resources[r]) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const std::string topic = rd_kafka_ConfigResource_name(resources[r]);
    std::map<std::string, std::string> values;
    size_t entries = 0;
    const rd_kafka_ConfigEntry_t** entry = rd_kafka_ConfigResource_configs(resources[r], &entries);
    for (size_t e = 0; e < entries; ++e) {
      const char* value = rd_kafka_ConfigEntry_value(entry[e]);
      values[rd_kafka_ConfigEntry_name(entry[e])] = value == nullptr ? "" : value;
    }
    const bool append_time = values["message.timestamp.type"] == "LogAppendTime";
    for (size_t i = 0; i < ids_.size(); ++i) {
      if (ids_[i].topic == topic) partitions_[i].append_time = append_time;
    }
    // Brokers before 3.6 have one bound for past and future; "no bound" is the largest number.
    const std::string& bound = values.contains("message.timestamp.after.max.ms")
                                   ? values["message.timestamp.after.max.ms"]
                                   : values["message.timestamp.difference.max.ms"];
    const bool bounded = !bound.empty() && bound.size() < 15;
    if (!append_time && !bounded) {
      warnings.push_back(
          "topic " + topic +
          " carries its producers' times without a bound: a producer may push its clock ahead and with it the "
          "time of the whole pipeline; set message.timestamp.after.max.ms, or message.timestamp.type to "
          "LogAppendTime");
    }
  }
  if (event != nullptr) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy_array(wanted.data(), wanted.size());
  return warnings;
}

KafkaSource::KafkaSource(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KafkaSource::~KafkaSource() = default;

Status KafkaSource::open(const KafkaConfig& config, KafkaHooks hooks, std::unique_ptr<KafkaSource>& out) {
  auto impl = std::make_unique<Impl>(config, std::move(hooks));
  if (Status status = impl->open(); !status.ok()) return status;
  out.reset(new KafkaSource(std::move(impl)));
  return {};
}

const std::vector<PartitionId>& KafkaSource::partitions() const { return impl_->ids_; }
Status KafkaSource::refresh() { return impl_->refresh(); }
Status KafkaSource::start(size_t partition, int64_t next_offset) { return impl_->start(partition, next_offset); }
Status KafkaSource::poll(size_t partition, size_t max_records, int timeout_ms, Batch& out) {
  return impl_->poll(partition, max_records, timeout_ms, out);
}
int64_t KafkaSource::end_offset(size_t partition) { return impl_->end_offset(partition); }
bool KafkaSource::log_append_time(size_t partition) const { return impl_->partitions_.at(partition).append_time; }
std::vector<std::string> KafkaSource::check_topic_times(int timeout_ms) { return impl_->check_topic_times(timeout_ms); }

}  // namespace bellwether

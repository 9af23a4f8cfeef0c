#include "pipeline/sources/kafka_source.h"

#include <librdkafka/rdkafka.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "pipeline/sources/kafka_topics.h"

namespace bellwether {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kRefreshMs = 900;          // Source::refresh is bounded by a second
constexpr size_t kRecordOverhead = 320;  // bytes that librdkafka keeps for each queued record beside its value
constexpr auto kWakeEvery = milliseconds(2);
constexpr auto kAskEvery = std::chrono::seconds(1);
// Brokers that have just started or changed leaders may for a moment not know a topic, or not all of a log: only what
// stays so is believed.
constexpr auto kBelieveMissing = std::chrono::seconds(10);
constexpr auto kBelieveCut = std::chrono::seconds(3);
constexpr size_t kMarks = 64;  // bookmarks kept of a partition
constexpr int kTopicTimesMs = 3000;

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

Bookmark bookmark_of(const rd_kafka_message_t& message) {
  const auto stamp = static_cast<uint64_t>(rd_kafka_message_timestamp(&message, nullptr));
  return {message.offset, XXH3_64bits_withSeed(message.payload, message.payload == nullptr ? 0 : message.len, stamp)};
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
  Bookmark bookmark(size_t index, int64_t below);
  std::vector<std::string> check_topic_times(int timeout_ms);

  std::vector<PartitionId> ids_;
  struct Partition {
    rd_kafka_topic_t* topic = nullptr;  // of the fetching client
    rd_kafka_queue_t* queue = nullptr;
    int64_t first = -1;   // the first offset when it was found
    int64_t next = -1;    // offset to read next, -1 where it is the beginning
    bool at_end = false;  // everything up to `next` was handed out and nothing came since
    bool append_time = false;
    bool doubted = false;           // may be another topic by now: nothing is taken until it was looked at again
    bool lost = false;              // the broker does not have the offset at which we fetch
    Clock::time_point cut_since{};  // since when the log is known to end before `next`
    Bookmark expected;              // what must stand there, read again before anything new is; offset -1: nothing
    std::deque<Bookmark> marks;     // of records handed out, rising
    Clock::time_point end_asked{}, lost_asked{};
    int64_t end_known = -1;
    Status error;
  };
  std::vector<Partition> partitions_;

 private:
  struct Found {
    PartitionId id;
    int64_t first = -1;  // not known yet
  };

  Status make_fetcher();
  bool list_topic(const std::string& topic, int timeout_ms, bool& answered);
  bool join_found(Clock::time_point until);
  void look_again(const std::string& topic, bool gone);
  Status fetch_from(size_t index, int64_t offset);
  Status recheck(size_t index);
  Status lost(size_t index, Batch& out);
  Status another_topic(size_t index, const std::string& why) const;
  std::string where(size_t index) const;
  Status take(size_t index, rd_kafka_message_t* message, Batch& out);
  void serve();
  void take_topic_times();
  void wake(size_t index);

  const KafkaConfig config_;
  const std::shared_ptr<KafkaNotice> notice_;
  KafkaHandle finder_;   // metadata, offsets, topic settings: never blocked by fetches, never makes topics
  KafkaHandle fetcher_;  // made when the number of partitions is known, as its queue bound is for each partition
  size_t share_partitions_ = 0;
  size_t share_bytes_ = 0;
  std::map<std::string, rd_kafka_topic_t*> topics_;  // of the fetcher
  Clock::time_point asked_{};
  bool incomplete_ = true;    // a topic or all brokers were missing when last asked, or the round is not over
  size_t listed_ = 0;         // topics of this round that were looked up
  bool missed_ = false;       // one of them was missing
  bool joining_ = false;      // first offsets are being answered
  std::vector<Found> found_;  // new partitions; they join together, as one that joins later than others is late
  std::map<std::string, Clock::time_point> missing_;  // topics that we read and that are gone, since when
  std::unique_ptr<KafkaTopicTimes> times_;
  bool was_away_ = false;
  Clock::time_point woken_{};
  std::vector<rd_kafka_message_t*> buffer_;
};

Status KafkaSource::Impl::open() {
  // `enable.auto.commit` and the like are ours: positions live in the store.
  Status status = make_kafka_client(false, config_, {{"enable.auto.commit", "false"}}, {}, notice_, finder_);
  if (status.ok()) times_ = std::make_unique<KafkaTopicTimes>(finder_);
  return status;
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
                            {"fetch.max.bytes", text(std::max<size_t>(config_.queued_mb / 4, 1) << 20)},
                            {"fetch.wait.max.ms", "100"},
                            {"fetch.error.backoff.ms", "100"}},
                           notice_, fetcher_);
}

// Appends the topic's partitions not known yet. False where the topic is missing; `answered` says whether a broker did.
bool KafkaSource::Impl::list_topic(const std::string& name, int timeout_ms, bool& answered) {
  answered = false;
  const auto metadata = kafka_topic(finder_, name, timeout_ms);
  if (metadata == nullptr) return false;
  answered = true;
  bool found = false, gone = false;
  for (int t = 0; t < metadata->topic_cnt; ++t) {
    const rd_kafka_metadata_topic_t& listed = metadata->topics[t];
    if (name != listed.topic) continue;
    if (listed.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      gone = listed.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
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
      if (std::ranges::find(found_, id, &Found::id) == found_.end()) found_.push_back({std::move(id)});
    }
    // A topic never loses partitions: one with fewer is another.
    for (const PartitionId& id : ids_) gone |= id.topic == name && !std::ranges::binary_search(numbers, id.number);
  }
  if (found || gone) look_again(name, gone);
  return found && !gone;
}

// New partitions join once their first offsets are known, all together; what is not answered in time is asked again.
// False where not one answered.
bool KafkaSource::Impl::join_found(Clock::time_point until) {
  bool answered = false;
  for (Found& found : found_) {
    if (found.first >= 0) continue;
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
    if (left < 20) return answered;
    const auto range = kafka_range(finder_, found.id, static_cast<int>(left));
    if (!range) return answered;
    found.first = range->low;
    answered = true;
  }
  if (found_.empty()) return true;
  for (Found& found : found_) {
    ids_.push_back(std::move(found.id));
    partitions_.emplace_back().first = found.first;
  }
  found_.clear();
  times_->ask(config_.topics, kTopicTimesMs);
  return true;
}

// A topic that we read was looked up: it is gone, or there and its doubted partitions are to be compared.
void KafkaSource::Impl::look_again(const std::string& topic, bool gone) {
  const auto now = Clock::now();
  const auto since = missing_.find(topic);
  const bool was_missing = since != missing_.end();
  if (gone && !was_missing) missing_[topic] = now;
  if (!gone && was_missing) missing_.erase(since);
  for (size_t i = 0; i < ids_.size(); ++i) {
    Partition& partition = partitions_[i];
    if (ids_[i].topic != topic || partition.topic == nullptr || !partition.error.ok()) continue;
    if (gone) {
      partition.doubted = true;
      if (was_missing && now - since->second >= kBelieveMissing)
        partition.error = another_topic(i, "the topic was deleted, or made again with fewer partitions");
    } else if (partition.doubted || was_missing) {
      partition.error = recheck(i);
    }
  }
}

Status KafkaSource::Impl::refresh() {
  serve();
  const auto now = Clock::now();
  const auto every = incomplete_ ? kAskEvery : std::chrono::seconds(std::max(1u, config_.refresh_s));
  if (asked_ != Clock::time_point{} && now - asked_ < every) return {};
  const size_t known = ids_.size();
  const auto until = now + milliseconds(kRefreshMs);
  // Where answers take long, a round over topics and first offsets goes on from call to call: one that began anew each
  // time would never come to the last topic of a broker far away.
  if (listed_ == config_.topics.size() && (found_.empty() || !joining_)) listed_ = 0, missed_ = false, found_.clear();
  bool asked = false;
  for (; listed_ < config_.topics.size(); ++listed_, asked = true) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
    if (asked && left < 20) break;
    bool answered = false;
    if (!list_topic(config_.topics[listed_], std::max<int>(static_cast<int>(left), 20), answered)) missed_ |= answered;
    if (!answered) {
      if (!asked) notice_->away("no answer to a metadata request");
      break;
    }
    notice_->back();
  }
  joining_ = listed_ == config_.topics.size() && (join_found(until) || asked);
  incomplete_ = missed_ || listed_ < config_.topics.size() || !found_.empty();
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
  if (partition.expected.offset >= next_offset) partition.expected = {};
  return fetch_from(index, partition.expected.offset >= 0 ? partition.expected.offset : next_offset);
}

// A seek is refused after an offset that is out of range (issue 2961 of librdkafka), and what is queued must go.
Status KafkaSource::Impl::fetch_from(size_t index, int64_t offset) {
  Partition& partition = partitions_[index];
  const PartitionId& id = ids_[index];
  if (partition.queue != nullptr) {
    (void)rd_kafka_consume_stop(partition.topic, id.number);
    rd_kafka_queue_destroy(partition.queue);
  }
  partition.at_end = partition.doubted = partition.lost = false;
  partition.queue = rd_kafka_queue_new(fetcher_.get());
  if (offset < 0) offset = RD_KAFKA_OFFSET_BEGINNING;
  if (rd_kafka_consume_start_queue(partition.topic, id.number, offset, partition.queue) == 0) return {};
  return Status::error(where(index) + rd_kafka_err2str(rd_kafka_last_error()));
}

// Reads the newest record known once more before going on: where another one stands, the topic is another.
Status KafkaSource::Impl::recheck(size_t index) {
  Partition& partition = partitions_[index];
  if (!partition.marks.empty()) partition.expected = partition.marks.back();
  return fetch_from(index, partition.expected.offset >= 0 ? partition.expected.offset : partition.next);
}

Bookmark KafkaSource::Impl::bookmark(size_t index, int64_t below) {
  std::deque<Bookmark>& marks = partitions_.at(index).marks;
  while (marks.size() > 1 && marks[1].offset < below) marks.pop_front();
  return !marks.empty() && marks.front().offset < below ? marks.front() : Bookmark{};
}

// Callbacks, and whether the brokers are back: an idle topic's fetches give no sign of it.
void KafkaSource::Impl::serve() {
  (void)rd_kafka_poll(finder_.get(), 0);
  if (fetcher_ != nullptr) (void)rd_kafka_poll(fetcher_.get(), 0);
  check_kafka(*notice_, finder_);
  if (times_->asked()) take_topic_times();
  const bool away = notice_->remind();
  if (away && !was_away_)
    for (Partition& partition : partitions_) partition.doubted |= partition.queue != nullptr;
  // While nobody answered, topics may have been made anew.
  for (size_t i = 0; !away && was_away_ && i < ids_.size(); ++i) {
    Partition& partition = partitions_[i];
    if (partition.doubted && partition.error.ok() && !missing_.contains(ids_[i].topic)) partition.error = recheck(i);
  }
  was_away_ = away;
}

void KafkaSource::Impl::take_topic_times() {
  const auto answer = times_->take(0);
  if (!answer) return;
  for (size_t i = 0; i < ids_.size(); ++i)
    if (const auto at = answer->append_time.find(ids_[i].topic); at != answer->append_time.end())
      partitions_[i].append_time = at->second;
  for (const std::string& warning : answer->warnings) notice_->say(KafkaLevel::kWarning, warning);
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

std::string KafkaSource::Impl::where(size_t index) const {
  return "kafka: " + ids_[index].topic + " [" + std::to_string(ids_[index].number) + "]: ";
}

// Offsets below `next` say nothing about such a log, so there is no first available one to go on from.
Status KafkaSource::Impl::another_topic(size_t index, const std::string& why) const {
  return Status::error(
      where(index) + why + "; our offset is " + std::to_string(partitions_[index].next) +
      ". This is not the log that was read so far, and nothing more is read from it. Either bring that "
      "one back, or read this one into another folder (engine.data_dir) or under another topic name; "
      "--on-gap skip does not apply");
}

Status KafkaSource::Impl::lost(size_t index, Batch& out) {
  Partition& partition = partitions_[index];
  const auto now = Clock::now();
  if (partition.lost_asked != Clock::time_point{} && now - partition.lost_asked < kAskEvery) return {};
  const auto range = kafka_range(finder_, ids_[index], 1000);
  partition.lost_asked = Clock::now();
  const std::string ours = "our offset " + std::to_string(partition.next);
  if (!range) {
    notice_->seldom("lost " + where(index), KafkaLevel::kWarning,
                    where(index) + ours + " is not on the broker, which does not say what is");
    return {};
  }
  if (partition.next > range->high) {
    if (partition.cut_since == Clock::time_point{}) partition.cut_since = now;
    if (now - partition.cut_since < kBelieveCut) return {};
    return another_topic(index, "the log ends at " + std::to_string(range->high) +
                                    ", before what was read: it was cut, or the topic was deleted and made again");
  }
  partition.cut_since = {};
  partition.expected = {};  // gone with what was deleted
  if (partition.next >= range->low) return fetch_from(index, partition.next);
  const int64_t from = std::max<int64_t>(partition.next, 0);
  const std::string offsets = std::to_string(range->low - from);
  if (config_.on_gap != "skip") {
    return Status::error(where(index) + ours + " is gone; the first available is " + std::to_string(range->low) + ": " +
                         offsets +
                         " offsets were deleted before they were read. Nothing was changed. Either restore "
                         "them and start again (--on-gap fail, which is the default), or go on from " +
                         std::to_string(range->low) + " and keep the gap in the account (--on-gap skip)");
  }
  notice_->say(KafkaLevel::kWarning,
               "gap passed over: topic=" + ids_[index].topic + " partition=" + std::to_string(ids_[index].number) +
                   " from=" + std::to_string(from) + " to=" + std::to_string(range->low) + " offsets=" + offsets);
  out.gap_from = from;
  out.gap_to = partition.next = range->low;
  return fetch_from(index, partition.next);
}

// One message or event of the queue, which it owns only where it is a record that it puts into the batch.
Status KafkaSource::Impl::take(size_t index, rd_kafka_message_t* message, Batch& out) {
  const PartitionId& id = ids_[index];
  Partition& partition = partitions_[index];
  switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: {
      if (message->offset < partition.next) {  // from the bookmark on
        if (message->offset == partition.expected.offset && bookmark_of(*message) != partition.expected)
          return another_topic(index, "at offset " + std::to_string(message->offset) +
                                          " stands another record than was read there: the topic was deleted and made "
                                          "again");
        return {};
      }
      partition.expected = {};
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
      partition.lost = message->offset < partition.next;  // read from the bookmark on: the log ends before our position
      if (partition.lost) return {};
      // Lies past control records and aborted transactions, which are never handed out.
      partition.expected = {};
      partition.next = message->offset;
      partition.at_end = true;
      return {};
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      partition.lost = true;
      return {};
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      partition.doubted = incomplete_ = true;
      listed_ = config_.topics.size();  // a new round, from the beginning
      notice_->seldom("gone " + id.topic, KafkaLevel::kWarning, where(index) + rd_kafka_message_errstr(message));
      return {};
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
      // librdkafka goes on behind what it could not read, which would lose it in silence.
      return Status::error(where(index) + "at offset " + std::to_string(partition.next) + ": " +
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
  if (!partition.doubted && partition.lost) {
    partition.error = lost(index, out);
    out.next_offset = std::max<int64_t>(partition.next, 0);
    return partition.error;
  }
  if (partition.doubted) return {};
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
    const size_t records = out.records.size();
    if (partition.error.ok()) partition.error = take(index, message, out);
    if (out.records.size() > records) {
      kept.push_back(message);
    } else {
      rd_kafka_message_destroy(message);
    }
  }
  if (!kept.empty()) {
    if (partition.marks.size() == kMarks) partition.marks.pop_back();
    partition.marks.push_back(bookmark_of(*kept.back()));
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
  KafkaRange marks;
  if (fetcher_ != nullptr &&
      rd_kafka_get_watermark_offsets(fetcher_.get(), id.topic.c_str(), id.number, &marks.low, &marks.high) ==
          RD_KAFKA_RESP_ERR_NO_ERROR &&
      marks.high >= 0) {
    return std::max(marks.high, partition.next);
  }
  const auto now = Clock::now();
  if (partition.end_asked == Clock::time_point{} || now - partition.end_asked >= std::chrono::seconds(1)) {
    if (!notice_->remind()) {
      if (const auto asked = kafka_range(finder_, id, 1000)) partition.end_known = asked->high;
    }
    partition.end_asked = Clock::now();
  }
  return partition.end_known;
}

std::vector<std::string> KafkaSource::Impl::check_topic_times(int timeout_ms) {
  KafkaTopicTimes times(finder_);
  times.ask(config_.topics, timeout_ms);
  const auto answer = times.take(timeout_ms + 500);
  if (!answer) return {};
  for (size_t i = 0; i < ids_.size(); ++i)
    if (const auto at = answer->append_time.find(ids_[i].topic); at != answer->append_time.end())
      partitions_[i].append_time = at->second;
  return answer->warnings;
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
int64_t KafkaSource::first_offset(size_t partition) const { return impl_->partitions_.at(partition).first; }
Bookmark KafkaSource::bookmark(size_t partition, int64_t below) { return impl_->bookmark(partition, below); }
void KafkaSource::expect(size_t partition, const Bookmark& bookmark) {
  impl_->partitions_.at(partition).expected = bookmark;
}
bool KafkaSource::log_append_time(size_t partition) const { return impl_->partitions_.at(partition).append_time; }
std::vector<std::string> KafkaSource::check_topic_times(int timeout_ms) { return impl_->check_topic_times(timeout_ms); }

}  // namespace bellwether

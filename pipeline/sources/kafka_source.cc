#include "pipeline/sources/kafka_source.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "pipeline/sources/kafka_client.h"
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

Bookmark bookmark_of(const KafkaItem& record) {
  return {record.offset,
          XXH3_64bits_withSeed(record.value.data(), record.value.size(), static_cast<uint64_t>(record.stamp_ms))};
}

}  // namespace

class KafkaSource::Impl {
 public:
  Impl(const KafkaConfig& config, KafkaHooks hooks)
      : config_(config), notice_(std::make_shared<KafkaNotice>(std::move(hooks), "kafka source")) {}

  Status open();
  Status refresh();
  Status start(size_t index, int64_t next_offset);
  Status poll(size_t index, size_t max_records, int timeout_ms, Batch& out);
  int64_t end_offset(size_t index);
  Bookmark bookmark(size_t index, int64_t below);
  std::vector<std::string> check_topic_times(int timeout_ms);

  std::vector<PartitionId> ids_;
  struct Partition {
    KafkaFetch fetch;     // none before the start
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
  Status take(size_t index, const KafkaItem& item, Batch& out);
  void serve();
  void take_topic_times();
  void wake(size_t index);

  const KafkaConfig config_;
  const std::shared_ptr<KafkaNotice> notice_;
  KafkaClient finder_;   // metadata, offsets, topic settings: never blocked by fetches, never makes topics
  KafkaClient fetcher_;  // made when the number of partitions is known, as its queue bound is for each partition
  size_t share_partitions_ = 0;
  size_t share_bytes_ = 0;
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
  std::vector<KafkaItem> items_;  // of the last poll
};

Status KafkaSource::Impl::open() {
  // `enable.auto.commit` and the like are ours: positions live in the store.
  Status status = KafkaClient::open(config_, {{"enable.auto.commit", "false"}}, {}, notice_, {}, finder_);
  if (status.ok()) times_ = std::make_unique<KafkaTopicTimes>(finder_);
  return status;
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
  return KafkaClient::open(config_,
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
                           notice_, {}, fetcher_);
}

// Appends the topic's partitions not known yet. False where the topic is missing; `answered` says whether a broker did.
bool KafkaSource::Impl::list_topic(const std::string& name, int timeout_ms, bool& answered) {
  answered = false;
  const std::optional<KafkaTopic> topic = finder_.topic(name, timeout_ms);
  if (!topic) return false;
  answered = true;
  bool found = false, gone = topic->missing;
  if (!topic->error.empty()) {
    notice_->seldom("topic " + name, KafkaLevel::kWarning, "topic " + name + " cannot be read yet: " + topic->error);
  } else {
    found = !topic->partitions.empty();
    for (const int32_t number : topic->partitions) {
      PartitionId id{name, number};
      if (std::ranges::find(ids_, id) != ids_.end()) continue;
      if (std::ranges::find(found_, id, &Found::id) == found_.end()) found_.push_back({std::move(id)});
    }
    // A topic never loses partitions: one with fewer is another.
    for (const PartitionId& id : ids_)
      gone |= id.topic == name && !std::ranges::binary_search(topic->partitions, id.number);
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
    const auto range = finder_.range(found.id, static_cast<int>(left));
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
    if (ids_[i].topic != topic || !partition.fetch || !partition.error.ok()) continue;
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
  if (fetcher_ && ids_.size() > known && ids_.size() > share_partitions_) {
    notice_->say(KafkaLevel::kWarning, std::to_string(ids_.size()) + " partitions share a fetch queue made for " +
                                           std::to_string(share_partitions_) +
                                           "; until a restart it may take more than kafka.queued_mb");
  }
  return {};
}

Status KafkaSource::Impl::start(size_t index, int64_t next_offset) {
  const PartitionId& id = ids_.at(index);
  Partition& partition = partitions_[index];
  if (partition.fetch) return Status::error("kafka: " + id.topic + " is started twice");
  if (!fetcher_) {
    if (Status status = make_fetcher(); !status.ok()) return status;
  }
  if (Status status = KafkaFetch::open(fetcher_, id, partition.fetch); !status.ok()) return status;
  partition.next = next_offset;
  if (partition.expected.offset >= next_offset) partition.expected = {};
  return fetch_from(index, partition.expected.offset >= 0 ? partition.expected.offset : next_offset);
}

Status KafkaSource::Impl::fetch_from(size_t index, int64_t offset) {
  Partition& partition = partitions_[index];
  partition.at_end = partition.doubted = partition.lost = false;
  return partition.fetch.start(offset);
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
  finder_.poll(0);
  if (fetcher_) fetcher_.poll(0);
  finder_.check();
  if (times_->asked()) take_topic_times();
  const bool away = notice_->remind();
  if (away && !was_away_)
    for (Partition& partition : partitions_) partition.doubted |= static_cast<bool>(partition.fetch);
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

// The fetch threads may sleep while this queue runs empty; see KafkaClient::wake.
void KafkaSource::Impl::wake(size_t index) {
  const auto now = Clock::now();
  if (partitions_[index].fetch.queued() * kRecordOverhead > share_bytes_ / 8 || now - woken_ < kWakeEvery) return;
  woken_ = now;
  fetcher_.wake();
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
  const auto range = finder_.range(ids_[index], 1000);
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

// What a fetch gave: a record goes into the batch, or is one that was read already.
Status KafkaSource::Impl::take(size_t index, const KafkaItem& item, Batch& out) {
  const PartitionId& id = ids_[index];
  Partition& partition = partitions_[index];
  switch (item.kind) {
    case KafkaItem::Kind::kRecord: {
      if (item.offset < partition.next) {  // from the bookmark on
        if (item.offset == partition.expected.offset && bookmark_of(item) != partition.expected)
          return another_topic(index, "at offset " + std::to_string(item.offset) +
                                          " stands another record than was read there: the topic was deleted and made "
                                          "again");
        return {};
      }
      partition.expected = {};
      partition.append_time = item.stamp == KafkaItem::Stamp::kAppend;
      const bool stamped =
          item.stamp != KafkaItem::Stamp::kNone && item.stamp_ms >= 0 && item.stamp_ms <= INT64_MAX / 1000;
      out.records.push_back({item.offset, stamped ? item.stamp_ms * 1000 : -1, item.value});
      partition.next = item.offset + 1;
      partition.at_end = false;
      return {};
    }
    case KafkaItem::Kind::kEnd:
      partition.lost = item.offset < partition.next;  // read from the bookmark on: the log ends before our position
      if (partition.lost) return {};
      // Lies past control records and aborted transactions, which are never handed out.
      partition.expected = {};
      partition.next = item.offset;
      partition.at_end = true;
      return {};
    case KafkaItem::Kind::kNoOffset:
      partition.lost = true;
      return {};
    case KafkaItem::Kind::kNoTopic:
      partition.doubted = incomplete_ = true;
      listed_ = config_.topics.size();  // a new round, from the beginning
      notice_->seldom("gone " + id.topic, KafkaLevel::kWarning, where(index) + std::string(item.value));
      return {};
    case KafkaItem::Kind::kUnreadable:
      // librdkafka goes on behind what it could not read, which would lose it in silence.
      return Status::error(where(index) + "at offset " + std::to_string(partition.next) + ": " +
                           std::string(item.value));
    case KafkaItem::Kind::kTrouble:
      notice_->seldom(id.topic + item.name, KafkaLevel::kWarning,
                      id.topic + " [" + std::to_string(id.number) + "]: " + std::string(item.value));
      return {};
  }
  return {};
}

Status KafkaSource::Impl::poll(size_t index, size_t max_records, int timeout_ms, Batch& out) {
  out.clear();
  Partition& partition = partitions_.at(index);
  out.next_offset = std::max<int64_t>(partition.next, 0);
  if (!partition.error.ok()) return partition.error;
  if (!partition.fetch) return Status::error("kafka: " + ids_[index].topic + " is polled before its start");
  serve();
  if (!partition.doubted && partition.lost) {
    partition.error = lost(index, out);
    out.next_offset = std::max<int64_t>(partition.next, 0);
    return partition.error;
  }
  if (partition.doubted) return {};
  std::shared_ptr<void> keep = partition.fetch.read(max_records, timeout_ms, items_);
  const KafkaItem* newest = nullptr;
  for (const KafkaItem& item : items_) {
    const size_t records = out.records.size();
    partition.error = take(index, item, out);
    if (!partition.error.ok()) break;
    if (out.records.size() > records) newest = &item;
  }
  if (newest != nullptr) {
    if (partition.marks.size() == kMarks) partition.marks.pop_back();
    partition.marks.push_back(bookmark_of(*newest));
    out.keep.push_back(std::move(keep));
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
  if (fetcher_) {
    if (const auto fetched = fetcher_.known_range(id)) return std::max(fetched->high, partition.next);
  }
  const auto now = Clock::now();
  if (partition.end_asked == Clock::time_point{} || now - partition.end_asked >= std::chrono::seconds(1)) {
    if (!notice_->remind()) {
      if (const auto asked = finder_.range(id, 1000)) partition.end_known = asked->high;
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

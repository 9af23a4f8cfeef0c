// The one door to librdkafka: clients of the brokers, what they fetch of a partition, what they ask, and what they
// produce, in types of our own. What is to be known of librdkafka's traps stands here and in kafka_client.cc, which
// alone includes its headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "pipeline/sources/kafka_notice.h"
#include "pipeline/sources/source.h"

namespace bellwether {

// librdkafka's side of the classes below.
struct RdClient;
struct RdFetch;
struct RdQuestion;

struct KafkaRange {
  int64_t low = -1, high = -1;  // the first offset kept; one past the last that may be read
};

// A topic as the brokers know it.
struct KafkaTopic {
  bool missing = false;             // there is none of this name
  std::string error;                // why it cannot be read now; empty: it can
  std::vector<int32_t> partitions;  // their numbers, rising
};

// What the brokers say to a question about several topics.
struct KafkaAnswer {
  struct Topic {
    std::string name;
    std::string error;                            // empty: the question was answered
    std::map<std::string, std::string> settings;  // where they were asked for
  };
  bool ok = false;  // false: the question failed as a whole
  std::vector<Topic> topics;
};

// One thing that a partition's fetches gave: mostly a record, else what became of them.
struct KafkaItem {
  enum class Kind : uint8_t {
    kRecord,
    kEnd,         // `offset` is one past the last record, past control records and aborted transactions too
    kNoOffset,    // the broker does not have the offset at which we fetch
    kNoTopic,     // the broker does not know the topic, or not the partition
    kUnreadable,  // a record's checksum, compression, format, or size; librdkafka goes on behind it
    kTrouble,     // anything else: librdkafka goes on trying
  };
  enum class Stamp : uint8_t { kNone, kProducer, kAppend };  // whose time it is
  int64_t offset = -1;
  int64_t stamp_ms = -1;   // as it stands in the record, whatever `stamp` says of it
  std::string_view value;  // a record's; else what happened, in words
  const char* name = "";   // librdkafka's name for what happened; lives for ever
  Kind kind = Kind::kRecord;
  Stamp stamp = Stamp::kNone;
};

// A record's way to the brokers is over.
struct KafkaDelivery {
  void* ticket = nullptr;
  std::string_view topic;  // valid during the call
  int32_t partition = -1;
  int64_t offset = -1;
  std::string error;  // empty: it is on all in-sync replicas
};

struct KafkaRefusal {
  bool full = false;  // no room in the queue: to be tried again later
  std::string why;
};

// A question to the brokers that is under way, without blocking anyone. Empty where nothing was asked; forgotten with
// its last copy. One thread.
class KafkaQuestion {
 public:
  explicit operator bool() const { return rd_ != nullptr; }
  // Nothing while there is no answer; it comes once. Waits up to wait_ms.
  std::optional<KafkaAnswer> take(int wait_ms) const;

 private:
  friend class KafkaClient;
  std::shared_ptr<RdQuestion> rd_;
};

// A handle: copies are the same client, which ends with the last of them, of its fetches, and of what they gave.
class KafkaClient {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;

  // Makes a client of the configured brokers and properties; no broker need answer yet. `settings` are ours and may not
  // be configured otherwise; `defaults` may. librdkafka's reports go to `notice`, from any thread, until the client
  // ends. It produces where there is someone to hear of deliveries, which are told within poll() and drop(); else it
  // reads. Errors: a property that librdkafka refuses.
  static Status open(const KafkaConfig& config, const Settings& settings, const Settings& defaults,
                     std::shared_ptr<KafkaNotice> notice, std::function<void(const KafkaDelivery&)> delivered,
                     KafkaClient& out);
  explicit operator bool() const { return rd_ != nullptr; }

  // Makes the callbacks that are due; waits up to timeout_ms for a first one.
  void poll(int timeout_ms) const;
  // Lets the notice ask this client whether the brokers are back; see KafkaNotice::check.
  void check() const;

  // These three ask the brokers and wait up to timeout_ms (some 100 ms more at most). True if any broker answers.
  bool answers(int timeout_ms) const;
  // Nothing where no broker answers, or the partition is not there.
  std::optional<KafkaRange> range(const PartitionId& id, int timeout_ms) const;
  // Nothing where no broker answers.
  std::optional<KafkaTopic> topic(const std::string& name, int timeout_ms) const;
  // The range as of the last fetch. Asks nobody; nothing where nothing was fetched yet.
  std::optional<KafkaRange> known_range(const PartitionId& id) const;

  // The settings of topics. At least one.
  KafkaQuestion ask_settings(const std::vector<std::string>& topics, int timeout_ms) const;
  // Makes topics (at least one) with the broker's own settings; replication -1: the broker's default. One that is there
  // already is no error. Errors: what no broker need be asked to refuse, such as a number of partitions.
  Status make_topics(const std::vector<std::string>& topics, int partitions, int replication, int timeout_ms,
                     KafkaQuestion& out) const;

  // Wakes the threads that fetch: one whose partitions all have full queues sleeps for up to a second (a constant of
  // librdkafka 2.0) and so starves a fast reader.
  void wake() const;

  // Copies the record into the queue. An empty key is none; a value of no data (std::string_view{}, not "") is none: a
  // tombstone. `id` becomes its header "id"; empty: no header. Gives nothing where it was taken, and then `ticket`
  // comes back with its delivery. Any thread.
  std::optional<KafkaRefusal> produce(const std::string& topic, std::string_view key, std::string_view value,
                                      std::string_view id, void* ticket) const;
  // Gives up what is not delivered yet and tells so, waiting up to timeout_ms for what cannot be given up.
  void drop(int timeout_ms) const;

 private:
  friend class KafkaFetch;
  std::shared_ptr<RdClient> rd_;
};

// What a client fetches of one partition. A handle too; fetching stops with the last copy. All fetches of a client
// belong to one thread.
//
// Each has a queue of its own, into which librdkafka fetches without pause, seek, or assignment: the batch call's known
// ways of losing records in librdkafka 2.0 (issues 4117, 4208, 3231 of its repository) all need one of those.
class KafkaFetch {
 public:
  static Status open(const KafkaClient& client, const PartitionId& id, KafkaFetch& out);
  explicit operator bool() const { return rd_ != nullptr; }

  // Begins at the offset; below 0: at the partition's beginning. Before the first read, and again to begin elsewhere:
  // what is queued goes.
  Status start(int64_t offset) const;
  // Replaces `out` by up to items_max items in the order of the partition; takes what is there, or waits up to
  // timeout_ms for a first one. The values are views into librdkafka's fetch buffers, which live as long as the owner
  // that this returns; null where there is no item.
  std::shared_ptr<void> read(size_t items_max, int timeout_ms, std::vector<KafkaItem>& out) const;
  size_t queued() const;

 private:
  std::shared_ptr<RdFetch> rd_;
};

}  // namespace bellwether

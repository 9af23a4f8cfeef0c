// Questions to the brokers beside fetching: what range of offsets a partition holds, and how topics stamp their
// records.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/sources/kafka_client.h"

struct rd_kafka_queue_s;
struct rd_kafka_metadata;

namespace bellwether {

struct KafkaRange {
  int64_t low = -1, high = -1;  // the first offset kept; one past the last that may be read
};

// Waits up to timeout_ms. Nothing where no broker answers, or the partition is not there.
std::optional<KafkaRange> kafka_range(const KafkaHandle& client, const PartitionId& id, int timeout_ms);

// The brokers' answer about one topic, in librdkafka's own struct; null where none came in time.
std::shared_ptr<const struct rd_kafka_metadata> kafka_topic(const KafkaHandle& client, const std::string& name,
                                                            int timeout_ms);

// Asks how topics stamp their records, and tells the answer when it is there. One thread.
class KafkaTopicTimes {
 public:
  explicit KafkaTopicTimes(KafkaHandle client) : client_(std::move(client)) {}
  ~KafkaTopicTimes();
  KafkaTopicTimes(const KafkaTopicTimes&) = delete;
  KafkaTopicTimes& operator=(const KafkaTopicTimes&) = delete;

  // Returns at once. A question still open is forgotten.
  void ask(const std::vector<std::string>& topics, int timeout_ms);
  bool asked() const { return queue_ != nullptr; }

  struct Answer {
    std::map<std::string, bool> append_time;  // by topic: stamped by the broker
    std::vector<std::string> warnings;        // a sentence for each topic whose producers may stamp any time ahead
  };
  // Nothing while there is no answer; empty where it failed. Waits up to wait_ms.
  std::optional<Answer> take(int wait_ms);

 private:
  void forget();

  const KafkaHandle client_;
  rd_kafka_queue_s* queue_ = nullptr;
};

}  // namespace bellwether

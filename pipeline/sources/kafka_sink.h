// Out records to Kafka: an idempotent producer, acks=all, retried for as long as the brokers are away. Also the
// synchronous produce that puts what staff write into a topic.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "pipeline/sources/kafka_notice.h"
#include "pipeline/sources/sink.h"

namespace bellwether {

struct Produced {
  Status status;
  PartitionId partition;
  int64_t offset = -1;
};

struct ToProduce {
  std::string topic;
  std::string_view key, value;
};

class KafkaSink : public Sink {
 public:
  struct Options {
    std::vector<std::string> topics;  // made if missing, with the broker's own clean-up policy
    int partitions = 1;               // of topics made
    int replication = -1;             // -1: the broker's default
    size_t queue_records = 100000;    // the bounds of what waits for the broker
    size_t queue_mb = 32;
  };

  // No broker need answer yet. Errors: a property that librdkafka refuses.
  static Status open(const KafkaConfig& config, Options options, KafkaHooks hooks, std::unique_ptr<KafkaSink>& out);
  // Drops what is not acknowledged yet; flush first.
  ~KafkaSink() override;

  // Also false until the topics are known to exist.
  bool enqueue(const OutRecord& record, int timeout_ms) override;
  uint64_t acknowledged() const override;
  Status failure() const override;
  Status flush(int timeout_ms) override;

  // Produces and waits until the record is on all in-sync replicas. On a timeout the record may still arrive later; its
  // event id makes a repeat harmless. Any thread.
  Produced produce(const std::string& topic, std::string_view key, std::string_view value, int timeout_ms);
  // The same for several records that are under way together; one answer each, in order.
  std::vector<Produced> produce_all(const std::vector<ToProduce>& records, int timeout_ms);

 private:
  class Impl;
  explicit KafkaSink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bellwether

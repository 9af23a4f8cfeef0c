// Kafka topics as a source. Partitions are found through metadata and read from the offsets that the caller gives; no
// consumer group takes part, and nothing is committed to Kafka.
//
// Each partition has a queue of its own, a KafkaFetch: adding one leaves the others alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "pipeline/sources/kafka_notice.h"
#include "pipeline/sources/source.h"

namespace bellwether {

class KafkaSource : public Source {
 public:
  // Makes the clients; no broker need answer yet. Errors: a property that librdkafka refuses.
  static Status open(const KafkaConfig& config, KafkaHooks hooks, std::unique_ptr<KafkaSource>& out);
  // Batches handed out may live longer than the source; its connections end with the last of them.
  ~KafkaSource() override;

  // Empty until a refresh has found a broker.
  const std::vector<PartitionId>& partitions() const override;
  // Asks at most every refresh_s, and every second while a topic or all brokers are missing. New partitions come last,
  // by topic in the configured order, then by number. A broker that is away or a topic that does not exist yet is no
  // error.
  Status refresh() override;
  // As of when the partition was found.
  int64_t first_offset(size_t partition) const override;
  // One a batch, of its last record.
  Bookmark bookmark(size_t partition, int64_t below) override;
  void expect(size_t partition, const Bookmark& bookmark) override;
  Status start(size_t partition, int64_t next_offset) override;
  // Errors, given again at every further poll: our offset was deleted and kafka.on_gap is fail (skip: the batch tells
  // the gap); the topic was deleted, or is another of the same name, as far as can be told: it ends before our offset,
  // or holds something else where an earlier record stood; a record that cannot be read (checksum, compression).
  Status poll(size_t partition, size_t max_records, int timeout_ms, Batch& out) override;
  // As of the last fetch; asks the broker, at most every second, where nothing was fetched yet.
  int64_t end_offset(size_t partition) override;

  // Whether the partition's records carry the broker's time of appending rather than the producer's. Known from its
  // newest record or from check_topic_times().
  bool log_append_time(size_t partition) const;

  // refresh() asks for this by itself when it finds partitions, and poll() and refresh() log it. A sentence for each
  // topic whose producers may stamp records with any time in the future (CreateTime without
  // message.timestamp.after.max.ms). Best effort: topics that the broker does not describe within timeout_ms are left
  // out.
  std::vector<std::string> check_topic_times(int timeout_ms = 3000);

 private:
  class Impl;
  explicit KafkaSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bellwether

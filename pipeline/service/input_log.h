// Where what comes in by gRPC is written before anybody hears of it: the embedded log, or with Kafka the topic of the
// event's body.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "config/config.h"
#include "pipeline/sources/source.h"

namespace bellwether {

class EmbeddedLog;
class KafkaSink;

// Which topic of EVENTS.md an event belongs to; in the order of KafkaConfig::topics' default.
enum class InputTopic : uint8_t { kPosts, kLikes, kReferrals, kBetaTests, kJudgements, kAccounts };

struct InputRecord {
  InputTopic topic = InputTopic::kLikes;
  std::string user;        // key on Kafka
  uint64_t user_hash = 0;  // partition of the embedded log
  std::string value;       // protobuf bytes of the event
};

struct InputPosition {
  PartitionId partition;
  int64_t offset = -1;
};

struct InputAck {
  Status status;                         // of the first record that failed; others may be durable all the same
  std::vector<InputPosition> positions;  // one a record, when fine
};

class InputLog {
 public:
  virtual ~InputLog() = default;
  // Writes the records; those of one call and one partition keep their order. `done` is called exactly once, when all
  // are durable or one failed, maybe in this call, maybe on another thread, and must be short. Any thread. May block
  // for as long as the log pushes back, at most `timeout_ms` with Kafka.
  virtual void append(std::vector<InputRecord> records, int timeout_ms, std::function<void(InputAck)> done) = 0;
};

class Erased;
class Hasher;
// Between the services and a log: what comes in is written without the names of the erased.
class ForgettingInput final : public InputLog {
 public:
  // `erased`: who is by now; any thread. All must outlive it.
  ForgettingInput(std::unique_ptr<InputLog> to, const Hasher& hasher,
                  std::function<std::shared_ptr<const Erased>()> erased)
      : to_(std::move(to)), hasher_(hasher), erased_(std::move(erased)) {}
  void append(std::vector<InputRecord> records, int timeout_ms, std::function<void(InputAck)> done) override;
  // Returns once every append that may have known fewer erasures than there are now has been handed to the log.
  void fence() { const std::unique_lock lock(gate_); }

 private:
  const std::unique_ptr<InputLog> to_;
  const Hasher& hasher_;
  const std::function<std::shared_ptr<const Erased>()> erased_;
  std::shared_mutex gate_;
};

// `log` and `sink` must outlive what is made.
std::unique_ptr<InputLog> make_embedded_input(EmbeddedLog& log);
// `topics`: of the configuration; an input topic that is not among them by its usual name cannot be written.
std::unique_ptr<InputLog> make_kafka_input(KafkaSink& sink, const std::vector<std::string>& topics);

}  // namespace bellwether

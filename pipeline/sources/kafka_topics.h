// How topics stamp their records: whether the broker's time or the producer's decides, and how far a producer may go.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/sources/kafka_client.h"

namespace bellwether {

// Asks how topics stamp their records, and tells the answer when it is there. One thread.
class KafkaTopicTimes {
 public:
  explicit KafkaTopicTimes(KafkaClient client) : client_(std::move(client)) {}

  // Returns at once. A question still open is forgotten.
  void ask(const std::vector<std::string>& topics, int timeout_ms);
  bool asked() const { return static_cast<bool>(question_); }

  struct Answer {
    std::map<std::string, bool> append_time;  // by topic: stamped by the broker
    std::vector<std::string> warnings;        // a sentence for each topic whose producers may stamp any time ahead
  };
  // Nothing while there is no answer; empty where it failed. Waits up to wait_ms.
  std::optional<Answer> take(int wait_ms);

 private:
  KafkaClient client_;
  KafkaQuestion question_;
};

}  // namespace bellwether

// Committed out records on their way to Kafka: read from the outbox, turned into protobuf, produced, and let go once
// the brokers have them. At least once; each record carries an id that makes a repeat harmless.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "config/config.h"
#include "pipeline/engine/published.h"
#include "pipeline/sources/sink.h"

namespace bellwether {

// What one outbox row becomes. `topic` without the prefix: ".scores".
struct OutMessage {
  std::string topic, key, id, value;
  bool tombstone = false;  // there is no value, not even an empty one
};
// A function of the row and the rules in force at its tick: a repeat has the same bytes. False where the row cannot be
// read.
bool out_message(uint8_t kind, const ChangeId& id, std::string_view payload, const CommunityConfig& community,
                 OutMessage& out);

// The topics that an outbox writes, for making them.
std::vector<std::string> out_topics(const std::string& prefix);

class Outbox {
 public:
  struct Deps {
    // The newest, or the one after commit `number` once there is one; waits at most `timeout_us`.
    std::function<std::shared_ptr<const Published>(uint64_t number, int64_t timeout_us)> wait_published;
    std::function<void(uint64_t through)> delivered;  // the engine erases rows up to this number
    // Makes a sink; called again when one failed for good.
    std::function<Status(std::unique_ptr<Sink>&)> make_sink;
    std::function<void(const std::string&)> say;  // a line for the log
    bool threaded = true;                         // false: no thread, the caller steps
    uint32_t nice = 0;                            // by which its thread gives way (priority.h)
  };

  // Starts the thread, if there is to be one.
  Outbox(std::string prefix, Deps deps);
  ~Outbox() { stop(flush_ms_); }
  // Sends what is committed, waits up to `timeout_ms` for acknowledgements, ends the thread. What is not acknowledged
  // by then is sent again at the next start.
  void stop(int timeout_ms);
  // Without a thread: one turn of its loop. kPause: it would wait before the next; kDone: it would end.
  enum class Turn : uint8_t { kMore, kPause, kDone };
  Turn step();
  uint64_t failures() const { return failures_.load(); }
  uint64_t delivered() const { return delivered_.load(); }

 private:
  void run();
  // Hands rows to the sink; false where it takes no more now.
  bool send(const Published& at);
  void acknowledge();
  static constexpr int flush_ms_ = 5000;

  const std::string prefix_;
  const Deps deps_;
  std::unique_ptr<Sink> sink_;
  uint64_t next_ = 0;    // the first row not yet handed to the sink
  uint64_t number_ = 0;  // of the commit sent last
  bool all_sent_ = false, broken_ = false;
  std::atomic<uint64_t> delivered_{0}, failures_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> stop_timeout_ms_{0};
  std::thread thread_;
};

}  // namespace bellwether

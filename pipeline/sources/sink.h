// Where out records go. At least once: the outbox keeps a row until acknowledged() has passed its sequence, and sends
// again what a restart finds; each record carries an id that makes repeats harmless.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/sources/source.h"

namespace bellwether {

struct OutRecord {
  uint64_t sequence = 0;  // the outbox's, from 1; rises from call to call
  std::string_view topic;
  std::string_view key;
  std::string_view value;
  std::string_view id;     // sent as header "id"; empty: no header
  bool tombstone = false;  // no value at all: a compacted topic lets go of what stands under the key
};

class Sink {
 public:
  virtual ~Sink() = default;
  // Copies the record and returns at once, or waits up to timeout_ms for room in the queue. False: not taken, call
  // again later. One thread.
  virtual bool enqueue(const OutRecord& record, int timeout_ms) = 0;
  // Every record with a sequence up to this one is safe. Any thread.
  virtual uint64_t acknowledged() const = 0;
  // Not fine once a record cannot be delivered for a reason that waiting does not cure (no permission, too large). Then
  // nothing more is taken; the caller makes a new sink and sends again from acknowledged() + 1. A broker that is away
  // is no failure. Any thread.
  virtual Status failure() const = 0;
  // Waits until all that was taken is acknowledged; an error says what was not in time, or why it never will be.
  virtual Status flush(int timeout_ms) = 0;
};

// Keeps everything, for tests.
class MemorySink : public Sink {
 public:
  struct Kept {
    uint64_t sequence;
    std::string topic, key, value, id;
    bool tombstone = false;
  };
  bool enqueue(const OutRecord& record, int) override {
    const std::lock_guard lock(mutex_);
    if (!accepting_) return false;
    kept_.push_back({record.sequence, std::string(record.topic), std::string(record.key), std::string(record.value),
                     std::string(record.id), record.tombstone});
    acknowledged_ = record.sequence;
    return true;
  }
  uint64_t acknowledged() const override {
    const std::lock_guard lock(mutex_);
    return acknowledged_;
  }
  Status failure() const override { return {}; }
  Status flush(int) override { return {}; }
  // While off, enqueue gives false, as a sink whose queue is full.
  void accept(bool on) {
    const std::lock_guard lock(mutex_);
    accepting_ = on;
  }
  std::vector<Kept> kept() const {
    const std::lock_guard lock(mutex_);
    return kept_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Kept> kept_;
  uint64_t acknowledged_ = 0;
  bool accepting_ = true;
};

}  // namespace bellwether

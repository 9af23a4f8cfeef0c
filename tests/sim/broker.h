// The world outside the process: topics with partitions that engines read, and the topics that out records go to.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/sources/sink.h"
#include "pipeline/sources/source.h"
#include "tests/sim/chaos.h"

namespace bellwether::sim {

struct Logged {
  int64_t offset = 0, append_us = 0;
  std::shared_ptr<std::string> value;
};

struct LogPartition {
  PartitionId id;
  std::vector<Logged> records;  // all that were ever written
  int64_t first = 0, next = 0;  // the first offset kept; the next to be written
  uint64_t away_until = 0;      // step: no leader, or stalled
  int64_t end = -1;             // the end that a new leader knows of; -1: all
  uint64_t end_until = 0;
  size_t index_of(int64_t offset) const;  // of the first record from there on
  int64_t known_end(uint64_t step) const { return step < end_until && end >= 0 ? std::min(end, next) : next; }
};

// Input topics. Partitions are only ever added.
struct InputLog {
  std::vector<LogPartition> partitions;
  int64_t clock_us = 0;  // the broker's
  void add(const std::string& topic, int32_t number);
  void append(size_t partition, std::string value, Chaos& chaos);
};

// A consumer of one process. Faults are drawn from `chaos`; null: none, everything at once, for the reference.
class SimSource final : public Source {
 public:
  // `skip_gaps`: what to do where records are gone that were not read: go on behind them, or an error.
  // `chance` chooses the sizes of polls and who is found when.
  SimSource(InputLog& log, Chaos* chaos, uint64_t chance, bool skip_gaps)
      : log_(log), chaos_(chaos), chance_(chance), skip_gaps_(skip_gaps) {}
  const std::vector<PartitionId>& partitions() const override { return ids_; }
  Status refresh() override;
  Status start(size_t partition, int64_t next_offset) override;
  Status poll(size_t partition, size_t max_records, int timeout_ms, Batch& out) override;
  int64_t first_offset(size_t partition) const override;
  int64_t end_offset(size_t partition) override;
  bool all_read() const;
  bool met_gap() const { return met_gap_; }

 private:
  uint64_t step() const { return chaos_ == nullptr ? 0 : chaos_->step; }
  InputLog& log_;
  Chaos* chaos_;
  model::Dice chance_;
  bool skip_gaps_, met_gap_ = false;
  std::vector<PartitionId> ids_;
  std::vector<int64_t> at_, first_;
};

struct OutTopics {
  struct Kept {
    std::string topic, key, value, id;
  };
  std::vector<Kept> kept;
};

// A producer of one process. What it takes is under way until deliver() brings some of it to the topics.
class SimSink final : public Sink {
 public:
  // `check` hears every record taken, and says what is wrong with it.
  using Check = std::function<void(const OutRecord&)>;
  SimSink(OutTopics& out, Chaos& chaos, Check check, SimSink** current);
  ~SimSink() override;
  bool enqueue(const OutRecord& record, int timeout_ms) override;
  uint64_t acknowledged() const override { return acknowledged_; }
  Status failure() const override { return failure_; }
  Status flush(int) override { return {}; }

  void deliver();
  void crash();  // what is under way may arrive all the same
  bool idle() const { return way_.empty(); }

 private:
  struct OnTheWay {
    uint64_t sequence;
    OutTopics::Kept record;
    bool arrived = false;
  };
  void arrive(OnTheWay& one);
  OutTopics& out_;
  Chaos& chaos_;
  Check check_;
  SimSink** current_;
  std::vector<OnTheWay> way_;
  uint64_t acknowledged_ = 0, late_until_ = 0, full_until_ = 0;
  Status failure_;
};

}  // namespace bellwether::sim

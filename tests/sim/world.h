// The inside of a simulated run: the community that produces, the machine with its disk and clock, and the process on
// it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "pipeline/engine/engine.h"
#include "pipeline/service/outbox.h"
#include "tests/sim/broker.h"
#include "tests/sim/disk.h"
#include "tests/sim/simulation.h"

namespace bellwether::sim {

struct Arriving {
  int64_t time_us = 0;  // of the event
  std::string value;
};

// What a seed fixes for all processes of its run, since states depend on it.
struct Shape {
  uint32_t tick_records = 0;
  size_t job_rows = 0, partitions = 0;
  bool rings = false;
  int64_t verbosity = 0;
  std::vector<Arriving> stream;
};
Shape shape_of(const Options& options);

// Engine options that every process and the reference share.
EngineOptions engine_options_of(const Shape& shape);

// Compares what the faulty run left with a run of the same logs and control log without faults. Gives what is wrong, or
// nothing.
struct Left {
  const Disk& disk;
  const InputLog& log;
  const std::map<std::pair<size_t, int64_t>, bool>&
      lost;  // by (partition, offset): records deleted before they were read
  const OutTopics& out;
  Config config;
};
std::string compare_with_undisturbed(const Left& left, const Shape& shape, Result& result);

class World {
 public:
  explicit World(const Options& options);
  Result run();

 private:
  // One process. Members go in reverse: first who reads from those above.
  struct Process {
    Config config;
    std::unique_ptr<Store> store;
    std::unique_ptr<SimSource> source;
    std::unique_ptr<Engine> engine;
    SimSink* sink = nullptr;
    std::unique_ptr<Outbox> outbox;
    int64_t commit_one_in = 10;
    uint64_t paused_until = 0;
  };

  void fail(const std::string& text);
  bool failed() const { return !result_.failure.empty(); }
  void turn();      // one step of anything
  void start();     // a process, if there is none
  void truncate();  // while there is none
  void change_config();
  void process_turn();
  void watch();  // what the process publishes
  void die(const std::string& how);
  void guarded(const std::function<void()>& what);  // a kill or an error in it ends the process
  void engine_step();
  void stop_in_order();
  void produce();
  void append(size_t partition, const std::string& value);
  void time_passes();
  void judge();
  void check_out(const OutRecord& record);
  void drain();
  void say_logs();

  const Options options_;
  Shape shape_;
  Chaos chaos_;
  model::Dice plan_;
  Disk disk_;
  InputLog log_;
  OutTopics out_;
  Result result_;
  Config config_;  // as the last process was started with

  size_t next_event_ = 0;
  std::deque<Arriving> later_;
  int64_t now_us_ = 0, skew_us_ = 0;
  int64_t produce_percent_ = 10;
  uint64_t start_at_ = 0;
  bool skip_gaps_ = false, draining_ = false;
  int verdicts_left_ = 3;
  std::map<std::pair<size_t, int64_t>, bool> lost_;
  std::unique_ptr<Process> process_;
  EngineProgress published_;  // the newest that readers saw of this process
  uint64_t published_number_ = 0;
};

}  // namespace bellwether::sim

#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <iostream>
#include <thread>

#include "pipeline/engine/named_thread.h"
#include "pipeline/engine/priority.h"
#include "pipeline/program/memory_bound.h"
#include "pipeline/program/program.h"
#include "pipeline/repair/backup.h"
#include "pipeline/repair/rebuild.h"
#include "pipeline/service/forget_record.h"
#include "pipeline/service/outbox.h"
#include "pipeline/service/service.h"
#include "pipeline/sources/embedded_log.h"
#include "pipeline/sources/kafka_sink.h"
#include "pipeline/sources/kafka_source.h"

namespace bellwether {
namespace {

struct ServeOptions {
  std::string config;
  std::vector<std::string> sets;
  std::string on_gap, keep_erased;
  bool check = false, until_end = false;
};

// What feeds the engine: Kafka where brokers are named, else the embedded log.
struct Inputs {
  std::unique_ptr<EmbeddedLog> log;
  std::unique_ptr<Source> log_reader;
  std::unique_ptr<KafkaSource> kafka;
  std::vector<IngestSource> sources;
  std::shared_ptr<KafkaOutage> outage = std::make_shared<KafkaOutage>();
  ForgettingInput* written = nullptr;      // set before the engine runs
  std::atomic<Metrics*> metrics{nullptr};  // hears the statistics of Kafka once there are metrics
};

void log_kafka(KafkaLevel level, std::string_view text) {
  spdlog::log(level == KafkaLevel::kError     ? spdlog::level::err
              : level == KafkaLevel::kWarning ? spdlog::level::warn
                                              : spdlog::level::info,
              "{}", text);
}

Status open_inputs(const Config& config, Inputs& out) {
  if (!config.kafka.brokers.empty()) {
    KafkaHooks hooks;
    hooks.log = log_kafka;
    hooks.outage = out.outage;
    hooks.statistics = [&out](std::string_view json) {
      if (Metrics* metrics = out.metrics.load()) metrics->kafka_statistics(json);
    };
    if (Status status = KafkaSource::open(config.kafka, hooks, out.kafka); !status.ok()) return status;
    out.sources.push_back({out.kafka.get(), true});
  } else if (config.log.enabled) {
    EmbeddedLog::Options options;
    options.config = config.log;
    options.now_us = [] {
      return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
    };
    std::vector<std::string> messages;
    Status status = EmbeddedLog::open(config.engine.data_dir, options, out.log, messages);
    for (const std::string& message : messages) spdlog::warn("{}", message);
    if (!status.ok()) return status;
    out.log_reader = out.log->reader();
    out.sources.push_back({out.log_reader.get(), true});
  } else {
    return Status::error("nothing to read: kafka.brokers is empty and log.enabled is false");
  }
  return {};
}

// How long each step of a start or an end took, for its log line.
class Steps {
 public:
  void done(const char* what) {
    const auto now = std::chrono::steady_clock::now();
    text_ += fmt::format("{}{} {:.2f} s", text_.empty() ? "" : ", ", what, seconds(at_, now));
    at_ = now;
  }
  // Counts from then on, where it is known.
  void begin(std::chrono::steady_clock::time_point at) { begun_ = at_ = at; }
  double total() const { return seconds(begun_, std::chrono::steady_clock::now()); }
  const std::string& text() const { return text_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  static double seconds(Time from, Time to) { return std::chrono::duration<double>(to - from).count(); }
  Time begun_ = std::chrono::steady_clock::now(), at_ = begun_;
  std::string text_;
};

// Tells the embedded log what no restart will ask for again, after every commit.
void follow_commits(const Engine& engine, EmbeddedLog& log, const std::atomic<bool>& done) {
  uint64_t number = 0;
  while (!done) {
    const auto published = engine.wait_published(number, 100'000);
    if (published->number() == number) continue;
    number = published->number();
    for (const PartitionState& p : published->partitions())
      if (p.id.topic == "log" && p.id.number >= 0 && static_cast<size_t>(p.id.number) < log.partitions())
        log.set_retain_from(static_cast<size_t>(p.id.number), p.at.next_offset);
  }
}

// A thread from before the program gave way: what is started on it answers calls, and keeps the program's priority.
class Front {
 public:
  Front() : thread_([this] { work(); }) {}
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;
  ~Front() {
    if (thread_.joinable()) (void)run([] { return Status{}; });
  }
  // Once.
  Status run(std::function<Status()> start) {
    std::future<Status> done = done_.get_future();
    start_.set_value(std::move(start));
    thread_.join();
    return done.get();
  }

 private:
  void work() { done_.set_value(start_.get_future().get()()); }

  std::promise<std::function<Status()>> start_;
  std::promise<Status> done_;
  std::thread thread_;
};

// What stands around the engine: the query service, the metrics port, the out records' way to Kafka, and where what
// comes in by gRPC is written. They read what the engine publishes and end before it does.
class Around {
 public:
  Status start(const Config& config, Engine& engine, const Store& store, Inputs& inputs) {
    inputs_ = &inputs;
    if (inputs.log != nullptr) {
      input_ = forgetting(engine, make_embedded_input(*inputs.log));
    } else {
      KafkaSink::Options options;
      options.topics.clear();  // the topics read are not ours to make
      if (Status status = KafkaSink::open(config.kafka, options, {log_kafka, {}, inputs.outage}, producer_);
          !status.ok())
        return status;
      input_ = forgetting(engine, make_kafka_input(*producer_, config.kafka.topics));
    }
    inputs.written = input_.get();
    if (!config.metrics.listen.empty()) {
      Metrics::Deps deps;
      deps.published = [&engine] { return engine.published(); };
      deps.figures = [&engine] { return engine.figures(); };
      deps.store = [&store] { return store.figures(); };
      deps.outbox_failures = [this] { return outbox_failures(); };
      deps.version = BELLWETHER_VERSION;
      if (Status status = Metrics::start(config.metrics.listen, std::move(deps), metrics_); !status.ok()) return status;
      inputs.metrics = metrics_.get();
    }
    ServiceDeps deps;
    deps.published = [&engine] { return engine.published(); };
    deps.figures = [&engine] { return engine.figures(); };
    deps.store = [&store] { return store.figures(); };
    deps.backup = [&store, log = inputs.log.get()](const BackupCall& call, BackupMade& made) {
      BackupReport report;
      const BackupOptions backup_options{call.copy, BELLWETHER_VERSION, call.cancelled};
      Status status = backup_running(store, log, call.to, backup_options, report);
      made = {report.files, report.bytes, report.linked_bytes, report.tick, std::move(report.positions)};
      if (status.ok()) spdlog::info("backup {}: {} files, {} bytes", call.to, made.files, made.bytes);
      return status;
    };
    deps.input = input_.get(), deps.metrics = metrics_.get(), deps.version = BELLWETHER_VERSION;
    if (Status status = start_service(config, std::move(deps), service_); !status.ok()) return status;
    if (!config.kafka.brokers.empty() && config.kafka.outputs) {
      Outbox::Deps out;
      out.wait_published = [&engine](uint64_t number, int64_t timeout_us) {
        return engine.wait_published(number, timeout_us);
      };
      out.delivered = [&engine](uint64_t through) { engine.outbox_delivered(through); };
      out.make_sink = [kafka = config.kafka, outage = inputs.outage](std::unique_ptr<Sink>& sink) {
        KafkaSink::Options options;
        options.topics = out_topics(kafka.out_prefix);
        std::unique_ptr<KafkaSink> made;
        Status status = KafkaSink::open(kafka, options, {log_kafka, {}, outage}, made);
        sink = std::move(made);
        return status;
      };
      out.say = [](const std::string& text) { spdlog::warn("{}", text); };
      out.nice = config.engine.nice;
      const std::lock_guard lock(mutex_);
      outbox_ = std::make_unique<Outbox>(config.kafka.out_prefix, std::move(out));
    }
    return {};
  }

  // After the engine's last commit: open calls finish, what is committed goes out.
  void stop() {
    if (service_ != nullptr) service_->drain();
    if (outbox_ != nullptr) outbox_->stop(5000);
  }
  ~Around() {
    if (inputs_ != nullptr) inputs_->metrics = nullptr;
    service_.reset();
    metrics_.reset();
  }

 private:
  static std::unique_ptr<ForgettingInput> forgetting(Engine& engine, std::unique_ptr<InputLog> to) {
    return std::make_unique<ForgettingInput>(std::move(to), engine.hasher(), [&engine] { return engine.erased(); });
  }
  uint64_t outbox_failures() {
    const std::lock_guard lock(mutex_);
    return outbox_ == nullptr ? 0 : outbox_->failures();
  }

  std::mutex mutex_;
  Inputs* inputs_ = nullptr;
  std::unique_ptr<KafkaSink> producer_;
  std::unique_ptr<ForgettingInput> input_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Service> service_;
};

int serve(const ServeOptions& options) {
  Config config;
  if (!load_config(options.config, options.sets, config)) return 2;
  if (!options.on_gap.empty()) config.kafka.on_gap = options.on_gap;
  if (options.check) {
    std::cout << "the configuration is valid\n";
    return 0;
  }
  set_up_logging(config.logging);
  Steps start;
  Front front;
  give_way(config.engine.nice);  // what is started from here on works in bulk
  if (const size_t room = std::max<size_t>(1, room_for_connections()); room < config.service.max_connections) {
    spdlog::warn(
        "service.max_connections: given {}, taken {}: this process may open {} files beside the store's (ulimit -n)",
        config.service.max_connections, room, room);
    config.service.max_connections = static_cast<uint32_t>(room);
  }
  spdlog::info("memory bound: {}", memory_bound(config, true).text());
  std::unique_ptr<Store> store;
  StoreOptions store_options;
  store_options.block_cache_mb = config.engine.block_cache_mb;
  store_options.write_buffer_mb = config.engine.write_buffer_mb;
  store_options.write_set_bytes = commit_bytes(config.engine) * 5 / 2;
  if (const Status status = open_rocks_store(config.engine.data_dir, store_options, store); !status.ok())
    return failed(status.message);
  if (const Status status = keep_erased(options.keep_erased, config, *store); !status.ok())
    return failed(status.message);
  start.done("store");
  Inputs inputs;
  if (const Status status = open_inputs(config, inputs); !status.ok()) return failed(status.message);
  start.done(config.kafka.brokers.empty() ? "log" : "Kafka");
  EngineOptions engine_options;
  engine_options.until_end = options.until_end;
  engine_options.outbox = !config.kafka.brokers.empty() && config.kafka.outputs;
  engine_options.board_moves = engine_options.process_ends = true;
  const Hasher hasher(config.community.hash_key);
  if (inputs.log != nullptr) {
    engine_options.rewrite_log = [&inputs, &hasher](const std::shared_ptr<const Erased>& erased,
                                                    const std::vector<std::string>& names,
                                                    const std::function<bool()>& stop) {
      inputs.written->fence();
      RecordForgetter forgetter(hasher, erased, names);
      return inputs.log->rewrite([&](std::string_view value, std::string& out) { return forgetter.forget(value, out); },
                                 stop);
    };
  }
  engine_options.drop_old = [&config] { return drop_replaced(config.engine.data_dir); };
  engine_options.say = [](const std::string& text) { spdlog::info("{}", text); };
  std::unique_ptr<Engine> engine;
  if (const Status status = Engine::open(config, program_operators(), *store, inputs.sources, engine_options, engine);
      !status.ok())
    return failed(status.message);
  start.done("state");

  const StopOnSignal guard(*engine);
  std::atomic<bool> done{false};
  std::thread follower;
  if (inputs.log != nullptr) follower = named_thread("follow", [&] { follow_commits(*engine, *inputs.log, done); });
  Around around;
  Status status = front.run([&] { return around.start(config, *engine, *store, inputs); });
  Steps end;
  if (status.ok()) {
    start.done("service");
    spdlog::info("serving {} from {}", config.engine.data_dir, inputs.kafka != nullptr ? "Kafka" : "the embedded log");
    spdlog::info("started in {:.2f} s: {}", start.total(), start.text());
    status = engine->run();
    end.begin(StopOnSignal::at());
    end.done("fold and last commit");
    around.stop();
    end.done("open calls and out records");
  }
  done = true;
  if (follower.joinable()) follower.join();
  if (!status.ok()) return failed(status.message);
  const Account a = engine->published()->account();
  spdlog::info("stopped: consumed {}, applied {}, duplicate {}, late {}, dead-lettered {}", a.consumed, a.applied,
               a.duplicate, a.late, a.dead_lettered);
  spdlog::info("stopped in {:.2f} s: {}", end.total(), end.text());
  return 0;
}

}  // namespace

void add_serve_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Run the pipeline and answer queries until stopped");
  command->add_option("--config", options->config, "The configuration file")->check(CLI::ExistingFile);
  command->add_option("--set", options->sets, "A setting, KEY=VALUE; may be repeated");
  command->add_flag("--check", options->check, "Only check the configuration");
  command->add_flag("--until-end", options->until_end, "Read what is there now, then exit");
  command
      ->add_option("--keep-erased", options->keep_erased,
                   "A data folder whose erasures hold here too, from the first record on")
      ->check(CLI::ExistingDirectory);
  command
      ->add_option("--on-gap", options->on_gap,
                   "Where records were deleted before they were read: fail, or skip to the first available and count "
                   "the gap (kafka.on_gap)")
      ->check(CLI::IsMember({"fail", "skip"}));
  command->callback([options, &exit_code] { exit_code = serve(*options); });
}

}  // namespace bellwether

#include <CLI/CLI.hpp>
#include <iostream>
#include <thread>

#include <spdlog/spdlog.h>

#include "pipeline/program/program.h"
#include "pipeline/sources/embedded_log.h"
#include "pipeline/sources/kafka_source.h"

namespace bellwether {
namespace {

struct ServeOptions {
  std::string config;
  std::vector<std::string> sets;
  bool check = false, until_end = false;
};

// What feeds the engine: Kafka where brokers are named, else the embedded log.
struct Inputs {
  std::unique_ptr<EmbeddedLog> log;
  std::unique_ptr<Source> log_reader;
  std::unique_ptr<KafkaSource> kafka;
  std::vector<IngestSource> sources;
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
    if (Status status = KafkaSource::open(config.kafka, hooks, out.kafka); !status.ok()) return status;
    out.sources.push_back({out.kafka.get(), true});
  } else if (config.log.enabled) {
    EmbeddedLog::Options options;
    options.config = config.log;
    options.now_us = [] {
      return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
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

int serve(const ServeOptions& options) {
  Config config;
  if (!load_config(options.config, options.sets, config)) return 2;
  if (options.check) {
    std::cout << "the configuration is valid\n";
    return 0;
  }
  set_up_logging(config.logging);
  std::unique_ptr<Store> store;
  StoreOptions store_options;
  store_options.block_cache_mb = config.engine.block_cache_mb;
  if (const Status status = open_rocks_store(config.engine.data_dir, store_options, store); !status.ok()) return failed(status.message);
  Inputs inputs;
  if (const Status status = open_inputs(config, inputs); !status.ok()) return failed(status.message);
  EngineOptions engine_options;
  engine_options.until_end = options.until_end;
  engine_options.outbox = !config.kafka.brokers.empty() && config.kafka.outputs;
  std::unique_ptr<Engine> engine;
  if (const Status status = Engine::open(config, program_operators(), *store, inputs.sources, engine_options, engine); !status.ok())
    return failed(status.message);

  const StopOnSignal guard(*engine);
  std::atomic<bool> done{false};
  std::thread follower;
  if (inputs.log != nullptr) follower = std::thread([&] { follow_commits(*engine, *inputs.log, done); });
  // The query service, the metrics port and the outbox's sinks begin here and end before `engine` does: they read
  // engine->published(), wait_published() and figures() only.
  spdlog::info("serving {} from {}", config.engine.data_dir, inputs.kafka != nullptr ? "Kafka" : "the embedded log");
  const Status status = engine->run();
  done = true;
  if (follower.joinable()) follower.join();
  if (!status.ok()) return failed(status.message);
  const Account a = engine->published()->account();
  spdlog::info("stopped: consumed {}, applied {}, duplicate {}, late {}, dead-lettered {}", a.consumed, a.applied, a.duplicate, a.late,
               a.dead_lettered);
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
  command->callback([options, &exit_code] { exit_code = serve(*options); });
}

}  // namespace bellwether

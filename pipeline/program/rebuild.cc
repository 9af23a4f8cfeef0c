#include "pipeline/repair/rebuild.h"

#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <optional>

#include "pipeline/program/program.h"
#include "pipeline/repair/backup.h"
#include "pipeline/sources/file_source.h"
#include "pipeline/sources/kafka_source.h"
#include "pipeline/sources/log_folder.h"

namespace bellwether {
namespace {

struct RebuildFlags {
  std::string data, config, beside;
  std::vector<std::string> sets;
  bool fresh = false, remove_old = false;
};

// The logs that a store was made of.
struct Logs {
  std::unique_ptr<Source> log;
  std::unique_ptr<FileSource> files;
  std::unique_ptr<KafkaSource> kafka;
  std::vector<IngestSource> sources;
};

Status open_kafka(const Config& config, Logs& out) {
  KafkaHooks hooks;
  hooks.log = [](KafkaLevel level, std::string_view text) {
    spdlog::log(level == KafkaLevel::kInfo ? spdlog::level::info : spdlog::level::warn, "{}", text);
  };
  if (Status status = KafkaSource::open(config.kafka, hooks, out.kafka); !status.ok()) return status;
  out.sources.push_back({out.kafka.get(), true});
  return {};
}

Status open_log(const std::string& dir, Logs& out) {
  if (Status status = open_log_folder(dir, out.log); !status.ok()) return status;
  out.sources.push_back({out.log.get(), true});
  return {};
}

// By the names of its partitions. `dir`: where its embedded log is.
Status open_logs(const Config& config, const std::vector<PartitionState>& partitions, const std::string& dir,
                 Logs& out) {
  bool log = false, kafka = false;
  std::vector<PartitionId> files;
  for (const PartitionState& p : partitions) {
    const auto& topics = config.kafka.topics;
    if (p.id.topic == "log") {
      log = true;
    } else if (std::find(topics.begin(), topics.end(), p.id.topic) != topics.end()) {
      kafka = true;
    } else {
      files.push_back(p.id);
    }
  }
  if (kafka && config.kafka.brokers.empty())
    return Status::error(
        "the store was read from Kafka: name the brokers, by --config or --set kafka.brokers=HOST:PORT");
  if (kafka)
    if (Status status = open_kafka(config, out); !status.ok()) return status;
  if (log)
    if (Status status = open_log(dir, out); !status.ok()) return status;
  if (files.empty()) return {};
  std::sort(files.begin(), files.end());
  std::vector<std::string> paths;
  paths.reserve(files.size());
  for (const PartitionId& id : files) paths.push_back(id.topic);
  if (std::find(paths.begin(), paths.end(), "-") != paths.end())
    return Status::error("the store was read from standard input, which cannot be read again");
  if (Status status = FileSource::open(paths, out.files); !status.ok())
    return Status::error("a file that the store was read from cannot be read: " + status.message +
                         "; paths are taken as they were given then: run this in the same folder");
  out.sources.push_back({out.files.get(), false});
  return {};
}

// Says what differs; true: nothing.
bool tell_difference(const StoreDifference& d) {
  if (d.none()) {
    std::cout << "the rebuilt state is the same, row for row: " << d.rows << " rows";
    if (d.written_otherwise > 0) std::cout << ", " << d.written_otherwise << " of them in the bytes of this version";
    std::cout << "\n";
    return true;
  }
  std::cout << "the rebuilt state DIFFERS from the old one (" << d.rows << " rows are the same)\n";
  if (d.tick) std::cout << "  the logs end before the old one's tick\n";
  if (d.account) std::cout << "  the account differs\n";
  for (const auto& f : d.families)
    std::cout << "  " << f.name << ": " << f.other << " rows differ, " << f.only_first << " are in the old one only, "
              << f.only_second << " in the new one only\n";
  for (const std::string& line : d.lines) std::cout << line << "\n";
  return false;
}

int switch_over(const RebuildFlags& flags, bool keep) {
  std::string kept;
  if (const Status status = switch_stores(flags.data, keep, kept); !status.ok()) return failed(status.message);
  std::cout << "switched: " << flags.data << "/store is the rebuilt one"
            << (kept.empty() ? ", the old one was removed" : ", the old one is kept in " + kept) << "\n";
  return 0;
}

// Without the old store: from the logs alone, to their end.
int rebuild_fresh(const Config& config, const RebuildFlags& flags) {
  const std::string beside = flags.data + "/rebuild";
  {
    std::unique_ptr<Store> old;
    StoreOptions reading;
    reading.read_only = true;
    const Status status = open_rocks_store(flags.data, reading, old);
    if (!status.ok() && status.message.find("in use") != std::string::npos) return failed(status.message);
    std::error_code ignored;
    std::filesystem::remove_all(beside, ignored);
    std::unique_ptr<Store> made;
    if (const Status opened =
            open_rocks_store(beside, {config.engine.block_cache_mb, config.engine.write_buffer_mb}, made);
        !opened.ok())
      return failed(opened.message);
    Logs logs;
    if (const Status opened = config.kafka.brokers.empty() ? open_log(flags.data, logs) : open_kafka(config, logs);
        !opened.ok())
      return failed(opened.message);
    for (const PartitionId& id : logs.sources.front().source->partitions())
      if (const int64_t first = logs.sources.front().source->first_offset(static_cast<size_t>(id.number));
          logs.log != nullptr && first > 0)
        return failed("the log no longer goes back far enough: log/" + std::to_string(id.number) +
                      " begins at offset " + std::to_string(first) +
                      ", what was before was deleted by its retention; restore a backup instead");
    EngineOptions options;
    options.floors = false, options.until_end = true;
    std::unique_ptr<Engine> engine;
    if (const Status opened = Engine::open(config, program_operators(), *made, logs.sources, options, engine);
        !opened.ok())
      return failed(opened.message);
    const StopOnSignal guard(*engine);
    if (const Status ran = engine->run(); !ran.ok()) return failed(ran.message);
    if (StopOnSignal::stopped()) return failed("stopped by a signal; nothing was switched");
    std::cout << "rebuilt from the logs alone, " << engine->published()->account().consumed
              << " records; not compared with the old store\n";
  }
  return switch_over(flags, true);
}

int rebuild(const RebuildFlags& flags) {
  Config config;
  if (!load_config(flags.config, flags.sets, config)) return 2;
  set_up_logging(config.logging);
  if (flags.fresh) return rebuild_fresh(config, flags);
  const std::string base = flags.beside.empty() ? flags.data : flags.beside, beside = flags.data + "/rebuild";
  if (!flags.beside.empty()) {
    Manifest manifest;
    if (const Status status = verify_backup(base, {}, manifest); !status.ok()) return failed(status.message);
  }
  bool same = false;
  {
    std::unique_ptr<Store> old;  // held to the end: nobody may start meanwhile
    StoreOptions reading;
    reading.read_only = true;
    reading.block_cache_mb = 16;
    RebuildTarget target;
    Status status = open_rocks_store(base, reading, old);
    if (!status.ok() && status.message.find("in use") != std::string::npos)
      return failed(
          status.message +
          "; to rebuild while the service runs, make a backup (bellwether ctl backup --to FOLDER) and name it "
          "(--beside FOLDER)");
    if (status.ok()) status = read_target(*old, target);
    if (!status.ok())
      return failed(status.message +
                    "; --fresh makes the state of the logs alone, without what the store's control "
                    "log knows of idle partitions and of earlier rules");
    {
      std::unique_ptr<Store> made;
      if (status = open_rocks_store(beside, {config.engine.block_cache_mb, config.engine.write_buffer_mb}, made);
          !status.ok())
        return failed(status.message);
      if (status = begin_rebuild(*old, target, *made); !status.ok())
        return failed(status.message + "; remove " + beside + " to begin again");
      Logs logs;
      if (status = open_logs(config, target.progress.partitions, base, logs); !status.ok())
        return failed(status.message);
      std::optional<StopOnSignal> guard;
      status = run_rebuild(config, program_operators(), target, logs.sources, *made, [&](Engine* engine) {
        if (engine != nullptr)
          guard.emplace(*engine);
        else
          guard.reset();
      });
      if (!status.ok()) return failed(status.message);
      if (StopOnSignal::stopped()) return failed("stopped by a signal; the same command goes on from here");
      if (status = end_rebuild(*old, target, *made); !status.ok()) return failed(status.message);
      StoreDifference difference;
      if (status = compare_stores(*old, *made, program_operators(), difference); !status.ok())
        return failed("the two states cannot be compared: " + status.message);
      same = tell_difference(difference);
    }
    if (!flags.beside.empty()) {
      std::cout << "not switched: stop the service and run the same command without --beside; it goes on from here\n";
      return 0;
    }
    // What differs is kept: somebody will want to know why.
    if (const int code = switch_over(flags, !flags.remove_old || !same); code != 0) return code;
  }
  return 0;
}

}  // namespace

void add_rebuild_command(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<RebuildFlags>();
  CLI::App* command =
      app.add_subcommand("rebuild", "Make a stopped service's state again from its logs, compare, and switch to it");
  command->add_option("--data", flags->data, "The data folder")->required()->check(CLI::ExistingDirectory);
  command->add_option("--config", flags->config, "The configuration file")->check(CLI::ExistingFile);
  command->add_option("--set", flags->sets, "A setting, KEY=VALUE; may be repeated");
  CLI::Option* beside =
      command
          ->add_option("--beside", flags->beside,
                       "A backup of the running service: rebuild what it holds and switch nothing; later, without it, "
                       "only the rest is left to do")
          ->check(CLI::ExistingDirectory);
  command->add_flag("--fresh", flags->fresh, "Do not read the old store, which is damaged: from the logs alone")
      ->excludes(beside);
  command->add_flag("--remove-old", flags->remove_old, "Do not keep the old store where the two are the same");
  command->callback([flags, &exit_code] { exit_code = rebuild(*flags); });
}

}  // namespace bellwether

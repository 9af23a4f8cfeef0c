#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <thread>

#include "pipeline/program/memory_bound.h"
#include "pipeline/program/program.h"
#include "pipeline/repair/rebuild.h"
#include "pipeline/sources/file_source.h"
#include "pipeline/tools/progress.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

struct ReplayOptions {
  std::vector<std::string> files, sets;
  std::string data, config, until, keep_erased;
};

void print_account(const Engine& engine, double seconds, uint64_t consumed_before) {
  const Account a = engine.published()->account();
  const EngineFigures figures = engine.figures();
  const auto events = static_cast<double>(a.consumed - consumed_before);
  std::printf(
      "consumed       %12llu\napplied        %12llu\nduplicate      %12llu\nlate           %12llu\ndead-lettered  "
      "%12llu\n",
      static_cast<unsigned long long>(a.consumed), static_cast<unsigned long long>(a.applied),
      static_cast<unsigned long long>(a.duplicate), static_cast<unsigned long long>(a.late),
      static_cast<unsigned long long>(a.dead_lettered));
  if (a.id_collisions > 0) std::printf("id collisions  %12llu\n", static_cast<unsigned long long>(a.id_collisions));
  std::printf("ticks          %12llu\n", static_cast<unsigned long long>(engine.published()->progress().ticks));
  std::printf("seconds        %12.2f\nevents/s       %12.0f\n", seconds, seconds > 0 ? events / seconds : 0.0);
  std::printf("commits        %12llu\nrows written   %12llu (%.2f an event)\nbytes written  %12llu (%.0f an event)\n",
              static_cast<unsigned long long>(figures.commit.commits),
              static_cast<unsigned long long>(figures.commit.rows),
              events > 0 ? static_cast<double>(figures.commit.rows) / events : 0.0,
              static_cast<unsigned long long>(figures.commit.bytes),
              events > 0 ? static_cast<double>(figures.commit.bytes) / events : 0.0);
}

int replay(const ReplayOptions& options) {
  Config config;
  if (!load_config(options.config, options.sets, config)) return 2;
  if (!options.data.empty()) config.engine.data_dir = options.data;
  set_up_logging(config.logging);
  EngineOptions engine_options;
  engine_options.floors = false;
  engine_options.process_ends = true;
  if (!options.until.empty() && !parse_time(options.until, engine_options.file_append_us)) {
    std::cerr << "bellwether: --until: given \"" << options.until
              << "\", allowed: a time such as 2024-05-01T00:00:00Z\n";
    return 2;
  }
  spdlog::info("memory bound: {}", memory_bound(config, false).text());
  std::unique_ptr<FileSource> files;
  if (const Status status = FileSource::open(options.files, files); !status.ok()) return failed(status.message);
  std::unique_ptr<Store> store;
  StoreOptions store_options;
  store_options.block_cache_mb = config.engine.block_cache_mb;
  store_options.write_buffer_mb = config.engine.write_buffer_mb;
  store_options.write_set_bytes = commit_bytes(config.engine) * 5 / 2;
  if (const Status status = open_rocks_store(config.engine.data_dir, store_options, store); !status.ok())
    return failed(status.message);
  if (const Status status = keep_erased(options.keep_erased, config, *store); !status.ok())
    return failed(status.message);
  engine_options.drop_old = [&config] { return drop_replaced(config.engine.data_dir); };
  std::unique_ptr<Engine> engine;
  if (const Status status =
          Engine::open(config, program_operators(), *store, {{files.get(), false}}, engine_options, engine);
      !status.ok())
    return failed(status.message);

  const uint64_t consumed_before = engine->published()->account().consumed;
  const auto begin = std::chrono::steady_clock::now();
  Status status;
  {
    const StopOnSignal guard(*engine);
    std::atomic<bool> done{false};
    std::thread bar([&] {
      if (!stderr_is_terminal()) return;
      ProgressBar progress("replay", files->bytes_total() > 0 ? static_cast<uint64_t>(files->bytes_total()) : 0);
      while (!done) {
        const uint64_t events = engine->published()->account().consumed - consumed_before;
        const auto bytes = static_cast<uint64_t>(files->bytes_read());
        for (int i = 0; i < 1024; ++i) progress.update(bytes, events);  // it draws at most every 1,024 calls
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    });
    status = engine->run();
    done = true;
    bar.join();
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!status.ok()) return failed(status.message);
  print_account(*engine, seconds, consumed_before);
  if (StopOnSignal::stopped()) return failed("stopped by a signal; the same command goes on from here");
  return 0;
}

}  // namespace

void add_replay_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* command = app.add_subcommand("replay", "Fold event files into a data folder, then exit");
  command->add_option("FILE", options->files, "JSON lines, plain, .gz or .zst; - is standard input")->required();
  command->add_option("--data", options->data, "The data folder (default: engine.data_dir)");
  command->add_option("--config", options->config, "The configuration file")->check(CLI::ExistingFile);
  command->add_option("--set", options->sets, "A setting, KEY=VALUE; may be repeated");
  command
      ->add_option("--keep-erased", options->keep_erased,
                   "A data folder whose erasures hold here too, from the first record on")
      ->check(CLI::ExistingDirectory);
  command->add_option("--until", options->until, "Events later than this are from the future (default: now)");
  command->callback([options, &exit_code] { exit_code = replay(*options); });
}

}  // namespace bellwether

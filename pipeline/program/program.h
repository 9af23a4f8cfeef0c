// The subcommands that work on a data folder. Each add_… gives `app` its subcommand; a subcommand that was chosen runs
// while CLI11 parses and leaves its exit code in `exit_code`: 0, 1 failed, 2 bad usage.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "pipeline/engine/engine.h"

namespace CLI {
class App;
}

namespace bellwether {

void add_serve_command(CLI::App& app, int& exit_code);
void add_replay_command(CLI::App& app, int& exit_code);
void add_dump_command(CLI::App& app, int& exit_code);
void add_backup_commands(CLI::App& app, int& exit_code);  // backup, restore
void add_check_command(CLI::App& app, int& exit_code);
void add_rebuild_command(CLI::App& app, int& exit_code);

// The operators of operators/registry.h.
const OperatorSet& program_operators();

// Loads the configuration of --config, environment and --set; says what is wrong on standard error.
bool load_config(const std::string& path, const std::vector<std::string>& sets, Config& out);
void set_up_logging(const LoggingConfig& config);
// Prints "bellwether: TEXT" and gives 1.
int failed(std::string_view text);

// SIGTERM and SIGINT stop the engine (its run() drains and commits); a second one ends the process at once. One at a
// time.
class StopOnSignal {
 public:
  explicit StopOnSignal(Engine& engine);
  ~StopOnSignal();
  static bool stopped();
  static std::chrono::steady_clock::time_point at();  // when the signal came; now, where none did
};

// Puts the erasures of the data folder `from` into `store`, the way of --keep-erased; nothing where `from` is empty.
Status keep_erased(const std::string& from, const Config& config, Store& store);

// Hands every dump line of a data folder to `line`; gives an exit code.
int dump_folder(const std::string& data, const std::function<void(std::string_view line)>& line);

}  // namespace bellwether

#include <csignal>
#include <cstdlib>
#include <iostream>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "config/load.h"
#include "operators/analysis.h"
#include "operators/registry.h"
#include "pipeline/program/program.h"

namespace bellwether {
namespace {

std::atomic<Engine*> stopping{nullptr};
std::atomic<int> signals{0};

void on_signal(int) {
  if (signals.fetch_add(1) > 0) std::_Exit(1);
  if (Engine* engine = stopping.load()) engine->stop();
}

}  // namespace

const OperatorSet& program_operators() {
  static const OperatorSet set = [] {
    std::array<OperatorId, kKeyKinds> homes{};
    for (size_t kind = 0; kind < kKeyKinds; ++kind) homes[kind] = home_operator(static_cast<KeyKind>(kind));
    return OperatorSet(all_operators(), homes, run_analysis);
  }();
  static_assert(kEngineCommunityKey == kCommunityKey);
  return set;
}

bool load_config(const std::string& path, const std::vector<std::string>& sets, Config& out) {
  auto config = load(path.empty() ? std::nullopt : std::optional<std::string>(path), sets, process_environment());
  if (!config.ok()) {
    std::cerr << config.error_text() << "\n";
    return false;
  }
  out = std::move(config).value();
  return true;
}

void set_up_logging(const LoggingConfig& config) {
  auto logger = spdlog::get("bellwether");
  if (logger == nullptr) logger = spdlog::stderr_color_mt("bellwether");
  spdlog::set_default_logger(logger);
  spdlog::set_level(spdlog::level::from_str(config.level));
  // JSON: the text stands between quotes as it is, so what is logged must not contain any (see log lines).
  spdlog::set_pattern(config.format == "json" ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","text":"%v"})"
                                               : "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v",
                      spdlog::pattern_time_type::utc);
}

int failed(std::string_view text) {
  std::cerr << "bellwether: " << text << "\n";
  return 1;
}

StopOnSignal::StopOnSignal(Engine& engine) {
  stopping = &engine;
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
}

StopOnSignal::~StopOnSignal() {
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  stopping = nullptr;
}

bool StopOnSignal::stopped() { return signals > 0; }

}  // namespace bellwether

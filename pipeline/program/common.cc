#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "config/load.h"
#include "operators/analysis.h"
#include "operators/registry.h"
#include "pipeline/program/program.h"

namespace bellwether {
namespace {

std::atomic<Engine*> stopping{nullptr};
std::atomic<int> signals{0};
std::atomic<std::chrono::steady_clock::rep> signal_at{0};

void on_signal(int) {
  if (signals.fetch_add(1) > 0) std::_Exit(1);
  signal_at = std::chrono::steady_clock::now().time_since_epoch().count();
  if (Engine* engine = stopping.load()) engine->stop();
}

// The text of a log line, which may hold what strangers wrote: no line ends, and for JSON no bare quotes.
class EscapedText final : public spdlog::custom_flag_formatter {
 public:
  explicit EscapedText(bool json) : json_(json) {}
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    static constexpr char kDigits[] = "0123456789abcdef";
    for (const char c : message.payload) {
      const auto b = static_cast<unsigned char>(c);
      if (b < 0x20 || b == 0x7f) {
        for (const char e : {'\\', 'u', '0', '0', kDigits[b >> 4], kDigits[b & 15]}) out.push_back(e);
      } else {
        if (json_ && (c == '"' || c == '\\')) out.push_back('\\');
        out.push_back(c);
      }
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<EscapedText>(json_); }

 private:
  const bool json_;
};

}  // namespace

const OperatorSet& program_operators() {
  static const OperatorSet set = [] {
    std::array<OperatorId, kKeyKinds> homes{};
    for (size_t kind = 0; kind < kKeyKinds; ++kind) homes[kind] = home_operator(static_cast<KeyKind>(kind));
    return OperatorSet(all_operators(), homes, run_analysis, likely_states, likely_states_of_new);
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
  const bool json = config.format == "json";
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<EscapedText>('*', json);
  formatter->set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","text":"%*"})"
                              : "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %*");
  spdlog::set_formatter(std::move(formatter));
}

Status keep_erased(const std::string& from, const Config& config, Store& store) {
  if (from.empty()) return {};
  StoreOptions options;
  options.block_cache_mb = 16, options.write_buffer_mb = 8;
  options.read_only = true;
  std::unique_ptr<Store> theirs;
  Status status = open_rocks_store(from, options, theirs);
  const Hasher hasher(config.community.hash_key);
  if (status.ok()) status = take_erasures(*theirs, store, hasher);
  if (!status.ok()) status.message = "--keep-erased: " + status.message;
  return status;
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

std::chrono::steady_clock::time_point StopOnSignal::at() {
  using Clock = std::chrono::steady_clock;
  const auto at = signal_at.load();
  return at == 0 ? Clock::now() : Clock::time_point(Clock::duration(at));
}

}  // namespace bellwether

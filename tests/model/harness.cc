#include "tests/model/harness.h"

#include <gtest/gtest.h>

#include "operators/analysis.h"
#include "operators/registry.h"

namespace bellwether {

const OperatorSet& every_operator() {
  static const OperatorSet set = [] {
    std::array<OperatorId, kKeyKinds> homes{};
    for (size_t kind = 0; kind < kKeyKinds; ++kind) homes[kind] = home_operator(static_cast<KeyKind>(kind));
    return OperatorSet(all_operators(), homes, run_analysis, likely_states, likely_states_of_new);
  }();
  return set;
}

std::shared_ptr<const Published> run_engine(const Config& config, Store& store,
                                            const std::vector<std::vector<std::string>>& partitions,
                                            const RunOptions& options) {
  MemorySource source(partitions);
  source.speed = options.speed;
  EngineOptions engine_options;
  engine_options.floors = false;
  engine_options.inline_ingest = true;
  engine_options.file_append_us = INT64_MAX;
  engine_options.clock_us = [] {
    return int64_t{1};
  };  // it stands still: commits are where the test wants them, or at the end
  if (options.change) options.change(engine_options);
  std::unique_ptr<Engine> engine;
  Status status = Engine::open(config, every_operator(), store, {{&source, false}}, engine_options, engine);
  if (!status.ok()) {
    ADD_FAILURE() << status.message;
    return nullptr;
  }
  if (options.started) options.started(*engine);
  status = engine->run();
  if (!status.ok()) {
    ADD_FAILURE() << status.message;
    return nullptr;
  }
  return engine->published();
}

std::string dump_text(const Published& published) {
  std::vector<std::string> lines;
  const Status status = dump_lines(published, lines);
  EXPECT_TRUE(status.ok()) << status.message;
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace bellwether

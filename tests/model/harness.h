// Runs the whole engine over records in memory, for the model and the simulation tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "pipeline/engine/engine.h"
#include "tests/model/memory_source.h"

namespace bellwether {

// All operators of the registry.
const OperatorSet& every_operator();

struct RunOptions {
  std::function<void(EngineOptions&)> change;                   // a last word on the engine's options
  std::function<size_t(size_t partition, size_t asked)> speed;  // MemorySource::speed
  std::function<void(Engine&)> started;                         // before run()
};

// Opens an engine on the store, runs it until all partitions are read (or it is abandoned) and gives what it published
// last. Null and a failed test where the engine says an error.
std::shared_ptr<const Published> run_engine(const Config& config, Store& store,
                                            const std::vector<std::vector<std::string>>& partitions,
                                            const RunOptions& options = {});

// The canonical dump as one text.
std::string dump_text(const Published& published);

}  // namespace bellwether

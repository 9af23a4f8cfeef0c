// A small community's state, with everything in it that a store can hold: for tests of check, backup and rebuild.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "operators/analysis.h"
#include "operators/registry.h"
#include "pipeline/engine/engine.h"
#include "pipeline/sources/file_source.h"
#include "pipeline/tools/simulate.h"
#include "pipeline/tools/times.h"

namespace bellwether::repair {

inline const OperatorSet& operators() {
  static const OperatorSet set = [] {
    std::array<OperatorId, kKeyKinds> homes{};
    for (size_t kind = 0; kind < kKeyKinds; ++kind) homes[kind] = home_operator(static_cast<KeyKind>(kind));
    return OperatorSet(all_operators(), homes, run_analysis, likely_states, likely_states_of_new);
  }();
  return set;
}

inline void require(const Status& status) {
  if (status.ok()) return;
  ADD_FAILURE() << status.message;
  throw std::runtime_error(status.message);
}

// A folder of this test's own, removed with it.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/bellwether_repair_XXXXXX";
    path_ = mkdtemp(name);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void flip(const std::string& path, size_t at) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(at));
  const char c = static_cast<char>(file.get() ^ 0x10);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(c);
}

// Events of a community with a ring, and lines that are no events.
inline std::string events(const Folder& folder, uint64_t users = 250, uint64_t days = 16, uint64_t seed = 5,
                          const std::string& ring = "20x10:0.9:burst") {
  SimulateOptions sim;
  sim.users = users, sim.days = days, sim.seed = seed, sim.rings = {ring};
  sim.out = folder / "events.jsonl", sim.labels = folder / "labels.jsonl", sim.start = "2025-03-01";
  std::ostringstream said;
  EXPECT_EQ(run_simulate(sim, said), 0) << said.str();
  std::ofstream(sim.out, std::ios::app) << "no event\n{\"id\":\"\"}\n";
  return sim.out;
}

// Folds the file into the store.
inline void replay(const std::string& file, Store& store, bool outbox = true, const Config& config = default_config()) {
  std::unique_ptr<FileSource> source;
  require(FileSource::open({file}, source));
  EngineOptions options;
  options.floors = false, options.outbox = outbox;
  options.file_append_us = int64_t{1'767'225'600} * 1'000'000;  // 2026
  std::unique_ptr<Engine> engine;
  require(Engine::open(config, operators(), store, {{source.get(), false}}, options, engine));
  require(engine->run());
}

// A file of `count` likes, one every `every_us`, each of a post of its own and by somebody new: of author(i).
template <class Author>
std::string likes(const Folder& folder, const std::string& name, int64_t first_us, int64_t every_us, int count,
                  Author&& author) {
  std::ofstream out(folder / name);
  for (int i = 0; i < count; ++i)
    out << R"({"id":")" << name << i << R"(","time":")" << time_text(first_us + i * every_us) << R"(","user":")" << name
        << i << R"(","like":{"post":"p)" << name << i << R"(","author":")" << author(i)
        << R"(","kind":"LIKE_KIND_LIKE"}})"
        << "\n";
  return folder / name;
}

inline EngineProgress progress_of(const Store& store) {
  std::string row;
  Status status;
  EngineProgress progress;
  EXPECT_TRUE(store.get(Family::kMeta, keys::kProgress, row, status) && progress.decode(row)) << status.message;
  return progress;
}

inline std::string dump_of(const Store& store) {
  std::shared_ptr<const Published> published;
  require(read_published(store, operators(), published));
  std::vector<std::string> lines;
  require(dump_lines(*published, lines));
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace bellwether::repair

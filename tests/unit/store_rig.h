// Stores for tests: on a disk of their own, and what is in them.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "pipeline/engine/store.h"

namespace bellwether {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bellwether_store_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::unique_ptr<Store> open_or_fail(const std::string& dir,
                                           StoreOptions options = {.block_cache_mb = 8, .write_buffer_mb = 4}) {
  std::unique_ptr<Store> store;
  const Status status = open_rocks_store(dir, options, store);
  EXPECT_EQ(status.message, "");
  return store;
}

inline std::string refusal(const std::string& dir, StoreOptions options = {.block_cache_mb = 8, .write_buffer_mb = 4}) {
  std::unique_ptr<Store> store;
  const Status status = open_rocks_store(dir, options, store);
  EXPECT_EQ(store, nullptr);
  return status.message;
}

inline void write_or_fail(Store& store, WriteSet& set, bool sync = false) {
  const Status status = store.write(set, sync);
  ASSERT_EQ(status.message, "");
}

// All files of a family are rewritten.
inline void rewrite(Store& store, Family family) {
  bool held = false;
  const auto never = [] { return false; };
  ASSERT_EQ(store.purge({&family, 1}, store.snapshot()->sequence(), never, held).message, "");
  ASSERT_FALSE(held);
}

// Rounds of change(store), through files, levels, the log that is read again and openings; expect(store) after each.
template <class Change, class Expect>
void over_reopening(Family family, Change&& change, Expect&& expect) {
  const TemporaryFolder folder;
  for (int round = 0; round < 12; ++round) {
    const auto store = open_or_fail(folder.path());
    for (int i = 0; i < 40; ++i) change(*store);
    if (round % 3 == 1) rewrite(*store, family);
    expect(*store);
  }
}

inline void put(Store& store, Family family, std::string_view key, std::string_view value) {
  auto set = store.new_write_set();
  set->put(family, key, value);
  write_or_fail(store, *set);
}

inline std::string get(const Store& store, Family family, std::string_view key) {
  std::string value;
  Status status;
  const bool found = store.get(family, key, value, status);
  EXPECT_EQ(status.message, "");
  return found ? value : "(none)";
}

using Bounds = std::pair<std::string, std::string>;
inline std::string scan(const Snapshot& snapshot, Family family, const Bounds& bounds, bool back = false,
                        int rows_max = 1000) {
  std::string seen;
  const auto visit = [&](std::string_view key, std::string_view value) {
    seen.append(key).append("=").append(value).append(" ");
    return --rows_max > 0;
  };
  const Status status = back ? snapshot.scan_back(family, bounds.first, bounds.second, visit)
                             : snapshot.scan(family, bounds.first, bounds.second, visit);
  EXPECT_EQ(status.message, "");
  return seen;
}

// A test of both: on disk where its parameter is true, else in memory.
class BothStores : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override { store_ = GetParam() ? open_or_fail(folder_.path()) : make_memory_store(); }
  TemporaryFolder folder_;
  std::unique_ptr<Store> store_;
};
inline std::string store_name(const ::testing::TestParamInfo<bool>& info) { return info.param ? "Rocks" : "Memory"; }

}  // namespace bellwether

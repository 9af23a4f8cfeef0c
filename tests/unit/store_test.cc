// Both stores behave the same; what only the one on disk has (reopening, refusals, the lock) follows below.
#include "pipeline/engine/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <thread>

#include "tests/unit/store_rig.h"

namespace bellwether::store_test {
namespace {

namespace fs = std::filesystem;

using StoreTest = BothStores;

TEST_P(StoreTest, FamiliesAreApart) {
  put(*store_, Family::kState, "k", "state");
  put(*store_, Family::kTimers, "k", "timers");
  EXPECT_EQ(get(*store_, Family::kState, "k"), "state");
  EXPECT_EQ(get(*store_, Family::kTimers, "k"), "timers");
  EXPECT_EQ(get(*store_, Family::kLedger, "k"), "(none)");
}

TEST_P(StoreTest, ALaterChangeOfAKeyWinsInsideASet) {
  put(*store_, Family::kState, "old", "1");
  auto set = store_->new_write_set();
  set->put(Family::kState, "a", "1");
  set->put(Family::kState, "a", "2");
  set->put(Family::kState, "b", "1");
  set->erase(Family::kState, "b");
  set->erase(Family::kState, "c");
  set->put(Family::kState, "c", "1");
  set->put(Family::kState, "m1", "1");
  set->erase_range(Family::kState, "m", "n");
  set->put(Family::kState, "m2", "2");
  set->erase_range(Family::kState, "old", "oldz");
  EXPECT_EQ(set->rows(), 10U);
  EXPECT_GT(set->bytes(), 20U);
  write_or_fail(*store_, *set);
  EXPECT_EQ(scan(*store_->snapshot(), Family::kState, {"", ""}), "a=2 c=1 m2=2 ");
  EXPECT_EQ(get(*store_, Family::kState, "m1"), "(none)");
  EXPECT_EQ(get(*store_, Family::kState, "old"), "(none)");
}

TEST_P(StoreTest, AWrittenSetIsEmptyAndMayBeUsedAgain) {
  auto set = store_->new_write_set();
  set->put(Family::kState, "a", "1");
  write_or_fail(*store_, *set);
  EXPECT_EQ(set->rows(), 0U);
  put(*store_, Family::kState, "a", "2");
  set->put(Family::kState, "b", "1");
  write_or_fail(*store_, *set);
  EXPECT_EQ(scan(*store_->snapshot(), Family::kState, {"", ""}), "a=2 b=1 ");
}

TEST_P(StoreTest, ErasingARangeKeepsItsEnd) {
  auto set = store_->new_write_set();
  for (const char* key : {"a", "b", "b1", "c"}) set->put(Family::kViews, key, key);
  set->put(Family::kOutbox, "b", "other");
  write_or_fail(*store_, *set);
  set->erase_range(Family::kViews, "b", "c");
  set->erase_range(Family::kViews, "c", "a");  // upside down: nothing
  set->erase_range(Family::kViews, "a", "a");  // empty: nothing
  write_or_fail(*store_, *set);
  EXPECT_EQ(scan(*store_->snapshot(), Family::kViews, {"", ""}), "a=a c=c ");
  EXPECT_EQ(get(*store_, Family::kOutbox, "b"), "other");
}

TEST_P(StoreTest, ScansKeepTheirBounds) {
  auto set = store_->new_write_set();
  const std::string top = "\xff\xff";
  for (const std::string& key : {std::string("a"), std::string("b"), std::string("c"), top}) {
    set->put(Family::kState, key, key == top ? "t" : key);
  }
  write_or_fail(*store_, *set);
  const auto snapshot = store_->snapshot();
  EXPECT_EQ(scan(*snapshot, Family::kState, {"b", "c"}), "b=b ");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"aa", "cc"}), "b=b c=c ");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"c", ""}), "c=c \xff\xff=t ");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"c", "b"}), "");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"", ""}, false, 2), "a=a b=b ");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"a", "c"}, true), "b=b a=a ");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"b", "cc"}, true), "c=c b=b ");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"", ""}, true), "\xff\xff=t c=c b=b a=a ");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"", ""}, true, 1), "\xff\xff=t ");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"c", "b"}, true), "");
  EXPECT_EQ(scan(*snapshot, Family::kState, {"", "a"}, true), "");
  EXPECT_EQ(scan(*snapshot, Family::kLedger, {"", ""}, true), "");
}

TEST_P(StoreTest, ASnapshotSeesNothingWrittenLater) {
  put(*store_, Family::kState, "a", "1");
  put(*store_, Family::kState, "b", "1");
  const auto snapshot = store_->snapshot();
  auto set = store_->new_write_set();
  set->put(Family::kState, "a", "2");
  set->erase(Family::kState, "b");
  set->put(Family::kState, "c", "2");
  write_or_fail(*store_, *set);
  EXPECT_EQ(scan(*snapshot, Family::kState, {"", ""}), "a=1 b=1 ");
  std::string value;
  Status status = Status::error("unread");
  EXPECT_TRUE(snapshot->get(Family::kState, "a", value, status));
  EXPECT_EQ(value, "1");
  EXPECT_TRUE(status.ok());
  EXPECT_FALSE(snapshot->get(Family::kState, "c", value, status));
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(scan(*store_->snapshot(), Family::kState, {"", ""}), "a=2 c=2 ");
}

TEST_P(StoreTest, ASnapshotOutlivesItsStore) {
  put(*store_, Family::kState, "a", "1");
  const auto snapshot = store_->snapshot();
  store_.reset();
  EXPECT_EQ(scan(*snapshot, Family::kState, {"", ""}), "a=1 ");
}

TEST_P(StoreTest, MultiGetSaysWhatIsThere) {
  auto set = store_->new_write_set();
  for (int i = 0; i < 200; i += 2) set->put(Family::kState, std::to_string(1000 + i), std::to_string(i));
  set->put(Family::kState, "empty", "");
  write_or_fail(*store_, *set);
  std::vector<std::string> texts;
  for (int i = 199; i >= 0; --i) texts.push_back(std::to_string(1000 + i));  // not sorted: for speed only
  texts.emplace_back("empty");
  texts.emplace_back("empty");
  const std::vector<std::string_view> keys(texts.begin(), texts.end());
  std::vector<std::optional<std::string>> values;
  const auto take = [&](size_t i, const std::string_view* value) {
    ASSERT_EQ(i, values.size()) << "in their order";
    values.push_back(value != nullptr ? std::optional<std::string>(*value) : std::nullopt);
  };
  ASSERT_EQ(store_->multi_get(Family::kState, keys, take).message, "");
  ASSERT_EQ(values.size(), keys.size());
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(values[static_cast<size_t>(199 - i)], i % 2 == 0 ? std::optional(std::to_string(i)) : std::nullopt) << i;
  EXPECT_TRUE(values[200] == "" && values[201] == "");
  ASSERT_EQ(store_->multi_get(Family::kState, {}, take).message, "");
  EXPECT_EQ(values.size(), keys.size());
}

TEST_P(StoreTest, DroppedRangesAreGone) {
  auto set = store_->new_write_set();
  for (int i = 100; i < 200; ++i) set->put(Family::kLedger, std::to_string(i), "row");
  write_or_fail(*store_, *set);
  ASSERT_EQ(store_->drop_range(Family::kLedger, "100", "198").message, "");
  ASSERT_EQ(store_->drop_range(Family::kLedger, "199", "150").message, "");
  EXPECT_EQ(scan(*store_->snapshot(), Family::kLedger, {"", ""}), "198=row 199=row ");
}

TEST_P(StoreTest, ReadersSeeWholeSetsOnly) {
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 500; ++i) {
      auto set = store_->new_write_set();
      for (const Family family : {Family::kState, Family::kLedger, Family::kMeta}) {
        set->put(family, "n", std::to_string(i));
      }
      EXPECT_EQ(store_->write(*set, false).message, "");
    }
    done = true;
  });
  std::string torn;  // compared once the writer is gone: a test that returns before that ends the program
  while (!done && torn.empty()) {
    const auto snapshot = store_->snapshot();
    std::string state, ledger, meta;
    Status status;
    snapshot->get(Family::kState, "n", state, status);
    snapshot->get(Family::kLedger, "n", ledger, status);
    snapshot->get(Family::kMeta, "n", meta, status);
    if (state != ledger || state != meta) torn = state + " " + ledger + " " + meta;
  }
  writer.join();
  EXPECT_EQ(torn, "");
}

TEST_P(StoreTest, BytesAreKeptAsTheyAre) {
  const std::string key("\0\xff k\0", 5), value("\0\n\xfe", 3);
  put(*store_, Family::kControl, key, value);
  EXPECT_EQ(get(*store_, Family::kControl, key), value);
  EXPECT_EQ(get(*store_, Family::kControl, key.substr(0, 4)), "(none)");
}

TEST_P(StoreTest, FiguresGrow) {
  auto set = store_->new_write_set();
  const std::string value(1000, 'x');
  for (int i = 0; i < 1000; ++i) set->put(Family::kState, std::to_string(i), value);
  write_or_fail(*store_, *set);
  const Store::Figures figures = store_->figures();
  EXPECT_GE(figures.estimated_rows, 1000U);
  EXPECT_GE(figures.memtable_bytes, 1'000'000U);
}

INSTANTIATE_TEST_SUITE_P(Both, StoreTest, ::testing::Bool(), store_name);

TEST(MemoryStore, FailsWhenToldAndChangesNothing) {
  MemoryFaults faults;
  const auto store = make_memory_store(&faults);
  put(*store, Family::kState, "a", "1");
  faults.fail_write_after = 1;
  put(*store, Family::kState, "a", "2");
  auto set = store->new_write_set();
  set->put(Family::kState, "a", "3");
  EXPECT_FALSE(store->write(*set, true).ok());
  EXPECT_FALSE(store->write(*set, true).ok());
  EXPECT_FALSE(store->drop_range(Family::kState, "a", "b").ok());
  EXPECT_EQ(get(*store, Family::kState, "a"), "2");
  faults.fail_write_after = -1;
  write_or_fail(*store, *set);  // the failed set is still whole
  EXPECT_EQ(get(*store, Family::kState, "a"), "3");
}

TEST(RocksStore, KeepsEverythingOverReopening) {
  const TemporaryFolder folder;
  {
    const auto store = open_or_fail(folder.path() + "/deep/data");
    auto set = store->new_write_set();
    for (size_t i = 0; i < kFamilies; ++i) set->put(static_cast<Family>(i), "k", std::to_string(i));
    write_or_fail(*store, *set, true);
    ASSERT_EQ(store->drop_range(Family::kTimers, "k", "l").message, "");
  }
  EXPECT_FALSE(fs::exists(folder.path() + "/deep/data/pid"));
  const auto store = open_or_fail(folder.path() + "/deep/data");
  EXPECT_TRUE(fs::exists(folder.path() + "/deep/data/pid"));
  for (size_t i = 0; i + 1 < kFamilies; ++i) EXPECT_EQ(get(*store, static_cast<Family>(i), "k"), std::to_string(i));
  EXPECT_EQ(get(*store, Family::kTimers, "k"), "(none)");
}

TEST(RocksStore, MemoryStaysInItsBound) {
  const TemporaryFolder folder;
  const auto store = open_or_fail(folder.path(), {.block_cache_mb = 8, .write_buffer_mb = 4});
  std::mt19937_64 random(7);
  std::string value(500, ' ');
  size_t highest = 0;
  for (int batch = 0; batch < 60; ++batch) {  // 60 MB through 12 MB
    auto set = store->new_write_set();
    for (int i = 0; i < 2000; ++i) {
      for (char& c : value) c = static_cast<char>(random());
      set->put(i % 4 == 0 ? Family::kLedger : Family::kState, std::to_string(random()), value);
    }
    write_or_fail(*store, *set);
    const Store::Figures figures = store->figures();
    highest = std::max(highest, figures.memtable_bytes + figures.block_cache_bytes);
  }
  EXPECT_LE(highest, size_t{18} << 20);  // the bound, and what is being flushed
  EXPECT_GE(store->figures().bytes_on_disk, 50'000'000U);
}

// Blocks that only the fold reads take no place from those that queries come back to.
TEST(RocksStore, WhatPassesIsNotKept) {
  const TemporaryFolder folder;
  {
    const auto store = open_or_fail(folder.path());
    auto set = store->new_write_set();
    std::mt19937_64 random(3);
    std::string value(1000, ' ');
    for (int i = 1000; i < 3000; ++i) {
      for (char& c : value) c = static_cast<char>(random());
      set->put(Family::kState, std::to_string(i), value);
    }
    write_or_fail(*store, *set, true);
  }
  const auto store = open_or_fail(folder.path());  // now it stands in files
  std::string value;
  Status status;
  const auto kept = [&] { return store->figures().block_cache_bytes; };
  ASSERT_EQ(get(*store, Family::kState, "1000"), get(*store, Family::kState, "1000"));  // index and filter are kept
  const size_t before = kept();
  for (int i = 1000; i < 3000; i += 2) {
    const std::string a = std::to_string(i), b = std::to_string(i + 1);
    const std::vector<std::string_view> both = {a, b};
    size_t found = 0;
    const auto count = [&found](size_t, const std::string_view* there) { found += there != nullptr; };
    ASSERT_EQ(store->multi_get(Family::kState, both, count).message, "");
    ASSERT_TRUE(found == 2 && store->get(Family::kState, a, value, status));
  }
  EXPECT_LT(kept(), before + 100'000);
  const auto snapshot = store->snapshot();
  for (int i = 1000; i < 3000; ++i) ASSERT_TRUE(snapshot->get(Family::kState, std::to_string(i), value, status));
  EXPECT_GT(kept(), before + 1'000'000);
}

TEST(RocksStore, DroppedFilesFreeTheDisk) {
  const TemporaryFolder folder;
  const auto store = open_or_fail(folder.path(), {.block_cache_mb = 8, .write_buffer_mb = 4});
  std::mt19937_64 random(7);
  std::string value(1000, ' ');
  for (int day = 0; day < 30; ++day) {
    auto set = store->new_write_set();
    for (int i = 0; i < 1000; ++i) {
      for (char& c : value) c = static_cast<char>(random());
      set->put(Family::kLedger, std::to_string(100000 + day * 1000 + i), value);
    }
    write_or_fail(*store, *set);
  }
  const uint64_t before = store->figures().bytes_on_disk;
  ASSERT_EQ(store->drop_range(Family::kLedger, "100000", "128000").message, "");
  EXPECT_EQ(get(*store, Family::kLedger, "127999"), "(none)");
  EXPECT_EQ(get(*store, Family::kLedger, "128000").size(), 1000U);
  // RocksDB writes and drops files on threads of its own: a busy machine lets them wait.
  for (int i = 0; i < 1200 && store->figures().bytes_on_disk * 4 >= before * 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_LT(store->figures().bytes_on_disk * 4, before * 3);
}

TEST(RocksStore, RefusesAnotherFormat) {
  const TemporaryFolder folder;
  {
    const auto store = open_or_fail(folder.path());
    EXPECT_EQ(get(*store, Family::kMeta, "format"), "bellwether-store 3");
    put(*store, Family::kMeta, "format", "bellwether-store 4");
  }
  for (const bool read_only : {false, true}) {
    const std::string why = refusal(folder.path(), {.block_cache_mb = 8, .write_buffer_mb = 4, .read_only = read_only});
    EXPECT_NE(why.find("\"bellwether-store 4\""), std::string::npos) << why;
    EXPECT_NE(why.find("\"bellwether-store 3\""), std::string::npos) << why;
    EXPECT_NE(why.find(folder.path()), std::string::npos) << why;
    EXPECT_NE(why.find("replay"), std::string::npos) << why;
  }
}

// A program of before cannot read rows of members (1), or patches (2): it is told so by the format, from the first time
// that one of now may write them.
TEST(RocksStore, GoesOnWithTheFormatsBefore) {
  for (const std::string before : {"bellwether-store 1", "bellwether-store 2"}) {
    const TemporaryFolder folder;
    put(*open_or_fail(folder.path()), Family::kMeta, "format", before);
    bool written = false;
    for (const bool read_only : {true, false, true}) {
      const auto store =
          open_or_fail(folder.path(), {.block_cache_mb = 8, .write_buffer_mb = 4, .read_only = read_only});
      written |= !read_only;
      EXPECT_EQ(get(*store, Family::kMeta, "format"), written ? "bellwether-store 3" : before);
    }
  }
}

TEST(RocksStore, RefusesAStoreWithoutItsFormat) {
  const TemporaryFolder folder;
  {
    const auto store = open_or_fail(folder.path());
    auto set = store->new_write_set();
    set->erase(Family::kMeta, "format");
    write_or_fail(*store, *set);
  }
  EXPECT_NE(refusal(folder.path()).find("names no format"), std::string::npos);
}

TEST(RocksStore, RefusesAFolderOfStrangers) {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() + "/store");
  std::ofstream(folder.path() + "/store/holiday.jpg") << "sun";
  const std::string why = refusal(folder.path());
  EXPECT_NE(why.find("holiday.jpg"), std::string::npos) << why;
  EXPECT_FALSE(fs::exists(folder.path() + "/store/CURRENT"));
}

TEST(RocksStore, RefusesAFileInItsPlace) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/store") << "text";
  EXPECT_NE(refusal(folder.path()).find("not a folder"), std::string::npos);
  EXPECT_NE(refusal(folder.path() + "/store"), "");
}

TEST(RocksStore, MakesAStoreWhereAFirstOpeningWasKilled) {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() + "/store");
  for (const char* name : {"LOCK", "IDENTITY", "000001.dbtmp"}) std::ofstream(folder.path() + "/store/" + name) << "";
  EXPECT_NE(open_or_fail(folder.path()), nullptr);
}

TEST(RocksStore, SaysWhenItIsDamaged) {
  const TemporaryFolder folder;
  open_or_fail(folder.path()).reset();
  std::ofstream(folder.path() + "/store/CURRENT", std::ios::trunc) << "nonsense";
  const std::string why = refusal(folder.path());
  EXPECT_NE(why.find("damaged"), std::string::npos) << why;
  EXPECT_NE(why.find(folder.path()), std::string::npos) << why;
}

// Each file that it reads may be one that a compaction has merged into others meanwhile.
TEST(RocksStore, VerifiesWhatItIsWritingTo) {
  const TemporaryFolder folder;
  const auto store = open_or_fail(folder.path(), {.block_cache_mb = 8, .write_buffer_mb = 4});
  std::atomic<bool> written = false;
  std::thread writer([&] {
    std::mt19937_64 random(11);
    std::string value(20'000, ' ');
    for (int batch = 0; batch < 40; ++batch) {
      auto set = store->new_write_set();
      for (int i = 0; i < 100; ++i) {
        for (char& c : value) c = static_cast<char>(random());
        set->put(Family::kState, std::to_string(random() % 1000), value);
      }
      write_or_fail(*store, *set);
    }
    written = true;
  });
  while (!written) EXPECT_EQ(store->verify().message, "");
  writer.join();
  for (const auto& file : fs::directory_iterator(folder.path() + "/store")) {
    if (file.path().extension() != ".sst") continue;
    std::fstream(file.path(), std::ios::in | std::ios::out).seekp(1000) << "not what was written here";
  }
  const std::string damage = store->verify().message;
  EXPECT_NE(damage.find(".sst"), std::string::npos) << damage;
}

TEST(RocksStore, ReadOnlyReadsWhatWasWritten) {
  const TemporaryFolder folder;
  const StoreOptions read_only{.block_cache_mb = 8, .write_buffer_mb = 4, .read_only = true};
  EXPECT_NE(refusal(folder.path(), read_only).find("no store in " + folder.path()), std::string::npos);
  EXPECT_FALSE(fs::exists(folder.path() + "/store"));
  EXPECT_NE(refusal(folder.path() + "/none", read_only).find("no store in"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder.path() + "/none"));
  put(*open_or_fail(folder.path()), Family::kState, "a", "1");
  const auto store = open_or_fail(folder.path(), read_only);
  EXPECT_EQ(get(*store, Family::kState, "a"), "1");
  EXPECT_EQ(scan(*store->snapshot(), Family::kState, {"", ""}), "a=1 ");
  auto set = store->new_write_set();
  set->put(Family::kState, "a", "2");
  EXPECT_FALSE(store->write(*set, false).ok());
  EXPECT_EQ(get(*store, Family::kState, "a"), "1");
  // No writer may come while somebody reads, nor the other way round.
  EXPECT_NE(refusal(folder.path()).find("in use"), std::string::npos);
}

TEST(RocksStore, RefusesASecondOpeningInTheSameProcess) {
  const TemporaryFolder folder;
  const auto store = open_or_fail(folder.path());
  for (const bool read_only : {false, true, false}) {
    const std::string why = refusal(folder.path(), {.block_cache_mb = 8, .write_buffer_mb = 4, .read_only = read_only});
    EXPECT_NE(why.find("in use by this process"), std::string::npos) << why;
    EXPECT_NE(why.find(folder.path()), std::string::npos) << why;
  }
  put(*store, Family::kState, "a", "1");
  EXPECT_TRUE(fs::exists(folder.path() + "/pid"));
}

// A program of its own that keeps a store open, written a little, until it is killed; run by the test below.
TEST(RocksStoreHelper, DISABLED_HoldsAStore) {
  const char* dir = std::getenv("BELLWETHER_TEST_STORE");
  ASSERT_NE(dir, nullptr);
  const auto store = open_or_fail(dir);
  auto set = store->new_write_set();
  set->put(Family::kState, "a", "1");
  set->put(Family::kViews, "a", "1");
  write_or_fail(*store, *set, true);
  std::ofstream(std::string(dir) + "/ready") << "yes";
  while (true) ::pause();
}

TEST(RocksStore, RefusesAStoreOfAnotherProcessAndTakesItWhenThatWasKilled) {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::setenv("BELLWETHER_TEST_STORE", folder.path().c_str(), 1);
    ::execl("/proc/self/exe", "store_test", "--gtest_filter=RocksStoreHelper.*", "--gtest_also_run_disabled_tests",
            nullptr);
    ::_exit(1);
  }
  for (int i = 0; i < 600 && !fs::exists(folder.path() + "/ready"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(fs::exists(folder.path() + "/ready"));
  for (const bool read_only : {false, true, false}) {
    const std::string why = refusal(folder.path(), {.block_cache_mb = 8, .write_buffer_mb = 4, .read_only = read_only});
    EXPECT_NE(why.find("in use by process " + std::to_string(child)), std::string::npos) << why;
    EXPECT_NE(why.find(folder.path()), std::string::npos) << why;
  }
  ::kill(child, SIGKILL);
  int wait_status = 0;
  ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(wait_status));
  const auto store = open_or_fail(folder.path());
  EXPECT_EQ(get(*store, Family::kState, "a"), "1");
  EXPECT_EQ(get(*store, Family::kViews, "a"), "1");
}

}  // namespace
}  // namespace bellwether::store_test

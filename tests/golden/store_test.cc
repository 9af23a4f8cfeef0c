// A store of each release, frozen: later programs open it, see in it what was in it, and go on from it.
//
//   store_N.rows.zst   the rows of a small community's store, all families, and the dump of them: what states mean
//   store_N.tar.gz     a data folder as it stood on the disk, store and embedded log, and its dump: what files mean
//
// tests/golden/make_store writes those of a new release; those of earlier ones are never written again.
#include <gmock/gmock.h>
#include <zstd.h>

#include <cstdlib>

#include "pipeline/engine/control.h"
#include "pipeline/engine/row_patch.h"
#include "pipeline/repair/check.h"
#include "pipeline/repair/rebuild.h"
#include "pipeline/sources/embedded_log.h"
#include "pipeline/sources/log_folder.h"
#include "pipeline/tools/times.h"
#include "tests/unit/repair_rig.h"

namespace bellwether {
namespace {

namespace fs = std::filesystem;
using repair::contents;
using repair::Folder;
using repair::operators;
using repair::require;
using ::testing::HasSubstr;

const std::string kGolden = BELLWETHER_SOURCE_DIR "/tests/golden/";
// 2: days active of likes are counted at the home of likes (people and scores, version 2).
// 3: a board's row names many users (store format 2); what answers show of a user stands first (people, version 3).
// 4: ids seen and suspects' likes stand in blocks (people, version 4; bursts), and blocks grow with their directory.
// 5: what changed of a state's row may stand beside it (store format 3).
constexpr const char* kReleases[] = {"store_1", "store_2", "store_3", "store_4", "store_5"};

// {family u8, key, value} of every row, then 255 and the dump.
std::string pack(const Store& store) {
  std::string bytes;
  Writer w(bytes);
  for (size_t f = 0; f < kFamilies; ++f)
    require(store.snapshot()->scan(static_cast<Family>(f), {}, {}, [&](std::string_view key, std::string_view value) {
      w.u8(static_cast<uint8_t>(f)), w.bytes(key), w.bytes(value);
      return true;
    }));
  w.u8(255), w.bytes(repair::dump_of(store));
  std::string packed(ZSTD_compressBound(bytes.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), 19));
  return packed;
}

std::unique_ptr<Store> unpack(const std::string& packed, std::string& dump) {
  std::string bytes(ZSTD_getFrameContentSize(packed.data(), packed.size()), '\0');
  EXPECT_EQ(ZSTD_decompress(bytes.data(), bytes.size(), packed.data(), packed.size()), bytes.size());
  auto store = make_memory_store();
  auto set = store->new_write_set();
  Reader r(bytes);
  for (uint8_t family = r.u8(); r.ok() && family != 255; family = r.u8()) {
    const std::string_view key = r.bytes();
    set->put(static_cast<Family>(family), key, r.bytes());
  }
  dump = r.bytes();
  EXPECT_TRUE(r.ok() && r.done());
  require(store->write(*set, true));
  return store;
}

void expect_good(const Store& store) {
  Faults faults([](const Fault& f) { ADD_FAILURE() << fault_name(f.kind) << ": " << f.where << ": " << f.what; });
  CheckFigures figures;
  check_store(store, operators(), faults, figures);
  EXPECT_GT(figures.states, 0U);
}

// Goes on with a file of events; the account then.
Account read_on(Store& store, const std::string& file) {
  std::unique_ptr<FileSource> source;
  require(FileSource::open({file}, source));
  EngineOptions options;
  options.floors = false;
  options.file_append_us = int64_t{5'000'000'000} * 1'000'000;
  std::unique_ptr<Engine> engine;
  require(Engine::open(default_config(), operators(), store, {{source.get(), false}}, options, engine));
  require(engine->run());
  return engine->published()->account();
}

// One event more, an hour after the store's last tick.
void go_on(Store& store) {
  const Folder folder;
  const EngineProgress before = repair::progress_of(store);
  const std::string file = folder / "more.jsonl";
  const std::string time = time_text(before.folded * kSlotUs + kHourUs);
  std::ofstream(file) << R"({"id":"more","time":")" << time
                      << R"(","user":"newcomer","post":{"post":"more","kind":"POST_KIND_IDEA",)"
                      << R"("action":"POST_ACTION_PUBLISHED"}})"
                      << "\n";
  const Account after = read_on(store, file);
  EXPECT_EQ(after.applied, before.account().applied + 1);
  EXPECT_NE(repair::dump_of(store).find("\"id\":\"newcomer\""), std::string::npos);
}

class GoldenRows : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenRows, MeanWhatTheyMeant) {
  std::string dump;
  const auto store = unpack(contents(kGolden + GetParam() + ".rows.zst"), dump);
  EXPECT_TRUE(repair::dump_of(*store) == dump);
  // It says something: a tier above the lowest, a flag, dead letters.
  for (const char* word : {"\"type\":\"flag\"", "\"tier\":\"contributor\"", "\"dead_lettered\":2", "\"duplicate\":"})
    EXPECT_NE(dump.find(word), std::string::npos) << word;
  EXPECT_EQ(dump.find("\"duplicate\":0,"), std::string::npos);
  expect_good(*store);
  go_on(*store);
  expect_good(*store);
}

INSTANTIATE_TEST_SUITE_P(Releases, GoldenRows, ::testing::ValuesIn(kReleases));

class GoldenFolder : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string command = "tar -xzf " + kGolden + GetParam() + ".tar.gz -C " + (folder / "");
    ASSERT_EQ(std::system(command.c_str()), 0);
    data = folder / "data";
  }
  Folder folder;
  std::string data;
};

INSTANTIATE_TEST_SUITE_P(Releases, GoldenFolder, ::testing::ValuesIn(kReleases));

std::unique_ptr<EmbeddedLog> open_log(const std::string& data) {
  EmbeddedLog::Options options;
  options.now_us = [] { return int64_t{1'750'000'000} * 1'000'000; };
  std::vector<std::string> messages;
  std::unique_ptr<EmbeddedLog> log;
  require(EmbeddedLog::open(data, options, log, messages));
  EXPECT_TRUE(messages.empty());
  return log;
}

// Folds the embedded log into the store, to its end.
void fold(Store& store, EmbeddedLog& log) {
  const std::unique_ptr<Source> reader = log.reader();
  EngineOptions options;
  options.floors = false, options.until_end = true, options.outbox = true;
  std::unique_ptr<Engine> engine;
  require(Engine::open(default_config(), operators(), store, {{reader.get(), true}}, options, engine));
  require(engine->run());
}

TEST_P(GoldenFolder, Opens) {
  const auto log = open_log(data);
  std::unique_ptr<Store> store;
  require(open_rocks_store(data, {}, store));
  EXPECT_EQ(repair::dump_of(*store), contents(data + "/dump"));
  expect_good(*store);
  Faults faults([](const Fault& f) { ADD_FAILURE() << f.where << ": " << f.what; });
  CheckFigures figures;
  check_log(data, repair::progress_of(*store).partitions, faults, figures);
  EXPECT_EQ(static_cast<int64_t>(figures.records), log->end_offset(0));
  // The log again, into an empty store: what it holds means what it meant.
  const auto again = make_memory_store();
  fold(*again, *log);
  EXPECT_EQ(repair::dump_of(*again), contents(data + "/dump"));
  go_on(*store);
}

// Twelve days of likes, some each day from each of thirty users: posters too, who had no state at the home of likes.
void live_on(Store& store) {
  const Folder folder;
  const int64_t begin = (repair::progress_of(store).folded * kSlotUs / kDayUs + 1) * kDayUs;
  const std::string file = folder / "days.jsonl";
  std::ofstream out(file);
  for (int day = 0; day < 12; ++day)
    for (int user = 1; user <= 30; ++user) {
      if ((user + day) % 3 == 0) continue;
      const int author = (user * 7 + day * 11) % 30 + 1;
      out << R"({"id":"more)" << day << '-' << user << R"(","time":")"
          << time_text(begin + day * kDayUs + user * kSecondUs) << R"(","user":"u)" << user
          << R"(","like":{"post":"new)" << author << '-' << day << R"(","author":"u)" << author
          << R"(","kind":"LIKE_KIND_SHARE"}})"
          << "\n";
    }
  out.close();
  read_on(store, file);
}

// A program of this version goes on with a store of an earlier one as it does with its own.
TEST_P(GoldenFolder, LivesOnAsOneMadeAnew) {
  const auto log = open_log(data);
  std::unique_ptr<Store> store;
  require(open_rocks_store(data, {}, store));
  const auto anew = make_memory_store();
  fold(*anew, *log);
  const std::string before = repair::dump_of(*anew);
  EXPECT_EQ(repair::dump_of(*store), before);
  live_on(*store);
  live_on(*anew);
  const std::string after = repair::dump_of(*anew);
  EXPECT_EQ(repair::dump_of(*store), after);
  const auto contributors = [](const std::string& dump) {
    size_t n = 0;
    for (size_t at = 0; (at = dump.find("\"tier\":\"contributor\"", at)) != std::string::npos; ++at) ++n;
    return n;
  };
  EXPECT_GT(contributors(after), contributors(before) + 3);
  expect_good(*store);
}

// By the rules in its own control log, whatever the defaults are now.
TEST_P(GoldenFolder, IsMadeAgainFromItsLog) {
  std::unique_ptr<Store> store;
  require(open_rocks_store(data, {}, store));
  const auto made = make_memory_store();
  RebuildTarget target;
  require(read_target(*store, target));
  require(begin_rebuild(*store, target, *made));
  std::unique_ptr<Source> log;
  require(open_log_folder(data, log));
  require(run_rebuild(default_config(), operators(), target, {{log.get(), true}}, *made, {}));
  require(end_rebuild(*store, target, *made));
  StoreDifference difference;
  require(compare_stores(*store, *made, operators(), difference));
  EXPECT_TRUE(difference.none()) << ::testing::PrintToString(difference.lines);
  EXPECT_GT(difference.rows, 100U);
  ControlLog before, after;
  require(read_control(*store, before));
  require(read_control(*made, after));
  EXPECT_EQ(before.next, after.next);
}

TEST_P(GoldenFolder, OfALaterVersionIsRefused) {
  {
    std::unique_ptr<Store> store;
    require(open_rocks_store(data, {}, store));
    auto set = store->new_write_set();
    set->put(Family::kMeta, "format", "bellwether-store 4");
    require(store->write(*set, true));
  }
  for (const bool read_only : {false, true}) {
    std::unique_ptr<Store> store;
    StoreOptions options;
    options.read_only = read_only;
    const Status status = open_rocks_store(data, options, store);
    EXPECT_THAT(status.message, HasSubstr("bellwether-store 4"));
    EXPECT_THAT(status.message, HasSubstr("bellwether-store 3"));
    EXPECT_EQ(store, nullptr);
  }
}

TEST_P(GoldenFolder, ProgressOfALaterVersionIsRefused) {
  std::unique_ptr<Store> store;
  require(open_rocks_store(data, {}, store));
  std::string row;
  Status status;
  ASSERT_TRUE(store->get(Family::kMeta, keys::kProgress, row, status));
  row[0] = 99;
  auto set = store->new_write_set();
  set->put(Family::kMeta, keys::kProgress, row);
  require(store->write(*set, true));
  std::unique_ptr<Engine> engine;
  EXPECT_THAT(Engine::open(default_config(), operators(), *store, {}, {}, engine).message, HasSubstr("later version"));
}

TEST_P(GoldenFolder, LogOfALaterVersionIsRefused) {
  std::string segment;
  for (const auto& file : fs::directory_iterator(data + "/log/0")) segment = file.path();
  std::fstream(segment, std::ios::binary | std::ios::in | std::ios::out).seekp(8).put(2);
  EmbeddedLog::Options options;
  options.now_us = [] { return int64_t{1}; };
  std::vector<std::string> messages;
  std::unique_ptr<EmbeddedLog> log;
  EXPECT_THAT(EmbeddedLog::open(data, options, log, messages).message, HasSubstr("newer version"));
  std::string said;
  Faults faults([&](const Fault& f) { said += f.what; });
  CheckFigures figures;
  check_log(data, {}, faults, figures);
  EXPECT_THAT(said, HasSubstr("later version"));
}

// Of each state a patch, and one that takes it back.
void patch_rows(Store& store) {
  const auto set = store.new_write_set();
  require(store.snapshot()->scan(Family::kState, {}, {}, [&](std::string_view key, std::string_view row) {
    const std::string other =
        std::string(row.substr(0, row.size() / 2)) + "more" + std::string(row.substr(row.size() / 2));
    std::string patch;
    EXPECT_TRUE(make_patch(row, other, SIZE_MAX, patch));
    set->patch(key, patch);
    EXPECT_TRUE(make_patch(other, row, SIZE_MAX, patch));
    set->patch(key, patch);
    return true;
  }));
  require(store.write(*set, true));
}

// Not a test of anything: what tests/golden/make_store runs.
TEST(GoldenStore, Write) {
  const char* const to = std::getenv("BELLWETHER_TEST_WRITE_GOLDEN");
  if (to == nullptr) GTEST_SKIP() << "tests/golden/make_store writes the stores of a release";
  const Folder folder;
  {
    const auto store = make_memory_store();
    // About as small as a community can be in which a ring shows.
    const std::string file = repair::events(folder, 250, 8, 3, "16x10:0.95:burst");
    const std::string all = contents(file);
    const size_t end = all.find("no event"), begin = all.rfind('\n', end - 2) + 1;
    std::ofstream(file, std::ios::app) << all.substr(begin, end - begin)      // a duplicate of the last event,
                                       << all.substr(0, all.find('\n') + 1);  // and the first again: late, or one too
    repair::replay(file, *store);
    // As if all out records but the last were delivered.
    const auto set = store->new_write_set();
    set->erase_range(Family::kOutbox, keys::number(0), keys::number(repair::progress_of(*store).outbox_next - 50));
    require(store->write(*set, true));
    std::ofstream(std::string(to) + ".rows.zst", std::ios::binary) << pack(*store);
  }
  const std::string data = folder / "data";
  {
    const auto log = open_log(data);
    std::istringstream lines(contents(repair::events(folder, 12, 2)));
    for (std::string line; std::getline(lines, line);) require(log->append(0, {line}).status);
    std::unique_ptr<Store> store;
    require(open_rocks_store(data, {}, store));
    fold(*store, *log);
    std::ofstream(data + "/dump", std::ios::binary) << repair::dump_of(*store);
    store.reset();
    require(open_rocks_store(data, {}, store));  // writes rows into tables
    patch_rows(*store);
    store.reset();
    require(open_rocks_store(data, {}, store));  // and patches of them
  }
  for (const auto& file : fs::recursive_directory_iterator(data)) {
    const std::string name = file.path().filename();
    if (name == "LOCK" || name == "lock" || name.starts_with("LOG")) fs::remove(file.path());
  }
  const std::string command =
      "tar --owner=0 --group=0 --sort=name -C " + (folder / "") + " -c data | gzip -n9 > " + to + ".tar.gz";
  ASSERT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace bellwether

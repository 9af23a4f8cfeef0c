// Backups and what is refused; stores compared and switched.
#include "pipeline/repair/backup.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "pipeline/repair/check.h"
#include "pipeline/repair/rebuild.h"
#include "pipeline/sources/log_folder.h"
#include "tests/unit/repair_rig.h"

namespace bellwether::backup_test {
namespace {

namespace fs = std::filesystem;
using repair::contents;
using repair::Folder;
using repair::operators;
using repair::require;
using ::testing::HasSubstr;

std::map<std::string, std::string> tree(const std::string& path) {
  std::map<std::string, std::string> out;
  for (const auto& file : fs::recursive_directory_iterator(path))
    if (file.is_regular_file() && file.path().filename() != "LOCK")
      out[fs::relative(file.path(), path)] = contents(file.path());
  return out;
}

Manifest example() {
  Manifest m;
  m.program = "0.1.0";
  m.tick = {-5, 3};
  m.positions = {{{"log", 0}, 12}, {{"a file with blanks", 2}, INT64_MAX}};
  m.files = {{"store/CURRENT", {16, "0123456789abcdef0123456789abcdef"}}, {"log/0/1.seg", {0, "ff"}}};
  return m;
}
// A line put in, and the end made right again.
std::string with_line(const std::string& line) {
  Manifest m = example();
  m.files.push_back({"store/MARK", {1, "00"}});
  std::string bytes = encode(m);
  const std::string mark = "file 1 00 store/MARK\n";
  bytes.replace(bytes.find(mark), mark.size(), line + "\n");
  return bytes;
}

TEST(Manifest, ThereAndBack) {
  Manifest read;
  require(decode(encode(example()), "manifest", read));
  EXPECT_EQ(read, example());
}

TEST(Manifest, EveryFlippedBitIsFound) {
  const std::string bytes = encode(example());
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string other = bytes;
    other[at] = static_cast<char>(other[at] ^ 1);
    Manifest read;
    EXPECT_FALSE(decode(other, "manifest", read).ok()) << at;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    Manifest read;
    EXPECT_FALSE(decode(bytes.substr(0, size), "manifest", read).ok()) << size;
  }
}

TEST(Manifest, OfALaterVersion) {
  Manifest read;
  std::string bytes = encode(example());
  bytes.replace(bytes.find(" 1\n"), 3, " 2\n");
  EXPECT_THAT(decode(bytes, "manifest", read).message, HasSubstr("version 2"));
}

// Whoever made the manifest could have made the check too.
TEST(Manifest, NoPathLeadsOutOfTheFolder) {
  for (const char* path : {"store/../../x", "/etc/x", "../x", "store//x", "store/", "x", "log/0/..", "store/./x"}) {
    Manifest m = example();
    m.files[0].first = path;
    Manifest read;
    EXPECT_FALSE(decode(encode(m), "manifest", read).ok()) << path;
  }
  Manifest read;
  EXPECT_FALSE(decode(with_line("file 1 00 store/x"), "manifest", read).ok());  // its check is not the end's
}

// A data folder with tables, a log of rows not in tables yet, and an embedded log of several segments.
class Backup : public ::testing::Test {
 protected:
  void SetUp() override {
    data = folder / "data";
    open_log();
    const std::string value(100'000, 'v');
    for (int i = 0; i < 40; ++i) require(log->append(0, {value}).status);
    for (int round = 0; round < 2; ++round) {  // opening writes the rows of the round before into tables
      std::unique_ptr<Store> store;
      require(open_rocks_store(data, {}, store));
      if (round == 0) repair::replay(repair::events(folder, 60, 3), *store);
      require(write(*store, round));
    }
  }
  void open_log() {
    EmbeddedLog::Options options;
    options.config.segment_mb = 1;
    options.config.retention_hours = 1;
    options.now_us = [this] { return clock_us.load(); };
    std::vector<std::string> messages;
    require(EmbeddedLog::open(data, options, log, messages));
  }
  // Two rows that belong together.
  static Status write(Store& store, uint64_t number) {
    auto set = store.new_write_set();
    std::string value;
    Writer(value).fixed64(number);
    set->put(Family::kMeta, "z", value);
    set->put(Family::kControl, std::string(8, '\xff'), value);
    return store.write(*set, true);
  }
  static std::pair<std::string, std::string> both(const Store& store) {
    std::pair<std::string, std::string> out;
    Status status;
    EXPECT_TRUE(store.get(Family::kMeta, "z", out.first, status));
    EXPECT_TRUE(store.get(Family::kControl, std::string(8, '\xff'), out.second, status));
    return out;
  }
  static std::unique_ptr<Store> reading(const std::string& data) {
    StoreOptions options;
    options.read_only = true;
    std::unique_ptr<Store> store;
    require(open_rocks_store(data, options, store));
    return store;
  }

  Folder folder;
  std::string data;
  std::atomic<int64_t> clock_us{1'700'000'000'000'000};
  std::unique_ptr<EmbeddedLog> log;
  BackupReport report;
};

TEST_F(Backup, OfAStoppedFolder) {
  log.reset();
  const auto before = tree(data);
  const std::string to = folder / "backup/";  // the slash names no folder in it
  require(backup_stopped(data, to, {}, report));
  EXPECT_EQ(tree(data), before);
  EXPECT_GT(report.linked_bytes, 0U);
  Manifest manifest;
  require(verify_backup(to, {}, manifest));
  EXPECT_EQ(manifest.files.size(), report.files);
  EXPECT_EQ(manifest.tick, repair::progress_of(*reading(data)).tick);
  const std::string restored = folder / "restored";
  require(restore_backup(to, restored, {}, report));
  EXPECT_EQ(both(*reading(restored)), both(*reading(data)));
  for (const auto& [name, bytes] : before)
    if (name.starts_with("log/") && name.ends_with(".seg")) {
      EXPECT_EQ(contents(restored + "/" + name), bytes) << name;
    }
  // It shares nothing with the backup: what is written here changes nothing there.
  for (const auto& file : fs::recursive_directory_iterator(restored)) {
    struct stat status {};
    if (file.is_regular_file() && ::stat(file.path().c_str(), &status) == 0) {
      EXPECT_EQ(status.st_nlink, 1U);
    }
  }
}

TEST_F(Backup, EveryFileIsVerified) {
  log.reset();
  const std::string to = folder / "backup";
  require(backup_stopped(data, to, {true, "", {}}, report));
  EXPECT_EQ(report.linked_bytes, 0U);
  Manifest manifest;
  require(verify_backup(to, {}, manifest));
  ASSERT_GT(manifest.files.size(), 8U);
  for (const auto& [name, sum] : manifest.files) {
    if (sum.bytes == 0) continue;
    repair::flip(to + "/" + name, sum.bytes / 2);
    Manifest ignored;
    EXPECT_THAT(verify_backup(to, {}, ignored).message, HasSubstr(name + " has"));
    EXPECT_FALSE(restore_backup(to, folder / "restored", {}, report).ok());
    EXPECT_FALSE(fs::exists(folder / "restored"));
    repair::flip(to + "/" + name, sum.bytes / 2);
  }
  fs::remove(to + "/" + manifest.files[1].first);
  EXPECT_THAT(verify_backup(to, {}, manifest).message, HasSubstr("is missing"));
}

TEST_F(Backup, LeavesNothingWhereItFails) {
  log.reset();
  fs::create_directory(folder / "there");
  EXPECT_THAT(backup_stopped(data, folder / "there", {}, report).message, HasSubstr("is there already"));
  EXPECT_THAT(backup_stopped(data, folder / "no/such", {}, report).message, HasSubstr("No such file"));
  const BackupOptions cancelled{false, "", [] { return true; }};
  EXPECT_THAT(backup_stopped(data, folder / "cut", cancelled, report).message, HasSubstr("stopped"));
  EXPECT_FALSE(fs::exists(folder / "cut") || fs::exists(folder / "cut.partial"));
  fs::create_directory(folder / "left.partial");
  EXPECT_THAT(backup_stopped(data, folder / "left", {}, report).message, HasSubstr("cut off"));
  EXPECT_TRUE(fs::exists(folder / "left.partial"));  // it may be somebody else's
  std::unique_ptr<Store> store;
  require(open_rocks_store(data, {}, store));
  EXPECT_THAT(backup_stopped(data, folder / "used", {}, report).message, HasSubstr("in use"));
  EXPECT_FALSE(fs::exists(folder / "used.partial"));
}

// While sets are written that say how far the log was read, and while the log deletes what is older than that: what
// belongs together is there together, and the log in the backup holds that place.
TEST_F(Backup, WhileItIsWritten) {
  std::unique_ptr<Store> store;
  require(open_rocks_store(data, {}, store));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    const std::string value(200'000, 'w');
    while (!done) {
      require(log->append(0, {value}).status);
      const int64_t end = log->end_offset(0);
      require(write(*store, static_cast<uint64_t>(end)));
      log->set_retain_from(0, end);
      clock_us += int64_t{3'600'000'000};
      require(log->enforce_retention());
    }
  });
  uint64_t last = 0;
  for (int n = 0; n < 4; ++n) {
    const int64_t end = log->end_offset(0);
    const std::string to = folder / ("backup-" + std::to_string(n));
    require(backup_running(*store, log.get(), to, {}, report));
    Manifest manifest;
    require(verify_backup(to, {}, manifest));
    const auto [a, b] = both(*reading(to));
    EXPECT_EQ(a, b);
    const uint64_t place = Reader(a).fixed64();
    EXPECT_GT(place, last);
    last = place;
    std::unique_ptr<Source> read;
    require(open_log_folder(to, read));
    EXPECT_GE(read->end_offset(0), std::max(end, static_cast<int64_t>(place)));
    EXPECT_LE(read->first_offset(0), static_cast<int64_t>(place));
    Batch batch;
    require(read->start(0, static_cast<int64_t>(place)));
    for (int64_t at = static_cast<int64_t>(place); at < read->end_offset(0); at = batch.next_offset)
      require(read->poll(0, 100, 0, batch));
  }
  done = true;
  writer.join();
  // What was linked or copied stands as it stood, whatever was written since.
  for (int n = 0; n < 4; ++n) {
    Manifest manifest;
    require(verify_backup(folder / ("backup-" + std::to_string(n)), {}, manifest));
  }
}

TEST_F(Backup, NothingIsDeletedFromTheLogMeanwhile) {
  log->set_retain_from(0, log->end_offset(0));
  const size_t segments = log->segments().size();
  ASSERT_GT(segments, 2U);
  clock_us += int64_t{10} * 3'600'000'000;
  {
    const auto hold = log->hold();
    require(log->enforce_retention());
    EXPECT_EQ(log->segments().size(), segments);
    for (const auto& segment : log->segments()) EXPECT_TRUE(fs::exists(segment.path));
  }
  require(log->append(0, {"new"}).status);  // what keeps the newest segment's beginning from being old
  require(log->enforce_retention());
  EXPECT_LT(log->segments().size(), segments);
}

TEST_F(Backup, ACrashLeftAnUnfinishedSegment) {
  const std::string newest = log->segments().back().path;
  const int64_t end = log->end_offset(0);
  log.reset();
  std::ofstream(fs::path(newest).parent_path() / "00000000000000099999.seg") << "BWLOG";
  const std::string to = folder / "backup";
  require(backup_stopped(data, to, {}, report));
  // The next start removes it and goes on in the one before, which the backup must not feel.
  open_log();
  ASSERT_EQ(log->end_offset(0), end);
  require(log->append(0, {"more"}).status);
  Manifest manifest;
  require(verify_backup(to, {}, manifest));
}

// ---- comparing and switching ----

TEST(Compare, SameStores) {
  const Folder folder;
  const std::string file = repair::events(folder, 60, 3);
  const auto a = make_memory_store(), b = make_memory_store();
  repair::replay(file, *a), repair::replay(file, *b, false);
  StoreDifference difference;
  require(compare_stores(*a, *b, operators(), difference));
  EXPECT_TRUE(difference.none());
  EXPECT_GT(difference.rows, 300U);
}

TEST(Compare, NamesWhatDiffers) {
  const Folder folder;
  const auto a = make_memory_store(), b = make_memory_store();
  const std::string file = repair::events(folder, 60, 3);
  repair::replay(file, *a), repair::replay(file, *b);
  std::string state;
  require(a->snapshot()->scan(Family::kState, {}, {}, [&](std::string_view key, std::string_view) {
    StateKey parsed;
    if (keys::parse_state(key, parsed) && parsed.op == OperatorId::kScores) state = key;
    return state.empty();
  }));
  auto set = b->new_write_set();
  set->erase(Family::kState, state);
  set->put(Family::kTimers, keys::timer({5, {OperatorId::kScores, {KeyKind::kUser, 9}}}), "");
  require(b->write(*set, false));
  StoreDifference d;
  require(compare_stores(*a, *b, operators(), d));
  ASSERT_EQ(d.families.size(), 2U);
  EXPECT_EQ(d.families[0].name, "states");
  EXPECT_EQ(d.families[0].only_first, 1U);
  EXPECT_EQ(d.families[1].only_second, 1U);
  ASSERT_EQ(d.lines.size(), 1U);
  EXPECT_THAT(d.lines[0], HasSubstr("- {\"type\":\"user\""));
}

TEST(Compare, PagesEndAnywhere) {
  const Folder folder;
  const auto a = make_memory_store(), b = make_memory_store();
  const std::string file = repair::events(folder, 60, 3);
  repair::replay(file, *a), repair::replay(file, *b);
  for (int n = 0; n < 5000; ++n) {
    for (Store* store : {a.get(), b.get()}) {
      if (store == a.get() ? n % 3 == 0 : n % 7 == 0) continue;
      auto set = store->new_write_set();
      set->put(Family::kTimers, keys::timer({1000 + n, {OperatorId::kScores, {KeyKind::kUser, 9}}}), "");
      require(store->write(*set, false));
    }
  }
  StoreDifference d;
  require(compare_stores(*a, *b, operators(), d));
  ASSERT_EQ(d.families.size(), 1U);
  size_t first = 0, second = 0;
  for (int n = 0; n < 5000; ++n) first += n % 3 != 0 && n % 7 == 0, second += n % 3 == 0 && n % 7 != 0;
  EXPECT_EQ(d.families[0].only_first, first);
  EXPECT_EQ(d.families[0].only_second, second);
}

TEST(Rebuild, StopsAtTheTickAndGoesOn) {
  const Folder folder;
  const std::string file = repair::events(folder, 60, 6);
  const std::string all = contents(file);
  const auto early = make_memory_store(), late = make_memory_store(), made = make_memory_store();
  std::ofstream(file, std::ios::trunc) << all.substr(0, all.find('\n', all.size() / 2) + 1);
  repair::replay(file, *early);
  std::ofstream(file, std::ios::trunc) << all;
  repair::replay(file, *late);
  // Of a store that had read half of the file, from the whole file; then of one that had read all.
  for (const Store* store : {early.get(), late.get()}) {
    RebuildTarget target;
    require(read_target(*store, target));
    require(begin_rebuild(*store, target, *made));
    std::unique_ptr<FileSource> source;
    require(FileSource::open({file}, source));
    require(run_rebuild(default_config(), operators(), target, {{source.get(), false}}, *made, {}));
    require(end_rebuild(*store, target, *made));
    EXPECT_LE(repair::progress_of(*made).tick, target.progress.tick);
    if (store == early.get()) continue;  // its end was the file's end then: its last ticks are its own
    StoreDifference d;
    require(compare_stores(*store, *made, operators(), d));
    EXPECT_TRUE(d.none()) << ::testing::PrintToString(d.lines);
    Faults faults([](const Fault& fault) { ADD_FAILURE() << fault.where << ": " << fault.what; });
    CheckFigures figures;
    check_store(*made, operators(), faults, figures);
    EXPECT_GT(figures.outbox, 10U);  // taken over
  }
  RebuildTarget target;
  require(read_target(*early, target));
  EXPECT_THAT(begin_rebuild(*early, target, *made).message, HasSubstr("ahead"));
}

TEST(Switch, OneForTheOther) {
  const Folder folder;
  const std::string data = folder / "";
  fs::create_directories(data + "/store"), fs::create_directories(data + "/rebuild/store");
  std::ofstream(data + "/store/old"), std::ofstream(data + "/rebuild/store/new");
  std::string kept;
  require(switch_stores(data, true, kept));
  EXPECT_TRUE(fs::exists(data + "/store/new") && fs::exists(kept + "/store/old"));
  fs::create_directories(data + "/rebuild/store");
  require(switch_stores(data, true, kept));
  EXPECT_THAT(kept, HasSubstr("before-rebuild-2"));
  EXPECT_TRUE(fs::exists(kept + "/store/new"));
  fs::create_directories(data + "/rebuild/store");
  require(switch_stores(data, false, kept));
  EXPECT_EQ(kept, "");
  EXPECT_FALSE(fs::exists(data + "/rebuild"));
  require(drop_replaced(data));
  EXPECT_FALSE(fs::exists(data + "/before-rebuild") || fs::exists(data + "/before-rebuild-2"));
  EXPECT_TRUE(fs::exists(data + "/store"));
  require(drop_replaced(data));
}

}  // namespace
}  // namespace bellwether::backup_test

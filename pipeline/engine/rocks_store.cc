// The store in RocksDB: the only file that knows it. Column families share one write-ahead log, so that a batch over
// all of them is one record of it; they share one block cache and one bound of their memtables. Memtables are not
// charged to that cache: large commits would drive filters and index blocks out of it, which every read then reads
// again.
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_buffer_manager.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdarg>
#include <filesystem>
#include <thread>
#include <utility>

#include "pipeline/engine/check.h"
#include "pipeline/engine/diary.h"
#include "pipeline/engine/members.h"
#include "pipeline/engine/rocks_list.h"
#include "pipeline/engine/rocks_merge.h"
#include "pipeline/engine/store.h"
#include "pipeline/engine/store_folder.h"

namespace bellwether {
namespace {

namespace fs = std::filesystem;

// By Family. RocksDB wants its "default" family opened too; it stays empty.
constexpr std::array<const char*, kFamilies> kFamilyNames = {"state", "ledger",  "views", "outbox",
                                                             "meta",  "control", "timers"};

// RocksDB asserts that there are bytes, even where there are none.
rocksdb::Slice slice(std::string_view text) { return {text.data() == nullptr ? "" : text.data(), text.size()}; }
std::string_view view(const rocksdb::Slice& text) { return {text.data(), text.size()}; }

Status explain(const rocksdb::Status& status, const std::string& doing, const std::string& path) {
  if (status.ok()) return Status::fine();
  return store_failure(doing, path, status.ToString(), status.IsNoSpace(), status.IsCorruption());
}

// RocksDB's diary, STORE/LOG and the one before it. Its own writer takes a full disk for a broken invariant and ends
// the process.
class Diary final : public rocksdb::Logger {
 public:
  explicit Diary(std::string path) : file_(std::move(path)) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override { file_.add(format, arguments); }

 private:
  DiaryFile file_;
};

struct Memory {
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::WriteBufferManager> buffers;
  size_t buffer_bytes = 0;
};

Memory make_memory(const StoreOptions& options) {
  Memory memory;
  const size_t bytes = std::max<size_t>(options.block_cache_mb, 2) << 20;
  rocksdb::LRUCacheOptions cache;
  cache.capacity = bytes;
  cache.num_shard_bits = bytes >= size_t{64} << 20 ? 4 : 1;
  cache.high_pri_pool_ratio = 0.5;  // index and filter blocks stay before data
  memory.cache = rocksdb::NewLRUCache(cache);
  memory.buffer_bytes = std::max<size_t>(options.write_buffer_mb, 1) << 20;
  memory.buffers = std::make_shared<rocksdb::WriteBufferManager>(memory.buffer_bytes);
  return memory;
}

rocksdb::DBOptions db_options(const StoreOptions& options, const Memory& memory) {
  rocksdb::DBOptions db;
  db.write_buffer_manager = memory.buffers;
  db.max_background_jobs = std::max(1, options.background_threads);
  // A start after a kill reads all of it and a commit, some 150 MB a second. But where the log ends long before the
  // buffers, families of which little stands in memory are written out in small files.
  db.max_total_wal_size = std::clamp<uint64_t>(2 * memory.buffer_bytes, 16 << 20, 128 << 20);
  db.max_open_files = 512;  // well below the usual limit of 1,024 a process, which sockets share
  db.bytes_per_sync = 1 << 20;
  db.stats_dump_period_sec = db.stats_persist_period_sec = 0;
  db.skip_stats_update_on_db_open = true;
  db.avoid_unnecessary_blocking_io = true;
  db.allow_concurrent_memtable_write = false;  // one writes
  db.max_manifest_file_size = 16 << 20;
  return db;
}

rocksdb::ColumnFamilyOptions family_options(Family family, const Memory& memory) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = memory.cache;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = true;
  table.optimize_filters_for_memory = true;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  // The ledger's rows are full blocks, read rarely and in runs.
  table.block_size = family == Family::kLedger ? 16 << 10 : 4 << 10;

  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = memory.buffer_bytes;  // the manager flushes before any family reaches it
  options.arena_block_size = 128 << 10;             // families seldom written must not reserve a megabyte each
  options.memtable_prefix_bloom_size_ratio = 0.02;
  options.memtable_whole_key_filtering = true;
  options.memtable_factory = ordered_memtables();
  options.level_compaction_dynamic_level_bytes = true;
  // Commits are large and rewrite the same keys: merged twice as late, rows are rewritten a third less often.
  if (family == Family::kState || family == Family::kViews)
    options.level0_file_num_compaction_trigger = 12, options.max_bytes_for_level_base = 1024 << 20;
  // While such a merge runs some ten more files come. At 20, its default, RocksDB slows all writing to 16 MB/s: commits
  // of 100 MB took six seconds. A file more costs a read less than a microsecond.
  options.level0_slowdown_writes_trigger = 40, options.level0_stop_writes_trigger = 64;
  options.target_file_size_base = 32 << 20;  // small enough that a day's end frees whole files
  options.compression = rocksdb::kLZ4Compression;
  if (family == Family::kState) options.merge_operator = merge_patches();
  if (family == Family::kViews)
    options.merge_operator = merge_members(), options.compaction_filter = no_empty_members();
  if (family == Family::kLedger) options.bottommost_compression = rocksdb::kZSTD;
  // Each commit erases timers that have fired and sets others all over the days to come, so a merge rewrites all rows.
  // Nobody scans over those that were erased: what is read begins behind the tick that is folded.
  if (family == Family::kTimers) options.level0_file_num_compaction_trigger = 8;
  if (family == Family::kOutbox) {
    // A queue, erased at the front: files full of erased rows are compacted before scans crawl over them.
    options.table_properties_collector_factories.push_back(rocksdb::NewCompactOnDeletionCollectorFactory(4096, 2048));
  }
  return options;
}

// The open database with its families. Snapshots share it, so that it closes after the last of them.
struct Database {
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;  // by Family, then "default"
  Memory memory;
  std::string path;
  std::string pid_file;                    // empty: none written
  rocksdb::FileLock* read_lock = nullptr;  // read-only opening takes no lock of its own
  rocksdb::ReadOptions passing;  // for the fold, which keeps states: what queries come back to stays in the block cache

  Database() { passing.fill_cache = false; }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() {
    if (db != nullptr) {
      rocksdb::CancelAllBackgroundWork(db, true);
      for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
      db->Close().PermitUncheckedError();  // what was promised durable is in the log already
      delete db;
    }
    if (!pid_file.empty()) {
      std::error_code ignored;
      fs::remove(pid_file, ignored);
    }
    if (read_lock != nullptr) rocksdb::Env::Default()->UnlockFile(read_lock).PermitUncheckedError();
  }
  rocksdb::ColumnFamilyHandle* handle(Family family) const { return handles[static_cast<size_t>(family)]; }

  // Calls take(value) before it returns true.
  template <class Take>
  bool read(const rocksdb::ReadOptions& options, Family family, std::string_view key, Status& status,
            Take&& take) const {
    rocksdb::PinnableSlice pinned;
    const rocksdb::Status got = db->Get(options, handle(family), slice(key), &pinned);
    status = got.IsNotFound() ? Status::fine() : explain(got, "read", path);
    const bool there = got.ok() && !(pinned.empty() && family == Family::kViews && is_members(key));
    if (there) take(view(pinned));
    return there;
  }
};

class RocksWriteSet final : public WriteSet {
 public:
  // `reserved`: growing by doubling and copying would hold three times what is in it.
  RocksWriteSet(std::shared_ptr<const Database> database, size_t reserved)
      : database_(std::move(database)), batch_(reserved) {}
  void put(Family family, std::string_view key, std::string_view value) override {
    check(batch_.Put(database_->handle(family), slice(key), slice(value)));
  }
  void erase(Family family, std::string_view key) override {
    check(batch_.Delete(database_->handle(family), slice(key)));
  }
  void erase_range(Family family, std::string_view from, std::string_view to) override {
    if (from < to) check(batch_.DeleteRange(database_->handle(family), slice(from), slice(to)));
  }
  void change_members(std::string_view key, std::string_view change) override {
    check(batch_.Merge(database_->handle(Family::kViews), slice(key), slice(change)));
  }
  void patch(std::string_view key, std::string_view patch) override {
    check(batch_.Merge(database_->handle(Family::kState), slice(key), slice(patch)));
  }
  size_t bytes() const override { return batch_.GetDataSize(); }
  size_t rows() const override { return batch_.Count(); }

  rocksdb::WriteBatch& batch() { return batch_; }

 private:
  // A batch in memory cannot fail but by a fault of the program (a key of 4 GB, a family of another store).
  static void check(const rocksdb::Status& status) {
    BELLWETHER_REQUIRE(status.ok(), "a change could not be added to a write set: %s", status.ToString().c_str());
  }
  std::shared_ptr<const Database> database_;
  rocksdb::WriteBatch batch_;
};

class RocksSnapshot final : public Snapshot {
 public:
  explicit RocksSnapshot(std::shared_ptr<const Database> database)
      : database_(std::move(database)), snapshot_(database_->db->GetSnapshot()) {}
  RocksSnapshot(const RocksSnapshot&) = delete;
  RocksSnapshot& operator=(const RocksSnapshot&) = delete;
  ~RocksSnapshot() override { database_->db->ReleaseSnapshot(snapshot_); }

  uint64_t sequence() const override { return snapshot_->GetSequenceNumber(); }
  bool read(Family family, std::string_view key, Status& status,
            absl::FunctionRef<void(std::string_view)> take) const override {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    return database_->read(options, family, key, status, take);
  }
  Status scan(Family family, std::string_view from, std::string_view to,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return walk(family, from, to, visit, true);
  }
  Status scan_back(Family family, std::string_view from, std::string_view to,
                   const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return walk(family, from, to, visit, false);
  }

 private:
  Status walk(Family family, std::string_view from, std::string_view to,
              const std::function<bool(std::string_view, std::string_view)>& visit, bool forward) const {
    if (!to.empty() && from >= to) return Status::fine();
    const rocksdb::Slice lower = slice(from), upper = slice(to);
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    options.iterate_lower_bound = &lower;
    if (!to.empty()) options.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> it(database_->db->NewIterator(options, database_->handle(family)));
    for (forward ? it->Seek(lower) : it->SeekToLast(); it->Valid(); forward ? it->Next() : it->Prev()) {
      if (family == Family::kViews && it->value().empty() && is_members(view(it->key()))) continue;
      if (!visit(view(it->key()), view(it->value()))) return Status::fine();
    }
    return explain(it->status(), "read", database_->path);
  }

  std::shared_ptr<const Database> database_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksStore final : public Store {
 public:
  RocksStore(std::shared_ptr<Database> database, size_t write_set_bytes)
      : database_(std::move(database)), write_set_bytes_(write_set_bytes) {}

  std::unique_ptr<WriteSet> new_write_set() override {
    return std::make_unique<RocksWriteSet>(database_, write_set_bytes_);
  }

  Status write(WriteSet& set, bool sync) override {
    auto* changes = dynamic_cast<RocksWriteSet*>(&set);
    BELLWETHER_REQUIRE(changes != nullptr, "a write set of another store was written to %s", database_->path.c_str());
    wait_for_buffers();
    rocksdb::WriteOptions options;
    options.sync = sync;
    const rocksdb::Status status = database_->db->Write(options, &changes->batch());
    if (status.ok()) changes->batch().Clear();
    return explain(status, "write", database_->path);
  }

  bool get(Family family, std::string_view key, std::string& value, Status& status) const override {
    return database_->read(database_->passing, family, key, status, [&](std::string_view found) { value = found; });
  }

  Status multi_get(Family family, std::span<const std::string_view> keys, EachFound each) const override {
    const size_t count = keys.size();
    if (count == 0) return Status::fine();
    std::vector<rocksdb::Slice> slices(count);
    std::transform(keys.begin(), keys.end(), slices.begin(), slice);
    std::vector<rocksdb::PinnableSlice> pinned(count);
    std::vector<rocksdb::Status> statuses(count);
    database_->db->MultiGet(database_->passing, database_->handle(family), count, slices.data(), pinned.data(),
                            statuses.data(), std::is_sorted(keys.begin(), keys.end()));
    for (const rocksdb::Status& status : statuses)
      if (!status.ok() && !status.IsNotFound()) return explain(status, "read", database_->path);
    for (size_t i = 0; i < count; ++i) {
      const std::string_view value = view(pinned[i]);
      each(i, statuses[i].ok() ? &value : nullptr);
      pinned[i].Reset();
    }
    return Status::fine();
  }

  std::shared_ptr<const Snapshot> snapshot() const override { return std::make_shared<RocksSnapshot>(database_); }

  Status drop_range(Family family, std::string_view from, std::string_view to) override {
    if (from >= to) return Status::fine();
    auto* handle = database_->handle(family);
    // The tombstone first: a dropped file may have hidden an older row of a deeper one.
    rocksdb::WriteBatch batch;
    rocksdb::Status status = batch.DeleteRange(handle, slice(from), slice(to));
    if (status.ok()) status = database_->db->Write({}, &batch);
    const rocksdb::Slice begin = slice(from), end = slice(to);
    if (status.ok()) status = rocksdb::DeleteFilesInRange(database_->db, handle, &begin, &end, false);
    return explain(status, "drop rows", database_->path);
  }

  Status purge(std::span<const Family> families, uint64_t sequence, const std::function<bool()>& stop,
               bool& held) override {
    uint64_t oldest = 0;
    held = database_->db->GetIntProperty(rocksdb::DB::Properties::kOldestSnapshotSequence, &oldest) && oldest != 0 &&
           oldest < sequence;
    if (held) return {};
    // All families, so that no file of the write-ahead log is needed any more: RocksDB then deletes them.
    rocksdb::Status status = database_->db->Flush({}, database_->handles);
    for (size_t i = 0; status.ok() && i < families.size(); ++i) status = rewrite(families[i], stop);
    return explain(status, "rewrite the files", database_->path);
  }

  Figures figures() const override {
    Figures figures;
    figures.bytes_on_disk = folder_bytes(database_->path);
    figures.memtable_bytes = database_->memory.buffers->memory_usage();
    figures.block_cache_bytes = database_->memory.cache->GetUsage();
    uint64_t rows = 0;
    if (database_->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kEstimateNumKeys, &rows)) {
      figures.estimated_rows = rows;
    }
    return figures;
  }

  Status checkpoint(const std::string& dir) const override {
    // A log shorter than this is copied as it is: less work than flushing what it holds.
    constexpr uint64_t kLogBytes = 16 << 20;
    rocksdb::Checkpoint* made = nullptr;
    rocksdb::Status status = rocksdb::Checkpoint::Create(database_->db, &made);
    const std::unique_ptr<rocksdb::Checkpoint> owned(made);
    if (status.ok()) status = made->CreateCheckpoint(dir + "/store", kLogBytes);
    return explain(status, "copy " + database_->path, dir);
  }

  Status verify() const override {
    // A compaction would delete files that are still to be read. Opened for reading there is none, and this is refused.
    const bool kept = database_->db->DisableFileDeletions().ok();
    // File by file: DB::VerifyChecksum of a database opened for reading ends the process in RocksDB 7.8.
    std::vector<rocksdb::LiveFileMetaData> files;
    database_->db->GetLiveFilesMetaData(&files);
    Status damage;
    for (const auto& file : files) {
      rocksdb::SstFileReader reader(rocksdb::Options{});
      rocksdb::Status status = reader.Open(file.db_path + file.name);
      if (status.ok()) status = reader.VerifyChecksum();
      if (!status.ok()) damage = explain(status, "verify " + file.name.substr(1), database_->path);
      if (!damage.ok()) break;
    }
    // Not by force: a checkpoint may hold them too.
    if (kept) static_cast<void>(database_->db->EnableFileDeletions(false));
    return damage;
  }

 private:
  // Part by part where there is much, by the slice that a state's key begins with: other compactions get their turn.
  rocksdb::Status rewrite(Family family, const std::function<bool()>& stop) {
    constexpr uint64_t kPartBytes = uint64_t{256} << 20, kSlices = 256;
    auto* handle = database_->handle(family);
    uint64_t bytes = 0;
    if (family == Family::kState) database_->db->GetIntProperty(handle, "rocksdb.live-sst-files-size", &bytes);
    const uint64_t parts = std::clamp<uint64_t>(bytes / kPartBytes, 1, kSlices);
    rocksdb::CompactRangeOptions options;
    options.exclusive_manual_compaction = false;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    rocksdb::Status status;
    for (uint64_t part = 0; status.ok() && part < parts && !stop(); ++part) {
      const std::string from{'\0', static_cast<char>(kSlices * part / parts)};
      const std::string to{'\0', static_cast<char>(kSlices * (part + 1) / parts)};
      const rocksdb::Slice begin = slice(from), end = slice(to);
      status = database_->db->CompactRange(options, handle, part == 0 ? nullptr : &begin,
                                           part + 1 == parts ? nullptr : &end);
    }
    return status;
  }
  // Write buffers that are full wait for the disk outside of any bound of RocksDB's: each family may fill another while
  // one is on its way. On a slow disk the writer waits here instead. Its own way of doing so (allow_stall) may wait for
  // a flush that nobody has asked for; what is asked for here is only that one is under way.
  void wait_for_buffers() const {
    const auto& buffers = *database_->memory.buffers;
    while (buffers.memory_usage() > database_->memory.buffer_bytes) {
      uint64_t waiting = 0, stopped = 0;
      if (!database_->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kNumImmutableMemTable, &waiting) ||
          waiting == 0)
        return;
      // After a failed flush nothing is under way any more; the write tells why.
      if (database_->db->GetIntProperty(rocksdb::DB::Properties::kBackgroundErrors, &stopped) && stopped > 0) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  std::shared_ptr<Database> database_;
  const size_t write_set_bytes_;
};

bool is_lock_error(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return status.IsIOError() && (text.find("lock hold by current process") != std::string::npos ||
                                text.find("While lock file") != std::string::npos);
}

Status in_use(const rocksdb::Status& status, const std::string& dir, const std::string& path) {
  std::string who = "by this process already";
  if (status.ToString().find("current process") == std::string::npos) {
    int64_t pid = lock_holder(path);
    if (pid <= 0) pid = recorded_holder(dir);
    who = pid > 0 ? "by process " + std::to_string(pid) : "by another process";
  }
  return Status::error("the store in " + path + " is in use " + who + "; stop it first, or choose another data folder");
}

std::vector<rocksdb::ColumnFamilyDescriptor> all_families(const Memory& memory) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (size_t i = 0; i < kFamilies; ++i) {
    families.emplace_back(kFamilyNames[i], family_options(static_cast<Family>(i), memory));
  }
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family_options(Family::kMeta, memory));
  return families;
}

// Looks at a folder that has a database whose families are not exactly ours, without changing it.
Status judge_families(const std::string& path, const std::vector<std::string>& found, const rocksdb::DBOptions& db,
                      const Memory& memory) {
  const auto has = [&](std::string_view name) { return std::find(found.begin(), found.end(), name) != found.end(); };
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family_options(Family::kMeta, memory));
  if (has("meta")) families.emplace_back("meta", family_options(Family::kMeta, memory));
  Database database;
  const rocksdb::Status opened = rocksdb::DB::OpenForReadOnly(db, path, families, &database.handles, &database.db);
  if (!opened.ok()) return explain(opened, "open the store", path);
  std::string format;
  if (has("meta")) {
    const rocksdb::Status got = database.db->Get({}, database.handles[1], slice(kFormatKey), &format);
    if (got.ok() && !readable_format(format)) return other_format(path, format);
    if (!got.ok() && !got.IsNotFound()) return explain(got, "read", path);
  }
  for (const std::string& name : found) {
    const bool known = name == rocksdb::kDefaultColumnFamilyName ||
                       std::find(kFamilyNames.begin(), kFamilyNames.end(), name) != kFamilyNames.end();
    if (!known) return not_ours(path, "it has a column family \"" + name + "\"");
  }
  if (!format.empty()) {
    return Status::error("the store in " + path +
                         " is damaged: a column family is missing; restore a backup, or replay the logs into a new "
                         "folder");
  }
  // Families are made one by one before the first row: a kill in between leaves some of them, and no row.
  if (database.db->GetLatestSequenceNumber() != 0) return not_ours(path, "it is another program's RocksDB database");
  return Status::fine();
}

// Decides whether DIR/store may be opened, before anything in it is touched. `exists`: there is a database.
Status inspect(const std::string& path, const rocksdb::DBOptions& db, const Memory& memory, bool& exists) {
  exists = false;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return Status::fine();
  if (error) return Status::error("cannot look at " + path + ": " + error.message());
  if (status.type() != fs::file_type::directory) return not_ours(path, "it is not a folder");
  std::string stranger;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == "CURRENT") exists = true;
    if (!may_be_unfinished(name)) stranger = name;
  }
  if (error) return Status::error("cannot look at " + path + ": " + error.message());
  if (!exists) {
    return stranger.empty() ? Status::fine() : not_ours(path, "it holds \"" + stranger + "\" and no database");
  }
  std::vector<std::string> found;
  const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(db, path, &found);
  if (!listed.ok()) return explain(listed, "open the store", path);
  size_t ours = 0;
  for (const char* name : kFamilyNames) ours += std::count(found.begin(), found.end(), name);
  if (ours == kFamilies && found.size() == kFamilies + 1) return Status::fine();
  return judge_families(path, found, db, memory);
}

// A reader must see no writer come or be there. Where the folder may not be written, nobody can be locked out; whether
// somebody is there can still be asked.
Status lock_for_reading(const std::string& dir, Database& database) {
  const rocksdb::Status locked = rocksdb::Env::Default()->LockFile(database.path + "/LOCK", &database.read_lock);
  if (locked.ok()) return Status::fine();
  database.read_lock = nullptr;
  if (is_lock_error(locked)) return in_use(locked, dir, database.path);
  const int64_t pid = lock_holder(database.path);
  if (pid == 0) return Status::fine();
  return Status::error("the store in " + database.path + " is in use by process " + std::to_string(pid) +
                       "; stop it first");
}

// Reads the format; writes it into a store that has nothing yet, and over the one before: from then on there may be
// rows that a program of then cannot read.
Status check_format(Database& database, bool read_only) {
  std::string format;
  Status status;
  const bool there =
      database.read({}, Family::kMeta, kFormatKey, status, [&](std::string_view found) { format = found; });
  if (!status.ok()) return status;
  if (there) {
    if (!readable_format(format)) return other_format(database.path, format);
    if (read_only || format == kFormat) return Status::fine();
  } else {
    if (database.db->GetLatestSequenceNumber() != 0) return not_ours(database.path, "it names no format");
    if (read_only) return Status::error("the store in " + database.path + " is empty: it was never written");
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  return explain(database.db->Put(options, database.handle(Family::kMeta), slice(kFormatKey), slice(kFormat)),
                 "write the format", database.path);
}

}  // namespace

Status open_rocks_store(const std::string& dir, const StoreOptions& options, std::unique_ptr<Store>& out) {
  out.reset();
  auto database = std::make_shared<Database>();
  database->path = dir + "/store";
  database->memory = make_memory(options);
  rocksdb::DBOptions db = db_options(options, database->memory);
  bool exists = false;
  if (Status status = inspect(database->path, db, database->memory, exists); !status.ok()) return status;

  const auto families = all_families(database->memory);
  rocksdb::Status opened;
  if (options.read_only) {
    if (!exists) return Status::error("no store in " + dir + "; replay or serve into it first, or name another folder");
    if (Status status = lock_for_reading(dir, *database); !status.ok()) return status;
    opened = rocksdb::DB::OpenForReadOnly(db, database->path, families, &database->handles, &database->db);
  } else {
    if (Status status = make_folder(dir, database->path); !status.ok()) return status;
    db.info_log = std::make_shared<Diary>(database->path + "/LOG");
    db.info_log->SetInfoLogLevel(rocksdb::WARN_LEVEL);
    db.create_if_missing = true;
    db.create_missing_column_families = true;
    opened = rocksdb::DB::Open(db, database->path, families, &database->handles, &database->db);
  }
  if (!opened.ok()) {
    return is_lock_error(opened) ? in_use(opened, dir, database->path)
                                 : explain(opened, "open the store", database->path);
  }
  if (Status status = check_format(*database, options.read_only); !status.ok()) return status;
  if (!options.read_only) database->pid_file = record_holder(dir);
  out = std::make_unique<RocksStore>(std::move(database), options.write_set_bytes);
  return Status::fine();
}

}  // namespace bellwether

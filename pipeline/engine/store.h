// The one place where state lives: an ordered key-value store with column families, atomic batches and snapshots.
// RocksStore is the only code that knows RocksDB; MemoryStore (tests, simulator) behaves the same and can be told to
// fail.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/sources/source.h"  // Status

namespace bellwether {

enum class Family : uint8_t { kState, kLedger, kViews, kOutbox, kMeta, kControl, kTimers };
constexpr size_t kFamilies = 7;

// A list of changes that become visible and durable together, in the order given (a later change of a key wins).
class WriteSet {
 public:
  virtual ~WriteSet() = default;
  virtual void put(Family family, std::string_view key, std::string_view value) = 0;
  virtual void erase(Family family, std::string_view key) = 0;
  virtual void erase_range(Family family, std::string_view from,
                           std::string_view to) = 0;  // [from, to); none if from >= to
  // Works a change (members.h) into a row of members of Family::kViews, which need not be there. The row is not read
  // for it.
  virtual void change_members(std::string_view key, std::string_view change) = 0;
  // The same of a patch (row_patch.h) into a row of Family::kState: it was made for the row as it stands with the
  // changes before it.
  virtual void patch(std::string_view key, std::string_view patch) = 0;
  virtual size_t bytes() const = 0;
  virtual size_t rows() const = 0;
};

// A frozen view; safe to use from several threads at once. Keeps the store open while it lives.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  // Rises with every write. 0 where purge() has no use for it.
  virtual uint64_t sequence() const { return 0; }
  // Calls take(value), where there is such a key, before it returns; false when there is none. An I/O error is told in
  // `status`. The bytes are not copied: of a large row only what is looked at is read.
  virtual bool read(Family family, std::string_view key, Status& status,
                    absl::FunctionRef<void(std::string_view value)> take) const = 0;
  bool get(Family family, std::string_view key, std::string& value, Status& status) const {
    return read(family, key, status, [&](std::string_view found) { value = found; });
  }
  // Rows with from <= key < to in key order (`to` empty: to the end); visit returns false to stop.
  virtual Status scan(Family family, std::string_view from, std::string_view to,
                      const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
  // The same backwards, from the largest key below `to`.
  virtual Status scan_back(Family family, std::string_view from, std::string_view to,
                           const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
};

class Store {
 public:
  // Rewrites the families' files, all of them, and the log before them, so that no overwritten or erased row from
  // before the snapshot of that sequence() is left in any. `held`: an older snapshot is alive and keeps such rows:
  // nothing was done, ask again. Takes the time of a whole compaction, beside reads and writes. `stop` is asked now and
  // then.
  virtual Status purge(std::span<const Family> families, uint64_t sequence, const std::function<bool()>& stop,
                       bool& held) {
    (void)families, (void)sequence, (void)stop;
    held = false;
    return {};
  }
  virtual ~Store() = default;
  virtual std::unique_ptr<WriteSet> new_write_set() = 0;
  // All of it or nothing. `sync`: durable when it returns; without, a crash of the machine may lose it but never part
  // of it, nor anything before it while keeping it. After success the set is empty and may be used again; after a
  // failure it is as it was.
  virtual Status write(WriteSet& set, bool sync) = 0;
  virtual bool get(Family family, std::string_view key, std::string& value, Status& status) const = 0;
  // Calls each(i, value) for every key in their order; null where keys[i] does not exist. Not at all where one cannot
  // be read. Keys sorted by the caller for speed, not for meaning.
  using EachFound = absl::FunctionRef<void(size_t i, const std::string_view* value)>;
  virtual Status multi_get(Family family, std::span<const std::string_view> keys, EachFound each) const = 0;
  virtual std::shared_ptr<const Snapshot> snapshot() const = 0;
  // Drops whole files of rows in [from, to) where it can; what stays is invisible to nobody: only for rows that no
  // state names any more.
  virtual Status drop_range(Family family, std::string_view from, std::string_view to) = 0;
  struct Figures {
    uint64_t bytes_on_disk = 0, memtable_bytes = 0, block_cache_bytes = 0, estimated_rows = 0;
  };
  virtual Figures figures() const = 0;
  // Copies the store as of now, every committed set whole or not at all, while it goes on being written, into the new
  // folder DIR/store, for open_rocks_store(DIR). Files that never change are hard links where `dir` is on the store's
  // file system. An error leaves no DIR/store. A store without files has nothing to copy: an error.
  virtual Status checkpoint(const std::string& /*dir*/) const { return Status::error("this store has no files"); }
  // Reads every file and compares its checksums; the error names the first that is damaged.
  virtual Status verify() const { return Status::fine(); }
};

struct StoreOptions {
  size_t block_cache_mb = 128;
  size_t write_buffer_mb = 64;  // memtables stay in this and two commits, the one on its way and the one being flushed
  int background_threads = 1;
  size_t write_set_bytes = 0;  // what a write set will hold, roughly: room for it is set aside, not yet used
  bool read_only = false;      // for dump and evaluate beside nothing else
};

// Opens or makes the store in DIR/store. Refuses, with the reason and what to do: another format version, a folder that
// is no store of ours, one in use by another process.
Status open_rocks_store(const std::string& dir, const StoreOptions& options, std::unique_ptr<Store>& out);

// In memory, for tests and the simulator.
struct MemoryFaults {
  int64_t fail_write_after = -1;  // this many more writes succeed, then every write fails; -1 never
};
std::unique_ptr<Store> make_memory_store(MemoryFaults* faults = nullptr);

}  // namespace bellwether

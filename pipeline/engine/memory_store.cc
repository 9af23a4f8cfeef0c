// The store in memory: one ordered map a family. A snapshot shares the maps; the first write after it copies what it
// changes.
#include <array>
#include <map>
#include <mutex>
#include <utility>

#include "pipeline/engine/check.h"
#include "pipeline/engine/members.h"
#include "pipeline/engine/row_patch.h"
#include "pipeline/engine/store.h"

namespace bellwether {
namespace {

using Rows = std::map<std::string, std::string, std::less<>>;
using Families = std::array<std::shared_ptr<Rows>, kFamilies>;

size_t index_of(Family family) { return static_cast<size_t>(family); }

class MemoryWriteSet final : public WriteSet {
 public:
  enum class Kind : uint8_t { kPut, kErase, kEraseRange, kMembers, kPatch };
  struct Change {
    Kind kind;
    Family family;
    std::string key, value;  // of a range: from, to
  };

  void put(Family family, std::string_view key, std::string_view value) override {
    add(Kind::kPut, family, key, value);
  }
  void erase(Family family, std::string_view key) override { add(Kind::kErase, family, key, {}); }
  void erase_range(Family family, std::string_view from, std::string_view to) override {
    if (from < to) add(Kind::kEraseRange, family, from, to);
  }
  void change_members(std::string_view key, std::string_view change) override {
    add(Kind::kMembers, Family::kViews, key, change);
  }
  void patch(std::string_view key, std::string_view patch) override { add(Kind::kPatch, Family::kState, key, patch); }
  size_t bytes() const override { return bytes_; }
  size_t rows() const override { return changes_.size(); }

  const std::vector<Change>& changes() const { return changes_; }
  void clear() { changes_.clear(), bytes_ = 0; }

 private:
  void add(Kind kind, Family family, std::string_view key, std::string_view value) {
    bytes_ += key.size() + value.size() + 4;  // about what a batch of RocksDB takes
    changes_.push_back({kind, family, std::string(key), std::string(value)});
  }
  std::vector<Change> changes_;
  size_t bytes_ = 0;
};

bool find_row(const Rows& rows, std::string_view key, std::string& value) {
  const auto it = rows.find(key);
  if (it == rows.end()) return false;
  value = it->second;
  return true;
}

class MemorySnapshot final : public Snapshot {
 public:
  // `mutex`: the store's, held by the caller.
  MemorySnapshot(const Families& families, std::shared_ptr<std::mutex> mutex)
      : families_(families), mutex_(std::move(mutex)) {}
  // Under the mutex, so that a writer who finds the maps unshared comes after whatever was read here: use_count() alone
  // orders nothing.
  ~MemorySnapshot() override {
    const std::lock_guard lock(*mutex_);
    families_ = {};
  }

  bool read(Family family, std::string_view key, Status& status,
            absl::FunctionRef<void(std::string_view)> take) const override {
    status = Status::fine();
    const Rows& rows = *families_[index_of(family)];
    const auto it = rows.find(key);
    if (it != rows.end()) take(it->second);
    return it != rows.end();
  }
  Status scan(Family family, std::string_view from, std::string_view to,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    const Rows& rows = *families_[index_of(family)];
    for (auto it = rows.lower_bound(from); it != rows.end() && (to.empty() || it->first < to); ++it) {
      if (!visit(it->first, it->second)) break;
    }
    return Status::fine();
  }
  Status scan_back(Family family, std::string_view from, std::string_view to,
                   const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    const Rows& rows = *families_[index_of(family)];
    auto it = to.empty() ? rows.end() : rows.lower_bound(to);
    while (it != rows.begin()) {
      --it;
      if (it->first < from || !visit(it->first, it->second)) break;
    }
    return Status::fine();
  }

 private:
  Families families_;
  const std::shared_ptr<std::mutex> mutex_;  // a snapshot may outlive its store
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(MemoryFaults* faults) : faults_(faults) {
    for (auto& rows : families_) rows = std::make_shared<Rows>();
  }

  std::unique_ptr<WriteSet> new_write_set() override { return std::make_unique<MemoryWriteSet>(); }

  Status write(WriteSet& set, bool /*sync*/) override {
    auto* changes = dynamic_cast<MemoryWriteSet*>(&set);
    BELLWETHER_REQUIRE(changes != nullptr, "a write set of another store was written to the one in memory");
    const std::lock_guard lock(*mutex_);
    if (fails()) return Status::error("cannot write to the store in memory: told to fail");
    for (const auto& change : changes->changes()) {
      Rows& rows = writable(change.family);
      switch (change.kind) {
        case MemoryWriteSet::Kind::kPut:
          rows.insert_or_assign(change.key, change.value);
          break;
        case MemoryWriteSet::Kind::kErase:
          if (const auto it = rows.find(change.key); it != rows.end()) rows.erase(it);
          break;
        case MemoryWriteSet::Kind::kEraseRange:
          rows.erase(rows.lower_bound(change.key), rows.lower_bound(change.value));
          break;
        case MemoryWriteSet::Kind::kMembers: {
          std::string row;
          const std::string_view text = change.value;
          const auto it = rows.find(change.key);
          BELLWETHER_REQUIRE(change_members(it == rows.end() ? "" : it->second, {&text, 1}, row),
                             "a change of members that is none was written to the store in memory");
          if (!row.empty()) {
            rows.insert_or_assign(change.key, row);
          } else if (it != rows.end()) {
            rows.erase(it);
          }
          break;
        }
        case MemoryWriteSet::Kind::kPatch: {
          std::string row;
          const std::string_view text = change.value;
          const auto it = rows.find(change.key);
          BELLWETHER_REQUIRE(it != rows.end() && apply_patches(it->second, {&text, 1}, row),
                             "a patch that was made for another row was written to the store in memory");
          it->second = std::move(row);
          break;
        }
      }
    }
    changes->clear();
    return Status::fine();
  }

  bool get(Family family, std::string_view key, std::string& value, Status& status) const override {
    status = Status::fine();
    const std::lock_guard lock(*mutex_);
    return find_row(*families_[index_of(family)], key, value);
  }

  Status multi_get(Family family, std::span<const std::string_view> keys, EachFound each) const override {
    const std::lock_guard lock(*mutex_);
    const Rows& rows = *families_[index_of(family)];
    std::string value;
    for (size_t i = 0; i < keys.size(); ++i) {
      const bool found = find_row(rows, keys[i], value);
      const std::string_view there = value;
      each(i, found ? &there : nullptr);
    }
    return Status::fine();
  }

  std::shared_ptr<const Snapshot> snapshot() const override {
    const std::lock_guard lock(*mutex_);
    return std::make_shared<MemorySnapshot>(families_, mutex_);
  }

  Status drop_range(Family family, std::string_view from, std::string_view to) override {
    const std::lock_guard lock(*mutex_);
    if (fails()) return Status::error("cannot drop rows from the store in memory: told to fail");
    if (from >= to) return Status::fine();
    Rows& rows = writable(family);
    rows.erase(rows.lower_bound(from), rows.lower_bound(to));
    return Status::fine();
  }

  Figures figures() const override {
    const std::lock_guard lock(*mutex_);
    Figures figures;
    for (const auto& rows : families_) {
      figures.estimated_rows += rows->size();
      for (const auto& [key, value] : *rows) figures.memtable_bytes += key.size() + value.size();
    }
    return figures;
  }

 private:
  bool fails() {
    if (faults_ == nullptr || faults_->fail_write_after < 0) return false;
    if (faults_->fail_write_after == 0) return true;
    --faults_->fail_write_after;
    return false;
  }
  Rows& writable(Family family) {
    auto& rows = families_[index_of(family)];
    if (rows.use_count() > 1) rows = std::make_shared<Rows>(*rows);  // a snapshot still reads the old one
    return *rows;
  }

  const std::shared_ptr<std::mutex> mutex_ = std::make_shared<std::mutex>();
  MemoryFaults* faults_;
  Families families_;
};

}  // namespace

std::unique_ptr<Store> make_memory_store(MemoryFaults* faults) { return std::make_unique<MemoryStore>(faults); }

}  // namespace bellwether

#include "tests/sim/disk.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "operators/codec.h"
#include "pipeline/engine/check.h"
#include "pipeline/engine/members.h"
#include "pipeline/engine/row_patch.h"

namespace bellwether::sim {
namespace {

size_t index_of(Family family) { return static_cast<size_t>(family); }

uint64_t check_of(std::string_view key, std::string_view value) {
  return XXH3_64bits_withSeed(value.data(), value.size(), XXH3_64bits(key.data(), key.size()));
}

enum class Change : uint8_t { kPut = 1, kErase = 2, kEraseRange = 3, kMembers = 4, kPatch = 5 };

class SimWriteSet final : public WriteSet {
 public:
  void put(Family family, std::string_view key, std::string_view value) override {
    add(Change::kPut, family, key, value);
  }
  void erase(Family family, std::string_view key) override { add(Change::kErase, family, key, {}); }
  void erase_range(Family family, std::string_view from, std::string_view to) override {
    if (from < to) add(Change::kEraseRange, family, from, to);
  }
  void change_members(std::string_view key, std::string_view change) override {
    add(Change::kMembers, Family::kViews, key, change);
  }
  void patch(std::string_view key, std::string_view patch) override { add(Change::kPatch, Family::kState, key, patch); }
  size_t bytes() const override { return body_.size(); }
  size_t rows() const override { return rows_; }
  const std::string& body() const { return body_; }
  void clear() { body_.clear(), rows_ = 0; }

 private:
  void add(Change change, Family family, std::string_view key, std::string_view value) {
    Writer w(body_);
    w.u8(static_cast<uint8_t>(change)), w.u8(static_cast<uint8_t>(family)), w.bytes(key), w.bytes(value);
    ++rows_;
  }
  std::string body_;
  size_t rows_ = 0;
};

Rows& writable(Families& families, Family family) {
  auto& rows = families[index_of(family)];
  if (rows.use_count() > 1) rows = std::make_shared<Rows>(*rows);  // a snapshot, or the disk, has the old ones
  return *rows;
}

void put_in(Families& families, std::string_view body) {
  Reader r(body);
  while (!r.done()) {
    const auto change = static_cast<Change>(r.u8());
    const auto family = static_cast<Family>(r.u8());
    const std::string_view key = r.bytes(), value = r.bytes();
    BELLWETHER_REQUIRE(r.ok(), "a whole record of the simulated log cannot be read");
    Rows& rows = writable(families, family);
    switch (change) {
      case Change::kPut:
        rows.insert_or_assign(std::string(key), Row{std::string(value), check_of(key, value)});
        break;
      case Change::kErase:
        if (const auto it = rows.find(key); it != rows.end()) rows.erase(it);
        break;
      case Change::kEraseRange:
        rows.erase(rows.lower_bound(key), rows.lower_bound(value));
        break;
      case Change::kMembers: {
        std::string row;
        const auto it = rows.find(key);
        BELLWETHER_REQUIRE(change_members(it == rows.end() ? "" : it->second.value, {&value, 1}, row),
                           "a change of members in the simulated log is none");
        if (!row.empty()) {
          rows.insert_or_assign(std::string(key), Row{row, check_of(key, row)});
        } else if (it != rows.end()) {
          rows.erase(it);
        }
        break;
      }
      case Change::kPatch: {
        std::string row;
        const auto it = rows.find(key);
        BELLWETHER_REQUIRE(it != rows.end() && apply_patches(it->second.value, {&value, 1}, row),
                           "a patch in the simulated log was made for another row");
        it->second = {row, check_of(key, row)};
        break;
      }
    }
  }
}

std::string record_of(std::string_view body) {
  const uint64_t check = XXH3_64bits(body.data(), body.size());
  std::string out(reinterpret_cast<const char*>(&check), sizeof check);
  return out.append(body);
}

bool whole(std::string_view record, std::string_view& body) {
  uint64_t check = 0;
  if (record.size() < sizeof check) return false;
  std::memcpy(&check, record.data(), sizeof check);
  body = record.substr(sizeof check);
  return XXH3_64bits(body.data(), body.size()) == check;
}

// Reads with what may go wrong in them.
class Reading {
 public:
  explicit Reading(Chaos& chaos) : chaos_(chaos) {}

  bool get(const Rows& rows, std::string_view key, std::string& value, Status& status) const {
    status = fails();
    if (!status.ok()) return false;
    const auto it = rows.find(key);
    if (it == rows.end()) return false;
    return take(it->first, it->second, value, status);
  }
  Status scan(const Rows& rows, std::string_view from, std::string_view to, bool back,
              const std::function<bool(std::string_view, std::string_view)>& visit) const {
    if (Status status = fails(); !status.ok()) return status;
    const auto begin = rows.lower_bound(from), end = to.empty() ? rows.end() : rows.lower_bound(to);
    if (!to.empty() && from >= to) return {};
    Status status;
    std::string value;
    if (back) {
      for (auto it = end; it != begin;) {
        --it;
        if (!take(it->first, it->second, value, status)) return status;
        if (!visit(it->first, value)) break;
      }
    } else {
      for (auto it = begin; it != end; ++it) {
        if (!take(it->first, it->second, value, status)) return status;
        if (!visit(it->first, value)) break;
      }
    }
    return {};
  }

 private:
  Status fails() const {
    if (chaos_.roll(Fault::kReadError)) return Status::error("cannot read the simulated store: I/O error");
    return {};
  }
  // The row as it comes from the disk; false where its checksum says that it is not what was written.
  bool take(const std::string& key, const Row& row, std::string& value, Status& status) const {
    value = row.value;
    uint64_t check = row.check;
    if (chaos_.roll(Fault::kBitFlip)) {
      auto& dice = chaos_.dice(Fault::kBitFlip);
      const auto bit = static_cast<size_t>(dice.below(static_cast<int64_t>(value.size() * 8 + 64)));
      if (bit < value.size() * 8) {
        value[bit / 8] = static_cast<char>(value[bit / 8] ^ (1 << bit % 8));
      } else {
        check ^= uint64_t{1} << (bit - value.size() * 8);
      }
    }
    if (check_of(key, value) == check) return true;
    value.clear();
    status = Status::error("cannot read the simulated store: a block's checksum does not match");
    return false;
  }
  Chaos& chaos_;
};

class SimSnapshot final : public Snapshot {
 public:
  SimSnapshot(const Families& families, Chaos& chaos) : families_(families), reading_(chaos) {}
  bool read(Family family, std::string_view key, Status& status,
            absl::FunctionRef<void(std::string_view)> take) const override {
    std::string value;
    const bool there = reading_.get(*families_[index_of(family)], key, value, status);
    if (there) take(value);
    return there;
  }
  Status scan(Family family, std::string_view from, std::string_view to,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return reading_.scan(*families_[index_of(family)], from, to, false, visit);
  }
  Status scan_back(Family family, std::string_view from, std::string_view to,
                   const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return reading_.scan(*families_[index_of(family)], from, to, true, visit);
  }

 private:
  Families families_;
  Reading reading_;
};

}  // namespace

Disk::Disk() {
  for (auto& rows : durable_) rows = std::make_shared<Rows>();
}

bool Disk::get(Family family, std::string_view key, std::string& value) const {
  const auto it = rows(family).find(key);
  if (it == rows(family).end()) return false;
  value = it->second.value;
  return true;
}

void Disk::crash(Chaos& chaos) {
  if (log_.empty() || !chaos.roll(Fault::kPowerLoss)) return;
  auto& dice = chaos.dice(Fault::kPowerLoss);
  const auto kept = static_cast<size_t>(dice.below(static_cast<int64_t>(log_.size()) + 1));
  if (kept == log_.size()) return;
  std::string torn = log_[kept];
  log_.resize(kept);
  if (torn.empty() || !chaos.roll(Fault::kTornWrite)) return;  // empty: torn before, by the crash of a recovery
  auto& how = chaos.dice(Fault::kTornWrite);
  if (how.chance(50)) {
    torn.resize(static_cast<size_t>(how.below(static_cast<int64_t>(torn.size()))));
  } else {  // the file has its length, a page of it never came
    const auto from = static_cast<size_t>(how.below(static_cast<int64_t>(torn.size())));
    for (size_t i = from; i < std::min(torn.size(), from + 64); ++i) torn[i] = static_cast<char>(torn[i] ^ 0x5a);
  }
  log_.push_back(std::move(torn));
}

void Disk::recover(Chaos& chaos) {
  size_t good = 0;
  for (const std::string& record : log_) {
    std::string_view body;
    if (!whole(record, body)) break;
    put_in(durable_, body);
    ++good;
  }
  if (!log_.empty())
    chaos.say("the store is opened: " + std::to_string(good) + " of " + std::to_string(log_.size()) +
              " writes that were not synced are there");
  log_.clear();
  if (full_ > 0) --full_;
}

class SimStore final : public Store {
 public:
  SimStore(Disk& disk, Chaos& chaos) : disk_(disk), chaos_(chaos), reading_(chaos), now_(disk.durable_) {}

  std::unique_ptr<WriteSet> new_write_set() override { return std::make_unique<SimWriteSet>(); }

  Status write(WriteSet& set, bool sync) override {
    auto* changes = dynamic_cast<SimWriteSet*>(&set);
    BELLWETHER_REQUIRE(changes != nullptr, "a write set of another store");
    chaos_.kill(Fault::kKillBeforeWrite);
    Status status = append(changes->body(), sync);
    if (status.ok()) changes->clear();
    if (status.ok() && sync) {
      committed_ = true;
      chaos_.kill(Fault::kKillAfterSync);
    }
    return status;
  }
  bool get(Family family, std::string_view key, std::string& value, Status& status) const override {
    return reading_.get(*now_[index_of(family)], key, value, status);
  }
  Status multi_get(Family family, std::span<const std::string_view> keys, EachFound each) const override {
    std::vector<std::string> values(keys.size());
    std::vector<bool> found(keys.size());
    Status first;
    for (size_t i = 0; i < keys.size(); ++i) {
      Status status;
      found[i] = reading_.get(*now_[index_of(family)], keys[i], values[i], status);
      if (!status.ok() && first.ok()) first = std::move(status);
    }
    for (size_t i = 0; first.ok() && i < keys.size(); ++i) {
      const std::string_view value = values[i];
      each(i, found[i] ? &value : nullptr);
    }
    return first;
  }
  std::shared_ptr<const Snapshot> snapshot() const override {
    if (std::exchange(committed_, false)) chaos_.kill(Fault::kKillBeforePublish);
    return std::make_shared<SimSnapshot>(now_, chaos_);
  }
  Status drop_range(Family family, std::string_view from, std::string_view to) override {
    if (from >= to) return {};
    chaos_.kill(Fault::kKillBeforeDrop);
    SimWriteSet set;
    set.erase_range(family, from, to);
    return append(set.body(), false);
  }
  Figures figures() const override { return {}; }

 private:
  Status append(const std::string& body, bool sync) {
    if (!broken_.empty()) return Status::error("the simulated store takes no writes any more: " + broken_);
    std::string record = record_of(body);
    if (chaos_.roll(Fault::kDiskFull)) disk_.full_ = 1 + static_cast<int>(chaos_.dice(Fault::kDiskFull).below(3));
    if (disk_.full_ > 0) return failed(record, Fault::kDiskFull, "no space left on device");
    if (chaos_.roll(Fault::kWriteError)) return failed(record, Fault::kWriteError, "I/O error");
    disk_.log_.push_back(std::move(record));
    put_in(now_, body);
    if (!sync) return {};
    chaos_.kill(Fault::kKillAfterWrite);
    if (chaos_.roll(Fault::kSyncError)) {
      broken_ = "fsync failed";
      return Status::error("cannot write to the simulated store: fsync failed");
    }
    disk_.durable_ = now_;
    disk_.log_.clear();
    return {};
  }
  // Some of the record is on the disk all the same.
  Status failed(std::string& record, Fault fault, const char* why) {
    record.resize(static_cast<size_t>(chaos_.dice(fault).below(static_cast<int64_t>(record.size()) + 1)));
    disk_.log_.push_back(std::move(record));
    broken_ = why;
    return Status::error("cannot write to the simulated store: " + broken_);
  }

  Disk& disk_;
  Chaos& chaos_;
  Reading reading_;
  Families now_;  // what readers see: everything written
  std::string broken_;
  mutable bool committed_ = false;
};

std::unique_ptr<Store> open_sim_store(Disk& disk, Chaos& chaos) { return std::make_unique<SimStore>(disk, chaos); }

}  // namespace bellwether::sim

// Patches of rows: what was made of a row and the next one gives the next one, in whatever way stores work them in.
#include "pipeline/engine/row_patch.h"

#include <map>
#include <random>

#include "tests/unit/store_rig.h"

namespace bellwether::row_patch_test {
namespace {

// Rows as states change: bytes in place, lists that grow, parts that go.
class Rows {
 public:
  explicit Rows(uint64_t seed) : random_(seed) {}
  size_t below(size_t n) { return random_() % n; }
  std::string some(size_t bytes) {
    std::string out;
    while (out.size() < bytes) out.push_back(static_cast<char>(below(2) == 0 ? below(3) : below(256)));
    return out;
  }
  std::string next(std::string row) {
    for (size_t n = below(6); n > 0; --n) {
      const size_t at = below(row.size() + 1);
      switch (below(4)) {
        case 0:
          row.insert(at, some(1 + below(below(4) == 0 ? 200 : 30)));
          break;
        case 1:
          row.erase(at, below(below(4) == 0 ? 200 : 30));
          break;
        case 2:
          if (at < row.size()) row[at] = static_cast<char>(below(256));
          break;
        default:
          row.replace(at, below(20), some(below(20)));
      }
    }
    return row;
  }

 private:
  std::mt19937_64 random_;
};

std::string patch_of(std::string_view before, std::string_view after) {
  std::string patch;
  EXPECT_TRUE(make_patch(before, after, SIZE_MAX, patch));
  return patch;
}

TEST(RowPatch, GivesTheRowItWasMadeFor) {
  Rows rows(1);
  for (int round = 0; round < 3000; ++round) {
    const std::string begin = rows.some(rows.below(round % 10 == 0 ? 5000 : 300));
    std::string row = begin;
    std::vector<std::string> patches;
    for (size_t n = 1 + rows.below(8); n > 0; --n) {
      const std::string next = rows.below(20) == 0 ? "" : rows.next(row);
      patches.push_back(patch_of(row, next));
      const std::string_view one = patches.back();
      std::string out;
      ASSERT_TRUE(apply_patches(row, {&one, 1}, out));
      ASSERT_EQ(out, next);
      row = next;
    }
    const std::vector<std::string_view> all(patches.begin(), patches.end());
    std::string at_once;
    ASSERT_TRUE(apply_patches(begin, all, at_once));
    ASSERT_EQ(at_once, row);
  }
}

// What a like changes of a row: a count, a time, a list that grows by an entry in the middle.
TEST(RowPatch, IsSmallWhereLittleChanges) {
  Rows rows(2);
  const std::string begin = rows.some(200), middle = rows.some(300), end = rows.some(200);
  const std::string before = begin + "\x07" + middle + end;
  const std::string after = begin + "\x08" + middle + rows.some(24) + end;
  EXPECT_LT(patch_of(before, after).size(), 24U + 24U);
  EXPECT_LT(patch_of(after, before).size(), 24U);
  EXPECT_LT(patch_of(before, before).size(), 10U);
  // Both goes and comes, of different lengths, further apart than bytes that change in place.
  EXPECT_LT(patch_of(begin + rows.some(50) + end, begin + rows.some(70) + end).size(), 70U + 20U);
}

TEST(RowPatch, TakesNoMoreThanItMay) {
  Rows rows(3);
  std::string patch;
  for (int round = 0; round < 1000; ++round) {
    const std::string row = rows.some(200), next = rows.next(row);
    const size_t bytes = patch_of(row, next).size();
    EXPECT_TRUE(make_patch(row, next, bytes, patch));
    EXPECT_FALSE(make_patch(row, next, bytes - 1, patch));
  }
}

TEST(RowPatch, WhatIsNoneIsSaid) {
  Rows rows(4);
  const std::string row = rows.some(200), next = rows.next(row) + "end";
  const std::string good = patch_of(row, next);
  const auto refused = [](std::string_view of, std::string_view patch) {
    std::string out;
    return !apply_patches(of, {&patch, 1}, out);
  };
  EXPECT_FALSE(refused(row, good));
  for (size_t cut = 0; cut < good.size(); ++cut) EXPECT_TRUE(refused(row, good.substr(0, cut))) << cut;
  EXPECT_TRUE(refused(row, good + "more"));
  EXPECT_TRUE(refused(next, good));
  EXPECT_TRUE(refused("", good));
  std::string other = row;
  other.front() ^= 1;  // as long as the one it was made for
  EXPECT_TRUE(refused(other, good));
  EXPECT_TRUE(refused(row, std::string(16, '\xff')));
  for (int round = 0; round < 5000; ++round) {
    std::string broken = good;
    broken[rows.below(broken.size())] ^= static_cast<char>(1 + rows.below(255));
    std::string out;
    const std::string_view one = broken;
    if (!apply_patches(row, {&one, 1}, out)) continue;
    EXPECT_EQ(out, next);  // a step may say the same in another way
  }
}

// Rows in a store, written whole or as patches, and what they should be.
class PatchedRows {
 public:
  explicit PatchedRows(uint64_t seed) : rows_(seed) {}
  void write(Store& store) {
    auto set = store.new_write_set();
    for (int n = 0; n < 6; ++n) {
      const std::string key(1, static_cast<char>('a' + rows_.below(8)));
      const auto at = model_.find(key);
      if (at == model_.end() || rows_.below(9) == 0) {
        set->put(Family::kState, key, model_[key] = rows_.some(50 + rows_.below(400)));
      } else if (rows_.below(12) == 0) {
        set->erase(Family::kState, key), model_.erase(at);
      } else {
        const std::string next = rows_.next(at->second) + "x";
        set->patch(key, patch_of(at->second, next));
        at->second = next;
      }
    }
    EXPECT_EQ(set->rows(), 6U);
    EXPECT_EQ(store.write(*set, false).message, "");
  }
  void expect_in(const Store& store, const Snapshot& snapshot) const {
    std::map<std::string, std::string> scanned;
    const auto take = [&](std::string_view key, std::string_view row) {
      return scanned.emplace(std::string(key), std::string(row)).second;
    };
    EXPECT_EQ(snapshot.scan(Family::kState, {}, {}, take).message, "");
    EXPECT_EQ(scanned, model_);
    for (const auto& [key, row] : model_) EXPECT_EQ(get(store, Family::kState, key), row);
    std::vector<std::string_view> keys;
    for (const auto& [key, row] : model_) keys.push_back(key);
    size_t read = 0;
    EXPECT_EQ(store
                  .multi_get(Family::kState, keys,
                             [&](size_t i, const std::string_view* row) {
                               ASSERT_NE(row, nullptr);
                               EXPECT_EQ(*row, model_.at(std::string(keys[i])));
                               ++read;
                             })
                  .message,
              "");
    EXPECT_EQ(read, model_.size());
  }
  void expect_then(const Snapshot& snapshot) const {
    for (const auto& [key, row] : model_) {
      std::string value;
      Status status;
      EXPECT_TRUE(snapshot.get(Family::kState, key, value, status));
      EXPECT_EQ(value, row);
    }
  }

 private:
  Rows rows_;
  std::map<std::string, std::string> model_;
};

using StorePatches = BothStores;

TEST_P(StorePatches, RowsAreWhatWasWritten) {
  PatchedRows model(5);
  for (int i = 0; i < 300; ++i) {
    const PatchedRows then = model;
    const auto before = store_->snapshot();
    model.write(*store_);
    then.expect_then(*before);
    model.expect_in(*store_, *store_->snapshot());
  }
}

INSTANTIATE_TEST_SUITE_P(Both, StorePatches, ::testing::Bool(), store_name);

TEST(RocksStore, PatchesOverReopening) {
  PatchedRows model(6);
  over_reopening(
      Family::kState, [&](Store& store) { model.write(store); },
      [&](const Store& store) { model.expect_in(store, *store.snapshot()); });
}

// A row that is not the one a patch was made for is damage, said to whoever reads it.
TEST(RocksStore, APatchOfAnotherRowIsDamage) {
  for (const bool there : {true, false}) {
    const TemporaryFolder folder;
    const auto store = open_or_fail(folder.path());
    auto set = store->new_write_set();
    if (there) set->put(Family::kState, "key", "another row");
    set->patch("key", patch_of("the row it was made for", "the row it gives"));
    write_or_fail(*store, *set);
    std::string value;
    Status status;
    EXPECT_FALSE(store->get(Family::kState, "key", value, status));
    EXPECT_NE(status.message.find("is damaged"), std::string::npos) << status.message;
    EXPECT_FALSE(store->snapshot()->scan(Family::kState, {}, {}, [](auto, auto) { return true; }).ok());
  }
}

}  // namespace
}  // namespace bellwether::row_patch_test

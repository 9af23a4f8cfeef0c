// Rows of members in both stores: the sets that were asked for, whatever the store did with the changes since.
#include <map>
#include <random>
#include <set>

#include "pipeline/engine/members.h"
#include "tests/unit/store_rig.h"

namespace bellwether::store_members_test {
namespace {

// Rows of members, and what was asked of them.
class MembersModel {
 public:
  explicit MembersModel(uint64_t seed) : random_(seed) {}
  // One write: some rows change, one of them twice.
  void change(Store& store) {
    auto set = store.new_write_set();
    for (int n = 0; n < 4; ++n) {
      const std::string key = "B" + std::to_string(random_() % 3);
      std::set<uint64_t>& members = rows_[key];
      std::set<uint64_t> gone, come;
      for (uint64_t i = random_() % 6; i > 0; --i) gone.insert(random_() % 12);
      for (uint64_t i = random_() % 4; i > 0; --i)
        if (const uint64_t member = random_() % 12; !gone.contains(member)) come.insert(member);
      if (random_() % 4 == 0) gone = members, come.clear();
      for (const uint64_t member : gone) members.erase(member);
      members.insert(come.begin(), come.end());
      const std::vector<uint64_t> out(gone.begin(), gone.end()), in(come.begin(), come.end());
      set->change_members(key, members_change(out, in));
    }
    EXPECT_EQ(set->rows(), 4U);
    EXPECT_EQ(store.write(*set, false).message, "");
  }
  void expect_in(const Snapshot& snapshot) const {
    std::map<std::string, std::set<uint64_t>> forward, back, model = rows_;
    std::erase_if(model, [](const auto& row) { return row.second.empty(); });
    const auto into = [](auto& rows) {
      return [&rows](std::string_view key, std::string_view row) {
        EXPECT_FALSE(row.empty());
        EXPECT_TRUE(each_member(row, [&](uint64_t member) { return rows[std::string(key)].insert(member).second; }));
        return true;
      };
    };
    EXPECT_EQ(snapshot.scan(Family::kViews, {}, {}, into(forward)).message, "");
    EXPECT_EQ(snapshot.scan_back(Family::kViews, {}, {}, into(back)).message, "");
    EXPECT_EQ(forward, model);
    EXPECT_EQ(back, model);
    for (const auto& [key, members] : rows_) {
      std::string row;
      Status status;
      EXPECT_EQ(snapshot.get(Family::kViews, key, row, status), !members.empty());
    }
  }
  const std::map<std::string, std::set<uint64_t>>& rows() const { return rows_; }

 private:
  std::mt19937_64 random_;
  std::map<std::string, std::set<uint64_t>> rows_;
};

using StoreMembers = BothStores;

TEST_P(StoreMembers, MembersAreSets) {
  MembersModel model(2);
  std::shared_ptr<const Snapshot> before;
  for (int i = 0; i < 300; ++i) {
    const MembersModel then = model;
    before = store_->snapshot();
    model.change(*store_);
    then.expect_in(*before);
    model.expect_in(*store_->snapshot());
  }
  auto set = store_->new_write_set();
  for (const auto& [key, members] : model.rows()) set->erase(Family::kViews, key);
  set->put(Family::kViews, "C", "");  // an empty row of another kind is a row
  write_or_fail(*store_, *set);
  EXPECT_EQ(scan(*store_->snapshot(), Family::kViews, {"", ""}), "C= ");
}

INSTANTIATE_TEST_SUITE_P(Both, StoreMembers, ::testing::Bool(), store_name);

TEST(RocksStore, MembersOverReopening) {
  MembersModel model(3);
  over_reopening(
      Family::kViews, [&](Store& store) { model.change(store); },
      [&](const Store& store) { model.expect_in(*store.snapshot()); });
}

TEST(RocksStore, EmptyMembersLeaveTheFiles) {
  const TemporaryFolder folder;
  const auto store = open_or_fail(folder.path());
  const std::vector<uint64_t> one = {7}, none;
  for (const bool come : {true, false}) {
    auto set = store->new_write_set();
    for (int i = 0; i < 1000; ++i)
      set->change_members("B" + std::to_string(i), members_change(come ? none : one, come ? one : none));
    write_or_fail(*store, *set);
  }
  // The first makes rows of the changes, the second takes the empty out.
  for (int i = 0; i < 2; ++i) rewrite(*store, Family::kViews);
  EXPECT_LT(store->figures().estimated_rows, 100U);
}

}  // namespace
}  // namespace bellwether::store_members_test

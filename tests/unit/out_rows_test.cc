// Out records, many in a row of the store: none is lost, added or renumbered, whatever is delivered, and the row
// written by earlier versions reads on.
#include "pipeline/engine/out_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/engine/rows.h"

namespace bellwether::out_rows_test {
namespace {

class OutRowsTest : public testing::Test {
 protected:
  static std::string payload(uint64_t number) {
    return "payload " + std::to_string(number) + std::string(number % 90, 'x');
  }
  static ChangeId id(uint64_t number) {
    return {{static_cast<int64_t>(number / 7), 0}, {OperatorId::kScores, {KeyKind::kUser, number * 31}}, 0};
  }
  void add(uint64_t from, uint64_t to) {
    for (uint64_t n = from; n < to; ++n) out.add(n, 1, id(n), payload(n), *set);
  }
  void commit() {
    out.flush(*set);
    ASSERT_TRUE(store->write(*set, true).ok());
  }
  size_t rows() const {
    size_t n = 0;
    EXPECT_TRUE(store->snapshot()->scan(Family::kOutbox, {}, {}, [&](auto, auto) { return ++n, true; }).ok());
    return n;
  }
  std::pair<std::string, std::string> first_row() const {
    std::pair<std::string, std::string> row;
    const auto take = [&](std::string_view key, std::string_view value) {
      row.first = key, row.second = value;
      return false;
    };
    EXPECT_TRUE(store->snapshot()->scan(Family::kOutbox, {}, {}, take).ok());
    return row;
  }
  std::vector<uint64_t> numbers(uint64_t from = 0) const {
    std::vector<uint64_t> found;
    EXPECT_TRUE(store->snapshot()
                    ->scan(Family::kOutbox, keys::number(from), {},
                           [&](std::string_view key, std::string_view value) {
                             EXPECT_TRUE(each_out_row(key, value, [&](const OutRow& row) {
                               EXPECT_EQ(row.payload, payload(row.number));
                               EXPECT_EQ(row.kind, 1);
                               EXPECT_EQ(row.id.sender, id(row.number).sender);
                               found.push_back(row.number);
                               return true;
                             }));
                             return true;
                           })
                    .ok());
    return found;
  }
  static std::vector<uint64_t> range(uint64_t from, uint64_t to) {
    std::vector<uint64_t> list;
    for (; from < to; ++from) list.push_back(from);
    return list;
  }

  std::unique_ptr<Store> store = make_memory_store();
  std::unique_ptr<WriteSet> set = store->new_write_set();
  OutRows out;
};

TEST_F(OutRowsTest, ManyStandInARowAndAllAreThere) {
  add(1, 2001);
  commit();
  EXPECT_EQ(numbers(), range(1, 2001));
  EXPECT_LT(rows(), 20U);
  add(2001, 2002);
  commit();
  add(2002, 2005);
  commit();
  EXPECT_EQ(numbers(), range(1, 2005));
}

TEST_F(OutRowsTest, WhatIsDeliveredGoesAndNothingBehindIt) {
  add(1, 2001);
  commit();
  for (const uint64_t through : {1U, 99U, 500U, 1500U, 1999U}) {
    set->erase_range(Family::kOutbox, keys::number(0), keys::number(through + 1));
    ASSERT_TRUE(store->write(*set, true).ok());
    const std::vector<uint64_t> left = numbers();
    ASSERT_FALSE(left.empty());
    EXPECT_LE(left.front(), through + 1);  // whole rows: some that were delivered may come again
    EXPECT_EQ(left, range(left.front(), 2001));
    const std::vector<uint64_t> next = numbers(through + 1);
    EXPECT_LE(next.front(), through + 1);
  }
  set->erase_range(Family::kOutbox, keys::number(0), keys::number(2001));
  ASSERT_TRUE(store->write(*set, true).ok());
  EXPECT_EQ(rows(), 0U);
}

TEST_F(OutRowsTest, ARowOfEarlierVersionsReads) {
  set->put(Family::kOutbox, keys::number(1), encode_out_row(1, id(1), payload(1)));
  add(2, 3);
  commit();
  add(3, 9);
  commit();
  EXPECT_EQ(numbers(), range(1, 9));
  EXPECT_EQ(rows(), 3U);
}

TEST_F(OutRowsTest, AGapInTheNumbersBeginsARow) {
  add(1, 5);
  add(9, 12);
  commit();
  EXPECT_EQ(numbers(), (std::vector<uint64_t>{1, 2, 3, 4, 9, 10, 11}));
}

TEST_F(OutRowsTest, ChangesOneAndKeepsTheOthers) {
  add(1, 30);
  commit();
  const auto [key, value] = first_row();
  std::string changed;
  EXPECT_FALSE(change_out_rows(
      key, value, [](const OutRow&, std::string&) { return false; }, changed));
  EXPECT_TRUE(change_out_rows(
      key, value, [](const OutRow& row, std::string& to) { return to = "gone", row.number == 17; }, changed));
  std::map<uint64_t, std::string> found;
  EXPECT_TRUE(each_out_row(key, changed, [&](const OutRow& row) { return found[row.number] = row.payload, true; }));
  EXPECT_EQ(found.size(), 29U);
  for (const auto& [number, text] : found) EXPECT_EQ(text, number == 17 ? "gone" : payload(number));
}

TEST_F(OutRowsTest, WhatIsCutOrHostileIsRefused) {
  add(1, 30);
  commit();
  const auto [key, value] = first_row();
  const auto reads = [](std::string_view k, std::string_view v) {
    return each_out_row(k, v, [](const OutRow&) { return true; });
  };
  ASSERT_TRUE(reads(key, value));
  for (size_t n = 0; n < value.size(); ++n) EXPECT_FALSE(reads(key, std::string_view(value).substr(0, n))) << n;
  EXPECT_FALSE(reads(key, value + "x"));
  EXPECT_FALSE(reads(keys::number(28), value));  // more than there are numbers
  EXPECT_FALSE(reads(key, std::string("\xff\x01", 2)));
  EXPECT_FALSE(reads(key, std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10)));
  EXPECT_FALSE(reads("x", value));
}

}  // namespace
}  // namespace bellwether::out_rows_test

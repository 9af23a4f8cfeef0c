#include "pipeline/engine/members.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace bellwether::members_test {
namespace {

using Set = std::set<uint64_t>;

std::string row_of(const Set& members) {
  const std::vector<uint64_t> come(members.begin(), members.end());
  std::string row;
  const std::string change = members_change({}, come);
  const std::string_view one = change;
  EXPECT_TRUE(change_members("", {&one, 1}, row));
  return row;
}

// Changes one by one, all at once, and joined first in parts: the same row, that of the plain set.
TEST(Members, AreThePlainSet) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 2000; ++round) {
    const uint64_t many = 1 + random() % (round % 10 == 0 ? 500 : 20);
    const auto any = [&] {
      Set out;
      for (uint64_t i = random() % many; i > 0; --i) out.insert(random() % 3 == 0 ? random() : random() % (2 * many));
      return out;
    };
    Set model = any();
    const std::string begin = row_of(model);
    std::string row = begin;
    std::vector<std::string> changes;
    for (uint64_t n = 1 + random() % 8; n > 0; --n) {
      Set gone = any(), come = any();
      for (const uint64_t member : come) gone.erase(member);
      if (random() % 8 == 0) gone = model, come.clear();
      for (const uint64_t member : gone) model.erase(member);
      model.insert(come.begin(), come.end());
      const std::vector<uint64_t> out(gone.begin(), gone.end()), in(come.begin(), come.end());
      changes.push_back(members_change(out, in));
      const std::string_view one = changes.back();
      std::string next;
      ASSERT_TRUE(change_members(row, {&one, 1}, next));
      row = next;
    }
    ASSERT_EQ(row, row_of(model));
    const std::vector<std::string_view> all(changes.begin(), changes.end());
    std::string at_once;
    ASSERT_TRUE(change_members(begin, all, at_once));
    ASSERT_EQ(at_once, row);
    const size_t cut = random() % all.size();
    std::vector<std::string_view> parts;
    std::string first, second;
    ASSERT_TRUE(join_changes(std::span(all).first(cut), first));
    ASSERT_TRUE(join_changes(std::span(all).subspan(cut), second));
    if (cut != 0) parts.push_back(first);
    parts.push_back(second);
    ASSERT_TRUE(change_members(begin, parts, at_once));
    ASSERT_EQ(at_once, row);

    Set forward, back;
    ASSERT_TRUE(each_member(row, [&](uint64_t member) { return forward.insert(member).second; }));
    ASSERT_TRUE(each_member_back(row, [&](uint64_t member) { return back.insert(member).second; }));
    ASSERT_EQ(forward, model);
    ASSERT_EQ(back, model);
    for (uint64_t member = 0; member < 10; ++member) ASSERT_EQ(has_member(row, member), model.contains(member));
  }
}

TEST(Members, WhatIsNoneIsSaid) {
  const std::vector<uint64_t> two = {1, 2};
  const std::string good = members_change(two, {}), row = row_of({1, 2, 3});
  const auto refused = [&](std::string_view of, std::string_view change) {
    std::string out;
    return !change_members(of, {&change, 1}, out);
  };
  EXPECT_FALSE(refused(row, good));
  EXPECT_TRUE(refused(row.substr(1), good));
  for (const std::string& bad : {std::string(), good.substr(0, 16), good + "x", "\x03" + good.substr(1),
                                 std::string(1, '\xff'), std::string(11, '\xff') + good,
                                 good.substr(0, 1) + good.substr(9, 8) + good.substr(1, 8),  // they do not ascend
                                 good.substr(0, 9) + good.substr(1, 8)})
    EXPECT_TRUE(refused(row, bad));
  const std::string_view bad = "\x05", fine = good;
  std::string out;
  EXPECT_FALSE(join_changes(std::vector{fine, bad}, out));
  EXPECT_FALSE(each_member("123", [](uint64_t) { return true; }));
  EXPECT_FALSE(each_member_back("123", [](uint64_t) { return true; }));
  EXPECT_FALSE(has_member("", 1));
}

}  // namespace
}  // namespace bellwether::members_test

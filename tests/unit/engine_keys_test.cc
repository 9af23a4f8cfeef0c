// Frozen bytes of every key: a change here means a new format version of the store.
#include <gtest/gtest.h>

#include "pipeline/engine/keys.h"

namespace bellwether::engine_keys_test {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[c & 15];
  }
  return out;
}

const StateKey kName{OperatorId::kScores, {KeyKind::kUser, 0x0123456789abcdef}};

TEST(EngineKeys, Frozen) {
  EXPECT_EQ(hex(keys::state(kName)),
            "0001000501"
            "0123456789abcdef");
  EXPECT_EQ(hex(keys::ledger(-1, kName, 7)),
            "7fffffff0001000501"
            "0123456789abcdef"
            "00000007");
  EXPECT_EQ(hex(keys::timer({5, kName})),
            "8000000000000005000501"
            "0123456789abcdef");
  EXPECT_EQ(hex(keys::index({33, 9, kName.key})),
            "4921"
            "0000000000000009"
            "01"
            "0123456789abcdef");
  EXPECT_EQ(hex(keys::members({33, 9, {KeyKind::kUser, 0xa123456789abcdef}})),
            "4221"
            "0000000000000009"
            "010a");
  EXPECT_EQ(hex(keys::change(OutKind::kTier, {{-2, 1}, kName, 3})),
            "4302"
            "7ffffffffffffffe"
            "00000001"
            "000501"
            "0123456789abcdef"
            "00000003");
  EXPECT_EQ(hex(keys::dead({{1, 0}, 2, 3, 4})),
            "44"
            "8000000000000001"
            "00000000"
            "0000000000000002"
            "80000003"
            "8000000000000004");
  EXPECT_EQ(hex(keys::number(258)), "0000000000000102");
  EXPECT_EQ(hex(keys::counter({1, 2})), "63000100000002");
  EXPECT_EQ(hex(keys::list_count(33, 9)), "6e210000000000000009");
}

TEST(EngineKeys, ReadBack) {
  StateKey state;
  ASSERT_TRUE(keys::parse_state(keys::state(kName), state));
  EXPECT_EQ(state, kName);
  TimerKey timer;
  ASSERT_TRUE(keys::parse_timer(keys::timer({-5, kName}), timer));
  EXPECT_EQ(timer, (TimerKey{-5, kName}));
  int64_t day = 0;
  StateKey owner;
  uint32_t number = 0;
  ASSERT_TRUE(keys::parse_ledger(keys::ledger(-1, kName, 7), day, owner, number));
  EXPECT_EQ(day, -1);
  EXPECT_EQ(owner, kName);
  EXPECT_EQ(number, 7U);
  EXPECT_FALSE(keys::parse_ledger(keys::ledger_day(-1), day, owner, number));
  IndexKey index;
  ASSERT_TRUE(keys::parse_index(keys::index({255, UINT64_MAX, kName.key}), index));
  EXPECT_EQ(index, (IndexKey{255, UINT64_MAX, kName.key}));
  EXPECT_LT(keys::index(index), keys::index_end(255));
  ASSERT_TRUE(keys::parse_members(keys::members({255, UINT64_MAX, {KeyKind::kUser, UINT64_MAX}}), index));
  EXPECT_EQ(index, (IndexKey{255, UINT64_MAX, {KeyKind::kUser, 0xf000000000000000}}));
  EXPECT_LT(keys::members(index), keys::members_end(255));
  EXPECT_LE(keys::members_from(255, UINT64_MAX), keys::members(index));
  EXPECT_FALSE(keys::parse_members(keys::members_from(255, 0) + "\x01\x10", index));  // there is no 17th part
  EXPECT_FALSE(keys::parse_members(keys::index(index), index));
  ChangeId change;
  OutKind kind;
  ASSERT_TRUE(keys::parse_change(keys::change(OutKind::kFlag, {{INT64_MIN, 9}, kName, 3}), kind, change));
  EXPECT_EQ(kind, OutKind::kFlag);
  EXPECT_EQ(change, (ChangeId{{INT64_MIN, 9}, kName, 3}));
  IndexKey place;
  ASSERT_TRUE(keys::parse_list_count(keys::list_count(255, UINT64_MAX), place.index, place.order));
  EXPECT_EQ(place, (IndexKey{255, UINT64_MAX, {}}));
  EXPECT_LT(keys::list_count(255, UINT64_MAX), keys::list_count_end());
  DeadKey dead;
  ASSERT_TRUE(keys::parse_dead(keys::dead({{7, 8}, 9, -1, 10}), dead));
  EXPECT_EQ(dead, (DeadKey{{7, 8}, 9, -1, 10}));
  EXPECT_FALSE(keys::parse_state("short", state));
  EXPECT_FALSE(keys::parse_dead(keys::dead(dead) + "x", dead));
}

// Bytes sort as the numbers do: by day before user, by slot before all else, negative before positive.
TEST(EngineKeys, Order) {
  const StateKey high{OperatorId::kPeople, {KeyKind::kUser, UINT64_MAX}};
  EXPECT_LT(keys::ledger(-1, high, 9), keys::ledger(0, kName, 0));
  EXPECT_LT(keys::ledger(3, kName, 9), keys::ledger_day(4));
  EXPECT_LT(keys::timer({-1, high}), keys::timer_slot(0));
  EXPECT_LT(keys::state(kName), keys::state(high));
  EXPECT_LT(keys::change(OutKind::kTier, {{5, 0}, high, 9}), keys::change(OutKind::kTier, {{5, 1}, kName, 0}));
}

}  // namespace
}  // namespace bellwether::engine_keys_test

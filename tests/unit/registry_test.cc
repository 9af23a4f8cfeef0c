#include "operators/registry.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace bellwether::registry_test {
namespace {

TEST(Registry, HoldsEachOperatorOnceByAscendingId) {
  std::set<std::string> names;
  OperatorId last = OperatorId::kNone;
  for (const Operator* o : all_operators()) {
    EXPECT_LT(last, o->id());
    last = o->id();
    EXPECT_TRUE(names.insert(o->name()).second);
    EXPECT_EQ(find_operator(o->id()), o);
    EXPECT_NE(o->decode({}), nullptr) << o->name();
    EXPECT_TRUE(!o->hourly() || o->key_kind() == KeyKind::kCommunity) << o->name();
  }
  EXPECT_EQ(find_operator(OperatorId::kExample), nullptr);
}

TEST(Registry, AHomeIsAnOperatorOfThatKind) {
  for (const KeyKind kind : {KeyKind::kUser, KeyKind::kPost, KeyKind::kReferral, KeyKind::kReport, KeyKind::kFlag}) {
    ASSERT_NE(find_operator(home_operator(kind)), nullptr);
    EXPECT_EQ(find_operator(home_operator(kind))->key_kind(), kind);
  }
  EXPECT_EQ(home_operator(KeyKind::kCommunity), OperatorId::kNone);
}

}  // namespace
}  // namespace bellwether::registry_test

// What a call's look-up gives of rows as they lie in the store: without the names of the erased, also where the store
// still holds them; and an error where a row is broken.
#include <gtest/gtest.h>

#include <memory>

#include "config/config.h"
#include "operators/registry.h"
#include "pipeline/engine/keys.h"
#include "pipeline/service/reading.h"

namespace bellwether::lookup_test {
namespace {

const Hasher hasher("secret");
const Key anna{KeyKind::kUser, hasher(KeyKind::kUser, "anna")};

class LookupTest : public testing::Test {
 protected:
  LookupTest() {
    std::array<OperatorId, kKeyKinds> homes{};
    for (size_t kind = 0; kind < kKeyKinds; ++kind) homes[kind] = home_operator(static_cast<KeyKind>(kind));
    operators = std::make_unique<OperatorSet>(all_operators(), homes,
                                              [](std::string_view, StateReader&) { return std::string(); });
    PeopleState people;
    people.id = "anna", people.held = Tier::kKey, people.held_reason = "a friend", people.followers = 7;
    people.portrait.act(kDayUs * 20'000, ActKind::kLike, "anna's phone");
    put(OperatorId::kPeople, people);
    ScoresState scores;
    scores.id = "anna", scores.portrait.topic("anna's garden");
    put(OperatorId::kScores, scores);
  }
  void put(OperatorId op, const State& state) {
    std::string row(1, '\0');  // no timer
    state.encode(row);
    put(op, row);
  }
  void put(OperatorId op, std::string_view row) {
    auto set = store->new_write_set();
    set->put(Family::kState, keys::state({op, anna}), row);
    ASSERT_TRUE(store->write(*set, true).ok());
  }
  Lookup lookup() const {
    ConfigVersion version;
    version.config = default_config().community;
    auto versions = std::make_shared<const std::vector<ConfigVersion>>(1, version);
    return Lookup(std::make_shared<const Reading>(
        std::make_shared<const Published>(store->snapshot(), *operators, versions, EngineProgress{}, 0, 0, erased)));
  }

  std::unique_ptr<Store> store = make_memory_store();
  std::unique_ptr<OperatorSet> operators;
  std::shared_ptr<Erased> erased = std::make_shared<Erased>(hasher);
};

TEST_F(LookupTest, GivesWhatTheRowsHold) {
  Lookup look = lookup();
  const PeopleShown* people = look.people(anna.hash);
  ASSERT_NE(people, nullptr);
  EXPECT_EQ(people->id, "anna");
  EXPECT_EQ(people->held_reason, "a friend");
  EXPECT_EQ(people->followers, 7U);
  EXPECT_EQ(look.people(anna.hash), people);  // read once
  EXPECT_EQ(look.user_name(anna.hash), "anna");
  EXPECT_EQ(look.people(1), nullptr);
  EXPECT_TRUE(look.status().ok()) << look.status().message;
}

TEST_F(LookupTest, NamesNobodyErasedWhereTheStoreStillDoes) {
  ASSERT_TRUE(erased->add(anna.hash, 4));
  Lookup look = lookup();
  const PeopleShown* people = look.people(anna.hash);
  ASSERT_NE(people, nullptr);
  EXPECT_EQ(people->id, erased_name(anna.hash));
  EXPECT_TRUE(people->held_reason.empty());
  EXPECT_TRUE(people->portrait.counts().channels.empty());
  EXPECT_TRUE(people->portrait.days().on(20'000));
  EXPECT_EQ(people->followers, 7U);
  const ScoresState* scores = look.scores(anna.hash);
  ASSERT_NE(scores, nullptr);
  EXPECT_EQ(scores->id, erased_name(anna.hash));
  EXPECT_TRUE(scores->portrait.counts().topics.empty());
  EXPECT_EQ(look.user_name(anna.hash), erased_name(anna.hash));
}

TEST_F(LookupTest, SaysThatARowIsBroken) {
  for (const std::string& row : {std::string("\0\x03\x04"
                                             "an",
                                             5),
                                 std::string("\0\x7f", 2), std::string("\xff", 1)}) {
    put(OperatorId::kPeople, row);
    Lookup look = lookup();
    EXPECT_EQ(look.people(anna.hash), nullptr);
    EXPECT_NE(look.status().message.find("damaged"), std::string::npos) << look.status().message;
  }
  put(OperatorId::kPeople, std::string(1, '\0'));  // blank: as if there were none
  Lookup look = lookup();
  EXPECT_EQ(look.people(anna.hash), nullptr);
  EXPECT_TRUE(look.status().ok());
}

}  // namespace
}  // namespace bellwether::lookup_test

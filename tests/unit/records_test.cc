// Tier and flag changes as they are stored and as they leave: enough for a consumer to act on, and the older form still
// read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operators/tiers.h"
#include "pipeline/service/convert.h"

namespace bellwether::records_test {
namespace {

using testing::ElementsAre;

const ChangeId kId{{100, 0}, StateKey::of(7, 9), 1};

FlagChange ring() {
  FlagChange change;
  change.what = FlagChange::What::kOpened;
  change.id = "ring-1", change.kind = FlagKind::kRing, change.status = FlagStatus::kOpen, change.tick = {100, 0};
  change.subjects = 40, change.beneficiaries = 2, change.evidence = 300, change.confidence_permille = 990;
  change.subject_users = {{3, "user-3"}, {1, "user-1"}, {2, {}}},
  change.beneficiary_users = {{8, "user-8"}, {3, "user-3"}};
  return change;
}

TEST(FlagRecord, NamesWhomItIsAbout) {
  FlagChange again;
  ASSERT_TRUE(decode(encode(ring()), again));
  EXPECT_EQ(again, ring());
  pb::FlagRecord record;
  ASSERT_TRUE(flag_record(kId, encode(ring()), record));
  EXPECT_EQ(record.change(), pb::FLAG_CHANGE_OPENED);
  EXPECT_THAT(record.flag().subjects(), ElementsAre("0000000000000002", "user-1", "user-3"));
  ASSERT_EQ(record.flag().beneficiaries_size(), 2);
  EXPECT_EQ(record.flag().beneficiaries(0).user(), "user-3");
  EXPECT_TRUE(record.flag().beneficiaries(0).subject());
  EXPECT_EQ(record.flag().beneficiaries(1).user(), "user-8");
  EXPECT_FALSE(record.flag().beneficiaries(1).subject());
  ASSERT_EQ(record.flag().details_size(), 2);
  EXPECT_EQ(record.flag().details(0).name() + "=" + record.flag().details(0).value(), "subjects=40");
}

// Bytes of the first version: the same up to the users.
TEST(FlagRecord, ReadsTheOlderForm) {
  FlagChange plain = ring();
  plain.subject_users.clear(), plain.beneficiary_users.clear();
  std::string old = encode(plain);
  old.resize(old.size() - 2);  // two counts of 0
  old[0] = 1;
  FlagChange read;
  ASSERT_TRUE(decode(old, read));
  EXPECT_EQ(read, plain);
  old[0] = 4;
  EXPECT_FALSE(decode(old, read));
}

TEST(FlagRecord, RefusesWhatIsCutShort) {
  const std::string whole = encode(ring());
  for (size_t n = 0; n < whole.size(); ++n) {
    FlagChange change;
    EXPECT_FALSE(decode(std::string_view(whole).substr(0, n), change)) << n;
  }
  FlagChange change;
  EXPECT_FALSE(decode(whole + "x", change));
}

TierChange rise() {
  TierChange change;
  change.user_id = "u1", change.from = Tier::kMember, change.to = Tier::kKey, change.visible = Tier::kKey;
  change.from_visible = Tier::kContributor, change.score_micros = 123'456'789, change.reason = "2 of 3 met: …";
  change.gates = {
      {"score", 100'000'000, 123'456'789, true}, {"percentile", 4000, 3999, false}, {"days active", 10, 12, true}};
  return change;
}

TEST(TierRecord, SaysWhatTheTierAskedFor) {
  CommunityConfig community;
  community.tiers[static_cast<size_t>(Tier::kKey)].top_permille = 50;
  pb::TierRecord record;
  ASSERT_TRUE(tier_record(kId, encode(rise()), community, record));
  EXPECT_EQ(record.from_visible_tier(), pb::TIER_CONTRIBUTOR);
  EXPECT_EQ(record.visible_tier(), pb::TIER_KEY);
  EXPECT_EQ(record.gates().tier(), pb::TIER_KEY);
  EXPECT_EQ(record.gates().met(), 2u);
  EXPECT_EQ(record.gates().total(), 3u);
  ASSERT_EQ(record.gates().gates_size(), 3);
  EXPECT_EQ(record.gates().gates(0).name(), "score");
  EXPECT_EQ(record.gates().gates(0).have(), 123'456'789);  // exact, whatever the sentence cuts
  EXPECT_EQ(record.gates().gates(1).name(), "top");
  EXPECT_EQ(record.gates().gates(1).required(), 50);
  EXPECT_FALSE(record.gates().gates(1).met());
  EXPECT_EQ(record.gates().gates(2).name(), "days_active");
}

TEST(TierRecord, ReadsTheOlderForm) {
  TierChange plain = rise();
  plain.gates.clear();
  std::string old = encode(plain);
  old.resize(old.size() - 2);  // the tier that members saw, and a count of 0
  old[0] = 1;
  TierChange read;
  ASSERT_TRUE(decode(old, read));
  EXPECT_EQ(read.user_id, "u1");
  EXPECT_EQ(read.from_visible, Tier::kUnspecified);
  pb::TierRecord record;
  ASSERT_TRUE(tier_record(kId, old, {}, record));
  EXPECT_FALSE(record.has_gates());
}

TEST(TierReason, CutsPointsToHundredths) {
  CommunityConfig community = default_config().community;
  auto& contributor = community.tiers[static_cast<size_t>(Tier::kContributor)];
  contributor = {};
  contributor.min_score_micros = 9'500'000;
  Standing standing;
  standing.score_micros = 9'999'999;
  TierMachine machine;
  machine.step(standing, community, {}, kHourUs, true);
  EXPECT_EQ(machine.reason, "1 of 1 met: score 9.99 of 9.5");
}

TEST(FlagDetails, AreWordsWhereNumbersWouldMislead) {
  EXPECT_EQ(detail_text({"odds", UINT32_MAX}), "beyond measure");
  EXPECT_EQ(detail_text({"odds", 75}), "75");
  EXPECT_EQ(detail_text({"tier_with", static_cast<int64_t>(Tier::kLead)}), "lead");
  EXPECT_EQ(detail_text({"score_milli", 40'000}), "40000");
}

}  // namespace
}  // namespace bellwether::records_test

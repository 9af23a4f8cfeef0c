#include "operators/referrals.h"

#include <gtest/gtest.h>

#include "operators/messages.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::referrals_test {
namespace {

constexpr int64_t kStart = 1'700'000'000 * kSecondUs;

class ReferralsTest : public testing::Test {
 protected:
  // Folds one event alone in its tick and gives what became of it.
  Outcome fold(const Fact& fact, int64_t at_us = 0) {
    world.post(fact);
    world.run_at(at_us != 0 ? at_us : fact.time_us);
    return world.context.outcomes.back();
  }
  std::vector<Credit> credits() const {
    std::vector<Credit> found;
    for (const auto& s : world.context.sent)
      if (kind_of(s.payload) == MessageKind::kCredit) found.push_back(decode_credit(s.payload));
    return found;
  }
  int64_t points_of(std::string_view user) const {
    int64_t sum = 0;
    for (const auto& s : world.context.sent)
      if (kind_of(s.payload) == MessageKind::kCredit && s.key == facts.user_key(user)) {
        EXPECT_EQ(s.to, OperatorId::kScores);
        sum += decode_credit(s.payload).authentic_micros;
      }
    return sum;
  }
  std::unique_ptr<ReferralsState> state(std::string_view referral) {
    return world.state<ReferralsState>(OperatorId::kReferrals,
                                       {KeyKind::kReferral, world.context.hash(KeyKind::kReferral, referral)});
  }

  FakeWorld world{{&referrals_operator()}};
  Facts facts{world.context.hash};
};

TEST_F(ReferralsTest, EachStageEarnsTheReferrerItsRule) {
  int64_t t = kStart;
  for (const auto stage : {ReferralStage::kAsked, ReferralStage::kIntended, ReferralStage::kInvited}) {
    t += kMinuteUs;
    EXPECT_EQ(fold(facts.referral("e" + std::to_string(t), "ann", t, "r1", "ann", stage)), Outcome::kApplied);
  }
  for (const auto stage :
       {ReferralStage::kJoined, ReferralStage::kActivated, ReferralStage::kConverted, ReferralStage::kProfitable}) {
    t += kMinuteUs;
    EXPECT_EQ(fold(facts.referral("e" + std::to_string(t), "bob", t, "r1", "ann", stage, "bob")), Outcome::kApplied);
  }
  EXPECT_EQ(points_of("ann"), 65'200'000);  // .2 + 5 + 10 + 30 + 20
  EXPECT_EQ(points_of("bob"), 0);
  const auto all = credits();
  ASSERT_EQ(all.size(), 5U);
  EXPECT_EQ(all[0].rule, RuleId::kReferralInvited);
  EXPECT_EQ(all[0].user_id, "ann");
  EXPECT_EQ(all[0].count, 1);
  EXPECT_EQ(all[4].rule, RuleId::kReferralProfitable);
  EXPECT_EQ(all[4].day, day_of(kStart));
  EXPECT_EQ(all[4].event.home.kind, KeyKind::kReferral);
}

TEST_F(ReferralsTest, TheOneWhoActsIsActive) {
  Fact& f = facts.referral("e1", "bob", kStart, "r1", "ann", ReferralStage::kJoined, "bob");
  f.channel = "app";
  fold(f);
  ASSERT_EQ(world.context.sent.size(), 2U);
  EXPECT_EQ(world.context.sent[0].key, facts.user_key("bob"));
  const Activity activity = decode_activity(world.context.sent[0].payload);
  EXPECT_EQ(activity.user_id, "bob");
  EXPECT_EQ(activity.channel, "app");
}

TEST_F(ReferralsTest, TheSameIdOrStageAgainIsADuplicateUntilItsTimeIsOver) {
  fold(facts.referral("e1", "bob", kStart, "r1", "ann", ReferralStage::kJoined, "bob"));
  EXPECT_EQ(fold(facts.referral("e1", "bob", kStart + 1, "r1", "ann", ReferralStage::kActivated), kStart + 6 * kDayUs),
            Outcome::kDuplicate);
  EXPECT_EQ(fold(facts.referral("e2", "bob", kStart + 2, "r1", "ann", ReferralStage::kJoined), kStart + 180 * kDayUs),
            Outcome::kDuplicate);
  EXPECT_EQ(points_of("ann"), 5'000'000);
  EXPECT_EQ(fold(facts.referral("e3", "bob", kStart + 181 * kDayUs, "r1", "ann", ReferralStage::kJoined)),
            Outcome::kApplied);
  EXPECT_EQ(fold(facts.referral("e1", "bob", kStart + 181 * kDayUs, "r1", "ann", ReferralStage::kActivated)),
            Outcome::kApplied);
  EXPECT_EQ(points_of("ann"), 20'000'000);
}

TEST_F(ReferralsTest, TheFirstReferrerStands) {
  fold(facts.referral("e1", "ann", kStart, "r1", "ann", ReferralStage::kInvited));
  EXPECT_EQ(fold(facts.referral("e2", "bob", kStart + 1, "r1", "eve", ReferralStage::kJoined, "bob")),
            Outcome::kApplied);
  EXPECT_EQ(points_of("eve"), 0);
  EXPECT_EQ(points_of("ann"), 5'200'000);
  EXPECT_EQ(state("r1")->other_referrers, 1U);
  EXPECT_EQ(state("r1")->referrer, "ann");
}

TEST_F(ReferralsTest, SelfReferralIsWorthNothing) {
  EXPECT_EQ(fold(facts.referral("e1", "ann", kStart, "r1", "ann", ReferralStage::kInvited, "ann")), Outcome::kApplied);
  EXPECT_EQ(fold(facts.referral("e2", "ann", kStart, "r2", "ann", ReferralStage::kJoined)), Outcome::kApplied);
  // What the invitation said holds when a later stage says nothing.
  EXPECT_EQ(fold(facts.referral("e3", "dan", kStart + 1, "r1", "ann", ReferralStage::kConverted)), Outcome::kApplied);
  EXPECT_EQ(points_of("ann"), 0);
}

TEST_F(ReferralsTest, AnotherIdOfTheSameHashIsKeptOut) {
  Fact& first = facts.referral("e1", "bob", kStart, "r1", "ann", ReferralStage::kJoined, "bob");
  Fact& other = facts.referral("e2", "eve", kStart + 1, "r2", "eve", ReferralStage::kActivated, "dan");
  other.home = first.home;
  fold(first);
  const size_t sent = world.context.sent.size();
  const auto before = world.states();
  EXPECT_EQ(fold(other), Outcome::kCollision);
  EXPECT_EQ(world.context.sent.size(), sent);
  EXPECT_EQ(world.states(), before);
}

TEST_F(ReferralsTest, ItsRulesAreThoseInForce) {
  world.context.rules.push_back(world.context.rules[0]);
  world.context.rules[1].rules[static_cast<size_t>(RuleId::kReferralJoined)].points_micros = 7;
  world.context.rules_number = 1;
  fold(facts.referral("e1", "bob", kStart, "r1", "ann", ReferralStage::kJoined, "bob"));
  ASSERT_EQ(credits().size(), 1U);
  EXPECT_EQ(credits()[0].rules, 1);
  EXPECT_EQ(credits()[0].authentic_micros, 7);
}

TEST_F(ReferralsTest, TheStateStaysBounded) {
  for (int i = 0; i < 3000; ++i)
    world.post(facts.referral("e" + std::to_string(i), "bob", kStart + i, "r1", "ann", ReferralStage::kJoined, "bob"));
  world.run_at(kStart);
  EXPECT_EQ(points_of("ann"), 5'000'000);
  EXPECT_EQ(state("r1")->seen.size(), kReferralSeenMax);
  EXPECT_LT(world.states().begin()->second.size(), 26'000U);
}

TEST(ReferralsState, BrokenBytesAreRefused) {
  EXPECT_EQ(referrals_operator().decode(std::string_view("\x07", 1)), nullptr);
  EXPECT_EQ(referrals_operator().decode(std::string_view("\x01\x05", 2)), nullptr);
}

}  // namespace
}  // namespace bellwether::referrals_test

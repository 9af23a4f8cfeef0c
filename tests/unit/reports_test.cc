#include "operators/reports.h"

#include <gtest/gtest.h>

#include "operators/messages.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::reports_test {
namespace {

constexpr int64_t kStart = 1'700'000'000 * kSecondUs;
using enum BetaTestKind;
using Status = BetaTestStatus;

class ReportsTest : public testing::Test {
 protected:
  Outcome fold(const Fact& fact, int64_t at_us = 0) {
    world.post(fact);
    world.run_at(at_us != 0 ? at_us : fact.time_us);
    return world.context.outcomes.back();
  }
  // An event of report "rep" in program "beta" by `who`, a minute after the one before, under a new id.
  Outcome say(std::string_view who, BetaTestKind kind, Status status, uint32_t severity = 0,
              std::string_view report = "rep", std::string_view tester = {}) {
    now += kMinuteUs;
    return fold(facts.beta("e" + std::to_string(now), who, now, "beta", report, kind, status, tester, severity));
  }
  int64_t points_of(std::string_view user) const {
    int64_t sum = 0;
    for (const auto& s : world.context.sent)
      if (kind_of(s.payload) == MessageKind::kCredit && s.key == facts.user_key(user))
        sum += decode_credit(s.payload).authentic_micros;
    return sum;
  }
  std::vector<Credit> credits() const {
    std::vector<Credit> found;
    for (const auto& s : world.context.sent)
      if (kind_of(s.payload) == MessageKind::kCredit) found.push_back(decode_credit(s.payload));
    return found;
  }
  size_t activities(std::string_view user) const {
    size_t n = 0;
    for (const auto& s : world.context.sent)
      n += kind_of(s.payload) == MessageKind::kActivity && s.key == facts.user_key(user);
    return n;
  }
  std::unique_ptr<ReportsState> state(std::string_view report) {
    return world.state<ReportsState>(OperatorId::kReports,
                                     {KeyKind::kReport, world.context.hash(KeyKind::kReport, report)});
  }

  FakeWorld world{{&reports_operator()}};
  Facts facts{world.context.hash};
  int64_t now = kStart;
};

TEST_F(ReportsTest, ABugEarnsByItsSeverityAndItsFix) {
  say("tess", kBug, Status::kSubmitted, 4);
  EXPECT_EQ(points_of("tess"), 0);
  EXPECT_EQ(say("staff", kBug, Status::kConfirmed), Outcome::kApplied);  // the severity stored
  EXPECT_EQ(points_of("tess"), 32'000'000);
  say("staff", kBug, Status::kFixed);
  EXPECT_EQ(points_of("tess"), 36'000'000);
  EXPECT_EQ(points_of("staff"), 0);
  EXPECT_EQ(activities("tess"), 1U);
  EXPECT_EQ(activities("staff"), 0U);
}

TEST_F(ReportsTest, SeverityIsHeldWithinOneAndFive) {
  say("a", kBug, Status::kSubmitted, 0, "none");
  say("s", kBug, Status::kConfirmed, 0, "none");
  EXPECT_EQ(points_of("a"), 8'000'000);
  say("b", kBug, Status::kSubmitted, 2, "high");
  say("s", kBug, Status::kConfirmed, 9, "high");
  EXPECT_EQ(points_of("b"), 40'000'000);
}

TEST_F(ReportsTest, SuggestionsSessionsAndEnrolments) {
  say("tess", kSuggestion, Status::kSubmitted, 0, "idea");
  say("staff", kSuggestion, Status::kAdopted, 0, "idea");
  EXPECT_EQ(points_of("tess"), 40'000'000);
  say("tim", kEnrolled, Status::kUnspecified, 0, "");
  EXPECT_EQ(points_of("tim"), 0);
  say("tim", kSession, Status::kUnspecified, 0, "");
  say("tim", kSession, Status::kUnspecified, 0, "");
  EXPECT_EQ(points_of("tim"), 1'000'000);
  EXPECT_EQ(activities("tim"), 3U);
}

TEST_F(ReportsTest, TheTesterIsWhoFiledIt) {
  say("staff", kBug, Status::kSubmitted, 3, "rep", "tess");  // filed for somebody
  say("staff", kBug, Status::kConfirmed);
  EXPECT_EQ(points_of("tess"), 24'000'000);
  // Until a SUBMITTED comes, the first event says who.
  say("staff", kBug, Status::kUnspecified, 1, "late", "");
  say("tom", kBug, Status::kSubmitted, 1, "late");
  say("eve", kBug, Status::kSubmitted, 1, "late");
  say("staff", kBug, Status::kConfirmed, 1, "late");
  EXPECT_EQ(points_of("tom"), 8'000'000);
  EXPECT_EQ(state("late")->tester, "tom");
}

TEST_F(ReportsTest, TheSameAgainIsADuplicateWithinTheWindow) {
  say("tess", kBug, Status::kSubmitted, 1);
  EXPECT_EQ(say("staff", kBug, Status::kConfirmed), Outcome::kApplied);
  EXPECT_EQ(say("staff", kBug, Status::kConfirmed), Outcome::kDuplicate);
  EXPECT_EQ(say("boss", kBug, Status::kConfirmed), Outcome::kApplied);  // another's word, but the bug is confirmed once
  EXPECT_EQ(points_of("tess"), 8'000'000);
  now += 181 * kDayUs;
  EXPECT_EQ(say("staff", kBug, Status::kConfirmed), Outcome::kApplied);
  EXPECT_EQ(points_of("tess"), 8'000'000);
}

TEST_F(ReportsTest, TheSameIdAgainIsADuplicate) {
  fold(facts.beta("x", "tim", now, "beta", "", kSession, Status::kUnspecified));
  EXPECT_EQ(fold(facts.beta("x", "tim", now + 1, "beta", "", kEnrolled, Status::kUnspecified), now + 7 * kDayUs),
            Outcome::kDuplicate);
  EXPECT_EQ(fold(facts.beta("x", "tim", now + 1, "beta", "", kSession, Status::kUnspecified), now + 8 * kDayUs),
            Outcome::kApplied);
}

TEST_F(ReportsTest, ARejectionTakesBackExactlyWhatWasGiven) {
  say("tess", kBug, Status::kSubmitted, 3);
  say("staff", kBug, Status::kConfirmed);
  const EventRef confirmed = credits().back().event;
  say("staff", kBug, Status::kFixed);
  world.context.rules.push_back(world.context.rules[0]);
  world.context.rules[1].rules[static_cast<size_t>(RuleId::kBugConfirmed)].points_micros = 1;
  world.context.rules_number = 1;  // new rules meanwhile
  now += 3 * kDayUs;
  say("boss", kBug, Status::kRejected);
  EXPECT_EQ(points_of("tess"), 0);
  const auto all = credits();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[2].cause, Cause::kUndo);
  EXPECT_EQ(all[2].count, -1);
  EXPECT_EQ(all[2].raw_micros, -24'000'000);
  EXPECT_EQ(all[2].rules, 0);
  EXPECT_EQ(all[2].day, day_of(kStart));
  EXPECT_EQ(all[2].event, confirmed);
  // It is taken once; and it may be confirmed anew, by the same person too.
  EXPECT_EQ(say("staff", kBug, Status::kRejected), Outcome::kApplied);
  EXPECT_EQ(points_of("tess"), 0);
  EXPECT_EQ(say("staff", kBug, Status::kConfirmed), Outcome::kApplied);
  EXPECT_EQ(points_of("tess"), 3);
}

TEST_F(ReportsTest, AnotherIdOfTheSameHashIsKeptOut) {
  Fact& first = facts.beta("e1", "tess", kStart, "beta", "rep", kBug, Status::kSubmitted);
  Fact& other = facts.beta("e2", "eve", kStart + 1, "beta", "per", kSuggestion, Status::kAdopted);
  Fact& pair = facts.beta("e3", "eve", kStart + 2, "beta", "", kSession, Status::kUnspecified);
  other.home = pair.home = first.home;
  fold(first);
  const auto before = world.states();
  EXPECT_EQ(fold(other), Outcome::kCollision);
  EXPECT_EQ(fold(pair), Outcome::kCollision);
  EXPECT_EQ(world.states(), before);
}

TEST_F(ReportsTest, TheStateStaysBounded) {
  for (int i = 0; i < 2000; ++i) {
    const std::string n = std::to_string(i);
    world.post(facts.beta("e" + n, "user" + n, kStart + i, "beta", "rep", kBug, Status::kConfirmed, "tess"));
  }
  world.run_at(kStart + kMinuteUs);
  EXPECT_EQ(points_of("tess"), 8'000'000);
  EXPECT_EQ(state("rep")->meanings.size(), kReportMeaningsMax);
  EXPECT_LT(world.states().begin()->second.size(), 36'000U);
}

}  // namespace
}  // namespace bellwether::reports_test

// When a user's score record goes out: at once, then once in each minute of the user's own, with one timer.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "operators/people.h"
#include "operators/posts.h"
#include "operators/scores.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::score_records_test {
namespace {

constexpr int64_t kStart = int64_t{20'000} * kDayUs;
constexpr int kUsers = 30, kMinutes = 4;

struct Community {
  FakeWorld world{{&people_operator(), &posts_operator(), &scores_operator()}};
  Facts facts{world.context.hash};
  std::map<std::string, std::vector<int64_t>> records;  // times by user
  std::map<int, int> alarms;                            // ticks by user before which the timer was due
  int number = 0;

  void live(bool own_minutes) {
    world.context.rules[0].own_minutes = own_minutes;
    for (int64_t now = kStart; now <= kStart + kMinutes * kMinuteUs; now += kSlotUs) {
      // Everybody is liked every four seconds, by somebody new.
      if (now % (4 * kSecondUs) == 0 && now < kStart + (kMinutes - 1) * kMinuteUs)
        for (int u = 0; u < kUsers; ++u) like("u" + std::to_string(u), now);
      world.context.emitted.clear();
      world.run_at(now);
      for (const auto& e : world.context.emitted) {
        ScoreRecord record;
        if (e.kind != OutKind::kScore) continue;
        EXPECT_TRUE(decode(e.payload, record));
        records[record.user_id].push_back(now);
      }
      for (int u = 0; u < kUsers; ++u) {
        const auto& timer = world.context.timers[{OperatorId::kScores, facts.user_key("u" + std::to_string(u))}];
        ASSERT_TRUE(timer) << u;
        alarms[u] += *timer <= now + kSlotUs;
      }
    }
  }
  void like(const std::string& author, int64_t now) {
    const std::string who = "fan" + std::to_string(++number);
    Fact& f = facts.add("like" + std::to_string(number), who, now, facts.user_key(who), LikeFact{});
    f.body = LikeFact{.post = facts.ref(KeyKind::kPost, "of " + author),
                      .author = facts.user(author),
                      .kind = LikeKind::kLike,
                      .post_kind = PostKind::kArticle};
    world.post(f);
  }
};

TEST(ScoreRecords, GoOutOnceInAMinute) {
  for (const bool own_minutes : {false, true}) {
    Community c;
    c.live(own_minutes);
    std::set<int64_t> turns;
    for (int u = 0; u < kUsers; ++u) {
      const auto& times = c.records["u" + std::to_string(u)];
      // The first change at once, and perhaps the first of the minute that began soon after; then at the turns of the
      // minutes, until the last change is told.
      ASSERT_GE(times.size(), static_cast<size_t>(kMinutes)) << u;
      ASSERT_LE(times.size(), static_cast<size_t>(kMinutes) + 1) << u;
      EXPECT_LE(times[0], kStart + kSecondUs);
      for (size_t i = 3; i < times.size(); ++i) EXPECT_EQ(times[i], times[i - 1] + kMinuteUs) << u;
      EXPECT_GT(times.back(), kStart + (kMinutes - 1) * kMinuteUs - 4 * kSecondUs) << u;
      turns.insert(times.back() % kMinuteUs);
    }
    EXPECT_EQ(turns.size() == 1, !own_minutes);
    if (own_minutes) {
      EXPECT_GT(turns.size(), static_cast<size_t>(kUsers) * 3 / 4);
    }
    for (const auto& [u, alarms] : c.alarms) EXPECT_LE(alarms, kMinutes + 1) << u;
  }
}

}  // namespace
}  // namespace bellwether::score_records_test

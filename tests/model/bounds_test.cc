// Law 6 through all operators: what happens at a written bound. Those of single pieces stand in their unit tests.
#include <gtest/gtest.h>

#include "operators/scores.h"
#include "pipeline/tools/times.h"
#include "tests/model/harness.h"

namespace bellwether {
namespace {

constexpr int64_t kDay = 19'700 * kDayUs;

std::string like(int number, int64_t time_us) {
  const std::string n = std::to_string(number);
  return R"({"id":"e)" + n + R"(","time":")" + time_text(time_us) + R"(","user":"fan","like":{"post":"p)" + n +
         R"(","author":"a)" + n + R"(","kind":"LIKE_KIND_LIKE"}})";
}

// Of a liker's day 4,096 likes are worth something; what is more is counted, and worth nothing. The next day begins
// anew.
TEST(Bounds, LikesOfALikerOnOneDay) {
  Config config = default_config();
  config.community.rings.enabled = config.community.bursts.enabled = config.community.ranking.enabled = false;
  const int more = static_cast<int>(kDayLikesMax) + 104;
  std::vector<std::string> records;
  for (int i = 0; i < more; ++i) records.push_back(like(i, kDay + i * kSecondUs));
  for (int i = 0; i < 10; ++i) records.push_back(like(more + i, kDay + kDayUs + i * kSecondUs));
  const auto store = make_memory_store();
  const auto published = run_engine(config, *store, {records});
  ASSERT_NE(published, nullptr);
  EXPECT_EQ(published->account().applied, records.size());
  int first = 0, second = 0;
  const Status status = published->scan_states([&](const StateKey& key, const State& state) {
    if (key.op != OperatorId::kScores) return true;
    bool on_first = false, on_second = false;
    for (const Bucket& b : static_cast<const ScoresState&>(state).book.buckets()) {
      on_first |= b.day == day_of(kDay) && b.rule == RuleId::kLikeReceived && b.raw_micros != 0;
      on_second |= b.day == day_of(kDay) + 1 && b.rule == RuleId::kLikeReceived && b.raw_micros != 0;
    }
    first += on_first, second += on_second;
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(first, static_cast<int>(kDayLikesMax));
  EXPECT_EQ(second, 10);
}

}  // namespace
}  // namespace bellwether

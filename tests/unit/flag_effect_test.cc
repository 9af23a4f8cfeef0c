// From a flag to the scores and back: people, posts, scores and flags together.
#include <gtest/gtest.h>

#include "operators/flags.h"
#include "operators/messages.h"
#include "operators/people.h"
#include "operators/posts.h"
#include "operators/scores.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::flag_effect_test {
namespace {

constexpr int64_t kStart = 1'700'000'000 * kSecondUs;
constexpr const char* kId = "ring-00000000000000aa";

class FlagEffect : public testing::Test {
 protected:
  void like(const std::string& who, const std::string& post, const std::string& author) {
    now += kMinuteUs;
    Fact& f = facts.add("like" + std::to_string(++n), who, now, facts.user_key(who), LikeFact{});
    f.body = LikeFact{.post = facts.ref(KeyKind::kPost, post),
                      .author = facts.user(author),
                      .kind = LikeKind::kLike,
                      .post_kind = PostKind::kArticle};
    world.post(f);
    world.run_at(now);
    world.settle();
  }
  int64_t communication(const std::string& user) {
    const auto s = world.state<ScoresState>(OperatorId::kScores, facts.user_key(user));
    if (!s) return 0;
    return scores_of(
               *s, world.context.rules[0], [&](uint16_t i) -> const CommunityConfig& { return world.context.rules[i]; },
               world.context.now_us())
        .capability_micros[1];
  }
  void raise() {
    now += kMinuteUs;
    Raise r;
    r.kind = FlagKind::kRing, r.id = kId, r.confidence_permille = 900;
    for (int i = 0; i < 40; ++i) r.subjects.push_back(facts.user("fake" + std::to_string(i)).hash);
    r.beneficiaries = {facts.user("ann").hash};
    r.scope.posts = {facts.ref(KeyKind::kPost, "p0").hash, facts.ref(KeyKind::kPost, "p1").hash};
    std::sort(r.scope.posts.begin(), r.scope.posts.end());
    world.post(OperatorId::kFlags, {KeyKind::kFlag, world.context.hash(KeyKind::kFlag, kId)}, now, 1, encode(r),
               OperatorId::kRings);
    world.run_at(now);
    world.settle();
  }
  void decide(Decision decision) {
    now += kMinuteUs;
    world.post(facts.verdict("v" + std::to_string(++n), "mod", now, kId, decision));
    world.run_at(now);
    world.settle();
  }

  FakeWorld world{{&people_operator(), &posts_operator(), &scores_operator(), &flags_operator()}};
  Facts facts{world.context.hash};
  int64_t now = kStart;
  int n = 0;
};

TEST_F(FlagEffect, TakesTheFakesOffAndPutsThemBack) {
  for (int i = 0; i < 40; ++i)
    for (const char* post : {"p0", "p1", "p2"}) like("fake" + std::to_string(i), post, "ann");
  for (int i = 0; i < 5; ++i) like("friend" + std::to_string(i), "p0", "ann");
  const int64_t before = communication("ann");
  ASSERT_GT(before, 40'000'000);
  const std::string tier = world.state<ScoresState>(OperatorId::kScores, facts.user_key("ann"))->machine.reason;

  raise();
  const int64_t flagged = communication("ann");
  // Left: five friends' likes, and the fakes' likes of the third post, which nobody flagged and which are now their
  // first.
  EXPECT_LT(flagged, before);
  EXPECT_GT(flagged, 0);
  const auto with = world.state<ScoresState>(OperatorId::kScores, facts.user_key("ann"));
  ASSERT_EQ(with->without.size(), 1U);
  EXPECT_EQ(with->without[0].flag_id, kId);

  decide(Decision::kDismissed);
  EXPECT_EQ(communication("ann"), before);
  EXPECT_TRUE(world.state<ScoresState>(OperatorId::kScores, facts.user_key("ann"))->without.empty());
  EXPECT_EQ(world.state<ScoresState>(OperatorId::kScores, facts.user_key("ann"))->machine.reason, tier);

  decide(Decision::kConfirmed);
  EXPECT_EQ(communication("ann"), flagged);
  decide(Decision::kReversed);
  EXPECT_EQ(communication("ann"), before);
}

}  // namespace
}  // namespace bellwether::flag_effect_test

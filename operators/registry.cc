#include "operators/registry.h"

#include <algorithm>
#include <array>

// One line for each operator, by ascending OperatorId: NAME_operator() of operators/NAME.h.
#define BELLWETHER_OPERATORS(X) \
  X(people)                     \
  X(posts)                      \
  X(referrals)                  \
  X(reports)                    \
  X(scores)                     \
  X(community)                  \
  X(flags)                      \
  X(rings)                      \
  X(bursts)

namespace bellwether {

#define DECLARE(name) const Operator& name##_operator();
BELLWETHER_OPERATORS(DECLARE)
#undef DECLARE

namespace {

#define ADDRESS(name) &name##_operator(),
auto table() { return std::array{BELLWETHER_OPERATORS(ADDRESS)}; }
#undef ADDRESS

}  // namespace

std::span<const Operator* const> all_operators() {
  static const auto operators = table();
  return operators;
}

const Operator* find_operator(OperatorId id) {
  const auto all = all_operators();
  const auto at = std::find_if(all.begin(), all.end(), [&](const Operator* o) { return o->id() == id; });
  return at == all.end() ? nullptr : *at;
}

void likely_states(const Fact& fact, const CommunityConfig& community,
                   absl::FunctionRef<void(OperatorId op, Key key)> each) {
  each(home_operator(fact.home.kind), fact.home);
  const auto scores_of = [&each](const Ref& user) {
    if (user.present()) each(OperatorId::kScores, {KeyKind::kUser, user.hash});
  };
  if (const auto* like = std::get_if<LikeFact>(&fact.body)) {
    if (like->post.present()) each(OperatorId::kPosts, {KeyKind::kPost, like->post.hash});
    scores_of(like->author);
    if (community.bursts.enabled) each(OperatorId::kBursts, {KeyKind::kUser, like->author.hash});
    return;
  }
  if (fact.home.kind != KeyKind::kUser || std::holds_alternative<AccountFact>(fact.body)) scores_of(fact.user);
  if (const auto* post = std::get_if<PostFact>(&fact.body)) {
    scores_of(post->author);
    if (post->parent.present()) each(OperatorId::kPosts, {KeyKind::kPost, post->parent.hash});
    scores_of(post->parent_author);
  } else if (const auto* referral = std::get_if<ReferralFact>(&fact.body)) {
    scores_of(referral->referrer);
  } else if (const auto* beta = std::get_if<BetaTestFact>(&fact.body)) {
    scores_of(beta->tester);
  }
}

void likely_states_of_new(const Fact& fact, const CommunityConfig&,
                          absl::FunctionRef<void(OperatorId op, Key key)> each) {
  // A user's first day active is told to their scores.
  if (fact.home.kind == KeyKind::kUser) each(OperatorId::kScores, fact.home);
}

OperatorId home_operator(KeyKind kind) {
  switch (kind) {
    case KeyKind::kUser:
      return OperatorId::kPeople;
    case KeyKind::kPost:
      return OperatorId::kPosts;
    case KeyKind::kReferral:
      return OperatorId::kReferrals;
    case KeyKind::kReport:
      return OperatorId::kReports;
    case KeyKind::kFlag:
      return OperatorId::kFlags;
    case KeyKind::kEvent:
    case KeyKind::kCommunity:
      return OperatorId::kNone;
  }
  return OperatorId::kNone;
}

}  // namespace bellwether

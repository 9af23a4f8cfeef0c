#include "operators/credit.h"

namespace bellwether {

RuleId rule_of(LikeKind kind, PostKind post_kind) {
  switch (kind) {
    case LikeKind::kLike:
      return post_kind == PostKind::kAnswer ? RuleId::kAnswerLiked : RuleId::kLikeReceived;
    case LikeKind::kShare:
      return RuleId::kShareReceived;
    case LikeKind::kFollow:
      return RuleId::kFollowReceived;
    case LikeKind::kView:
      return RuleId::kReader;
    case LikeKind::kDislike:
    case LikeKind::kUnspecified:
      return RuleId::kNone;
  }
  return RuleId::kNone;
}

namespace {
bool halves(RuleId rule) { return rule == RuleId::kLikeReceived || rule == RuleId::kAnswerLiked; }
int64_t points_of(const CommunityConfig& rules, RuleId rule) {
  return rules.rules[static_cast<size_t>(rule)].points_micros;
}
int64_t reached_raw(const CommunityConfig& rules, const LikeWorth& w) {
  return w.standing && w.first ? points_of(rules, RuleId::kPersonReached) : 0;
}
int64_t reached_authentic(const CommunityConfig& rules, const LikeWorth& w) {
  return reached_raw(rules, w) * w.authenticity / 256;
}
}  // namespace

int64_t raw_points(const CommunityConfig& rules, RuleId rule, const LikeWorth& worth) {
  if (!worth.standing) return 0;
  return halves(rule) ? points_of(rules, rule) >> worth.halvings : points_of(rules, rule);
}

int64_t authentic_points(const CommunityConfig& rules, RuleId rule, const LikeWorth& worth) {
  return raw_points(rules, rule, worth) * worth.authenticity / 256;
}

void send_like_credit(const LikeChange& change, PostKind post_kind, Context& context) {
  const RuleId rule = rule_of(change.kind, post_kind);
  const CommunityConfig& rules = context.community(change.rules);
  Credit c;
  c.user_id = change.author.id;
  c.rule = rule, c.day = day_of(change.event.time_us), c.rules = change.rules, c.cause = change.cause,
  c.flag = change.flag, c.event = change.event;
  c.count = static_cast<int32_t>(change.after.standing) - static_cast<int32_t>(change.before.standing);
  c.raw_micros = raw_points(rules, rule, change.after) - raw_points(rules, rule, change.before);
  c.authentic_micros = authentic_points(rules, rule, change.after) - authentic_points(rules, rule, change.before);
  c.reached_raw_micros = reached_raw(rules, change.after) - reached_raw(rules, change.before);
  c.reached_authentic_micros = reached_authentic(rules, change.after) - reached_authentic(rules, change.before);
  c.reached_count = static_cast<int32_t>(change.after.standing && change.after.first) -
                    static_cast<int32_t>(change.before.standing && change.before.first);
  c.liker_delta = change.liker_delta;
  for (const LikeChange::World& w : change.without) {
    Credit::World v;
    v.flag = w.flag;
    v.authentic_micros = authentic_points(rules, rule, w.after) - authentic_points(rules, rule, w.before);
    v.reached_authentic_micros = reached_authentic(rules, w.after) - reached_authentic(rules, w.before);
    v.liker_delta = w.liker_delta;
    if (v.authentic_micros != c.authentic_micros || v.reached_authentic_micros != c.reached_authentic_micros ||
        v.liker_delta != c.liker_delta)
      c.without.push_back(v);
  }
  if (c.count == 0 && c.raw_micros == 0 && c.authentic_micros == 0 && c.reached_raw_micros == 0 &&
      c.reached_authentic_micros == 0 && c.liker_delta == 0 && c.without.empty())
    return;
  if (rule == RuleId::kNone && c.liker_delta == 0) return;
  context.send(OperatorId::kScores, {KeyKind::kUser, change.author.hash}, change.event.time_us, change.event.id_hash,
               encode_to_send(c));
}

void send_credit(const Earned& earned, Context& context) {
  Credit c;
  c.user_id = earned.user.id, c.rule = earned.rule, c.day = day_of(earned.event.time_us), c.rules = earned.rules,
  c.event = earned.event;
  c.cause = earned.sign > 0 ? Cause::kEvent : Cause::kUndo;
  c.count = earned.sign;
  c.raw_micros = c.authentic_micros =
      earned.sign * static_cast<int64_t>(earned.times) * points_of(context.community(earned.rules), earned.rule);
  context.send(OperatorId::kScores, {KeyKind::kUser, earned.user.hash}, earned.event.time_us, earned.event.id_hash,
               encode_to_send(c));
}

}  // namespace bellwether

// From what happened to a like, or to anything that earns, to the points it brings: rule, halving, authenticity
// (FRAMEWORK.md, A).
#pragma once

#include "operators/messages.h"

namespace bellwether {

// The rule a like earns by; kNone for a dislike.
RuleId rule_of(LikeKind kind, PostKind post_kind);

// Micro-points before and after authenticity: floor((points >> n) * authenticity / 256).
int64_t raw_points(const CommunityConfig& rules, RuleId rule, const LikeWorth& worth);
int64_t authentic_points(const CommunityConfig& rules, RuleId rule, const LikeWorth& worth);

// Sends the author the credit of a like that changed; nothing where nothing changed in any world.
void send_like_credit(const LikeChange& change, PostKind post_kind, Context& context);

// Sends `user` the points of a rule, `times` over (a bug's severity), or takes them back (sign -1, on the first event's
// day and rules).
struct Earned {
  Ref user;
  RuleId rule = RuleId::kNone;
  EventRef event;
  uint16_t rules = 0;
  uint32_t times = 1;
  int sign = 1;
};
void send_credit(const Earned& earned, Context& context);

}  // namespace bellwether

#include "tests/model/naive.h"

#include <algorithm>
#include <set>

#include "operators/hash.h"
#include "operators/limits.h"
#include "tests/model/naive_log.h"

namespace bellwether::model {
namespace {

// round(2^(20 + j/30)), worked out with 50 decimal digits.
constexpr uint64_t kWeights[30] = {1048576, 1073085, 1098167, 1123836, 1150104, 1176987, 1204498, 1232651,
                                   1261463, 1290948, 1321123, 1352003, 1383604, 1415945, 1449041, 1482910,
                                   1517572, 1553043, 1589344, 1626493, 1664511, 1703417, 1743232, 1783978,
                                   1825677, 1868350, 1912021, 1956712, 2002448, 2049253};
using Wide = unsigned __int128;

// A day's weight in units of 2^(30-day block of day `from`).
Wide weight(int64_t day, int64_t from) { return static_cast<Wide>(kWeights[day % 30]) << (day / 30 - from / 30); }

struct Moment {
  int64_t slot = 0;
  int round = 0;
  friend auto operator<=>(const Moment&, const Moment&) = default;
};

// Everything about one user, asked as of a moment.
class Asked {
 public:
  Asked(const Decided& log, const World& world, const std::string& user) : log_(log), world_(world), user_(user) {
    for (size_t i = 0; i < log.likes.size(); ++i) {
      const Like& l = log.likes[i];
      if (l.author == user && l.liker != user) received_[l.liker].push_back(&l);
    }
    for (const Credit& c : log.credits)
      if (c.user == user) credits_.push_back(&c);
    for (const Gate& g : log.gates)
      if (g.user == user) gates_.push_back(&g);
    for (const Act& a : log.acts)
      if (a.user == user) acts_.push_back(&a);
  }

  // Points by day and rule of days that have not left the window.
  std::map<std::pair<int64_t, RuleId>, Points> points(Moment at) const {
    std::map<std::pair<int64_t, RuleId>, Points> sum;
    const auto add = [&](int64_t day, RuleId rule, int64_t count, int64_t micros) {
      if (rule == RuleId::kNone || log_.left(day, user_, at.slot * kSlotUs)) return;
      Points& p = sum[{day, rule}];
      p.count += count, p.micros += micros;
    };
    for (const auto& [liker, likes] : received_) {
      for (const Like* l : likes) {
        if (!log_.stands(*l, seen_of(*l, at))) continue;
        const RuleId rule = rule_of(*l);
        add(l->day(), rule, 1, halved(rule) ? cost(rule) >> std::min<int64_t>(20, halvings(likes, *l)) : cost(rule));
        if (first(likes, *l, seen_of(*l, at))) add(l->day(), RuleId::kPersonReached, 1, cost(RuleId::kPersonReached));
      }
    }
    for (const Credit* c : credits_)
      if (Moment{c->slot, c->round} <= at) add(c->day, c->rule, c->count, c->count * c->times * cost(c->rule));
    for (const Gate* g : gates_)
      if (Moment{g->slot, 1} <= at && log_.granted_anew(*g)) add(day_of(g->time_us), g->rule(), 1, cost(g->rule()));
    std::erase_if(sum, [](const auto& entry) { return entry.second == Points{}; });
    return sum;
  }

  Numbers numbers(Moment at) const {
    const int64_t today = day_of(at.slot * kSlotUs), from = today - 360;
    std::array<Wide, 4> sums{};
    for (const auto& [key, p] : points(at)) {
      const RuleConfig& rule = world_.community.rules[static_cast<size_t>(key.second)];
      const int64_t counted = rule.cap_micros > 0 ? std::min(p.micros, rule.cap_micros) : p.micros;
      sums[static_cast<size_t>(rule.capability - 1)] += static_cast<Wide>(counted) * weight(key.first, from);
    }
    Numbers n;
    for (size_t c = 0; c < 4; ++c) n.capability[c] = static_cast<int64_t>(sums[c] / weight(today, from));
    for (const ProfileConfig& profile : world_.community.profiles) {
      Wide sum = 0;
      for (size_t c = 0; c < 4; ++c) sum += sums[c] * profile.weights[c];
      n.profile.push_back(static_cast<int64_t>(sum / (weight(today, from) * 1000)));
    }
    std::set<int64_t> days;
    for (const Act* a : acts_)
      if (Moment{a->slot, 1} <= at && day_of(a->time_us) >= today - world_.community.window_days)
        days.insert(day_of(a->time_us));
    n.days_active = static_cast<int64_t>(days.size());
    for (const auto& [liker, likes] : received_) n.likers += likes_us(likes, at);
    for (const Gate* g : gates_) {
      if (!log_.holds(*g, heard(at), at.slot * kSlotUs)) continue;
      n.certificates += g->action == AccountAction::kCertified;
      n.exams += g->action == AccountAction::kExamPassed;
      for (const std::string& paid : world_.community.memberships)
        n.memberships += g->action == AccountAction::kRole && g->name == paid;
    }
    return n;
  }

  bool known(Moment at) const {
    const auto told = [&](int64_t slot, int round) { return Moment{slot, round} <= at; };
    for (const Act* a : acts_)
      if (told(a->slot, 1)) return true;
    for (const Credit* c : credits_)
      if (c->count > 0 && told(c->slot, c->round)) return true;
    for (const Gate* g : gates_)
      if (told(g->slot, 1)) return true;
    for (const auto& [liker, likes] : received_)
      for (const Like* l : likes)
        if (!l->voided && (l->kind != LikeKind::kDislike) && told(l->slot, l->round())) return true;
    return false;
  }

  // When the user's scores hear of something, and whether it is something that scores.
  std::map<Moment, bool> moments() const {
    std::map<Moment, bool> all;
    const auto hear = [&](int64_t slot, int round, bool scores) { all[{slot, round}] |= scores; };
    for (const Act* a : acts_) hear(a->slot, 1, false);
    for (const Credit* c : credits_) hear(c->slot, c->round, true);
    for (const Gate* g : gates_) hear(g->slot, 1, true);
    for (const auto& [liker, likes] : received_) {
      for (const Like* l : likes) {
        if (l->voided) continue;
        const bool scores = l->kind != LikeKind::kDislike;
        if (scores) hear(l->slot, l->round(), true);
        if (l->taken_slot == kNever) continue;
        if (scores) hear(l->taken_slot, l->round(), true);
        // Whoever is the pair's first contact now, in their place.
        for (const Like* h : likes)
          if (h->slot <= l->taken_slot && log_.stands(*h, l->taken_slot) &&
              first(likes, *h, l->taken_slot) != first(likes, *h, l->taken_slot - 1))
            hear(l->taken_slot, h->round(), true);
      }
      for (const Like* l : likes) {
        const int64_t leaves = log_.leaves_slot(l->day(), liker);
        if (l->contact() && contact(likes, leaves - 1, leaves - 1) && !contact(likes, leaves - 1, leaves))
          hear(leaves, 1, true);
      }
    }
    return all;
  }

  // The oldest day, still in the window, that ever had a point.
  int64_t oldest_day(Moment at) const {
    int64_t oldest = INT64_MAX;
    const auto see = [&](int64_t day) {
      if (!log_.left(day, user_, at.slot * kSlotUs)) oldest = std::min(oldest, day);
    };
    for (const auto& [liker, likes] : received_)
      for (const Like* l : likes)
        if (!l->voided && l->kind != LikeKind::kDislike && Moment{l->slot, l->round()} <= at) see(l->day());
    for (const Credit* c : credits_)
      if (Moment{c->slot, c->round} <= at) see(c->day);
    for (const Gate* g : gates_)
      if (Moment{g->slot, 1} <= at && log_.granted_anew(*g) && g->rule() != RuleId::kNone) see(day_of(g->time_us));
    return oldest;
  }
  // When what is held now runs out, soonest first; kNever: nothing will.
  int64_t soonest_expiry(Moment at) const {
    int64_t soonest = kNever;
    for (const Gate* g : gates_)
      if (log_.holds(*g, heard(at), at.slot * kSlotUs))
        soonest = std::min(soonest, log_.expires(*g, heard(at), at.slot * kSlotUs));
    return soonest;
  }

 private:
  int64_t cost(RuleId rule) const { return world_.community.rules[static_cast<size_t>(rule)].points_micros; }
  static bool halved(RuleId rule) { return rule == RuleId::kLikeReceived || rule == RuleId::kAnswerLiked; }
  RuleId rule_of(const Like& l) const {
    switch (l.kind) {
      case LikeKind::kLike:
        return log_.kind_of(l) == PostKind::kAnswer ? RuleId::kAnswerLiked : RuleId::kLikeReceived;
      case LikeKind::kShare:
        return RuleId::kShareReceived;
      case LikeKind::kFollow:
        return RuleId::kFollowReceived;
      case LikeKind::kView:
        return RuleId::kReader;
      default:
        return RuleId::kNone;
    }
  }
  // Up to which tick it is heard what comes in round 1.
  static int64_t heard(Moment at) { return at.round >= 1 ? at.slot : at.slot - 1; }
  // Up to which tick the author has heard of their likers, who speak in round 0.
  static int64_t seen_of(const Like& l, Moment at) { return at.round >= l.round() ? at.slot : at.slot - 1; }
  // The pair's likes of the 30 days before that were folded earlier, undone ones too.
  static int64_t halvings(const std::vector<const Like*>& pair, const Like& l) {
    int64_t n = 0;
    for (const Like* b : pair)
      n +=
          b->rank < l.rank && b->kind == LikeKind::kLike && b->time_us <= l.time_us && b->time_us > l.time_us - kPairUs;
    return n;
  }
  // Whether a like that stands at the end of a tick is the first contact of the pair in 30 days.
  bool first(const std::vector<const Like*>& pair, const Like& l, int64_t slot) const {
    if (!l.contact()) return false;
    for (const Like* b : pair)
      if (b->rank < l.rank && b->contact() && log_.stands(*b, slot) && b->time_us <= l.time_us &&
          b->time_us > l.time_us - kPairUs)
        return false;
    return true;
  }
  // Whether one of them has a standing like after the facts of tick `slot`, of a day that has not left by `by_slot`.
  bool contact(const std::vector<const Like*>& pair, int64_t slot, int64_t by_slot) const {
    return std::any_of(pair.begin(), pair.end(), [&](const Like* l) {
      return l->contact() && log_.stands(*l, slot) && log_.leaves_slot(l->day(), l->liker) > by_slot;
    });
  }
  bool likes_us(const std::vector<const Like*>& pair, Moment at) const {
    return std::any_of(pair.begin(), pair.end(), [&](const Like* l) {
      const int64_t leaves = log_.leaves_slot(l->day(), l->liker);
      return l->contact() && log_.stands(*l, seen_of(*l, at)) && Moment{leaves, 1} > at;
    });
  }

  const Decided& log_;
  const World& world_;
  const std::string& user_;
  std::map<std::string, std::vector<const Like*>> received_;
  std::vector<const Credit*> credits_;
  std::vector<const Gate*> gates_;
  std::vector<const Act*> acts_;
};

// Whether everything that a tier asks for is there, each number at least so many percent of it.
bool has(Tier tier, const Numbers& n, const CommunityConfig& community, int64_t percent,
         bool whatever_the_days = false) {
  if (tier <= Tier::kMember) return true;
  const TierConfig& asked = community.tiers[static_cast<size_t>(tier)];
  const GateConfig& gates = asked.gates;
  bool met = true;
  const auto ask = [&](int64_t required, int64_t have) {
    met = met && (required == 0 || have * 100 >= required * percent);
  };
  ask(asked.min_score_micros, n.profile[0]);
  if (!whatever_the_days) ask(gates.days_active, n.days_active);
  ask(gates.distinct_likers, n.likers);
  ask(gates.certificates, n.certificates), ask(gates.exams, n.exams), ask(gates.memberships, n.memberships);
  for (size_t c = 0; c < 4; ++c) ask(gates.points_micros[c], n.capability[c]);
  return met;
}

// Whether days active are all that may be missing to some tier.
bool days_decide(const Numbers& n, const CommunityConfig& community) {
  for (const Tier t : {Tier::kContributor, Tier::kKey, Tier::kLead})
    if (n.profile[0] > 0 && community.tiers[static_cast<size_t>(t)].gates.days_active > 0 &&
        has(t, n, community, 100, true))
      return true;
  return false;
}

}  // namespace

int64_t decayed(const std::vector<std::pair<int64_t, int64_t>>& day_points, int64_t today) {
  Wide sum = 0;
  for (const auto& [day, points] : day_points) sum += static_cast<Wide>(points) * weight(day, today - 360);
  return static_cast<int64_t>(sum / weight(today, today - 360));
}

void look_at_tier(TierState& state, const Numbers& n, const CommunityConfig& community, int64_t now_us, bool own_hour) {
  Tier entered = Tier::kMember;
  for (const Tier t : {Tier::kContributor, Tier::kKey, Tier::kLead})
    if (n.profile[0] > 0 && has(t, n, community, 100)) entered = t;
  if (entered > state.tier) {
    state = {entered, now_us, 0};
    return;
  }
  if (has(state.tier, n, community, community.hysteresis_percent)) {
    state.below_since_us = 0;
    return;
  }
  if (!own_hour) return;
  if (state.below_since_us == 0) state.below_since_us = now_us;
  if (now_us - state.below_since_us < static_cast<int64_t>(community.grace_days) * kDayUs) return;
  Tier down = entered;
  for (const Tier t : {Tier::kContributor, Tier::kKey, Tier::kLead})
    if (t > down && t < state.tier && has(t, n, community, community.hysteresis_percent)) down = t;
  state = {down, now_us, 0};
}

Outcome recompute(const std::vector<Event>& events, const World& world, int64_t now_us) {
  const Decided log(events, world);
  Outcome outcome;
  outcome.fates = log.fates;
  const int64_t last = slot_of(now_us), minute = kMinuteUs;
  for (const std::string& name : log.names) {
    User& user = outcome.users[name];
    const Asked asked(log, world, name);
    const std::map<Moment, bool> moments = asked.moments();
    const int64_t own_hours = log.own_hours(name);
    TierState tier;
    int64_t alarm = kNever, reported = INT64_MIN;  // a slot, a minute
    bool report_due = false, days_known = false;
    Moment answer{kNever, 0};
    auto next = moments.begin();
    for (;;) {
      Moment at = std::min(Moment{alarm, 0}, answer);
      bool scored = false;
      if (next != moments.end() && next->first <= at) at = next->first, scored = next->second, ++next;
      if (at.slot == kNever || at.slot > last) break;
      if (at == Moment{alarm, 0}) alarm = kNever;
      if (at == answer) answer = {kNever, 0};
      const int64_t now = at.slot * kSlotUs;
      const Numbers n = asked.numbers(at);

      const Tier before = tier.tier;
      // The first time that a tier hangs on the days active they are asked for, and the look waits two rounds for them.
      const bool asks = !days_known && (before > Tier::kMember || days_decide(n, world.community));
      if (asks) days_known = true, answer = {at.slot, at.round + 2};
      const bool waits = answer.slot != kNever;
      const bool own_hour = floor_div(now - own_hours, kDayUs) != floor_div(now - kSlotUs - own_hours, kDayUs);
      if (!waits) look_at_tier(tier, n, world.community, now, own_hour);
      if (tier.tier != before) user.steps.push_back({at.slot, before, tier.tier, n.profile[0]});

      // A score is reported at most once a minute, which begins at the user's own second: what came later in it is due
      // at the next.
      const auto wake = [&](int64_t at_us) {
        const int64_t slot = std::max(at.slot + 1, floor_div(at_us + kSlotUs - 1, kSlotUs));
        alarm = std::min(alarm, slot);
      };
      if (waits) {
        report_due |= scored;
      } else if (scored || report_due) {
        const int64_t begin = world.community.own_minutes ? own_hours % minute : 0,
                      number = floor_div(now - begin, minute);
        report_due = number == reported;
        if (report_due)
          wake((number + 1) * minute + begin);
        else
          user.reports.push_back({at.slot, tier.tier, n.capability, n.profile}), reported = number;
      }
      if (const int64_t day = asked.oldest_day(at); day != INT64_MAX) wake(log.leaves_us(day, name));
      if (const int64_t expiry = asked.soonest_expiry(at); expiry != kNever) wake(expiry);
      if (tier.tier > Tier::kMember) wake((floor_div(now - own_hours, kDayUs) + 1) * kDayUs + own_hours);
    }
    const Moment end{last, kRoundsMax};
    user.known = asked.known(end);
    user.points = asked.points(end);
    user.numbers = asked.numbers(end);
    user.tier = tier.tier, user.since_us = tier.since_us, user.below_since_us = tier.below_since_us;
  }
  return outcome;
}

}  // namespace bellwether::model

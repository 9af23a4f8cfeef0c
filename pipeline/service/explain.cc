#include "pipeline/service/explain.h"

#include <algorithm>
#include <array>
#include <map>

namespace bellwether {
namespace {

pb::HomeKind home_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::kUser:
      return pb::HOME_KIND_USER;
    case KeyKind::kPost:
      return pb::HOME_KIND_POST;
    case KeyKind::kReferral:
      return pb::HOME_KIND_REFERRAL;
    case KeyKind::kReport:
      return pb::HOME_KIND_REPORT;
    case KeyKind::kFlag:
      return pb::HOME_KIND_FLAG;
    case KeyKind::kEvent:
    case KeyKind::kCommunity:
      break;
  }
  return pb::HOME_KIND_UNSPECIFIED;
}

pb::EventKind kind_of_rule(RuleId rule) {
  switch (rule) {
    case RuleId::kIdeaAdopted:
    case RuleId::kFeatured:
    case RuleId::kIdeaPosted:
    case RuleId::kReplyReceived:
    case RuleId::kAnswerAccepted:
      return pb::EVENT_KIND_POST;
    case RuleId::kSuggestionAdopted:
    case RuleId::kBugConfirmed:
    case RuleId::kBugFixed:
    case RuleId::kBetaSession:
      return pb::EVENT_KIND_BETA_TEST;
    case RuleId::kLikeReceived:
    case RuleId::kShareReceived:
    case RuleId::kFollowReceived:
    case RuleId::kPersonReached:
    case RuleId::kReader:
    case RuleId::kAnswerLiked:
      return pb::EVENT_KIND_LIKE;
    case RuleId::kReferralJoined:
    case RuleId::kReferralActivated:
    case RuleId::kReferralConverted:
    case RuleId::kReferralProfitable:
    case RuleId::kReferralInvited:
      return pb::EVENT_KIND_REFERRAL;
    case RuleId::kCertificate:
    case RuleId::kExam:
      return pb::EVENT_KIND_ACCOUNT;
    case RuleId::kNone:
      break;
  }
  return pb::EVENT_KIND_UNSPECIFIED;
}

// An event with all rows that stand under it: its coming, its undoing, discounts and restorations.
struct Event {
  EventRef ref;
  int64_t count = 0, raw_micros = 0, authentic_micros = 0;
};

// Within a day and rule: the latest first.
bool comes_before(const Event& a, const Event& b) {
  if (a.ref.time_us != b.ref.time_us) return a.ref.time_us > b.ref.time_us;
  if (a.ref.id_hash != b.ref.id_hash) return a.ref.id_hash > b.ref.id_hash;
  return a.ref.home < b.ref.home;
}

// Those that stand, of the rules asked for; by day and rule. Of a key user there are tens of thousands, which come in
// the order folded: nearly that of time, so that most lists need no sorting.
using Events = std::map<std::pair<int64_t, RuleId>, std::vector<Event>>;
Events events_of(Lookup& lookup, const ScoresState& scores, uint64_t user, const std::array<bool, kRuleIds>& asked) {
  Events events;
  auto list = events.end();
  const auto add = [&](const std::vector<CreditRow>& rows) {
    for (const CreditRow& row : rows) {
      if (!asked[static_cast<size_t>(row.rule)]) continue;
      const std::pair of(row.day, row.rule);
      if (list == events.end() || list->first != of) list = events.try_emplace(of).first;
      list->second.push_back({row.event, row.count, row.raw_micros, row.authentic_micros});
    }
  };
  for (const ScoresState::Block& block : scores.blocks) {
    const std::string bytes =
        lookup.at().block(OperatorId::kScores, {KeyKind::kUser, user}, block.day, block.number, lookup.status());
    Reader r(bytes);
    std::vector<CreditRow> rows;
    if (r.u8() == 1 && read_rows(r, rows)) add(rows);
  }
  add(scores.rows.rows());
  for (auto& [of, found] : events) {
    std::reverse(found.begin(), found.end());
    if (!std::is_sorted(found.begin(), found.end(), comes_before)) std::sort(found.begin(), found.end(), comes_before);
    size_t kept = 0;
    for (size_t i = 0; i < found.size();) {
      Event e = found[i];
      for (++i; i < found.size() && !comes_before(e, found[i]); ++i)
        e.count += found[i].count, e.raw_micros += found[i].raw_micros, e.authentic_micros += found[i].authentic_micros;
      if (e.count != 0 || e.raw_micros != 0) found[kept++] = e;
    }
    found.resize(kept);
  }
  return events;
}

uint32_t halvings_of(int64_t points_micros, int64_t raw_micros) {
  for (uint32_t n = 0; n <= kHalvingMax; ++n)
    if (points_micros >> n == raw_micros) return n;
  return 0;
}

void fill_event(Lookup& lookup, const Event& e, RuleId rule, int64_t rule_micros, bool staff,
                pb::ContributionEvent& out) {
  const pb::EventKind kind = kind_of_rule(rule);
  fill_event_ref(lookup, e.ref, kind, *out.mutable_event());
  out.set_points_micros(staff ? e.raw_micros : e.authentic_micros);
  out.set_authenticity(!staff || e.raw_micros <= 0
                           ? kAuthentic
                           : static_cast<uint32_t>((e.authentic_micros * 256 + e.raw_micros - 1) / e.raw_micros));
  if (rule == RuleId::kLikeReceived || rule == RuleId::kAnswerLiked)
    out.set_halvings(halvings_of(rule_micros, e.raw_micros));
  switch (kind) {
    case pb::EVENT_KIND_LIKE: {
      out.set_actor(out.event().home());
      if (const auto like = lookup.like(e.ref.home.hash, e.ref.time_us, e.ref.id_hash))
        out.set_about(lookup.post_name(like->post));
      break;
    }
    case pb::EVENT_KIND_POST:
      out.set_about(out.event().home());
      if (rule == RuleId::kReplyReceived)
        if (const PostsState* reply = lookup.post(e.ref.home.hash)) out.set_actor(reply->author_id);
      break;
    case pb::EVENT_KIND_ACCOUNT:
      break;
    default:
      out.set_about(out.event().home());
      break;
  }
}

}  // namespace

void fill_event_ref(Lookup& lookup, const EventRef& event, pb::EventKind kind, pb::EventRef& out) {
  out.set_kind(kind);
  out.set_home_kind(home_of(event.home.kind));
  out.set_home(lookup.name(event.home));
  out.set_home_hash(hex16(event.home.hash));
  set_time(event.time_us, out.mutable_time());
  out.set_id_hash(hex16(event.id_hash));
}

void explain_score(Lookup& lookup, uint64_t user, const ScoreChoice& choice, size_t events_each, Audience audience,
                   pb::ExplainScoreResponse& out) {
  const Reading& reading = lookup.reading();
  const CommunityConfig& community = reading.community();
  const RulesOf rules = reading.rules();
  const int64_t now = reading.now_us(), today = day_of(now);
  static const ScoresState kNothing;
  const ScoresState* known = lookup.scores(user);
  const ScoresState s = known != nullptr ? *known : kNothing;  // the look-up forgets while names are looked up
  const bool staff = audience == Audience::kStaff;

  const ScoreView view = scores_of(s, community, rules, now);
  std::vector<Contribution> lines = choice.profile
                                        ? explain_profile(s, community.profiles[choice.number], community, rules, now)
                                        : explain_capability(s, choice.number + 1, community, rules, now);
  pb::Score& score = *out.mutable_score();
  if (!choice.profile) score.set_capability(static_cast<pb::Capability>(choice.number + 1));
  score.set_name(choice.profile ? community.profiles[choice.number].name : capability_name(choice.number));
  score.set_score_micros(choice.profile ? view.profile_micros[choice.number] : view.capability_micros[choice.number]);
  fill_rank(reading, s, user, choice.board(), lookup.status(), score);

  int64_t sum = 0;
  for (const Contribution& line : lines) sum += line.contribution_micros;
  BELLWETHER_REQUIRE(sum == score.score_micros(), "law 4: contributions sum to %lld, the score is %lld",
                     static_cast<long long>(sum), static_cast<long long>(score.score_micros()));

  std::stable_sort(lines.begin(), lines.end(), [](const Contribution& a, const Contribution& b) {
    if (a.contribution_micros != b.contribution_micros) return a.contribution_micros > b.contribution_micros;
    return std::pair(a.day, a.rule) < std::pair(b.day, b.rule);
  });
  std::array<bool, kRuleIds> asked{};
  for (const Contribution& line : lines) asked[static_cast<size_t>(line.rule)] = true;
  const Events events = events_of(lookup, s, user, asked);
  const Decay& decay = decay_of(community.half_life_days);
  const int64_t base = decay.base(today, community.window_days);
  size_t named = 0;
  for (const Contribution& line : lines) {
    if (line.count == 0 && line.raw_micros == 0) continue;  // all of it was undone
    const RuleConfig& rule = community.rules[static_cast<size_t>(line.rule)];
    pb::Contribution& c = *out.add_contributions();
    c.set_rule(rule.name != nullptr ? rule.name : "rule_" + std::to_string(static_cast<int>(line.rule)));
    c.set_capability(static_cast<pb::Capability>(rule.capability));
    c.set_day(date_text(line.day));
    c.set_count(static_cast<uint64_t>(std::max<int64_t>(0, line.count)));
    c.set_points_micros(staff ? line.raw_micros : line.raw_micros - line.discounted_micros);
    c.set_capped_micros(line.capped_micros);
    if (staff) c.set_discounted_micros(line.discounted_micros);
    c.set_contribution_micros(line.contribution_micros);
    c.set_decay_ppm(static_cast<uint32_t>(decay.weight(line.day, base) * 1'000'000 / decay.weight(today, base)));
    static const std::vector<Event> kNone;
    const auto found = events.find(std::pair(line.day, line.rule));
    const std::vector<Event>& of = found == events.end() ? kNone : found->second;
    for (const Event& e : of) {
      if (static_cast<size_t>(c.events_size()) == events_each || named == kExplainEventsMax) break;
      fill_event(lookup, e, line.rule, rule.points_micros, staff, *c.add_events());
      if (++named % 64 == 0) lookup.forget();  // likers' books are large
    }
    c.set_more_events_count(of.size() - static_cast<uint64_t>(c.events_size()));
  }

  if (staff)
    for (const WithoutFlag& w : s.without) {
      const Sums there = s.book.sums(today, community, rules, &w.taken);
      const int64_t without = choice.profile ? score_micros(there.profile(community.profiles[choice.number]), there,
                                                            community.half_life_days, 1000)
                                             : score_micros(there.s[choice.number], there, community.half_life_days, 1);
      if (without == score.score_micros()) continue;
      pb::FlagDiscount& d = *out.add_discounts();
      d.set_flag(w.flag_id);
      d.set_kind(to_pb(w.kind));
      d.set_taken_micros(without - score.score_micros());
      score.set_taken_micros(score.taken_micros() + d.taken_micros());
    }
  out.set_half_life_days(community.half_life_days);
  out.set_window_days(community.window_days);
}

}  // namespace bellwether

#include "pipeline/service/user_view.h"

#include <algorithm>
#include <map>

namespace bellwether {
namespace {

// Shares of 1,000 that sum to 1,000: floors, and what is left to the largest remainders.
std::array<uint32_t, kCapabilities> shares(const std::array<int64_t, kCapabilities>& values) {
  std::array<uint32_t, kCapabilities> out{};
  uint128 total = 0;
  for (const int64_t v : values) total += static_cast<uint128>(std::max<int64_t>(0, v));
  if (total == 0) return out;
  std::array<std::pair<uint128, size_t>, kCapabilities> rest;
  uint32_t given = 0;
  for (size_t i = 0; i < kCapabilities; ++i) {
    const uint128 scaled = static_cast<uint128>(std::max<int64_t>(0, values[i])) * 1000;
    out[i] = static_cast<uint32_t>(scaled / total), given += out[i];
    rest[i] = {scaled % total, kCapabilities - i};
  }
  std::sort(rest.rbegin(), rest.rend());
  for (size_t i = 0; given < 1000; ++i, ++given) ++out[kCapabilities - rest[i].second];
  return out;
}

// What flags took from every bucket: given back, the score is the one without any discount.
std::vector<Taken> all_taken(const ScoresState& s) {
  std::vector<Taken> taken;
  for (const Bucket& b : s.book.buckets())
    if (b.raw_micros != b.authentic_micros) taken.push_back({b.day, b.rule, b.raw_micros - b.authentic_micros});
  return taken;
}

const ActiveDays* days_of(const PeopleShown* people) { return people != nullptr ? &people->portrait.days() : nullptr; }

}  // namespace

uint32_t active_days(const Reading& reading, const ScoresState* scores, const PeopleShown* people) {
  return days_active(scores, days_of(people), reading.now_us(), reading.community().window_days);
}

namespace {

void fill_portrait(const Reading& reading, const ScoresState* scores, const PeopleShown* people,
                   const std::array<int64_t, kCapabilities>& points, pb::Portrait& out) {
  for (const uint32_t share : shares(points)) out.add_capability_share_permille(share);
  std::array<uint64_t, 24> hours{};
  uint64_t acts = 0;
  std::map<std::string, uint64_t> channels, topics;
  for (const Portrait* p :
       {scores != nullptr ? &scores->portrait : nullptr, people != nullptr ? &people->portrait : nullptr}) {
    if (p == nullptr) continue;
    const Portrait::Counts counts = p->counts();
    for (size_t h = 0; h < 24; ++h) hours[h] += counts.hours[h], acts += counts.hours[h];
    for (const auto& named : counts.channels) channels[named.name] += named.count;
    for (const auto& named : counts.topics) topics[named.name] += named.count;
  }
  if (acts > 0)
    for (const uint64_t n : hours) out.add_active_hours(n);
  const auto by_count = [](const std::map<std::string, uint64_t>& named) {
    std::vector<std::pair<std::string, uint64_t>> list(named.begin(), named.end());
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    return list;
  };
  for (const auto& [name, count] : by_count(topics)) {
    if (out.topics_size() == static_cast<int>(Portrait::kTopics)) break;
    auto* topic = out.add_topics();
    topic->set_topic(name);
    topic->set_count(count);
  }
  uint64_t named = 0;
  for (const auto& [name, count] : channels) named += count;
  const uint64_t total = std::max(acts, named);
  if (total > named) channels[""] += total - named;
  for (const auto& [name, count] : by_count(channels)) {
    if (out.channels_size() == static_cast<int>(Portrait::kChannels)) break;
    auto* channel = out.add_channels();
    channel->set_channel(name);
    channel->set_share_permille(static_cast<uint32_t>(count * 1000 / total));
  }
  out.set_active_days(active_days(reading, scores, people));
}

void fill_flags(Lookup& lookup, const ScoresState* scores, const PeopleShown* people, pb::User& out) {
  const Reading& reading = lookup.reading();
  std::map<std::string, pb::UserFlag> flags;
  const auto add = [&](uint64_t hash, const std::string& id) -> pb::UserFlag* {
    const FlagsState* flag = lookup.flag(hash);
    if (flag == nullptr || !discounts(flag->status)) return nullptr;
    pb::UserFlag& f = flags[id];
    f.set_flag(id);
    f.set_kind(to_pb(flag->kind));
    f.set_status(to_pb(flag->status));
    return &f;
  };
  if (scores != nullptr) {
    const int64_t here =
        standing_of(*scores, nullptr, reading.community(), reading.rules(), reading.now_us()).score_micros;
    for (const WithoutFlag& w : scores->without) {
      if (pb::UserFlag* f = add(w.flag, w.flag_id))
        f->set_overall_taken_micros(
            standing_of(*scores, nullptr, reading.community(), reading.rules(), reading.now_us(), &w).score_micros -
            here);
    }
  }
  if (people != nullptr)
    for (const OpenDiscount& d : people->book.discounts())
      if (pb::UserFlag* f = add(d.flag, d.flag_id)) f->set_subject(true);
  for (auto& [id, flag] : flags) *out.add_flags() = std::move(flag);
}

// What members may read: no word of how manipulation is found.
void make_coarse(pb::TierReason& reason) {
  reason.clear_flag();
  switch (reason.code()) {
    case pb::TIER_REASON_CODE_FLAGGED:
      reason.set_code(pb::TIER_REASON_CODE_FELL_BELOW);
      reason.set_text("the score no longer reaches what the tier asks for");
      break;
    case pb::TIER_REASON_CODE_RESTORED:
      reason.set_code(pb::TIER_REASON_CODE_REACHED);
      reason.set_text("what the tier asks for is met");
      break;
    default:
      break;
  }
}

}  // namespace

void fill_rank(const Reading& reading, const ScoresState& scores, uint64_t user, BoardNumber board, Status& status,
               pb::Score& out) {
  if (!status.ok()) return;
  const Rank rank = reading.rank(scores, user, board, status);
  out.set_rank(rank.rank);
  out.set_rank_exact(rank.exact);
  if (status.ok()) out.set_percentile_permille(reading.percentile_permille(scores, board));
}

ShownTier shown_tier(const ScoresState* scores, const PeopleShown* people, const Reading& reading) {
  ShownTier shown;
  if (scores != nullptr)
    shown.tier = scores->machine.tier, shown.visible = visible_tier(*scores, reading.community(), reading.now_us());
  if (people != nullptr && people->held != Tier::kUnspecified &&
      (people->held_until_us == 0 || reading.now_us() < people->held_until_us))
    shown.tier = shown.visible = people->held, shown.held = true;
  return shown;
}

void fill_gates(Tier tier, const Standing& standing, const ScoresState& scores, const Reading& reading,
                pb::TierGates& out) {
  if (tier <= Tier::kMember || tier > Tier::kLead) return;
  out.set_tier(to_pb(tier));
  for (const GateCheck& check : checks(tier, standing, reading.community(), reading.at().cutoffs())) {
    auto* gate = out.add_gates();
    gate->set_name(gate_name(check.name));
    gate->set_met(check.met);
    if (check.name == "percentile") {  // in thousandths of the community instead of cells
      gate->set_required(reading.community().tiers[static_cast<size_t>(tier)].top_permille);
      const CellTable& table = reading.cells(kOverallBoard);
      const uint32_t cell = scores.cells.size() > kOverallBoard ? scores.cells[kOverallBoard] : 0;
      const auto [above, within] = table.at(cell);
      gate->set_have(table.total == 0 || cell == 0 ? 1000
                                                   : static_cast<int64_t>((above + 1) * 1000 + table.total - 1) /
                                                         static_cast<int64_t>(table.total));
    } else {
      gate->set_required(check.required);
      gate->set_have(check.have);
    }
    out.set_met(out.met() + (check.met ? 1 : 0));
    out.set_total(out.total() + 1);
  }
}

int64_t last_active_us(const ScoresState* scores, const PeopleShown* people, int64_t now_us) {
  int64_t day = INT64_MIN;
  for (const Portrait* p :
       {scores != nullptr ? &scores->portrait : nullptr, people != nullptr ? &people->portrait : nullptr}) {
    if (p == nullptr) continue;
    for (int64_t d = day_of(now_us); d > day_of(now_us) - ActiveDays::kDays && d > day; --d)
      if (p->days().on(d)) day = d;
  }
  if (day == INT64_MIN) return 0;
  int64_t latest = day * kDayUs;
  if (people != nullptr)  // the newest likes come last, nearly in order of time
    for (size_t i = people->book.entries().size(), looked = 0; i-- > 0 && looked < 16; ++looked)
      latest = std::max(latest, people->book.entries()[i].time_us);
  return latest;
}

int64_t first_active_us(const ScoresState* scores, const PeopleShown* people) {
  int64_t first = INT64_MAX;
  if (scores != nullptr && scores->first_us != 0) first = scores->first_us;
  if (people != nullptr) first = std::min(first, people->first_seen_us);
  return first == INT64_MAX ? 0 : first;
}

bool flagged(Lookup& lookup, const ScoresState* scores, const PeopleShown* people) {
  const auto counts = [&](uint64_t hash) {
    const FlagsState* flag = lookup.flag(hash);
    return flag != nullptr && discounts(flag->status);
  };
  if (scores != nullptr)
    for (const WithoutFlag& w : scores->without)
      if (counts(w.flag)) return true;
  if (people != nullptr)
    for (const OpenDiscount& d : people->book.discounts())
      if (counts(d.flag)) return true;
  return false;
}

bool user_message(Lookup& lookup, uint64_t user, Audience audience, pb::User& out) {
  const Reading& reading = lookup.reading();
  const CommunityConfig& community = reading.community();
  const ScoresState* scores = lookup.scores(user);
  const PeopleShown* people = lookup.people(user);
  if ((scores == nullptr || scores->id.empty()) && (people == nullptr || people->id.empty())) return false;
  static const ScoresState kNothing;  // someone of whom only acts are known
  const ScoresState& s = scores != nullptr ? *scores : kNothing;
  const bool staff = audience == Audience::kStaff, member = audience == Audience::kMember;

  out.set_id(scores != nullptr && !scores->id.empty() ? scores->id : people->id);
  const ShownTier shown = shown_tier(scores, people, reading);
  const Tier tier = member ? shown.visible : shown.tier;
  out.set_tier(to_pb(tier));
  out.set_visible_tier(to_pb(shown.visible));
  pb::TierReason& reason = *out.mutable_tier_reason();
  if (shown.held) {
    reason.set_code(pb::TIER_REASON_CODE_HELD);
    reason.set_text(member || people->held_reason.empty() ? "staff hold this tier" : people->held_reason);
    out.set_computed_tier(to_pb(member ? visible_tier(s, community, reading.now_us()) : s.machine.tier));
  } else {
    reason = reason_of(s.machine.reason);
    // A tier that a flag keeps lower than it would be is lower because of the flag, whatever number fell.
    if (reason.code() == pb::TIER_REASON_CODE_FELL_BELOW || reason.code() == pb::TIER_REASON_CODE_GATE_LOST)
      for (const WithoutFlag& w : s.without)
        if (w.machine.tier > s.machine.tier && w.opened_us <= s.machine.since_us)
          reason.set_code(pb::TIER_REASON_CODE_FLAGGED), reason.set_flag(w.flag_id);
    if (!staff) make_coarse(reason);
  }
  if (s.machine.since_us != 0) set_time(s.machine.since_us, out.mutable_tier_since_time());
  if (s.machine.below_since_us != 0)
    set_time(s.machine.below_since_us + static_cast<int64_t>(community.grace_days) * kDayUs,
             out.mutable_grace_until_time());

  const ScoreView view = scores_of(s, community, reading.rules(), reading.now_us());
  ScoreView whole = view;
  if (staff) {
    const std::vector<Taken> taken = all_taken(s);
    if (!taken.empty()) {
      const Sums sums = s.book.sums(day_of(reading.now_us()), community, reading.rules(), &taken);
      for (size_t c = 0; c < kCapabilities; ++c)
        whole.capability_micros[c] = score_micros(sums.s[c], sums, community.half_life_days, 1);
      for (size_t p = 0; p < community.profiles.size(); ++p)
        whole.profile_micros[p] =
            score_micros(sums.profile(community.profiles[p]), sums, community.half_life_days, 1000);
    }
  }
  for (size_t c = 0; c < kCapabilities; ++c) {
    pb::Score* score = out.add_capabilities();
    score->set_capability(static_cast<pb::Capability>(c + 1));
    score->set_name(capability_name(c));
    score->set_score_micros(view.capability_micros[c]);
    if (staff) score->set_taken_micros(whole.capability_micros[c] - view.capability_micros[c]);
    fill_rank(reading, s, user, c, lookup.status(), *score);
  }
  for (size_t p = 0; p < view.profile_micros.size(); ++p) {
    pb::Score* score = p == 0 ? out.mutable_overall() : out.add_profiles();
    score->set_name(community.profiles[p].name);
    score->set_score_micros(view.profile_micros[p]);
    if (staff) score->set_taken_micros(whole.profile_micros[p] - view.profile_micros[p]);
    fill_rank(reading, s, user, kCapabilities + p, lookup.status(), *score);
  }
  const Standing standing = standing_of(s, days_of(people), community, reading.rules(), reading.now_us());
  if (tier > Tier::kMember) fill_gates(tier, standing, s, reading, *out.mutable_tier_gates());
  if (tier < Tier::kLead)
    fill_gates(static_cast<Tier>(static_cast<int>(tier) + 1), standing, s, reading, *out.mutable_next_tier_gates());
  fill_portrait(reading, scores, people, view.capability_micros, *out.mutable_portrait());
  out.mutable_portrait()->set_percentile_permille(out.overall().percentile_permille());
  if (staff) fill_flags(lookup, scores, people, out);
  if (const int64_t first = first_active_us(scores, people); first != 0)
    set_time(first, out.mutable_first_active_time());
  // Where only the day is known it is that day's beginning, which may lie before the first act.
  if (const int64_t last = last_active_us(scores, people, reading.now_us()); last != 0)
    set_time(std::max(last, first_active_us(scores, people)), out.mutable_last_active_time());
  if (people != nullptr) out.set_followers(people->followers), out.set_closed(people->closed);
  for (const Grant& grant : s.grants) {
    if (grant.expires_us != 0 && grant.expires_us <= reading.now_us()) continue;
    if (grant.action == AccountAction::kRole) {
      out.add_roles(grant.name);
    } else {
      out.add_certificates(grant.name);
    }
  }
  std::sort(out.mutable_roles()->begin(), out.mutable_roles()->end());
  std::sort(out.mutable_certificates()->begin(), out.mutable_certificates()->end());
  return true;
}

}  // namespace bellwether

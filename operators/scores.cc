#include "operators/scores.h"

#include <algorithm>

#include "operators/block_size.h"
#include "operators/decay.h"
#include "operators/json.h"
#include "operators/people.h"
#include "operators/registry.h"
#include "operators/state_reader.h"

namespace bellwether {
namespace {

// When a day leaves the window for a user: its end, the window, and hours of their own, so that nobody leaves at once.
int64_t hours_of_their_own(Key key) { return static_cast<int64_t>(key.hash % static_cast<uint64_t>(kDayUs)); }
int64_t newest_left_day(int64_t now_us, Key key, uint32_t window_days) {
  return floor_div(now_us - hours_of_their_own(key), kDayUs) - 1 - static_cast<int64_t>(window_days);
}
int64_t leaves_us(int64_t day, Key key, uint32_t window_days) {
  return (day + 1 + static_cast<int64_t>(window_days)) * kDayUs + hours_of_their_own(key);
}

void take(WithoutFlag& w, int64_t day, RuleId rule, int64_t micros) {
  if (micros == 0) return;
  const auto at = std::lower_bound(
      w.taken.begin(), w.taken.end(), std::pair(day, rule),
      [](const Taken& t, const std::pair<int64_t, RuleId>& k) { return std::pair(t.day, t.rule) < k; });
  if (at != w.taken.end() && at->day == day && at->rule == rule) {
    at->micros += micros;
    if (at->micros == 0) w.taken.erase(at);
  } else {
    w.taken.insert(at, {day, rule, micros});
  }
}

void take_view(const Sums& sums, const CommunityConfig& community, std::array<int64_t, kCapabilities>& capabilities,
               std::vector<int64_t>& profiles) {
  for (size_t c = 0; c < kCapabilities; ++c)
    capabilities[c] = sums.s[c] == 0 ? 0 : score_micros(sums.s[c], sums, community.half_life_days, 1);
  profiles.clear();
  for (const ProfileConfig& p : community.profiles)
    profiles.push_back(score_micros(sums.profile(p), sums, community.half_life_days, 1000));
}
ScoreView view_of(const Sums& sums, const CommunityConfig& community) {
  ScoreView view;
  take_view(sums, community, view.capability_micros, view.profile_micros);
  return view;
}

class Scores final : public OperatorOf<ScoresState> {
 public:
  OperatorId id() const override { return OperatorId::kScores; }
  const char* name() const override { return "scores"; }
  KeyKind key_kind() const override { return KeyKind::kUser; }

  void fold_key(ScoresState& s, Key key, std::span<const Item> items, Context& context) const override {
    const CommunityConfig& community = context.community();
    bool changed = false, scored = false;
    for (const Item& item : items) {
      if (item.kind == Item::Kind::kTimer) {
        changed = true;
        continue;
      }
      switch (kind_of(item.payload)) {
        case MessageKind::kCredit:
          credit(s, key, decode_credit(item.payload), context), changed = scored = true;
          break;
        case MessageKind::kActivity:
          changed |= activity(s, decode_activity(item.payload), context);
          break;
        case MessageKind::kGate:
          gate(s, key, decode_gate(item.payload), item.id_hash, context), changed = scored = true;
          break;
        case MessageKind::kBenefit:
          benefit(s, decode_benefit(item.payload), context), changed = scored = true;
          break;
        case MessageKind::kRecheck:
          changed = true;
          break;
        case MessageKind::kDays:
          (void)s.portrait.days().add(decode_days(item.payload));
          s.awaits_days = false, changed = true;
          break;
        default:
          break;
      }
    }
    if (!changed) return;
    const int64_t now = context.now_us(), left = newest_left_day(now, key, community.window_days);
    s.book.forget(left);
    for (WithoutFlag& w : s.without) std::erase_if(w.taken, [left](const Taken& t) { return t.day <= left; });
    std::erase_if(s.grants, [now](const Grant& g) { return g.expires_us != 0 && g.expires_us <= now; });
    // A flag whose day is long past can no longer be reversed: its world goes.
    std::erase_if(s.without, [&](const WithoutFlag& w) {
      return w.opened_us + (static_cast<int64_t>(community.window_days) + 30) * kDayUs < now;
    });
    if (evaluate(s, key, context))
      report(s, key, scored, now, context);
    else
      s.report_due |= scored;  // with the tier, as soon as that is known
    wake(s, key, context);
    seal(s, context);
  }

  bool board_entry(const State& state, Key key, const BoardContext& context, BoardEntry& out) const override {
    const auto& s = static_cast<const ScoresState&>(state);
    const int64_t today = day_of(context.now_us);
    out.user = key.hash;
    out.cells = {};
    std::copy_n(s.cells.begin(), std::min(s.cells.size(), out.cells.size()), out.cells.begin());
    out.base = decay_of(context.community.half_life_days).base(today, context.community.window_days);
    const Sums* const kept = s.book.kept(out.base, context.community.half_life_days, context.number);
    out.s = kept != nullptr ? kept->s : s.book.sums(today, context.community, context.rules).s;
    return true;
  }

  bool dump(const State& state, Key key, const DumpContext& context, std::string& json) const override {
    const auto& s = static_cast<const ScoresState&>(state);
    if (s.id.empty()) return false;
    const auto* home = static_cast<const PeopleState*>(context.reader.state(OperatorId::kPeople, key));
    const ScoreView view = scores_of(s, context.community, context.rules, context.now_us);
    const Standing here = standing_of(s, home != nullptr ? &home->portrait.days() : nullptr, context.community,
                                      context.rules, context.now_us);
    json = "{\"type\":\"user\",\"id\":";
    append_json(json, s.id);
    static constexpr const char* kNames[] = {"innovation", "communication", "referral", "knowledge"};
    for (size_t c = 0; c < kCapabilities; ++c)
      json += (c == 0 ? ",\"scores\":{\"" : ",\"") + std::string(kNames[c]) +
              "\":" + std::to_string(view.capability_micros[c]);
    for (size_t p = 0; p < view.profile_micros.size(); ++p) {
      json += p == 0 ? "},\"profiles\":{" : ",";
      append_json(json, context.community.profiles[p].name);
      json += ":" + std::to_string(view.profile_micros[p]);
    }
    json += "},\"tier\":\"" + std::string(tier_name(s.machine.tier)) + "\",\"visible_tier\":\"" +
            tier_name(visible_tier(s, context.community, context.now_us));
    json += "\",\"tier_since_us\":" + std::to_string(s.machine.since_us) +
            ",\"below_since_us\":" + std::to_string(s.machine.below_since_us) + ",\"tier_reason\":";
    append_json(json, s.machine.reason);
    json += ",\"days_active\":" + std::to_string(here.days_active) +
            ",\"distinct_likers\":" + std::to_string(here.distinct_likers);
    json += ",\"certificates\":" + std::to_string(here.certificates) + ",\"exams\":" + std::to_string(here.exams);
    for (Tier t : {Tier::kContributor, Tier::kKey, Tier::kLead}) {
      size_t met = 0;
      const std::vector<GateCheck> asked = checks(t, here, context.community, context.cutoffs);
      for (const GateCheck& c : asked) met += c.met;
      json += std::string(t == Tier::kContributor ? ",\"gates\":{\"" : ",\"") + tier_name(t) + "\":\"" +
              std::to_string(met) + "/" + std::to_string(asked.size()) + "\"";
    }
    json += "},\"flags\":[";
    for (size_t i = 0; i < s.without.size(); ++i) {
      json += i == 0 ? "{\"id\":" : ",{\"id\":";
      append_json(json, s.without[i].flag_id);
      json += ",\"tier_without\":\"" + std::string(tier_name(s.without[i].machine.tier)) + "\"}";
    }
    json += "]}";
    return true;
  }

 private:
  static void know(ScoresState& s, std::string_view user_id, int64_t time_us, Context& context) {
    if (!s.id.empty()) return;
    s.id = user_id;
    s.first_us = time_us;
    context.count({kCounterUsers, 0}, 1);
  }

  static void credit(ScoresState& s, Key key, const Credit& c, Context& context) {
    if (!c.user_id.empty()) know(s, c.user_id, c.event.time_us, context);
    s.likers += c.liker_delta;
    const bool left = c.day <= newest_left_day(context.now_us(), key, context.community().window_days);
    if (c.rule != RuleId::kNone && !left) {
      s.book.add(c.day, c.rule, c.rules, c.count, c.raw_micros, c.authentic_micros);
      s.rows.add(
          {c.rule, c.day, c.cause, c.flag, c.event, context.tick().slot, c.count, c.raw_micros, c.authentic_micros});
      if (c.reached_count != 0 || c.reached_raw_micros != 0 || c.reached_authentic_micros != 0) {
        s.book.add(c.day, RuleId::kPersonReached, c.rules, c.reached_count, c.reached_raw_micros,
                   c.reached_authentic_micros);
        s.rows.add({RuleId::kPersonReached, c.day, c.cause, c.flag, c.event, context.tick().slot, c.reached_count,
                    c.reached_raw_micros, c.reached_authentic_micros},
                   true);
      }
    }
    for (WithoutFlag& w : s.without) {
      const auto at =
          std::find_if(c.without.begin(), c.without.end(), [&](const Credit::World& v) { return v.flag == w.flag; });
      if (at == c.without.end()) continue;  // the same there as here
      w.likers += at->liker_delta - c.liker_delta;
      if (left) continue;
      take(w, c.day, c.rule, at->authentic_micros - c.authentic_micros);
      if (at->reached_authentic_micros == c.reached_authentic_micros) continue;
      s.book.open(c.day, RuleId::kPersonReached, c.rules);  // here they reached nobody, there they did
      take(w, c.day, RuleId::kPersonReached, at->reached_authentic_micros - c.reached_authentic_micros);
    }
  }

  // True where it may change the user's standing: a new day active.
  static bool activity(ScoresState& s, const Activity& a, Context& context) {
    know(s, a.user_id, a.time_us, context);
    bool new_day = true;
    const auto kind = static_cast<ActKind>(a.act);
    // A user's likes are in the portrait at their home; of them only the day comes here.
    if (kind == ActKind::kOther && a.channel.empty() && a.topics.empty())
      s.portrait.days().mark(day_of(a.time_us));
    else
      new_day = s.portrait.act(a.time_us, kind, a.channel);
    for (std::string_view t : a.topics) s.portrait.topic(t);
    return new_day;
  }

  static void gate(ScoresState& s, Key key, const Gate& g, uint64_t id_hash, Context& context) {
    know(s, g.user_id, g.time_us, context);
    const auto held = std::find_if(s.grants.begin(), s.grants.end(),
                                   [&](const Grant& h) { return h.action == g.action && h.name == g.name; });
    if (g.revoked) {
      if (held != s.grants.end()) s.grants.erase(held);
      return;
    }
    if (held != s.grants.end()) {  // renewed: no points twice
      held->expires_us = g.expires_us;
      return;
    }
    if (s.grants.size() >= ScoresState::kGrantsMax) s.grants.erase(s.grants.begin());
    s.grants.push_back({g.action, std::string(g.name), g.time_us, g.expires_us});
    if (g.action == AccountAction::kRole) return;
    Credit c;
    c.rule = g.action == AccountAction::kCertified ? RuleId::kCertificate : RuleId::kExam;
    c.day = day_of(g.time_us), c.rules = context.community_number(), c.event = {key, g.time_us, id_hash}, c.count = 1;
    c.raw_micros = c.authentic_micros = context.community().rules[static_cast<size_t>(c.rule)].points_micros;
    credit(s, key, c, context);
  }

  static void benefit(ScoresState& s, const Benefit& b, Context& context) {
    if (b.kind == FlagKind::kRanking) return;  // takes nothing of its own
    const auto at =
        std::find_if(s.without.begin(), s.without.end(), [&](const WithoutFlag& w) { return w.flag == b.flag; });
    switch (b.stage) {
      case Benefit::Stage::kOpened: {
        if (at != s.without.end()) {
          at->confirmed = false;
          return;
        }
        if (s.without.size() >= kUserFlagsMax) return;  // its end will give back the score, not the tier's history
        WithoutFlag w;
        w.flag = b.flag, w.flag_id = std::string(b.flag_id), w.kind = b.kind, w.opened_us = context.now_us(),
        w.machine = s.machine;
        s.without.push_back(std::move(w));
        return;
      }
      case Benefit::Stage::kConfirmed:
        if (at != s.without.end()) at->confirmed = true;
        return;
      case Benefit::Stage::kDismissed:
        if (at == s.without.end()) return;
        if (at->machine.tier != s.machine.tier) {
          change(s, s.machine.tier, at->machine.tier, "flag " + at->flag_id + " was dismissed", context);
        }
        index_tier(context, s.machine.tier, at->machine.tier);
        s.machine = at->machine;
        s.without.erase(at);
        return;
    }
  }

  static void change(const ScoresState& s, Tier from, Tier to, const std::string& reason, Context& context) {
    TierChange c;
    c.user_id = s.id, c.from = from, c.to = to, c.reason = reason;
    ScoresState shown;  // only what visible_tier reads
    shown.machine.tier = from, shown.without = s.without;
    c.from_visible = visible_tier(shown, context.community(), context.now_us());
    shown.machine.tier = to;
    c.visible = visible_tier(shown, context.community(), context.now_us());
    const Standing here = standing_of(
        s, nullptr, context.community(), [&](uint16_t n) -> const CommunityConfig& { return context.community(n); },
        context.now_us());
    c.score_micros = here.score_micros;
    c.gates = checks(std::max(from, to), here, context.community(), context.cutoffs());
    context.emit(OutKind::kTier, encode(c));
  }
  static void index_tier(Context& context, Tier from, Tier to) {
    if (from == to) return;
    if (from > Tier::kMember) context.index(IndexId::kUsersByTier, static_cast<uint8_t>(from), 0, false);
    if (to > Tier::kMember) context.index(IndexId::kUsersByTier, static_cast<uint8_t>(to), 0, true);
  }

  // False where it cannot be said yet: the days active decide, and are asked for. They come within this tick.
  static bool evaluate(ScoresState& s, Key key, Context& context) {
    const CommunityConfig& community = context.community();
    const RulesOf rules = [&](uint16_t n) -> const CommunityConfig& { return context.community(n); };
    const int64_t now = context.now_us();
    const Sums& sums = s.book.running(day_of(now), community, context.community_number(), rules);
    boards(s, sums, community, context);

    if (plain(s) && below_all_tiers(sums, community)) return !s.awaits_days;
    const Standing here = standing(s, nullptr, sums, community, now, s.likers);
    bool days = (tiered(s) && days_asked(community)) || days_decide(here, community, context.cutoffs());
    std::vector<Standing> there;
    for (const WithoutFlag& w : s.without) {
      const Sums there_sums = s.book.running_with(community, rules, w.taken);
      there.push_back(standing(s, nullptr, there_sums, community, now, s.likers + w.likers));
      days = days || days_decide(there.back(), community, context.cutoffs());
    }
    if (s.awaits_days) return false;
    if (days && !s.wants_days) {
      s.wants_days = s.awaits_days = true;
      context.send(OperatorId::kPeople, key, now, 0, std::string(1, static_cast<char>(MessageKind::kWantDays)));
      return false;
    }

    const Tier before = s.machine.tier;
    // The timer of their own hour fires in the first tick at or after it.
    const int64_t since_hour = now - hours_of_their_own(key);
    const bool daily = since_hour - floor_div(since_hour, kDayUs) * kDayUs < kSlotUs;
    if (s.machine.step(here, community, context.cutoffs(), now, daily)) {
      index_tier(context, before, s.machine.tier);
      change(s, before, s.machine.tier, s.machine.reason, context);
    }
    for (size_t i = 0; i < s.without.size(); ++i) {
      WithoutFlag& w = s.without[i];
      w.machine.step(there[i], community, context.cutoffs(), now, daily);
      if (!w.told && community.ranking.enabled) ranking(s, key, w, here, there[i], context);
    }
    return true;
  }
  // Most users stand on the lowest tier, in the only world there is, far from the next one: what a look at their tier
  // would find is known.
  static bool plain(const ScoresState& s) {
    return s.without.empty() && s.machine.tier == Tier::kMember && s.machine.below_since_us == 0;
  }
  static bool below_all_tiers(const Sums& sums, const CommunityConfig& community) {
    const int64_t lowest = lowest_tier_micros(community);
    return lowest > 0 &&
           score_micros(sums.profile(community.profiles[0]), sums, community.half_life_days, 1000) < lowest;
  }
  static bool tiered(const ScoresState& s) {
    return s.machine.tier > Tier::kMember || std::any_of(s.without.begin(), s.without.end(), [](const WithoutFlag& w) {
             return w.machine.tier > Tier::kMember;
           });
  }

  static Standing standing(const ScoresState& s, const ActiveDays* home, const Sums& sums,
                           const CommunityConfig& community, int64_t now, int64_t likers) {
    Standing st;
    const uint128 overall = sums.profile(community.profiles[0]);
    st.score_micros = score_micros(overall, sums, community.half_life_days, 1000);
    st.cell = cell_of(overall, sums.base);
    for (size_t c = 0; c < kCapabilities; ++c)
      if (sums.s[c] != 0) st.points_micros[c] = score_micros(sums.s[c], sums, community.half_life_days, 1);
    st.days_active = days_active(&s, home, now, community.window_days);
    st.distinct_likers = static_cast<uint32_t>(std::max<int64_t>(0, likers));
    for (const Grant& g : s.grants) {
      st.certificates += g.action == AccountAction::kCertified;
      st.exams += g.action == AccountAction::kExamPassed;
      const auto& paid = community.memberships;
      st.memberships += g.action == AccountAction::kRole && std::find(paid.begin(), paid.end(), g.name) != paid.end();
    }
    return st;
  }
  friend Standing bellwether::standing_of(const ScoresState&, const ActiveDays*, const CommunityConfig&, const RulesOf&,
                                          int64_t, const WithoutFlag*);

  // D7: the place that the score without the flag's discount would take is not carried by what is authentic.
  static void ranking(const ScoresState& s, Key key, WithoutFlag& w, const Standing& here, const Standing& there,
                      Context& context) {
    const CommunityConfig& community = context.community();
    if (there.score_micros <= 0) return;
    const int64_t share = (there.score_micros - here.score_micros) * 1000 / there.score_micros;
    const Tier with = entry_tier(there, community, context.cutoffs()),
               carried = entry_tier(here, community, context.cutoffs());
    if (share < static_cast<int64_t>(community.ranking.fake_share_permille) || with <= carried) return;
    w.told = true;
    Raise r;
    r.kind = FlagKind::kRanking;
    r.id = "ranking-" + hex(key.hash ^ w.flag);
    r.subjects = {key.hash}, r.beneficiaries = {key.hash};
    r.authenticity = kAuthentic;
    r.confidence_permille = static_cast<uint16_t>(std::min<int64_t>(999, share));
    r.details = {{"share_taken_permille", share},
                 {"score_with_micros", there.score_micros},
                 {"score_without_micros", here.score_micros},
                 {"tier_with", static_cast<int64_t>(with)},
                 {"tier_without", static_cast<int64_t>(carried)}};
    const auto collect = [&](const std::vector<CreditRow>& rows) {
      for (const CreditRow& row : rows)
        if (row.flag == w.flag && row.cause == Cause::kFlag && r.evidence.size() < kFlagEvidenceMax)
          r.evidence.push_back({row.event.home.hash, 0, key.hash, row.event.time_us, row.event.id_hash});
    };
    for (size_t i = s.blocks.size() > 8 ? s.blocks.size() - 8 : 0; i < s.blocks.size(); ++i) {
      const std::string bytes = context.read_block(s.blocks[i].day, s.blocks[i].number);
      Reader reader(bytes);
      std::vector<CreditRow> rows;
      if (reader.u8() == 1 && read_rows(reader, rows)) collect(rows);
    }
    collect(s.rows.rows());
    context.send(OperatorId::kFlags, {KeyKind::kFlag, context.hasher()(KeyKind::kFlag, r.id)}, context.now_us(), w.flag,
                 encode(r));
  }
  static std::string hex(uint64_t v) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text(16, '0');
    for (size_t i = 16; i-- > 0; v >>= 4) text[i] = kDigits[v & 15];
    return text;
  }

  static void boards(ScoresState& s, const Sums& sums, const CommunityConfig& community, Context& context) {
    const size_t boards = std::min(kBoardsMax, kCapabilities + community.profiles.size());
    if (s.cells.size() < boards) s.cells.resize(boards, 0);
    for (size_t b = 0; b < s.cells.size(); ++b) {
      const uint128 sum = b < kCapabilities ? sums.s[b]
                          : b < boards      ? sums.profile(community.profiles[b - kCapabilities])
                                            : 0;
      const uint32_t cell = cell_of(sum, sums.base), before = s.cells[b];
      if (cell == before) continue;
      const IndexId index = b < kCapabilities ? IndexId::kCapabilityBoards : IndexId::kProfileBoards;
      const auto plus = static_cast<uint8_t>(b < kCapabilities ? b : b - kCapabilities);
      if (before != 0) context.index(index, plus, before, false);
      if (cell != 0) context.index(index, plus, cell, true);
      if (b == kCapabilities) {
        if (before != 0) context.count({kCounterCells, before}, -1);
        if (cell != 0) context.count({kCounterCells, cell}, 1);
        context.count({kCounterRated, 0}, static_cast<int64_t>(cell != 0) - static_cast<int64_t>(before != 0));
      }
      s.cells[b] = cell;
    }
  }

  // At most one score record a user and minute: the first change of a minute goes out at once, later ones at the next
  // minute. A user's minutes begin at a moment of their own (own_minutes): with everybody's at once, in a busy
  // community the turn of the minute is several ticks' work.
  static void report(ScoresState& s, Key key, bool scored, int64_t now, Context& context) {
    if (!scored && !s.report_due) return;
    const int64_t begin = context.community().own_minutes ? hours_of_their_own(key) % kMinuteUs : 0;
    const int64_t minute = floor_div(now - begin, kMinuteUs);
    if (minute == s.reported_minute) {
      s.report_due = true;
      context.wake_at((minute + 1) * kMinuteUs + begin);
      return;
    }
    s.reported_minute = minute, s.report_due = false;
    if (!context.wanted(OutKind::kScore)) return context.emit(OutKind::kScore, {});  // ids count on, made or not
    const CommunityConfig& community = context.community();
    const RulesOf rules = [&](uint16_t n) -> const CommunityConfig& { return context.community(n); };
    const Sums& sums = s.book.running(day_of(now), community, context.community_number(), rules);
    static thread_local ScoreRecord r;  // its texts and lists keep their memory: nearly every like makes one
    static thread_local std::string payload;
    r.user_id = s.id, r.day = day_of(now);
    take_view(sums, community, r.capability_micros, r.profile_micros);
    r.tier = s.machine.tier, r.visible = visible_tier(s, context.community(), now);
    payload.clear();
    write(payload, r);
    context.emit(OutKind::kScore, payload);
  }

  static void wake(ScoresState& s, Key key, Context& context) {
    const CommunityConfig& community = context.community();
    const int64_t now = context.now_us();
    if (!s.book.empty()) context.wake_at(leaves_us(s.book.oldest_day(), key, community.window_days));
    for (const Grant& g : s.grants)
      if (g.expires_us > now) context.wake_at(g.expires_us);
    // Whoever stands above the lowest tier, in any world, is looked at at their own hour of every day that may cost it:
    // decay and old days alone can.
    if (!tiered(s)) return;
    const int64_t own = hours_of_their_own(key), next = (floor_div(now - own, kDayUs) + 1) * kDayUs + own;
    const int64_t first = floor_div(next + kSlotUs - 1, kSlotUs) * kSlotUs;
    if (context.wakes_us() > first) context.wake_at(first + looks_in_vain(s, first, context) * kDayUs);
  }
  // How many of the daily looks from the one at `first_us`, a slot's begin, find what this one found, if nothing else
  // happens: what a tier asks for, but a place among others, stays or falls with the days, so a look at which the tier
  // is held says that it was at all looks before. None after the timer that is set: then this is asked again. When
  // rules change, the engine has everybody on a tier looked at.
  static int64_t looks_in_vain(ScoresState& s, int64_t first_us, Context& context) {
    constexpr int64_t kMost = 32;
    const CommunityConfig& community = context.community();
    const Tier tier = s.machine.tier;
    if (tier == Tier::kMember || !s.without.empty() || s.awaits_days) return 0;
    if (community.tiers[static_cast<size_t>(tier)].top_permille != 0) return 0;
    const auto until = [first_us](int64_t us) { return floor_div(us - first_us + kDayUs - 1, kDayUs); };
    if (const int64_t below = s.machine.below_since_us; below != 0)
      return std::clamp<int64_t>(until(below + static_cast<int64_t>(community.grace_days) * kDayUs), 0, kMost);
    const int64_t set = context.wakes_us(), most = set == INT64_MAX ? kMost : std::min(kMost, until(set));
    const RulesOf rules = [&](uint16_t n) -> const CommunityConfig& { return context.community(n); };
    Sums sums = s.book.running(day_of(context.now_us()), community, context.community_number(), rules);
    const auto held = [&](int64_t look) {
      const int64_t at = first_us + look * kDayUs;
      sums.day = day_of(at);
      return holds(tier, standing(s, nullptr, sums, community, at, s.likers), community, context.cutoffs());
    };
    // Most are held as long as they were the last time that this was asked.
    if (held(most - 1)) return most;
    int64_t vain = 0, fails = most - 1;  // looks before `vain` find the tier held, that one not
    while (vain < fails) {
      const int64_t look = (vain + fails) / 2;
      if (held(look))
        vain = look + 1;
      else
        fails = look;
    }
    return vain;
  }

  static void seal(ScoresState& s, Context& context) {
    if (s.rows.size() < block_rows(s.blocks.size())) return;
    std::string bytes;
    Writer w(bytes);
    w.u8(1);
    s.rows.write(w);
    const int64_t day = day_of(context.now_us());
    context.write_block(day, s.next_number, bytes);
    s.blocks.push_back({day, s.next_number++, static_cast<uint32_t>(s.rows.size())});
    s.rows.clear();
    const int64_t oldest = day - static_cast<int64_t>(context.community().window_days) - 2;
    std::erase_if(s.blocks, [oldest](const ScoresState::Block& b) { return b.day < oldest; });
  }
};

}  // namespace

uint32_t days_active(const ScoresState* scores, const ActiveDays* home, int64_t now_us, uint32_t window_days) {
  ActiveDays days;
  if (scores != nullptr) days = scores->portrait.days();
  if (home != nullptr && !home->none()) (void)days.add(*home);
  return days.count(day_of(now_us), window_days);
}

Standing standing_of(const ScoresState& s, const ActiveDays* home, const CommunityConfig& community,
                     const RulesOf& rules, int64_t now_us, const WithoutFlag* without) {
  const Sums sums = s.book.sums(day_of(now_us), community, rules, without != nullptr ? &without->taken : nullptr);
  return Scores::standing(s, home, sums, community, now_us, s.likers + (without != nullptr ? without->likers : 0));
}

ScoreView scores_of(const ScoresState& s, const CommunityConfig& community, const RulesOf& rules, int64_t now_us) {
  return view_of(s.book.sums(day_of(now_us), community, rules), community);
}

Tier visible_tier(const ScoresState& s, const CommunityConfig& community, int64_t now_us) {
  Tier tier = s.machine.tier;
  for (const WithoutFlag& w : s.without)
    if (now_us < w.opened_us + static_cast<int64_t>(community.visible_delay_hours) * kHourUs)
      tier = std::max(tier, w.machine.tier);
  return tier;
}

namespace {
// Over buckets in order of (day, rule): the contribution is the difference of two floors of exact prefix sums.
template <class WeightOf>
std::vector<Contribution> explain(const ScoresState& s, const CommunityConfig& community, const RulesOf& rules,
                                  int64_t now_us, uint32_t scale, WeightOf&& weight_of) {
  const Decay& decay = decay_of(community.half_life_days);
  const int64_t today = day_of(now_us), base = decay.base(today, community.window_days);
  const uint128 today_weight = decay.weight(today, base) * scale;
  std::vector<Contribution> found;
  uint128 sum = 0;
  for (const Bucket& b : s.book.buckets()) {
    const int capability = community.rules[static_cast<size_t>(b.rule)].capability;
    const uint32_t weight = weight_of(capability);
    if (weight == 0 || decay.block(b.day) < base) continue;
    const int64_t points = ScoreBook::counted(b, 0, rules);
    const uint128 next = sum + static_cast<uint128>(points) * decay.weight(b.day, base) * weight;
    Contribution c;
    c.rule = b.rule, c.day = b.day, c.count = b.count, c.raw_micros = b.raw_micros;
    c.discounted_micros = b.raw_micros - b.authentic_micros, c.capped_micros = b.authentic_micros - points;
    c.contribution_micros = static_cast<int64_t>(next / today_weight - sum / today_weight);
    found.push_back(c);
    sum = next;
  }
  return found;
}
}  // namespace

std::vector<Contribution> explain_capability(const ScoresState& s, size_t capability, const CommunityConfig& community,
                                             const RulesOf& rules, int64_t now_us) {
  return explain(s, community, rules, now_us, 1,
                 [&](int c) { return static_cast<uint32_t>(c == static_cast<int>(capability)); });
}
std::vector<Contribution> explain_profile(const ScoresState& s, const ProfileConfig& profile,
                                          const CommunityConfig& community, const RulesOf& rules, int64_t now_us) {
  return explain(s, community, rules, now_us, 1000,
                 [&](int c) { return c >= 1 && c <= 4 ? profile.weights[static_cast<size_t>(c - 1)] : 0; });
}

const Operator& scores_operator() {
  static const Scores instance;
  return instance;
}

}  // namespace bellwether

#include "operators/tiers.h"

#include <algorithm>

#include "operators/decay.h"

namespace bellwether {
namespace {

// How many cells a score may fall and still be `percent` of what it was: floor(8 * log2(100 / percent)), by cells of
// exact numbers.
uint32_t cells_within(uint32_t percent) {
  if (percent >= 100 || percent == 0) return 0;
  uint32_t k = 0;  // the largest k with 2^(k/8) <= 100/percent, that is percent^8 * 2^k <= 100^8
  uint128 left = 1, right = 1;
  for (int i = 0; i < 8; ++i) left *= percent, right *= 100;
  while ((left << (k + 1)) <= right) ++k;
  return k;
}

constexpr const char* kDaysActive = "days active";

// Calls each(name, required, have) for whatever the tier asks, until it returns false. False where it did.
template <class Each>
bool each_check(Tier tier, const Standing& s, const CommunityConfig& community, const Cutoffs& cutoffs, Each&& each) {
  static constexpr const char* kPoints[] = {"innovation points", "communication points", "referral points",
                                            "knowledge points"};
  const TierConfig& t = community.tiers[static_cast<size_t>(tier)];
  if (t.min_score_micros > 0 && !each("score", t.min_score_micros, s.score_micros)) return false;
  if (t.gates.days_active > 0 && !each(kDaysActive, t.gates.days_active, s.days_active)) return false;
  if (t.gates.distinct_likers > 0 && !each("distinct likers", t.gates.distinct_likers, s.distinct_likers)) return false;
  if (t.gates.certificates > 0 && !each("certificates", t.gates.certificates, s.certificates)) return false;
  if (t.gates.exams > 0 && !each("exams", t.gates.exams, s.exams)) return false;
  if (t.gates.memberships > 0 && !each("memberships", t.gates.memberships, s.memberships)) return false;
  for (size_t c = 0; c < 4; ++c)
    if (t.gates.points_micros[c] > 0 && !each(kPoints[c], t.gates.points_micros[c], s.points_micros[c])) return false;
  return t.top_permille == 0 || cutoffs.version == 0 ||
         each("percentile", cutoffs.cell[static_cast<size_t>(tier)], s.cell);
}

}  // namespace

std::vector<GateCheck> checks(Tier tier, const Standing& standing, const CommunityConfig& community,
                              const Cutoffs& cutoffs) {
  std::vector<GateCheck> found;
  if (tier <= Tier::kMember) return found;
  each_check(tier, standing, community, cutoffs, [&](const char* name, int64_t required, int64_t have) {
    found.push_back({name, required, have, have >= required});
    return true;
  });
  return found;
}

Tier entry_tier(const Standing& standing, const CommunityConfig& community, const Cutoffs& cutoffs) {
  for (Tier tier : {Tier::kLead, Tier::kKey, Tier::kContributor}) {
    if (standing.score_micros > 0 &&
        each_check(tier, standing, community, cutoffs,
                   [](const char*, int64_t required, int64_t have) { return have >= required; }))
      return tier;
  }
  return Tier::kMember;
}

int64_t lowest_tier_micros(const CommunityConfig& community) {
  int64_t lowest = INT64_MAX;
  for (Tier tier : {Tier::kContributor, Tier::kKey, Tier::kLead})
    lowest = std::min(lowest, std::max<int64_t>(0, community.tiers[static_cast<size_t>(tier)].min_score_micros));
  return lowest;
}

bool days_asked(const CommunityConfig& community) {
  return std::any_of(community.tiers.begin(), community.tiers.end(),
                     [](const TierConfig& t) { return t.gates.days_active > 0; });
}

bool days_decide(const Standing& standing, const CommunityConfig& community, const Cutoffs& cutoffs) {
  if (standing.score_micros <= 0) return false;
  const auto met_but_for_days = [&](Tier tier) {
    return each_check(tier, standing, community, cutoffs, [](const char* name, int64_t required, int64_t have) {
      return have >= required || std::string_view(name) == kDaysActive;
    });
  };
  for (Tier tier : {Tier::kContributor, Tier::kKey, Tier::kLead})
    if (community.tiers[static_cast<size_t>(tier)].gates.days_active > 0 && met_but_for_days(tier)) return true;
  return false;
}

bool holds(Tier tier, const Standing& standing, const CommunityConfig& community, const Cutoffs& cutoffs) {
  if (tier <= Tier::kMember) return true;
  const int64_t percent = community.hysteresis_percent, cells = cells_within(community.hysteresis_percent);
  return each_check(tier, standing, community, cutoffs, [&](const char* name, int64_t required, int64_t have) {
    const bool percentile = name[0] == 'p';
    return percentile
               ? have + cells >= required
               : static_cast<uint128>(have) * 100 >= static_cast<uint128>(required) * static_cast<uint128>(percent);
  });
}

const char* tier_name(Tier tier) {
  switch (tier) {
    case Tier::kMember:
      return "member";
    case Tier::kContributor:
      return "contributor";
    case Tier::kKey:
      return "key";
    case Tier::kLead:
      return "lead";
    case Tier::kUnspecified:
      break;
  }
  return "none";
}

std::string points_text(int64_t micros) {
  const bool minus = micros < 0;
  uint64_t v = minus ? ~static_cast<uint64_t>(micros) + 1 : static_cast<uint64_t>(micros);
  std::string fraction = std::to_string(1'000'000 + v % 1'000'000).substr(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  std::string text = (minus ? "-" : "") + std::to_string(v / 1'000'000);
  return fraction.empty() ? text : text + "." + fraction;
}

namespace {
// What somebody has is cut to hundredths, so that 99.999999 does not read as 100; what is asked for stands as it is.
std::string amount(const GateCheck& c, int64_t value) {
  const bool points = c.name == "score" || c.name.ends_with("points");
  return points ? points_text(value) : std::to_string(value);
}
std::string had(const GateCheck& c) {
  const bool points = c.name == "score" || c.name.ends_with("points");
  return amount(c, points ? c.have / 10'000 * 10'000 : c.have);
}
std::string promoted(Tier tier, const Standing& s, const CommunityConfig& community, const Cutoffs& cutoffs) {
  std::string text;
  const std::vector<GateCheck> all = checks(tier, s, community, cutoffs);
  for (const GateCheck& c : all) {
    if (!text.empty()) text += ", ";
    if (c.name == "percentile")
      text += "in the top " + std::to_string(community.tiers[static_cast<size_t>(tier)].top_permille) + " of 1000";
    else
      text += c.name + " " + had(c) + " of " + amount(c, c.required);
  }
  return std::to_string(all.size()) + " of " + std::to_string(all.size()) + " met: " + text;
}
std::string lost(Tier tier, const Standing& s, const CommunityConfig& community, const Cutoffs& cutoffs) {
  std::string text;
  size_t met = 0;
  const std::vector<GateCheck> all = checks(tier, s, community, cutoffs);
  for (const GateCheck& c : all) {
    met += c.met;
    if (c.met) continue;
    if (!text.empty()) text += ", ";
    if (c.name == "percentile")
      text += "no longer in the top " + std::to_string(community.tiers[static_cast<size_t>(tier)].top_permille) +
              " of 1000";
    else
      text += c.name + " " + had(c) + " of " + amount(c, c.required);
  }
  return std::to_string(met) + " of " + std::to_string(all.size()) + " met for " +
         std::to_string(community.grace_days) + " days: " + text;
}
}  // namespace

bool TierMachine::step(const Standing& standing, const CommunityConfig& community, const Cutoffs& cutoffs,
                       int64_t now_us, bool daily) {
  const Tier entry = entry_tier(standing, community, cutoffs);
  if (entry > tier) {
    reason = promoted(entry, standing, community, cutoffs);
    tier = entry, since_us = now_us, below_since_us = 0;
    return true;
  }
  if (holds(tier, standing, community, cutoffs)) {
    below_since_us = 0;
    return false;
  }
  if (!daily) return false;
  if (below_since_us == 0) below_since_us = now_us;
  if (now_us < below_since_us + static_cast<int64_t>(community.grace_days) * kDayUs) return false;
  // Grace is over: down to the highest tier that is entered or, lower than this one, still held.
  const Tier from = tier;
  Tier to = entry;
  for (Tier t = static_cast<Tier>(static_cast<uint8_t>(tier) - 1); t > entry;
       t = static_cast<Tier>(static_cast<uint8_t>(t) - 1))
    if (holds(t, standing, community, cutoffs)) {
      to = t;
      break;
    }
  reason = lost(from, standing, community, cutoffs);
  tier = to, since_us = now_us, below_since_us = 0;
  return true;
}

void TierMachine::write(Writer& w) const {
  EntryWriter c(w);
  c.u8(static_cast<uint8_t>(tier)), c.zigzag(since_us), c.zigzag(below_since_us), c.bytes(reason);
}
bool TierMachine::read(Reader& r) {
  tier = static_cast<Tier>(r.u8()), since_us = r.zigzag(), below_since_us = r.zigzag(), reason = r.bytes();
  return r.ok() && tier <= Tier::kLead;
}

std::string encode(const TierChange& m) {
  std::string out;
  Writer w(out);
  w.u8(2), w.bytes(m.user_id), w.u8(static_cast<uint8_t>(m.from)), w.u8(static_cast<uint8_t>(m.to)),
      w.u8(static_cast<uint8_t>(m.visible));
  w.zigzag(m.score_micros), w.bytes(m.reason), w.u8(static_cast<uint8_t>(m.from_visible));
  w.varint(m.gates.size());
  for (const GateCheck& g : m.gates) w.bytes(g.name), w.zigzag(g.required), w.zigzag(g.have), w.boolean(g.met);
  return out;
}
bool decode(std::string_view payload, TierChange& m) {
  Reader r(payload);
  const uint8_t version = r.u8();
  if (version != 1 && version != 2) return false;
  m.user_id = r.bytes(), m.from = static_cast<Tier>(r.u8()), m.to = static_cast<Tier>(r.u8()),
  m.visible = static_cast<Tier>(r.u8());
  m.score_micros = r.zigzag(), m.reason = r.bytes();
  if (version == 1) return r.ok() && r.done();
  m.from_visible = static_cast<Tier>(r.u8());
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    GateCheck& g = m.gates.emplace_back();
    g.name = r.bytes(), g.required = r.zigzag(), g.have = r.zigzag(), g.met = r.boolean();
  }
  return r.ok() && r.done();
}

void write(std::string& out, const ScoreRecord& m) {
  Writer w(out);
  {
    EntryWriter c(w);
    c.u8(1), c.bytes(m.user_id), c.zigzag(m.day);
    for (int64_t v : m.capability_micros) c.zigzag(v);
    c.varint(m.profile_micros.size());
  }
  for (int64_t v : m.profile_micros) w.zigzag(v);
  w.u8(static_cast<uint8_t>(m.tier)), w.u8(static_cast<uint8_t>(m.visible));
}
std::string encode(const ScoreRecord& m) {
  std::string out;
  write(out, m);
  return out;
}
bool decode(std::string_view payload, ScoreRecord& m) {
  Reader r(payload);
  if (r.u8() != 1) return false;
  m.user_id = r.bytes(), m.day = r.zigzag();
  for (int64_t& v : m.capability_micros) v = r.zigzag();
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) m.profile_micros.push_back(r.zigzag());
  m.tier = static_cast<Tier>(r.u8()), m.visible = static_cast<Tier>(r.u8());
  return r.ok();
}

}  // namespace bellwether

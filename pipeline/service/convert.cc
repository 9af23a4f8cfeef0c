#include "pipeline/service/convert.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "operators/tick_codec.h"

namespace bellwether {
namespace {

// Numbers of the engine's enums and the schema's are the same, which converting by value relies on.
static_assert(static_cast<int>(Tier::kLead) == pb::TIER_LEAD);
static_assert(static_cast<int>(FlagKind::kRanking) == pb::FLAG_KIND_RANKING);
static_assert(static_cast<int>(FlagStatus::kClosed) == pb::FLAG_STATUS_CLOSED);
static_assert(static_cast<int>(Reason::kExpired) == pb::DEAD_LETTER_REASON_EXPIRED);
static_assert(static_cast<int>(AlertKind::kFlagRaised) == pb::ALERT_KIND_FLAG_RAISED);
static_assert(static_cast<int>(AlertSeverity::kCritical) == pb::ALERT_SEVERITY_CRITICAL);
static_assert(static_cast<int>(FlagChange::What::kClosed) == pb::FLAG_CHANGE_CLOSED);

char* write_hex(char* at, uint64_t value, int digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i) *at++ = kDigits[value >> (4 * i) & 15];
  return at;
}

bool hex_part(std::string_view& text, size_t digits, uint64_t& out) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, out, 16);
  if (error != std::errc() || end != text.data() + digits) return false;
  text.remove_prefix(digits);
  return true;
}

void set_score(pb::Score* score, size_t capability, const std::string& name, int64_t micros) {
  if (capability < kCapabilities) score->set_capability(static_cast<pb::Capability>(capability + 1));
  score->set_name(name);
  score->set_score_micros(micros);
}

void add_detail(pb::Flag& flag, const char* name, uint64_t value) {
  auto* detail = flag.add_details();
  detail->set_name(name);
  detail->set_value(std::to_string(value));
}

}  // namespace

void set_time(int64_t time_us, google::protobuf::Timestamp* out) {
  constexpr int64_t kFirst = -62'135'596'800'000'000, kLast = 253'402'300'799'999'999;  // the years 1 to 9999
  if (time_us < kFirst || time_us > kLast) return;
  *out = google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(time_us);
}

void set_tick(const TickId& tick, pb::Tick* out, google::protobuf::Timestamp* time) {
  if (tick.slot == INT64_MIN) return;
  out->set_slot(tick.slot);
  out->set_sub_tick(tick.sub);
  if (time != nullptr && has_time(tick.slot)) set_time(tick.slot * kSlotUs, time);
}

std::string date_text(int64_t day) {
  google::protobuf::Timestamp time;
  set_time(day * kDayUs, &time);
  return google::protobuf::util::TimeUtil::ToString(time).substr(0, 10);
}

std::string gate_name(const std::string& name) {
  static const std::map<std::string, std::string> kNames = {{"days active", "days_active"},
                                                            {"distinct likers", "distinct_likers"},
                                                            {"innovation points", "points.innovation"},
                                                            {"communication points", "points.communication"},
                                                            {"referral points", "points.referral"},
                                                            {"knowledge points", "points.knowledge"},
                                                            {"percentile", "top"}};
  const auto it = kNames.find(name);
  return it == kNames.end() ? name : it->second;
}

const char* capability_name(size_t capability) {
  static constexpr const char* kNames[] = {"innovation", "communication", "referral", "knowledge"};
  return capability < std::size(kNames) ? kNames[capability] : "";
}

std::string text_of(const ChangeId& id) {
  char text[16 + 1 + 8 + 1 + 8 + 1 + 16 + 1 + 8];
  char* at = write_hex(text, static_cast<uint64_t>(id.tick.slot) ^ uint64_t{1} << 63, 16);
  *at++ = '-', at = write_hex(at, id.tick.sub, 8);
  *at++ = '-', at = write_hex(at, id.sender.op_kind(), 8);
  *at++ = '-', at = write_hex(at, id.sender.key.hash, 16);
  *at++ = '-', at = write_hex(at, id.sequence, 8);
  return {text, at};
}

bool parse_change_id(std::string_view text, ChangeId& out) {
  uint64_t slot, sub, op_kind, hash, sequence;
  const auto dash = [&text] {
    if (text.empty() || text.front() != '-') return false;
    text.remove_prefix(1);
    return true;
  };
  if (!hex_part(text, 16, slot) || !dash() || !hex_part(text, 8, sub) || !dash() || !hex_part(text, 8, op_kind) ||
      !dash() || !hex_part(text, 16, hash) || !dash() || !hex_part(text, 8, sequence) || !text.empty() ||
      op_kind > 0xffffff)
    return false;
  out.tick = {static_cast<int64_t>(slot ^ uint64_t{1} << 63), static_cast<uint32_t>(sub)};
  out.sender = StateKey::of(static_cast<uint32_t>(op_kind), hash);
  out.sequence = static_cast<uint32_t>(sequence);
  return true;
}

const CommunityConfig& rules_at(const Published& at, int64_t slot) {
  const ConfigVersion* in_force = &at.versions().front();
  for (const ConfigVersion& v : at.versions())
    if (v.from_slot <= slot) in_force = &v;
  return in_force->config;
}

ChangeId end_of(const TickId& tick) { return {tick, StateKey::of(0xffffff, UINT64_MAX), UINT32_MAX}; }

pb::TierReason reason_of(const std::string& text) {
  pb::TierReason reason;
  reason.set_text(text);
  const size_t met = text.find(" met for ");
  if (text.empty()) {
    reason.set_code(pb::TIER_REASON_CODE_FIRST_SEEN);
    reason.set_text("everybody begins as a member");
  } else if (text.starts_with("flag ") && text.ends_with(" was dismissed")) {
    reason.set_code(pb::TIER_REASON_CODE_RESTORED);
    reason.set_flag(text.substr(5, text.size() - 5 - std::string_view(" was dismissed").size()));
  } else if (met != std::string::npos) {  // "3 of 4 met for 14 days: score 80 of 100"
    const size_t colon = text.find(": ", met);
    std::string what = colon == std::string::npos ? "" : text.substr(colon + 2);
    const bool score = what.starts_with("score ") || what.starts_with("no longer in the top ");
    reason.set_code(score ? pb::TIER_REASON_CODE_FELL_BELOW : pb::TIER_REASON_CODE_GATE_LOST);
    if (const size_t digit = what.find_first_of("0123456789"); !score && digit != std::string::npos && digit > 0)
      reason.set_gate(what.substr(0, digit - 1));
  } else {
    reason.set_code(pb::TIER_REASON_CODE_REACHED);
  }
  return reason;
}

namespace {
// As of the change. How far into the top somebody was is not kept, only whether it was far enough.
void add_gates(const TierChange& change, const CommunityConfig& community, pb::TierGates& out) {
  const Tier tier = std::max(change.from, change.to);
  out.set_tier(to_pb(tier));
  out.set_total(static_cast<uint32_t>(change.gates.size()));
  for (const GateCheck& check : change.gates) {
    pb::Gate* gate = out.add_gates();
    gate->set_name(gate_name(check.name));
    gate->set_met(check.met);
    if (check.name == "percentile") {
      gate->set_required(community.tiers[static_cast<size_t>(tier)].top_permille);
    } else {
      gate->set_required(check.required);
      gate->set_have(check.have);
    }
    out.set_met(out.met() + (check.met ? 1 : 0));
  }
}
}  // namespace

bool tier_record(const ChangeId& id, std::string_view payload, const CommunityConfig& community, pb::TierRecord& out) {
  TierChange change;
  if (!decode(payload, change)) return false;
  out.set_id(text_of(id));
  set_tick(id.tick, out.mutable_tick(), out.mutable_time());
  out.set_user(change.user_id);
  out.set_from_tier(to_pb(change.from));
  out.set_tier(to_pb(change.to));
  out.set_from_visible_tier(to_pb(change.from_visible));
  out.set_visible_tier(to_pb(change.visible));
  if (!change.gates.empty()) add_gates(change, community, *out.mutable_gates());
  *out.mutable_reason() = reason_of(change.reason);
  out.set_overall_micros(change.score_micros);
  out.set_configuration_version(community.version);
  return true;
}

bool flag_record(const ChangeId& id, std::string_view payload, pb::FlagRecord& out) {
  FlagChange change;
  if (!decode(payload, change)) return false;
  out.set_id(text_of(id));
  set_tick(id.tick, out.mutable_tick(), out.mutable_time());
  out.set_change(static_cast<pb::FlagChange>(change.what));
  pb::Flag& flag = *out.mutable_flag();
  flag.set_id(change.id);
  flag.set_kind(to_pb(change.kind));
  flag.set_status(to_pb(change.status));
  set_tick(change.tick, flag.mutable_updated_tick(), flag.mutable_updated_time());
  flag.set_confidence_permille(change.confidence_permille);
  flag.set_more_evidence_count(change.evidence);
  for (const FlagChange::User& user : change.subject_users) flag.add_subjects(user.text());
  std::sort(flag.mutable_subjects()->begin(), flag.mutable_subjects()->end());
  for (const FlagChange::User& user : change.beneficiary_users) {
    pb::FlagBeneficiary* gained = flag.add_beneficiaries();
    gained->set_user(user.text());
    gained->set_subject(std::any_of(change.subject_users.begin(), change.subject_users.end(),
                                    [&](const FlagChange::User& subject) { return subject.hash == user.hash; }));
  }
  std::sort(flag.mutable_beneficiaries()->begin(), flag.mutable_beneficiaries()->end(),
            [](const pb::FlagBeneficiary& a, const pb::FlagBeneficiary& b) { return a.user() < b.user(); });
  add_detail(flag, "subjects", change.subjects);
  add_detail(flag, "beneficiaries", change.beneficiaries);
  flag.set_summary(std::string(flag_kind_name(change.kind)) + ": " + std::to_string(change.subjects) + " subjects, " +
                   std::to_string(change.beneficiaries) + " who gained, " + std::to_string(change.evidence) +
                   " events of evidence");
  return true;
}

bool score_record(const ChangeId& id, std::string_view payload, const CommunityConfig& community,
                  pb::ScoreRecord& out) {
  ScoreRecord record;
  if (!decode(payload, record)) return false;
  out.set_id(text_of(id));
  set_tick(id.tick, out.mutable_tick(), out.mutable_time());
  out.set_user(record.user_id);
  for (size_t c = 0; c < kCapabilities; ++c)
    set_score(out.add_capabilities(), c, capability_name(c), record.capability_micros[c]);
  for (size_t p = 0; p < record.profile_micros.size(); ++p)
    set_score(out.add_profiles(), kCapabilities, p < community.profiles.size() ? community.profiles[p].name : "",
              record.profile_micros[p]);
  out.set_tier(to_pb(record.tier));
  out.set_visible_tier(to_pb(record.visible));
  out.set_configuration_version(community.version);
  return true;
}

bool alert_record(const ChangeId& id, std::string_view payload, pb::AlertRecord& out) {
  Alert alert;
  if (!decode(payload, alert)) return false;
  out.set_id(text_of(id));
  set_tick(id.tick, out.mutable_tick(), out.mutable_time());
  out.set_kind(static_cast<pb::AlertKind>(alert.kind));
  out.set_severity(static_cast<pb::AlertSeverity>(alert.severity));
  out.set_subject(alert.subject);
  out.set_text(alert.text);
  return true;
}

void dead_letter(const DeadLetterRow& row, pb::DeadLetter& out) {
  out.set_id(row.from.topic + "/" + std::to_string(row.from.number) + "/" + std::to_string(row.offset));
  set_tick({row.slot, row.sub}, out.mutable_tick(), out.mutable_time());
  out.set_topic(row.from.topic);
  out.set_partition(row.from.number);
  out.set_offset(row.offset);
  out.set_reason(to_pb(row.reason));
  out.set_text(std::string(row.detail));
  out.set_raw(std::string(row.raw));
  out.set_raw_size_bytes(row.raw_bytes);
}

}  // namespace bellwether

#include "operators/referrals.h"

#include <algorithm>
#include <variant>

#include "operators/credit.h"
#include "operators/erased.h"
#include "operators/messages.h"
#include "operators/portrait.h"

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 1;

// The rule that a stage of a referral earns the referrer points by.
RuleId rule_of(ReferralStage stage) {
  switch (stage) {
    case ReferralStage::kInvited:
      return RuleId::kReferralInvited;
    case ReferralStage::kJoined:
      return RuleId::kReferralJoined;
    case ReferralStage::kActivated:
      return RuleId::kReferralActivated;
    case ReferralStage::kConverted:
      return RuleId::kReferralConverted;
    case ReferralStage::kProfitable:
      return RuleId::kReferralProfitable;
    default:
      return RuleId::kNone;
  }
}

// Up to INVITED the referrer acts, from JOINED on the referred.
bool by_the_referred(ReferralStage stage) {
  return stage >= ReferralStage::kJoined && stage <= ReferralStage::kProfitable;
}

class Referrals final : public OperatorOf<ReferralsState> {
 public:
  OperatorId id() const override { return OperatorId::kReferrals; }
  const char* name() const override { return "referrals"; }
  KeyKind key_kind() const override { return KeyKind::kReferral; }

  void fold_key(ReferralsState& state, Key key, std::span<const Item> items, Context& context) const override {
    for (const Item& item : items)
      if (item.kind == Item::Kind::kFact) context.outcome(fold_fact(state, key, *item.fact, context));
  }

 private:
  static Outcome fold_fact(ReferralsState& state, Key key, const Fact& fact, Context& context) {
    const ReferralFact& referral = std::get<ReferralFact>(fact.body);
    if (state.id.empty()) state.id = referral.referral.id;
    if (state.id != referral.referral.id) return Outcome::kCollision;

    const int64_t now = context.tick().slot;
    const bool again = state.seen.test_and_add(fact.id_hash, now);
    state.seen.keep_newest(kReferralSeenMax);
    if (again) return Outcome::kDuplicate;
    int64_t& stage_slot = state.slots[static_cast<size_t>(referral.stage)];
    const int64_t window = context.community().window_days * (kDayUs / kSlotUs);
    if (stage_slot != ReferralsState::kNever && stage_slot + window >= now) return Outcome::kDuplicate;
    stage_slot = now;

    if (state.referrer_hash == 0) {
      state.referrer = referral.referrer.id, state.referrer_hash = referral.referrer.hash;
    } else if (state.referrer_hash != referral.referrer.hash) {
      ++state.other_referrers;
    }
    if (state.referred_hash == 0) state.referred_hash = referral.referred.hash;
    if (referral.amount_micros != 0) state.amount_micros = referral.amount_micros;

    send_activity(fact, context);
    give(state, key, fact, referral, context);
    return Outcome::kApplied;
  }

  static void send_activity(const Fact& fact, Context& context) {
    const Activity activity{.user_id = fact.user.id,
                            .time_us = fact.time_us,
                            .channel = fact.channel,
                            .act = static_cast<uint8_t>(ActKind::kReferral)};
    context.send(OperatorId::kScores, Key{KeyKind::kUser, fact.user.hash}, fact.time_us, fact.id_hash,
                 encode(activity));
  }

  static void give(const ReferralsState& state, Key key, const Fact& fact, const ReferralFact& referral,
                   Context& context) {
    const RuleId rule = rule_of(referral.stage);
    if (rule == RuleId::kNone || context.community().rules[static_cast<size_t>(rule)].name == nullptr) return;
    // Who refers themselves earns nothing, at this stage or a later one.
    const uint64_t self = state.referrer_hash;
    if (referral.referred.hash == self || state.referred_hash == self) return;
    if (by_the_referred(referral.stage) && fact.user.hash == self) return;
    send_credit({.user = {state.referrer, self},
                 .rule = rule,
                 .event = {key, fact.time_us, fact.id_hash},
                 .rules = context.community_number()},
                context);
  }
};

}  // namespace

bool ReferralsState::decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != kVersion) return false;
  id = r.bytes(), referrer = r.bytes();
  referrer_hash = r.fixed64(), referred_hash = r.fixed64();
  const uint8_t present = r.u8();
  for (size_t s = 0; s < kReferralStages; ++s)
    if (present >> s & 1) slots[s] = r.zigzag();
  other_referrers = static_cast<uint32_t>(r.varint());
  amount_micros = r.zigzag();
  return seen.read(r) && r.done();
}

void ReferralsState::encode(std::string& out) const {
  if (id.empty()) return;
  Writer w(out);
  w.u8(kVersion);
  w.bytes(id), w.bytes(referrer);
  w.fixed64(referrer_hash), w.fixed64(referred_hash);
  uint8_t present = 0;
  for (size_t s = 0; s < kReferralStages; ++s)
    if (slots[s] != kNever) present = static_cast<uint8_t>(present | 1 << s);
  w.u8(present);
  for (const int64_t slot : slots)
    if (slot != kNever) w.zigzag(slot);
  w.varint(other_referrers);
  w.zigzag(amount_micros);
  seen.write(w);
}

bool ReferralsState::forget(Key, const Erased& erased) {
  const std::string* name = erased.name(referrer_hash);
  if (name == nullptr || referrer.empty() || referrer == *name) return false;
  referrer = *name;
  return true;
}

size_t ReferralsState::memory() const { return id.capacity() + referrer.capacity() + seen.memory(); }

const Operator& referrals_operator() {
  static const Referrals instance;
  return instance;
}

}  // namespace bellwether

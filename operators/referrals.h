// Referrals: who invited whom, and how far it went. The home of a referral; its referrer earns the points.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "operators/operator.h"
#include "operators/seen.h"

namespace bellwether {

constexpr size_t kReferralStages = 8;      // ReferralStage < kReferralStages
constexpr size_t kReferralSeenMax = 1024;  // event ids; the oldest are forgotten first

// One referral. Bound: kReferralSeenMax ids and three id texts, 26 KB encoded; a usual one is below 200 bytes. Kept for
// good: a referral may turn profitable years after it was made, and is its first referrer's then too.
struct ReferralsState final : State {
  static constexpr int64_t kNever = INT64_MIN;

  std::string id;        // empty: nothing folded yet
  std::string referrer;  // the first one named; a later other one is kept out
  uint64_t referrer_hash = 0;
  uint64_t referred_hash = 0;                  // the first one named, 0 until then
  std::array<int64_t, kReferralStages> slots;  // by stage: of the tick in which it was last folded
  uint32_t other_referrers = 0;                // events that named another referrer
  int64_t amount_micros = 0;                   // spent by the referred, as far as said
  Seen seen;

  ReferralsState() { slots.fill(kNever); }
  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override;
  bool forget(Key key, const Erased& erased) override;
};

const Operator& referrals_operator();

}  // namespace bellwether

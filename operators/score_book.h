// A user's points by day and rule, and the sums over them: exact, decayed without a midnight, capped on authentic
// points only. A score is floor(S / weight(today)); the contribution of each (day, rule) is the difference of two such
// floors over exact prefix sums, so that contributions sum to the score by construction.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "config/config.h"
#include "operators/codec.h"
#include "operators/decay.h"
#include "operators/fact.h"

namespace bellwether {

// The community's versions by number, as context.community(n).
using RulesOf = std::function<const CommunityConfig&(uint16_t number)>;

// What one rule brought on one day.
struct Bucket {
  int64_t day = 0;
  RuleId rule = RuleId::kNone;
  uint16_t rules = 0;            // community version of its first credit: its cap holds for the day
  int64_t count = 0;             // events that stand
  int64_t raw_micros = 0;        // before authenticity
  int64_t authentic_micros = 0;  // after it, before the cap
  // Not stored: what the running sums hold of it.
  int64_t summed_micros = 0;
  uint8_t summed_capability = 0;  // 1..4; 0: none
};
// The authentic points that one flag took off a bucket.
struct Taken {
  int64_t day = 0;
  RuleId rule = RuleId::kNone;
  int64_t micros = 0;
};

// S of each capability over base block `base` on `day`.
struct Sums {
  int64_t day = 0, base = 0;
  std::array<uint128, kCapabilities> s{};
  uint128 profile(const ProfileConfig& p) const;  // Σ wᵢSᵢ, weights in thousandths
};

class ScoreBook {
 public:
  std::span<const Bucket> buckets() const { return std::span(buckets_).subspan(gone_); }
  bool empty() const { return buckets_.size() == gone_; }
  // Adds to a bucket, made if need be. Buckets that became nothing leave.
  void add(int64_t day, RuleId rule, uint16_t rules, int64_t count, int64_t raw_micros, int64_t authentic_micros);
  // Makes a bucket where there is none, so that points given back to it count.
  void open(int64_t day, RuleId rule, uint16_t rules) { bucket(day, rule, rules); }
  // Drops the buckets of days <= `day`.
  void forget(int64_t day);
  int64_t oldest_day() const { return empty() ? INT64_MAX : buckets_[gone_].day; }

  // Points that count of a bucket: min(cap, authentic).
  static int64_t counted(const Bucket& b, int64_t extra_micros, const RulesOf& rules);
  // Sums as of `today`; `given_back` adds points to their buckets first (the world without a flag), which must be
  // there.
  Sums sums(int64_t today, const CommunityConfig& community, const RulesOf& rules,
            const std::vector<Taken>* given_back = nullptr) const;

  // The same, kept from call to call: costs what changed since the last one. `number` is the community's version.
  const Sums& running(int64_t today, const CommunityConfig& community, uint16_t number, const RulesOf& rules);
  // The sums that a running() now would give, where it has nothing to do for them; else null.
  const Sums* kept(int64_t base, uint32_t half_life_days, uint16_t number) const {
    const bool right = changed_day_ == INT64_MAX && running_.base == base && half_life_days_ == half_life_days;
    return right && number_ == number ? &running_ : nullptr;
  }
  // running() as of its last call, with points added to their buckets.
  Sums running_with(const CommunityConfig& community, const RulesOf& rules, const std::vector<Taken>& given_back) const;

  void fetch_ahead() const {
    if (empty()) return;
    __builtin_prefetch(&buckets_[gone_]);
    __builtin_prefetch(&buckets_.back());
  }
  void write(Writer& w) const;
  bool read(Reader& r);
  size_t memory() const { return buckets_.capacity() * sizeof(Bucket); }

 private:
  Bucket& bucket(int64_t day, RuleId rule, uint16_t rules);
  void sum_up(Bucket& b, const CommunityConfig& community, const Decay& decay, const RulesOf& rules);
  std::vector<Bucket> buckets_;  // by (day, rule)
  size_t gone_ = 0;              // the first so many were forgotten, but not moved out yet
  // The running sums: of buckets of days before changed_day_ they are right.
  Sums running_;
  int64_t changed_day_ = INT64_MIN;
  uint32_t half_life_days_ = 0;  // 0: there are none yet
  uint16_t number_ = 0;
};

// floor(sum / weight(today)) in micro-points; `scale` 1000 for a profile's sum.
int64_t score_micros(uint128 sum, const Sums& sums, uint32_t half_life_days, uint32_t scale);
// The table for a half-life; built once a thread.
const Decay& decay_of(uint32_t half_life_days);

}  // namespace bellwether

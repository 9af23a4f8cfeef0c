// A user's points by day and rule, and the sums over them: exact, decayed without a midnight, capped on authentic
// points only. A score is floor(S / weight(today)); the contribution of each (day, rule) is the difference of two such
// floors over exact prefix sums, so that contributions sum to the score by construction.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
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
  const std::vector<Bucket>& buckets() const { return buckets_; }
  bool empty() const { return buckets_.empty(); }
  // Adds to a bucket, made if need be. Buckets that became nothing leave.
  void add(int64_t day, RuleId rule, uint16_t rules, int64_t count, int64_t raw_micros, int64_t authentic_micros);
  // Makes a bucket where there is none, so that points given back to it count.
  void open(int64_t day, RuleId rule, uint16_t rules) { bucket(day, rule, rules); }
  // Drops the buckets of days <= `day`.
  void forget(int64_t day);
  int64_t oldest_day() const { return buckets_.empty() ? INT64_MAX : buckets_.front().day; }

  // Points that count of a bucket: min(cap, authentic).
  static int64_t counted(const Bucket& b, int64_t extra_micros, const RulesOf& rules);
  // Sums as of `today`; `given_back` adds points to their buckets first (the world without a flag), which must be
  // there.
  Sums sums(int64_t today, const CommunityConfig& community, const RulesOf& rules,
            const std::vector<Taken>* given_back = nullptr) const;

  void write(Writer& w) const;
  bool read(Reader& r);
  size_t memory() const { return buckets_.capacity() * sizeof(Bucket); }

 private:
  Bucket& bucket(int64_t day, RuleId rule, uint16_t rules);
  std::vector<Bucket> buckets_;  // by (day, rule)
};

// floor(sum / weight(today)) in micro-points; `scale` 1000 for a profile's sum.
int64_t score_micros(uint128 sum, const Sums& sums, uint32_t half_life_days, uint32_t scale);
// The table for a half-life; built once a thread.
const Decay& decay_of(uint32_t half_life_days);

}  // namespace bellwether

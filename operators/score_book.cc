#include "operators/score_book.h"

#include <algorithm>
#include <memory>

namespace bellwether {

const Decay& decay_of(uint32_t half_life_days) {
  static thread_local std::unique_ptr<const Decay> table;
  if (table == nullptr || table->half_life_days() != half_life_days)
    table = std::make_unique<const Decay>(half_life_days);
  return *table;
}

uint128 Sums::profile(const ProfileConfig& p) const {
  uint128 sum = 0;
  for (size_t c = 0; c < kCapabilities; ++c) sum += s[c] * p.weights[c];
  return sum;
}

Bucket& ScoreBook::bucket(int64_t day, RuleId rule, uint16_t rules) {
  // Nearly always the newest bucket.
  auto at = buckets_.end();
  const auto first = buckets_.begin() + static_cast<ptrdiff_t>(gone_);
  while (at != first) {
    const Bucket& before = *std::prev(at);
    if (before.day < day || (before.day == day && before.rule < rule)) break;
    --at;
  }
  if (at == buckets_.end() || at->day != day || at->rule != rule) at = buckets_.insert(at, {day, rule, rules, 0, 0, 0});
  changed_day_ = std::min(changed_day_, day);
  return *at;
}

void ScoreBook::add(int64_t day, RuleId rule, uint16_t rules, int64_t count, int64_t raw_micros,
                    int64_t authentic_micros) {
  if (count == 0 && raw_micros == 0 && authentic_micros == 0) return;
  Bucket& b = bucket(day, rule, rules);
  b.count += count, b.raw_micros += raw_micros, b.authentic_micros += authentic_micros;
  // A bucket that is nothing stays until its day leaves: its cap is that of its first credit, come what may.
}

void ScoreBook::forget(int64_t day) {
  for (; gone_ < buckets_.size() && buckets_[gone_].day <= day; ++gone_) {
    const Bucket& b = buckets_[gone_];
    if (half_life_days_ != 0 && b.summed_micros != 0)
      running_.s[b.summed_capability - 1U] -=
          static_cast<uint128>(b.summed_micros) * decay_of(half_life_days_).weight(b.day, running_.base);
  }
  if (gone_ <= buckets_.size() / 2) return;  // a day a day: moved together, not each time
  buckets_.erase(buckets_.begin(), buckets_.begin() + static_cast<ptrdiff_t>(gone_));
  gone_ = 0;
}

int64_t ScoreBook::counted(const Bucket& b, int64_t extra_micros, const RulesOf& rules) {
  const int64_t authentic = std::max<int64_t>(0, b.authentic_micros + extra_micros);
  const int64_t cap = rules(b.rules).rules[static_cast<size_t>(b.rule)].cap_micros;
  return cap > 0 ? std::min(cap, authentic) : authentic;
}

Sums ScoreBook::sums(int64_t today, const CommunityConfig& community, const RulesOf& rules,
                     const std::vector<Taken>* given_back) const {
  const Decay& decay = decay_of(community.half_life_days);
  Sums sums;
  sums.day = today, sums.base = decay.base(today, community.window_days);
  for (const Bucket& b : buckets()) {
    const int capability = community.rules[static_cast<size_t>(b.rule)].capability;
    if (capability < 1 || capability > static_cast<int>(kCapabilities)) continue;
    int64_t extra = 0;
    if (given_back != nullptr)
      for (const Taken& t : *given_back)
        if (t.day == b.day && t.rule == b.rule) extra += t.micros;
    const int64_t points = counted(b, extra, rules);
    if (points != 0 && decay.block(b.day) >= sums.base)
      sums.s[static_cast<size_t>(capability - 1)] += static_cast<uint128>(points) * decay.weight(b.day, sums.base);
  }
  return sums;
}

void ScoreBook::sum_up(Bucket& b, const CommunityConfig& community, const Decay& decay, const RulesOf& rules) {
  const int capability = community.rules[static_cast<size_t>(b.rule)].capability;
  const bool counts =
      capability >= 1 && capability <= static_cast<int>(kCapabilities) && decay.block(b.day) >= running_.base;
  const int64_t points = counts ? counted(b, 0, rules) : 0;
  if (points == b.summed_micros) return;
  // Differences of one bucket: within a version of the rules its capability is the same.
  const uint128 weight = decay.weight(b.day, running_.base);
  const auto c = static_cast<size_t>((counts ? capability : b.summed_capability) - 1);
  running_.s[c] += static_cast<uint128>(static_cast<__int128>(points) - b.summed_micros) * weight;
  b.summed_micros = points, b.summed_capability = static_cast<uint8_t>(c + 1);
}

const Sums& ScoreBook::running(int64_t today, const CommunityConfig& community, uint16_t number, const RulesOf& rules) {
  const Decay& decay = decay_of(community.half_life_days);
  const int64_t base = decay.base(today, community.window_days);
  if (half_life_days_ != community.half_life_days || number_ != number || running_.base != base) {
    half_life_days_ = community.half_life_days, number_ = number;
    running_ = {}, running_.base = base;
    for (size_t i = gone_; i < buckets_.size(); ++i) buckets_[i].summed_micros = 0, buckets_[i].summed_capability = 0;
    changed_day_ = INT64_MIN;
  }
  for (size_t i = buckets_.size(); i > gone_ && buckets_[i - 1].day >= changed_day_; --i)
    sum_up(buckets_[i - 1], community, decay, rules);
  changed_day_ = INT64_MAX;
  running_.day = today;
  return running_;
}

Sums ScoreBook::running_with(const CommunityConfig& community, const RulesOf& rules,
                             const std::vector<Taken>& given_back) const {
  const Decay& decay = decay_of(community.half_life_days);
  Sums sums = running_;
  for (const Taken& t : given_back) {
    const auto of = buckets();
    const auto at = std::lower_bound(of.begin(), of.end(), std::pair(t.day, t.rule),
                                     [](const Bucket& b, const auto& k) { return std::pair(b.day, b.rule) < k; });
    if (at == of.end() || at->day != t.day || at->rule != t.rule || decay.block(t.day) < sums.base) continue;
    const int capability = community.rules[static_cast<size_t>(t.rule)].capability;
    if (capability < 1 || capability > static_cast<int>(kCapabilities)) continue;
    const __int128 more = counted(*at, t.micros, rules) - counted(*at, 0, rules);
    sums.s[static_cast<size_t>(capability - 1)] += static_cast<uint128>(more) * decay.weight(t.day, sums.base);
  }
  return sums;
}

void ScoreBook::write(Writer& w) const {
  w.varint(buckets_.size() - gone_);
  int64_t last = 0;
  for (const Bucket& b : buckets()) {
    EntryWriter c(w);
    c.zigzag(b.day - last), last = b.day;
    c.u8(static_cast<uint8_t>(b.rule)), c.varint(b.rules), c.zigzag(b.count), c.zigzag(b.raw_micros),
        c.zigzag(b.raw_micros - b.authentic_micros);
  }
}

bool ScoreBook::read(Reader& r) {
  int64_t last = 0;
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    Bucket b;
    b.day = last = r.above(last);
    b.rule = static_cast<RuleId>(r.u8()), b.rules = static_cast<uint16_t>(r.varint());
    if (static_cast<size_t>(b.rule) >= kRuleIds) return false;
    b.count = r.zigzag(), b.raw_micros = r.zigzag(), b.authentic_micros = r.below(b.raw_micros);
    buckets_.push_back(b);
  }
  return r.ok();
}

int64_t score_micros(uint128 sum, const Sums& sums, uint32_t half_life_days, uint32_t scale) {
  return static_cast<int64_t>(sum / (decay_of(half_life_days).weight(sums.day, sums.base) * scale));
}

}  // namespace bellwether

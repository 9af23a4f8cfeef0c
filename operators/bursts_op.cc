#include "operators/bursts_op.h"

#include <algorithm>
#include <cstdio>

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint64_t kPriorLikes = 4, kPriorBuckets = 48;  // of an author with no past: four likes a day
constexpr uint64_t kPastBucketsMax = 2 * 24 * 30;        // past that, the past is halved
constexpr int64_t kShareDays = 7;
constexpr uint32_t kStep = 8, kStepMax = 48;  // suspect likes between two messages to the flag
static_assert(kStepMax < kBurstLikesMax);

class Bursts final : public OperatorOf<BurstsState> {
 public:
  OperatorId id() const override { return OperatorId::kBursts; }
  const char* name() const override { return "bursts"; }
  KeyKind key_kind() const override { return KeyKind::kUser; }

  void fold_key(BurstsState& state, Key key, std::span<const Item> items, Context& context) const override {
    turn(state, context);
    for (const Item& item : items) {
      if (item.kind == Item::Kind::kMessage && kind_of(item.payload) == MessageKind::kLikeSeen) {
        on_like(state, key, decode_like_seen(item.payload), context);
      } else if (item.kind == Item::Kind::kTimer && state.untold > 0) {
        tell(state, key, context);
      }
    }
  }

 private:
  static void turn(BurstsState& state, const Context& context) {
    const int64_t bucket = floor_div(context.now_us(), kBurstBucketUs);
    if (bucket <= state.bucket) return;
    const uint64_t passed = state.bucket == INT64_MIN ? 0 : static_cast<uint64_t>(bucket - state.bucket);
    const auto leave = [&](const BurstsState::Bucket& b) {
      if (!b.burst) state.past_likes += b.likes, ++state.past_buckets;
    };
    if (passed == 1) {
      leave(state.now[1]);
      state.now = {BurstsState::Bucket(), state.now[0]};
    } else if (passed > 1) {
      leave(state.now[1]), leave(state.now[0]);
      state.past_buckets += passed - 2;
      state.now = {};
    }
    while (state.past_buckets > kPastBucketsMax) state.past_buckets /= 2, state.past_likes /= 2;
    state.bucket = bucket;
    if (state.untold == 0)
      std::erase_if(state.suspects,
                    [&](const BurstsState::Like& l) { return l.time_us + 2 * kBurstBucketUs < context.now_us(); });
  }

  static void on_like(BurstsState& state, Key key, const LikeSeen& like, Context& context) {
    const bool suspect = like.young || like.one_purpose;
    const uint32_t day = static_cast<uint32_t>(std::max<int64_t>(0, day_of(context.now_us())));
    context.count({kCounterLikers, day * 2}, 1);
    if (suspect) context.count({kCounterLikers, day * 2 + 1}, 1);
    ++state.now[0].likes;
    if (!suspect) return;
    ++state.now[0].suspects;
    if (state.suspects.size() == kBurstLikesMax) state.suspects.erase(state.suspects.begin());
    state.suspects.push_back({like.liker, like.post, like.time_us, like.id_hash});
    if (!bursting(state, context)) return;

    const bool goes_on = !state.flag.empty() && context.now_us() - state.last_us < kBurstGapUs;
    if (!goes_on) open(state, key, context);
    state.last_us = context.now_us();
    for (BurstsState::Bucket& b : state.now) b.burst = b.burst || b.likes > 0;
    state.untold = goes_on ? state.untold + 1 : static_cast<uint32_t>(state.suspects.size());
    const uint32_t step = std::clamp(state.told / 4, kStep, kStepMax);
    if (!goes_on || state.untold >= step) {
      tell(state, key, context);
    } else {
      context.wake_at(context.now_us() + 10 * kMinuteUs);
    }
  }

  static bool bursting(const BurstsState& state, const Context& context) {
    const BurstsConfig& config = context.community().bursts;
    const uint64_t likes = uint64_t{state.now[0].likes} + state.now[1].likes;
    const uint64_t suspects = uint64_t{state.now[0].suspects} + state.now[1].suspects;
    if (!config.enabled || likes < config.likes_min || suspects * 1000 < likes * config.young_share_permille)
      return false;
    if (burst_chi2_milli(likes, state.past_likes, state.past_buckets) < config.chi2_min_milli) return false;
    // The community's share, as of the tick before: suspects / likes > kBurstExcess * all_suspects / all_likes.
    int64_t all = 1, all_suspects = 0;
    const int64_t today = std::max<int64_t>(kShareDays, day_of(context.now_us()));
    for (int64_t day = today - kShareDays; day <= today; ++day) {
      all += context.counter({kCounterLikers, static_cast<uint32_t>(day * 2)});
      all_suspects += context.counter({kCounterLikers, static_cast<uint32_t>(day * 2 + 1)});
    }
    // Without its own likes, so that a large burst does not hide behind itself.
    all = std::max<int64_t>(1, all - static_cast<int64_t>(likes));
    all_suspects = std::max<int64_t>(0, all_suspects - static_cast<int64_t>(suspects));
    return static_cast<uint128>(suspects) * static_cast<uint64_t>(all) >
           static_cast<uint128>(likes) * kBurstExcess * static_cast<uint64_t>(all_suspects);
  }

  static void open(BurstsState& state, Key key, const Context& context) {
    std::string name;
    Writer w(name);
    w.u8(static_cast<uint8_t>(FlagKind::kBurst)), w.fixed64(key.hash), w.zigzag(context.tick().slot),
        w.varint(context.tick().sub);
    char id[32];
    std::snprintf(id, sizeof id, "burst-%016llx",
                  static_cast<unsigned long long>(context.hasher()(KeyKind::kFlag, name)));
    state.flag = id, state.told = 0;
    state.from_us = INT64_MAX;
    for (const BurstsState::Like& like : state.suspects) state.from_us = std::min(state.from_us, like.time_us);
  }

  static void tell(BurstsState& state, Key key, Context& context) {
    Raise raise;
    raise.kind = FlagKind::kBurst, raise.id = state.flag;
    raise.beneficiaries = {key.hash};
    raise.scope.author = key.hash;
    raise.scope.from_us = state.from_us, raise.scope.to_us = state.from_us;
    const size_t first = state.suspects.size() - std::min<size_t>(state.untold, state.suspects.size());
    for (size_t i = first; i < state.suspects.size(); ++i) {
      const BurstsState::Like& like = state.suspects[i];
      raise.subjects.push_back(like.liker);
      raise.evidence.push_back({like.liker, like.post, key.hash, like.time_us, like.id_hash});
      raise.scope.from_us = std::min(raise.scope.from_us, like.time_us);
      raise.scope.to_us = std::max(raise.scope.to_us, like.time_us);
    }
    std::sort(raise.subjects.begin(), raise.subjects.end());
    raise.subjects.erase(std::unique(raise.subjects.begin(), raise.subjects.end()), raise.subjects.end());
    const uint64_t likes = uint64_t{state.now[0].likes} + state.now[1].likes;
    const uint64_t suspects = uint64_t{state.now[0].suspects} + state.now[1].suspects;
    const uint64_t chi2 = burst_chi2_milli(likes, state.past_likes, state.past_buckets);
    const uint64_t least = context.community().bursts.chi2_min_milli;
    // Half sure at the threshold, and half of the doubt left at twice of it.
    raise.confidence_permille = static_cast<uint16_t>(chi2 <= least ? 500 : 1000 - 500 * least / chi2);
    raise.details = {{"likes_in_the_hour", static_cast<int64_t>(likes)},
                     {"young_or_one_purpose", static_cast<int64_t>(suspects)},
                     {"chi2_milli", static_cast<int64_t>(chi2)},
                     {"past_likes", static_cast<int64_t>(state.past_likes)},
                     {"past_half_hours", static_cast<int64_t>(state.past_buckets)}};
    state.told += state.untold, state.untold = 0;
    const uint64_t flag = context.hasher()(KeyKind::kFlag, state.flag);
    context.send(OperatorId::kFlags, Key{KeyKind::kFlag, flag}, context.now_us(), flag, encode(raise));
  }
};

}  // namespace

uint64_t burst_chi2_milli(uint64_t likes, uint64_t past_likes, uint64_t past_buckets) {
  // e = 2 (past_likes + prior) / (past_buckets + prior); with e = p / q: (likes - p/q)^2 / (p/q) = (likes q - p)^2 / (p
  // q)
  const uint128 p = 2 * (static_cast<uint128>(past_likes) + kPriorLikes),
                q = static_cast<uint128>(past_buckets) + kPriorBuckets;
  if (likes * q <= p) return 0;
  const uint128 over = likes * q - p;
  const uint128 chi2 = over * over * 1000 / (p * q);
  return chi2 > UINT32_MAX ? UINT32_MAX : static_cast<uint64_t>(chi2);
}

bool BurstsState::decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != kVersion) return false;
  bucket = r.zigzag();
  for (Bucket& b : now)
    b.likes = static_cast<uint32_t>(r.varint()), b.suspects = static_cast<uint32_t>(r.varint()), b.burst = r.boolean();
  past_likes = r.varint(), past_buckets = r.varint();
  int64_t last = 0;
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    Like& like = suspects.emplace_back();
    like.liker = r.fixed64(), like.post = r.fixed64(), last += r.zigzag(), like.time_us = last,
    like.id_hash = r.fixed64();
  }
  flag = r.bytes();
  if (!flag.empty())
    from_us = r.zigzag(), last_us = r.zigzag(), told = static_cast<uint32_t>(r.varint()),
    untold = static_cast<uint32_t>(r.varint());
  return r.ok() && r.done();
}

void BurstsState::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  w.zigzag(bucket);
  for (const Bucket& b : now) w.varint(b.likes), w.varint(b.suspects), w.boolean(b.burst);
  w.varint(past_likes), w.varint(past_buckets);
  w.varint(suspects.size());
  int64_t last = 0;
  for (const Like& like : suspects)
    w.fixed64(like.liker), w.fixed64(like.post), w.zigzag(like.time_us - last), w.fixed64(like.id_hash),
        last = like.time_us;
  w.bytes(flag);
  if (!flag.empty()) w.zigzag(from_us), w.zigzag(last_us), w.varint(told), w.varint(untold);
}

const Operator& bursts_operator() {
  static const Bursts instance;
  return instance;
}

}  // namespace bellwether

#include "operators/bursts_op.h"

#include <algorithm>
#include <cstdio>

#include "operators/messages.h"

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 1;
static_assert(kBurstUntoldMax < BurstLimits::kLikes, "what is untold is still held");

class Bursts final : public OperatorOf<BurstsState> {
 public:
  OperatorId id() const override { return OperatorId::kBursts; }
  const char* name() const override { return "bursts"; }
  KeyKind key_kind() const override { return KeyKind::kUser; }

  void fold_key(BurstsState& state, Key key, std::span<const Item> items, Context& context) const override {
    state.likes.forget_blocks(ledger_kept_from(context.now_us(), context.community().window_days));
    if (!state.likes.loaded())
      state.likes.load([&](int64_t day, uint32_t number) { return context.read_block(day, number); });
    for (const Item& item : items) {
      if (item.kind == Item::Kind::kTimer) {
        if (state.untold > 0) tell(state, key, context);
      } else if (item.kind == Item::Kind::kMessage && kind_of(item.payload) == MessageKind::kLikeSeen) {
        on_like(state, key, decode_like_seen(item.payload), context);
      }
    }
    BurstLikes::Block block;
    std::string bytes;
    while (state.likes.seal(day_of(context.now_us()), block, bytes))
      context.write_block(block.day, block.number, bytes);
  }

 private:
  static void on_like(BurstsState& state, Key key, const LikeSeen& like, Context& context) {
    const bool suspect = like.young || like.one_purpose;
    const auto today = static_cast<uint32_t>(std::max<int64_t>(0, day_of(context.now_us())));
    context.count({kCounterLikers, today * 2}, 1);
    if (suspect) {
      context.count({kCounterLikers, today * 2 + 1}, 1);
      state.likes.add({like.liker, like.post, like.time_us, like.id_hash});
    }
    const auto burst = state.meter.on_like(like.time_us, suspect, suspect ? usual(today, context) : kProbOne,
                                           context.community().bursts);
    if (burst) {
      // Windows that overlap show one burst, maybe at another scale.
      if (state.flag.empty() || burst->from_us > state.last.to_us) state.flag = new_flag(key, context);
      state.last = *burst;
      state.reported_us = context.now_us();
      tell(state, key, context);
    } else if (suspect && !state.flag.empty() && context.now_us() - state.reported_us <= kBurstTailUs) {
      ++state.untold;
      state.last.to_us = std::max(state.last.to_us, like.time_us);
      if (state.untold >= kBurstUntoldMax)
        tell(state, key, context);
      else
        context.wake_at(context.now_us() + kBurstTailUs);
    }
  }

  // The share of likes that come from suspects, over the last days and as of the tick before.
  static Prob usual(uint32_t today, const Context& context) {
    int64_t likes = 0, suspects = 0;
    for (uint32_t day = today - std::min<uint32_t>(today, kBurstUsualDays); day <= today; ++day) {
      likes += context.counter({kCounterLikers, day * 2});
      suspects += context.counter({kCounterLikers, day * 2 + 1});
    }
    return likes < kBurstUsualLikes ? kProbOne : prob(static_cast<uint64_t>(suspects), static_cast<uint64_t>(likes));
  }

  static std::string new_flag(Key key, const Context& context) {
    std::string name;
    Writer w(name);
    w.u8(static_cast<uint8_t>(FlagKind::kBurst)), w.fixed64(key.hash), w.zigzag(context.tick().slot),
        w.varint(context.tick().sub);
    char id[32];
    std::snprintf(id, sizeof id, "burst-%016llx",
                  static_cast<unsigned long long>(context.hasher()(KeyKind::kFlag, name)));
    return id;
  }

  static void tell(BurstsState& state, Key key, Context& context) {
    const Burst& burst = state.last;
    Raise raise;
    raise.kind = FlagKind::kBurst, raise.id = state.flag;
    raise.beneficiaries = {key.hash};
    raise.scope.author = key.hash;
    raise.scope.from_us = burst.from_us, raise.scope.to_us = burst.to_us;
    for (const BurstLikes::Like& like : state.likes.within(burst.from_us, burst.to_us)) {
      raise.subjects.push_back(like.liker);
      raise.evidence.push_back({like.liker, like.post, key.hash, like.time_us, like.id_hash});
    }
    std::sort(raise.subjects.begin(), raise.subjects.end());
    raise.subjects.erase(std::unique(raise.subjects.begin(), raise.subjects.end()), raise.subjects.end());
    raise.confidence_permille = static_cast<uint16_t>(burst.confidence_permille);
    raise.details = {{"likes", burst.count},
                     {"young_or_one_purpose", burst.suspects},
                     {"young_or_one_purpose_permille", burst.young_share_permille},
                     {"expected", burst.expected},
                     {"chi2_milli", static_cast<int64_t>(burst.chi2_milli)}};
    state.untold = 0;
    const uint64_t flag = context.hasher()(KeyKind::kFlag, state.flag);
    context.send(OperatorId::kFlags, Key{KeyKind::kFlag, flag}, context.now_us(), flag, encode(raise));
  }
};

}  // namespace

bool BurstsState::decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != kVersion) return false;
  auto held_meter = BurstState::decode(r.bytes());
  auto held_likes = BurstLikes::decode(r.bytes());
  if (!held_meter || !held_likes) return false;
  meter = *held_meter, likes = std::move(*held_likes);
  flag = r.bytes();
  if (!flag.empty()) {
    const auto u32 = [&] { return static_cast<uint32_t>(r.varint()); };
    last.from_us = r.zigzag(), last.to_us = r.zigzag();
    last.count = u32(), last.suspects = u32(), last.expected = u32();
    last.chi2_milli = r.varint(), last.young_share_permille = u32(), last.confidence_permille = u32();
    reported_us = r.zigzag(), untold = u32();
  }
  return r.ok() && r.done();
}

void BurstsState::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  std::string part;
  meter.encode(part), w.bytes(part);
  part.clear();
  likes.encode(part), w.bytes(part);
  w.bytes(flag);
  if (flag.empty()) return;
  w.zigzag(last.from_us), w.zigzag(last.to_us);
  w.varint(last.count), w.varint(last.suspects), w.varint(last.expected);
  w.varint(last.chi2_milli), w.varint(last.young_share_permille), w.varint(last.confidence_permille);
  w.zigzag(reported_us), w.varint(untold);
}

const Operator& bursts_operator() {
  static const Bursts instance;
  return instance;
}

}  // namespace bellwether

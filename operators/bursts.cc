#include "operators/bursts.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "operators/limits.h"

namespace bellwether {
namespace {

using Limits = BurstLimits;

constexpr uint8_t kVersion = 1;
constexpr uint64_t kExpectedMinQ4 = 2 << 4;

uint32_t add_one(uint32_t n) { return n < Limits::kCountMax ? n + 1 : n; }

}  // namespace

// What `carry + count` comes to if each tick brought the mean: the mean, and a half, a quarter, … of it.
uint64_t BurstState::Scale::expected_q4() const {
  return std::max(kExpectedMinQ4, ticks == 0 ? 0 : 2 * history_q4 / ticks);
}

uint64_t BurstState::Scale::chi2_milli() const {
  const uint64_t expected = expected_q4(), now = uint64_t{carry + count} << 4;
  if (now <= expected) return 0;
  return (now - expected) * (now - expected) * 1000 / (expected << 4);
}

void BurstState::Scale::turn(uint64_t passed, const BurstsConfig& config) {
  if (passed == 0) return;
  // What is out of the ordinary teaches the history only what established members did.
  const bool anomalous = carry + count >= config.likes_min && chi2_milli() >= config.chi2_min_milli;
  history_q4 += uint64_t{anomalous ? count - suspects : count} << 4;
  const uint64_t total = ticks + passed;
  if (total > Limits::kHistoryTicks) history_q4 = history_q4 * Limits::kHistoryTicks / total;
  ticks = static_cast<uint32_t>(std::min<uint64_t>(total, Limits::kHistoryTicks));
  const uint32_t halvings = static_cast<uint32_t>(std::min<uint64_t>(passed, 31));
  carry = (carry + count) >> halvings;
  carry_suspects = (carry_suspects + suspects) >> halvings;
  count = suspects = 0;
  if (carry < reported / 4) reported = 0;  // that burst is over
}

std::optional<Burst> BurstState::on_like(int64_t time_us, bool suspect, Prob usual, const BurstsConfig& config) {
  const uint32_t hour = static_cast<uint32_t>(std::max<int64_t>(time_us, 0) / kHourUs);
  if (hour_ == 0) hour_ = hour;
  std::optional<Burst> burst;
  for (size_t i = 0; i < Limits::kScales; ++i) {
    Scale& s = scales_[i];
    const uint32_t hours = Limits::kTickHours[i];
    if (hour > hour_) s.turn(hour / hours - hour_ / hours, config);
    s.count = add_one(s.count);
    if (suspect) s.suspects = add_one(s.suspects);
    const uint32_t count = s.carry + s.count, suspects = s.carry_suspects + s.suspects;
    // An established member's like completes no burst.
    if (!config.enabled || !suspect || burst || count < config.likes_min) continue;
    if (count < s.reported + s.reported / 4 || count == s.reported) continue;
    if (uint64_t{suspects} * 1000 < uint64_t{count} * config.young_share_permille) continue;
    if (uint64_t{suspects} * kProbOne < uint64_t{count} * usual * 2)
      continue;  // where most are new, being new says nothing
    const uint64_t chi2 = s.chi2_milli();
    if (chi2 < config.chi2_min_milli) continue;
    const Nats share = binomial_llr(suspects, count, usual);
    if (share < Limits::kShareMin) continue;
    s.reported = count;
    const int64_t tick = int64_t{std::max(hour, hour_) / hours} * hours;
    burst.emplace();
    burst->from_us = std::max<int64_t>(tick - int64_t{Limits::kReachTicks - 1} * hours, 0) * kHourUs;
    burst->to_us = std::max(time_us, int64_t{hour_} * kHourUs);
    burst->count = count, burst->suspects = suspects;
    burst->expected = static_cast<uint32_t>(s.expected_q4() >> 4);
    burst->chi2_milli = chi2;
    burst->young_share_permille = static_cast<uint32_t>(uint64_t{suspects} * 1000 / count);
    burst->confidence_permille = 1000 - std::max<uint32_t>(exp2_neg_permille((share - Limits::kShareMin) / 10) / 2, 1);
  }
  hour_ = std::max(hour_, hour);
  return burst;
}

void BurstState::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  w.varint(hour_);
  for (const Scale& s : scales_) {
    w.varint(s.count), w.varint(s.suspects), w.varint(s.carry), w.varint(s.carry_suspects);
    w.varint(s.history_q4), w.u8(static_cast<uint8_t>(s.ticks)), w.varint(s.reported);
  }
}

std::optional<BurstState> BurstState::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  BurstState b;
  b.hour_ = static_cast<uint32_t>(r.varint());
  for (Scale& s : b.scales_) {
    s.count = static_cast<uint32_t>(r.varint()), s.suspects = static_cast<uint32_t>(r.varint());
    s.carry = static_cast<uint32_t>(r.varint()), s.carry_suspects = static_cast<uint32_t>(r.varint());
    s.history_q4 = r.varint(), s.ticks = r.u8(), s.reported = static_cast<uint32_t>(r.varint());
  }
  return r.ok() && r.done() ? std::optional(b) : std::nullopt;
}

namespace {

void write_likes(Writer& w, const BurstLikes::Like* from, const BurstLikes::Like* to) {
  w.varint(static_cast<uint64_t>(to - from));
  int64_t last = 0;
  for (const BurstLikes::Like* l = from; l != to; ++l) {
    w.fixed64(l->liker), w.fixed64(l->post), w.zigzag(l->time_us - last), w.fixed64(l->id_hash);
    last = l->time_us;
  }
}

bool read_likes(Reader& r, size_t most, std::vector<BurstLikes::Like>& out) {
  const uint64_t n = r.varint();
  if (!r.ok() || n > most) return false;
  int64_t last = 0;
  for (uint64_t i = 0; i < n && r.ok(); ++i) {
    BurstLikes::Like l;
    l.liker = r.fixed64(), l.post = r.fixed64(), l.time_us = r.above(last), l.id_hash = r.fixed64();
    last = l.time_us;
    out.push_back(l);
  }
  return r.ok();
}

}  // namespace

// Of those held, in order, the ones that gone(like) names.
template <class Gone>
void BurstLikes::drop(Gone&& gone) {
  size_t from = 0, to = 0;
  const auto keeps = [&] {
    const Like& like = likes_[from++];
    if (gone(like)) return false;
    likes_[to++] = like;
    return true;
  };
  for (Block& b : blocks_)
    for (uint32_t left = b.held; left != 0; left &= left - 1)
      if (!keeps()) b.held &= ~(left & -left);
  while (from < likes_.size()) keeps();
  if (to == likes_.size()) return;
  likes_.resize(to);
  std::erase_if(blocks_, [](const Block& b) { return b.held == 0; });
}

void BurstLikes::add(const Like& like) {
  constexpr int64_t kReachUs = int64_t{Limits::kReachTicks} * Limits::kTickHours[Limits::kScales - 1] * kHourUs;
  drop([&](const Like& l) { return l.time_us < like.time_us - kReachUs; });
  if (likes_.size() == Limits::kLikes)
    drop([first = true](const Like&) mutable { return std::exchange(first, false); });
  likes_.push_back(like);
}

std::vector<BurstLikes::Like> BurstLikes::within(int64_t from_us, int64_t to_us) const {
  std::vector<Like> some;
  for (const Like& l : likes_) {
    if (l.time_us >= from_us && l.time_us <= to_us) some.push_back(l);
  }
  return some;
}

size_t BurstLikes::in_blocks() const {
  if (!loaded_) return 0;
  size_t n = 0;
  for (const Block& b : blocks_) n += static_cast<size_t>(std::popcount(b.held));
  return n;
}

void BurstLikes::forget_blocks(int64_t day) {
  size_t blocks = 0, likes = 0;
  for (; blocks < blocks_.size() && blocks_[blocks].day < day; ++blocks)
    likes += static_cast<size_t>(std::popcount(blocks_[blocks].held));
  if (blocks == 0) return;
  blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<ptrdiff_t>(blocks));
  if (loaded_) likes_.erase(likes_.begin(), likes_.begin() + static_cast<ptrdiff_t>(likes));
}

bool BurstLikes::take_block(std::string_view bytes, uint32_t held, std::vector<Like>& out) {
  Reader r(bytes);
  std::vector<Like> likes;
  if (r.u8() != kVersion || !read_likes(r, kBlock, likes) || !r.done() || likes.size() != kBlock) return false;
  for (size_t i = 0; i < kBlock; ++i)
    if ((held >> i & 1) != 0) out.push_back(likes[i]);
  return true;
}

bool BurstLikes::is_block(std::string_view bytes) {
  std::vector<Like> likes;
  return take_block(bytes, 0, likes);
}

void BurstLikes::put_before(std::vector<Like> likes) {
  likes.insert(likes.end(), likes_.begin(), likes_.end());
  likes_ = std::move(likes);
  std::erase_if(blocks_, [](const Block& b) { return b.held == 0; });
  loaded_ = true;
}

bool BurstLikes::seal(int64_t filling_day, Block& block, std::string& bytes) {
  const size_t sealed = in_blocks();
  if (likes_.size() - sealed < 2 * kBlock) return false;
  block = {filling_day, next_number_++, UINT32_MAX};
  bytes.clear();
  Writer w(bytes);
  w.u8(kVersion);
  const Like* const from = likes_.data() + sealed;
  write_likes(w, from, from + kBlock);
  blocks_.push_back(block);
  return true;
}

// Version 2: blocks, next number, the likes that stand in none. Version 1 had no blocks.
void BurstLikes::encode(std::string& out) const {
  Writer w(out);
  w.u8(2);
  w.varint(blocks_.size());
  int64_t last = 0;
  for (const Block& b : blocks_) w.zigzag(b.day - last), last = b.day, w.varint(b.number), w.varint(b.held);
  w.varint(next_number_);
  write_likes(w, likes_.data() + in_blocks(), likes_.data() + likes_.size());
}

std::optional<BurstLikes> BurstLikes::decode(std::string_view in) {
  Reader r(in);
  const uint8_t version = r.u8();
  if (version != 1 && version != 2) return std::nullopt;
  BurstLikes b;
  size_t held = 0;
  if (version == 2) {
    int64_t last = 0;
    for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
      Block block;
      block.day = last = r.above(last), block.number = static_cast<uint32_t>(r.varint());
      const uint64_t bits = r.varint();
      if (bits == 0 || bits > UINT32_MAX) return std::nullopt;
      block.held = static_cast<uint32_t>(bits), held += static_cast<size_t>(std::popcount(block.held));
      if (held > Limits::kLikes) return std::nullopt;
      b.blocks_.push_back(block);
    }
    b.next_number_ = static_cast<uint32_t>(r.varint());
    b.loaded_ = b.blocks_.empty();
  }
  if (!read_likes(r, Limits::kLikes - held, b.likes_)) return std::nullopt;
  return r.ok() && r.done() ? std::optional(std::move(b)) : std::nullopt;
}

}  // namespace bellwether

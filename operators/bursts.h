// D1: bursts, more likes on one key (an author, or a post) than its own history explains, by likers that are young or
// of one purpose (operators/purpose.h: "suspects"). After MIDAS-F (Bhatia et al., 2022): a chi-square of the present
// against the past, at two scales, where an anomalous present does not become the past. A post that goes viral among
// established members is a burst too, but is not reported: the share of suspects decides, against what is usual in the
// community, where all may be new.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "operators/codec.h"
#include "operators/fixed.h"

namespace bellwether {

struct BurstLimits {
  static constexpr size_t kScales = 2;
  static constexpr std::array<uint32_t, kScales> kTickHours = {1, 24};
  static constexpr uint32_t kReachTicks =
      3;  // a window reaches back so many ticks; older likes weigh an eighth or less, and bystanders are most
  static constexpr uint32_t kHistoryTicks = 64;            // the history forgets beyond
  static constexpr uint32_t kCountMax = (1 << 21) - 1;     // counts saturate
  static constexpr Nats kShareMin = 12 * kNat;             // evidence that the share of suspects is not the usual one
  static constexpr size_t kBytes = 48;                     // of an encoded BurstState
  static constexpr size_t kLikes = 128;                    // likes that a BurstLikes holds, the newest
  static constexpr size_t kLikesBytes = 16 + kLikes * 34;  // of them encoded, at most; 1.8 KB where there are blocks
};

// What is reported. Likes of suspects with from_us <= time <= to_us are its evidence.
struct Burst {
  int64_t from_us = 0, to_us = 0;
  uint32_t count = 0;                 // likes in the window, each tick back weighing half
  uint32_t suspects = 0;              // of them by suspects
  uint32_t expected = 0;              // by the key's own history, at least 2
  uint64_t chi2_milli = 0;            // (count - expected)^2 / expected * 1000
  uint32_t young_share_permille = 0;  // suspects of count
  uint32_t confidence_permille = 0;   // 1000 - 500 * 2^-(evidence of the share above kShareMin, in nats, / 10)
  friend bool operator==(const Burst&, const Burst&) = default;
};

// State of a key: at most kBytes encoded; counts saturate. O(1) a like.
class BurstState {
 public:
  // `suspect`: the liker is young or of one purpose. `usual`: the community's share of such likes of late
  // (prob(suspects, likes)); the burst's must be twice that, so above a half nothing is reported. Late likes count as
  // now. A burst is reported when it first passes the configuration's bounds, and again each time it has grown by a
  // quarter.
  std::optional<Burst> on_like(int64_t time_us, bool suspect, Prob usual, const BurstsConfig& config);
  void encode(std::string& out) const;
  static std::optional<BurstState> decode(std::string_view in);
  friend bool operator==(const BurstState&, const BurstState&) = default;

 private:
  struct Scale {
    uint32_t count = 0, suspects = 0;        // of this tick
    uint32_t carry = 0, carry_suspects = 0;  // of the ticks before, halved each tick
    uint64_t history_q4 = 0;                 // likes of `ticks` past ticks, times 16
    uint32_t ticks = 0;
    uint32_t reported = 0;  // count at the last report of this burst
    uint64_t expected_q4() const;
    uint64_t chi2_milli() const;
    void turn(uint64_t ticks, const BurstsConfig& config);
    friend bool operator==(const Scale&, const Scale&) = default;
  };
  uint32_t hour_ = 0;
  std::array<Scale, BurstLimits::kScales> scales_;
};

// The newest likes of suspects on a key, so that a report can name its evidence. Likes older than a window can reach
// are dropped; at the bound the oldest leave. Of many all but the last 32 to 64 stand in blocks of the ledger, so
// that a further like does not write them all again; in memory all are held, once they were loaded. Fewer need no
// block, which would have to be read again: there are many such keys, and most do not stay in memory.
class BurstLikes {
 public:
  struct Like {
    uint64_t liker = 0, post = 0;
    int64_t time_us = 0;
    uint64_t id_hash = 0;
    friend bool operator==(const Like&, const Like&) = default;
  };
  // Of kBlock likes, as they came.
  struct Block {
    int64_t day = 0;
    uint32_t number = 0;
    uint32_t held = 0;  // a bit each: those that were not dropped
    friend bool operator==(const Block&, const Block&) = default;
  };
  static constexpr size_t kBlock = 32;

  // Once loaded: they change and tell all likes.
  void add(const Like& like);
  // Those with from_us <= time <= to_us, by time as they came.
  std::vector<Like> within(int64_t from_us, int64_t to_us) const;
  size_t size() const { return likes_.size(); }

  const std::vector<Block>& blocks() const { return blocks_; }
  // Drops the blocks filled on days < `day`, which the ledger need not have any more. To be called before they are
  // loaded and before each fold: what is held must not tell whether it was in memory all the time.
  void forget_blocks(int64_t day);
  bool loaded() const { return loaded_; }
  // read(day, number) gives the bytes of a block.
  template <class Read>
  void load(Read&& read) {
    std::vector<Like> likes;
    for (Block& b : blocks_)
      if (!take_block(read(b.day, b.number), b.held, likes)) b.held = 0;
    put_before(std::move(likes));
  }
  // Of the oldest that stand in no block, once there are enough: the caller writes the bytes under (day, number).
  bool seal(int64_t filling_day, Block& block, std::string& bytes);
  static bool is_block(std::string_view bytes);  // as seal() wrote it
  // For comparisons, once loaded: as if they had never been cut into blocks.
  void take_as_open() { blocks_.clear(), next_number_ = 0; }

  size_t bytes() const { return sizeof *this + likes_.capacity() * sizeof(Like) + blocks_.capacity() * sizeof(Block); }
  void encode(std::string& out) const;
  static std::optional<BurstLikes> decode(std::string_view in);
  friend bool operator==(const BurstLikes&, const BurstLikes&) = default;

 private:
  template <class Gone>
  void drop(Gone&& gone);
  size_t in_blocks() const;  // of those held
  static bool take_block(std::string_view bytes, uint32_t held, std::vector<Like>& out);
  void put_before(std::vector<Like> likes);

  std::vector<Like> likes_;    // those of blocks first
  std::vector<Block> blocks_;  // none of which nothing is held
  uint32_t next_number_ = 0;
  bool loaded_ = true;
};

}  // namespace bellwether

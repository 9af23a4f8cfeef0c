// What a user did on the targets of a block under test, and what was to be expected of them. Asked for every liker of
// the targets in every round, so the targets are laid out for it: a user costs a step a like and three a target,
// without a search.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "operators/fixed.h"
#include "operators/rings_book.h"
#include "operators/rings_share.h"

namespace bellwether {

// A target of a block: a post, by its number in the book, and the window in which members liked it.
struct BlockTarget {
  uint32_t post = 0;
  uint64_t author = 0;
  int64_t from_us = 0, to_us = 0;  // the window, both included
  RingSpan span;                   // the same in whole buckets
  Prob others = 1;                 // how likely a like of a non-member in that window is on this post
  Nats gain = 0;                   // after paying for the window
};

class RingHits {
 public:
  static constexpr uint32_t kTargetsMax = UINT16_MAX;
  struct Hits {
    uint32_t hits = 0;          // likes of targets within their windows
    uint64_t expected_q20 = 0;  // for each target the user's likes in the window (this one too) times `others`
  };

  explicit RingHits(const RingBook& book)
      : book_(book), opened_(RingBook::kBuckets + 1, 0), closed_(RingBook::kBuckets + 1, 0) {}

  // Which targets are asked about until the next call: at most kTargetsMax, each of another post.
  void lay_out(const std::vector<BlockTarget>& targets);
  // Of a user who has been read.
  Hits of(uint32_t user);
  // How many hits, if they tell more than `choice` (at least a nat) against what was expected by poisson_llr; else 0.
  // Most users are done with after a part of the targets.
  uint32_t convincing(uint32_t user, Nats choice);

 private:
  struct Laid {
    Prob others;
    uint32_t closing;  // the target's place in the order in which the windows close
  };
  struct Window {
    int64_t from_us, to_us;
    RingSpan span;
  };
  void count(uint32_t user);
  uint64_t expect(uint64_t enough) const;
  uint64_t too_much(uint32_t hits, Nats choice);

  const RingBook& book_;
  // Targets by place: in the order in which their windows open.
  std::vector<Laid> laid_;
  std::vector<Window> windows_;
  std::vector<uint64_t> is_target_;  // a bit a post
  std::vector<uint32_t> place_;      // by post, of targets only
  std::vector<uint32_t> posts_;      // whose bits are set
  std::vector<std::pair<uint32_t, uint32_t>> order_;
  // By bucket, how many targets' windows have opened, and have closed, with it.
  std::vector<uint16_t> opened_, closed_;
  // Of the user in hand, by place in either order: the likes before that window opened or closed, where they became
  // more; 0 elsewhere.
  std::vector<uint32_t> before_open_, before_close_;
  std::vector<uint32_t> own_;  // by place: 1, or 0 where a like of the target itself is in the window
  std::vector<uint32_t> own_places_;
  uint32_t hits_ = 0;
  std::vector<uint64_t> too_much_;  // by hits; 0: not yet known
  Nats too_much_for_ = 0;           // the choice that they are of
};

}  // namespace bellwether

// D1 at the author: counts the likes on their posts, and raises a flag when a burst of them by young or one-purpose
// likers comes. The statistic is that of operators/bursts.h; the community's usual share of such likers is a sum over
// the last days.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "operators/bursts.h"
#include "operators/operator.h"

namespace bellwether {

constexpr int64_t kBurstTailUs = kHourUs;  // suspect likes so long after a report belong to its burst
constexpr uint32_t kBurstUntoldMax = 64;   // so many of them are told without waiting; no more than BurstLimits::kLikes
constexpr int64_t kBurstUsualDays = 3;     // whole days before today over which the usual share is taken
constexpr int64_t kBurstUsualLikes = 100;  // with fewer likes than that nobody knows what is usual

// Bound: BurstLimits::kBytes, kLikesBytes and some 60 bytes: 4.5 KB encoded, but no more than 64 likes and the names of
// blocks once the fold is over; some 50 bytes for an author without suspects.
struct BurstsState final : State {
  BurstState meter;
  BurstLikes likes;         // the newest suspects'
  std::string flag;         // of the burst that was reported last; empty: none
  Burst last;               // as it was reported last
  int64_t reported_us = 0;  // tick of that report
  uint32_t untold = 0;      // suspect likes after it that its flag does not know yet

  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override { return likes.bytes() + flag.capacity(); }
  bool whole() const override { return likes.blocks().empty(); }
};

const Operator& bursts_operator();

}  // namespace bellwether

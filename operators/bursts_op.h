// D1 at the author: a burst is more likes within the hour than the author's own history explains, most of them from
// likers that are young (first seen days ago) or of one purpose (like a hand of authors and do nothing else), and far
// more so than in the community.
//
//   expected e = likes an hour in the author's past, with a weak prior; bursts are kept out of it, and it fades over a
//   month chi-square = (likes - e)^2 / e, in thousandths; integers throughout
//
// A post that goes around has the first, not the second; a community that is new itself has the second everywhere.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "operators/messages.h"
#include "operators/operator.h"

namespace bellwether {

constexpr int64_t kBurstBucketUs = 30 * kMinuteUs;  // two of them are the hour looked at
constexpr size_t kBurstLikesMax = 64;         // suspect likes held; the oldest leave first, all are told before they do
constexpr int64_t kBurstGapUs = 6 * kHourUs;  // a burst so soon after the last one goes on with its flag
constexpr uint32_t kBurstExcess = 3;          // the suspect share is so many times the community's of the last 7 days

// Bound: 64 likes of 33 bytes and the rest: 2.3 KB encoded; some 20 bytes outside of bursts.
struct BurstsState final : State {
  struct Bucket {
    uint32_t likes = 0, suspects = 0;
    bool burst = false;  // was part of one: no history
  };
  struct Like {
    uint64_t liker = 0, post = 0;
    int64_t time_us = 0;
    uint64_t id_hash = 0;
  };

  int64_t bucket = INT64_MIN;  // number of now[0], by tick time
  std::array<Bucket, 2> now;   // this half hour, the one before
  uint64_t past_likes = 0, past_buckets = 0;
  std::vector<Like> suspects;  // of the last hour, or of the burst; in fold order
  // The burst that is on, or was last.
  std::string flag;                  // empty: none yet
  int64_t from_us = 0, last_us = 0;  // its first suspect like; the tick of its last one
  uint32_t told = 0;                 // suspect likes told to the flag
  uint32_t untold = 0;               // of the burst, held and not told yet

  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override { return flag.capacity() + suspects.capacity() * sizeof(Like); }
};

// Chi-square, in thousandths, of `likes` within an hour after `past_likes` in `past_buckets` half hours; 0 where there
// are fewer than expected.
uint64_t burst_chi2_milli(uint64_t likes, uint64_t past_likes, uint64_t past_buckets);

const Operator& bursts_operator();

}  // namespace bellwether

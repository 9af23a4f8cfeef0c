// What the plain block test asks: who liked what (Book), how much went on (Pulse), how likely the next like is a
// member's (Share). Every list is read anew, every question asked of the whole list.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <tuple>
#include <vector>

#include "operators/rings.h"

namespace bellwether::naive {

using Limits = RingLimits;

constexpr uint64_t kPriorLikes = 4;     // how many co-likes the long-run share weighs within a window
constexpr uint32_t kPostLikers = 8192;  // likers of one post that the test reads
constexpr int64_t kSecond = 1'000'000;

struct Seen {
  int64_t time_us;
  uint64_t user;
  auto operator<=>(const Seen&) const = default;
};

// What was read from the ledger, kept for the whole run.
class Book {
 public:
  Book(const LedgerView& ledger, int64_t as_of_us)
      : ledger_(ledger), from_us_(as_of_us - int64_t{Limits::kBlockS} * kSecond), to_us_(as_of_us) {}

  // One entry a post, the earliest; by time, then post.
  const std::vector<RingLike>& likes(uint64_t user) {
    auto [at, fresh] = likes_.try_emplace(user);
    if (!fresh) return *at->second;
    at->second = std::make_unique<std::vector<RingLike>>();
    std::vector<RingLike>& rows = *at->second;
    ledger_.likes_of(user, from_us_, to_us_, [&](const RingLike& like) {
      if (like.liker != like.author) rows.push_back(like);
    });
    std::sort(rows.begin(), rows.end(), [](const RingLike& a, const RingLike& b) {
      return std::tie(a.post, a.time_us, a.id_hash) < std::tie(b.post, b.time_us, b.id_hash);
    });
    rows.erase(
        std::unique(rows.begin(), rows.end(), [](const RingLike& a, const RingLike& b) { return a.post == b.post; }),
        rows.end());
    std::stable_sort(rows.begin(), rows.end(),
                     [](const RingLike& a, const RingLike& b) { return a.time_us < b.time_us; });
    if (rows.size() > Limits::kBlockLikes) rows.erase(rows.begin(), rows.end() - Limits::kBlockLikes);
    return rows;
  }
  // One entry a user, the earliest; by time.
  const std::vector<Seen>& likers(uint64_t post) {
    auto [at, fresh] = likers_.try_emplace(post);
    if (!fresh) return *at->second;
    at->second = std::make_unique<std::vector<Seen>>();
    std::vector<Seen>& rows = *at->second;
    ledger_.likers_of(post, from_us_, to_us_, [&](uint64_t user, int64_t time_us) { rows.push_back({time_us, user}); });
    std::sort(rows.begin(), rows.end(),
              [](const Seen& a, const Seen& b) { return std::tie(a.user, a.time_us) < std::tie(b.user, b.time_us); });
    rows.erase(std::unique(rows.begin(), rows.end(), [](const Seen& a, const Seen& b) { return a.user == b.user; }),
               rows.end());
    std::sort(rows.begin(), rows.end());
    if (rows.size() > kPostLikers) rows.erase(rows.begin(), rows.end() - kPostLikers);
    return rows;
  }
  int64_t birth_us(uint64_t post) { return ledger_.post_birth_us(post); }

 private:
  const LedgerView& ledger_;
  const int64_t from_us_, to_us_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<std::vector<RingLike>>> likes_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<std::vector<Seen>>> likers_;
};

constexpr int64_t kBucketUs = int64_t{Limits::kBucketS} * kSecond;

// A window in whole buckets, the end not included.
struct Span {
  int64_t from_us, to_us;
};
inline Span span_of(int64_t from_us, int64_t to_us) {
  return {from_us / kBucketUs * kBucketUs, (to_us / kBucketUs + 1) * kBucketUs};
}

inline uint64_t count(const std::vector<int64_t>& sorted_us, const Span& span) {
  return static_cast<uint64_t>(std::lower_bound(sorted_us.begin(), sorted_us.end(), span.to_us) -
                               std::lower_bound(sorted_us.begin(), sorted_us.end(), span.from_us));
}

// num / den, drawn towards `prior` as if kPriorLikes more had been seen.
inline Prob shrunk(uint64_t num, uint64_t den, Prob prior) {
  return prob((num << 10) + (kPriorLikes * prior >> 20), (den + kPriorLikes) << 10);
}

inline bool holds(const std::vector<uint64_t>& sorted, uint64_t x) {
  return std::binary_search(sorted.begin(), sorted.end(), x);
}

// The community's likes between two times, in whole buckets.
class Pulse {
 public:
  explicit Pulse(const RingPulse& pulse) : first_(pulse.first()), sums_(pulse.likes().size() + 1, 0) {
    for (size_t i = 0; i < pulse.likes().size(); ++i) sums_[i + 1] = sums_[i] + pulse.likes()[i];
  }
  uint64_t likes(const Span& span) const { return upto(span.to_us) - upto(span.from_us); }
  uint64_t all() const { return sums_.back(); }

 private:
  uint64_t upto(int64_t time_us) const {
    const int64_t at = time_us / (int64_t{Limits::kBucketS} * kSecond) - first_;
    return sums_[static_cast<size_t>(std::clamp<int64_t>(at, 0, static_cast<int64_t>(sums_.size()) - 1))];
  }
  const int64_t first_;
  std::vector<uint64_t> sums_;
};

// How likely the next like of a window is by a member, judged by what is outside the target. Two views, of which the
// larger counts: of all likes in that time, members' share; of the likes next to a member's like (same post, within the
// scale, not a post of the block), members' share. The one knows who is there, the other who likes the same things
// anyway.
class Share {
 public:
  // `block_posts`: ascending, the targets chosen so far; their likes count on neither side.
  Share(Book& book, const Pulse& pulse, const std::vector<uint64_t>& members, const std::vector<uint64_t>& block_posts)
      : book_(book), pulse_(pulse), members_(members), block_posts_(block_posts) {
    for (const uint64_t user : members) is_member_.insert(user);
    for (const uint64_t user : members) {
      for (const RingLike& like : book.likes(user)) {
        times_.push_back(like.time_us);
        if (!holds(block_posts, like.post)) rest_times_.push_back(like.time_us);
      }
    }
    for (const uint64_t post : block_posts) {
      for (const Seen& seen : book.likers(post)) block_times_.push_back(seen.time_us);
    }
    std::sort(times_.begin(), times_.end());
    std::sort(rest_times_.begin(), rest_times_.end());
    std::sort(block_times_.begin(), block_times_.end());
    plain_ = prob(times_.size(), std::max<uint64_t>(pulse.all(), times_.size() + 1));
  }

  // From here on `in` takes the second view too. It reads the likers of every post of every member.
  void look_closer(const std::vector<uint64_t>& block_posts, size_t most) {
    std::vector<uint64_t> looked_at;
    for (const uint64_t user : members_)
      for (const RingLike& like : book_.likes(user))
        if (!holds(block_posts, like.post)) looked_at.push_back(like.post);
    std::sort(looked_at.begin(), looked_at.end());
    looked_at.erase(std::unique(looked_at.begin(), looked_at.end()), looked_at.end());
    for (uint64_t divisor = 2; looked_at.size() > most && divisor != 0; divisor *= 2)
      std::erase_if(looked_at, [&](uint64_t post) { return post % divisor != 0; });
    struct Near {
      int64_t time_us;
      std::array<uint32_t, Limits::kScales> members, all;
    };
    std::vector<Near> near;
    for (const uint64_t user : members_) {
      for (const RingLike& like : book_.likes(user)) {
        if (!holds(looked_at, like.post)) continue;
        Near n{like.time_us, {}, {}};
        for (const Seen& seen : book_.likers(like.post)) {
          const int64_t apart = std::abs(seen.time_us - like.time_us);
          if (seen.user == user || apart > Limits::kScaleS[Limits::kScales - 1] * kSecond) continue;
          const bool member = is_member_.contains(seen.user);
          for (uint32_t s = 0; s < Limits::kScales; ++s) {
            if (apart <= Limits::kScaleS[s] * kSecond) ++n.all[s], n.members[s] += member;
          }
        }
        near.push_back(n);
      }
    }
    std::stable_sort(near.begin(), near.end(), [](const Near& a, const Near& b) { return a.time_us < b.time_us; });
    near_times_.reserve(near.size());
    sums_.resize(near.size() + 1);
    for (size_t i = 0; i < near.size(); ++i) {
      near_times_.push_back(near[i].time_us);
      sums_[i + 1] = sums_[i];
      for (uint32_t s = 0; s < Limits::kScales; ++s) {
        sums_[i + 1][s].members += near[i].members[s];
        sums_[i + 1][s].all += near[i].all[s];
      }
    }
    for (uint32_t s = 0; s < Limits::kScales; ++s)
      overall_[s] = shrunk(sums_.back()[s].members, sums_.back()[s].all, plain_);
  }

  // `span` is the window in whole buckets, `on_post` and `members_on_post` the likes of the target within it.
  Prob in(const Span& span, uint32_t scale, uint64_t post, uint64_t on_post, uint64_t members_on_post) const {
    const bool of_block = holds(block_posts_, post);
    const uint64_t mine = count(rest_times_, span), all = pulse_.likes(span);
    const uint64_t mine_there = of_block ? 0 : members_on_post,
                   all_there = count(block_times_, span) + (of_block ? 0 : on_post);
    const uint64_t others = mine - std::min(mine, mine_there);
    const Prob present = shrunk(others, std::max(all - std::min(all, all_there), others), plain_);
    if (sums_.empty()) return present;
    const auto low = std::lower_bound(near_times_.begin(), near_times_.end(), span.from_us) - near_times_.begin();
    const auto high = std::lower_bound(near_times_.begin(), near_times_.end(), span.to_us) - near_times_.begin();
    const Prob alike = shrunk(sums_[high][scale].members - sums_[low][scale].members,
                              sums_[high][scale].all - sums_[low][scale].all, overall_[scale]);
    return std::max(present, alike);
  }
  uint64_t members_likes(const Span& span) const { return count(times_, span); }
  uint64_t members_likes() const { return times_.size(); }

 private:
  struct Sum {
    uint64_t members = 0, all = 0;
  };
  Book& book_;
  const Pulse& pulse_;
  const std::vector<uint64_t>&members_, &block_posts_;
  absl::flat_hash_set<uint64_t> is_member_;
  std::vector<int64_t> times_, rest_times_, block_times_, near_times_;
  std::vector<std::array<Sum, Limits::kScales>> sums_;
  std::array<Prob, Limits::kScales> overall_{};
  Prob plain_ = 1;
};

}  // namespace bellwether::naive

// The block test against its plain form: communities with rings in them, ledgers whose two sides differ, members with
// more likes than are read.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "naive_rings.h"
#include "operators/limits.h"

namespace bellwether {
namespace {

using Limits = RingLimits;
constexpr int64_t kNow = 20'000 * kDayUs;

uint64_t hash_of(uint64_t n) {  // spread like real hashes, never 0
  n = (n + 1) * 0x9E3779B97F4A7C15u;
  n ^= n >> 31;
  return n * 0xBF58476D1CE4E5B9u | 1;
}

class Ledger final : public LedgerView {
 public:
  void likes_of(uint64_t user, int64_t from, int64_t to, absl::FunctionRef<void(const RingLike&)> each) const override {
    if (const auto at = of_user.find(user); at != of_user.end())
      for (const RingLike& l : at->second)
        if (l.time_us >= from && l.time_us <= to) each(l);
  }
  void likers_of(uint64_t post, int64_t from, int64_t to,
                 absl::FunctionRef<void(uint64_t, int64_t)> each) const override {
    if (const auto at = of_post.find(post); at != of_post.end())
      for (const RingLike& l : at->second)
        if (l.time_us >= from && l.time_us <= to) each(l.liker, l.time_us);
  }
  int64_t post_birth_us(uint64_t post) const override {
    const auto at = births.find(post);
    return at == births.end() ? 0 : at->second;
  }
  std::map<uint64_t, std::vector<RingLike>> of_user, of_post;
  std::map<uint64_t, int64_t> births;
};

struct Case {
  uint32_t users = 150, posts = 250, likes = 2500, rings = 2;
  bool crooked = false;  // the two sides of the ledger differ
  uint32_t heavy = 0;    // likes of one member, or of so many, on posts that nobody else likes
  uint32_t heavy_users = 1;
  int64_t grain_us = 1000;          // times are multiples of it: equal ones occur
  int64_t spread_us = 20 * kDayUs;  // after a post's birth, over which its likes come
};

// A community of the kind that an analysis sees: its ledger, and pairs with evidence around rings and by chance.
struct Community {
  Ledger ledger;
  RingInput input;

  Community(const Case& c, uint64_t seed) : random(seed), shape(c) {
    for (uint32_t p = 0; p < c.posts; ++p)
      if (below(5) != 0) ledger.births[post(p)] = kNow - static_cast<int64_t>(below(95 * kDayUs));
    for (uint32_t i = 0; i < c.likes; ++i) {
      const uint64_t p = std::min(below(c.posts), below(c.posts));
      like(std::min(below(c.users), below(c.users)), p, near_birth(p, c.spread_us));
    }
    for (uint32_t r = 0; r < c.rings; ++r) ring();
    for (uint32_t i = 0; i < c.heavy; ++i)
      like(i % c.heavy_users, 10'000 + i, kNow - static_cast<int64_t>(below(70 * kDayUs)));
    for (int i = 0; i < 60; ++i) edge(below(c.users), below(c.users));
    finish();
  }

  std::mt19937_64 random;
  const Case& shape;

 private:
  uint64_t below(uint64_t limit) { return random() % limit; }
  static uint64_t post(uint64_t n) { return hash_of(1'000'000 + n); }
  int64_t near_birth(uint64_t p, int64_t spread_us) {
    const int64_t birth = ledger.births.contains(post(p)) ? ledger.births[post(p)] : kNow - 30 * kDayUs;
    return birth + static_cast<int64_t>(below(static_cast<uint64_t>(spread_us)));
  }
  void like(uint64_t user, uint64_t p, int64_t time_us) {
    const uint64_t author = below(30) == 0 ? hash_of(user) : hash_of(500'000 + p % 40 + (below(50) == 0));
    time_us = std::min(time_us / shape.grain_us * shape.grain_us, kNow + kDayUs);
    const RingLike l{hash_of(user), post(p), author, time_us, hash_of(random())};
    RingLike row = l;
    if (shape.crooked && below(10) == 0) row.time_us += static_cast<int64_t>(below(2 * kDayUs)) - kDayUs;
    if (!shape.crooked || below(12) != 0) ledger.of_user[l.liker].push_back(l);
    if (!shape.crooked || below(12) != 0) ledger.of_post[l.post].push_back(row);
    times.push_back(time_us);
  }
  void edge(uint64_t a, uint64_t b) {
    if (a == b) return;
    const uint64_t x = hash_of(a), y = hash_of(b);
    edges[{std::min(x, y), std::max(x, y)}] = Limits::kEdgeMin + static_cast<Nats>(below(6 * kNat));
  }
  void ring() {
    const uint64_t first = below(shape.users), members = 5 + below(20), targets = 4 + below(12);
    const int64_t widths[] = {600 * kSecondUs, kDayUs, 14 * kDayUs};
    const int64_t width = widths[below(3)];
    for (uint64_t t = 0; t < targets; ++t) {
      const uint64_t p = below(shape.posts);
      const int64_t from = near_birth(p, 3 * kDayUs);
      for (uint64_t m = 0; m < members; ++m)
        if (below(8) != 0) like(first + m, p, from + static_cast<int64_t>(below(static_cast<uint64_t>(width))));
    }
    for (uint64_t a = 0; a < members; ++a)
      for (uint64_t b = 0; b < a; ++b)
        if (below(3) != 0) edge(first + a, first + b);
  }
  void finish() {
    std::sort(times.begin(), times.end());
    for (const int64_t t : times) input.pulse.add(static_cast<uint32_t>(t / kSecondUs), 1);
    input.as_of_us = kNow;
    input.figures.epoch = static_cast<uint32_t>(kNow / kSecondUs / Limits::kEpochS);
    input.figures.counts[0].users = shape.users * 4, input.figures.counts[0].posts = shape.posts * 4;
    for (const auto& [pair, llr] : edges) {
      input.edges.push_back({pair.first, pair.second, llr});
      if (below(3) == 0) input.fresh.push_back(pair.first);
    }
    std::sort(input.fresh.begin(), input.fresh.end());
    input.fresh.erase(std::unique(input.fresh.begin(), input.fresh.end()), input.fresh.end());
    for (auto* side : {&ledger.of_user, &ledger.of_post})
      for (auto& [key, likes] : *side) std::shuffle(likes.begin(), likes.end(), random);
  }
  std::map<std::pair<uint64_t, uint64_t>, Nats> edges;
  std::vector<int64_t> times;
};

// Findings of `seeds` communities, each the same as the plain test's.
size_t compare(const Case& c, uint64_t seeds, const RingsConfig& config, const RingBounds& bounds = {}) {
  size_t findings = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Community community(c, seed);
    const auto plain = find_rings_plainly(community.input, community.ledger, config, bounds);
    const auto fast = find_rings(community.input, community.ledger, config, bounds);
    EXPECT_EQ(fast.size(), plain.size()) << "seed " << seed;
    for (size_t i = 0; i < std::min(fast.size(), plain.size()); ++i) {
      EXPECT_EQ(fast[i].members, plain[i].members) << "seed " << seed;
      EXPECT_EQ(fast[i].targets, plain[i].targets) << "seed " << seed;
      EXPECT_EQ(fast[i].score_milli, plain[i].score_milli) << "seed " << seed;
      EXPECT_EQ(fast[i].odds, plain[i].odds) << "seed " << seed;
      EXPECT_EQ(fast[i].density_permille, plain[i].density_permille) << "seed " << seed;
      EXPECT_EQ(fast[i].confidence_permille, plain[i].confidence_permille) << "seed " << seed;
      EXPECT_EQ(fast[i].evidence, plain[i].evidence) << "seed " << seed;
    }
    findings += fast.size();
  }
  return findings;
}

// What would be no ring to a moderator is to be found here: the more blocks come through, the more is compared.
RingsConfig eager() {
  RingsConfig config;
  config.score_min_milli = 0, config.odds_min = 1, config.density_min_permille = 1;
  config.members_min = 2, config.targets_min = 2;
  return config;
}

TEST(RingsModel, Communities) {
  EXPECT_GE(compare({}, 60, RingsConfig{}), 40u);
  EXPECT_GE(compare({}, 60, eager()), 60u);
}

TEST(RingsModel, TimesInWholeBucketsAndHours) {
  EXPECT_GE(compare({.grain_us = 600 * kSecondUs}, 20, eager()), 20u);
  EXPECT_GE(compare({.grain_us = 3600 * kSecondUs}, 20, eager()), 20u);
}

TEST(RingsModel, FewPostsManyLikes) {
  EXPECT_GE(compare({.users = 80, .posts = 40, .likes = 3000, .rings = 4}, 20, eager()), 10u);
}

// Dozens of likes of a post within ten minutes.
TEST(RingsModel, Crowds) {
  EXPECT_GE(compare({.posts = 80, .likes = 8000, .rings = 10, .spread_us = 60 * kMinuteUs}, 60, eager()), 10u);
  EXPECT_GE(compare({.posts = 30, .likes = 3000, .rings = 6, .spread_us = 15 * kDayUs}, 40, eager()), 5u);
}

TEST(RingsModel, LedgersWhoseSidesDiffer) {
  EXPECT_GE(compare({.crooked = true}, 60, RingsConfig{}), 20u);
  EXPECT_GE(compare({.crooked = true}, 60, eager()), 50u);
}

TEST(RingsModel, MoreLikesThanAreRead) {
  EXPECT_GE(compare({.users = 60, .posts = 100, .likes = 1200, .rings = 5, .heavy = Limits::kBlockLikes}, 10, eager()),
            2u);
}

// Components of hundreds: the test starts from several groups of their users.
TEST(RingsModel, MoreUsersThanAGroup) {
  EXPECT_GE(compare({.users = 500, .posts = 400, .likes = 6000, .rings = 40}, 10, RingsConfig{}), 30u);
  EXPECT_GE(compare({.users = 900, .posts = 300, .likes = 4000, .rings = 90}, 3, eager()), 15u);
}

// Each bound alone, so low that most rounds come to it, and all of them.
TEST(RingsModel, MoreThanARoundLooksAt) {
  const Case busy{.users = 100, .posts = 120, .likes = 3000, .rings = 4};
  EXPECT_GE(compare(busy, 20, eager(), {.candidates = 12}), 10u);
  EXPECT_GE(compare(busy, 20, eager(), {.targets = 8}), 10u);
  EXPECT_GE(compare(busy, 20, eager(), {.likers = 16}), 10u);
  EXPECT_GE(compare(busy, 20, eager(), {.closer_posts = 10}), 10u);
  EXPECT_GE(compare(busy, 20, eager(), {.closer_posts = 0}), 10u);
  const RingBounds low{.candidates = 30, .targets = 10, .likers = 20, .closer_posts = 25};
  EXPECT_GE(compare(busy, 40, eager(), low), 20u);
  EXPECT_GE(compare({.crooked = true}, 40, eager(), low), 20u);
}

// Members of a ring who like some thousand other posts each: more than are looked at.
TEST(RingsModel, MembersOfManyPosts) {
  const Case many{.users = 60, .posts = 250, .likes = 1500, .rings = 6, .heavy = 60'000, .heavy_users = 60};
  EXPECT_GE(compare(many, 12, eager()), 3u);
}

}  // namespace
}  // namespace bellwether

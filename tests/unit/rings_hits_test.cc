#include "operators/rings_hits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "operators/limits.h"

namespace bellwether::rings_hits_test {
namespace {

constexpr int64_t kNow = 20'000 * kDayUs + 12'345'678;
constexpr uint32_t kUsers = 40, kPosts = 600;

// Likes drawn at random over the days that the test looks at.
class RandomLedger final : public LedgerView {
 public:
  explicit RandomLedger(std::mt19937_64& random) {
    for (uint64_t user = 1; user <= kUsers; ++user) {
      const uint64_t likes = random() % 200;
      const int64_t reach_us = static_cast<int64_t>(1 + random() % 60) * kDayUs;
      for (uint64_t i = 0; i < likes; ++i) {
        const int64_t time_us = kNow - static_cast<int64_t>(random() % static_cast<uint64_t>(reach_us));
        likes_.push_back({user, 1000 + random() % kPosts, 7, time_us, random()});
      }
    }
  }
  void likes_of(uint64_t user, int64_t from, int64_t to, absl::FunctionRef<void(const RingLike&)> each) const override {
    for (const RingLike& like : likes_)
      if (like.liker == user && like.time_us >= from && like.time_us <= to) each(like);
  }
  void likers_of(uint64_t post, int64_t from, int64_t to,
                 absl::FunctionRef<void(uint64_t, int64_t)> each) const override {
    for (const RingLike& like : likes_)
      if (like.post == post && like.time_us >= from && like.time_us <= to) each(like.liker, like.time_us);
  }
  int64_t post_birth_us(uint64_t) const override { return kNow - 80 * kDayUs; }

 private:
  std::vector<RingLike> likes_;
};

struct Rig {
  std::mt19937_64 random;
  RandomLedger ledger{random};
  RingBook book{ledger, kNow};
  std::vector<BlockTarget> targets;
  RingHits hits{book};
  explicit Rig(uint64_t seed) : random(seed) {
    for (uint64_t user = 1; user <= kUsers; ++user) book.read_user(book.user(user));
  }
  // Targets with windows of all lengths; a few take all likes of their window.
  void draw_targets() {
    targets.clear();
    std::vector<uint32_t> posts(book.posts());
    for (uint32_t p = 0; p < posts.size(); ++p) posts[p] = p;
    std::shuffle(posts.begin(), posts.end(), random);
    posts.resize(std::min<size_t>(posts.size(), random() % 400));
    const auto rare = static_cast<uint32_t>(random() % 20);  // likes of the targets are, but for members'
    for (const uint32_t post : posts) {
      BlockTarget& t = targets.emplace_back();
      t.post = post;
      const auto length = static_cast<uint64_t>(
          random() % 3 == 0 ? kMinuteUs : int64_t{RingLimits::kScaleS[random() % 3]} * kSecondUs + 1);
      t.to_us = kNow - static_cast<int64_t>(random() % static_cast<uint64_t>(60 * kDayUs));
      t.from_us = t.to_us - static_cast<int64_t>(random() % length);
      t.span = {book.bucket(t.from_us), book.bucket(t.to_us) + 1};
      t.others = rare == 0 && random() % 50 == 0 ? kProbOne - 1 : 1 + static_cast<Prob>(random() % (kProbOne >> rare));
    }
    hits.lay_out(targets);
  }
  // As the words in the header say it.
  RingHits::Hits naive(uint32_t user) const {
    RingHits::Hits h;
    for (const BlockTarget& t : targets) {
      uint64_t tries = 1;  // this one too
      uint32_t number = book.first_like(user);
      for (const RingBook::Like& like : book.likes(user)) {
        const int64_t time_us = book.detail(number++).time_us;
        const bool inside = like.bucket >= t.span.from && like.bucket < t.span.to;
        if (like.post != t.post) tries += inside;
        if (like.post == t.post) h.hits += time_us >= t.from_us && time_us <= t.to_us;
      }
      h.expected_q20 += std::min<uint64_t>(tries * t.others, kProbOne) >> (30 - kNatBits);
    }
    return h;
  }
};

// Calls each(rig, user number) for the users of some communities, under layouts of few and of many targets.
template <class Each>
void each_user(Each&& each) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rig rig(seed);
    for (int layout = 0; layout < 5; ++layout) {
      rig.draw_targets();
      for (uint64_t user = 1; user <= kUsers && !testing::Test::HasFailure(); ++user) each(rig, rig.book.user(user));
    }
  }
}

TEST(RingHits, AreThePlainCount) {
  uint64_t hits = 0;
  each_user([&](Rig& rig, uint32_t user) {
    const RingHits::Hits is = rig.hits.of(user), should = rig.naive(user);
    EXPECT_EQ(is.hits, should.hits) << "user " << user;
    EXPECT_EQ(is.expected_q20, should.expected_q20) << "user " << user;
    hits += is.hits;
  });
  EXPECT_GT(hits, 1000u);
}

// To stop early changes nobody's fate, also next to the choice itself.
TEST(RingHits, StoppingEarlyDecidesAlike) {
  std::map<bool, int> decided;
  each_user([&](Rig& rig, uint32_t user) {
    const RingHits::Hits h = rig.naive(user);
    const Nats llr = poisson_llr(h.hits, h.expected_q20);
    for (const Nats choice : {3 * kNat, kNat, llr - 1, llr, llr + 1, llr + kNat / 4}) {
      if (choice < kNat) continue;
      const uint32_t should = llr > choice ? h.hits : 0;
      EXPECT_EQ(rig.hits.convincing(user, choice), should) << "user " << user;
      ++decided[should != 0];
    }
  });
  EXPECT_GT(decided[true], 50);
  EXPECT_GT(decided[false], 50);
}

// Posts met after the targets were laid out are none of them.
TEST(RingHits, PostsMetLaterAreNoTargets) {
  std::mt19937_64 random(3);
  RandomLedger ledger(random);
  RingBook book(ledger, kNow);
  RingHits hits(book);
  const uint32_t first = book.user(1);
  book.read_user(first);
  std::vector<BlockTarget> targets(1);
  targets[0].post = book.likes(first)[0].post, targets[0].to_us = INT64_MAX, targets[0].span = {0, RingBook::kBuckets};
  hits.lay_out(targets);
  EXPECT_EQ(hits.of(first).hits, 1u);
  for (uint64_t user = 2; user <= kUsers; ++user) {
    const uint32_t number = book.user(user);
    book.read_user(number);
    const auto likes = book.likes(number);
    const auto on_it = std::count_if(likes.begin(), likes.end(),
                                     [&](const RingBook::Like& like) { return like.post == targets[0].post; });
    EXPECT_EQ(hits.of(number).hits, static_cast<uint32_t>(on_it));
  }
}

}  // namespace
}  // namespace bellwether::rings_hits_test

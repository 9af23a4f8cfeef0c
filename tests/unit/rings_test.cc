#include "operators/rings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "operators/limits.h"
#include "operators/rings_graph.h"

namespace bellwether::rings_test {
namespace {

using Limits = RingLimits;
constexpr int64_t kStart = 17'010 * kDayUs;  // an epoch begins here: 45 * 378 days
static_assert(kStart / kSecondUs % Limits::kEpochS == 0);
constexpr uint32_t kStartS = kStart / kSecondUs;

uint64_t hash_of(uint64_t n) {  // spread like real hashes, never 0
  n = (n + 1) * 0x9E3779B97F4A7C15u;
  n ^= n >> 31;
  return n * 0xBF58476D1CE4E5B9u | 1;
}

struct Like {
  int64_t time_us;
  uint64_t user, post, author;
  auto operator<=>(const Like&) const = default;
};

class TestLedger : public LedgerView {
 public:
  void add(const Like& like) {
    rows_.push_back({like.user, like.post, like.author, like.time_us, hash_of(rows_.size())});
    const auto [at, first] = births_.try_emplace(like.post, like.time_us);
    if (!first) at->second = std::min(at->second, like.time_us);
  }
  void shuffle(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::shuffle(rows_.begin(), rows_.end(), random);
  }
  void index() {
    by_user_.clear(), by_post_.clear();
    for (const RingLike& l : rows_) by_user_[l.liker].push_back(l), by_post_[l.post].push_back(l);
  }
  void likes_of(uint64_t user, int64_t from, int64_t to, absl::FunctionRef<void(const RingLike&)> each) const override {
    const auto at = by_user_.find(user);
    if (at == by_user_.end()) return;
    for (const RingLike& l : at->second) {
      if (l.time_us >= from && l.time_us <= to) each(l);
    }
  }
  void likers_of(uint64_t post, int64_t from, int64_t to,
                 absl::FunctionRef<void(uint64_t, int64_t)> each) const override {
    const auto at = by_post_.find(post);
    if (at == by_post_.end()) return;
    for (const RingLike& l : at->second) {
      if (l.time_us >= from && l.time_us <= to) each(l.liker, l.time_us);
    }
  }
  int64_t post_birth_us(uint64_t post) const override { return births_.contains(post) ? births_.at(post) : 0; }

 private:
  std::vector<RingLike> rows_;
  std::map<uint64_t, std::vector<RingLike>> by_user_, by_post_;
  std::map<uint64_t, int64_t> births_;
};

// A community of 600 members over 60 days: 20 posts a day, liked within days, by few or by many.
class RingsTest : public testing::Test {
 protected:
  static constexpr int kDays = 60, kUsers = 600;
  void organic(uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int post = 0; post < kDays * 20; ++post) {
      const int64_t birth = kStart + post * (kDayUs / 20);
      const uint64_t author = hash_of(random() % kUsers);
      const uint64_t likes = random() % 20 == 0 ? 60 : random() % 6;
      births_.push_back({birth, 0, hash_of(1'000'000 + static_cast<uint64_t>(post)), author});
      for (uint64_t i = 0; i < likes; ++i) {
        const uint64_t user = hash_of(std::min(random() % kUsers, random() % kUsers));  // some like more than others
        add({birth + static_cast<int64_t>(random() % (2 * kDayUs)), user, births_.back().post, author});
      }
    }
  }
  // `members` new accounts like `targets` posts, nine of ten each, within `width_us`; as many likes elsewhere.
  std::vector<uint64_t> ring(uint64_t seed, int members, int targets, int64_t width_us) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> accounts;
    for (int i = 0; i < members; ++i) accounts.push_back(hash_of(2'000'000 + seed * 1000 + static_cast<uint64_t>(i)));
    for (int t = 0; t < targets; ++t) {
      const Like& post =
          births_[births_.size() / 8 + static_cast<size_t>(t) * births_.size() * 3 / 4 / static_cast<size_t>(targets)];
      const int64_t from = post.time_us + static_cast<int64_t>(random() % kDayUs);
      for (const uint64_t user : accounts) {
        if (random() % 10 == 0) continue;
        add({from + static_cast<int64_t>(random() % static_cast<uint64_t>(width_us)), user, post.post, post.author});
        const Like& other = births_[random() % births_.size()];
        add({other.time_us + static_cast<int64_t>(random() % kDayUs), user, other.post, other.author});
      }
    }
    std::sort(accounts.begin(), accounts.end());
    return accounts;
  }
  // The whole detector over the likes so far. With `store` the states are stored and read back now and then.
  std::vector<RingFinding> detect(bool store = false) {
    std::sort(likes_.begin(), likes_.end());
    std::map<uint64_t, TargetLikers> posts;
    std::map<uint64_t, CoLikers> users;
    RingEvidence evidence;
    RingFigures figures;
    RingPulse pulse;
    for (const Like& like : likes_) {
      ledger_.add(like);
      RingCounts counts;
      if (store && like.time_us % 7 == 0) {
        const auto again = [](auto& state) {
          std::string bytes;
          state.encode(bytes);
          auto back = std::remove_reference_t<decltype(state)>::decode(bytes);
          ASSERT_TRUE(back);
          state = std::move(*back);
        };
        again(users[like.user]), again(posts[like.post]), again(evidence);
      }
      const LikerSeen seen = users[like.user].on_like(like.user, like.time_us, &counts);
      if (const auto message = posts[like.post].on_like(like.post, like.author, seen, &counts)) {
        if (const auto report = users[like.user].on_pairs(like.user, *message, figures, &counts))
          evidence.on_report(*report);
      }
      const uint32_t epoch = seen.time_s / Limits::kEpochS;
      if (epoch != figures.epoch) {
        figures.counts = {RingCounts{}, epoch == figures.epoch + 1 ? figures.counts[0] : RingCounts{}};
        figures.epoch = epoch;
      }
      figures.counts[0].add(counts);
      pulse.add(seen.time_s, counts.likes);
    }
    ledger_.index();
    input_ = evidence.take_input(likes_.back().time_us);
    input_.figures = figures, input_.pulse = pulse;
    return find_rings(input_, ledger_, config_);
  }
  void add(const Like& like) {
    if (like.user != like.author && once_.insert({like.user, like.post}).second) likes_.push_back(like);
  }

  std::vector<Like> births_, likes_;
  std::set<std::pair<uint64_t, uint64_t>> once_;
  TestLedger ledger_;
  RingInput input_;
  RingsConfig config_;
};

void expect_same(const std::vector<RingFinding>& a, const std::vector<RingFinding>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].members, b[i].members);
    EXPECT_EQ(a[i].targets, b[i].targets);
    EXPECT_EQ(a[i].score_milli, b[i].score_milli);
    EXPECT_EQ(a[i].odds, b[i].odds);
    EXPECT_EQ(a[i].confidence_permille, b[i].confidence_permille);
    EXPECT_EQ(a[i].evidence, b[i].evidence);
  }
}

TEST_F(RingsTest, NoRingNoFinding) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    likes_.clear(), births_.clear(), once_.clear(), ledger_ = {};
    organic(seed);
    EXPECT_TRUE(detect().empty()) << seed;
  }
}

TEST_F(RingsTest, ThePlantedRingIsFound) {
  organic(5);
  const auto planted = ring(5, 12, 10, kDayUs);
  const auto found = detect();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].members, planted);
  EXPECT_GE(found[0].targets.size(), 8u);
  EXPECT_GT(found[0].score_milli, config_.score_min_milli);
  EXPECT_GE(found[0].odds, config_.odds_min);
  EXPECT_NEAR(found[0].density_permille, 900, 60);
  EXPECT_GT(found[0].confidence_permille, 900u);
  EXPECT_LT(found[0].confidence_permille, 1000u);
  // The evidence is the very likes of members on targets, all of them.
  std::set<uint64_t> targets;
  for (const RingTarget& t : found[0].targets) targets.insert(t.post);
  size_t want = 0;
  for (const Like& l : likes_)
    want += std::binary_search(planted.begin(), planted.end(), l.user) && targets.contains(l.post);
  EXPECT_EQ(found[0].evidence.size(), want);
  for (const RingLike& l : found[0].evidence) {
    EXPECT_TRUE(targets.contains(l.post));
    EXPECT_NE(l.author, 0u);
    EXPECT_NE(l.id_hash, 0u);
  }
}

TEST_F(RingsTest, BurstAndDripToo) {
  for (const int64_t width : {600 * kSecondUs, 10 * kDayUs}) {
    likes_.clear(), births_.clear(), once_.clear(), ledger_ = {};
    organic(6);
    const auto planted = ring(6, 16, 14, width);
    const auto found = detect();
    ASSERT_EQ(found.size(), 1u) << width;
    EXPECT_TRUE(same_ring(found[0].members, planted));
    EXPECT_NEAR(static_cast<double>(found[0].members.size()), 16.0, 1.0);
  }
}

TEST_F(RingsTest, TwoRingsStayTwo) {
  organic(7);
  const auto a = ring(7, 12, 10, kDayUs), b = ring(8, 20, 9, 600 * kSecondUs);
  const auto found = detect();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE((found[0].members == a && found[1].members == b) || (found[0].members == b && found[1].members == a));
}

TEST_F(RingsTest, OrderOfEdgesAndRowsIsFree) {
  organic(5);
  ring(5, 12, 10, kDayUs);
  const auto found = detect();
  ASSERT_FALSE(found.empty());
  std::mt19937_64 random(1);
  for (int i = 0; i < 3; ++i) {
    std::shuffle(input_.edges.begin(), input_.edges.end(), random);
    ledger_.shuffle(random());
    ledger_.index();
    expect_same(find_rings(input_, ledger_, config_), found);
  }
}

TEST_F(RingsTest, StoredAndReadBackIsTheSame) {
  organic(5);
  ring(5, 12, 10, kDayUs);
  const auto found = detect();
  std::string bytes, again;
  input_.encode(bytes);
  const auto back = RingInput::decode(bytes);
  ASSERT_TRUE(back);
  expect_same(find_rings(*back, ledger_, config_), found);
  ledger_ = {};
  expect_same(detect(true), found);
  input_.encode(again);
  EXPECT_EQ(bytes, again);
}

TEST_F(RingsTest, ConfigurationDecides) {
  organic(5);
  ring(5, 12, 10, kDayUs);
  const auto found = detect();
  ASSERT_EQ(found.size(), 1u);
  RingsConfig config;
  config.score_min_milli = static_cast<uint32_t>(found[0].score_milli);
  EXPECT_TRUE(find_rings(input_, ledger_, config).empty());
  --config.score_min_milli;
  EXPECT_EQ(find_rings(input_, ledger_, config).size(), 1u);
  config.members_min = 13;
  EXPECT_TRUE(find_rings(input_, ledger_, config).empty());
  config = {};
  config.enabled = false;
  EXPECT_TRUE(find_rings(input_, ledger_, config).empty());
  config = {};
  config.odds_min = found[0].odds + 1;
  EXPECT_TRUE(find_rings(input_, ledger_, config).empty());
}

TEST(TargetLikers, NamesThoseBeforeUpToSixteen) {
  TargetLikers target;
  RingCounts counts;
  EXPECT_FALSE(target.on_like(7, 8, {hash_of(0), kStartS, 1}, &counts));
  EXPECT_EQ(counts.posts, 1u);
  auto m = target.on_like(7, 8, {hash_of(1), kStartS + 60, 5}, &counts);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->post, 7u);
  EXPECT_EQ(m->author, 8u);
  EXPECT_EQ(m->held, 1u);
  EXPECT_EQ(m->named, 1u);
  EXPECT_EQ(m->likers[0].user, hash_of(0));
  EXPECT_EQ(m->likers[0].time_s, kStartS);
  for (uint32_t i = 2; i < 500; ++i) {
    m = target.on_like(7, 8, {hash_of(i), kStartS + 60 * i, 5}, &counts);
    ASSERT_TRUE(m);
    EXPECT_EQ(m->held, std::min(i, Limits::kRecent + Limits::kLowest));
    EXPECT_EQ(m->named, std::min(i, Limits::kNamed));
    std::set<uint64_t> named;
    for (uint32_t k = 0; k < m->named; ++k) named.insert(m->likers[k].user);
    EXPECT_EQ(named.size(), m->named);
    EXPECT_TRUE(named.contains(hash_of(i - 1))) << "the newest";
    EXPECT_FALSE(named.contains(hash_of(i)));
  }
  EXPECT_EQ(counts.posts, 1u);
  EXPECT_EQ(target.likes(), 500u);
  std::string bytes;
  target.encode(bytes);
  EXPECT_LE(bytes.size(), Limits::kTargetBytes);
  const auto back = TargetLikers::decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, target);
  for (size_t cut = 0; cut < bytes.size(); cut += 13) EXPECT_FALSE(TargetLikers::decode(bytes.substr(0, cut)));
}

TEST(TargetLikers, ForgetsAndUndoes) {
  TargetLikers target;
  RingCounts counts;
  (void)target.on_like(7, 8, {1, kStartS, 1}, &counts);
  (void)target.on_like(7, 8, {2, kStartS + 10, 1}, &counts);
  target.on_undo(1);
  auto m = target.on_like(7, 8, {3, kStartS + 20, 1}, &counts);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->named, 1u);
  EXPECT_EQ(m->likers[0].user, 2u);
  EXPECT_FALSE(target.idle(kStartS + Limits::kWindowS));
  EXPECT_TRUE(target.idle(kStartS + 21 + Limits::kWindowS));
  EXPECT_FALSE(target.on_like(7, 8, {4, kStartS + 21 + Limits::kWindowS, 1}, &counts));
}

PairMessage pair_of(uint64_t other, uint32_t mine_s, uint32_t theirs_s, uint32_t degree = 2) {
  PairMessage m;
  m.post = mine_s, m.author = 9, m.time_s = mine_s, m.held = 1, m.named = 1;
  m.likers[0] = {other, theirs_s, degree};
  return m;
}

RingFigures busy() {
  RingFigures f;
  f.epoch = kStartS / Limits::kEpochS;
  f.counts[0].likes = 1'000'000, f.counts[0].users = 10'000, f.counts[0].posts = 50'000;
  f.counts[0].pairs = {1'000, 100'000, 1'000'000};
  return f;
}

TEST(CoLikers, EpisodesCountOnce) {
  CoLikers user;
  RingCounts counts;
  const RingFigures figures = busy();
  (void)user.on_like(1, kStart, &counts);
  EXPECT_EQ(counts.users, 1u);
  EXPECT_FALSE(user.on_pairs(1, pair_of(2, kStartS + 100, kStartS), figures, &counts));
  for (uint32_t i = 1; i < 20; ++i) {  // one session of both
    EXPECT_FALSE(user.on_pairs(1, pair_of(2, kStartS + 100 + 60 * i, kStartS + 60 * i), figures, &counts));
  }
  const auto report = user.on_pairs(1, pair_of(2, kStartS + 90'000, kStartS + 90'000 - 300), figures, &counts);
  ASSERT_TRUE(report) << "a second session counts";
  EXPECT_EQ(report->user, 1u);
  ASSERT_EQ(report->count, 1u);
  EXPECT_EQ(report->edges[0].other, 2u);
  EXPECT_GT(report->edges[0].llr, 5 * kNat);
  EXPECT_EQ(counts.pairs[0], 21u);
}

TEST(CoLikers, ExposureAndDegreeExplain) {
  RingFigures small = busy();
  small.counts[0].likes = 1000;  // who makes a fifth of all likes is met by everybody
  small.counts[0].pairs = {1'000, 1'000'000, 1'000'000};
  CoLikers user;
  RingCounts counts;
  (void)user.on_like(1, kStart, &counts);
  for (uint32_t i = 0; i < 4; ++i) {
    PairMessage m = pair_of(2, kStartS + 90'000 * (i + 1), kStartS + 90'000 * (i + 1) - 80'000, 200 + i);
    m.held = 10;
    EXPECT_FALSE(user.on_pairs(1, m, small, &counts));
  }
  EXPECT_FALSE(CoLikers().on_pairs(1, pair_of(2, kStartS, kStartS), RingFigures{}, &counts)) << "no figures, no report";
}

TEST(CoLikers, EpochsForget) {
  CoLikers user;
  RingCounts counts;
  (void)user.on_like(1, kStart, &counts);
  (void)user.on_pairs(1, pair_of(2, kStartS + 10, kStartS), busy(), &counts);
  EXPECT_EQ(user.degree(), 1u);
  EXPECT_EQ(user.partners(), 1u);
  (void)user.on_like(1, kStart + int64_t{Limits::kEpochS} * kSecondUs, &counts);
  EXPECT_EQ(user.degree(), 2u);
  EXPECT_EQ(user.partners(), 1u);
  (void)user.on_like(1, kStart + int64_t{3 * Limits::kEpochS} * kSecondUs, &counts);
  EXPECT_EQ(user.degree(), 1u);
  EXPECT_EQ(user.partners(), 0u);
}

TEST(CoLikers, TheStrongStayAtTheBound) {
  CoLikers user;
  RingCounts counts;
  const RingFigures figures = busy();
  uint32_t at = kStartS;
  for (uint32_t i = 0; i < 5; ++i, at += 90'000) (void)user.on_pairs(1, pair_of(777, at, at - 30), figures, &counts);
  for (uint32_t i = 0; i < 500; ++i, at += 600)
    (void)user.on_pairs(1, pair_of(hash_of(i), at, at - 30), figures, &counts);
  EXPECT_EQ(user.partners(), Limits::kPartners);
  const auto report = user.on_pairs(1, pair_of(777, at + 7200, at + 7100), figures, &counts);
  ASSERT_TRUE(report) << "still known";
  EXPECT_GT(report->edges[0].llr, 20 * kNat);
  std::string bytes;
  user.encode(bytes);
  EXPECT_LE(bytes.size(), Limits::kUserBytes);
  const auto back = CoLikers::decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, user);
  for (size_t cut = 0; cut < bytes.size(); cut += 13) EXPECT_FALSE(CoLikers::decode(bytes.substr(0, cut)));
}

EdgeReport report_of(uint64_t user, uint64_t other, Nats llr, uint32_t time_s = kStartS) {
  EdgeReport r;
  r.user = user, r.time_s = time_s, r.count = 1;
  r.edges[0] = {other, llr};
  return r;
}

TEST(RingEvidence, ACliqueIsDueOnceAndAgainWhenItGrows) {
  RingEvidence evidence;
  const auto clique = [&](Nats llr) {
    for (uint64_t u = 1; u <= 6; ++u) {
      for (uint64_t v = 1; v <= 6; ++v) {
        if (u != v) evidence.on_report(report_of(u * 1000, v * 1000, llr));
      }
    }
  };
  EXPECT_FALSE(evidence.due(kStart));
  clique(4 * kNat);  // both directions: 8 a pair
  EXPECT_TRUE(evidence.due(kStart));
  RingInput input = evidence.take_input(kStart);
  EXPECT_EQ(input.edges.size(), 15u);
  EXPECT_EQ(input.fresh.size(), 6u);
  EXPECT_FALSE(evidence.due(kStart + kDayUs)) << "nothing new";
  EXPECT_TRUE(evidence.take_input(kStart).empty());
  clique(5 * kNat);
  EXPECT_FALSE(evidence.due(kStart + kDayUs)) << "too little new";
  clique(10 * kNat);
  EXPECT_FALSE(evidence.due(kStart + kHourUs)) << "few users wait a day";
  EXPECT_TRUE(evidence.due(kStart + kDayUs));
  EXPECT_TRUE(RingEvidence().take_input(kStart).empty());
  // What is not reported again is forgotten.
  EXPECT_TRUE(evidence.take_input(kStart + int64_t{Limits::kEdgeLifeS + 1} * kSecondUs).empty());
  EXPECT_EQ(evidence.edges(), 0u);
}

TEST(RingEvidence, TheStrongStayAtTheBound) {
  RingEvidence evidence, reversed;
  const uint64_t n = 2 * Limits::kEdges;
  for (uint64_t i = 0; i < n; ++i) {
    evidence.on_report(report_of(hash_of(i), hash_of(i + n), static_cast<Nats>(i % 1000 + 1) * kNat / 8));
    EXPECT_LE(evidence.edges(), Limits::kEdges);
  }
  for (uint64_t u = 1; u <= 6; ++u) {
    for (uint64_t v = 1; v <= 6; ++v) {
      if (u != v) evidence.on_report(report_of(u, v, 200 * kNat));
    }
  }
  for (uint64_t i = 0; i < n; ++i) evidence.on_report(report_of(hash_of(i + 5 * n), hash_of(i + 6 * n), kNat));
  EXPECT_LE(evidence.edges(), Limits::kEdges);
  std::string bytes, again;
  evidence.encode(bytes);
  EXPECT_LE(bytes.size(), Limits::kCommunityBytes);
  auto back = RingEvidence::decode(bytes);
  ASSERT_TRUE(back);
  back->encode(again);
  EXPECT_EQ(bytes, again);
  EXPECT_EQ(back->due(kStart), evidence.due(kStart));
  const RingInput a = evidence.take_input(kStart), b = back->take_input(kStart);
  EXPECT_EQ(a.edges, b.edges);
  EXPECT_EQ(a.fresh, b.fresh);
  EXPECT_EQ(a.edges.size(), 15u) << "the clique, and nothing else that stands the peeling";
  EXPECT_FALSE(RingEvidence::decode(bytes.substr(0, bytes.size() / 2)));
}

TEST(RingGraph, PeelsAndSplits) {
  std::vector<RingInput::Edge> edges;
  const auto clique = [&](uint64_t from, uint64_t to, Nats llr) {
    for (uint64_t u = from; u <= to; ++u) {
      for (uint64_t v = u + 1; v <= to; ++v) edges.push_back({u, v, llr});
    }
  };
  clique(1, 5, 8 * kNat);
  clique(11, 14, 8 * kNat);
  clique(21, 23, 50 * kNat);             // two partners each: not enough
  clique(31, 36, Limits::kEdgeMin + 1);  // partners enough, evidence not
  edges.push_back({5, 11, 2 * kNat});    // a bridge
  edges.push_back({5, 90, 9 * kNat});    // a tail
  const auto one = ring_components(edges, {3}, Limits::kEdgeMin);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].users, (std::vector<uint64_t>{1, 2, 3, 4, 5, 11, 12, 13, 14}));
  EXPECT_EQ(one[0].edges.size(), 10u + 6 + 1);
  std::reverse(edges.begin(), edges.end());
  const auto two = ring_components(edges, {3, 12}, 4 * kNat);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].users, (std::vector<uint64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(two[1].users, (std::vector<uint64_t>{11, 12, 13, 14}));
  EXPECT_TRUE(ring_components(edges, {21, 31, 90}, Limits::kEdgeMin).empty());
  EXPECT_TRUE(ring_components({}, {1}, Limits::kEdgeMin).empty());
}

TEST(SameRing, HalfOfTheSmaller) {
  EXPECT_TRUE(same_ring({1, 2, 3, 4}, {3, 4, 5, 6, 7, 8}));
  EXPECT_FALSE(same_ring({1, 2, 3, 4}, {4, 5, 6, 7, 8}));
  EXPECT_TRUE(same_ring({5}, {5}));
  EXPECT_FALSE(same_ring({}, {5}));
  EXPECT_FALSE(same_ring({}, {}));
}

TEST(RingPulse, HoldsSeventyFiveDays) {
  RingPulse pulse;
  pulse.add(kStartS, 3);
  pulse.add(kStartS + 599, 4);
  pulse.add(kStartS + 86'400, 5);
  EXPECT_EQ(pulse.first(), RingPulse::bucket(kStartS));
  EXPECT_EQ(pulse.likes().front(), 7u);
  EXPECT_EQ(pulse.likes().back(), 5u);
  pulse.add(kStartS - 1, 9);  // older than what is held
  EXPECT_EQ(pulse.likes().front(), 7u);
  for (uint32_t i = 0; i < 3 * Limits::kBuckets; ++i) {
    pulse.add(kStartS + i * Limits::kBucketS, 1 + i % 3);
    ASSERT_LE(pulse.likes().size(), Limits::kBuckets * 9 / 8 + 1);
  }
  pulse.add(kStartS + 3 * Limits::kBuckets * Limits::kBucketS + 86'400, 2);
  std::string bytes;
  Writer w(bytes);
  pulse.encode(w);
  Reader r(bytes);
  RingPulse back;
  ASSERT_TRUE(back.decode(r));
  EXPECT_TRUE(r.done());
  EXPECT_EQ(back, pulse);
  pulse.add(UINT32_MAX, 2);
  EXPECT_EQ(pulse.likes().size(), 1u);
}

TEST(RingMessages, ComeBack) {
  const PairMessage m = pair_of(5, 100, 50);
  std::string bytes;
  m.encode(bytes);
  const auto back = PairMessage::decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->likers[0].user, 5u);
  EXPECT_EQ(back->time_s, 100u);
  EXPECT_FALSE(PairMessage::decode(bytes + "x"));
  EXPECT_FALSE(PairMessage::decode(""));
  bytes.clear();
  report_of(1, 2, 7 * kNat).encode(bytes);
  const auto report = EdgeReport::decode(bytes);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->edges[0].llr, 7 * kNat);
  EXPECT_FALSE(EdgeReport::decode(bytes.substr(0, bytes.size() - 1)));
  bytes.clear();
  busy().encode(bytes);
  const auto figures = RingFigures::decode(bytes);
  ASSERT_TRUE(figures);
  EXPECT_EQ(*figures, busy());
}

}  // namespace
}  // namespace bellwether::rings_test

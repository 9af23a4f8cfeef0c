#include "operators/rings_op.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "operators/analysis.h"
#include "operators/messages.h"
#include "operators/people.h"
#include "operators/posts.h"
#include "operators/registry.h"
#include "operators/state_reader.h"
#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::rings_op_test {
namespace {

constexpr int64_t kStart = 1'700'000'000 * kSecondUs;

class RingsOpTest : public testing::Test {
 protected:
  // Every pair of users first..first+n-1 reports strong evidence.
  void report_clique(uint64_t first, uint64_t n, Nats llr) {
    for (uint64_t a = first; a < first + n; ++a) {
      EdgeReport report;
      report.user = a, report.time_s = static_cast<uint32_t>(now / kSecondUs);
      for (uint64_t b = first; b < first + n; ++b)
        if (b != a) report.edges[report.count++] = {b, llr};
      std::string payload(1, static_cast<char>(MessageKind::kPairReport));
      report.encode(payload);
      world.post(OperatorId::kRings, kCommunityKey, now, a, payload, OperatorId::kPeople);
    }
    world.run_at(now += kSecondUs);
  }
  void hour() {
    now += kHourUs;
    world.run_at(now);
  }
  RingFinding finding(uint64_t first, uint64_t n) const {
    RingFinding f;
    for (uint64_t m = first; m < first + n; ++m) {
      f.members.push_back(m);
      for (uint64_t p = 0; p < 4; ++p) f.evidence.push_back({m, 500 + p, 900 + p / 2, now - kHourUs, m * 10 + p});
    }
    for (uint64_t p = 0; p < 4; ++p) f.targets.push_back({500 + p, 900 + p / 2});
    f.score_milli = 50000, f.odds = 99, f.density_permille = 1000, f.confidence_permille = 800;
    return f;
  }
  void find(const std::vector<RingFinding>& findings, RingWork work = 0) {
    now += kMinuteUs;
    world.post(OperatorId::kRings, kCommunityKey, now, 0, encode_findings(findings, work));
    world.run_at(now);
  }
  std::vector<Raise> raises() const {
    std::vector<Raise> list;
    for (const auto& s : world.context.sent)
      if (kind_of(s.payload) == MessageKind::kRaise) {
        list.push_back(decode_raise(s.payload));
        EXPECT_EQ(s.to, OperatorId::kFlags);
        EXPECT_EQ(s.key, (Key{KeyKind::kFlag, world.context.hash(KeyKind::kFlag, list.back().id)}));
      }
    return list;
  }

  FakeWorld world{{&rings_operator()}};
  int64_t now = kStart;
};

TEST_F(RingsOpTest, AsksOnceForTheBlockTestWhenEnoughIsNew) {
  hour();
  EXPECT_TRUE(world.context.analyses.empty());
  world.context.sums[{kCounterPulse, RingPulse::bucket(static_cast<uint32_t>(now / kSecondUs))}] = 77;
  report_clique(100, 14, kNat * 8);
  hour();
  ASSERT_EQ(world.context.analyses.size(), 1U);
  const auto input = RingInput::decode(world.context.analyses[0]);
  ASSERT_TRUE(input);
  EXPECT_EQ(input->edges.size(), 14U * 13 / 2);
  EXPECT_EQ(input->as_of_us, world.context.now.slot * kSlotUs);
  ASSERT_EQ(input->pulse.likes().size(), 1U);
  EXPECT_EQ(input->pulse.likes()[0], 77U);
  report_clique(200, 14, kNat * 8);
  hour();
  EXPECT_EQ(world.context.analyses.size(), 1U);  // one at a time
  find({});
  hour();
  EXPECT_EQ(world.context.analyses.size(), 1U);  // so few new users wait until a day has passed since the last look
  for (int i = 0; i < 24; ++i) hour();
  EXPECT_EQ(world.context.analyses.size(), 2U);
}

// What a look took is paid by likes before the next one, also where the epoch turns meanwhile.
TEST_F(RingsOpTest, ADearLookIsPaidByLikes) {
  const auto likes = [&](int64_t sum) {
    const auto epoch = static_cast<uint32_t>(now / kSecondUs / RingLimits::kEpochS);
    world.context.sums[{kCounterRings, epoch * 8}] = sum;
  };
  const int64_t price = 1000;
  const RingWork work = RingLimits::kFreeWork + price * RingLimits::kWorkPerLike;
  const auto looks = [&] { return world.context.analyses.size(); };
  const auto report_many = [&](uint64_t first) {  // of users enough for the next hour
    for (uint64_t n = 0; n < 4; ++n) report_clique(first + 20 * n, 14, kNat * 8);
  };
  likes(50);
  report_many(100);
  hour();
  ASSERT_EQ(looks(), 1U);
  find({}, work);
  report_many(200);
  likes(50 + price - 1);
  for (int i = 0; i < 30; ++i) hour();
  EXPECT_EQ(looks(), 1U);
  likes(50 + price);
  hour();
  EXPECT_EQ(looks(), 2U);
  find({}, work);
  now += int64_t{RingLimits::kEpochS} * kSecondUs;
  likes(0);
  report_many(300);
  likes(price - 1);  // the epoch before has no more than at the look
  hour();
  EXPECT_EQ(looks(), 2U);
  likes(price);
  hour();
  EXPECT_EQ(looks(), 3U);
  find({}, RingLimits::kFreeWork);
  report_many(400);
  hour();
  EXPECT_EQ(looks(), 4U);
}

TEST_F(RingsOpTest, KeepsWhatALookTook) {
  RingsState state, again;
  state.looked_epoch = 7, state.looked_likes = 8, state.work = 9;
  std::string bytes;
  state.encode(bytes);
  ASSERT_TRUE(again.decode(bytes));
  EXPECT_EQ(again.looked_epoch, 7U);
  EXPECT_EQ(again.looked_likes, 8U);
  EXPECT_EQ(again.work, 9U);
  // Bytes of the version that did not know it: three fields less.
  bytes.resize(bytes.size() - 3);
  bytes[0] = 1;
  RingsState old;
  ASSERT_TRUE(old.decode(bytes));
  EXPECT_EQ(old.work, 0U);
}

TEST_F(RingsOpTest, RaisesWhatWasFoundAndKnowsItAgain) {
  find({finding(100, 8)});
  ASSERT_EQ(raises().size(), 1U);
  const Raise first = raises()[0];
  EXPECT_EQ(first.kind, FlagKind::kRing);
  EXPECT_EQ(first.id.size(), 21U);
  EXPECT_EQ(first.subjects.size(), 8U);
  EXPECT_EQ(first.beneficiaries, (std::vector<uint64_t>{900, 901}));
  EXPECT_EQ(first.scope.posts, (std::vector<uint64_t>{500, 501, 502, 503}));
  EXPECT_EQ(first.evidence.size(), 32U);
  EXPECT_EQ(first.authenticity, 0);
  find({finding(104, 8), finding(300, 8)});  // half of the members are the first ring's
  ASSERT_EQ(raises().size(), 3U);
  EXPECT_EQ(raises()[1].id, first.id);
  EXPECT_NE(raises()[2].id, first.id);
  find({finding(108, 8)});  // the extension is known too
  EXPECT_EQ(raises()[3].id, first.id);
  EXPECT_EQ(world.state<RingsState>(OperatorId::kRings, kCommunityKey)->known.size(), 2U);
}

TEST_F(RingsOpTest, RememberedRingsAreBoundedAndLeaveWithTheWindow) {
  for (uint64_t i = 0; i < kKnownRingsMax + 10; ++i) find({finding(1000 * (i + 1), 8)});
  EXPECT_EQ(world.state<RingsState>(OperatorId::kRings, kCommunityKey)->known.size(), kKnownRingsMax);
  now += 181 * kDayUs;
  hour();
  EXPECT_TRUE(world.state<RingsState>(OperatorId::kRings, kCommunityKey)->known.empty());
}

TEST_F(RingsOpTest, OldPulseIsDropped) {
  const uint32_t bucket = RingPulse::bucket(static_cast<uint32_t>(now / kSecondUs));
  world.context.sums[{kCounterPulse, bucket}] = 5;
  world.context.sums[{kCounterPulse, bucket - 10'000}] = 5;
  world.context.sums[{kCounterPulse, bucket - 12'000}] = 5;
  hour();
  EXPECT_EQ((world.context.sums[{kCounterPulse, bucket}]), 5);
  EXPECT_EQ((world.context.sums[{kCounterPulse, bucket - 10'000}]), 5);
  EXPECT_EQ((world.context.sums[{kCounterPulse, bucket - 12'000}]), 0);
}

// The states and blocks of a FakeWorld.
class WorldReader final : public StateReader {
 public:
  explicit WorldReader(const FakeWorld& world) : world_(world) {}
  const State* state(OperatorId op, Key key) override {
    const auto at = world_.states().find({op, key});
    if (at == world_.states().end()) return nullptr;
    auto& held = held_[{op, key}];
    if (!held) held = (op == OperatorId::kPeople ? people_operator() : posts_operator()).decode(at->second);
    return held.get();
  }
  std::string block(OperatorId op, Key key, int64_t day, uint32_t number) override {
    const auto at = world_.context.blocks.find(std::tuple(op, key, day, number));
    return at == world_.context.blocks.end() ? std::string() : at->second;
  }
  const CommunityConfig& community() const override { return world_.context.rules[0]; }

 private:
  const FakeWorld& world_;
  std::map<std::pair<OperatorId, Key>, std::unique_ptr<State>> held_;
};

// Of a post that thousands like the newest are read, and nobody twice; who took a like back is not among them, whether
// the like itself is read or was left out.
TEST(RingsLedger, OfAPostOfThousandsTheNewestLikersAreRead) {
  FakeWorld world{{&people_operator(), &posts_operator(), &rings_operator()}};
  Facts facts{world.context.hash};
  constexpr int kLikers = 10'000;
  const auto at = [](int n) { return kStart + n * kSecondUs; };
  const auto post = [&](const std::string& id, int n, int64_t time_us, bool undo) {
    const std::string who = "user" + std::to_string(n);
    Fact& f = facts.add(id, who, time_us, facts.user_key(who), LikeFact{});
    f.body = LikeFact{.post = facts.ref(KeyKind::kPost, "famous"),
                      .author = facts.user("author"),
                      .kind = LikeKind::kLike,
                      .undo = undo};
    world.post(f);
    world.run(slot_of(time_us));
  };
  for (int n = 0; n < kLikers; ++n) post("like" + std::to_string(n), n, at(n), false);
  post("undo-old", 3, at(kLikers), true);
  post("undo-new", kLikers - 3, at(kLikers + 1), true);
  WorldReader reader(world);
  std::vector<std::pair<int64_t, uint64_t>> got, wanted;
  ledger_of(reader, at(kLikers + 2))
      ->likers_of(facts.ref(KeyKind::kPost, "famous").hash, 0, at(kLikers + 2),
                  [&](uint64_t user, int64_t time_us) { got.emplace_back(time_us, user); });
  std::sort(got.begin(), got.end());
  for (int n = kLikers - static_cast<int>(got.size()) - 1; n < kLikers; ++n)
    if (n != kLikers - 3) wanted.emplace_back(at(n), facts.user("user" + std::to_string(n)).hash);
  EXPECT_EQ(got, wanted);
  EXPECT_GE(got.size() + 3, size_t{RingLimits::kPostLikers});  // the like taken back and two undos are rows too
  EXPECT_LT(got.size(), size_t{RingLimits::kPostLikers} + 1024);
}

// From likes to the flag: people, posts and rings together, the block test over the states that they left.
TEST(RingsEndToEnd, APlantedRingIsFoundAmongHonestLikes) {
  FakeWorld world{{&people_operator(), &posts_operator(), &rings_operator()}};
  Facts facts{world.context.hash};
  uint64_t seed = 1;
  const auto random = [&](uint64_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
  };
  int n = 0;
  const auto like = [&](const std::string& who, uint64_t post, int64_t at) {
    Fact& f = facts.add("like" + std::to_string(n++), who, at, facts.user_key(who), LikeFact{});
    f.body = LikeFact{.post = facts.ref(KeyKind::kPost, "post" + std::to_string(post)),
                      .author = facts.user("author" + std::to_string(post % 40)),
                      .kind = LikeKind::kLike};
    return &f;
  };
  std::vector<const Fact*> all;
  for (int i = 0; i < 12'000; ++i)
    all.push_back(like("user" + std::to_string(random(600)), random(800),
                       kStart + static_cast<int64_t>(random(20 * 86400)) * kSecondUs));
  for (uint64_t target = 0; target < 12; ++target) {
    const int64_t at = kStart + static_cast<int64_t>((target + 3) * 86400) * kSecondUs;
    for (uint64_t m = 0; m < 20; ++m)
      all.push_back(
          like("ring" + std::to_string(m), 60 * target + 7, at + static_cast<int64_t>(random(500)) * kSecondUs));
  }
  for (uint64_t m = 0; m < 20; ++m)
    for (int i = 0; i < 12; ++i)
      all.push_back(
          like("ring" + std::to_string(m), random(800), kStart + static_cast<int64_t>(random(20 * 86400)) * kSecondUs));
  std::stable_sort(all.begin(), all.end(), [](const Fact* a, const Fact* b) { return a->time_us < b->time_us; });

  std::set<uint64_t> flagged;
  size_t ran = 0;
  for (size_t i = 0; i < all.size();) {
    const int64_t slot = slot_of(all[i]->time_us);
    for (; i < all.size() && slot_of(all[i]->time_us) == slot; ++i) world.post(*all[i]);
    world.run(slot);
    for (; ran < world.context.analyses.size(); ++ran) {
      WorldReader reader(world);
      world.post(OperatorId::kRings, kCommunityKey, world.context.now_us(), 0,
                 run_analysis(world.context.analyses[ran], reader));
    }
  }
  world.settle();
  for (const auto& s : world.context.sent)
    if (kind_of(s.payload) == MessageKind::kRaise)
      for (const uint64_t user : decode_raise(s.payload).subjects) flagged.insert(user);
  size_t of_ring = 0;
  for (uint64_t m = 0; m < 20; ++m) of_ring += flagged.count(facts.user("ring" + std::to_string(m)).hash);
  EXPECT_GE(of_ring, 19U);
  EXPECT_LE(flagged.size() - of_ring, 1U);
}

}  // namespace
}  // namespace bellwether::rings_op_test

// States in memory: as objects, packed as their bytes, and gone. Whatever becomes of them, what is read is what was
// folded last.
#include "pipeline/engine/cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "operators/analysis.h"
#include "operators/people.h"
#include "operators/registry.h"
#include "operators/scores.h"
#include "pipeline/engine/state_rows.h"

namespace bellwether::cache_test {
namespace {

const OperatorSet& operators() {
  static const OperatorSet set = [] {
    std::array<OperatorId, kKeyKinds> homes{};
    return OperatorSet(all_operators(), homes, run_analysis, likely_states, likely_states_of_new);
  }();
  return set;
}

StateKey scores_of(uint64_t n) { return {OperatorId::kScores, {KeyKind::kUser, (n << 56) + n}}; }

CacheSlot& loaded(StateCache& cache, const StateKey& key) {
  std::vector<StateKey> keys{key};
  EXPECT_TRUE(cache.load(keys).ok());
  CacheSlot* slot = cache.find(key);
  EXPECT_NE(slot, nullptr);
  return *slot;
}

// What a commit would write; how many of the rows as patches is added to `patches`.
std::unique_ptr<WriteSet> carry(StateCache& cache, Store& store, uint64_t flight, size_t& patches) {
  auto set = store.new_write_set();
  StateRows rows;
  rows.encode(cache, [&](const CacheSlot& slot) { patches += slot.patches > 0; });
  rows.write(*set);
  cache.carried(flight);
  return set;
}

TEST(Cache, WhatIsReadIsWhatWasFoldedLast) {
  for (const uint32_t after : {0U, 5U, 1U << 15}) {
    std::mt19937_64 random(after + 1);
    const auto store = make_memory_store();
    FoldOptions options;
    options.cache_bytes = 6'000, options.packs_above_permille = 300, options.packs_after = after;
    StateCache cache(operators(), *store, options);
    std::map<uint64_t, int64_t> likers;  // the naive cache
    uint64_t flight = 0, landed = 0;
    std::unique_ptr<WriteSet> under_way;
    const auto land = [&] {
      if (under_way == nullptr) return;
      ASSERT_TRUE(store->write(*under_way, true).ok());
      under_way.reset(), landed = flight;
    };
    size_t packed = 0, patches = 0;
    for (int step = 0; step < 5000; ++step) {
      const uint64_t n = 1 + random() % (random() % 4 == 0 ? 200 : 10);
      CacheSlot& slot = loaded(cache, scores_of(n));
      ASSERT_TRUE(cache.unpack(slot).ok());
      auto& state = dynamic_cast<ScoresState&>(*slot.state);
      ASSERT_EQ(state.likers, likers[n]) << "step " << step;
      if (random() % 3 != 0) {
        state.id = "user-" + std::to_string(n) + " whose name is long", state.likers = likers[n] = step;
        cache.folded(slot);
        packed += slot.state == nullptr;
      }
      if (random() % 200 == 0) cache.keep_rows(random() % 4 != 0);
      if (random() % 20 == 0) land(), under_way = carry(cache, *store, ++flight, patches);
      if (random() % 20 == 0) land();
      // Dirty ones stay, and so does what a commit carries that has not landed yet.
      cache.evict(landed);
      const State* seen = nullptr;
      ASSERT_TRUE(cache.peek(scores_of(n), seen).ok());
      if (likers[n] == 0) continue;
      ASSERT_NE(seen, nullptr);
      ASSERT_EQ(dynamic_cast<const ScoresState*>(seen)->likers, likers[n]);
    }
    land(), under_way = carry(cache, *store, ++flight, patches), land();
    cache.evict(landed);
    EXPECT_LE(cache.bytes(), options.cache_bytes);
    EXPECT_LT(cache.states(), likers.size());
    EXPECT_GT(packed, 0U) << after;
    EXPECT_GT(patches, 500U) << after;  // which the store works in, and refuses where they are of another row
    for (const auto& [n, wanted] : likers) {
      const State* seen = nullptr;
      ASSERT_TRUE(cache.peek(scores_of(n), seen).ok());
      if (wanted != 0) {
        ASSERT_NE(seen, nullptr);
        EXPECT_EQ(dynamic_cast<const ScoresState*>(seen)->likers, wanted);
      }
    }
  }
}

// A chain of patches is as long as it may be and no longer; without rows kept there are none.
TEST(Cache, AWholeRowComesAfterSomePatches) {
  for (const bool keep : {true, false}) {
    const auto store = make_memory_store();
    StateCache cache(operators(), *store, FoldOptions{});
    cache.keep_rows(keep);
    size_t patches = 0;
    std::string chain;
    for (uint64_t flight = 1; flight <= 40; ++flight) {
      CacheSlot& slot = loaded(cache, scores_of(1));
      ASSERT_TRUE(cache.unpack(slot).ok());
      auto& state = dynamic_cast<ScoresState&>(*slot.state);
      state.id = "somebody whose name is long enough", state.likers = static_cast<int64_t>(flight);
      cache.folded(slot);
      const size_t before = patches;
      ASSERT_TRUE(store->write(*carry(cache, *store, flight, patches), true).ok());
      chain += patches > before ? 'p' : 'w';
    }
    EXPECT_EQ(chain.substr(0, 19), keep ? "wppppppppwppppppppw" : std::string(19, 'w'));
    std::string row;
    Status status;
    ASSERT_TRUE(store->get(Family::kState, keys::state(scores_of(1)), row, status));
    int64_t timer;
    std::unique_ptr<State> state;
    ASSERT_TRUE(decode_state_row(operators().get(OperatorId::kScores), row, timer, &state));
    EXPECT_EQ(dynamic_cast<const ScoresState&>(*state).likers, 40);
  }
}

TEST(Cache, PackedStatesTakeLess) {
  const auto store = make_memory_store();
  FoldOptions packing, plain;
  packing.packs_above_permille = 0, packing.packs_after = 0;
  plain.packs_above_permille = 1000;
  size_t bytes[2];
  for (int i = 0; i < 2; ++i) {
    StateCache cache(operators(), *store, i == 0 ? packing : plain);
    for (uint64_t n = 1; n <= 200; ++n) {
      CacheSlot& slot = loaded(cache, scores_of(n));
      ASSERT_TRUE(cache.unpack(slot).ok());
      dynamic_cast<ScoresState&>(*slot.state).id = "user";
      cache.folded(slot);
      EXPECT_EQ(slot.state == nullptr, i == 0);
    }
    bytes[i] = cache.bytes();
  }
  EXPECT_LT(bytes[0] * 2, bytes[1]);
}

// A book whose full blocks stand in the ledger would have to read them again at each fold.
TEST(Cache, StatesThatNeedTheLedgerStayObjects) {
  const auto store = make_memory_store();
  FoldOptions options;
  options.packs_above_permille = 0, options.packs_after = 0;
  StateCache cache(operators(), *store, options);
  CacheSlot& slot = loaded(cache, {OperatorId::kPeople, {KeyKind::kUser, 7}});
  ASSERT_TRUE(cache.unpack(slot).ok());
  auto& people = dynamic_cast<PeopleState&>(*slot.state);
  LikeBook::Block block;
  std::string bytes;
  for (uint64_t i = 1; people.book.blocks().empty(); ++i) {
    LikeEntry entry;
    entry.post = i, entry.author = i, entry.id_hash = i, entry.time_us = static_cast<int64_t>(i),
    entry.kind = LikeKind::kLike;
    people.book.append(entry);
    people.book.seal(0, block, bytes);
  }
  cache.folded(slot);
  EXPECT_NE(slot.state, nullptr);
}

TEST(Cache, ABrokenRowIsSaidWhereItIsFolded) {
  const auto store = make_memory_store();
  const auto set = store->new_write_set();
  set->put(Family::kState, keys::state(scores_of(3)), std::string("\0\x77nonsense", 10));
  ASSERT_TRUE(store->write(*set, true).ok());
  StateCache cache(operators(), *store, FoldOptions{});
  CacheSlot& slot = loaded(cache, scores_of(3));
  const Status status = cache.unpack(slot);
  EXPECT_NE(status.message.find("scores cannot be read"), std::string::npos) << status.message;
  const State* seen = nullptr;
  EXPECT_FALSE(cache.peek(scores_of(3), seen).ok());
}

}  // namespace
}  // namespace bellwether::cache_test

// Seen against the plain form: every id with its slot, asked one by one.
#include "operators/seen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace bellwether::seen_test {
namespace {

constexpr int64_t kWeek = kSeenUs / kSlotUs;

struct Plain {
  std::vector<std::pair<uint64_t, int64_t>> ids;
  bool test(uint64_t id, int64_t now) const {
    return std::any_of(ids.begin(), ids.end(), [&](const auto& e) { return e.first == id && e.second + kWeek >= now; });
  }
  void forget(int64_t now) {
    std::erase_if(ids, [&](const auto& e) { return e.second + kWeek < now; });
  }
  std::string row() const {
    std::string out;
    Writer w(out);
    w.varint(ids.size());
    int64_t last = 0;
    for (const auto& [id, slot] : ids) w.fixed64(id), w.zigzag(slot - last), last = slot;
    return out;
  }
};

std::string row_of(const Seen& seen) {
  std::string out;
  Writer w(out);
  seen.write(w);
  return out;
}

// Few, many, and again few: with and without what finds many; reloaded now and then, copied as states are.
TEST(Seen, IsThePlainForm) {
  std::mt19937_64 random(11);
  for (const size_t bound : {size_t{0}, size_t{100}, size_t{700}}) {
    Seen seen;
    Plain plain;
    int64_t now = 4'000'000;
    size_t most = 0;
    for (int step = 0; step < 40'000; ++step) {
      // Busy for some thousand steps, then quiet until nearly all is forgotten.
      const bool quiet = step / 8000 % 2 == 1;
      now += quiet ? static_cast<int64_t>(random() % (kWeek / 20)) : static_cast<int64_t>(random() % (kWeek / 1500));
      const uint64_t id = random() % 4 == 0 ? random() % 64 : random();
      const uint64_t asked =
          !plain.ids.empty() && random() % 2 == 0 ? plain.ids[random() % plain.ids.size()].first : id;
      ASSERT_EQ(seen.test(asked, now), plain.test(asked, now)) << step;
      if (random() % 3 == 0) {  // whatever was there
        seen.add(id, now);
        plain.forget(now), plain.ids.emplace_back(id, now);
      } else {
        plain.forget(now);
        const bool was = plain.test(asked, now);
        if (!was) plain.ids.emplace_back(asked, now);
        ASSERT_EQ(seen.test_and_add(asked, now), was) << step;
      }
      if (bound > 0) {
        seen.keep_newest(bound);
        if (plain.ids.size() > bound)
          plain.ids.erase(plain.ids.begin(), plain.ids.end() - static_cast<ptrdiff_t>(bound));
      }
      ASSERT_EQ(seen.size(), plain.ids.size());
      ASSERT_EQ(seen.empty(), plain.ids.empty());
      most = std::max(most, seen.size());
      if (random() % 64 != 0) continue;
      const std::string row = row_of(seen);
      ASSERT_EQ(row, plain.row()) << step;
      if (random() % 4 == 0) {
        Seen again;
        Reader r(row);
        ASSERT_TRUE(again.read(r) && r.done());
        seen = std::move(again);
      } else if (random() % 4 == 0) {
        const Seen copy = seen;
        seen = copy;
      }
    }
    EXPECT_GT(most, bound == 0 ? 1000U : bound - 1);
  }
}

TEST(Seen, OfManyTakesNoMoreThanItsBound) {
  Seen seen;
  for (uint64_t i = 0; i < 200'000; ++i) ASSERT_FALSE(seen.test_and_add(spread(i), 1000));
  for (uint64_t i = 0; i < 200'000; ++i) ASSERT_TRUE(seen.test_and_add(spread(i), 1000 + kWeek));
  EXPECT_EQ(seen.size(), 200'000U);
  EXPECT_LE(row_of(seen).size(), 24U * 200'000);
  EXPECT_LE(seen.memory(), 48U * 200'000);
  // Dripping out one by one: what is forgotten leaves memory too.
  for (uint64_t i = 0; i < 200'000; ++i) seen.add(spread(1'000'000 + i), 1001 + kWeek + static_cast<int64_t>(i / 100));
  EXPECT_EQ(seen.size(), 200'000U);
  EXPECT_LE(seen.memory(), 96U * 200'000);
}

std::string row_of(const SeenBlocks& seen) {
  std::string out;
  Writer w(out);
  seen.write(w);
  return out;
}

using Ledger = std::map<std::pair<int64_t, uint32_t>, std::string>;

// Folded with all in memory, and read again now and then with its blocks: the same answers and the same bytes, those of
// the plain form.
TEST(SeenBlocks, AreThePlainFormInMemoryOrNot) {
  std::mt19937_64 random(12);
  SeenBlocks held, again;
  Ledger ledger;
  Plain plain;
  int64_t now = 4'000'000;
  size_t most = 0, blocks = 0;
  const auto seal = [&](SeenBlocks& seen, bool writes) {
    SeenBlocks::Block block;
    std::string bytes;
    while (seen.seal(day_of(now * kSlotUs), block, bytes)) {
      EXPECT_EQ(SeenBlocks::block_entries(bytes), block.count);
      const auto [at, fresh] = ledger.emplace(std::pair(block.day, block.number), bytes);
      EXPECT_EQ(fresh, writes);
      EXPECT_EQ(at->second, bytes);
    }
  };
  for (int step = 0; step < 30'000; ++step) {
    const bool quiet = step / 6000 % 2 == 1;
    now += quiet ? static_cast<int64_t>(random() % (kWeek / 20)) : static_cast<int64_t>(random() % (kWeek / 1500));
    const uint64_t id =
        !plain.ids.empty() && random() % 3 == 0 ? plain.ids[random() % plain.ids.size()].first : random();
    const bool was = plain.test(id, now);
    ASSERT_EQ(held.test(id, now), was) << step;
    ASSERT_EQ(again.test(id, now), was) << step;
    if (!was) {
      plain.forget(now), plain.ids.emplace_back(id, now);
      held.add(id, now), again.add(id, now);
      seal(held, true), seal(again, false);
    }
    most = std::max(most, held.size()), blocks = std::max(blocks, held.blocks().size());
    if (random() % 40 != 0) continue;
    const std::string row = row_of(held);
    ASSERT_EQ(row_of(again), row) << step;
    ASSERT_LE(row.size(), 20 + 11 * block_rows(held.blocks().size()) + 12 * held.blocks().size());
    again = SeenBlocks();
    Reader r(row);
    ASSERT_TRUE(again.read(r) && r.done());
    ASSERT_EQ(row_of(again), row);
    again.load([&](int64_t day, uint32_t number) { return ledger.at({day, number}); });
  }
  EXPECT_GT(most, 1000U);
  EXPECT_GT(blocks, 40U);
}

// Half a directory of rows in a block: both stay near the square root of all.
TEST(BlockRows, AndTheirDirectoryStayShort) {
  size_t rows = 0, open = 0, blocks = 0;
  for (size_t at = 1; at <= 65'536; ++at) {
    ++rows, ++open;
    if (open >= block_rows(blocks)) open = 0, ++blocks;
    ASSERT_LE(open * open, rows + 256);
    ASSERT_LE(blocks * blocks, 5 * rows + 1024) << rows;
  }
}

}  // namespace
}  // namespace bellwether::seen_test

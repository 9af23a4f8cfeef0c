// Seen against the plain form: every id with its slot, asked one by one.
#include "operators/seen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace bellwether {
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

}  // namespace
}  // namespace bellwether

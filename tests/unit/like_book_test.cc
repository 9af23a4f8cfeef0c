#include "operators/like_book.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace bellwether {
namespace {

constexpr int64_t kDay0 = 17000 * kDayUs;

LikeEntry like(uint64_t post, uint64_t author, int64_t time_us, uint64_t id, bool undo = false) {
  LikeEntry e;
  e.post = post, e.author = author, e.time_us = time_us, e.id_hash = id, e.slot = slot_of(time_us),
  e.kind = LikeKind::kLike, e.undo = undo;
  return e;
}

// What the store would do: keeps full blocks, gives the book back as a reload would see it.
struct Disk {
  std::map<uint32_t, std::string> blocks;
  void seal(LikeBook& book) {
    LikeBook::Block b;
    std::string bytes;
    while (book.seal(17000, b, bytes)) blocks[b.number] = bytes;
  }
  LikeBook reload(const LikeBook& book) const {
    std::string bytes;
    Writer w(bytes);
    book.write(w);
    LikeBook copy;
    Reader r(bytes);
    EXPECT_TRUE(copy.read(r));
    EXPECT_TRUE(r.done());
    if (!copy.loaded()) {
      for (const LikeBook::Block& b : copy.blocks()) EXPECT_TRUE(copy.add_block(blocks.at(b.number)));
      copy.finish_loading();
    }
    return copy;
  }
};

TEST(LikeBook, HalvesByThePairsLikesOfThirtyDays) {
  LikeBook book;
  for (uint64_t i = 0; i < 5; ++i) book.append(like(100 + i, 7, kDay0 + static_cast<int64_t>(i) * kDayUs, i + 1));
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(book.worth(i).halvings, i);
  book.append(like(200, 7, kDay0 + 31 * kDayUs,
                   50));  // of the five, those of the 30 days before: days 2, 3, 4; day 1 is 30 days back
  EXPECT_EQ(book.worth(5).halvings, 3);
  book.append(like(300, 8, kDay0, 51));
  EXPECT_EQ(book.worth(6).halvings, 0);
}

TEST(LikeBook, UndoneLikesHalveAndDiscountedOnesDoNot) {
  LikeBook book;
  book.append(like(1, 7, kDay0, 1));
  book.append(like(1, 7, kDay0 + 1, 2, true));
  book.append(like(2, 7, kDay0 + 2, 3));
  EXPECT_FALSE(book.worth(0).standing);
  EXPECT_EQ(book.worth(2).halvings, 1);
  EXPECT_TRUE(book.worth(2).first) << "nobody stands before it";
  book.append(like(3, 7, kDay0 + 3, 4));
  EXPECT_EQ(book.worth(3).halvings, 2);
  OpenDiscount d;
  d.flag = 9, d.scope.posts = {2}, d.authenticity = 0;
  book.set_discount(d);
  EXPECT_EQ(book.worth(2).authenticity, 0);
  EXPECT_EQ(book.worth(3).halvings, 1);
  EXPECT_TRUE(book.worth(3).first);
  EXPECT_EQ(book.worth(3, 9).halvings, 2) << "without the flag, as before";
  EXPECT_TRUE(book.end_discount(9));
  EXPECT_EQ(book.worth(3).halvings, 2);
}

TEST(LikeBook, AFlagBeyondTheBoundIsRefusedAndTheOldOnesStay) {
  LikeBook book;
  book.append(like(1, 7, kDay0, 1));
  book.append(like(2, 7, kDay0 + 1, 2));
  for (uint64_t flag = 1; flag <= kUserFlagsMax + 1; ++flag) {
    OpenDiscount d;
    d.flag = flag, d.scope.posts = {flag <= kUserFlagsMax ? 1U : 2U}, d.authenticity = 0;
    book.set_discount(d);
  }
  EXPECT_EQ(book.discounts().size(), kUserFlagsMax);
  EXPECT_EQ(book.worth(0).authenticity, 0);
  EXPECT_EQ(book.worth(1).authenticity, kAuthentic);
  for (uint64_t flag = 1; flag <= kUserFlagsMax; ++flag) EXPECT_TRUE(book.end_discount(flag));
  EXPECT_EQ(book.worth(0).authenticity, kAuthentic);
}

TEST(LikeBook, AnUndoBeforeItsLikeVoidsIt) {
  LikeBook book;
  book.append(like(1, 7, kDay0 + 10, 1, true));
  EXPECT_GE(book.undo_ahead(1, LikeKind::kLike, kDay0 + 5), 0);
  book.append(like(1, 7, kDay0 + 5, 2));
  EXPECT_FALSE(book.worth(1).standing);
  EXPECT_LT(book.standing(1, LikeKind::kLike), 0);
  book.append(like(1, 7, kDay0 + 20, 3));  // a new like after it stands
  EXPECT_TRUE(book.worth(2).standing);
}

TEST(LikeBook, SurvivesReloadsAtAnyMoment) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 30; ++round) {
    LikeBook kept, reloaded;
    Disk disk, other;
    int64_t time = kDay0;
    for (uint64_t i = 1; i <= 400; ++i) {
      time += static_cast<int64_t>(random() % (2 * kHourUs));
      const uint64_t post = random() % 60, author = post % 9;
      const bool undo = random() % 5 == 0;
      if (!undo && kept.standing(post, LikeKind::kLike) >= 0) continue;
      const LikeEntry e = like(post, author, time - static_cast<int64_t>(random() % 1000), i, undo);
      kept.append(e), reloaded.append(e);
      disk.seal(kept), other.seal(reloaded);
      if (random() % 3 == 0) reloaded = other.reload(reloaded);
      if (random() % 40 == 0) {
        const int64_t day = day_of(time) - 10;
        kept.expire(day, 1000, {}), reloaded.expire(day, 1000, {});
        kept.forget(day - 5), reloaded.forget(day - 5);
      }
      ASSERT_EQ(kept.entries().size(), reloaded.entries().size());
      ASSERT_EQ(disk.blocks, other.blocks);
      for (size_t k = 0; k < kept.entries().size(); ++k)
        ASSERT_EQ(kept.worth(k), reloaded.worth(k)) << "entry " << k << " after " << i;
      for (uint64_t p = 0; p < 60; ++p)
        ASSERT_EQ(kept.standing(p, LikeKind::kLike), reloaded.standing(p, LikeKind::kLike));
      std::string a, b;
      Writer wa(a), wb(b);
      kept.write(wa), reloaded.write(wb);
      ASSERT_EQ(a, b);
    }
  }
}

TEST(LikeBook, ExpiryTellsEachPairOnce) {
  LikeBook book;
  book.append(like(1, 7, kDay0, 1));
  book.append(like(2, 7, kDay0 + kDayUs, 2));
  book.append(like(3, 8, kDay0, 3));
  EXPECT_TRUE(book.likes_author(7));
  auto ended = book.expire(day_of(kDay0), 16, {});
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].author, 8U);
  EXPECT_TRUE(book.likes_author(7));
  ended = book.expire(day_of(kDay0) + 1, 16, {});
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].author, 7U);
  EXPECT_EQ(book.oldest_unexpired_day(), INT64_MAX);
}

}  // namespace
}  // namespace bellwether

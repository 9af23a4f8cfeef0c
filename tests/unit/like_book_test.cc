#include "operators/like_book.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <tuple>

namespace bellwether::like_book_test {
namespace {

constexpr int64_t kDay0 = 17000 * kDayUs;

LikeEntry like(uint64_t post, uint64_t author, int64_t time_us, uint64_t id, bool undo = false) {
  LikeEntry e;
  e.post = post, e.author = author, e.time_us = time_us, e.id_hash = id, e.kind = LikeKind::kLike, e.undo = undo;
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

// What the book says, by going through all entries every time.
struct NaiveBook {
  std::vector<LikeEntry> entries;
  std::vector<OpenDiscount> discounts;
  int64_t expired = INT64_MIN;

  static uint64_t target(const LikeEntry& e) { return e.kind == LikeKind::kFollow ? e.author : e.post; }
  static bool counts(const LikeEntry& e) {
    return !e.undo && (e.kind == LikeKind::kLike || e.kind == LikeKind::kShare || e.kind == LikeKind::kFollow);
  }
  bool held(const LikeEntry& e) const { return day_of(e.time_us) > expired; }
  ptrdiff_t standing(uint64_t t, LikeKind kind) const {
    for (size_t i = entries.size(); i-- > 0;)
      if (const LikeEntry& e = entries[i]; !e.undo && !e.undone && e.kind == kind && target(e) == t && held(e))
        return static_cast<ptrdiff_t>(i);
    return -1;
  }
  ptrdiff_t undo_ahead(uint64_t t, LikeKind kind, int64_t like_time_us, bool newest = false) const {
    ptrdiff_t found = -1;
    for (size_t i = 0; i < entries.size() && (newest || found < 0); ++i)
      if (const LikeEntry& e = entries[i];
          e.undo && !e.used && e.kind == kind && target(e) == t && e.time_us >= like_time_us && held(e))
        found = static_cast<ptrdiff_t>(i);
    return found;
  }
  bool has_id(uint64_t id, int64_t since_slot) const {
    return std::any_of(entries.begin(), entries.end(),
                       [&](const LikeEntry& e) { return e.id_hash == id && e.slot() >= since_slot; });
  }
  uint32_t on_day(int64_t day) const {
    return static_cast<uint32_t>(
        std::count_if(entries.begin(), entries.end(), [&](const LikeEntry& e) { return day_of(e.time_us) == day; }));
  }
  int64_t oldest() const {
    int64_t day = INT64_MAX;
    for (const LikeEntry& e : entries)
      if (held(e)) day = std::min(day, day_of(e.time_us));
    return day;
  }
  void append(LikeEntry e) {
    const ptrdiff_t met = e.undo ? standing(target(e), e.kind) : undo_ahead(target(e), e.kind, e.time_us, true);
    if (met >= 0) {
      LikeEntry& other = entries[static_cast<size_t>(met)];
      if (e.undo) {
        other.undone = true;
        e.used = true;
      } else {
        other.used = true;
        e.undone = true;
      }
      e.born = true;
    }
    entries.push_back(e);
  }
  uint16_t authenticity(const LikeEntry& e, uint64_t without) const {
    uint16_t least = kAuthentic;
    for (const OpenDiscount& d : discounts)
      if (d.flag != without && d.covers(e)) least = std::min(least, d.authenticity);
    return least;
  }
  LikeWorth worth(size_t i, uint64_t without) const {
    const LikeEntry& e = entries[i];
    LikeWorth w{!e.undo && !e.undone, 0, authenticity(e, without), false};
    w.first = counts(e) && w.standing && w.authenticity > 0;
    for (size_t k = 0; k < i; ++k) {
      const LikeEntry& b = entries[k];
      if (b.author != e.author || !counts(b) || b.time_us > e.time_us || b.time_us <= e.time_us - kPairUs) continue;
      if (authenticity(b, without) == 0) continue;
      if (b.kind == LikeKind::kLike && e.kind == LikeKind::kLike && w.halvings < kHalvingMax) ++w.halvings;
      if (!b.undone) w.first = false;
    }
    return w;
  }
  bool likes_author(uint64_t author, uint64_t without) const {
    return std::any_of(entries.begin(), entries.end(), [&](const LikeEntry& e) {
      return e.author == author && counts(e) && !e.undone && held(e) && authenticity(e, without) > 0;
    });
  }
  std::vector<size_t> pair(uint64_t author) const {
    std::vector<size_t> found;
    for (size_t i = 0; i < entries.size(); ++i)
      if (entries[i].author == author) found.push_back(i);
    return found;
  }
  // The pairs that end, in the order of their last days.
  std::vector<uint64_t> expire(int64_t day) {
    std::vector<uint64_t> ended;
    for (int64_t next = oldest(); next <= day; next = oldest()) {
      std::map<uint64_t, bool> before;
      for (const LikeEntry& e : entries) before[e.author] = likes_author(e.author, 0);
      expired = next;
      for (const auto& [author, liked] : before)
        if (liked && !likes_author(author, 0)) ended.push_back(author);
    }
    expired = std::max(expired, day);
    return ended;
  }
  void forget(int64_t day, const std::vector<LikeBook::Block>& blocks) {
    const auto old = [&](const LikeEntry& e) { return day_of(e.time_us) < day; };
    const auto all = static_cast<size_t>(std::count_if(entries.begin(), entries.end(), old));
    if (all == 0 || all * 8 < entries.size()) return;
    auto to = entries.begin();
    bool whole = true;
    for (const LikeBook::Block& b : blocks)
      if ((whole = whole && std::all_of(to, to + b.count, old))) to += b.count;
    while (whole && to != entries.end() && old(*to)) ++to;
    entries.erase(entries.begin(), to);
  }
};

void expect_same(const LikeBook& book, const NaiveBook& naive, std::mt19937_64& random, uint64_t posts, int64_t time) {
  ASSERT_EQ(book.entries().size(), naive.entries.size());
  for (size_t i = 0; i < naive.entries.size(); ++i) {
    const LikeEntry &a = book.entries()[i], &b = naive.entries[i];
    ASSERT_EQ(std::tie(a.post, a.author, a.time_us, a.id_hash, a.rules),
              std::tie(b.post, b.author, b.time_us, b.id_hash, b.rules));
    ASSERT_TRUE(a.slot() == b.slot() && a.kind == b.kind && a.post_kind == b.post_kind && a.undo == b.undo &&
                a.born == b.born && a.undone == b.undone && a.used == b.used)
        << "entry " << i;
  }
  ASSERT_EQ(book.oldest_unexpired_day(), naive.oldest());
  for (int k = 0; k < 4; ++k) {
    const uint64_t without = random() % 4, author = random() % (posts / 2);
    const int64_t day = day_of(time) - static_cast<int64_t>(random() % 40);
    ASSERT_EQ(book.on_day(day), naive.on_day(day));
    ASSERT_EQ(book.likes_author(author, without), naive.likes_author(author, without)) << author;
    ASSERT_EQ(book.pair(author), naive.pair(author)) << author;
    if (naive.entries.empty()) continue;
    const size_t i = random() % naive.entries.size();
    ASSERT_EQ(book.worth(i, without), naive.worth(i, without)) << "entry " << i << " without " << without;
    const uint64_t id = random() % 3 == 0 ? random() : naive.entries[i].id_hash;
    const int64_t since = slot_of(time) - static_cast<int64_t>(random() % static_cast<uint64_t>(30 * kDayUs / kSlotUs));
    ASSERT_EQ(book.has_id(id, since), naive.has_id(id, since));
    const uint64_t target = random() % posts;
    for (LikeKind kind : {LikeKind::kLike, LikeKind::kFollow, LikeKind::kDislike}) {
      ASSERT_EQ(book.standing(target, kind), naive.standing(target, kind)) << target;
      ASSERT_EQ(book.undo_ahead(target, kind, time), naive.undo_ahead(target, kind, time)) << target;
    }
  }
}

// Books that stay small, grow large, and shrink again: how entries are found changes with their number.
TEST(LikeBook, SaysWhatANaiveBookSays) {
  std::mt19937_64 random(12);
  size_t largest = 0;
  for (int round = 0; round < 24; ++round) {
    LikeBook book;
    NaiveBook naive;
    Disk disk;
    int64_t time = kDay0;
    const uint64_t posts = 20 + random() % 300, authors = round % 2 == 0 ? 8 : 80;  // many pairs: some of them end
    const auto pace_us = static_cast<uint64_t>(kHourUs << round % 5);
    for (uint64_t step = 0; step < 1200; ++step) {
      time += static_cast<int64_t>(random() % pace_us);
      const uint64_t post = random() % posts;
      // Some come late, but not of a day that has expired.
      const int64_t late =
          static_cast<int64_t>(random() % static_cast<uint64_t>(random() % 4 != 0 ? 1000 : 4 * kDayUs));
      LikeEntry e = like(post, post % authors, time - late, random(), random() % 4 == 0);
      if (random() % 4 == 0) e.kind = static_cast<LikeKind>(1 + random() % 5);
      if (e.kind == LikeKind::kFollow) e.post = 0;
      e.rules = static_cast<uint16_t>(random()), e.post_kind = static_cast<PostKind>(random() % 7);
      ASSERT_TRUE(e.set_slot(slot_of(time)));
      // As the operator does: never a second one that stands, nor a second undo that waits.
      const uint64_t target = NaiveBook::target(e);
      const ptrdiff_t standing = naive.standing(target, e.kind);
      if (e.undo ? standing >= 0 || naive.undo_ahead(target, e.kind, INT64_MIN) < 0 : standing < 0)
        book.append(e), naive.append(e);
      disk.seal(book);
      if (random() % 50 == 0) {
        OpenDiscount d;
        d.flag = 1 + random() % 3, d.authenticity = random() % 2 == 0 ? 0 : 100, d.scope.author = random() % authors;
        d.scope.from_us = time - 20 * kDayUs, d.scope.to_us = time + 5 * kDayUs;
        std::erase_if(naive.discounts, [&](const OpenDiscount& o) { return o.flag == d.flag; });
        if (random() % 3 != 0)
          book.set_discount(d), naive.discounts.push_back(d);
        else
          book.end_discount(d.flag);
      }
      if (random() % 60 == 0) {
        const int64_t day = day_of(time) - 20;
        std::vector<uint64_t> ended;
        for (const LikeBook::Ended& e : book.expire(day, 1000, {})) ended.push_back(e.author);
        ASSERT_EQ(ended, naive.expire(day));
        const int64_t before = random() % 4 != 0 ? day - 5 : day + 3;  // expired, or not yet
        naive.forget(before, book.blocks());
        book.forget(before);
      }
      if (random() % 30 == 0) book = disk.reload(book);
      if (step % 4 == 0) {
        ASSERT_NO_FATAL_FAILURE(expect_same(book, naive, random, posts, time)) << "round " << round << " step " << step;
      }
      largest = std::max(largest, naive.entries.size());
    }
  }
  EXPECT_GT(largest, 600U);
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
}  // namespace bellwether::like_book_test

// What the block test reads of the like ledger: every user and post at most once an analysis, by numbers in place of
// hashes, so that the test itself works on arrays. Likes are known from both sides: as their user's likes and as rows
// of their post, each pointing to the other. The ledger's two sides may differ (a book may forget earlier than a post):
// a row without a like and a like without a row are what they are, as if each side were read anew.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "operators/rings.h"
#include "operators/rings_numbers.h"

namespace bellwether {

class RingBook {
 public:
  static constexpr uint32_t kNone = RingNumbers::kNone;
  static constexpr size_t kScales = RingLimits::kScales;
  // Time in buckets of RingLimits::kBucketS, numbered from before any window that the test may look at.
  static constexpr int64_t kBucketUs = int64_t{RingLimits::kBucketS} * 1'000'000;
  static constexpr uint32_t kBuckets = RingLimits::kBuckets + RingLimits::kScaleS.back() / RingLimits::kBucketS + 4;

  struct Like {
    uint32_t post = 0;
    uint32_t row = kNone;  // kNone too until the post is read
    uint16_t bucket = 0;
    bool odd = false;                       // its row is missing, or says another time
    std::array<uint16_t, kScales> close{};  // others' rows on the post so close to it; once the post is read
  };
  struct LikeDetail {
    int64_t time_us = 0;
    uint64_t author = 0, id_hash = 0;
    uint32_t user = 0;
    uint32_t next = kNone;  // of the post, by a user read before
  };
  // Rows of a post, numbered from its first, that are at most a scale older or newer than one of them.
  struct Reach {
    std::array<uint16_t, kScales> begin{}, end{};
  };
  struct Rows {
    uint32_t begin = 0, end = 0;  // by time, then user
    uint32_t count() const { return end - begin; }
  };

  RingBook(const LedgerView& ledger, int64_t as_of_us);

  uint32_t user(uint64_t hash);
  uint64_t user_hash(uint32_t user) const { return users_[user].hash; }
  uint64_t post_hash(uint32_t post) const { return posts_[post].hash; }
  size_t users() const { return users_.size(); }
  size_t posts() const { return posts_.size(); }
  RingWork work() const { return work_; }  // what was read

  // Reads them from the ledger where that has not been done.
  void read_user(uint32_t user);
  void read_post(uint32_t post);

  // Of a user who has been read: one entry a post, the earliest; by time, then post. Valid until the next is read.
  std::span<const Like> likes(uint32_t user) const {  // the newest RingLimits::kBlockLikes
    const User& u = users_[user];
    return {likes_.data() + u.newest, likes_.data() + u.end};
  }
  std::span<const Like> all_likes(uint32_t user) const {
    const User& u = users_[user];
    return {likes_.data() + u.begin, likes_.data() + u.end};
  }
  uint32_t first_like(uint32_t user) const { return users_[user].newest; }  // number of likes(user)[0]
  const Like& like_of(uint32_t like) const { return likes_[like]; }
  const LikeDetail& detail(uint32_t like) const { return details_[like]; }
  RingLike like(uint32_t like) const;
  // Rows of the user, of the posts read so far, that none of their likes stands for.
  std::span<const uint32_t> rows_alone(uint32_t user) const;

  // Of a post that has been read: one row a user, the earliest.
  const Rows& rows(uint32_t post) const { return posts_[post].rows; }
  int64_t birth_us(uint32_t post) const { return posts_[post].birth_us; }
  size_t row_count() const { return row_times_.size(); }
  const int64_t* row_times() const { return row_times_.data(); }
  uint32_t row_user(uint32_t row) const { return row_users_[row]; }
  uint32_t row_like(uint32_t row) const { return row_likes_[row]; }  // kNone: none, or its user has not been read
  const Reach& reach(uint32_t row) const { return reaches_[row]; }
  const uint16_t* row_buckets() const { return row_buckets_.data(); }
  // What is known of a post, or of a row's time and reach, is asked for soon: memory is slow.
  void expect_post(uint32_t post) const { __builtin_prefetch(&posts_[post]); }
  void expect_row(uint32_t row) const { __builtin_prefetch(&reaches_[row]), __builtin_prefetch(&row_times_[row]); }

  // The bucket that a window from or to that time begins or ends with, within 0..kBuckets - 1.
  uint32_t bucket(int64_t time_us) const {
    return static_cast<uint32_t>(std::clamp<int64_t>(time_us / kBucketUs - base_, 0, kBuckets - 1));
  }
  int64_t bucket_us(uint32_t bucket) const { return (base_ + bucket) * kBucketUs; }

 private:
  struct User {
    uint64_t hash = 0;
    uint32_t begin = 0, newest = 0, end = 0;  // in likes_
    uint32_t last_row = kNone;                // the chain of their rows
    bool read = false, alone = false;
  };
  struct Post {
    uint64_t hash = 0;
    Rows rows;
    int64_t birth_us = 0;
    uint32_t last_like = kNone;  // the chain of likes by users read
    bool read = false;
  };
  struct Row {
    int64_t time_us;
    uint64_t user;
    auto operator<=>(const Row&) const = default;
  };
  uint32_t post(uint64_t hash);
  uint32_t chained_row(uint32_t user, uint32_t post) const;
  void measure(const Post& post, uint32_t like);
  void find_reaches(const Rows& rows);

  const LedgerView& ledger_;
  const int64_t from_us_, to_us_;
  const int64_t base_;  // number since 1970 of bucket 0
  RingWork work_ = 0;
  RingNumbers user_numbers_, post_numbers_;
  std::vector<User> users_;
  std::vector<Post> posts_;
  std::vector<Like> likes_;
  std::vector<LikeDetail> details_;
  std::vector<int64_t> row_times_;
  std::vector<uint32_t> row_users_, row_posts_, row_likes_, row_next_;
  std::vector<uint16_t> row_buckets_;
  std::vector<Reach> reaches_;
  absl::flat_hash_map<uint32_t, std::vector<uint32_t>> alone_;
  std::vector<RingLike> read_likes_;  // being read
  std::vector<Row> read_rows_;
};

}  // namespace bellwether

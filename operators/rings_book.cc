#include "operators/rings_book.h"

#include <cstdlib>
#include <tuple>

#include "operators/limits.h"

namespace bellwether {
namespace {

using Limits = RingLimits;

constexpr RingWork kReadWork = 64, kLikeWork = 4;

constexpr int64_t scale_us(size_t s) { return int64_t{Limits::kScaleS[s]} * kSecondUs; }

}  // namespace

RingBook::RingBook(const LedgerView& ledger, int64_t as_of_us)
    : ledger_(ledger),
      from_us_(as_of_us - int64_t{Limits::kBlockS} * kSecondUs),
      to_us_(as_of_us),
      base_(floor_div(from_us_ - scale_us(kScales - 1), kBucketUs)) {}

uint32_t RingBook::user(uint64_t hash) {
  const uint32_t number = user_numbers_.add(hash);
  if (number == users_.size()) users_.emplace_back().hash = hash;
  return number;
}

uint32_t RingBook::post(uint64_t hash) {
  const uint32_t number = post_numbers_.add(hash);
  if (number == posts_.size()) posts_.emplace_back().hash = hash;
  return number;
}

RingLike RingBook::like(uint32_t like) const {
  const LikeDetail& d = details_[like];
  return {users_[d.user].hash, posts_[likes_[like].post].hash, d.author, d.time_us, d.id_hash};
}

std::span<const uint32_t> RingBook::rows_alone(uint32_t user) const {
  if (!users_[user].alone) return {};
  return alone_.at(user);
}

// The user's row on the post if that is the last one chained to them.
uint32_t RingBook::chained_row(uint32_t user, uint32_t post) const {
  const uint32_t row = users_[user].last_row;
  return row != kNone && row_posts_[row] == post ? row : kNone;
}

void RingBook::read_user(uint32_t user) {
  if (users_[user].read) return;
  users_[user].read = true;
  read_likes_.clear();
  ledger_.likes_of(users_[user].hash, from_us_, to_us_, [&](const RingLike& like) {
    if (like.liker != like.author && like.time_us >= from_us_ && like.time_us <= to_us_) read_likes_.push_back(like);
  });
  work_ += kReadWork + kLikeWork * read_likes_.size();
  const auto order = [](const RingLike& a, const RingLike& b) {
    return std::tie(a.time_us, a.post, a.id_hash) < std::tie(b.time_us, b.post, b.id_hash);
  };
  if (!std::is_sorted(read_likes_.begin(), read_likes_.end(), order))
    std::sort(read_likes_.begin(), read_likes_.end(), order);

  const uint32_t begin = static_cast<uint32_t>(likes_.size());
  for (const RingLike& like : read_likes_) {
    const uint32_t at = post(like.post);
    uint32_t& last = posts_[at].last_like;
    if (last != kNone && details_[last].user == user) continue;  // a later one of the same post
    details_.push_back({like.time_us, like.author, like.id_hash, user, last});
    last = static_cast<uint32_t>(likes_.size());
    likes_.emplace_back().post = at;
    likes_.back().bucket = static_cast<uint16_t>(floor_div(like.time_us, kBucketUs) - base_);
  }
  const uint32_t end = static_cast<uint32_t>(likes_.size());
  users_[user].begin = begin, users_[user].end = end;
  users_[user].newest = end - std::min(end - begin, Limits::kBlockLikes);

  for (uint32_t row = users_[user].last_row; row != kNone; row = row_next_[row]) {
    const uint32_t like = posts_[row_posts_[row]].last_like;
    if (like != kNone && details_[like].user == user) {
      likes_[like].row = row, row_likes_[row] = like;
    } else {
      alone_[user].push_back(row), users_[user].alone = true;
    }
  }
  for (uint32_t like = begin; like < end; ++like)
    if (const Post& p = posts_[likes_[like].post]; p.read) measure(p, like);
}

void RingBook::read_post(uint32_t post) {
  if (posts_[post].read) return;
  posts_[post].read = true;
  const uint64_t hash = posts_[post].hash;
  posts_[post].birth_us = ledger_.post_birth_us(hash);
  read_rows_.clear();
  ledger_.likers_of(hash, from_us_, to_us_, [&](uint64_t user, int64_t time_us) {
    if (time_us >= from_us_ && time_us <= to_us_) read_rows_.push_back({time_us, user});
  });
  work_ += kReadWork + kLikeWork * read_rows_.size();
  if (!std::is_sorted(read_rows_.begin(), read_rows_.end())) std::sort(read_rows_.begin(), read_rows_.end());

  const uint32_t begin = static_cast<uint32_t>(row_times_.size());
  for (const Row& row : read_rows_) {
    const uint32_t by = user(row.user);
    if (chained_row(by, post) != kNone) continue;  // a later one of the same user
    const uint32_t number = static_cast<uint32_t>(row_times_.size());
    row_times_.push_back(row.time_us), row_users_.push_back(by), row_posts_.push_back(post);
    row_likes_.push_back(kNone), row_next_.push_back(users_[by].last_row);
    users_[by].last_row = number;
  }
  const uint32_t end = static_cast<uint32_t>(row_times_.size());
  Post& p = posts_[post];
  p.rows = {begin + (end - begin - std::min(end - begin, Limits::kPostLikers)), end};
  for (uint32_t row = begin; row < p.rows.begin; ++row) users_[row_users_[row]].last_row = row_next_[row];  // too old
  row_buckets_.resize(end);
  for (uint32_t row = begin; row < end; ++row)
    row_buckets_[row] = static_cast<uint16_t>(floor_div(row_times_[row], kBucketUs) - base_);
  find_reaches(p.rows);

  for (uint32_t like = p.last_like; like != kNone; like = details_[like].next) {
    if (const uint32_t row = chained_row(details_[like].user, post); row != kNone)
      likes_[like].row = row, row_likes_[row] = like;
    measure(p, like);
  }
  for (uint32_t row = p.rows.begin; row < end; ++row) {
    const uint32_t by = row_users_[row];
    if (users_[by].read && row_likes_[row] == kNone) alone_[by].push_back(row), users_[by].alone = true;
  }
}

void RingBook::find_reaches(const Rows& rows) {
  reaches_.resize(rows.end);
  const int64_t* const times = row_times_.data() + rows.begin;
  const uint32_t n = rows.count();
  for (size_t s = 0; s < kScales; ++s) {
    uint32_t begin = 0, end = 0;
    for (uint32_t i = 0; i < n; ++i) {
      while (times[begin] < times[i] - scale_us(s)) ++begin;
      while (end < n && times[end] <= times[i] + scale_us(s)) ++end;
      Reach& reach = reaches_[rows.begin + i];
      reach.begin[s] = static_cast<uint16_t>(begin), reach.end[s] = static_cast<uint16_t>(end);
    }
  }
}

void RingBook::measure(const Post& post, uint32_t like) {
  Like& l = likes_[like];
  const int64_t time_us = details_[like].time_us;
  l.odd = l.row == kNone || row_times_[l.row] != time_us;
  if (!l.odd) {
    const Reach& reach = reaches_[l.row];
    for (size_t s = 0; s < kScales; ++s) l.close[s] = static_cast<uint16_t>(reach.end[s] - reach.begin[s] - 1);
    return;
  }
  const int64_t *const from = row_times_.data() + post.rows.begin, *const to = row_times_.data() + post.rows.end;
  for (size_t s = 0; s < kScales; ++s) {
    const auto rows =
        std::upper_bound(from, to, time_us + scale_us(s)) - std::lower_bound(from, to, time_us - scale_us(s));
    const bool own = l.row != kNone && std::abs(row_times_[l.row] - time_us) <= scale_us(s);
    l.close[s] = static_cast<uint16_t>(rows - own);
  }
}

}  // namespace bellwether

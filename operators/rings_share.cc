#include "operators/rings_share.h"

#include <bit>
#include <cstdlib>

#include "operators/limits.h"

namespace bellwether {
namespace {

constexpr uint64_t kPriorLikes = 4;  // how many co-likes the long-run share weighs within a window

}  // namespace

Prob ring_share(uint64_t num, uint64_t den, Prob prior) {
  return prob((num << 10) + (kPriorLikes * prior >> 20), (den + kPriorLikes) << 10);
}

RingShare::RingShare(RingBook& book, const RingPulse& pulse) : book_(book), pulse_(RingBook::kBuckets) {
  // The pulse may begin before the buckets do, or after, and end anywhere.
  const std::vector<uint32_t>& likes = pulse.likes();
  const int64_t ahead = int64_t{pulse.first()} - book.bucket_us(0) / RingBook::kBucketUs;
  const auto begin = static_cast<size_t>(std::clamp<int64_t>(ahead, 0, RingBook::kBuckets));
  size_t next = 0;
  uint64_t sum = 0;
  for (; ahead + static_cast<int64_t>(next) < 0 && next < likes.size(); ++next) sum += likes[next];
  std::fill(pulse_.begin(), pulse_.begin() + static_cast<ptrdiff_t>(begin), sum);
  const size_t end = std::min<size_t>(RingBook::kBuckets, begin + (likes.size() - next));
  for (size_t b = begin; b < end; ++b) pulse_[b] = sum, sum += likes[next++];
  std::fill(pulse_.begin() + static_cast<ptrdiff_t>(end), pulse_.end(), sum);
  for (; next < likes.size(); ++next) sum += likes[next];
  pulse_all_ = sum;
}

// From the number in each bucket to the number before each.
void RingShare::sum_up(Upto& counts) {
  uint32_t sum = 0;
  for (uint32_t& c : counts) {
    const uint32_t here = c;
    c = sum;
    sum += here;
  }
}

const std::vector<RingShare::Liked>& RingShare::begin(const std::vector<uint32_t>& members) {
  ++turn_;
  members_ = members;
  closer_ = false;
  tally_.resize(book_.posts());
  liked_.clear();
  likes_ = 0;
  for (const uint32_t user : members_) {
    const auto likes = book_.likes(user);
    likes_ += likes.size();
    uint32_t number = book_.first_like(user);
    for (const RingBook::Like& like : likes) {
      Tally& tally = tally_[like.post];
      if (tally.turn != turn_) {
        tally = {turn_, static_cast<uint32_t>(liked_.size())};
        liked_.push_back({like.post, 0, 0});
      }
      Liked& liked = liked_[tally.place];
      ++liked.likes, liked.like = number++;
    }
  }
  return liked_;
}

void RingShare::look(const std::vector<uint32_t>& block_posts) {
  member_.resize(book_.users(), 0), block_.resize(book_.posts(), 0);
  for (const uint32_t user : members_) member_[user] = turn_;
  for (const uint32_t post : block_posts) block_[post] = turn_;
  block_likes_ = !block_posts.empty();
  rest_.assign(RingBook::kBuckets, 0);
  if (block_likes_) all_.assign(RingBook::kBuckets, 0);
  for (const uint32_t user : members_) {
    for (const RingBook::Like& like : book_.likes(user)) {
      if (!block_likes_) {
        ++rest_[like.bucket];
      } else {
        ++all_[like.bucket], rest_[like.bucket] += !of_block(like.post);
      }
    }
  }
  sum_up(rest_);
  if (block_likes_) {
    sum_up(all_);
    in_block_.assign(RingBook::kBuckets, 0);
    for (const uint32_t post : block_posts) {
      const RingBook::Rows& rows = book_.rows(post);
      for (uint32_t row = rows.begin; row < rows.end; ++row)
        ++in_block_[static_cast<size_t>(floor_div(book_.row_times()[row] - book_.bucket_us(0), RingBook::kBucketUs))];
    }
    sum_up(in_block_);
  }
  plain_ = prob(likes_, std::max<uint64_t>(pulse_all_, likes_ + 1));
  find_rows();
}

void RingShare::find_rows() {
  rows_.assign(book_.row_count() / 64 + 1, 0);
  const auto mark = [&](uint32_t row) { rows_[row / 64] |= uint64_t{1} << (row % 64); };
  for (const uint32_t user : members_) {
    for (const RingBook::Like& like : book_.all_likes(user))
      if (like.row != RingBook::kNone) mark(like.row);
    for (const uint32_t row : book_.rows_alone(user)) mark(row);
  }
}

void RingShare::rows_on(uint32_t post, std::vector<uint32_t>& places) const {
  places.clear();
  const RingBook::Rows& rows = book_.rows(post);
  if (rows.count() == 0) return;
  for (uint32_t word = rows.begin / 64; word <= (rows.end - 1) / 64; ++word) {
    uint64_t bits = rows_[word];
    if (word == rows.begin / 64) bits &= ~uint64_t{0} << (rows.begin % 64);
    if (word == rows.end / 64) bits &= (uint64_t{1} << (rows.end % 64)) - 1;
    for (; bits != 0; bits &= bits - 1)
      places.push_back(word * 64 + static_cast<uint32_t>(std::countr_zero(bits)) - rows.begin);
  }
}

void RingShare::leave_out_beyond(size_t most) {
  std::array<size_t, 65> by_zeros{};  // posts by the zero bits that their hash ends with
  size_t posts = 0;
  for (const Liked& liked : liked_)
    if (left_out_[liked.post] != turn_)
      ++posts, ++by_zeros[static_cast<size_t>(std::countr_zero(book_.post_hash(liked.post)))];
  int zeros = 0;
  for (; posts > most && zeros < 64; ++zeros) posts -= by_zeros[static_cast<size_t>(zeros)];
  if (zeros == 0) return;
  for (const Liked& liked : liked_)
    if (std::countr_zero(book_.post_hash(liked.post)) < zeros) left_out_[liked.post] = turn_;
}

void RingShare::look_closer(const std::vector<uint32_t>& left_out, size_t most) {
  closer_ = true;
  left_out_.resize(book_.posts(), 0);
  for (const uint32_t post : left_out) left_out_[post] = turn_;
  leave_out_beyond(most);
  const size_t rows = book_.row_count();
  for (const Liked& liked : liked_)
    if (left_out_[liked.post] != turn_) book_.read_post(liked.post);
  member_.resize(book_.users(), 0);
  if (book_.row_count() != rows) find_rows();
  // Sums stand at the number of likes of rest_ before their bucket: there are as many places as likes, and a bucket is
  // found in rest_.
  near_.clear();
  near_.resize(rest_.back() + 1);
  for (const uint32_t user : members_) {
    for (const RingBook::Like& like : book_.likes(user)) {
      if (left_out_[like.post] == turn_) continue;
      Sums& sums = near_[rest_[like.bucket] + 1];
      for (size_t s = 0; s < RingBook::kScales; ++s) sums[s].all += like.close[s];
      if (like.odd) add_far(user, like, sums);
    }
  }
  for (const Liked& liked : liked_)
    if (left_out_[liked.post] != turn_) add_members(liked.post);
  for (size_t i = 1; i < near_.size(); ++i) {
    for (size_t s = 0; s < RingBook::kScales; ++s)
      near_[i][s].members += near_[i - 1][s].members, near_[i][s].all += near_[i - 1][s].all;
  }
  for (size_t s = 0; s < RingBook::kScales; ++s)
    overall_[s] = ring_share(near_.back()[s].members, near_.back()[s].all, plain_);
}

// The members next to a like that no row of the post stands for.
void RingShare::add_far(uint32_t member, const RingBook::Like& like, Sums& sums) const {
  const RingBook::Rows& rows = book_.rows(like.post);
  const int64_t time_us =
      book_.detail(book_.first_like(member) + static_cast<uint32_t>(&like - book_.likes(member).data())).time_us;
  for (uint32_t row = rows.begin; row < rows.end; ++row) {
    const uint32_t by = book_.row_user(row);
    if (by == member || member_[by] != turn_) continue;
    const int64_t apart = std::abs(book_.row_times()[row] - time_us);
    for (size_t s = 0; s < RingBook::kScales; ++s)
      sums[s].members += apart <= int64_t{RingLimits::kScaleS[s]} * kSecondUs;
  }
}

// The members next to each member's like of the post.
void RingShare::add_members(uint32_t post) {
  rows_on(post, places_);
  if (places_.size() < 2) return;
  const uint32_t first_row = book_.rows(post).begin;
  std::array<size_t, RingBook::kScales> begin{}, end{};
  for (const uint32_t place : places_) {
    const RingBook::Reach& reach = book_.reach(first_row + place);
    const uint32_t number = book_.row_like(first_row + place);
    std::array<uint64_t, RingBook::kScales> members;
    for (size_t s = 0; s < RingBook::kScales; ++s) {
      while (places_[begin[s]] < reach.begin[s]) ++begin[s];
      while (end[s] < places_.size() && places_[end[s]] < reach.end[s]) ++end[s];
      members[s] = end[s] - begin[s] - 1;
    }
    if (number == RingBook::kNone || number < book_.first_like(book_.row_user(first_row + place))) continue;
    const RingBook::Like& like = book_.like_of(number);
    if (like.odd) continue;
    Sums& sums = near_[rest_[like.bucket] + 1];
    for (size_t s = 0; s < RingBook::kScales; ++s) sums[s].members += members[s];
  }
}

Prob RingShare::in(const RingSpan& span, uint32_t scale, bool of_block, uint64_t rows, uint64_t members_rows) const {
  const uint64_t mine = between(rest_, span), all = likes(span);
  const uint64_t mine_there = of_block ? 0 : members_rows;
  const uint64_t all_there = (block_likes_ ? between(in_block_, span) : 0) + (of_block ? 0 : rows);
  const uint64_t others = mine - std::min(mine, mine_there);
  const Prob present = ring_share(others, std::max(all - std::min(all, all_there), others), plain_);
  if (!closer_) return present;
  const Sum &low = near_[rest_[span.from]][scale], &high = near_[rest_[span.to]][scale];
  return std::max(present, ring_share(high.members - low.members, high.all - low.all, overall_[scale]));
}

}  // namespace bellwether

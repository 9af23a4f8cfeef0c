// How likely the next like of a window is by a member of the set under test, judged by what is outside the target. Two
// views, of which the larger counts: of all likes in that time, members' share; of the likes next to a member's like
// (same post, within the scale, not a post of the block), members' share. The one knows who is there, the other who
// likes the same things anyway.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "operators/fixed.h"
#include "operators/rings_book.h"

namespace bellwether {

// A window in whole buckets of RingBook, the end not included.
struct RingSpan {
  uint32_t from = 0, to = 0;
};

// num / den, drawn towards `prior` as if a few more had been seen.
Prob ring_share(uint64_t num, uint64_t den, Prob prior);

// One set of members and the posts of their block at a time. The arrays are kept from set to set.
class RingShare {
 public:
  // A post that members like.
  struct Liked {
    uint32_t post = 0, likes = 0;
    uint32_t like = 0;  // the last one counted
  };

  RingShare(RingBook& book, const RingPulse& pulse);

  // Starts anew: what `members`, who have been read, like, in the order in which it is met.
  const std::vector<Liked>& begin(const std::vector<uint32_t>& members);
  // The first view, and members' rows. `block_posts` have been read; their likes count on neither side.
  void look(const std::vector<uint32_t>& block_posts);
  // From here on `in` takes the second view too, without the posts `left_out`, among which are the block's. It reads
  // the likers of every other post of every member; where those are more than `most`, of the posts whose hash ends with
  // as many zero bits as are needed to come within it: samples of one analysis lie within each other.
  void look_closer(const std::vector<uint32_t>& left_out, size_t most);

  // Members' rows on the post, which was read before the last look: their places from its first row on, ascending.
  void rows_on(uint32_t post, std::vector<uint32_t>& places) const;

  bool of_block(uint32_t post) const { return block_[post] == turn_; }
  // `rows` and `members_rows`: likes of the target within the span; not looked at where the target is of the block.
  Prob in(const RingSpan& span, uint32_t scale, bool of_block, uint64_t rows, uint64_t members_rows) const;
  uint64_t members_likes(const RingSpan& span) const { return between(block_likes_ ? all_ : rest_, span); }
  uint64_t members_likes() const { return likes_; }
  uint64_t likes(const RingSpan& span) const { return pulse_[span.to] - pulse_[span.from]; }
  uint64_t likes() const { return pulse_all_; }

 private:
  using Upto = std::vector<uint32_t>;  // how many before each bucket
  struct Tally {
    uint32_t turn = 0, place = 0;  // in liked_
  };
  struct Sum {
    uint64_t members = 0, all = 0;
  };
  using Sums = std::array<Sum, RingBook::kScales>;
  static uint32_t between(const Upto& upto, const RingSpan& span) { return upto[span.to] - upto[span.from]; }
  static void sum_up(Upto& counts);
  void find_rows();
  void leave_out_beyond(size_t most);
  void add_far(uint32_t member, const RingBook::Like& like, Sums& sums) const;
  void add_members(uint32_t post);

  RingBook& book_;
  std::vector<uint64_t> pulse_;
  uint64_t pulse_all_ = 0;
  std::vector<uint32_t> members_;
  std::vector<uint32_t> member_, block_, left_out_;  // by user, by post: the turn in which it was one
  uint32_t turn_ = 0;
  std::vector<Tally> tally_;  // by post
  std::vector<Liked> liked_;
  std::vector<uint64_t> rows_;  // a bit a row of the book: a member's
  bool block_likes_ = false;    // whether there are likes of the block: else all_ is rest_, and in_block_ nothing
  Upto all_, rest_, in_block_;  // members' likes; those not on the block; everybody's on the block
  uint64_t likes_ = 0;
  bool closer_ = false;
  std::vector<Sums> near_;  // before each like of rest_, by bucket
  std::array<Prob, RingBook::kScales> overall_{};
  Prob plain_ = 1;
  std::vector<uint32_t> places_;
};

}  // namespace bellwether

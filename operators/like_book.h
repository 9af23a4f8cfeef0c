// The ledger of a user's likes: every like they gave in the score window (and the 30 days before it, which halving
// looks back on), in the order folded. Decides duplicates by meaning, halving, undo and discounts. Nothing is edited in
// place: an undo is an entry of its own, a discount is a scope kept beside the entries, and what a like is worth is a
// function of both.
//
// The newest entries stand in the user's row (the open block); full blocks are written once to the ledger and named in
// the row's directory. In memory the book holds all of them. Bound: kDayLikesMax entries a day of event time, so at
// most (window + 30 + 4) * 4096; an ordinary user has some 30. An entry takes 40 bytes, 4 more in a book of more than
// 8, some 30 more in one of more than 192, by what finds it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "operators/codec.h"
#include "operators/fact.h"
#include "operators/like_numbers.h"
#include "operators/limits.h"
#include "operators/messages.h"

namespace bellwether {

// Books of likes are most of what the cache of states holds: 40 bytes, no more.
struct LikeEntry {
  uint64_t post = 0;  // key hash; 0 for a follow
  uint64_t author = 0;
  int64_t time_us = 0;
  uint64_t id_hash = 0;
  uint16_t rules = 0;  // community version at the tick that folded it
  LikeKind kind : 3 = LikeKind::kUnspecified;
  PostKind post_kind : 3 = PostKind::kUnspecified;
  bool undo : 1 = false;  // takes back the newest standing entry of the same meaning before it, or voids the next one
  bool born : 1 = false;  // of a like: voided by an undo before it; of an undo: it took back a like
  // Derived while the book is in memory:
  bool undone : 1 = false;      // of a like: a later undo took it back, or born so
  bool used : 1 = false;        // of an undo: it has met its like
  int64_t slot_ahead : 38 = 0;  // of the tick that folded it, before slot_of(time_us)

  // Of the tick that folded it.
  int64_t slot() const { return slot_of(time_us) + slot_ahead; }
  // Once time_us is set. False if the tick is more than kSlotsAhead (1,089 years) away, which no event is: their times
  // lie within the years 1678 to 2262, and ticks among them.
  static constexpr int64_t kSlotsAhead = (int64_t{1} << 37) - 1;
  bool set_slot(int64_t slot) {
    const int64_t ahead = slot - slot_of(time_us);
    slot_ahead = ahead;
    return ahead >= -kSlotsAhead && ahead <= kSlotsAhead;
  }
};
static_assert(sizeof(LikeEntry) == 40);
static_assert(LikeEntry::kSlotsAhead > (2263 - 1678) * 366 * (kDayUs / kSlotUs));

// A flag that counts against this user's likes.
struct OpenDiscount {
  uint64_t flag = 0;
  std::string flag_id;
  FlagKind kind = FlagKind::kNone;
  uint16_t authenticity = 0;
  Scope scope;
  bool covers(const LikeEntry& e) const;
};

class LikeBook {
 public:
  // Where a full block stands.
  struct Block {
    int64_t day = 0;
    uint32_t number = 0, count = 0;
  };

  bool empty() const { return entries_.empty(); }
  const std::vector<LikeEntry>& entries() const { return entries_; }
  const std::vector<OpenDiscount>& discounts() const { return discounts_; }
  const std::vector<Block>& blocks() const { return blocks_; }

  // The standing like of this meaning, or -1. `target` is the post's hash, or the followed author's.
  ptrdiff_t standing(uint64_t target, LikeKind kind) const;
  // An undo of this meaning, not used yet nor expired, that came before its like (time_us of the like at most the
  // undo's), or -1.
  ptrdiff_t undo_ahead(uint64_t target, LikeKind kind, int64_t like_time_us) const;
  bool has_id(uint64_t id_hash, int64_t since_slot) const;
  // Entries of that day of event time, undone likes and undoes too.
  uint32_t on_day(int64_t day) const;

  void append(LikeEntry entry);  // a like or an undo; links an undo with what it takes back
  // Opens it, or replaces the one of the same flag. With kUserFlagsMax open a further one is refused whole: to forget
  // an older one would leave what it took taken for good.
  void set_discount(OpenDiscount discount);
  bool end_discount(uint64_t flag);

  // What entry i is worth: with every open discount, or as if `without` were not there.
  LikeWorth worth(size_t i, uint64_t without = 0) const;
  // Whether a standing, authentic like, share or follow of the pair exists that is not expired.
  bool likes_author(uint64_t author, uint64_t without = 0) const;
  // Entries of the pair from the first that a change of entry i can touch.
  std::vector<size_t> pair(uint64_t author) const;

  // Expiry: entries whose day is <= `day` no longer hold the distinct liker. Gives the authors whose pair this ended
  // (hash, the time of the entry), at most `most`; call again while it gives `most`.
  struct Ended {
    uint64_t author;
    EventRef event;
  };
  std::vector<Ended> expire(int64_t day, size_t most, Key self);
  int64_t oldest_unexpired_day() const { return oldest_; }  // of any entry; INT64_MAX: none
  void forget(int64_t day);  // drops entries of days < `day` from memory and directory, whole blocks at a time
  // Drops the blocks filled on days < `day`, which the ledger need not have any more. To be called before they are
  // loaded and before each fold: what the book holds must not tell whether it was in memory all the time.
  void forget_blocks(int64_t day) {
    if (!blocks_.empty() && blocks_.front().day < day) forget_old_blocks(day);
  }

  // Full blocks to write: gives the bytes of the oldest open entries once there are enough; the caller writes them
  // under (day, number).
  bool seal(int64_t filling_day, Block& block, std::string& bytes);

  void fetch_ahead() const {
    if (empty()) return;
    const auto lines = [](const auto* from, size_t count) {
      const auto* bytes = reinterpret_cast<const char*>(from);
      for (size_t at = 0; at < std::min<size_t>(count * sizeof *from, 512); at += 64) __builtin_prefetch(bytes + at);
    };
    if (indexed() || !tags_.empty()) lines(&entries_.back(), 1);
    if (indexed())
      lines(index_.data(), 1);
    else if (!tags_.empty())
      lines(tags_.data(), tags_.size());
    else
      lines(entries_.data(), entries_.size());
  }
  // Of a book with tables: where the like of this target, author and id would stand, then what stands there.
  void fetch_places(uint64_t target, uint64_t author, uint64_t id_hash) const {
    if (!indexed()) return;
    const Index& index = index_.front();
    index.target.fetch(target), index.author.fetch(author), index.id.fetch(id_hash);
  }
  void fetch_found(uint64_t target, uint64_t author, uint64_t id_hash) const {
    if (!indexed()) return;
    const Index& index = index_.front();
    const auto fetch = [&](uint32_t number) {
      if (index.held(number) && index.place(number) < entries_.size())
        __builtin_prefetch(&entries_[index.place(number)]);
    };
    index.target.candidates(target, fetch), index.author.candidates(author, fetch), index.id.candidates(id_hash, fetch);
  }
  void write(Writer& w) const;  // open block, directory, discounts, expiry cursor
  bool read(Reader& r);
  // The entries of a block as seal() wrote it, in the order folded. False where the bytes are broken.
  static bool read_block(std::string_view bytes, std::vector<LikeEntry>& out);
  // Adds a block read back from the ledger; in directory order, all before the first other use.
  bool add_block(std::string_view bytes);
  bool loaded() const { return loaded_; }
  void finish_loading();
  // For comparisons, of a loaded book, which is good for nothing but write() then: as if its entries had never been cut
  // into blocks, those of days < `day` left out.
  void take_as_open(int64_t day);
  size_t memory() const;  // bytes taken beside the book itself

 private:
  // In a book larger than a scan is cheap. Entries are numbered from the last building on, so that forgetting the
  // oldest leaves the tables as they are.
  struct Index {
    LikeNumbers target, author, id;  // the newest entry of each
    struct Before {
      uint32_t target, author;  // number of the one before it, or LikeNumbers::kNone
    };
    std::vector<Before> before;  // beside each entry
    struct Day {
      int32_t day = 0;
      uint32_t count = 0;
      uint32_t first = 0;  // number of the first of them
    };
    std::vector<Day> days;  // in order
    size_t forgotten = 0;
    bool held(uint32_t number) const { return number >= forgotten; }
    size_t place(uint32_t number) const { return number - forgotten; }
    std::vector<Day>::const_iterator first_of(int64_t day) const;  // the first not before `day`
    void count(int64_t day, uint32_t number);
  };
  bool indexed() const { return !index_.empty(); }
  static const uint64_t& target_of(const LikeEntry& e) { return e.kind == LikeKind::kFollow ? e.author : e.post; }
  static const uint64_t& author_of(const LikeEntry& e) { return e.author; }
  static const uint64_t& id_of(const LikeEntry& e) { return e.id_hash; }
  // What the tables of the index ask for.
  template <const uint64_t& (*key)(const LikeEntry&)>
  struct KeyOf {
    const LikeBook& book;
    const uint64_t* operator()(uint32_t number) const {
      const Index& index = book.index_.front();
      return index.held(number) ? &key(book.entries_[index.place(number)]) : nullptr;
    }
  };
  using TargetOf = KeyOf<target_of>;
  using AuthorOf = KeyOf<author_of>;
  using IdOf = KeyOf<id_of>;
  bool counts_for_pair(const LikeEntry& e) const {
    return !e.undo && (e.kind == LikeKind::kLike || e.kind == LikeKind::kShare || e.kind == LikeKind::kFollow);
  }
  uint16_t authenticity(const LikeEntry& e, uint64_t without) const;
  void forget_old_blocks(int64_t day);
  void drop_front(size_t entries, size_t blocks);
  void link(size_t i, bool fresh);
  static uint32_t tag_of(const LikeEntry& e);
  void find_by(size_t i);  // enters it where entries are found
  void build_index();
  static void write_entries(Writer& w, const LikeEntry* from, const LikeEntry* to);
  static bool read_entries(Reader& r, std::vector<LikeEntry>& out);

  // Calls each(place) for the entries of one target or author among the first `below`, newest first, until it is false;
  // tagged() also for some that are another's.
  template <class Each>
  void of_target(uint64_t target, size_t below, Each&& each) const;
  template <class Each>
  void of_author(uint64_t author, size_t below, Each&& each) const;
  template <class Each>
  void tagged(uint32_t tag, uint32_t mask, size_t below, Each&& each) const;
  template <class Each>
  void chained(uint32_t newest, uint32_t Index::Before::*before, size_t below, Each&& each) const;
  template <class Each>
  void of_day(int64_t day, Each&& each) const;  // in order
  int64_t find_oldest() const;

  std::vector<LikeEntry> entries_;  // sealed first, then open
  size_t sealed_ = 0;               // how many of entries_ are in full blocks
  std::vector<Block> blocks_;
  std::vector<OpenDiscount> discounts_;
  int64_t expired_day_ = INT64_MIN;  // all entries of days <= this are expired
  int64_t oldest_ = INT64_MAX;       // day of the oldest entry that is not
  uint32_t next_number_ = 0;
  bool loaded_ = true;
  // How entries are found. In a small book by a word beside each, a few bits of its target, author and id: a scan of
  // the words is a scan of a few cache lines, and seldom stops at an entry that is another's. In a smaller one by
  // nothing.
  std::vector<uint32_t> tags_;
  std::vector<Index> index_;  // the one of a large book; none in a small one, which need not carry its size
};

}  // namespace bellwether

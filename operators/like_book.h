// The ledger of a user's likes: every like they gave in the score window (and the 30 days before it, which halving
// looks back on), in the order folded. Decides duplicates by meaning, halving, undo and discounts. Nothing is edited in
// place: an undo is an entry of its own, a discount is a scope kept beside the entries, and what a like is worth is a
// function of both.
//
// The newest entries stand in the user's row (the open block); full blocks are written once to the ledger and named in
// the row's directory. In memory the book holds all of them. Bound: kDayLikesMax entries a day of event time, so at
// most (window + 30 + 4) * 4096; an ordinary user has some 30.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string>
#include <vector>

#include "operators/codec.h"
#include "operators/fact.h"
#include "operators/limits.h"
#include "operators/messages.h"

namespace bellwether {

struct LikeEntry {
  uint64_t post = 0;  // key hash; 0 for a follow
  uint64_t author = 0;
  int64_t time_us = 0;
  uint64_t id_hash = 0;
  int64_t slot = 0;    // of the tick that folded it
  uint16_t rules = 0;  // community version at that tick
  LikeKind kind = LikeKind::kUnspecified;
  PostKind post_kind = PostKind::kUnspecified;
  bool undo = false;  // takes back the newest standing entry of the same meaning before it, or voids the next one
  bool born = false;  // of a like: voided by an undo before it; of an undo: it took back a like
  // Derived while the book is in memory:
  bool undone = false;                                  // of a like: a later undo took it back, or born so
  bool used = false;                                    // of an undo: it has met its like
  uint32_t before_of_target = 0, before_of_author = 0;  // number + 1 of the one before it in an indexed book; 0: none
};

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
  int64_t oldest_unexpired_day() const;  // of any entry; INT64_MAX: none
  void forget(int64_t day);  // drops entries of days < `day` from memory and directory, whole blocks at a time

  // Full blocks to write: gives the bytes of the oldest open entries once there are enough; the caller writes them
  // under (day, number).
  bool seal(int64_t filling_day, Block& block, std::string& bytes);

  void fetch_ahead() const {
    if (empty()) return;
    __builtin_prefetch(entries_.data());
    __builtin_prefetch(entries_.data() + entries_.size() - 1);
    __builtin_prefetch(by_day_.data());  // null where full blocks are not loaded yet: no harm
  }
  void write(Writer& w) const;  // open block, directory, discounts, expiry cursor
  bool read(Reader& r);
  // Adds a block read back from the ledger; in directory order, all before the first other use.
  bool add_block(std::string_view bytes);
  bool loaded() const { return loaded_; }
  void finish_loading();
  size_t memory() const;

 private:
  bool counts_for_pair(const LikeEntry& e) const {
    return !e.undo && (e.kind == LikeKind::kLike || e.kind == LikeKind::kShare || e.kind == LikeKind::kFollow);
  }
  uint16_t authenticity(const LikeEntry& e, uint64_t without) const;
  void link(size_t i, bool fresh);
  void index(size_t i);
  void build_index();
  static void write_entries(Writer& w, const LikeEntry* from, const LikeEntry* to);
  static bool read_entries(Reader& r, std::vector<LikeEntry>& out);
  static uint64_t target_of(const LikeEntry& e) { return e.kind == LikeKind::kFollow ? e.author : e.post; }

  std::vector<LikeEntry> entries_;  // sealed first, then open
  size_t sealed_ = 0;               // how many of entries_ are in full blocks
  std::vector<Block> blocks_;
  uint32_t next_number_ = 0;
  std::vector<OpenDiscount> discounts_;
  int64_t expired_day_ = INT64_MIN;  // all entries of days <= this are expired
  bool loaded_ = true;
  // Built once the book is larger than a scan is cheap.
  bool indexed_ = false;
  // Entries are numbered from the last building on, so that forgetting the oldest leaves the maps as they are.
  bool held(uint32_t number) const { return number >= forgotten_; }
  size_t place(uint32_t number) const { return number - forgotten_; }
  // Calls each(place) for the entries of one target or author, newest first, until it returns false.
  template <class Each>
  void newest_first(const absl::flat_hash_map<uint64_t, uint32_t>& last, uint32_t LikeEntry::*before, uint64_t key,
                    Each&& each) const;
  template <class Each>
  void of_target(uint64_t target, Each&& each) const {
    newest_first(by_target_, &LikeEntry::before_of_target, target, each);
  }
  template <class Each>
  void of_author(uint64_t author, Each&& each) const {
    newest_first(by_author_, &LikeEntry::before_of_author, author, each);
  }
  size_t forgotten_ = 0;
  absl::flat_hash_map<uint64_t, uint32_t> by_target_, by_author_;  // number + 1 of the newest
  absl::flat_hash_map<uint64_t, uint32_t> by_id_;
  struct Dated {
    int64_t day;
    uint32_t number;
    auto operator<=>(const Dated&) const = default;
  };
  std::vector<Dated>::const_iterator first_of_day(int64_t day) const;
  std::vector<Dated> by_day_;  // every entry, in order
};

}  // namespace bellwether

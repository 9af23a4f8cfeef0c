// The home of posts: what was written, what became of it (accepted, featured, adopted, …), who liked it. Credits the
// author. A like comes here from its liker's home, already judged; the post says by which rule it earns and names the
// co-likers (D2).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "operators/operator.h"
#include "operators/rings.h"
#include "operators/seen.h"

namespace bellwether {

// One like of the post, as the ring test reads it.
struct PostLike {
  uint64_t liker = 0;
  int64_t time_us = 0;
  uint64_t id_hash = 0;
  bool gone = false;  // an undo: the liker's earlier one no longer stands
};

// Bound: kActionsMax credits (older ones can no longer be taken back), 24 bytes an event of 7 days,
// RingLimits::kTargetBytes, likes 64 open ones here and the rest in ledger blocks, 3 bytes a block of 64..1024.
struct PostsState final : State {
  static constexpr size_t kActionsMax = 32, kKindsMax = 4, kTopicsMax = 8;
  struct Kind {
    int64_t slot = 0;
    PostKind kind = PostKind::kUnspecified;
  };               // in force from that tick on
  struct Action {  // standing credit of an action
    PostAction action = PostAction::kUnspecified;
    RuleId rule = RuleId::kNone;
    uint16_t rules = 0;
    int64_t time_us = 0;
    uint64_t id_hash = 0;
    uint64_t user = 0;  // who got it
  };
  struct Block {
    int64_t day = 0;
    uint32_t number = 0, count = 0;
  };

  std::string id;
  std::string author_id;
  uint64_t author = 0;
  uint64_t parent = 0;
  int64_t published_us = 0;  // 0: not seen published
  bool removed = false;
  std::vector<Kind> kinds;
  std::vector<std::string> topics;
  std::vector<Action> actions;
  uint16_t standing = 0;  // bit a: PostAction a has been done and not taken back
  std::array<int64_t, 12>
      done{};  // of the standing ones: the slot in which it was done; past the window it may be said again
  Seen seen;
  uint32_t likes = 0, shares = 0, dislikes = 0, views = 0, replies = 0;
  TargetLikers likers;
  std::vector<PostLike> open;  // newest likes, in fold order
  std::vector<Block> blocks;
  uint32_t next_number = 0;

  PostKind kind_as_of(int64_t slot) const;
  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override;
  bool forget(Key key, const Erased& erased) override;
  bool blank() const override { return false; }
  void fetch_ahead() const override { __builtin_prefetch(open.data() + open.size(), 1), likers.fetch_ahead(); }
  static std::vector<PostLike> read_block(std::string_view bytes);
};

const Operator& posts_operator();

}  // namespace bellwether

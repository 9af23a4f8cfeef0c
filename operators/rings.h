// D2: rings, accounts that like the same targets in lockstep. Four pure parts:
//   TargetLikers  state of a post: who liked it of late; one message a like names up to 16 co-likers to the new liker
//   CoLikers      state of a user: the 32 co-likers with most evidence; reports pairs that beat chance
//   RingEvidence  state of the community: the reported pairs, bounded; says when a look is due
//   find_rings    the analysis: peel the graph of pairs, test the blocks left over against the like ledger
// The way of a like (kind LIKE, applied, not one's own post; an undo only calls TargetLikers::on_undo):
//   liker's home:  LikerSeen seen = colikers.on_like(user, time, &counts)           -> message to the post
//   post:          optional<PairMessage> m = target.on_like(post, author, seen, &counts)  -> message to the liker, if
//   any liker:         optional<EdgeReport> r = colikers.on_pairs(*m, figures, &counts) -> message to the community
//   key, if any community:     evidence.on_report(*r) event hour's first tick, or urgent(): if (evidence.due(now))
//   input = evidence.take_input(now); if it is not empty, its figures
//                  and pulse are filled in, it is stored, find_rings runs in the background, its findings come at a
//                  later tick
// RingCounts are summed over the community by epoch of the tick's time, and the likes by RingPulse::bucket of it; the
// sums (RingFigures, RingPulse) need not be of the very tick. Pair evidence is a Poisson likelihood ratio of co-likes
// counted in episodes against exposure times the other's share of all likes. Every number that decides is an integer or
// fixed point; nothing depends on the order of edges or of callbacks.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/function_ref.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "operators/codec.h"
#include "operators/fixed.h"

namespace bellwether {

// Bounds stand together. Times inside states are unsigned seconds since 1970 (earlier times count as 0).
struct RingLimits {
  static constexpr uint32_t kWindowS = 14 * 86400;       // how long a post remembers a liker
  static constexpr uint32_t kRecent = 32, kLowest = 32;  // likers a post holds: the newest, and those of lowest hash
  static constexpr uint32_t kNamed = 16;                 // co-likers a message names
  static constexpr uint32_t kPartners = 32;              // co-likers a user holds; the weakest leaves first
  static constexpr uint32_t kEpochS = 45 * 86400;        // evidence counts in the current and the previous epoch
  static constexpr uint32_t kEpisodeS = 3600;  // a co-like so soon after the pair's last one does not count again
  static constexpr uint32_t kScales = 3;
  static constexpr std::array<uint32_t, kScales> kScaleS = {600, 86400, 14 * 86400};
  static constexpr uint32_t kEdges = 16384;        // pairs the community holds; the weakest leave first
  static constexpr uint32_t kBlockS = 75 * 86400;  // how far back the block test looks
  static constexpr uint32_t kBucketS = 600;        // the community's likes are counted by so much time
  static constexpr uint32_t kBuckets = kBlockS / kBucketS + 1;
  static constexpr uint32_t kSeeds = 64;         // users the test starts from at once
  static constexpr uint32_t kGroups = 8;         // so many times in one component
  static constexpr uint32_t kBlockLikes = 2048;  // likes of one user that the test reads, the newest
  static constexpr uint32_t kBlockRounds = 8;
  static constexpr uint32_t kPostLikers = 8192;  // likers of one post that the test reads, the newest
  // The next look waits until the community has made a like for so much work (RingWork) of the last one, beyond what
  // is free.
  static constexpr uint64_t kWorkPerLike = 288, kFreeWork = 1 << 20;
  // A pair enters the graph above kEdgeMin; a user stays in it with so many partners and so much evidence above that.
  static constexpr Nats kEdgeMin = kNat * 3 / 2;
  static constexpr uint32_t kPartnersMin = 3;
  static constexpr Nats kUserMin = kNat * 6;
  static constexpr Nats kStepMin = kNat * 24;          // new evidence of a user worth a look, at least
  static constexpr uint32_t kEdgeLifeS = 2 * kEpochS;  // a pair not reported again so long is forgotten
  static constexpr uint32_t kFreshUsers = 4;           // users with new evidence that are worth a look after kLookS,
  static constexpr uint32_t kSoonUsers = 48;           // at the next hour,
  static constexpr uint32_t kUrgentUsers = 256;        // at once
  static constexpr uint32_t kLookS = 86400;
  // Bytes encoded, at most.
  static constexpr size_t kTargetBytes = 16 + (kRecent + kLowest) * 17;
  static constexpr size_t kUserBytes = 64 + kPartners * 36;
  static constexpr size_t kCommunityBytes = 256 + size_t{kEdges} * 56;
};

// What a fold adds to the community's sums; adding is exact and associative.
struct RingCounts {
  uint64_t likes = 0;
  uint64_t users = 0;  // users with their first like of an epoch
  uint64_t posts = 0;  // posts with their first like
  std::array<uint64_t, RingLimits::kScales>
      pairs{};  // co-likes by gap: <= 10 min, <= 1 d (the former too), <= 14 d (all)
  void add(const RingCounts& other);
  bool empty() const { return likes == 0 && users == 0 && posts == 0 && pairs[2] == 0; }
  friend bool operator==(const RingCounts&, const RingCounts&) = default;
  void encode(std::string& out) const;
  static std::optional<RingCounts> decode(std::string_view in);
};

// The community's sums of the current and the previous epoch. The default makes CoLikers report nothing.
struct RingFigures {
  uint32_t epoch = 0;
  std::array<RingCounts, 2> counts;
  // Sums over epoch `epoch` and the one before it, as far as known.
  RingCounts over(uint32_t epoch) const;
  friend bool operator==(const RingFigures&, const RingFigures&) = default;
  void encode(std::string& out) const;
  static std::optional<RingFigures> decode(std::string_view in);
};

// Liker's home -> post.
struct LikerSeen {
  uint64_t user = 0;
  uint32_t time_s = 0;
  uint32_t degree = 0;  // the user's likes in the current and the previous epoch, this one too
};

// Post -> liker.
struct PairMessage {
  struct Liker {
    uint64_t user;
    uint32_t time_s;
    uint32_t degree;
  };
  uint64_t post = 0, author = 0;
  uint32_t time_s = 0;  // of the new like
  uint32_t held = 0;    // likers the post held, named or not: the exposure
  uint32_t named = 0;
  std::array<Liker, RingLimits::kNamed> likers;
  void encode(std::string& out) const;
  static std::optional<PairMessage> decode(std::string_view in);
};

// User -> community key.
struct EdgeReport {
  struct Edge {
    uint64_t other;
    Nats llr;  // evidence of this direction (user came second)
  };
  uint64_t user = 0;
  uint32_t time_s = 0;
  uint32_t count = 0;
  std::array<Edge, RingLimits::kNamed> edges;
  void encode(std::string& out) const;
  static std::optional<EdgeReport> decode(std::string_view in);
};

// State of a post.
class TargetLikers {
 public:
  // `post` and `author` are echoed. Nothing if no earlier liker is held. A liker already held is only refreshed.
  std::optional<PairMessage> on_like(uint64_t post, uint64_t author, const LikerSeen& seen, RingCounts* counts);
  // The same where nobody looks for rings: only counts, and holds nobody.
  void count_like(uint32_t time_s, RingCounts* counts);
  void on_undo(uint64_t user);
  void fetch_ahead() const { __builtin_prefetch(recent_.data()), __builtin_prefetch(lowest_.data()); }
  uint32_t likes() const { return likes_; }      // ever, undone ones too
  uint32_t first_s() const { return first_s_; }  // time of the first like
  bool idle(uint32_t now_s) const;               // holds nobody any more: the state may go
  size_t bytes() const;                          // memory held
  void encode(std::string& out) const;
  static std::optional<TargetLikers> decode(std::string_view in);
  friend bool operator==(const TargetLikers&, const TargetLikers&) = default;

 private:
  struct Held {
    uint64_t user;
    uint32_t time_s;
    uint32_t degree;
    friend bool operator==(const Held&, const Held&) = default;
  };
  std::vector<Held> recent_;  // oldest first
  std::vector<Held> lowest_;  // pushed out of recent_, lowest hash first
  uint32_t likes_ = 0, first_s_ = 0;
};

// State of a user.
class CoLikers {
 public:
  LikerSeen on_like(uint64_t user, int64_t time_us, RingCounts* counts);
  // `figures` is asked only if a pair was seen before: for few of the messages.
  std::optional<EdgeReport> on_pairs(uint64_t user, const PairMessage& message,
                                     absl::FunctionRef<RingFigures()> figures, RingCounts* counts);
  std::optional<EdgeReport> on_pairs(uint64_t user, const PairMessage& message, const RingFigures& figures,
                                     RingCounts* counts) {
    return on_pairs(
        user, message, [&] { return figures; }, counts);
  }
  uint32_t degree() const { return degree_[0] + degree_[1]; }
  size_t partners() const { return partners_.size(); }
  void fetch_ahead() const {
    const char* const at = reinterpret_cast<const char*>(partners_.data());
    for (size_t n = 0; n < std::min<size_t>(partners_.size() * sizeof(Partner), 512); n += 64)
      __builtin_prefetch(at + n);
  }
  size_t bytes() const;  // memory held
  void encode(std::string& out) const;
  static std::optional<CoLikers> decode(std::string_view in);
  friend bool operator==(const CoLikers&, const CoLikers&) = default;

 private:
  struct Partner {
    uint64_t user = 0;
    uint32_t mine_s = 0, theirs_s = 0;  // times of the pair's last co-like
    uint16_t degree = 0;                // as last heard, saturating
    uint16_t reported_q4 = 0;           // evidence last reported, nats times 16
    std::array<uint8_t, RingLimits::kScales> now{},
        before{};  // episodes by gap (cumulative), this epoch and the one before
    friend bool operator==(const Partner&, const Partner&) = default;
  };
  class Weakness;
  void turn(uint32_t time_s);
  std::vector<Partner> partners_;       // by user
  std::array<uint32_t, 2> degree_{};    // this epoch, the one before
  std::array<uint32_t, 2> exposure_{};  // likers that were on the user's targets before them
  uint32_t epoch_ = 0;
};

// The community's likes by ten minutes over the last 75 days: how much was going on when a window was open.
class RingPulse {
 public:
  void add(uint32_t time_s, uint64_t likes);
  uint32_t first() const { return first_; }                      // number of the first bucket held
  const std::vector<uint32_t>& likes() const { return likes_; }  // of each bucket from there on, up to the newest
  static uint32_t bucket(uint32_t time_s) { return time_s / RingLimits::kBucketS; }
  void encode(Writer& w) const;
  bool decode(Reader& r);
  friend bool operator==(const RingPulse&, const RingPulse&) = default;

 private:
  uint32_t first_ = 0;           // bucket number of likes_[0]
  std::vector<uint32_t> likes_;  // at most kBuckets * 9 / 8
};

// What an analysis needs besides the ledger: the peeled graph of pairs around new evidence.
struct RingInput {
  struct Edge {
    uint64_t a, b;  // a < b
    Nats llr;
    friend bool operator==(const Edge&, const Edge&) = default;
  };
  int64_t as_of_us = 0;
  RingFigures figures;
  RingPulse pulse;
  std::vector<Edge> edges;      // by (a, b)
  std::vector<uint64_t> fresh;  // users whose evidence grew since the last analysis, ascending
  bool empty() const { return edges.empty(); }
  void encode(std::string& out) const;
  static std::optional<RingInput> decode(std::string_view in);
};

// State of the community key.
class RingEvidence {
 public:
  void on_report(const EdgeReport& report);
  // Whether enough users' evidence grew since the last take_input to be worth a look: ask it at an event hour's first
  // tick. O(1). A few users wait until a day has passed since the last look: each look is another chance for a false
  // alarm.
  bool due(int64_t now_us) const;
  // Whether so much grew that the hour need not be waited for.
  bool urgent() const;
  // Drops what expired, peels, and gives the components that hold fresh users; they count as looked at. May be empty.
  // The caller fills in `figures` and `pulse`.
  RingInput take_input(int64_t now_us);
  size_t edges() const { return edges_.size(); }
  void encode(std::string& out) const;
  static std::optional<RingEvidence> decode(std::string_view in);

 private:
  struct Edge {
    Nats up = 0, down = 0;  // reported by the lower, by the higher hash
    uint32_t time_s = 0;
  };
  struct User {
    Nats sum = 0;   // of (llr - threshold) over strong edges
    Nats seen = 0;  // the sum at the last look
    uint32_t strong = 0;
    bool fresh = false;
  };
  using Pair = std::pair<uint64_t, uint64_t>;  // lower hash first
  void change(const Pair& pair, Nats before, Nats after);
  void credit(uint64_t user, Nats before, Nats after);
  void judge(User& user);
  void shrink();
  absl::flat_hash_map<Pair, Edge> edges_;
  absl::flat_hash_map<uint64_t, User> users_;  // of the edges; made anew when decoded, but for `seen`
  uint32_t fresh_ = 0;                         // users whose `fresh` is set
  uint32_t looked_s_ = 0;                      // time of the last take_input
};

// One like, as the ledger knows it.
struct RingLike {
  uint64_t liker = 0, post = 0, author = 0;
  int64_t time_us = 0;
  uint64_t id_hash = 0;
  friend bool operator==(const RingLike&, const RingLike&) = default;
  friend auto operator<=>(const RingLike&, const RingLike&) = default;
};

// The like ledger as of the input's tick: applied likes that stand (not undone, kind LIKE, not of own posts), in any
// order. Of a post's likes those folded before the last RingLimits::kPostLikers may be left out.
class LedgerView {
 public:
  virtual ~LedgerView() = default;
  virtual void likes_of(uint64_t user, int64_t from_us, int64_t to_us,
                        absl::FunctionRef<void(const RingLike&)> each) const = 0;
  virtual void likers_of(uint64_t post, int64_t from_us, int64_t to_us,
                         absl::FunctionRef<void(uint64_t user, int64_t time_us)> each) const = 0;
  // When the post was published, or its first like if that is not known; 0 if neither.
  virtual int64_t post_birth_us(uint64_t post) const = 0;
};

struct RingTarget {
  uint64_t post = 0, author = 0;
  friend bool operator==(const RingTarget&, const RingTarget&) = default;
  friend auto operator<=>(const RingTarget&, const RingTarget&) = default;
};

struct RingFinding {
  std::vector<uint64_t> members;    // ascending
  std::vector<RingTarget> targets;  // ascending
  int64_t score_milli = 0;          // nats x 1000 by which the block beats chance, after paying for its choice
  uint32_t odds = 0;                // members' odds of liking a target against those of others who like targets
  uint32_t density_permille = 0;    // of member x target pairs that were liked in the target's window
  uint32_t confidence_permille =
      0;  // 1000 - 500 * 2^-((score - score_min) / 14 nats): 500 at the threshold, 750 at 14 nats above
  std::vector<RingLike> evidence;  // every like of a member on a target, by (liker, post, …)
};

// What an analysis took, the same wherever it runs: 4 for a like read from the ledger, 64 for a user or post, 1 for
// each of the steps through arrays that a round of the block test is made of.
using RingWork = uint64_t;

// How much one round of the block test looks at. Beyond it what tells most is taken, equal ones by hash; members who
// like ten thousands of posts would have an analysis read a good part of the ledger.
struct RingBounds {
  uint32_t candidates = 8192;    // posts that may become targets: those that most members like
  uint32_t targets = 4096;       // of a block, those that gain most; at least the configured targets_min
  uint32_t likers = 8192;        // users who may become members: those with most of the targets
  uint32_t closer_posts = 8192;  // posts on which members' share is counted: a sample by hash, 2^-k of them
};

// Blocks above the configured thresholds, by falling score; no two of them are the same ring (same_ring).
// Deterministic. `work`, where given, gets what it took.
std::vector<RingFinding> find_rings(const RingInput& input, const LedgerView& ledger, const RingsConfig& config,
                                    const RingBounds& bounds = {}, RingWork* work = nullptr);

// Whether two findings speak of one ring: at least half of the smaller one's members are in the other. Both ascending.
bool same_ring(const std::vector<uint64_t>& members_a, const std::vector<uint64_t>& members_b);

}  // namespace bellwether

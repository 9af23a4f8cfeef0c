// What a call reads: one published tick, with what is worked out over it once for all calls (boards, ranks,
// percentiles), and a look-up of its own for states and names.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/flags.h"
#include "operators/people.h"
#include "operators/posts.h"
#include "operators/scores.h"
#include "pipeline/engine/published.h"

namespace bellwether {

// A list of users by score: 0..3 the capabilities, from 4 on the profiles in configured order.
using BoardNumber = size_t;
constexpr BoardNumber kOverallBoard = kCapabilities;

// Where a user stands on a board. Places are ordered by cell, sum, hash: the best has the largest.
struct Place {
  uint32_t cell = 0;
  uint128 sum = 0;  // over base block `base`; 0 where the order is by cell only
  int64_t base = 0;
  uint64_t user = 0;  // key hash
};

struct Rank {
  uint32_t rank = 0;  // 1 is the best; 0: no such score
  bool exact = false;
};

class Reading {
 public:
  // `before`: an earlier one, whose lists go on as lists of this one as far as it is known who moved since; may be
  // null.
  explicit Reading(std::shared_ptr<const Published> at, const Reading* before = nullptr) : at_(std::move(at)) {
    if (before != nullptr) inherit(*before);
  }

  const Published& at() const { return *at_; }
  const CommunityConfig& community() const { return at_->community(); }
  RulesOf rules() const {
    return [this](uint16_t n) -> const CommunityConfig& { return at_->versions().at(n).config; };
  }
  int64_t now_us() const { return at_->now_us(); }

  size_t boards() const { return std::min(kBoardsMax, kCapabilities + community().profiles.size()); }
  const CellTable& cells(BoardNumber board) const;
  Place place(const ScoresState& scores, uint64_t user, BoardNumber board) const;
  Rank rank(const ScoresState& scores, uint64_t user, BoardNumber board, Status& status) const;
  // Users at or below, of 1,000 with such a score; 0 without one.
  uint32_t percentile_permille(const ScoresState& scores, BoardNumber board) const;
  // Walks a board from behind `after` on, the best first or the worst first; `exact`: places stand in exact order here.
  Status walk(BoardNumber board, bool best_first, const std::optional<Place>& after,
              const std::function<bool(const Place&, bool exact)>& visit) const;

  // Makes the lists that exact ranks need, those that are not there yet, until `stop`: so that no call waits for one.
  void prepare(const std::function<bool()>& stop) const;
  // Lists that the next one could go on with.
  size_t lists() const {
    const std::lock_guard lock(mutex_);
    return sorted_.size();
  }
  // Those that were not made here, but gone on with; for tests.
  size_t lists_inherited() const { return inherited_; }

 private:
  using Sorted = std::shared_ptr<const std::vector<Place>>;
  using Lists = std::map<std::pair<BoardNumber, uint32_t>, Sorted>;
  void inherit(const Reading& before);
  // The users of a cell, the best first; null where there are too many to sort.
  Sorted sorted(BoardNumber board, uint32_t cell, Status& status) const;

  const std::shared_ptr<const Published> at_;
  mutable std::mutex mutex_;
  // What many calls ask for at once, after each commit, is made by one of them.
  mutable std::array<std::mutex, kBoardsMax> making_;
  mutable Lists sorted_;
  mutable size_t sorted_places_ = 0;
  size_t inherited_ = 0;
};

// States and names for one call; one thread. An error of the store stays in status() and what was asked for is absent.
class Lookup {
 public:
  explicit Lookup(std::shared_ptr<const Reading> reading) : reading_(std::move(reading)) {}

  const Reading& reading() const { return *reading_; }
  const Published& at() const { return reading_->at(); }
  const Status& status() const { return status_; }
  Status& status() { return status_; }

  // Null where nothing is known. Valid until forget().
  const ScoresState* scores(uint64_t user) { return find<ScoresState>(OperatorId::kScores, {KeyKind::kUser, user}); }
  const PeopleShown* people(uint64_t user);
  const PostsState* post(uint64_t post) { return find<PostsState>(OperatorId::kPosts, {KeyKind::kPost, post}); }
  const FlagsState* flag(uint64_t flag) { return find<FlagsState>(OperatorId::kFlags, {KeyKind::kFlag, flag}); }
  // The like of that event, also where it stands in the ledger.
  std::optional<LikeEntry> like(uint64_t user, int64_t time_us, uint64_t id_hash);
  // The id's text; empty where it is not known.
  std::string name(Key key);
  std::string user_name(uint64_t user) { return name({KeyKind::kUser, user}); }
  std::string post_name(uint64_t post) { return name({KeyKind::kPost, post}); }
  // Names of one look stay known for the whole call; states go.
  void forget() { states_.clear(), people_.clear(), blocks_.clear(); }

 private:
  template <class S>
  const S* find(OperatorId op, Key key) {
    const auto [it, fresh] = states_.try_emplace(StateKey{op, key});
    if (fresh) it->second = at().state(op, key, status_);
    return static_cast<const S*>(it->second.get());
  }
  std::shared_ptr<const Reading> reading_;
  std::map<StateKey, std::unique_ptr<State>> states_;
  std::map<uint64_t, std::optional<PeopleShown>> people_;
  std::map<std::pair<uint64_t, uint32_t>, std::vector<LikeEntry>> blocks_;  // of users' books, by number
  std::map<Key, std::string> names_;
  Status status_;
};

}  // namespace bellwether

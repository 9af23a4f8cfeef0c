// The first half of the naive recomputation: which tick each record belongs to, what became of it at its home, and the
// plain lists of what scores hear of.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "operators/hash.h"
#include "operators/limits.h"
#include "tests/model/naive.h"

namespace bellwether::model {

constexpr int64_t kNever = INT64_MAX;

// A like (share, follow, …) that its liker's home took, undone or not.
struct Like {
  std::string liker, author, post;
  LikeKind kind = LikeKind::kUnspecified;
  PostKind said_kind = PostKind::kUnspecified;
  int64_t time_us = 0, slot = 0;
  uint64_t id_hash = 0;
  size_t rank = 0;              // in the order folded
  bool voided = false;          // an undo was there before it
  int64_t taken_slot = kNever;  // when an undo took it back
  const std::string& target() const { return kind == LikeKind::kFollow ? author : post; }
  int64_t day() const { return day_of(time_us); }
  bool contact() const {
    return !voided && (kind == LikeKind::kLike || kind == LikeKind::kShare || kind == LikeKind::kFollow);
  }
  int round() const { return kind == LikeKind::kFollow ? 1 : 2; }  // liker -> author, or liker -> post -> author
};

// Points that come once, or go: what is not a like.
struct Credit {
  std::string user;
  RuleId rule = RuleId::kNone;
  int64_t day = 0, count = 1, times = 1;
  int64_t slot = 0;
  int round = 1;
};

// A certificate, exam or role; or its end.
struct Gate {
  std::string user, name;
  AccountAction action = AccountAction::kUnspecified;
  int64_t time_us = 0, slot = 0, expires_us = 0;
  bool revoked = false;
  size_t rank = 0;
  RuleId rule() const {
    return action == AccountAction::kCertified    ? RuleId::kCertificate
           : action == AccountAction::kExamPassed ? RuleId::kExam
                                                  : RuleId::kNone;
  }
};

// Something a user did, as their scores hear of it: from the user's own home only the first of a day.
struct Act {
  std::string user;
  int64_t time_us = 0, slot = 0;
};

class Decided {
 public:
  Decided(const std::vector<Event>& events, const World& world);

  std::vector<Fate> fates;
  std::set<std::string> names;  // of users
  std::vector<Like> likes;      // of each liker in the order folded
  std::vector<Credit> credits;
  std::vector<Gate> gates;  // of each user in the order folded
  std::vector<Act> acts;

  // A day leaves the window at its end, the window and hours of the user's own later.
  int64_t own_hours(const std::string& user) const;
  int64_t leaves_us(int64_t day, const std::string& user) const;
  int64_t leaves_slot(int64_t day, const std::string& user) const;  // the first tick at or after that
  bool left(int64_t day, const std::string& user, int64_t now_us) const { return leaves_us(day, user) <= now_us; }

  // Whether a like stands after the facts of that tick.
  bool stands(const Like& like, int64_t slot) const {
    return !like.voided && like.slot <= slot && like.taken_slot > slot;
  }
  PostKind kind_of(const Like& like) const;

  bool granted_anew(const Gate& gate) const;  // not renewed, not a revocation: it earns
  // Whether, of the gates folded in ticks up to `slot`, this one founded what is held at `now_us`; and until when
  // (kNever: for good).
  bool holds(const Gate& gate, int64_t slot, int64_t now_us) const { return holding(gate, slot, now_us).first; }
  int64_t expires(const Gate& gate, int64_t slot, int64_t now_us) const { return holding(gate, slot, now_us).second; }

 private:
  struct Fact {
    const Event* event = nullptr;
    size_t record = 0;
    int64_t time_us = 0, slot = 0;
    uint64_t id_hash = 0;
    uint64_t content = 0;  // hash of its bytes
    bool late = false, same_id = false, applied = false;
  };
  using Facts = std::vector<Fact>;
  struct Said {  // who wrote a post
    int64_t slot;
    int round;
    int64_t time_us;
    uint64_t id_hash;
    std::string author;
    bool before(int64_t s, int r, int64_t t, uint64_t h) const {
      return std::tie(slot, round, time_us, id_hash) <= std::tie(s, r, t, h);
    }
  };

  void place(const std::vector<Event>& events);
  bool same_id_before(const Facts& facts, size_t i) const;
  void settle(Fact& fact, bool duplicate);
  void people(const std::string& user, Facts& facts);
  bool like(const std::string& user, const Fact& fact, std::vector<Like>& mine, std::vector<Like>& undoes);
  void post(const std::string& id, Facts& facts);
  void post_credits(const std::string& id, const Facts& facts);
  std::string author_of(const std::string& post, int64_t slot, int round, int64_t time_us, uint64_t id_hash) const;
  void referral(Facts& facts);
  void report(bool named, Facts& facts);
  std::pair<bool, int64_t> holding(const Gate& gate, int64_t slot, int64_t now_us) const;

  const World& world_;
  Hasher hasher_;
  int64_t window_slots_;
  std::map<std::string, Facts> homes_;
  std::map<std::string, std::vector<Said>> said_;
  std::map<std::string, std::vector<std::pair<int64_t, PostKind>>> kinds_;  // of posts: (slot, kind)
  mutable std::map<std::string, int64_t> hours_;
};

}  // namespace bellwether::model

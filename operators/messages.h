// What operators say to each other. Each message is a kind byte and the struct below; the sender writes it, the
// receiver reads it. A message that cannot be read is a broken invariant: only this code writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operators/active_days.h"
#include "operators/codec.h"
#include "operators/fact.h"
#include "operators/operator.h"

namespace bellwether {

enum class MessageKind : uint8_t {
  kNone = 0,
  kLikeChange = 1,  // people -> posts
  kCredit = 2,      // anyone -> scores
  kActivity = 3,    // anyone -> scores
  kGate = 4,        // people -> scores
  kRecheck = 5,     // engine -> scores: a line moved past you
  kReply = 6,       // posts -> posts (the parent)
  kPairs = 7,       // posts -> people: a PairMessage of rings.h after the kind byte
  kPairReport = 8,  // people -> rings: an EdgeReport of rings.h after the kind byte
  kFindings = 9,    // engine -> rings: what the block test found
  kRaise = 10,      // detectors -> flags
  kDiscount = 11,   // flags -> people: your likes in this scope are worth so much
  kBenefit = 12,    // flags -> scores: a flag that took from you opens, or ends
  kContinue = 13,   // an operator to itself: more of the work in hand
  kLikeSeen = 14,   // posts -> bursts
  kForgotten = 15,  // engine -> flags: somebody you name was erased, say it anew
  kWantDays = 16,   // scores -> people: tell your days, and each new one from here on
  kDays = 17,       // people -> scores: all days of acts that are counted there
};

constexpr uint16_t kAuthentic = 256;  // authenticity: 0..256 of 256

// The name of an event inside the engine: its home, its time, the hash of its id.
struct EventRef {
  Key home;
  int64_t time_us = 0;
  uint64_t id_hash = 0;
  template <class Out>  // Writer or EntryWriter
  void write(Out& w) const {
    w.u8(static_cast<uint8_t>(home.kind)), w.fixed64(home.hash), w.zigzag(time_us), w.fixed64(id_hash);
  }
  static EventRef read(Reader& r) {
    EventRef e;
    e.home.kind = static_cast<KeyKind>(r.u8()), e.home.hash = r.fixed64(), e.time_us = r.zigzag(),
    e.id_hash = r.fixed64();
    return e;
  }
  friend bool operator==(const EventRef&, const EventRef&) = default;
};

// What a like is worth in one world (the real one, or the one without a certain flag).
struct LikeWorth {
  bool standing = false;  // neither absent nor undone
  uint8_t halvings = 0;   // n
  uint16_t authenticity = kAuthentic;
  bool first = false;  // first authentic contact of the pair in 30 days
  friend bool operator==(const LikeWorth&, const LikeWorth&) = default;
  template <class Out>  // Writer or EntryWriter
  void write(Out& w) const {
    w.u8(static_cast<uint8_t>(standing | first << 1 | halvings << 2)), w.varint(authenticity);
  }
  static LikeWorth read(Reader& r) {
    LikeWorth v;
    const uint8_t b = r.u8();
    v.standing = b & 1, v.first = b >> 1 & 1, v.halvings = b >> 2, v.authenticity = static_cast<uint16_t>(r.varint());
    return v;
  }
};

// Why a row of a ledger came to be.
enum class Cause : uint8_t { kEvent = 0, kUndo = 1, kFlag = 2 /* opened */, kFlagEnd = 3, kHalving = 4, kExpiry = 5 };

// A like that came, went, or changed its worth. To the post; from there on to the author as a Credit.
struct LikeChange {
  EventRef event;    // home: the liker
  Ref author, post;  // texts only where cause is kEvent
  LikeKind kind = LikeKind::kUnspecified;
  PostKind post_kind = PostKind::kUnspecified;  // as the event said
  int64_t slot = 0;                             // of the tick that folded the like: the post's kind as of then counts
  uint16_t rules = 0;                           // number of the community version at that tick
  Cause cause = Cause::kEvent;
  uint64_t flag = 0;  // key hash of the flag behind kFlag, kFlagEnd
  LikeWorth before, after;
  int8_t liker_delta = 0;                   // to the author's distinct likers
  uint32_t degree = 0;                      // the liker's likes of late (rings.h, LikerSeen), at kEvent
  bool young = false, one_purpose = false;  // the liker, at kEvent
  struct World {
    uint64_t flag = 0;
    LikeWorth before, after;
    int8_t liker_delta = 0;
  };
  std::vector<World> without;  // for each open flag of the liker whose world differs from the real one
};
std::string encode(const LikeChange&);
std::string_view encode_to_send(const LikeChange&);  // until the next one of this thread
LikeChange decode_like_change(std::string_view payload);

// Points to a user, or off: the only way a score changes.
struct Credit {
  std::string_view user_id;     // of the receiver; empty where the row exists already
  RuleId rule = RuleId::kNone;  // kNone: only the liker delta
  int64_t day = 0;              // the event's own day
  uint16_t rules = 0;           // community version that gave the points
  Cause cause = Cause::kEvent;
  uint64_t flag = 0;
  EventRef event;
  int32_t count = 0;             // +1 came, -1 went, 0 changed worth
  int64_t raw_micros = 0;        // change of the points before authenticity
  int64_t authentic_micros = 0;  // change of the points after it, before the cap
  // A new distinct person reached rides along with their like: the change to RuleId::kPersonReached on the same day.
  int32_t reached_count = 0;
  int64_t reached_raw_micros = 0, reached_authentic_micros = 0;
  int8_t liker_delta = 0;  // to the distinct likers
  struct World {
    uint64_t flag = 0;
    int64_t authentic_micros = 0, reached_authentic_micros = 0;
    int8_t liker_delta = 0;
  };
  std::vector<World> without;  // the change in the world without that flag, where it differs
};
std::string encode(const Credit&);
std::string_view encode_to_send(const Credit&);  // until the next one of this thread
Credit decode_credit(std::string_view payload);

// Something the user did, for days active and the portrait. Of likes and account events only the first one's day, and
// of users whose score asked for it (kWantDays) that of each.
struct Activity {
  std::string_view user_id;
  int64_t time_us = 0;
  std::string_view channel;
  std::vector<std::string_view> topics;
  uint8_t act = 0;  // ActKind, operators/portrait.h
};
std::string encode(const Activity&);
Activity decode_activity(std::string_view payload);

// Payload of kDays.
std::string encode(const ActiveDays&);
ActiveDays decode_days(std::string_view payload);

// A certificate, exam or role gained or lost.
struct Gate {
  std::string_view user_id;
  AccountAction action = AccountAction::kUnspecified;  // kCertified, kExamPassed, kRole
  std::string_view name;
  int64_t time_us = 0, expires_us = 0;
  bool revoked = false;
};
std::string encode(const Gate&);
Gate decode_gate(std::string_view payload);

// A post PUBLISHED with a parent, told to the parent so that its author is credited.
struct Reply {
  EventRef event;     // home: the reply
  Ref by;             // who replied
  Ref parent_author;  // as the event said, or absent
  Ref parent;
};
std::string encode(const Reply&);
Reply decode_reply(std::string_view payload);

enum class FlagKind : uint8_t { kNone = 0, kRing = 1, kBurst = 2, kRanking = 3 };

// Which likes of a member a flag takes the worth from: those on `posts` (any author), or, where `posts` is empty, all
// on `author`, with from <= time <= to.
struct Scope {
  std::vector<uint64_t> posts;  // sorted; at most kScopePostsMax
  uint64_t author = 0;
  int64_t from_us = INT64_MIN, to_us = INT64_MAX;
  friend bool operator==(const Scope&, const Scope&) = default;
};
constexpr size_t kScopePostsMax = 256;
constexpr size_t kFlagUsersMax = 512;      // subjects of a flag; more are left out, weakest last, and counted
constexpr size_t kFlagEvidenceMax = 1024;  // events named in a flag; more are counted

struct EvidenceEvent {
  uint64_t liker = 0, post = 0, author = 0;
  int64_t time_us = 0;
  uint64_t id_hash = 0;
};

// A detector's finding: opens the flag, or extends the open one of the same id.
struct Raise {
  FlagKind kind = FlagKind::kNone;
  std::string id;                  // "ring-0123456789abcdef": by it verdicts name the flag
  std::vector<uint64_t> subjects;  // users
  std::vector<uint64_t> beneficiaries;
  Scope scope;
  uint16_t authenticity = 0;  // what the likes in scope keep
  uint16_t confidence_permille = 0;
  struct Detail {
    std::string name;
    int64_t value = 0;
  };
  std::vector<Detail> details;  // the statistic, for moderators
  std::vector<EvidenceEvent> evidence;
};
std::string encode(const Raise&);
Raise decode_raise(std::string_view payload);

// flags -> people, to each subject. `open` false: the flag no longer counts.
struct Discount {
  uint64_t flag = 0;
  std::string_view flag_id;
  FlagKind kind = FlagKind::kNone;
  bool open = false;
  uint16_t authenticity = 0;
  Scope scope;
};
std::string encode(const Discount&);
Discount decode_discount(std::string_view payload);

// flags -> scores, to each beneficiary: before the discounts when it opens, after the restorations when it ends.
struct Benefit {
  uint64_t flag = 0;
  std::string_view flag_id;
  FlagKind kind = FlagKind::kNone;
  enum class Stage : uint8_t { kOpened = 0, kConfirmed = 1, kDismissed = 2 } stage = Stage::kOpened;
};
std::string encode(const Benefit&);
Benefit decode_benefit(std::string_view payload);

// posts -> bursts, at the author: a like that stands.
struct LikeSeen {
  uint64_t liker = 0, post = 0, author = 0;
  int64_t time_us = 0;
  uint64_t id_hash = 0;
  bool young = false, one_purpose = false;  // the liker, at the time
};
std::string encode(const LikeSeen&);
std::string_view encode_to_send(const LikeSeen&);  // until the next one of this thread
LikeSeen decode_like_seen(std::string_view payload);

class Erased;  // operators/erased.h
// Takes the names of the erased out of a message to `to` that waits for its round. True where it changed it.
bool forget(std::string& payload, Key to, const Erased& erased);

inline MessageKind kind_of(std::string_view payload) {
  return payload.empty() ? MessageKind::kNone : static_cast<MessageKind>(static_cast<uint8_t>(payload[0]));
}

}  // namespace bellwether

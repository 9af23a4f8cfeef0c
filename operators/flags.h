// Flags: what the detectors found, what was decided about it, and who must be told so that it counts, or no longer
// does.
//
// A flag has a wanted effect (its status discounts, or not) and told counts: how many beneficiaries and subjects know.
// One step of at most kSendsMax messages a round brings the told to the wanted, in an order that lets scores keep "the
// tier without":
//   opening  every beneficiary hears kOpened; only then, from the next round on, every subject its discount
//   ending   every subject hears that its discount is over; kSettleRounds later, when people, posts and scores have
//   passed
//            that on, every beneficiary hears kDismissed
// While anything is left, a kContinue to itself stands for the next round; changes meanwhile only change what is
// wanted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "operators/messages.h"
#include "operators/operator.h"
#include "operators/seen.h"

namespace bellwether {

constexpr size_t kFlagHistoryMax = 64;      // decisions; the oldest are dropped and counted
constexpr size_t kFlagSeenMax = 1024;       // ids of verdicts; the oldest are forgotten first
constexpr size_t kFlagChangeUsersMax = 32;  // of each sort, named by a change
constexpr size_t kFlagDetailsMax = 32;      // further ones are left out
constexpr int64_t kFlagKeptDays = 30;       // verdicts on a flag never raised are kept the window and so many days
constexpr int64_t kFlagCarriesDays =
    2;  // when its newest event is the window and so many days old, a flag ends by itself
constexpr uint32_t kSettleRounds = 10;  // people -> posts -> scores, and people may need several rounds to tell it all

// How a flag stands; numbers as in schemas/bellwether/v1/flag.proto. kNone: verdicts came, but nobody has raised it
// yet.
enum class FlagStatus : uint8_t { kNone, kOpen, kConfirmed, kDismissed, kAppealed, kReversed, kUpheld, kClosed };

// Whether likes in its scope count less.
constexpr bool discounts(FlagStatus s) {
  return s == FlagStatus::kOpen || s == FlagStatus::kConfirmed || s == FlagStatus::kAppealed ||
         s == FlagStatus::kUpheld;
}
// What a decision makes of a flag; the status itself where it has no effect.
FlagStatus decided(FlagStatus status, Decision decision);

struct FlagDecision {
  Decision decision = Decision::kUnspecified;
  FlagStatus status = FlagStatus::kNone;  // after it
  uint64_t user_hash = 0;
  std::string user, reason;
  int64_t time_us = 0;
  uint64_t id_hash = 0;  // of the verdict's event
};

// Users stand as key hashes: their texts are in their own rows. Bound encoded: 2 x 512 users, 256 posts, 1,024 events
// of 42 bytes, 64 decisions of 610, 1,024 ids: 125 KB; a usual ring is below 10 KB.
struct FlagsState final : State {
  std::string id;  // empty: nothing folded yet
  FlagKind kind = FlagKind::kNone;
  FlagStatus status = FlagStatus::kNone;
  TickId opened, updated, ended;   // `ended`: when it last ceased to discount
  std::vector<uint64_t> subjects;  // strongest first, in the order in which they came; no user twice
  std::vector<uint64_t> beneficiaries;
  uint32_t more_subjects = 0, more_beneficiaries = 0;  // left out at the bound
  Scope scope;
  uint16_t authenticity = 0, confidence_permille = 0;
  std::vector<Raise::Detail> details;
  std::vector<EvidenceEvent> evidence;  // in the order in which it came; no event twice
  uint32_t more_evidence = 0;           // left out at the bound
  uint32_t evidence_at_end = 0;         // all evidence when it was dismissed: twice as much reopens it
  int64_t newest_us = INT64_MIN;        // of its newest event
  std::vector<FlagDecision> history;    // the oldest first
  uint32_t more_history = 0;
  Seen seen;

  // What was told. `discounted`: subjects that hold a discount, maybe of an older scope; the first `discounts_told`
  // know the present scope.
  uint32_t benefits_told = 0, discounts_told = 0, discounted = 0, confirms_told = 0;
  enum class Ending : uint8_t { kNo, kDiscounts, kSettling, kBenefits } ending = Ending::kNo;
  uint32_t ending_cursor = 0;
  bool working = false;       // a kContinue is on its way
  int64_t cause_time_us = 0;  // of the event behind the work in hand
  uint64_t cause_id_hash = 0;

  uint32_t evidence_total() const { return static_cast<uint32_t>(evidence.size()) + more_evidence; }
  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override;
  bool forget(Key key, const Erased& erased) override;
  bool names(uint64_t user) const override;
};

// A flag in a sentence for people.
std::string flag_summary(const FlagsState& flag);
// "ring", "burst", "ranking"; "open", "confirmed", …: as in `dump` and filters.
const char* flag_kind_name(FlagKind kind);
const char* flag_status_name(FlagStatus status);
const char* decision_name(Decision decision);
// The id of a user that only its hash names; the hash in 16 hexadecimal digits where no row of theirs is left.
std::string user_text(uint64_t user, StateReader& reader);

// A figure of a flag's details as people read it: a tier by its name, odds without a bound in words, else the number.
std::string detail_text(const Raise::Detail& detail);

// A flag as a line of `dump`, without its evidence: subjects and beneficiaries sorted by id.
std::string flag_json(const FlagsState& flag, StateReader& reader);

// What is emitted (OutKind::kFlag) when a flag was raised or changed.
struct FlagChange {
  // Numbers as in schemas/bellwether/v1/out.proto.
  enum class What : uint8_t { kNone, kOpened, kUpdated, kDecided, kClosed } what = What::kNone;
  std::string id;
  FlagKind kind = FlagKind::kNone;
  FlagStatus status = FlagStatus::kNone;       // after it
  Decision decision = Decision::kUnspecified;  // of kDecided
  TickId tick;
  uint32_t subjects = 0, beneficiaries = 0, evidence = 0;  // all, listed or left out
  uint16_t confidence_permille = 0;
  // Key hash, and the id where a row of theirs was left as of the tick (name_users), else empty.
  struct User {
    uint64_t hash = 0;
    std::string id;
    std::string text() const { return id.empty() ? hex16(hash) : id; }
    friend bool operator==(const User&, const User&) = default;
  };
  std::vector<User> subject_users, beneficiary_users;  // the first kFlagChangeUsersMax of each
  friend bool operator==(const FlagChange&, const FlagChange&) = default;
};
std::string encode(const FlagChange& change);
// False where the bytes are no change.
bool decode(std::string_view bytes, FlagChange& change);
// The change with the ids of its users, which flags know by their hashes alone. Called once, at the end of the tick
// that made it: later the ids that are known may be others, and an out record that is sent twice would differ.
// False where the bytes are no change.
bool name_users(std::string_view change, StateReader& reader, std::string& out);

// Place of a flag in IndexId::kFlagsByTime: its opening slot, in the order of signed numbers.
constexpr uint64_t flag_order(const TickId& opened) {
  return static_cast<uint64_t>(opened.slot) ^ uint64_t { 1 } << 63;
}

const Operator& flags_operator();

}  // namespace bellwether

// A fact: one decoded, valid event as the operators see it. Plain data; every view points into memory that lives as
// long as the tick does. The enums repeat those of schemas/bellwether/v1/event.proto value by value (pipeline/decode
// asserts it), so that operators know nothing of protobuf.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "operators/hash.h"

namespace bellwether {

enum class PostKind : uint8_t { kUnspecified, kQuestion, kAnswer, kComment, kIdea, kReview, kArticle };
enum class PostAction : uint8_t {
  kUnspecified,
  kPublished,
  kEdited,
  kRemoved,
  kAccepted,
  kFeatured,
  kPlanned,
  kAnswered,
  kAdopted,
  kDeclined,
  kReverted,
  kUnaccepted
};
enum class LikeKind : uint8_t { kUnspecified, kLike, kShare, kFollow, kDislike, kView };
enum class ReferralStage : uint8_t {
  kUnspecified,
  kIntended,
  kInvited,
  kJoined,
  kActivated,
  kConverted,
  kProfitable,
  kAsked
};
enum class BetaTestKind : uint8_t { kUnspecified, kEnrolled, kSession, kBug, kSuggestion };
enum class BetaTestStatus : uint8_t { kUnspecified, kSubmitted, kConfirmed, kFixed, kAdopted, kRejected };
enum class Prompt : uint8_t { kUnspecified, kPrompted, kUnprompted };
enum class Capability : uint8_t { kUnspecified, kInnovation, kCommunication, kReferral, kKnowledge };
enum class Tier : uint8_t { kUnspecified, kMember, kContributor, kKey, kLead };
enum class Decision : uint8_t { kUnspecified, kConfirmed, kDismissed, kAppealed, kReversed, kUpheld };
enum class IncentiveKind : uint8_t { kUnspecified, kPayment, kPenalty, kTitle, kRight };
enum class AccountAction : uint8_t { kUnspecified, kRegistered, kFollowers, kCertified, kExamPassed, kRole, kClosed };
enum class FeedbackKind : uint8_t { kUnspecified, kNps, kSatisfaction, kComplaint, kPurchase, kResolved };

constexpr size_t kCapabilities = 4;  // Capability 1..4

// An id with its keyed hash; an absent optional id is empty with hash 0.
struct Ref {
  std::string_view id;
  uint64_t hash = 0;
  bool present() const { return hash != 0; }
};

struct LikeFact {
  Ref post;    // absent for kFollow
  Ref author;  // KeyKind::kUser
  LikeKind kind = LikeKind::kUnspecified;
  bool undo = false;
  PostKind post_kind = PostKind::kUnspecified;
};
struct PostFact {
  Ref post;
  PostKind kind = PostKind::kUnspecified;
  PostAction action = PostAction::kUnspecified;
  Ref author;         // absent where `user` wrote it
  Ref parent;         // KeyKind::kPost
  Ref parent_author;  // KeyKind::kUser
  std::array<std::string_view, 8> topics;
  uint8_t topic_count = 0;
  uint32_t length = 0;
  int32_t sentiment = 0;  // -100..100
};
struct ReferralFact {
  Ref referral, referrer, referred;
  ReferralStage stage = ReferralStage::kUnspecified;
  int64_t amount_micros = 0;
};
struct BetaTestFact {
  std::string_view program;
  Ref report;  // KeyKind::kReport; absent where none is named
  BetaTestKind kind = BetaTestKind::kUnspecified;
  BetaTestStatus status = BetaTestStatus::kUnspecified;
  uint32_t severity = 0;
  bool reproducible = false;
  Prompt prompt = Prompt::kUnspecified;
  uint32_t minutes = 0;
  Ref tester;  // absent where `user` filed it
};
// Times in facts are microseconds since 1970-01-01T00:00:00Z; 0 in `expires` is never.
struct RatingFact {
  Ref subject;
  Capability capability;
  uint32_t points;
  int64_t expires_us;
};
struct HoldFact {
  Ref subject;
  Tier tier;
  int64_t expires_us;
  std::string_view reason;
  bool release;
};
struct LabelFact {
  Ref subject;
  bool key_user;
  uint32_t willingness, subjective_norm, fit;
};
struct VerdictFact {
  Ref flag;
  Decision decision;
  std::string_view reason;
};  // KeyKind::kFlag
struct LinkFact {
  Ref user, same_as;
  bool unlink;
  std::string_view evidence;
};
struct ErasureFact {
  Ref subject;
};
struct IncentiveFact {
  Ref subject;
  IncentiveKind kind;
  int64_t amount_micros;
  std::string_view reason;
  Ref reverses;
};
struct AccountFact {
  AccountAction action = AccountAction::kUnspecified;
  uint64_t followers = 0;
  std::string_view name, team;
  int64_t expires_us = 0;
  bool revoked = false;
};
struct EntitlementUseFact {
  std::string_view right;
  uint32_t quantity;
};
struct FeedbackFact {
  FeedbackKind kind;
  int64_t value;
  std::string_view about;
};

using Body = std::variant<LikeFact, PostFact, ReferralFact, BetaTestFact, RatingFact, HoldFact, LabelFact, VerdictFact,
                          LinkFact, ErasureFact, IncentiveFact, AccountFact, EntitlementUseFact, FeedbackFact>;

struct Fact {
  int64_t time_us = 0;   // as decoded: the event's time; after scheduling: the trusted time, the only one
  uint64_t id_hash = 0;  // KeyKind::kEvent
  Key home;              // EVENTS.md, "Duplicates"
  std::string_view id;
  Ref user;  // who did it
  std::string_view device, network, channel, campaign;
  Body body;
};

}  // namespace bellwether

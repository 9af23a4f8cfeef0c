// Operators know nothing of protobuf and repeat the contract's enums; here the two are held together.
#include "bellwether/v1/event.pb.h"
#include "bellwether/v1/out.pb.h"
#include "operators/fact.h"
#include "pipeline/decode/reason.h"

namespace bellwether {
namespace {

template <class Ours, class Theirs>
constexpr bool same(Ours ours, Theirs theirs) {
  return static_cast<int>(ours) == static_cast<int>(theirs);
}

static_assert(same(PostKind::kUnspecified, v1::POST_KIND_UNSPECIFIED));
static_assert(same(PostKind::kQuestion, v1::POST_KIND_QUESTION));
static_assert(same(PostKind::kAnswer, v1::POST_KIND_ANSWER));
static_assert(same(PostKind::kComment, v1::POST_KIND_COMMENT));
static_assert(same(PostKind::kIdea, v1::POST_KIND_IDEA));
static_assert(same(PostKind::kReview, v1::POST_KIND_REVIEW));
static_assert(same(PostKind::kArticle, v1::POST_KIND_ARTICLE));
static_assert(same(PostKind::kArticle, v1::PostKind_MAX));

static_assert(same(PostAction::kUnspecified, v1::POST_ACTION_UNSPECIFIED));
static_assert(same(PostAction::kPublished, v1::POST_ACTION_PUBLISHED));
static_assert(same(PostAction::kEdited, v1::POST_ACTION_EDITED));
static_assert(same(PostAction::kRemoved, v1::POST_ACTION_REMOVED));
static_assert(same(PostAction::kAccepted, v1::POST_ACTION_ACCEPTED));
static_assert(same(PostAction::kFeatured, v1::POST_ACTION_FEATURED));
static_assert(same(PostAction::kPlanned, v1::POST_ACTION_PLANNED));
static_assert(same(PostAction::kAnswered, v1::POST_ACTION_ANSWERED));
static_assert(same(PostAction::kAdopted, v1::POST_ACTION_ADOPTED));
static_assert(same(PostAction::kDeclined, v1::POST_ACTION_DECLINED));
static_assert(same(PostAction::kReverted, v1::POST_ACTION_REVERTED));
static_assert(same(PostAction::kUnaccepted, v1::POST_ACTION_UNACCEPTED));
static_assert(same(PostAction::kUnaccepted, v1::PostAction_MAX));

static_assert(same(LikeKind::kUnspecified, v1::LIKE_KIND_UNSPECIFIED));
static_assert(same(LikeKind::kLike, v1::LIKE_KIND_LIKE));
static_assert(same(LikeKind::kShare, v1::LIKE_KIND_SHARE));
static_assert(same(LikeKind::kFollow, v1::LIKE_KIND_FOLLOW));
static_assert(same(LikeKind::kDislike, v1::LIKE_KIND_DISLIKE));
static_assert(same(LikeKind::kView, v1::LIKE_KIND_VIEW));
static_assert(same(LikeKind::kView, v1::LikeKind_MAX));

static_assert(same(ReferralStage::kUnspecified, v1::REFERRAL_STAGE_UNSPECIFIED));
static_assert(same(ReferralStage::kIntended, v1::REFERRAL_STAGE_INTENDED));
static_assert(same(ReferralStage::kInvited, v1::REFERRAL_STAGE_INVITED));
static_assert(same(ReferralStage::kJoined, v1::REFERRAL_STAGE_JOINED));
static_assert(same(ReferralStage::kActivated, v1::REFERRAL_STAGE_ACTIVATED));
static_assert(same(ReferralStage::kConverted, v1::REFERRAL_STAGE_CONVERTED));
static_assert(same(ReferralStage::kProfitable, v1::REFERRAL_STAGE_PROFITABLE));
static_assert(same(ReferralStage::kAsked, v1::REFERRAL_STAGE_ASKED));
static_assert(same(ReferralStage::kAsked, v1::ReferralStage_MAX));

static_assert(same(BetaTestKind::kUnspecified, v1::BETA_TEST_KIND_UNSPECIFIED));
static_assert(same(BetaTestKind::kEnrolled, v1::BETA_TEST_KIND_ENROLLED));
static_assert(same(BetaTestKind::kSession, v1::BETA_TEST_KIND_SESSION));
static_assert(same(BetaTestKind::kBug, v1::BETA_TEST_KIND_BUG));
static_assert(same(BetaTestKind::kSuggestion, v1::BETA_TEST_KIND_SUGGESTION));
static_assert(same(BetaTestKind::kSuggestion, v1::BetaTestKind_MAX));

static_assert(same(BetaTestStatus::kUnspecified, v1::BETA_TEST_STATUS_UNSPECIFIED));
static_assert(same(BetaTestStatus::kSubmitted, v1::BETA_TEST_STATUS_SUBMITTED));
static_assert(same(BetaTestStatus::kConfirmed, v1::BETA_TEST_STATUS_CONFIRMED));
static_assert(same(BetaTestStatus::kFixed, v1::BETA_TEST_STATUS_FIXED));
static_assert(same(BetaTestStatus::kAdopted, v1::BETA_TEST_STATUS_ADOPTED));
static_assert(same(BetaTestStatus::kRejected, v1::BETA_TEST_STATUS_REJECTED));
static_assert(same(BetaTestStatus::kRejected, v1::BetaTestStatus_MAX));

static_assert(same(Prompt::kUnspecified, v1::PROMPT_UNSPECIFIED));
static_assert(same(Prompt::kPrompted, v1::PROMPT_PROMPTED));
static_assert(same(Prompt::kUnprompted, v1::PROMPT_UNPROMPTED));
static_assert(same(Prompt::kUnprompted, v1::Prompt_MAX));

static_assert(same(Capability::kUnspecified, v1::CAPABILITY_UNSPECIFIED));
static_assert(same(Capability::kInnovation, v1::CAPABILITY_INNOVATION));
static_assert(same(Capability::kCommunication, v1::CAPABILITY_COMMUNICATION));
static_assert(same(Capability::kReferral, v1::CAPABILITY_REFERRAL));
static_assert(same(Capability::kKnowledge, v1::CAPABILITY_KNOWLEDGE));
static_assert(same(Capability::kKnowledge, v1::Capability_MAX));

static_assert(same(Tier::kUnspecified, v1::TIER_UNSPECIFIED));
static_assert(same(Tier::kMember, v1::TIER_MEMBER));
static_assert(same(Tier::kContributor, v1::TIER_CONTRIBUTOR));
static_assert(same(Tier::kKey, v1::TIER_KEY));
static_assert(same(Tier::kLead, v1::TIER_LEAD));
static_assert(same(Tier::kLead, v1::Tier_MAX));

static_assert(same(Decision::kUnspecified, v1::DECISION_UNSPECIFIED));
static_assert(same(Decision::kConfirmed, v1::DECISION_CONFIRMED));
static_assert(same(Decision::kDismissed, v1::DECISION_DISMISSED));
static_assert(same(Decision::kAppealed, v1::DECISION_APPEALED));
static_assert(same(Decision::kReversed, v1::DECISION_REVERSED));
static_assert(same(Decision::kUpheld, v1::DECISION_UPHELD));
static_assert(same(Decision::kUpheld, v1::Decision_MAX));

static_assert(same(IncentiveKind::kUnspecified, v1::INCENTIVE_KIND_UNSPECIFIED));
static_assert(same(IncentiveKind::kPayment, v1::INCENTIVE_KIND_PAYMENT));
static_assert(same(IncentiveKind::kPenalty, v1::INCENTIVE_KIND_PENALTY));
static_assert(same(IncentiveKind::kTitle, v1::INCENTIVE_KIND_TITLE));
static_assert(same(IncentiveKind::kRight, v1::INCENTIVE_KIND_RIGHT));
static_assert(same(IncentiveKind::kRight, v1::IncentiveKind_MAX));

static_assert(same(AccountAction::kUnspecified, v1::ACCOUNT_ACTION_UNSPECIFIED));
static_assert(same(AccountAction::kRegistered, v1::ACCOUNT_ACTION_REGISTERED));
static_assert(same(AccountAction::kFollowers, v1::ACCOUNT_ACTION_FOLLOWERS));
static_assert(same(AccountAction::kCertified, v1::ACCOUNT_ACTION_CERTIFIED));
static_assert(same(AccountAction::kExamPassed, v1::ACCOUNT_ACTION_EXAM_PASSED));
static_assert(same(AccountAction::kRole, v1::ACCOUNT_ACTION_ROLE));
static_assert(same(AccountAction::kClosed, v1::ACCOUNT_ACTION_CLOSED));
static_assert(same(AccountAction::kClosed, v1::AccountAction_MAX));

static_assert(same(FeedbackKind::kUnspecified, v1::FEEDBACK_KIND_UNSPECIFIED));
static_assert(same(FeedbackKind::kNps, v1::FEEDBACK_KIND_NPS));
static_assert(same(FeedbackKind::kSatisfaction, v1::FEEDBACK_KIND_SATISFACTION));
static_assert(same(FeedbackKind::kComplaint, v1::FEEDBACK_KIND_COMPLAINT));
static_assert(same(FeedbackKind::kPurchase, v1::FEEDBACK_KIND_PURCHASE));
static_assert(same(FeedbackKind::kResolved, v1::FEEDBACK_KIND_RESOLVED));
static_assert(same(FeedbackKind::kResolved, v1::FeedbackKind_MAX));

static_assert(same(Reason::kNone, v1::DEAD_LETTER_REASON_UNSPECIFIED));
static_assert(same(Reason::kUndecodable, v1::DEAD_LETTER_REASON_UNDECODABLE));
static_assert(same(Reason::kTooLarge, v1::DEAD_LETTER_REASON_TOO_LARGE));
static_assert(same(Reason::kInvalidUtf8, v1::DEAD_LETTER_REASON_INVALID_UTF8));
static_assert(same(Reason::kEmptyId, v1::DEAD_LETTER_REASON_EMPTY_ID));
static_assert(same(Reason::kIdTooLong, v1::DEAD_LETTER_REASON_ID_TOO_LONG));
static_assert(same(Reason::kUnspecifiedEnum, v1::DEAD_LETTER_REASON_UNSPECIFIED_ENUM));
static_assert(same(Reason::kBodyMissing, v1::DEAD_LETTER_REASON_BODY_MISSING));
static_assert(same(Reason::kTimeMissing, v1::DEAD_LETTER_REASON_TIME_MISSING));
static_assert(same(Reason::kInvalidTime, v1::DEAD_LETTER_REASON_INVALID_TIME));
static_assert(same(Reason::kOutOfRange, v1::DEAD_LETTER_REASON_OUT_OF_RANGE));
static_assert(same(Reason::kTextTooLong, v1::DEAD_LETTER_REASON_TEXT_TOO_LONG));
static_assert(same(Reason::kTooManyTopics, v1::DEAD_LETTER_REASON_TOO_MANY_TOPICS));
static_assert(same(Reason::kFuture, v1::DEAD_LETTER_REASON_FUTURE));
static_assert(same(Reason::kExpired, v1::DEAD_LETTER_REASON_EXPIRED));
static_assert(kReasons == v1::DeadLetterReason_ARRAYSIZE);

}  // namespace
}  // namespace bellwether

#include "pipeline/decode/json_fields.h"

#include <array>

namespace bellwether::decode {
namespace {

using enum FieldType;
constexpr std::string_view kPostKindValues[] = {"UNSPECIFIED", "QUESTION", "ANSWER", "COMMENT",
                                                "IDEA",        "REVIEW",   "ARTICLE"};
constexpr EnumNames kPostKind{"POST_KIND_", kPostKindValues};

constexpr std::string_view kPostActionValues[] = {"UNSPECIFIED", "PUBLISHED", "EDITED",   "REMOVED",
                                                  "ACCEPTED",    "FEATURED",  "PLANNED",  "ANSWERED",
                                                  "ADOPTED",     "DECLINED",  "REVERTED", "UNACCEPTED"};
constexpr EnumNames kPostAction{"POST_ACTION_", kPostActionValues};

constexpr std::string_view kLikeKindValues[] = {"UNSPECIFIED", "LIKE", "SHARE", "FOLLOW", "DISLIKE", "VIEW"};
constexpr EnumNames kLikeKind{"LIKE_KIND_", kLikeKindValues};

constexpr std::string_view kReferralStageValues[] = {"UNSPECIFIED", "INTENDED",  "INVITED",    "JOINED",
                                                     "ACTIVATED",   "CONVERTED", "PROFITABLE", "ASKED"};
constexpr EnumNames kReferralStage{"REFERRAL_STAGE_", kReferralStageValues};

constexpr std::string_view kBetaTestKindValues[] = {"UNSPECIFIED", "ENROLLED", "SESSION", "BUG", "SUGGESTION"};
constexpr EnumNames kBetaTestKind{"BETA_TEST_KIND_", kBetaTestKindValues};

constexpr std::string_view kBetaTestStatusValues[] = {"UNSPECIFIED", "SUBMITTED", "CONFIRMED",
                                                      "FIXED",       "ADOPTED",   "REJECTED"};
constexpr EnumNames kBetaTestStatus{"BETA_TEST_STATUS_", kBetaTestStatusValues};

constexpr std::string_view kPromptValues[] = {"UNSPECIFIED", "PROMPTED", "UNPROMPTED"};
constexpr EnumNames kPrompt{"PROMPT_", kPromptValues};

constexpr std::string_view kCapabilityValues[] = {"UNSPECIFIED", "INNOVATION", "COMMUNICATION", "REFERRAL",
                                                  "KNOWLEDGE"};
constexpr EnumNames kCapability{"CAPABILITY_", kCapabilityValues};

constexpr std::string_view kTierValues[] = {"UNSPECIFIED", "MEMBER", "CONTRIBUTOR", "KEY", "LEAD"};
constexpr EnumNames kTier{"TIER_", kTierValues};

constexpr std::string_view kDecisionValues[] = {"UNSPECIFIED", "CONFIRMED", "DISMISSED",
                                                "APPEALED",    "REVERSED",  "UPHELD"};
constexpr EnumNames kDecision{"DECISION_", kDecisionValues};

constexpr std::string_view kIncentiveKindValues[] = {"UNSPECIFIED", "PAYMENT", "PENALTY", "TITLE", "RIGHT"};
constexpr EnumNames kIncentiveKind{"INCENTIVE_KIND_", kIncentiveKindValues};

constexpr std::string_view kAccountActionValues[] = {"UNSPECIFIED", "REGISTERED", "FOLLOWERS", "CERTIFIED",
                                                     "EXAM_PASSED", "ROLE",       "CLOSED"};
constexpr EnumNames kAccountAction{"ACCOUNT_ACTION_", kAccountActionValues};

constexpr std::string_view kFeedbackKindValues[] = {"UNSPECIFIED", "NPS",      "SATISFACTION",
                                                    "COMPLAINT",   "PURCHASE", "RESOLVED"};
constexpr EnumNames kFeedbackKind{"FEEDBACK_KIND_", kFeedbackKindValues};

constexpr Field kOriginList[] = {
    {.name = "device", .json = "device", .number = 1, .type = kText},
    {.name = "network", .json = "network", .number = 2, .type = kText},
    {.name = "channel", .json = "channel", .number = 3, .type = kText},
    {.name = "campaign", .json = "campaign", .number = 4, .type = kText},
};
constexpr MessageFields kOriginFields{kOriginList};

constexpr Field kPostList[] = {
    {.name = "post", .json = "post", .number = 1, .type = kText},
    {.name = "kind", .json = "kind", .number = 2, .type = kEnum, .names = &kPostKind},
    {.name = "action", .json = "action", .number = 3, .type = kEnum, .names = &kPostAction},
    {.name = "author", .json = "author", .number = 4, .type = kText},
    {.name = "parent", .json = "parent", .number = 5, .type = kText},
    {.name = "parent_author", .json = "parentAuthor", .number = 6, .type = kText},
    {.name = "topics", .json = "topics", .number = 7, .type = kTexts},
    {.name = "length", .json = "length", .number = 8, .type = kUint32},
    {.name = "sentiment", .json = "sentiment", .number = 9, .type = kSint32},
};
constexpr MessageFields kPostFields{kPostList};

constexpr Field kLikeList[] = {
    {.name = "post", .json = "post", .number = 1, .type = kText},
    {.name = "author", .json = "author", .number = 2, .type = kText},
    {.name = "kind", .json = "kind", .number = 3, .type = kEnum, .names = &kLikeKind},
    {.name = "undo", .json = "undo", .number = 4, .type = kBool},
    {.name = "post_kind", .json = "postKind", .number = 5, .type = kEnum, .names = &kPostKind},
};
constexpr MessageFields kLikeFields{kLikeList};

constexpr Field kReferralList[] = {
    {.name = "referral", .json = "referral", .number = 1, .type = kText},
    {.name = "referrer", .json = "referrer", .number = 2, .type = kText},
    {.name = "referred", .json = "referred", .number = 3, .type = kText},
    {.name = "stage", .json = "stage", .number = 4, .type = kEnum, .names = &kReferralStage},
    {.name = "amount_micros", .json = "amountMicros", .number = 5, .type = kInt64},
};
constexpr MessageFields kReferralFields{kReferralList};

constexpr Field kBetaTestList[] = {
    {.name = "program", .json = "program", .number = 1, .type = kText},
    {.name = "report", .json = "report", .number = 2, .type = kText},
    {.name = "kind", .json = "kind", .number = 3, .type = kEnum, .names = &kBetaTestKind},
    {.name = "status", .json = "status", .number = 4, .type = kEnum, .names = &kBetaTestStatus},
    {.name = "severity", .json = "severity", .number = 5, .type = kUint32},
    {.name = "reproducible", .json = "reproducible", .number = 6, .type = kBool},
    {.name = "prompt", .json = "prompt", .number = 7, .type = kEnum, .names = &kPrompt},
    {.name = "minutes", .json = "minutes", .number = 8, .type = kUint32},
    {.name = "tester", .json = "tester", .number = 9, .type = kText},
};
constexpr MessageFields kBetaTestFields{kBetaTestList};

constexpr Field kRatingList[] = {
    {.name = "subject", .json = "subject", .number = 1, .type = kText},
    {.name = "capability", .json = "capability", .number = 2, .type = kEnum, .names = &kCapability},
    {.name = "points", .json = "points", .number = 3, .type = kUint32},
    {.name = "expires", .json = "expires", .number = 4, .type = kTime},
};
constexpr MessageFields kRatingFields{kRatingList};

constexpr Field kTierHoldList[] = {
    {.name = "subject", .json = "subject", .number = 1, .type = kText},
    {.name = "tier", .json = "tier", .number = 2, .type = kEnum, .names = &kTier},
    {.name = "expires", .json = "expires", .number = 3, .type = kTime},
    {.name = "reason", .json = "reason", .number = 4, .type = kText},
    {.name = "release", .json = "release", .number = 5, .type = kBool},
};
constexpr MessageFields kTierHoldFields{kTierHoldList};

constexpr Field kLabelList[] = {
    {.name = "subject", .json = "subject", .number = 1, .type = kText},
    {.name = "key_user", .json = "keyUser", .number = 2, .type = kBool},
    {.name = "willingness", .json = "willingness", .number = 3, .type = kUint32},
    {.name = "subjective_norm", .json = "subjectiveNorm", .number = 4, .type = kUint32},
    {.name = "fit", .json = "fit", .number = 5, .type = kUint32},
};
constexpr MessageFields kLabelFields{kLabelList};

constexpr Field kFlagVerdictList[] = {
    {.name = "flag", .json = "flag", .number = 1, .type = kText},
    {.name = "decision", .json = "decision", .number = 2, .type = kEnum, .names = &kDecision},
    {.name = "reason", .json = "reason", .number = 3, .type = kText},
};
constexpr MessageFields kFlagVerdictFields{kFlagVerdictList};

constexpr Field kAccountLinkList[] = {
    {.name = "user", .json = "user", .number = 1, .type = kText},
    {.name = "same_as", .json = "sameAs", .number = 2, .type = kText},
    {.name = "unlink", .json = "unlink", .number = 3, .type = kBool},
    {.name = "evidence", .json = "evidence", .number = 4, .type = kText},
};
constexpr MessageFields kAccountLinkFields{kAccountLinkList};

constexpr Field kErasureList[] = {
    {.name = "subject", .json = "subject", .number = 1, .type = kText},
};
constexpr MessageFields kErasureFields{kErasureList};

constexpr Field kIncentiveList[] = {
    {.name = "subject", .json = "subject", .number = 1, .type = kText},
    {.name = "kind", .json = "kind", .number = 2, .type = kEnum, .names = &kIncentiveKind},
    {.name = "amount_micros", .json = "amountMicros", .number = 3, .type = kInt64},
    {.name = "reason", .json = "reason", .number = 4, .type = kText},
    {.name = "reverses", .json = "reverses", .number = 5, .type = kText},
};
constexpr MessageFields kIncentiveFields{kIncentiveList};

constexpr Field kJudgementList[] = {
    {.name = "rating", .json = "rating", .number = 1, .type = kMessage, .oneof = true, .message = &kRatingFields},
    {.name = "hold", .json = "hold", .number = 2, .type = kMessage, .oneof = true, .message = &kTierHoldFields},
    {.name = "label", .json = "label", .number = 3, .type = kMessage, .oneof = true, .message = &kLabelFields},
    {.name = "verdict",
     .json = "verdict",
     .number = 4,
     .type = kMessage,
     .oneof = true,
     .message = &kFlagVerdictFields},
    {.name = "link", .json = "link", .number = 5, .type = kMessage, .oneof = true, .message = &kAccountLinkFields},
    {.name = "erasure", .json = "erasure", .number = 6, .type = kMessage, .oneof = true, .message = &kErasureFields},
    {.name = "incentive",
     .json = "incentive",
     .number = 7,
     .type = kMessage,
     .oneof = true,
     .message = &kIncentiveFields},
};
constexpr MessageFields kJudgementFields{kJudgementList};

constexpr Field kAccountList[] = {
    {.name = "action", .json = "action", .number = 1, .type = kEnum, .names = &kAccountAction},
    {.name = "followers", .json = "followers", .number = 2, .type = kUint64},
    {.name = "name", .json = "name", .number = 3, .type = kText},
    {.name = "team", .json = "team", .number = 4, .type = kText},
    {.name = "expires", .json = "expires", .number = 5, .type = kTime},
    {.name = "revoked", .json = "revoked", .number = 6, .type = kBool},
};
constexpr MessageFields kAccountFields{kAccountList};

constexpr Field kEntitlementUseList[] = {
    {.name = "right", .json = "right", .number = 1, .type = kText},
    {.name = "quantity", .json = "quantity", .number = 2, .type = kUint32},
};
constexpr MessageFields kEntitlementUseFields{kEntitlementUseList};

constexpr Field kFeedbackList[] = {
    {.name = "kind", .json = "kind", .number = 1, .type = kEnum, .names = &kFeedbackKind},
    {.name = "value", .json = "value", .number = 2, .type = kSint64},
    {.name = "about", .json = "about", .number = 3, .type = kText},
};
constexpr MessageFields kFeedbackFields{kFeedbackList};

constexpr Field kEventList[] = {
    {.name = "id", .json = "id", .number = 1, .type = kText},
    {.name = "time", .json = "time", .number = 2, .type = kTime},
    {.name = "user", .json = "user", .number = 3, .type = kText},
    {.name = "origin", .json = "origin", .number = 4, .type = kMessage, .message = &kOriginFields},
    {.name = "post", .json = "post", .number = 10, .type = kMessage, .oneof = true, .message = &kPostFields},
    {.name = "like", .json = "like", .number = 11, .type = kMessage, .oneof = true, .message = &kLikeFields},
    {.name = "referral",
     .json = "referral",
     .number = 12,
     .type = kMessage,
     .oneof = true,
     .message = &kReferralFields},
    {.name = "beta_test",
     .json = "betaTest",
     .number = 13,
     .type = kMessage,
     .oneof = true,
     .message = &kBetaTestFields},
    {.name = "judgement",
     .json = "judgement",
     .number = 14,
     .type = kMessage,
     .oneof = true,
     .message = &kJudgementFields},
    {.name = "account", .json = "account", .number = 15, .type = kMessage, .oneof = true, .message = &kAccountFields},
    {.name = "entitlement_use",
     .json = "entitlementUse",
     .number = 16,
     .type = kMessage,
     .oneof = true,
     .message = &kEntitlementUseFields},
    {.name = "feedback",
     .json = "feedback",
     .number = 17,
     .type = kMessage,
     .oneof = true,
     .message = &kFeedbackFields},
};

}  // namespace

const MessageFields kEventFields{kEventList};

}  // namespace bellwether::decode

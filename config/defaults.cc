// What a community starts with: FRAMEWORK's points, caps, tiers and profiles.
#include "config/config.h"
#include "config/schema.h"

namespace bellwether {

const char* const kCapabilityNames[4] = {"innovation", "communication", "referral", "knowledge"};
const char* const kTierNames[5] = {"", "member", "contributor", "key", "lead"};

const std::vector<RuleName>& rule_names() {
  constexpr int64_t kPoint = 1'000'000;
  static const std::vector<RuleName> rules = {
      {RuleId::kIdeaAdopted, "idea_adopted", 1, 50 * kPoint, 0},
      {RuleId::kFeatured, "featured", 1, 10 * kPoint, 0},
      {RuleId::kSuggestionAdopted, "suggestion_adopted", 1, 40 * kPoint, 0},
      {RuleId::kBugConfirmed, "bug_confirmed", 1, 8 * kPoint, 0},
      {RuleId::kBugFixed, "bug_fixed", 1, 4 * kPoint, 0},
      {RuleId::kIdeaPosted, "idea_posted", 1, 1 * kPoint, 5 * kPoint},
      {RuleId::kBetaSession, "beta_session", 1, kPoint / 2, 2 * kPoint},
      {RuleId::kLikeReceived, "like_received", 2, 1 * kPoint, 0},
      {RuleId::kShareReceived, "share_received", 2, 3 * kPoint, 0},
      {RuleId::kFollowReceived, "follow_received", 2, 2 * kPoint, 0},
      {RuleId::kReplyReceived, "reply_received", 2, kPoint / 2, 0},
      {RuleId::kPersonReached, "person_reached", 2, kPoint / 5, 0},
      {RuleId::kReader, "reader", 2, kPoint / 100, 0},
      {RuleId::kReferralJoined, "referral_joined", 3, 5 * kPoint, 0},
      {RuleId::kReferralActivated, "referral_activated", 3, 10 * kPoint, 0},
      {RuleId::kReferralConverted, "referral_converted", 3, 30 * kPoint, 0},
      {RuleId::kReferralProfitable, "referral_profitable", 3, 20 * kPoint, 0},
      {RuleId::kReferralInvited, "referral_invited", 3, kPoint / 5, 2 * kPoint},
      {RuleId::kAnswerAccepted, "answer_accepted", 4, 15 * kPoint, 0},
      {RuleId::kAnswerLiked, "answer_liked", 4, 1 * kPoint, 0},
      {RuleId::kCertificate, "certificate", 4, 20 * kPoint, 0},
      {RuleId::kExam, "exam", 4, 20 * kPoint, 0},
  };
  return rules;
}

Config default_config() {
  constexpr int64_t kPoint = 1'000'000;
  Config config;
  CommunityConfig& community = config.community;
  for (const RuleName& rule : rule_names()) {
    community.rules[static_cast<size_t>(rule.id)] = {rule.name, rule.capability, rule.points_micros, rule.cap_micros};
  }
  community.profiles = {
      {"overall", {1000, 1000, 1000, 1000}},
      {"beta_recruiting", {1000, 200, 0, 400}},  // who finds bugs and has ideas, and knows the product
      {"launch_buzz", {100, 1000, 500, 100}},    // who reaches many and brings friends
      {"referral_drive", {0, 300, 1000, 100}},
      {"help_desk", {200, 300, 0, 1000}},  // whose answers stand
  };
  TierConfig& contributor = community.tiers[2];
  contributor.min_score_micros = 10 * kPoint;
  contributor.gates.days_active = 3;
  TierConfig& key = community.tiers[3];
  key.min_score_micros = 100 * kPoint;
  key.top_permille = 50;
  key.gates.days_active = 10;
  key.gates.distinct_likers = 5;
  TierConfig& lead = community.tiers[4];
  lead.min_score_micros = 500 * kPoint;
  lead.top_permille = 10;
  lead.gates.days_active = 30;
  lead.gates.distinct_likers = 20;
  return config;
}

}  // namespace bellwether

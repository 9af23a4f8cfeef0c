#include "pipeline/tools/csv_fields.h"

#include <charconv>
#include <limits>

#include "pipeline/tools/event_json.h"

namespace bellwether {
namespace {

template <typename Number>
const char* number(Number& to, std::string_view value, int64_t low, int64_t high) {
  int64_t parsed = 0;
  const auto r = std::from_chars(value.data(), value.data() + value.size(), parsed);
  if (r.ec != std::errc() || r.ptr != value.data() + value.size()) return "not a whole number";
  if (parsed < low || parsed > high) return "number out of range";
  to = static_cast<Number>(parsed);
  return nullptr;
}

const char* truth(bool& to, std::string_view value) {
  if (value == "1" || value == "true" || value == "True" || value == "TRUE" || value == "yes")
    to = true;
  else if (value == "0" || value == "false" || value == "False" || value == "FALSE" || value == "no")
    to = false;
  else
    return "neither true nor false";
  return nullptr;
}

template <typename Enum>
const char* named(Enum& to, EventEnum which, std::string_view value) {
  const uint8_t v = enum_value(which, value);
  if (v == 0) return "not a value of its enum";
  to = static_cast<Enum>(v);
  return nullptr;
}

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();
constexpr int64_t kUint32Max = std::numeric_limits<uint32_t>::max();

LikeFact& like(Fact& f) { return std::get<LikeFact>(f.body); }
PostFact& post(Fact& f) { return std::get<PostFact>(f.body); }
ReferralFact& referral(Fact& f) { return std::get<ReferralFact>(f.body); }
BetaTestFact& beta(Fact& f) { return std::get<BetaTestFact>(f.body); }
AccountFact& account(Fact& f) { return std::get<AccountFact>(f.body); }
EntitlementUseFact& entitlement(Fact& f) { return std::get<EntitlementUseFact>(f.body); }
FeedbackFact& feedback(Fact& f) { return std::get<FeedbackFact>(f.body); }

// Topics stand in one column, separated by blanks, commas, ';' or '|'; those past the eighth are left out.
const char* topics(Fact& f, std::string_view value) {
  PostFact& p = post(f);
  while (!value.empty() && p.topic_count < p.topics.size()) {
    const size_t end = value.find_first_of(" ,;|");
    const std::string_view topic = value.substr(0, end);
    if (!topic.empty()) p.topics[p.topic_count++] = topic;
    value.remove_prefix(end == std::string_view::npos ? value.size() : end + 1);
  }
  return nullptr;
}

// A field that takes the text as it stands.
#define TEXT(place) [](Fact& f, std::string_view v) -> const char* { return place = v, nullptr; }
#define PARSED(call) [](Fact& f, std::string_view v) -> const char* { return call; }

std::vector<CsvField> with_common(std::vector<CsvField> own) {
  std::vector<CsvField> all{
      {"user", true, "", TEXT(f.user.id)},       {"device", false, "", TEXT(f.device)},
      {"network", false, "", TEXT(f.network)},   {"channel", false, "", TEXT(f.channel)},
      {"campaign", false, "", TEXT(f.campaign)},
  };
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

const std::vector<CsvKind>& kinds() {
  static const std::vector<CsvKind> all{
      {"like", [](Fact& f) { f.body = LikeFact(); },
       with_common({
           {"post", false, "", TEXT(like(f).post.id)},
           {"author", true, "", TEXT(like(f).author.id)},
           {"kind", true, "like", PARSED(named(like(f).kind, EventEnum::kLikeKind, v))},
           {"undo", false, "", PARSED(truth(like(f).undo, v))},
           {"post_kind", false, "", PARSED(named(like(f).post_kind, EventEnum::kPostKind, v))},
       })},
      {"post", [](Fact& f) { f.body = PostFact(); },
       with_common({
           {"post", true, "", TEXT(post(f).post.id)},
           {"kind", false, "", PARSED(named(post(f).kind, EventEnum::kPostKind, v))},
           {"action", true, "published", PARSED(named(post(f).action, EventEnum::kPostAction, v))},
           {"author", false, "", TEXT(post(f).author.id)},
           {"parent", false, "", TEXT(post(f).parent.id)},
           {"parent_author", false, "", TEXT(post(f).parent_author.id)},
           {"topics", false, "", topics},
           {"length", false, "", PARSED(number(post(f).length, v, 0, kUint32Max))},
           {"sentiment", false, "", PARSED(number(post(f).sentiment, v, -100, 100))},
       })},
      {"referral", [](Fact& f) { f.body = ReferralFact(); },
       with_common({
           {"referral", true, "", TEXT(referral(f).referral.id)},
           {"referrer", true, "", TEXT(referral(f).referrer.id)},
           {"referred", false, "", TEXT(referral(f).referred.id)},
           {"stage", true, "", PARSED(named(referral(f).stage, EventEnum::kReferralStage, v))},
           {"amount_micros", false, "", PARSED(number(referral(f).amount_micros, v, kInt64Min, kInt64Max))},
       })},
      {"beta_test", [](Fact& f) { f.body = BetaTestFact(); },
       with_common({
           {"program", true, "", TEXT(beta(f).program)},
           {"report", false, "", TEXT(beta(f).report.id)},
           {"kind", true, "", PARSED(named(beta(f).kind, EventEnum::kBetaTestKind, v))},
           {"status", false, "", PARSED(named(beta(f).status, EventEnum::kBetaTestStatus, v))},
           {"severity", false, "", PARSED(number(beta(f).severity, v, 1, 5))},
           {"reproducible", false, "", PARSED(truth(beta(f).reproducible, v))},
           {"prompt", false, "", PARSED(named(beta(f).prompt, EventEnum::kPrompt, v))},
           {"minutes", false, "", PARSED(number(beta(f).minutes, v, 0, kUint32Max))},
           {"tester", false, "", TEXT(beta(f).tester.id)},
       })},
      {"account", [](Fact& f) { f.body = AccountFact(); },
       with_common({
           {"action", true, "registered", PARSED(named(account(f).action, EventEnum::kAccountAction, v))},
           {"followers", false, "", PARSED(number(account(f).followers, v, 0, kInt64Max))},
           {"name", false, "", TEXT(account(f).name)},
           {"team", false, "", TEXT(account(f).team)},
           {"revoked", false, "", PARSED(truth(account(f).revoked, v))},
       })},
      {"entitlement_use", [](Fact& f) { f.body = EntitlementUseFact(); },
       with_common({
           {"right", true, "", TEXT(entitlement(f).right)},
           {"quantity", false, "", PARSED(number(entitlement(f).quantity, v, 0, kUint32Max))},
       })},
      {"feedback", [](Fact& f) { f.body = FeedbackFact(); },
       with_common({
           {"kind", true, "", PARSED(named(feedback(f).kind, EventEnum::kFeedbackKind, v))},
           {"value", false, "", PARSED(number(feedback(f).value, v, kInt64Min, kInt64Max))},
           {"about", false, "", TEXT(feedback(f).about)},
       })},
  };
  return all;
}

#undef TEXT
#undef PARSED

}  // namespace

const CsvKind* csv_kind(std::string_view name) {
  for (const CsvKind& kind : kinds())
    if (kind.name == name) return &kind;
  return nullptr;
}

std::string_view csv_kind_names() { return "like, post, referral, beta_test, account, entitlement_use, feedback"; }

}  // namespace bellwether

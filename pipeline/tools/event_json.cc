#include "pipeline/tools/event_json.h"

#include <simdjson.h>

#include <charconv>
#include <span>

#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

constexpr std::string_view kPostKinds[] = {"QUESTION", "ANSWER", "COMMENT", "IDEA", "REVIEW", "ARTICLE"};
constexpr std::string_view kPostActions[] = {"PUBLISHED", "EDITED",  "REMOVED",  "ACCEPTED", "FEATURED",  "PLANNED",
                                             "ANSWERED",  "ADOPTED", "DECLINED", "REVERTED", "UNACCEPTED"};
constexpr std::string_view kLikeKinds[] = {"LIKE", "SHARE", "FOLLOW", "DISLIKE", "VIEW"};
constexpr std::string_view kReferralStages[] = {"INTENDED",  "INVITED",    "JOINED", "ACTIVATED",
                                                "CONVERTED", "PROFITABLE", "ASKED"};
constexpr std::string_view kBetaTestKinds[] = {"ENROLLED", "SESSION", "BUG", "SUGGESTION"};
constexpr std::string_view kBetaTestStatuses[] = {"SUBMITTED", "CONFIRMED", "FIXED", "ADOPTED", "REJECTED"};
constexpr std::string_view kPrompts[] = {"PROMPTED", "UNPROMPTED"};
constexpr std::string_view kCapabilityNames[] = {"INNOVATION", "COMMUNICATION", "REFERRAL", "KNOWLEDGE"};
constexpr std::string_view kTiers[] = {"MEMBER", "CONTRIBUTOR", "KEY", "LEAD"};
constexpr std::string_view kDecisions[] = {"CONFIRMED", "DISMISSED", "APPEALED", "REVERSED", "UPHELD"};
constexpr std::string_view kIncentiveKinds[] = {"PAYMENT", "PENALTY", "TITLE", "RIGHT"};
constexpr std::string_view kAccountActions[] = {"REGISTERED",  "FOLLOWERS", "CERTIFIED",
                                                "EXAM_PASSED", "ROLE",      "CLOSED"};
constexpr std::string_view kFeedbackKinds[] = {"NPS", "SATISFACTION", "COMPLAINT", "PURCHASE", "RESOLVED"};

struct EnumTable {
  std::string_view prefix;
  std::span<const std::string_view> names;
};
constexpr EnumTable kPostKindTable{"POST_KIND_", kPostKinds};
constexpr EnumTable kPostActionTable{"POST_ACTION_", kPostActions};
constexpr EnumTable kLikeKindTable{"LIKE_KIND_", kLikeKinds};
constexpr EnumTable kReferralStageTable{"REFERRAL_STAGE_", kReferralStages};
constexpr EnumTable kBetaTestKindTable{"BETA_TEST_KIND_", kBetaTestKinds};
constexpr EnumTable kBetaTestStatusTable{"BETA_TEST_STATUS_", kBetaTestStatuses};
constexpr EnumTable kPromptTable{"PROMPT_", kPrompts};
constexpr EnumTable kCapabilityTable{"CAPABILITY_", kCapabilityNames};
constexpr EnumTable kTierTable{"TIER_", kTiers};
constexpr EnumTable kDecisionTable{"DECISION_", kDecisions};
constexpr EnumTable kIncentiveKindTable{"INCENTIVE_KIND_", kIncentiveKinds};
constexpr EnumTable kAccountActionTable{"ACCOUNT_ACTION_", kAccountActions};
constexpr EnumTable kFeedbackKindTable{"FEEDBACK_KIND_", kFeedbackKinds};

const EnumTable& table_of(EventEnum which) {
  switch (which) {
    case EventEnum::kPostKind:
      return kPostKindTable;
    case EventEnum::kPostAction:
      return kPostActionTable;
    case EventEnum::kLikeKind:
      return kLikeKindTable;
    case EventEnum::kReferralStage:
      return kReferralStageTable;
    case EventEnum::kBetaTestKind:
      return kBetaTestKindTable;
    case EventEnum::kBetaTestStatus:
      return kBetaTestStatusTable;
    case EventEnum::kPrompt:
      return kPromptTable;
    case EventEnum::kAccountAction:
      return kAccountActionTable;
    case EventEnum::kFeedbackKind:
      break;
  }
  return kFeedbackKindTable;
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Writes the members of one JSON object.
class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  void text(std::string_view name, std::string_view value) {
    if (!value.empty()) key(name), append_json_string(value, out_);
  }
  void id(std::string_view name, const Ref& value) { text(name, value.id); }
  void number(std::string_view name, int64_t value) {
    if (value != 0) key(name), digits(value);
  }
  void big(std::string_view name, int64_t value) {
    if (value != 0) key(name), out_ += '"', digits(value), out_ += '"';
  }
  void big_unsigned(std::string_view name, uint64_t value) {
    if (value == 0) return;
    char buffer[24];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    key(name), out_ += '"', out_.append(buffer, end), out_ += '"';
  }
  void flag(std::string_view name, bool value) {
    if (value) key(name), out_ += "true";
  }
  void time(std::string_view name, int64_t value) {
    if (value == 0) return;
    key(name), out_ += '"', append_time(value, out_), out_ += '"';
  }
  template <typename Enum>
  void value(std::string_view name, Enum given, const EnumTable& table) {
    const size_t number = static_cast<size_t>(given);
    if (number == 0 || number > table.names.size()) return;
    key(name), out_ += '"', out_ += table.prefix, out_ += table.names[number - 1], out_ += '"';
  }
  // Begins a member whose value the caller writes.
  std::string& open(std::string_view name) {
    key(name);
    return out_;
  }
  void close() { out_ += '}'; }

 private:
  void key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    out_ += '"', out_ += name, out_ += "\":";
  }
  void digits(int64_t value) {
    char buffer[24];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    out_.append(buffer, end);
  }
  std::string& out_;
  bool first_ = true;
};

struct BodyWriter {
  Object& event;

  template <typename Fill>
  void member(std::string_view name, Fill fill) const {
    Object body(event.open(name));
    fill(body);
    body.close();
  }
  template <typename Fill>
  void judgement(std::string_view name, Fill fill) const {
    member("judgement", [&](Object& outer) {
      Object body(outer.open(name));
      fill(body);
      body.close();
    });
  }
  void operator()(const LikeFact& f) const {
    member("like", [&](Object& o) {
      o.id("post", f.post), o.id("author", f.author);
      o.value("kind", f.kind, kLikeKindTable);
      o.flag("undo", f.undo);
      o.value("postKind", f.post_kind, kPostKindTable);
    });
  }
  void operator()(const PostFact& f) const {
    member("post", [&](Object& o) {
      o.id("post", f.post);
      o.value("kind", f.kind, kPostKindTable), o.value("action", f.action, kPostActionTable);
      o.id("author", f.author), o.id("parent", f.parent), o.id("parentAuthor", f.parent_author);
      if (f.topic_count > 0) {
        std::string& out = o.open("topics");
        for (size_t i = 0; i < f.topic_count; ++i) out += i == 0 ? '[' : ',', append_json_string(f.topics[i], out);
        out += ']';
      }
      o.number("length", f.length), o.number("sentiment", f.sentiment);
    });
  }
  void operator()(const ReferralFact& f) const {
    member("referral", [&](Object& o) {
      o.id("referral", f.referral), o.id("referrer", f.referrer), o.id("referred", f.referred);
      o.value("stage", f.stage, kReferralStageTable);
      o.big("amountMicros", f.amount_micros);
    });
  }
  void operator()(const BetaTestFact& f) const {
    member("betaTest", [&](Object& o) {
      o.text("program", f.program), o.id("report", f.report);
      o.value("kind", f.kind, kBetaTestKindTable), o.value("status", f.status, kBetaTestStatusTable);
      o.number("severity", f.severity), o.flag("reproducible", f.reproducible);
      o.value("prompt", f.prompt, kPromptTable);
      o.number("minutes", f.minutes), o.id("tester", f.tester);
    });
  }
  void operator()(const RatingFact& f) const {
    judgement("rating", [&](Object& o) {
      o.id("subject", f.subject), o.value("capability", f.capability, kCapabilityTable);
      o.number("points", f.points), o.time("expires", f.expires_us);
    });
  }
  void operator()(const HoldFact& f) const {
    judgement("hold", [&](Object& o) {
      o.id("subject", f.subject), o.value("tier", f.tier, kTierTable), o.time("expires", f.expires_us);
      o.text("reason", f.reason), o.flag("release", f.release);
    });
  }
  void operator()(const LabelFact& f) const {
    judgement("label", [&](Object& o) {
      o.id("subject", f.subject), o.flag("keyUser", f.key_user), o.number("willingness", f.willingness);
      o.number("subjectiveNorm", f.subjective_norm), o.number("fit", f.fit);
    });
  }
  void operator()(const VerdictFact& f) const {
    judgement("verdict", [&](Object& o) {
      o.id("flag", f.flag), o.value("decision", f.decision, kDecisionTable), o.text("reason", f.reason);
    });
  }
  void operator()(const LinkFact& f) const {
    judgement("link", [&](Object& o) {
      o.id("user", f.user), o.id("sameAs", f.same_as), o.flag("unlink", f.unlink), o.text("evidence", f.evidence);
    });
  }
  void operator()(const ErasureFact& f) const {
    judgement("erasure", [&](Object& o) { o.id("subject", f.subject); });
  }
  void operator()(const IncentiveFact& f) const {
    judgement("incentive", [&](Object& o) {
      o.id("subject", f.subject), o.value("kind", f.kind, kIncentiveKindTable);
      o.big("amountMicros", f.amount_micros), o.text("reason", f.reason), o.id("reverses", f.reverses);
    });
  }
  void operator()(const AccountFact& f) const {
    member("account", [&](Object& o) {
      o.value("action", f.action, kAccountActionTable), o.big_unsigned("followers", f.followers);
      o.text("name", f.name), o.text("team", f.team), o.time("expires", f.expires_us), o.flag("revoked", f.revoked);
    });
  }
  void operator()(const EntitlementUseFact& f) const {
    member("entitlementUse", [&](Object& o) { o.text("right", f.right), o.number("quantity", f.quantity); });
  }
  void operator()(const FeedbackFact& f) const {
    member("feedback", [&](Object& o) {
      o.value("kind", f.kind, kFeedbackKindTable), o.big("value", f.value), o.text("about", f.about);
    });
  }
};

}  // namespace

void append_json_string(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t plain = 0;  // from here on bytes that stand for themselves
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00", out += kHex[c >> 4], out += kHex[c & 15];
    }
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

bool valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

void append_event_json(const Fact& event, std::string& out) {
  Object o(out);
  o.text("id", event.id);
  std::string& time = o.open("time");
  time += '"', append_time(event.time_us, time), time += '"';
  o.id("user", event.user);
  if (!event.device.empty() || !event.network.empty() || !event.channel.empty() || !event.campaign.empty()) {
    Object origin(o.open("origin"));
    origin.text("device", event.device), origin.text("network", event.network);
    origin.text("channel", event.channel), origin.text("campaign", event.campaign);
    origin.close();
  }
  std::visit(BodyWriter{o}, event.body);
  o.close();
}

uint8_t enum_value(EventEnum which, std::string_view name) {
  const EnumTable& table = table_of(which);
  std::string wanted;
  for (const char c : name) wanted += c == '-' || c == ' ' ? '_' : upper(c);
  std::string_view bare = wanted;
  if (bare.starts_with(table.prefix)) bare.remove_prefix(table.prefix.size());
  for (size_t i = 0; i < table.names.size(); ++i)
    if (bare == table.names[i]) return static_cast<uint8_t>(i + 1);
  return 0;
}

std::string enum_names(EventEnum which) {
  std::string out;
  for (const std::string_view name : table_of(which).names) {
    if (!out.empty()) out += ", ";
    for (const char c : name) out += lower(c);
  }
  return out;
}

}  // namespace bellwether

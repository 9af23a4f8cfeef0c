// Flags for people: names, and the line of `dump`.
#include <algorithm>

#include "operators/flags.h"
#include "operators/json.h"
#include "operators/people.h"
#include "operators/scores.h"
#include "operators/state_reader.h"

namespace bellwether {
namespace {

void append_users(std::string& json, const char* name, const std::vector<uint64_t>& users, StateReader& reader) {
  std::vector<std::string> texts;
  texts.reserve(users.size());
  for (const uint64_t user : users) texts.push_back(user_text(user, reader));
  std::sort(texts.begin(), texts.end());
  json += std::string(",\"") + name + "\":[";
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) json += ',';
    append_json(json, texts[i]);
  }
  json += ']';
}

}  // namespace

const char* flag_kind_name(FlagKind kind) {
  switch (kind) {
    case FlagKind::kNone:
      return "unspecified";
    case FlagKind::kRing:
      return "ring";
    case FlagKind::kBurst:
      return "burst";
    case FlagKind::kRanking:
      return "ranking";
  }
  return "unspecified";
}

const char* flag_status_name(FlagStatus status) {
  switch (status) {
    case FlagStatus::kNone:
      return "unspecified";
    case FlagStatus::kOpen:
      return "open";
    case FlagStatus::kConfirmed:
      return "confirmed";
    case FlagStatus::kDismissed:
      return "dismissed";
    case FlagStatus::kAppealed:
      return "appealed";
    case FlagStatus::kReversed:
      return "reversed";
    case FlagStatus::kUpheld:
      return "upheld";
    case FlagStatus::kClosed:
      return "closed";
  }
  return "unspecified";
}

const char* decision_name(Decision decision) {
  switch (decision) {
    case Decision::kUnspecified:
      return "unspecified";
    case Decision::kConfirmed:
      return "confirmed";
    case Decision::kDismissed:
      return "dismissed";
    case Decision::kAppealed:
      return "appealed";
    case Decision::kReversed:
      return "reversed";
    case Decision::kUpheld:
      return "upheld";
  }
  return "unspecified";
}

// Empty where no row of theirs is left.
static std::string user_id(uint64_t user, StateReader& reader) {
  const Key key{KeyKind::kUser, user};
  const auto* people = static_cast<const PeopleState*>(reader.state(OperatorId::kPeople, key));
  if (people != nullptr && !people->id.empty()) return people->id;
  const auto* scores = static_cast<const ScoresState*>(reader.state(OperatorId::kScores, key));
  if (scores != nullptr && !scores->id.empty()) return scores->id;
  return {};
}

std::string user_text(uint64_t user, StateReader& reader) {
  std::string id = user_id(user, reader);
  return id.empty() ? hex16(user) : id;
}

bool name_users(std::string_view bytes, StateReader& reader, std::string& out) {
  FlagChange change;
  if (!decode(bytes, change)) return false;
  for (auto* users : {&change.subject_users, &change.beneficiary_users})
    for (FlagChange::User& user : *users) user.id = user_id(user.hash, reader);
  out = encode(change);
  return true;
}

std::string detail_text(const Raise::Detail& detail) {
  if (detail.name.starts_with("tier_")) return tier_name(static_cast<Tier>(detail.value));
  if (detail.name == "odds" && detail.value == UINT32_MAX) return "beyond measure";  // nobody else likes the targets
  return std::to_string(detail.value);
}

std::string flag_json(const FlagsState& flag, StateReader& reader) {
  std::string json = "{\"type\":\"flag\",\"id\":";
  append_json(json, flag.id);
  json += std::string(",\"kind\":\"") + flag_kind_name(flag.kind) + "\",\"status\":\"" + flag_status_name(flag.status) +
          "\"";
  const auto number = [&](const char* name, int64_t value) {
    json += std::string(",\"") + name + "\":" + std::to_string(value);
  };
  number("opened_us", flag.opened.slot * kSlotUs);
  number("updated_us", flag.updated.slot * kSlotUs);
  number("confidence_permille", flag.confidence_permille);
  number("authenticity", flag.authenticity);
  append_users(json, "subjects", flag.subjects, reader);
  number("more_subjects", flag.more_subjects);
  append_users(json, "beneficiaries", flag.beneficiaries, reader);
  number("more_beneficiaries", flag.more_beneficiaries);
  number("posts", static_cast<int64_t>(flag.scope.posts.size()));
  number("evidence", flag.evidence_total());
  if (!flag.evidence.empty()) {
    const auto [first, last] = std::minmax_element(flag.evidence.begin(), flag.evidence.end(),
                                                   [](const auto& a, const auto& b) { return a.time_us < b.time_us; });
    number("evidence_from_us", first->time_us);
    number("evidence_until_us", last->time_us);
  }
  json += ",\"details\":{";
  for (size_t i = 0; i < flag.details.size(); ++i) {
    if (i > 0) json += ',';
    append_json(json, flag.details[i].name);
    json += ':';
    const std::string text = detail_text(flag.details[i]);
    if (text == std::to_string(flag.details[i].value)) {
      json += text;
    } else {
      append_json(json, text);
    }
  }
  json += "},\"history\":[";
  for (size_t i = 0; i < flag.history.size(); ++i) {
    const FlagDecision& d = flag.history[i];
    json += std::string(i > 0 ? "," : "") + "{\"decision\":\"" + decision_name(d.decision) + "\",\"user\":";
    append_json(json, d.user);
    json +=
        ",\"time_us\":" + std::to_string(d.time_us) + ",\"status\":\"" + flag_status_name(d.status) + "\",\"reason\":";
    append_json(json, d.reason);
    json += '}';
  }
  json += "]}";
  return json;
}

}  // namespace bellwether

// What clients send: requests as bytes, and in them filters, page tokens, watch tokens.
#include <algorithm>
#include <map>

#include "bellwether/v1/admin.pb.h"
#include "bellwether/v1/flags.pb.h"
#include "bellwether/v1/ingest.pb.h"
#include "bellwether/v1/key_users.pb.h"
#include "config/text.h"
#include "pipeline/service/convert.h"
#include "pipeline/service/filter.h"
#include "pipeline/service/pages.h"
#include "pipeline/service/request_wire.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

enum Id : int { kUser, kTier, kScore, kDays, kFlagged, kSeen, kSubject, kKind };

const std::vector<FilterField>& fields() {
  static const std::vector<FilterField> kFields = {
      {"user", FieldType::kText, {}, true, kUser},
      {"tier", FieldType::kChoice, {"", "member", "contributor", "key", "lead"}, true, kTier},
      {"score.overall", FieldType::kPoints, {}, true, kScore},
      {"active_days", FieldType::kNumber, {}, true, kDays},
      {"flagged", FieldType::kBoolean, {}, true, kFlagged},
      {"last_active", FieldType::kTime, {}, true, kSeen},
      {"subject", FieldType::kText, {}, true, kSubject},
      {"kind", FieldType::kChoice, {"", "ring", "burst", "ranking"}, false, kKind},
  };
  return kFields;
}

using Row = std::map<int, FilterValues>;
const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = {
      {{kUser, {{0, "ann"}}},
       {kTier, {{3, {}}}},
       {kScore, {{12'500'000, {}}}},
       {kDays, {{7, {}}}},
       {kFlagged, {{1, {}}}},
       {kSeen, {{1'767'225'600'000'000, {}}}},
       {kSubject, {{0, "bob"}, {0, "eve"}}},
       {kKind, {{1, {}}}}},
      {{kUser, {{0, ""}}},
       {kTier, {{1, {}}}},
       {kScore, {{INT64_MIN, {}}}},
       {kDays, {}},
       {kFlagged, {}},
       {kSeen, {{INT64_MAX, {}}}},
       {kSubject, {}},
       {kKind, {}}},
  };
  return kRows;
}

void filter(std::string_view text) {
  Filter parsed, negated;
  std::string error;
  if (!Filter::parse(text, fields(), parsed, error)) {
    require(!error.empty(), "a filter is refused without a reason");
    require(invalid_utf8_at(text) || !invalid_utf8_at(error), "the reason is no UTF-8: " + quoted(error));
    return;
  }
  require(error.empty(), "a filter is taken, and yet: " + error);
  const bool turned = !parsed.empty() && Filter::parse("NOT (" + std::string(text) + ")", fields(), negated, error);
  for (const Row& row : rows()) {
    const auto values = [&](int id) { return row.at(id); };
    const bool holds = parsed.matches(values);
    if (turned) require(negated.matches(values) != holds, "a filter and its opposite agree");
    std::string user;
    if (holds && parsed.required_text(kUser, user))
      require(row.at(kUser)[0].text == user, "it matches without " + user);
  }
}

void page_token(std::string_view text) {
  std::string bytes;
  if (from_base64url(text, bytes)) require(base64url(bytes) == text, "base64url does not come back");
  PageToken token, again;
  if (!decode(text, token)) return;
  require(decode(encode(token), again) && again.query == token.query && again.process == token.process &&
              again.commit == token.commit && again.last == token.last,
          "a page token does not come back");
}

void watch_token(std::string_view text) {
  ChangeId id;
  if (!parse_change_id(text, id)) return;
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'F' ? c + 32 : c; });
  require(text_of(id) == lower, "a watch token reads as another one");
}

namespace pb = bellwether::v1;

// What a request may take as an object is said before it is made.
template <class... Messages>
void weighed(std::string_view wire, size_t weight) {
  const auto one = [&](auto message) {
    if (!message.ParseFromArray(wire.data(), static_cast<int>(wire.size()))) return;
    require(message.SpaceUsedLong() <= weight, message.GetTypeName() + " takes " +
                                                   std::to_string(message.SpaceUsedLong()) + " bytes, not " +
                                                   std::to_string(weight));
  };
  (one(Messages()), ...);
}

void request(std::string_view wire) {
  RequestSize size;
  const bool sound = weigh_request(wire, size);
  if (sound)
    weighed<pb::GetUserRequest, pb::BatchGetUsersRequest, pb::ListUsersRequest, pb::ExplainScoreRequest,
            pb::GetLeaderboardRequest, pb::WatchTiersRequest, pb::ListFlagsRequest, pb::GetFlagRequest,
            pb::DecideFlagRequest, pb::WatchFlagsRequest, pb::GetStatusRequest, pb::ListDeadLettersRequest,
            pb::CreateBackupRequest>(wire, size.weight);
  PublishWire cut;
  require(read_publish(wire, kPublishStreamRequest, 4, cut) == sound, "of a request two say what it is");
  pb::PublishStreamRequest parsed;
  if (!sound || !parsed.ParseFromArray(wire.data(), static_cast<int>(wire.size()))) return;
  require(cut.sequence == parsed.sequence(), "another sequence");
  require(cut.count == static_cast<size_t>(parsed.events_size()), "other events than there are");
  require(cut.events.size() == std::min<size_t>(4, cut.count), "not as many events as were asked for");
  for (size_t i = 0; i < cut.events.size(); ++i) {
    pb::Event event;
    require(event.ParseFromArray(cut.events[i].data(), static_cast<int>(cut.events[i].size())),
            "an event is cut wrong");
    require(event.SerializeAsString() == parsed.events(static_cast<int>(i)).SerializeAsString(), "another event");
    require(is_judgement(cut.events[i]) == event.has_judgement(), "a judgement is taken for something else");
  }
}

}  // namespace

void check_query(std::string_view input) {
  Input in(input);
  const uint8_t which = in.byte();
  const Exact rest(in.rest());
  if (which < 128) return filter(rest.view());
  if (which < 176) return page_token(rest.view());
  if (which < 208) return watch_token(rest.view());
  if (which >= 232) return request(rest.view());
  // A token made of the input: otherwise its check byte keeps nearly everything out.
  PageToken token{in.number<uint64_t>(), in.number<uint64_t>(), in.number<uint64_t>(), std::string(in.rest())};
  if (token.last.size() > 256) token.last.resize(256);
  PageToken again;
  require(decode(encode(token), again) && again.last == token.last && again.commit == token.commit, "a page token");
}

}  // namespace bellwether::fuzz

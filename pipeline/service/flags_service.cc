#include <absl/random/random.h>

#include <algorithm>

#include "bellwether/v1/flags.grpc.pb.h"
#include "pipeline/service/filter.h"
#include "pipeline/service/flag_view.h"
#include "pipeline/service/paging.h"
#include "pipeline/service/services.h"
#include "pipeline/service/watch.h"

namespace bellwether {
namespace {

constexpr size_t kExaminedMax = 20'000;
constexpr size_t kRequestIdMax = 48;
constexpr size_t kReasonMax = 500;

enum Field : int { kKind, kStatus, kSubject, kBeneficiary, kConfidence, kOpened, kUpdated };

const std::vector<FilterField>& flag_fields() {
  static const std::vector<FilterField> kFields = {
      {"kind", FieldType::kChoice, {"", "ring", "burst", "ranking"}, false, kKind},
      {"status",
       FieldType::kChoice,
       {"", "open", "confirmed", "dismissed", "appealed", "reversed", "upheld", "closed"},
       false,
       kStatus},
      {"subject", FieldType::kText, {}, true, kSubject},
      {"beneficiary", FieldType::kText, {}, true, kBeneficiary},
      {"confidence", FieldType::kNumber, {}, true, kConfidence},
      {"opened", FieldType::kTime, {}, true, kOpened},
      {"updated", FieldType::kTime, {}, true, kUpdated}};
  return kFields;
}

FilterValues value_of(Lookup& lookup, const FlagsState& flag, int id) {
  const auto names = [&](const std::vector<uint64_t>& users) {
    FilterValues values;
    for (const uint64_t user : users) values.push_back({0, lookup.user_name(user)});
    return values;
  };
  switch (id) {
    case kKind:
      return {{static_cast<int64_t>(flag.kind), {}}};
    case kStatus:
      return {{static_cast<int64_t>(flag.status), {}}};
    case kSubject:
      return names(flag.subjects);
    case kBeneficiary:
      return names(flag.beneficiaries);
    case kConfidence:
      return {{flag.confidence_permille, {}}};
    case kOpened:
      return {{flag.opened.slot * kSlotUs, {}}};
    case kUpdated:
      return {{flag.updated.slot * kSlotUs, {}}};
    default:
      return {};
  }
}

enum class Order : uint8_t { kOpened, kUpdated, kConfidence };

grpc::Status parse_order(std::string order_by, Order& order, bool& largest_first) {
  order = Order::kOpened, largest_first = true;
  const std::string given = order_by;
  while (order_by.ends_with(' ')) order_by.pop_back();
  if (order_by.empty()) return grpc::Status::OK;
  if (order_by.ends_with(" asc"))
    largest_first = false, order_by.resize(order_by.size() - 4);
  else if (order_by.ends_with(" desc"))
    order_by.resize(order_by.size() - 5);
  if (order_by == "opened") return grpc::Status::OK;
  if (order_by == "updated")
    order = Order::kUpdated;
  else if (order_by == "confidence")
    order = Order::kConfidence;
  else
    return bad_field("order_by",
                     "given \"" + given + "\", allowed: opened, updated or confidence, then nothing, desc or asc");
  return grpc::Status::OK;
}

// A place in a list of flags: what it is ordered by, then the key.
struct FlagPlace {
  uint64_t order = 0, hash = 0;
  friend auto operator<=>(const FlagPlace&, const FlagPlace&) = default;
};

std::string text_of(const FlagPlace& p) {
  std::string out;
  Writer w(out);
  w.fixed64(p.order), w.fixed64(p.hash);
  return out;
}
bool parse(std::string_view text, FlagPlace& p) {
  Reader r(text);
  p.order = r.fixed64(), p.hash = r.fixed64();
  return r.ok() && r.done();
}

// Requests come as bytes: see request.h.
using RawFlags = pb::Flags::WithRawCallbackMethod_ListFlags<pb::Flags::WithRawCallbackMethod_GetFlag<
    pb::Flags::WithRawCallbackMethod_DecideFlag<pb::Flags::WithRawCallbackMethod_WatchFlags<pb::Flags::Service>>>>;

class FlagsService final : public RawFlags {
 public:
  explicit FlagsService(ServiceCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* ListFlags(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override {
    return run_unary<pb::ListFlagsRequest, pb::ListFlagsResponse>(
        core_, context, "Flags.ListFlags", kStaff, request, response,
        [this](const Call& call, const pb::ListFlagsRequest& in, pb::ListFlagsResponse& out) {
          return list(call, in, out);
        });
  }

  grpc::ServerUnaryReactor* GetFlag(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return run_unary<pb::GetFlagRequest, pb::GetFlagResponse>(
        core_, context, "Flags.GetFlag", kStaff, request, response,
        [this](const Call& call, const pb::GetFlagRequest& in, pb::GetFlagResponse& out) {
          if (grpc::Status id = check_flag_id(in.flag()); !id.ok()) return id;
          Lookup lookup(call.reading);
          const uint64_t hash = core_.hasher()(KeyKind::kFlag, in.flag());
          const FlagsState* flag = lookup.flag(hash);
          if (!lookup.status().ok()) return io_error(lookup.status());
          if (flag == nullptr || flag->status == FlagStatus::kNone || flag->id != in.flag()) return unknown(in.flag());
          flag_message(lookup, *flag, hash, true, *out.mutable_flag());
          if (!lookup.status().ok()) return io_error(lookup.status());
          set_as_of(call.reading->at(), *out.mutable_as_of());
          return grpc::Status::OK;
        });
  }

  grpc::ServerUnaryReactor* DecideFlag(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;

  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchFlags(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* request) override {
    return watch_flags(core_, context, request);
  }

 private:
  static grpc::Status check_flag_id(const std::string& id) {
    if (id.empty() || id.size() > kIdBytesMax)
      return bad_field("flag", "has " + std::to_string(id.size()) + " bytes; allowed: 1..64 bytes");
    return grpc::Status::OK;
  }
  static grpc::Status unknown(const std::string& id) {
    return call_error(grpc::StatusCode::NOT_FOUND, "FLAG_UNKNOWN", "there is no flag " + id, {{"flag", id}});
  }
  grpc::Status list(const Call& call, const pb::ListFlagsRequest& in, pb::ListFlagsResponse& out);
  grpc::Status may_decide(const Call& call, const pb::DecideFlagRequest& in, const FlagsState& flag) const;

  ServiceCore& core_;
};

grpc::Status FlagsService::list(const Call& call, const pb::ListFlagsRequest& in, pb::ListFlagsResponse& out) {
  Order order;
  bool largest_first;
  if (grpc::Status parsed = parse_order(in.order_by(), order, largest_first); !parsed.ok()) return parsed;
  Filter filter;
  std::string error;
  if (!Filter::parse(in.filter(), flag_fields(), filter, error)) return bad_field("filter", error, "INVALID_FILTER");
  PageFrame page;
  const std::string query =
      "flags\n" + in.filter() + "\n" + std::to_string(static_cast<int>(order)) + (largest_first ? "d" : "a");
  if (grpc::Status opened = page.open(core_, call, in, query); !opened.ok()) return opened;
  std::optional<FlagPlace> after;
  if (!page.last.empty() && !parse(page.last, after.emplace()))
    return bad_field("page_token", "is no token of this list", "PAGE_TOKEN_INVALID");

  Lookup lookup(page.reading);
  std::string next;
  FlagPlace last;
  size_t examined = 0, bytes = 0;
  // False: the page is full.
  const auto take = [&](const FlagPlace& place) {
    if (static_cast<uint32_t>(out.flags_size()) == page.size || examined == kExaminedMax || bytes > kAnswerBytesMax ||
        (examined > 0 && call.over())) {
      next = page.next(core_, text_of(last));
      return false;
    }
    ++examined;
    last = place;
    const FlagsState* flag = lookup.flag(place.hash);
    if (flag != nullptr && flag->status != FlagStatus::kNone) {
      const FlagsState copy = *flag;  // names may be many: states are let go between
      if (filter.matches([&](int id) { return value_of(lookup, copy, id); })) {
        flag_message(lookup, copy, place.hash, false, *out.add_flags());
        bytes += out.flags(out.flags_size() - 1).ByteSizeLong();
      }
    }
    lookup.forget();
    return lookup.status().ok();
  };
  Status walked;
  if (order == Order::kOpened) {
    std::optional<IndexKey> from;
    if (after)
      from = IndexKey{static_cast<uint8_t>(IndexId::kFlagsByTime), after->order, {KeyKind::kFlag, after->hash}};
    walked = page.reading->at().scan_index(IndexId::kFlagsByTime, 0, largest_first, from, [&](const IndexKey& row) {
      return take({row.order, row.key.hash});
    });
  } else {  // flags are thousands, not millions: all are read and sorted
    std::vector<FlagPlace> places;
    walked = page.reading->at().scan_index(IndexId::kFlagsByTime, 0, true, {}, [&](const IndexKey& row) {
      if (const FlagsState* flag = lookup.flag(row.key.hash))
        places.push_back(
            {order == Order::kUpdated ? flag_order(flag->updated) : flag->confidence_permille, row.key.hash});
      lookup.forget();
      return lookup.status().ok();
    });
    std::sort(places.begin(), places.end());
    if (largest_first) std::reverse(places.begin(), places.end());
    for (const FlagPlace& place : places)
      if (!after || (largest_first ? place < *after : place > *after))
        if (!take(place)) break;
  }
  if (!walked.ok()) return io_error(walked);
  if (!lookup.status().ok()) return io_error(lookup.status());
  out.set_next_page_token(next);
  out.set_snapshot_moved(page.moved);
  set_as_of(page.reading->at(), *out.mutable_as_of());
  return grpc::Status::OK;
}

grpc::Status FlagsService::may_decide(const Call& call, const pb::DecideFlagRequest& in, const FlagsState& flag) const {
  const uint64_t user = core_.hasher()(KeyKind::kUser, call.caller.user);
  const bool subject = std::find(flag.subjects.begin(), flag.subjects.end(), user) != flag.subjects.end();
  if (in.decision() == pb::DECISION_APPEALED) {
    if (!subject && flag.more_subjects == 0)
      return call_error(grpc::StatusCode::PERMISSION_DENIED, "NOT_A_SUBJECT", "only a subject of the flag may appeal");
  } else if (!call.caller.staff()) {
    return call_error(grpc::StatusCode::PERMISSION_DENIED, "ROLE", "a member may only appeal",
                      {{"allowed", "DECISION_APPEALED"}});
  } else if (subject) {
    return call_error(grpc::StatusCode::PERMISSION_DENIED, "OWN_FLAG", "a subject may not decide about their own flag");
  }
  const bool needs_appeal = in.decision() == pb::DECISION_REVERSED || in.decision() == pb::DECISION_UPHELD;
  const auto decision = static_cast<Decision>(in.decision());
  if ((needs_appeal && flag.status != FlagStatus::kAppealed) || decided(flag.status, decision) == flag.status)
    return call_error(grpc::StatusCode::FAILED_PRECONDITION, "FLAG_STATUS",
                      "the flag is " + pb::FlagStatus_Name(to_pb(flag.status)) + ": " +
                          pb::Decision_Name(in.decision()) + " does not apply",
                      {{"status", pb::FlagStatus_Name(to_pb(flag.status))}});
  return grpc::Status::OK;
}

grpc::ServerUnaryReactor* FlagsService::DecideFlag(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  constexpr Roles kMay = kStaff | role_bit(Role::kMember);
  return run_unary<pb::DecideFlagRequest, pb::DecideFlagResponse>(
      core_, context, "Flags.DecideFlag", kMay, request, response,
      [this](const Call& call, const pb::DecideFlagRequest& in, pb::DecideFlagResponse& out) {
        FieldErrors wrong;
        if (in.flag().empty() || in.flag().size() > kIdBytesMax)
          wrong.emplace_back("flag", "has " + std::to_string(in.flag().size()) + " bytes; allowed: 1..64 bytes");
        if (in.decision() == pb::DECISION_UNSPECIFIED || !pb::Decision_IsValid(in.decision()))
          wrong.emplace_back("decision", "given " + std::to_string(in.decision()) +
                                             ", allowed: DECISION_CONFIRMED, DECISION_DISMISSED, DECISION_APPEALED, "
                                             "DECISION_REVERSED, DECISION_UPHELD");
        if (in.reason().size() > kReasonMax)
          wrong.emplace_back("reason", "has " + std::to_string(in.reason().size()) + " bytes; allowed: at most 500");
        if (in.request_id().size() > kRequestIdMax)
          wrong.emplace_back("request_id",
                             "has " + std::to_string(in.request_id().size()) + " bytes; allowed: at most 48");
        if (!wrong.empty()) return bad_fields(wrong);
        if (core_.deps().input == nullptr)
          return call_error(grpc::StatusCode::UNAVAILABLE, "NO_INPUT_LOG", "this process has no input log to write to");

        Lookup lookup(call.reading);
        const uint64_t hash = core_.hasher()(KeyKind::kFlag, in.flag());
        const FlagsState* flag = lookup.flag(hash);
        if (!lookup.status().ok()) return io_error(lookup.status());
        if (flag == nullptr || flag->status == FlagStatus::kNone || flag->id != in.flag()) return unknown(in.flag());

        pb::Event event;
        if (in.request_id().empty()) {
          absl::BitGen random;
          event.set_id("decide-" + hex16(random()) + hex16(random()));
        } else {
          event.set_id("decide-" + in.request_id());
        }
        const uint64_t id_hash = core_.hasher()(KeyKind::kEvent, event.id());
        const bool repeated = std::any_of(flag->history.begin(), flag->history.end(),
                                          [&](const FlagDecision& d) { return d.id_hash == id_hash; });
        // A repeat is written again: the engine knows it for a duplicate, and the caller gets a position to wait for.
        if (!repeated)
          if (grpc::Status may = may_decide(call, in, *flag); !may.ok()) return may;

        set_time(call.reading->now_us(), event.mutable_time());
        event.set_user(call.caller.user);
        auto* verdict = event.mutable_judgement()->mutable_verdict();
        verdict->set_flag(in.flag());
        verdict->set_decision(in.decision());
        verdict->set_reason(in.reason());

        std::vector<InputRecord> records(1);
        records[0] = {InputTopic::kJudgements, event.user(), core_.hasher()(KeyKind::kUser, event.user()),
                      event.SerializeAsString()};
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline - std::chrono::system_clock::now())
                .count();
        struct Wait {
          std::mutex mutex;
          std::condition_variable changed;
          std::optional<InputAck> ack;
        };
        auto wait = std::make_shared<Wait>();
        core_.deps().input->append(std::move(records), static_cast<int>(std::max<int64_t>(1, left)),
                                   [wait](InputAck ack) {
                                     const std::lock_guard lock(wait->mutex);
                                     wait->ack = std::move(ack);
                                     wait->changed.notify_all();
                                   });
        std::unique_lock lock(wait->mutex);
        if (!wait->changed.wait_until(lock, call.deadline, [&] { return wait->ack.has_value(); }))
          return call_error_retry(grpc::StatusCode::DEADLINE_EXCEEDED, "NOT_DURABLE_YET",
                                  "not confirmed by the input log in time; repeat with the same request_id", 1000);
        if (!wait->ack->status.ok())
          return call_error_retry(grpc::StatusCode::UNAVAILABLE, "INPUT_LOG", wait->ack->status.message, 1000);
        const InputPosition& at = wait->ack->positions.front();
        out.mutable_position()->set_topic(at.partition.topic);
        out.mutable_position()->set_partition(at.partition.number);
        out.mutable_position()->set_offset(at.offset);
        out.set_event_id(event.id());

        Lookup after(core_.newest());
        if (const FlagsState* now = after.flag(hash)) {
          out.set_applied(std::any_of(now->history.begin(), now->history.end(),
                                      [&](const FlagDecision& d) { return d.id_hash == id_hash; }));
          if (call.caller.staff()) flag_message(after, *now, hash, false, *out.mutable_flag());
        }
        if (!after.status().ok()) return io_error(after.status());
        set_as_of(after.at(), *out.mutable_as_of());
        return grpc::Status::OK;
      },
      Lane::kWrites);
}

}  // namespace

std::unique_ptr<grpc::Service> make_flags_service(ServiceCore& core) { return std::make_unique<FlagsService>(core); }

}  // namespace bellwether

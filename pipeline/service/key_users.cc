#include <algorithm>

#include "bellwether/v1/key_users.grpc.pb.h"
#include "pipeline/service/explain.h"
#include "pipeline/service/filter.h"
#include "pipeline/service/paging.h"
#include "pipeline/service/services.h"
#include "pipeline/service/watch.h"

namespace bellwether {
namespace {

constexpr size_t kExaminedMax = 20'000;  // users looked at for one page
constexpr int kBatchMax = 1000;

Audience audience_of(const Caller& caller) {
  if (caller.staff()) return Audience::kStaff;
  return caller.role == Role::kPlatform ? Audience::kPlatform : Audience::kMember;
}

bool check_user_id(const std::string& id, const std::string& field, FieldErrors& wrong) {
  if (id.empty()) {
    wrong.emplace_back(field, "is empty; allowed: 1..64 bytes");
  } else if (id.size() > kIdBytesMax) {
    wrong.emplace_back(field, "has " + std::to_string(id.size()) + " bytes; allowed: 1..64 bytes");
  }
  return wrong.empty();
}

grpc::Status own_only(const Caller& caller, const std::string& user) {
  if (caller.role != Role::kMember || caller.user == user) return grpc::Status::OK;
  return call_error(grpc::StatusCode::PERMISSION_DENIED, "NOT_YOURS", "a member may ask about themselves only");
}

grpc::Status unknown_user(const std::string& user) {
  return call_error(grpc::StatusCode::NOT_FOUND, "USER_UNKNOWN", "nothing is known of user " + user, {{"user", user}});
}

// The score that a oneof of capability and profile names.
template <class Request>
grpc::Status choose(const Request& request, const CommunityConfig& community, ScoreChoice& out) {
  if (request.score_case() == Request::kCapability) {
    const int c = request.capability();
    if (c < 1 || c > static_cast<int>(kCapabilities))
      return bad_field("capability", "given " + std::to_string(c) +
                                         ", allowed: CAPABILITY_INNOVATION, CAPABILITY_COMMUNICATION, "
                                         "CAPABILITY_REFERRAL, CAPABILITY_KNOWLEDGE");
    out = {false, static_cast<size_t>(c - 1)};
    return grpc::Status::OK;
  }
  if (request.score_case() != Request::kProfile) return grpc::Status::OK;
  std::string names;
  for (size_t p = 0; p < community.profiles.size(); ++p) {
    if (community.profiles[p].name == request.profile()) {
      out = {true, p};
      return grpc::Status::OK;
    }
    names += (p == 0 ? "" : ", ") + community.profiles[p].name;
  }
  return bad_field("profile", "given " + request.profile() + ", allowed: " + names);
}

// Fields of ListUsers' filter; ids from kScore on are scores by board.
enum Field : int {
  kUser,
  kTier,
  kVisibleTier,
  kFlagged,
  kLastActive,
  kFirstActive,
  kFollowers,
  kActiveDays,
  kLikers,
  kPercentile,
  kClosed,
  kScore = 100
};

std::vector<FilterField> user_fields(const CommunityConfig& community) {
  const std::vector<std::string> tiers = {"", "member", "contributor", "key", "lead"};
  std::vector<FilterField> fields = {{"user", FieldType::kText, {}, true, kUser},
                                     {"id", FieldType::kText, {}, true, kUser},
                                     {"tier", FieldType::kChoice, tiers, true, kTier},
                                     {"visible_tier", FieldType::kChoice, tiers, true, kVisibleTier},
                                     {"flagged", FieldType::kBoolean, {}, true, kFlagged},
                                     {"last_active", FieldType::kTime, {}, true, kLastActive},
                                     {"first_active", FieldType::kTime, {}, true, kFirstActive},
                                     {"followers", FieldType::kNumber, {}, true, kFollowers},
                                     {"active_days", FieldType::kNumber, {}, true, kActiveDays},
                                     {"days_active", FieldType::kNumber, {}, true, kActiveDays},
                                     {"distinct_likers", FieldType::kNumber, {}, true, kLikers},
                                     {"percentile", FieldType::kNumber, {}, true, kPercentile},
                                     {"closed", FieldType::kBoolean, {}, true, kClosed}};
  const auto score = [&](const std::string& name, size_t board) {
    const int id = kScore + static_cast<int>(board);
    fields.push_back({name, FieldType::kNumber, {}, true, id});
    fields.push_back({"score." + name, FieldType::kPoints, {}, true, id});
  };
  for (size_t c = 0; c < kCapabilities; ++c) score(capability_name(c), c);
  for (size_t p = 0; p < community.profiles.size(); ++p) score(community.profiles[p].name, kCapabilities + p);
  return fields;
}

// Gives the filter what it asks for, reading no more than that.
class UserValues {
 public:
  explicit UserValues(Lookup& lookup) : lookup_(lookup) {}
  void at(uint64_t user) { user_ = user, view_.reset(); }

  FilterValues operator()(int id) {
    const Reading& reading = lookup_.reading();
    const ScoresState* s = lookup_.scores(user_);
    if (id >= kScore) {
      if (s == nullptr) return {{0, {}}};
      if (!view_) view_ = scores_of(*s, reading.community(), reading.rules(), reading.now_us());
      const auto board = static_cast<size_t>(id - kScore);
      return {
          {board < kCapabilities ? view_->capability_micros[board] : view_->profile_micros[board - kCapabilities], {}}};
    }
    const auto people = [&] { return lookup_.people(user_); };
    const auto tier = [](Tier t) { return FilterValues{{static_cast<int64_t>(t), {}}}; };
    switch (id) {
      case kUser:
        return {{0, lookup_.user_name(user_)}};
      case kTier:
        return tier(shown_tier(s, people(), reading).tier);
      case kVisibleTier:
        return tier(shown_tier(s, people(), reading).visible);
      case kFlagged:
        return {{flagged(lookup_, s, people()) ? 1 : 0, {}}};
      case kLastActive:
        return {{last_active_us(s, people(), reading.now_us()), {}}};
      case kFirstActive:
        return {{first_active_us(s, people()), {}}};
      case kFollowers:
        return {{people() != nullptr ? static_cast<int64_t>(people()->followers) : 0, {}}};
      case kActiveDays:
        return {{active_days(reading, s, people()), {}}};
      case kLikers:
        return {{s != nullptr ? s->likers : 0, {}}};
      case kPercentile:
        return {{s != nullptr ? reading.percentile_permille(*s, kOverallBoard) : 0, {}}};
      case kClosed:
        return {{people() != nullptr && people()->closed ? 1 : 0, {}}};
      default:
        return {};
    }
  }

 private:
  Lookup& lookup_;
  uint64_t user_ = 0;
  std::optional<ScoreView> view_;
};

std::string place_text(const Place& p) {
  std::string out;
  Writer w(out);
  w.varint(p.cell), w.fixed128(p.sum), w.zigzag(p.base), w.fixed64(p.user);
  return out;
}
bool parse_place(std::string_view text, Place& p) {
  Reader r(text);
  p.cell = static_cast<uint32_t>(r.varint()), p.sum = r.fixed128(), p.base = r.zigzag(), p.user = r.fixed64();
  return r.ok() && r.done();
}

// "overall desc" to a board and a direction.
grpc::Status parse_order(const std::string& order_by, const CommunityConfig& community, BoardNumber& board,
                         bool& best_first) {
  board = kOverallBoard, best_first = true;
  const size_t begin = order_by.find_first_not_of(' ');
  if (begin == std::string::npos) return grpc::Status::OK;
  const size_t end = order_by.find(' ', begin);
  const std::string name = order_by.substr(begin, end == std::string::npos ? end : end - begin);
  std::string rest = end == std::string::npos
                         ? ""
                         : order_by.substr(order_by.find_first_not_of(' ', end) == std::string::npos
                                               ? order_by.size()
                                               : order_by.find_first_not_of(' ', end));
  while (rest.ends_with(' ')) rest.pop_back();
  std::string names;
  const auto consider = [&](const std::string& candidate, size_t number) {
    names += (names.empty() ? "" : ", ") + candidate;
    if (candidate == name) board = number;
    return candidate == name;
  };
  bool found = false;
  for (size_t c = 0; c < kCapabilities; ++c) found |= consider(capability_name(c), c);
  for (size_t p = 0; p < community.profiles.size() && kCapabilities + p < kBoardsMax; ++p)
    found |= consider(community.profiles[p].name, kCapabilities + p);
  if (!found || (!rest.empty() && rest != "desc" && rest != "asc"))
    return bad_field("order_by",
                     "given \"" + order_by + "\", allowed: one of " + names + ", then nothing, desc or asc");
  best_first = rest != "asc";
  return grpc::Status::OK;
}

// Requests come as bytes: see request.h.
using RawKeyUsers = pb::KeyUsers::WithRawCallbackMethod_GetUser<
    pb::KeyUsers::WithRawCallbackMethod_BatchGetUsers<pb::KeyUsers::WithRawCallbackMethod_ListUsers<
        pb::KeyUsers::WithRawCallbackMethod_ExplainScore<pb::KeyUsers::WithRawCallbackMethod_GetLeaderboard<
            pb::KeyUsers::WithRawCallbackMethod_WatchTiers<pb::KeyUsers::Service>>>>>>;

class KeyUsersService final : public RawKeyUsers {
 public:
  explicit KeyUsersService(ServiceCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* GetUser(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return run_unary<pb::GetUserRequest, pb::GetUserResponse>(
        core_, context, "KeyUsers.GetUser", kEverybody, request, response,
        [this](const Call& call, const pb::GetUserRequest& in, pb::GetUserResponse& out) {
          FieldErrors wrong;
          if (!check_user_id(in.user(), "user", wrong)) return bad_fields(wrong);
          if (grpc::Status own = own_only(call.caller, in.user()); !own.ok()) return own;
          Lookup lookup(call.reading);
          const bool known = user_message(lookup, core_.hasher()(KeyKind::kUser, in.user()), audience_of(call.caller),
                                          *out.mutable_user());
          if (!lookup.status().ok()) return io_error(lookup.status());
          // Who is erased is known by no id but the one that stands for them.
          if (!known || out.user().id() != in.user()) return unknown_user(in.user());
          set_as_of(call.reading->at(), *out.mutable_as_of());
          return grpc::Status::OK;
        });
  }

  grpc::ServerUnaryReactor* BatchGetUsers(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override {
    return run_unary<pb::BatchGetUsersRequest, pb::BatchGetUsersResponse>(
        core_, context, "KeyUsers.BatchGetUsers", kReaders, request, response,
        [this](const Call& call, const pb::BatchGetUsersRequest& in, pb::BatchGetUsersResponse& out) {
          return batch(call, in, out);
        });
  }

  grpc::ServerUnaryReactor* ListUsers(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override {
    return run_unary<pb::ListUsersRequest, pb::ListUsersResponse>(
        core_, context, "KeyUsers.ListUsers", kReaders, request, response,
        [this](const Call& call, const pb::ListUsersRequest& in, pb::ListUsersResponse& out) {
          return list(call, in, out);
        });
  }

  grpc::ServerUnaryReactor* ExplainScore(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override {
    return run_unary<pb::ExplainScoreRequest, pb::ExplainScoreResponse>(
        core_, context, "KeyUsers.ExplainScore", kEverybody, request, response,
        [this](const Call& call, const pb::ExplainScoreRequest& in, pb::ExplainScoreResponse& out) {
          FieldErrors wrong;
          check_user_id(in.user(), "user", wrong);
          if (in.events_per_contribution() < 0)
            wrong.emplace_back("events_per_contribution", "given " + std::to_string(in.events_per_contribution()) +
                                                              ", allowed: 0 (the default) or more");
          if (!wrong.empty()) return bad_fields(wrong);
          if (grpc::Status own = own_only(call.caller, in.user()); !own.ok()) return own;
          ScoreChoice choice;
          if (grpc::Status chosen = choose(in, call.reading->community(), choice); !chosen.ok()) return chosen;
          const uint64_t user = core_.hasher()(KeyKind::kUser, in.user());
          Lookup lookup(call.reading);
          if (lookup.user_name(user) != in.user())
            return lookup.status().ok() ? unknown_user(in.user()) : io_error(lookup.status());
          const size_t each = in.events_per_contribution() == 0
                                  ? 10
                                  : std::min<size_t>(100, static_cast<size_t>(in.events_per_contribution()));
          out.set_user(in.user());
          explain_score(lookup, user, choice, each, audience_of(call.caller), out);
          if (!lookup.status().ok()) return io_error(lookup.status());
          set_as_of(call.reading->at(), *out.mutable_as_of());
          return grpc::Status::OK;
        });
  }

  grpc::ServerUnaryReactor* GetLeaderboard(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override {
    return run_unary<pb::GetLeaderboardRequest, pb::GetLeaderboardResponse>(
        core_, context, "KeyUsers.GetLeaderboard", kReaders, request, response,
        [this](const Call& call, const pb::GetLeaderboardRequest& in, pb::GetLeaderboardResponse& out) {
          return leaderboard(call, in, out);
        });
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchTiers(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* request) override {
    return watch_tiers(core_, context, request);
  }

 private:
  grpc::Status batch(const Call& call, const pb::BatchGetUsersRequest& in, pb::BatchGetUsersResponse& out) {
    FieldErrors wrong;
    if (in.users_size() == 0 || in.users_size() > kBatchMax)
      wrong.emplace_back("users", "given " + std::to_string(in.users_size()) + ", allowed: 1..1000 ids");
    for (int i = 0; i < in.users_size() && wrong.size() < 20; ++i) {
      FieldErrors one;
      if (!check_user_id(in.users(i), "users[" + std::to_string(i) + "]", one)) wrong.push_back(one.front());
    }
    if (!wrong.empty()) return bad_fields(wrong);
    Lookup lookup(call.reading);
    for (const std::string& id : in.users()) {
      if (call.over())
        return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "the deadline passed while users were read");
      pb::User& user = *out.add_users();
      if (!user_message(lookup, core_.hasher()(KeyKind::kUser, id), audience_of(call.caller), user) ||
          user.id() != id) {
        out.mutable_users()->RemoveLast();
        out.add_missing(id);
      }
      lookup.forget();
    }
    if (!lookup.status().ok()) return io_error(lookup.status());
    set_as_of(call.reading->at(), *out.mutable_as_of());
    return grpc::Status::OK;
  }

  grpc::Status list(const Call& call, const pb::ListUsersRequest& in, pb::ListUsersResponse& out) {
    BoardNumber board;
    bool best_first;
    if (grpc::Status order = parse_order(in.order_by(), call.reading->community(), board, best_first); !order.ok())
      return order;
    Filter filter;
    std::string error;
    std::vector<FilterField> fields = user_fields(call.reading->community());
    if (!call.caller.staff()) std::erase_if(fields, [](const FilterField& f) { return f.id == kFlagged; });
    if (!Filter::parse(in.filter(), fields, filter, error)) return bad_field("filter", error, "INVALID_FILTER");
    PageFrame page;
    if (grpc::Status opened = page.open(
            core_, call, in, "users\n" + in.filter() + "\n" + std::to_string(board) + (best_first ? "d" : "a"));
        !opened.ok())
      return opened;
    std::optional<Place> after;
    if (!page.last.empty() && !parse_place(page.last, after.emplace()))
      return bad_field("page_token", "is no token of this list", "PAGE_TOKEN_INVALID");

    Lookup lookup(page.reading);
    UserValues values(lookup);
    const Audience audience = audience_of(call.caller);
    Place last;
    bool more = false, late = false;
    size_t examined = 0, bytes = 0;
    const auto take = [&](const Place& place) {
      if (static_cast<uint32_t>(out.users_size()) == page.size || examined == kExaminedMax || bytes > kAnswerBytesMax) {
        more = true;
        return false;
      }
      if ((++examined & 63) == 0 && call.over()) {
        late = true;
        return false;
      }
      values.at(place.user);
      last = place;
      if (filter.matches([&](int id) { return values(id); })) {
        if (user_message(lookup, place.user, audience, *out.add_users())) {
          bytes += out.users(out.users_size() - 1).ByteSizeLong();
        } else {
          out.mutable_users()->RemoveLast();
        }
      }
      lookup.forget();
      return lookup.status().ok();
    };
    std::string only;
    if (filter.required_text(kUser, only)) {  // one user at most: no need to walk
      const uint64_t user = core_.hasher()(KeyKind::kUser, only);
      if (!after && lookup.user_name(user) == only) take({0, 0, 0, user});
    } else if (const Status walked =
                   page.reading->walk(board, best_first, after, [&](const Place& place, bool) { return take(place); });
               !walked.ok()) {
      return io_error(walked);
    }
    if (!lookup.status().ok()) return io_error(lookup.status());
    if (late) {
      if (out.users_size() == 0 || call.cancelled())
        return call_error_retry(grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE",
                                "the deadline passed while users were looked through", 0);
      more = true;
    }
    if (more) out.set_next_page_token(page.next(core_, place_text(last)));
    out.set_snapshot_moved(page.moved);
    set_as_of(page.reading->at(), *out.mutable_as_of());
    return grpc::Status::OK;
  }

  grpc::Status leaderboard(const Call& call, const pb::GetLeaderboardRequest& in, pb::GetLeaderboardResponse& out) {
    ScoreChoice choice;
    if (grpc::Status chosen = choose(in, call.reading->community(), choice); !chosen.ok()) return chosen;
    if (choice.board() >= call.reading->boards())
      return call_error(grpc::StatusCode::FAILED_PRECONDITION, "NO_BOARD",
                        "only the first " + std::to_string(kBoardsMax - kCapabilities) + " profiles have a board");
    PageFrame page;
    if (grpc::Status opened = page.open(core_, call, in, "board\n" + std::to_string(choice.board())); !opened.ok())
      return opened;
    std::optional<Place> after;
    if (!page.last.empty() && !parse_place(page.last, after.emplace()))
      return bad_field("page_token", "is no token of this list", "PAGE_TOKEN_INVALID");
    const Reading& reading = *page.reading;
    Lookup lookup(page.reading);
    Place last;
    bool more = false;
    uint32_t rank = 0;
    const Status walked = reading.walk(choice.board(), true, after, [&](const Place& place, bool exact) {
      if (static_cast<uint32_t>(out.entries_size()) == page.size || call.over()) {
        more = true;
        return false;
      }
      const ScoresState* s = lookup.scores(place.user);
      if (s == nullptr) return lookup.status().ok();
      const PeopleShown* people = lookup.people(place.user);
      rank = rank == 0 ? reading.rank(*s, place.user, choice.board(), lookup.status()).rank : rank + 1;
      pb::LeaderboardEntry& entry = *out.add_entries();
      entry.set_rank(rank);
      entry.set_rank_exact(exact && rank <= kRanksExact);
      entry.set_user(s->id);
      const ScoreView view = scores_of(*s, reading.community(), reading.rules(), reading.now_us());
      entry.set_score_micros(choice.profile ? view.profile_micros[choice.number]
                                            : view.capability_micros[choice.number]);
      const ShownTier shown = shown_tier(s, people, reading);
      entry.set_tier(to_pb(shown.tier));
      entry.set_visible_tier(to_pb(shown.visible));
      if (call.caller.staff()) entry.set_flagged(flagged(lookup, s, people));
      last = place;
      lookup.forget();
      return lookup.status().ok();
    });
    if (!walked.ok()) return io_error(walked);
    out.set_total_users(reading.cells(choice.board()).total);
    if (!lookup.status().ok()) return io_error(lookup.status());
    if (more && out.entries_size() == 0)
      return call_error_retry(grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE",
                              "the deadline passed while the board was read", 0);
    if (more) out.set_next_page_token(page.next(core_, place_text(last)));
    out.set_snapshot_moved(page.moved);
    set_as_of(reading.at(), *out.mutable_as_of());
    return grpc::Status::OK;
  }

  ServiceCore& core_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_key_users_service(ServiceCore& core) {
  return std::make_unique<KeyUsersService>(core);
}

}  // namespace bellwether

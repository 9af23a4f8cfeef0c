// KeyUsers, Ingest and Admin over a real engine.
#include <google/protobuf/util/time_util.h>
#include <grpcpp/health_check_service_interface.h>

#include "pipeline/service/core.h"
#include "service_rig.h"

namespace bellwether::service_test {
namespace {

using google::protobuf::util::TimeUtil;
using grpc::StatusCode;
using pb::Admin;
using pb::Ingest;
using pb::KeyUsers;

constexpr const char* kMember = "token-of-a-member-1";
constexpr const char* kPlatform = "token-of-platform-1";
constexpr const char* kModerator = "token-of-moderator1";
constexpr int64_t kLater = 1'743'000'000;  // 2025-03-26, after the simulated days

class ServiceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rig_ = new Rig;
    rig_->feed();
  }
  static void TearDownTestSuite() {
    delete rig_;
    rig_ = nullptr;
  }
  static Rig& rig() { return *rig_; }

  static std::vector<pb::LeaderboardEntry> board(
      int size, const std::function<void(pb::GetLeaderboardRequest&)>& choose = [](auto&) {}) {
    std::vector<pb::LeaderboardEntry> out;
    pb::GetLeaderboardRequest request;
    choose(request);
    request.set_page_size(size);
    pb::GetLeaderboardResponse response;
    do {
      request.set_page_token(response.next_page_token());
      const grpc::Status status = rig().call(*rig().users, &KeyUsers::Stub::GetLeaderboard, request, response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (!status.ok()) break;
      EXPECT_FALSE(response.snapshot_moved());
      out.insert(out.end(), response.entries().begin(), response.entries().end());
    } while (!response.next_page_token().empty());
    return out;
  }
  static pb::User user(const std::string& id, const std::string& token = "token-of-the-admin1") {
    pb::GetUserRequest request;
    request.set_user(id);
    pb::GetUserResponse response;
    const grpc::Status status = rig().call(*rig().users, &KeyUsers::Stub::GetUser, request, response, token);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.user();
  }

 private:
  static Rig* rig_;
};
Rig* ServiceTest::rig_ = nullptr;

TEST_F(ServiceTest, LeaderboardPagesAreOneListInOrder) {
  const auto all = board(1000), paged = board(7);
  ASSERT_GT(all.size(), 100u);
  ASSERT_EQ(all.size(), paged.size());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].user(), paged[i].user());
    EXPECT_EQ(all[i].rank(), i + 1);
    EXPECT_EQ(paged[i].rank(), i + 1);
    EXPECT_TRUE(all[i].rank_exact());
    if (i > 0) {
      EXPECT_LE(all[i].score_micros(), all[i - 1].score_micros());
    }
  }
  EXPECT_GT(all.front().score_micros(), all.back().score_micros());
  for (const auto& entry : {all[0], all[5], all[all.size() / 2], all.back()}) {
    const pb::User u = user(entry.user());
    EXPECT_EQ(u.overall().score_micros(), entry.score_micros());
    EXPECT_EQ(u.overall().rank(), entry.rank());
    EXPECT_EQ(u.tier(), entry.tier());
  }
  EXPECT_EQ(user(all[0].user()).overall().percentile_permille(), 1000u);
}

TEST_F(ServiceTest, LeaderboardsOfCapabilityAndProfile) {
  const auto knowledge = board(1000, [](auto& r) { r.set_capability(pb::CAPABILITY_KNOWLEDGE); });
  ASSERT_FALSE(knowledge.empty());
  const pb::User best = user(knowledge[0].user());
  EXPECT_EQ(best.capabilities(3).score_micros(), knowledge[0].score_micros());
  EXPECT_EQ(best.capabilities(3).rank(), 1u);
  const auto desk = board(1000, [](auto& r) { r.set_profile("help_desk"); });
  ASSERT_FALSE(desk.empty());
  for (size_t i = 1; i < desk.size(); ++i) EXPECT_LE(desk[i].score_micros(), desk[i - 1].score_micros());

  pb::GetLeaderboardRequest request;
  pb::GetLeaderboardResponse response;
  request.set_profile("nothing");
  EXPECT_EQ(field_of(rig().call(*rig().users, &KeyUsers::Stub::GetLeaderboard, request, response)), "profile");
  request.set_capability(static_cast<pb::Capability>(9));
  EXPECT_EQ(field_of(rig().call(*rig().users, &KeyUsers::Stub::GetLeaderboard, request, response)), "capability");
}

TEST_F(ServiceTest, ExplanationsSumToTheScoreAndNameTheirEvents) {
  const auto all = board(1000);
  size_t named = 0, lines = 0;
  for (size_t i = 0; i < all.size(); i += 9) {
    const pb::User u = user(all[i].user());
    const auto check = [&](const pb::Score& score, const std::function<void(pb::ExplainScoreRequest&)>& choose) {
      pb::ExplainScoreRequest request;
      request.set_user(u.id());
      request.set_events_per_contribution(100);
      choose(request);
      pb::ExplainScoreResponse response;
      const grpc::Status status = rig().call(*rig().users, &KeyUsers::Stub::ExplainScore, request, response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_EQ(response.score().score_micros(), score.score_micros()) << u.id() << " " << score.name();
      int64_t sum = 0;
      for (const pb::Contribution& c : response.contributions()) {
        sum += c.contribution_micros();
        EXPECT_FALSE(c.rule().empty());
        EXPECT_GE(c.points_micros() - c.capped_micros() - c.discounted_micros(), 0);
        // The events carry what the line carries.
        EXPECT_EQ(static_cast<uint64_t>(c.events_size()) + c.more_events_count(), c.count())
            << u.id() << " " << c.rule() << " " << c.day();
        int64_t points = 0;
        std::pair<int64_t, std::string> before(INT64_MAX, "");
        for (const pb::ContributionEvent& e : c.events()) {
          points += e.points_micros();
          EXPECT_FALSE(e.event().home().empty());
          EXPECT_EQ(e.event().home_hash().size(), 16u);
          if (e.event().kind() == pb::EVENT_KIND_LIKE) {
            EXPECT_FALSE(e.actor().empty());
            // Also of a like that stands in a full block of the liker's ledger. A follow is of no post, and reaches
            // too.
            if (c.rule() != "follow_received" && c.rule() != "person_reached") {
              EXPECT_FALSE(e.about().empty()) << u.id() << " " << c.rule() << " " << c.day();
            }
          }
          // The latest first, each once.
          const auto at = std::pair(TimeUtil::TimestampToMicroseconds(e.event().time()), e.event().id_hash());
          EXPECT_LT(at, before) << u.id() << " " << c.rule() << " " << c.day();
          before = at;
          named += !e.actor().empty() || !e.about().empty();
        }
        if (c.more_events_count() == 0) {
          EXPECT_EQ(points, c.points_micros()) << u.id() << " " << c.rule() << " " << c.day();
        }
        ++lines;
      }
      EXPECT_EQ(sum, score.score_micros()) << u.id() << " " << score.name();
    };
    check(u.overall(), [](auto&) {});
    for (const pb::Score& s : u.capabilities()) check(s, [&](auto& r) { r.set_capability(s.capability()); });
    for (const pb::Score& s : u.profiles()) check(s, [&](auto& r) { r.set_profile(s.name()); });
  }
  EXPECT_GT(lines, 100u);
  EXPECT_GT(named, 100u);
}

TEST_F(ServiceTest, ListUsersFiltersAndPages) {
  const auto list = [&](const std::string& filter, const std::string& order, int size) {
    std::vector<pb::User> out;
    pb::ListUsersRequest request;
    request.set_filter(filter);
    request.set_order_by(order);
    request.set_page_size(size);
    pb::ListUsersResponse response;
    do {
      request.set_page_token(response.next_page_token());
      const grpc::Status status = rig().call(*rig().users, &KeyUsers::Stub::ListUsers, request, response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (!status.ok()) break;
      out.insert(out.end(), response.users().begin(), response.users().end());
    } while (!response.next_page_token().empty());
    return out;
  };
  const auto ids = [](const std::vector<pb::User>& users) {
    std::vector<std::string> out;
    for (const auto& u : users) out.push_back(u.id());
    return out;
  };
  const auto all = list("", "", 1000);
  const auto entries = board(1000);
  ASSERT_EQ(all.size(), entries.size());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].id(), entries[i].user());
  EXPECT_EQ(ids(list("", "overall desc", 13)), ids(all));
  auto reversed = ids(list("", "overall asc", 13));
  std::reverse(reversed.begin(), reversed.end());
  EXPECT_EQ(reversed, ids(all));

  std::vector<std::string> wanted;
  for (const auto& u : all)
    if (u.tier() >= pb::TIER_CONTRIBUTOR && u.capabilities(1).score_micros() > 5'500'000 &&
        u.portrait().active_days() > 3 && u.flags_size() == 0)
      wanted.push_back(u.id());
  ASSERT_FALSE(wanted.empty());
  ASSERT_LT(wanted.size(), all.size());
  EXPECT_EQ(
      ids(list("tier >= contributor AND score.communication > 5.5 AND active_days > 3 AND flagged = false", "", 5)),
      wanted);
  EXPECT_EQ(ids(list("communication > 5500000 AND tier >= contributor AND days_active > 3 AND NOT flagged = true",
                     "overall", 1000)),
            wanted);
  EXPECT_EQ(ids(list("user = " + all[3].id(), "", 5)), std::vector<std::string>{all[3].id()});
  EXPECT_TRUE(list("user = nobody", "", 5).empty());
  const auto seen = list("flagged = true", "", 1000);
  for (const auto& u : seen) EXPECT_GT(u.flags_size(), 0);
  EXPECT_FALSE(seen.empty());
}

TEST_F(ServiceTest, BadListRequestsNameTheField) {
  pb::ListUsersRequest request;
  pb::ListUsersResponse response;
  const auto ask = [&] { return rig().call(*rig().users, &KeyUsers::Stub::ListUsers, request, response); };
  request.set_page_size(-1);
  EXPECT_EQ(field_of(ask()), "page_size");
  request.set_page_size(5);
  request.set_filter("tier >= boss");
  EXPECT_EQ(field_of(ask()), "filter");
  request.set_filter("");
  request.set_order_by("height");
  EXPECT_EQ(field_of(ask()), "order_by");
  request.set_order_by("");
  request.set_page_token("garbage");
  EXPECT_EQ(field_of(ask()), "page_token");
  request.set_page_token("");
  ASSERT_TRUE(ask().ok());
  ASSERT_FALSE(response.next_page_token().empty());
  request.set_page_token(response.next_page_token());
  request.set_filter("tier >= key");
  const grpc::Status other = ask();
  EXPECT_EQ(field_of(other), "page_token");
  EXPECT_EQ(details_of(other).info.reason(), "PAGE_TOKEN_MISMATCH");
  request.clear_page_token();
  request.add_min_position()->set_offset(3);
  EXPECT_EQ(field_of(ask()), "min_position[0].topic");
}

TEST_F(ServiceTest, PagesKeepTheirTickWhileTheCommunityGoesOn) {
  pb::ListUsersRequest request;
  request.set_page_size(10);
  pb::ListUsersResponse first, second;
  ASSERT_TRUE(rig().call(*rig().users, &KeyUsers::Stub::ListUsers, request, first).ok());
  pb::PublishRequest publish;
  *publish.add_events() = like_event("page-tick", "u2", "p-new", "u3", kLater - 3600);
  pb::PublishResponse published;
  ASSERT_TRUE(rig().call(*rig().ingest, &Ingest::Stub::Publish, publish, published).ok());
  rig().settle();
  request.set_page_token(first.next_page_token());
  ASSERT_TRUE(rig().call(*rig().users, &KeyUsers::Stub::ListUsers, request, second).ok());
  EXPECT_EQ(second.as_of().tick().slot(), first.as_of().tick().slot());
  EXPECT_FALSE(second.snapshot_moved());
}

TEST_F(ServiceTest, BatchKeepsTheOrderAndTellsTheMissing) {
  const auto all = board(5);
  pb::BatchGetUsersRequest request;
  request.add_users(all[2].user());
  request.add_users("nobody");
  request.add_users(all[0].user());
  pb::BatchGetUsersResponse response;
  ASSERT_TRUE(rig().call(*rig().users, &KeyUsers::Stub::BatchGetUsers, request, response).ok());
  ASSERT_EQ(response.users_size(), 2);
  EXPECT_EQ(response.users(0).id(), all[2].user());
  EXPECT_EQ(response.users(1).id(), all[0].user());
  ASSERT_EQ(response.missing_size(), 1);
  EXPECT_EQ(response.missing(0), "nobody");
  request.add_users("");
  EXPECT_EQ(field_of(rig().call(*rig().users, &KeyUsers::Stub::BatchGetUsers, request, response)), "users[3]");
  request.Clear();
  EXPECT_EQ(field_of(rig().call(*rig().users, &KeyUsers::Stub::BatchGetUsers, request, response)), "users");
}

TEST_F(ServiceTest, UsersAreWhole) {
  const auto all = board(1);
  const pb::User u = user(all[0].user());
  EXPECT_EQ(u.capabilities_size(), 4);
  EXPECT_EQ(u.profiles_size(), 4);
  EXPECT_EQ(u.portrait().active_hours_size(), 24);
  uint32_t share = 0;
  for (const uint32_t s : u.portrait().capability_share_permille()) share += s;
  EXPECT_EQ(share, 1000u);
  EXPECT_GT(u.portrait().active_days(), 0u);
  EXPECT_TRUE(u.has_first_active_time());
  EXPECT_LE(u.first_active_time().seconds(), u.last_active_time().seconds());
  EXPECT_EQ(static_cast<int>(u.next_tier_gates().total()), u.next_tier_gates().gates_size());
  int64_t sum = 0;
  for (const pb::Score& s : u.capabilities()) sum += s.score_micros();
  EXPECT_NEAR(static_cast<double>(sum), static_cast<double>(u.overall().score_micros()), 4);
}

TEST_F(ServiceTest, WhoMay) {
  pb::GetUserRequest request;
  pb::GetUserResponse response;
  const auto get = [&](const std::string& id, const std::string& token) {
    request.set_user(id);
    return rig().call(*rig().users, &KeyUsers::Stub::GetUser, request, response, token);
  };
  EXPECT_EQ(get("u1", "").error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(get("u1", "token-of-a-stranger").error_code(), StatusCode::UNAUTHENTICATED);
  pb::PublishRequest publish;  // so that the member is known
  *publish.add_events() = like_event("member", "u1", "m-post", "u3", kLater);
  pb::PublishResponse published;
  ASSERT_TRUE(rig().call(*rig().ingest, &Ingest::Stub::Publish, publish, published, kPlatform).ok());
  rig().settle();
  EXPECT_TRUE(get("u1", kMember).ok());
  const grpc::Status others = get("u2", kMember);
  EXPECT_EQ(others.error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(details_of(others).info.reason(), "NOT_YOURS");
  EXPECT_EQ(get("nobody", kPlatform).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(field_of(get("", kPlatform)), "user");
  EXPECT_EQ(field_of(get(std::string(65, 'x'), kPlatform)), "user");

  pb::GetLeaderboardResponse leaders;
  EXPECT_EQ(rig()
                .call(*rig().users, &KeyUsers::Stub::GetLeaderboard, pb::GetLeaderboardRequest{}, leaders, kMember)
                .error_code(),
            StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(
      rig().call(*rig().users, &KeyUsers::Stub::GetLeaderboard, pb::GetLeaderboardRequest{}, leaders, kPlatform).ok());
  for (const auto& entry : leaders.entries()) EXPECT_FALSE(entry.flagged());
  pb::GetStatusResponse status;
  EXPECT_EQ(rig().call(*rig().admin, &Admin::Stub::GetStatus, pb::GetStatusRequest{}, status, kPlatform).error_code(),
            StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(rig().call(*rig().admin, &Admin::Stub::GetStatus, pb::GetStatusRequest{}, status, kModerator).ok());
  pb::ListFlagsResponse flags;
  EXPECT_EQ(
      rig().call(*rig().flags, &pb::Flags::Stub::ListFlags, pb::ListFlagsRequest{}, flags, kPlatform).error_code(),
      StatusCode::PERMISSION_DENIED);

  // A platform and a member read no word of flags.
  pb::ListUsersRequest list;
  list.set_filter("flagged = true");
  pb::ListUsersResponse users;
  EXPECT_EQ(field_of(rig().call(*rig().users, &KeyUsers::Stub::ListUsers, list, users, kPlatform)), "filter");
  ASSERT_TRUE(rig().call(*rig().users, &KeyUsers::Stub::ListUsers, list, users).ok());
  ASSERT_GT(users.users_size(), 0);
  const pb::User seen = user(users.users(0).id(), kPlatform);
  EXPECT_EQ(seen.flags_size(), 0);
  EXPECT_EQ(seen.overall().taken_micros(), 0);
  EXPECT_TRUE(seen.tier_reason().flag().empty());
}

TEST_F(ServiceTest, PublishWritesAllOrNothingAndIsReadBack) {
  const int64_t before = rig().log->end_offset(0);
  pb::PublishRequest request;
  *request.add_events() = like_event("pub-1", "u2", "pub-post", "pub-author", kLater);
  *request.add_events() = like_event("pub-2", "u3", "pub-post", "", kLater);
  pb::PublishResponse response;
  const grpc::Status bad = rig().call(*rig().ingest, &Ingest::Stub::Publish, request, response);
  EXPECT_EQ(field_of(bad), "events[1].like.author");
  EXPECT_EQ(details_of(bad).info.reason(), "EVENT_EMPTY_ID");
  EXPECT_EQ(rig().log->end_offset(0), before);

  request.mutable_events(1)->mutable_like()->set_author("pub-author");
  ASSERT_TRUE(rig().call(*rig().ingest, &Ingest::Stub::Publish, request, response).ok());
  ASSERT_EQ(response.positions_size(), 2);
  EXPECT_EQ(response.positions(1).offset(), before + 1);
  EXPECT_EQ(response.high_positions(0).offset(), before + 1);
  pb::GetUserRequest get;
  get.set_user("pub-author");
  *get.add_min_position() = response.high_positions(0);
  pb::GetUserResponse got;
  const grpc::Status read = rig().call(*rig().users, &KeyUsers::Stub::GetUser, get, got, kPlatform);
  ASSERT_TRUE(read.ok()) << read.error_message();
  EXPECT_GE(got.user().overall().score_micros(), 2'000'000);

  request.mutable_events(0)->mutable_time()->set_seconds(std::time(nullptr) + 86'400);
  EXPECT_EQ(field_of(rig().call(*rig().ingest, &Ingest::Stub::Publish, request, response)), "events[0].time");
  request.Clear();
  EXPECT_EQ(field_of(rig().call(*rig().ingest, &Ingest::Stub::Publish, request, response)), "events");
  *request.add_events() = like_event("pub-3", "u2", "pub-post", "pub-author", kLater);
  EXPECT_EQ(rig().call(*rig().ingest, &Ingest::Stub::Publish, request, response, kMember).error_code(),
            StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(rig().call(*rig().ingest, &Ingest::Stub::Publish, request, response, kModerator).error_code(),
            StatusCode::PERMISSION_DENIED);
  request.mutable_events(0)->mutable_judgement()->mutable_rating()->set_subject("u2");
  EXPECT_EQ(rig().call(*rig().ingest, &Ingest::Stub::Publish, request, response, kPlatform).error_code(),
            StatusCode::PERMISSION_DENIED);
}

TEST_F(ServiceTest, StreamLeavesOutWhatIsNotValid) {
  grpc::ClientContext context;
  Rig::authorize(context, kPlatform);
  auto stream = rig().ingest->PublishStream(&context);
  pb::PublishStreamRequest request;
  request.set_sequence(77);
  *request.add_events() = like_event("s-1", "u2", "s-post", "u5", kLater + 1);
  *request.add_events() = like_event("", "u2", "s-post", "u5", kLater + 1);
  *request.add_events() = like_event("s-3", "u4", "s-post", "u5", kLater + 1);
  ASSERT_TRUE(stream->Write(request));
  pb::PublishStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.sequence(), 77u);
  EXPECT_EQ(response.positions_size(), 2);
  ASSERT_EQ(response.rejected_size(), 1);
  EXPECT_EQ(response.rejected(0).index(), 1u);
  EXPECT_EQ(response.rejected(0).reason(), pb::DEAD_LETTER_REASON_EMPTY_ID);
  EXPECT_EQ(response.rejected(0).text(), "id is empty");
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ServiceTest, APositionThatIsNotReachedEndsWithTheDeadline) {
  pb::GetUserRequest request;
  request.set_user("u1");
  *request.add_min_position() = Rig::position(1'000'000'000);
  pb::GetUserResponse response;
  const auto begun = std::chrono::steady_clock::now();
  const grpc::Status status = rig().call(*rig().users, &KeyUsers::Stub::GetUser, request, response, kPlatform, 300);
  EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
}

TEST_F(ServiceTest, StatusAddsUpAndDeadLettersAreListed) {
  ASSERT_TRUE(rig().log->append(0, {"no event at all", R"({"id":"x"})"}).status.ok());
  rig().settle();
  pb::GetStatusResponse status;
  ASSERT_TRUE(rig().call(*rig().admin, &Admin::Stub::GetStatus, pb::GetStatusRequest{}, status).ok());
  const pb::RecordAccount& a = status.account();
  EXPECT_EQ(a.consumed(), a.applied() + a.duplicate() + a.late() + a.dead_lettered());
  EXPECT_GE(a.consumed(), rig().events);
  EXPECT_GE(a.dead_lettered(), 2u);
  EXPECT_EQ(status.partitions_size(), 1);
  EXPECT_EQ(status.partitions(0).topic(), "log");
  uint64_t tiers = 0;
  for (const auto& t : status.tiers()) tiers += t.count();
  EXPECT_EQ(tiers, status.users());
  EXPECT_GT(status.flags_size(), 0);

  pb::ListDeadLettersRequest request;
  request.set_page_size(1);
  pb::ListDeadLettersResponse response;
  std::vector<pb::DeadLetter> found;
  do {
    request.set_page_token(response.next_page_token());
    ASSERT_TRUE(rig().call(*rig().admin, &Admin::Stub::ListDeadLetters, request, response).ok());
    found.insert(found.end(), response.dead_letters().begin(), response.dead_letters().end());
  } while (!response.next_page_token().empty());
  ASSERT_EQ(found.size(), a.dead_lettered());
  request.Clear();
  request.set_filter("reason = undecodable AND topic = log");
  ASSERT_TRUE(rig().call(*rig().admin, &Admin::Stub::ListDeadLetters, request, response).ok());
  ASSERT_EQ(response.dead_letters_size(), 1);
  EXPECT_EQ(response.dead_letters(0).raw(), "no event at all");
  EXPECT_EQ(response.dead_letters(0).reason(), pb::DEAD_LETTER_REASON_UNDECODABLE);
  request.set_filter("reason = strange");
  EXPECT_EQ(field_of(rig().call(*rig().admin, &Admin::Stub::ListDeadLetters, request, response)), "filter");
}

TEST(ServiceStart, RefusesWhatIsNotSafe) {
  Config config = default_config();
  config.service.listen = "0.0.0.0:0";
  std::unique_ptr<Service> service;
  const Status open = start_service(config, {}, service);
  EXPECT_NE(open.message.find("service.tokens"), std::string::npos) << open.message;
  config.service.listen = "127.0.0.1:0";
  config.service.tokens = "/nowhere/tokens";
  EXPECT_NE(start_service(config, {}, service).message.find("/nowhere/tokens"), std::string::npos);
  config.service.tokens.clear();
  config.service.tls_cert = "/nowhere/cert.pem";
  EXPECT_NE(start_service(config, {}, service).message.find("service.tls_key"), std::string::npos);
  config.service.tls_key = "/nowhere/key.pem";
  EXPECT_NE(start_service(config, {}, service).message.find("/nowhere/cert.pem"), std::string::npos);
}

// The core's own thread makes the newest reading; a call that comes before it reads the commit before, but not where
// that one still names somebody erased.
TEST(ServiceCoreTest, NoCallReadsANameThatWasErased) {
  Rig rig;
  rig.feed();
  const auto first = rig.engine->published();
  const auto publish = [&](const pb::Event& event) {
    pb::PublishRequest request;
    *request.add_events() = event;
    pb::PublishResponse response;
    ASSERT_TRUE(rig.call(*rig.ingest, &Ingest::Stub::Publish, request, response).ok());
    rig.settle();
  };
  publish(like_event("later", "u2", "p-later", "u3", kLater));
  const auto second = rig.engine->published();
  pb::Event erased;
  erased.set_id("erase-u3"), erased.mutable_time()->set_seconds(kLater + 1), erased.set_user("mo");
  erased.mutable_judgement()->mutable_erasure()->set_subject("u3");
  publish(erased);
  const auto third = rig.engine->published();
  ASSERT_EQ(second->erased().size(), 0u);
  ASSERT_EQ(third->erased().size(), 1u);

  // The core's thread sees the first commit only, as if it had no processor.
  std::shared_ptr<const Published> shown = first;
  const std::thread::id caller = std::this_thread::get_id();
  ServiceDeps deps;
  deps.published = [&] { return std::this_thread::get_id() == caller ? shown : first; };
  ServiceCore core(rig.config, std::move(deps), std::nullopt);
  const auto held = core.newest();
  held->prepare([] { return false; });
  ASSERT_GT(held->lists(), 0u);
  shown = second;
  EXPECT_EQ(core.newest(), held);
  EXPECT_TRUE(core.knows_erased(*held));
  shown = third;
  EXPECT_FALSE(core.knows_erased(*held));
  EXPECT_EQ(core.newest()->at().number(), third->number());
}

}  // namespace
}  // namespace bellwether::service_test

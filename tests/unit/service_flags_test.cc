// Flags, watches and the outbox over a real engine.
#include <set>

#include "pipeline/service/convert.h"
#include "pipeline/service/outbox.h"
#include "service_rig.h"

namespace bellwether::service_flags_test {
namespace {

using grpc::StatusCode;
using pb::Flags;
using pb::KeyUsers;

constexpr const char* kModerator = "token-of-moderator1";

class ServiceFlagsTest : public ::testing::Test {
 protected:
  void SetUp() override { rig_.feed(); }
  Rig& rig() { return rig_; }

  std::vector<pb::Flag> list(const std::string& filter, const std::string& order = "", int size = 50) {
    std::vector<pb::Flag> out;
    pb::ListFlagsRequest request;
    request.set_filter(filter);
    request.set_order_by(order);
    request.set_page_size(size);
    pb::ListFlagsResponse response;
    do {
      request.set_page_token(response.next_page_token());
      const grpc::Status status = rig().call(*rig().flags, &Flags::Stub::ListFlags, request, response, kModerator);
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (!status.ok()) break;
      out.insert(out.end(), response.flags().begin(), response.flags().end());
    } while (!response.next_page_token().empty());
    return out;
  }
  pb::GetFlagResponse get(const std::string& id, const pb::Position* min = nullptr) {
    pb::GetFlagRequest request;
    request.set_flag(id);
    if (min != nullptr) *request.add_min_position() = *min;
    pb::GetFlagResponse response;
    const grpc::Status status = rig().call(*rig().flags, &Flags::Stub::GetFlag, request, response, kModerator);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  grpc::Status decide(const std::string& flag, pb::Decision decision, const std::string& request_id,
                      pb::DecideFlagResponse& out, const std::string& token = kModerator) {
    pb::DecideFlagRequest request;
    request.set_flag(flag);
    request.set_decision(decision);
    request.set_reason("seen it");
    request.set_request_id(request_id);
    return rig().call(*rig().flags, &Flags::Stub::DecideFlag, request, out, token);
  }

 private:
  Rig rig_;
};

TEST_F(ServiceFlagsTest, FromTheFlagToTheVerdict) {
  const auto rings = list("kind = ring AND status = open AND confidence >= 500");
  ASSERT_EQ(rings.size(), 1u);
  const std::string id = rings[0].id();
  EXPECT_EQ(rings[0].evidence_size(), 0);
  EXPECT_GT(rings[0].more_evidence_count(), 50u);
  EXPECT_TRUE(list("status = dismissed").empty());

  const pb::Flag flag = get(id).flag();
  EXPECT_GE(flag.subjects_size(), 15);
  EXPECT_GE(flag.targets_size(), 5);
  for (const auto& target : flag.targets()) EXPECT_FALSE(target.id().empty());
  ASSERT_GT(flag.evidence_size(), 50);
  int64_t before = 0;
  for (const auto& e : flag.evidence()) {
    EXPECT_FALSE(e.liker().empty());
    EXPECT_FALSE(e.post().empty());
    EXPECT_FALSE(e.author().empty());
    EXPECT_EQ(e.kind(), pb::LIKE_KIND_LIKE);
    EXPECT_GE(e.time().seconds(), before);
    before = e.time().seconds();
  }
  ASSERT_GT(flag.beneficiaries_size(), 0);
  const pb::FlagBeneficiary gained = flag.beneficiaries(0);
  ASSERT_GT(gained.losses_size(), 0);
  EXPECT_GE(gained.tier_without_flag(), gained.tier_with_flag());

  // Found by subject and by beneficiary too.
  EXPECT_EQ(list("kind = ring AND subject = " + flag.subjects(0)).size(), 1u);
  EXPECT_EQ(list("kind = ring AND beneficiary = " + gained.user()).size(), 1u);
  EXPECT_TRUE(list("subject = nobody").empty());
  const auto all = list(""), paged = list("", "opened desc", 1), by_confidence = list("", "confidence asc", 1);
  ASSERT_EQ(all.size(), paged.size());
  ASSERT_EQ(all.size(), by_confidence.size());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].id(), paged[i].id());
  for (size_t i = 1; i < by_confidence.size(); ++i)
    EXPECT_GE(by_confidence[i].confidence_permille(), by_confidence[i - 1].confidence_permille());

  // What it takes is what the explanation says, and comes back whole.
  pb::GetUserRequest ask;
  ask.set_user(gained.user());
  pb::GetUserResponse with;
  ASSERT_TRUE(rig().call(*rig().users, &KeyUsers::Stub::GetUser, ask, with).ok());
  ASSERT_GT(with.user().flags_size(), 0);

  pb::DecideFlagResponse decided;
  EXPECT_EQ(decide(id, pb::DECISION_REVERSED, "r0", decided).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(decide(id, pb::DECISION_APPEALED, "r0", decided).error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(decide(id, pb::DECISION_DISMISSED, "r0", decided, "token-of-a-member-1").error_code(),
            StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(decide(id, pb::DECISION_DISMISSED, "r0", decided, "token-of-platform-1").error_code(),
            StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(decide("no-such-flag", pb::DECISION_DISMISSED, "r0", decided).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(field_of(decide(id, pb::DECISION_UNSPECIFIED, "r0", decided)), "decision");
  EXPECT_EQ(field_of(decide(id, pb::DECISION_DISMISSED, std::string(49, 'r'), decided)), "request_id");

  const grpc::Status first = decide(id, pb::DECISION_DISMISSED, "r1", decided);
  ASSERT_TRUE(first.ok()) << first.error_message();
  EXPECT_EQ(decided.event_id(), "decide-r1");
  const pb::Flag dismissed = get(id, &decided.position()).flag();
  EXPECT_EQ(dismissed.status(), pb::FLAG_STATUS_DISMISSED);
  ASSERT_EQ(dismissed.history_size(), 1);
  EXPECT_EQ(dismissed.history(0).user(), "mo");
  EXPECT_EQ(dismissed.history(0).reason(), "seen it");

  const grpc::Status again = decide(id, pb::DECISION_DISMISSED, "r1", decided);
  ASSERT_TRUE(again.ok()) << again.error_message();
  EXPECT_TRUE(decided.applied());
  EXPECT_EQ(get(id, &decided.position()).flag().history_size(), 1);
  EXPECT_EQ(decide(id, pb::DECISION_DISMISSED, "r2", decided).error_code(), StatusCode::FAILED_PRECONDITION);

  pb::GetUserResponse without;
  ASSERT_TRUE(rig().call(*rig().users, &KeyUsers::Stub::GetUser, ask, without).ok());
  for (const pb::CapabilityLoss& loss : gained.losses()) {
    const int c = loss.capability() - 1;
    EXPECT_NEAR(static_cast<double>(without.user().capabilities(c).score_micros()),
                static_cast<double>(with.user().capabilities(c).score_micros() + loss.taken_micros()), 2);
  }
}

template <class Response, class Reader>
std::vector<Response> changes(Reader& reader, size_t count) {
  std::vector<Response> out;
  Response response;
  while (out.size() < count && reader.Read(&response))
    if (response.has_change()) out.push_back(response);
  return out;
}

TEST_F(ServiceFlagsTest, WatchesResumeWithoutLossOrRepeat) {
  // What the last 7 days hold, straight from the store.
  std::vector<std::string> ids;
  const auto at = rig().engine->published();
  Rig::require(at->scan_changes(OutKind::kTier, {}, [&](const ChangeId& id, std::string_view) {
    ids.push_back(std::to_string(id.tick.slot) + "/" + std::to_string(id.sequence));
    return true;
  }));
  ASSERT_GT(ids.size(), 10u);
  pb::WatchTiersRequest request;
  request.mutable_after()->set_slot(at->changes_from_slot());
  std::vector<pb::WatchTiersResponse> all;
  {
    grpc::ClientContext context;
    Rig::authorize(context);
    auto reader = rig().users->WatchTiers(&context, request);
    all = changes<pb::WatchTiersResponse>(*reader, ids.size());
    context.TryCancel();
    (void)reader->Finish();
  }
  ASSERT_EQ(all.size(), ids.size());
  std::set<std::string> unique;
  for (const auto& r : all) unique.insert(r.change().id());
  EXPECT_EQ(unique.size(), all.size());
  // From any token the rest, and no more: each piece is read on a stream of its own.
  std::vector<std::string> pieced;
  std::string token;
  while (pieced.size() < all.size()) {
    grpc::ClientContext context;
    Rig::authorize(context);
    pb::WatchTiersRequest next = request;
    if (!token.empty()) next.set_resume_token(token);
    auto reader = rig().users->WatchTiers(&context, next);
    for (const auto& r : changes<pb::WatchTiersResponse>(*reader, std::min<size_t>(7, all.size() - pieced.size())))
      pieced.push_back(r.change().id()), token = r.resume_token();
    context.TryCancel();
    (void)reader->Finish();
  }
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(pieced[i], all[i].change().id());

  const auto refused = [&](const pb::WatchTiersRequest& bad) {
    grpc::ClientContext context;
    Rig::authorize(context);
    auto reader = rig().users->WatchTiers(&context, bad);
    pb::WatchTiersResponse response;
    while (reader->Read(&response)) {
    }
    return reader->Finish();
  };
  pb::WatchTiersRequest old;
  old.mutable_after()->set_slot(at->changes_from_slot() - 1);
  EXPECT_EQ(refused(old).error_code(), StatusCode::OUT_OF_RANGE);
  pb::WatchTiersRequest garbage;
  garbage.set_resume_token("garbage");
  EXPECT_EQ(field_of(refused(garbage)), "resume_token");

  // A new change comes as it is committed; the first answer gives a token at once.
  const std::string flag = list("kind = ring").front().id();
  grpc::ClientContext context;
  Rig::authorize(context, kModerator);
  auto reader = rig().flags->WatchFlags(&context, {});
  pb::WatchFlagsResponse hello;
  ASSERT_TRUE(reader->Read(&hello));
  EXPECT_FALSE(hello.has_change());
  EXPECT_FALSE(hello.resume_token().empty());
  pb::DecideFlagResponse decided;
  ASSERT_TRUE(decide(flag, pb::DECISION_CONFIRMED, "w1", decided).ok());
  const auto live = changes<pb::WatchFlagsResponse>(*reader, 1);
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].change().flag().id(), flag);
  EXPECT_EQ(live[0].change().change(), pb::FLAG_CHANGE_DECIDED);
  EXPECT_EQ(live[0].change().flag().status(), pb::FLAG_STATUS_CONFIRMED);
  // The service ends: the stream says so.
  rig().service->drain();
  pb::WatchFlagsResponse more;
  while (reader->Read(&more)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::UNAVAILABLE);
}

// By the row alone, so that it is the same whenever it is sent: nobody is looked up any more.
TEST_F(ServiceFlagsTest, ChangesNameTheirUsersByThemselves) {
  const auto rings = list("kind = ring");
  ASSERT_EQ(rings.size(), 1u);
  const pb::Flag flag = get(rings[0].id()).flag();
  const std::set<std::string> known(flag.subjects().begin(), flag.subjects().end());
  size_t seen = 0;
  const Status status = rig().engine->published()->scan_changes(
      OutKind::kFlag, std::nullopt, [&](const ChangeId& id, std::string_view payload) {
        pb::FlagRecord record;
        EXPECT_TRUE(flag_record(id, payload, record));
        if (record.flag().id() != flag.id()) return true;
        ++seen;
        EXPECT_GE(record.flag().subjects_size(), 15);
        for (const std::string& subject : record.flag().subjects()) EXPECT_EQ(known.count(subject), 1u) << subject;
        return true;
      });
  EXPECT_TRUE(status.ok()) << status.message;
  EXPECT_GT(seen, 0u);
}

TEST_F(ServiceFlagsTest, OutboxDeliversEverythingOnceAndThenLetsGo) {
  uint64_t rows = 0, highest = 0;
  Rig::require(
      rig().engine->published()->scan_outbox(0, [&](uint64_t number, uint8_t, const ChangeId&, std::string_view) {
        ++rows, highest = number;
        return true;
      }));
  ASSERT_GT(rows, 100u);
  struct Shared final : Sink {  // outlives the outbox
    explicit Shared(MemorySink& to) : sink(to) {}
    bool enqueue(const OutRecord& r, int t) override { return sink.enqueue(r, t); }
    uint64_t acknowledged() const override { return sink.acknowledged(); }
    Status failure() const override { return {}; }
    Status flush(int t) override { return sink.flush(t); }
    MemorySink& sink;
  };
  MemorySink kept;
  {
    Outbox::Deps deps;
    deps.wait_published = [&](uint64_t number, int64_t timeout_us) {
      return rig().engine->wait_published(number, timeout_us);
    };
    deps.delivered = [&](uint64_t through) { rig().engine->outbox_delivered(through); };
    deps.make_sink = [&](std::unique_ptr<Sink>& out) {
      out = std::make_unique<Shared>(kept);
      return Status{};
    };
    deps.say = [](const std::string& text) { ADD_FAILURE() << text; };
    Outbox outbox("bellwether", std::move(deps));
    outbox.stop(10'000);
    EXPECT_GE(outbox.delivered(), highest);
  }
  const auto records = kept.kept();
  EXPECT_GE(records.size(), rows);
  std::set<std::string> ids, topics;
  for (const auto& r : records) {
    EXPECT_TRUE(ids.insert(r.topic + r.id).second) << r.id;
    topics.insert(r.topic);
    EXPECT_FALSE(r.key.empty());
    if (r.topic == "bellwether.tiers") {
      pb::TierRecord record;
      ASSERT_TRUE(record.ParseFromString(r.value));
      EXPECT_EQ(record.id(), r.id);
      EXPECT_EQ(record.user(), r.key);
      EXPECT_NE(record.tier(), pb::TIER_UNSPECIFIED);
    }
    if (r.topic == "bellwether.scores") {
      pb::ScoreRecord record;
      ASSERT_TRUE(record.ParseFromString(r.value));
      EXPECT_EQ(record.capabilities_size(), 4);
      EXPECT_EQ(record.profiles(0).name(), "overall");
    }
  }
  EXPECT_TRUE(topics.contains("bellwether.scores"));
  EXPECT_TRUE(topics.contains("bellwether.tiers"));
  EXPECT_TRUE(topics.contains("bellwether.flags"));
  EXPECT_TRUE(topics.contains("bellwether.alerts"));
  // The next commit erases what arrived.
  pb::PublishRequest publish;
  *publish.add_events() = like_event("outbox", "u2", "p-out", "u3", 1'743'000'000);
  pb::PublishResponse published;
  ASSERT_TRUE(rig().call(*rig().ingest, &pb::Ingest::Stub::Publish, publish, published).ok());
  rig().settle();
  uint64_t left = 0;
  Rig::require(
      rig().engine->published()->scan_outbox(0, [&](uint64_t number, uint8_t, const ChangeId&, std::string_view) {
        left += number <= highest;
        return true;
      }));
  EXPECT_EQ(left, 0u);
}

}  // namespace
}  // namespace bellwether::service_flags_test

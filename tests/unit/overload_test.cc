// What bounds memory and time under overload, piece by piece: records that wait, budgets of calls, requests as bytes,
// the listener.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

#include "bellwether/v1/ingest.pb.h"
#include "bellwether/v1/key_users.pb.h"
#include "pipeline/decode/decoder.h"
#include "pipeline/engine/held.h"
#include "pipeline/service/budget.h"
#include "pipeline/service/listener.h"
#include "pipeline/service/request.h"
#include "pipeline/service/request_wire.h"

namespace bellwether::overload_test {
namespace {

namespace pb = bellwether::v1;

pb::Event event_of_kind(int kind) {
  pb::Event e;
  e.set_id("id-of-it"), e.set_user("some user"), e.mutable_time()->set_seconds(1'700'000'000);
  e.mutable_origin()->set_device("device"), e.mutable_origin()->set_network("network");
  e.mutable_origin()->set_channel("channel"), e.mutable_origin()->set_campaign("campaign");
  switch (kind) {
    case 0: {
      auto& x = *e.mutable_like();
      x.set_post("post"), x.set_author("author"), x.set_kind(pb::LIKE_KIND_LIKE);
      break;
    }
    case 1: {
      auto& x = *e.mutable_post();
      x.set_post("post"), x.set_author("author"), x.set_parent("parent"), x.set_parent_author("parent author");
      x.set_kind(pb::POST_KIND_IDEA), x.set_action(pb::POST_ACTION_PUBLISHED);
      for (int i = 0; i < 8; ++i) x.add_topics("topic " + std::to_string(i));
      break;
    }
    case 2: {
      auto& x = *e.mutable_referral();
      x.set_referral("referral"), x.set_referrer("referrer"), x.set_referred("referred");
      x.set_stage(pb::REFERRAL_STAGE_JOINED);
      break;
    }
    case 3: {
      auto& x = *e.mutable_beta_test();
      x.set_program("program"), x.set_report("report"), x.set_tester("tester");
      x.set_kind(pb::BETA_TEST_KIND_BUG), x.set_status(pb::BETA_TEST_STATUS_SUBMITTED);
      break;
    }
    case 4: {
      auto& x = *e.mutable_judgement()->mutable_verdict();
      x.set_flag("flag"), x.set_decision(pb::DECISION_CONFIRMED), x.set_reason("the reason");
      break;
    }
    case 5: {
      auto& x = *e.mutable_account();
      x.set_action(pb::ACCOUNT_ACTION_CERTIFIED), x.set_name("name"), x.set_team("team");
      break;
    }
    case 6:
      e.mutable_judgement()->mutable_link()->set_user("user a"),
          e.mutable_judgement()->mutable_link()->set_same_as("b");
      break;
    case 7:
      e.mutable_judgement()->mutable_erasure()->set_subject("subject");
      break;
    default:
      e.mutable_entitlement_use()->set_right("right");
      break;
  }
  return e;
}
constexpr int kKinds = 9;

// Every text of a fact, one after the other.
std::string texts_of(const Fact& fact) {
  std::string out;
  const auto add = [&out](std::string_view text) { out.append(text).push_back('|'); };
  for (const std::string_view text : {fact.id, fact.user.id, fact.device, fact.network, fact.channel, fact.campaign})
    add(text);
  if (const auto* x = std::get_if<LikeFact>(&fact.body)) add(x->post.id), add(x->author.id);
  if (const auto* x = std::get_if<PostFact>(&fact.body)) {
    add(x->post.id), add(x->author.id), add(x->parent.id), add(x->parent_author.id);
    for (size_t i = 0; i < x->topic_count; ++i) add(x->topics[i]);
  }
  if (const auto* x = std::get_if<ReferralFact>(&fact.body))
    add(x->referral.id), add(x->referrer.id), add(x->referred.id);
  if (const auto* x = std::get_if<BetaTestFact>(&fact.body)) add(x->program), add(x->report.id), add(x->tester.id);
  if (const auto* x = std::get_if<VerdictFact>(&fact.body)) add(x->flag.id), add(x->reason);
  if (const auto* x = std::get_if<AccountFact>(&fact.body)) add(x->name), add(x->team);
  if (const auto* x = std::get_if<LinkFact>(&fact.body)) add(x->user.id), add(x->same_as.id), add(x->evidence);
  if (const auto* x = std::get_if<ErasureFact>(&fact.body)) add(x->subject.id);
  if (const auto* x = std::get_if<EntitlementUseFact>(&fact.body)) add(x->right);
  return out;
}

TEST(HeldTick, ARecordKeepsItsTextsAndNothingElse) {
  const Hasher hasher("key");
  Decoder decoder(hasher);
  const auto total = std::make_shared<std::atomic<size_t>>(0);
  {
    HeldTick held(total);
    std::vector<std::string> expected;
    for (int kind = 0; kind < kKinds; ++kind) {
      Arena arena;
      std::string bytes = event_of_kind(kind).SerializeAsString();
      Record record;
      std::string detail;
      record.reason = decoder.decode(bytes, arena, record, &detail);
      ASSERT_EQ(record.reason, Reason::kNone) << kind << ": " << detail;
      expected.push_back(texts_of(record));
      record.offset = kind;
      held.add(record);
      std::fill(bytes.begin(), bytes.end(), '#');  // what the source gave is gone
    }
    ASSERT_EQ(held.records().size(), size_t{kKinds});
    for (int kind = 0; kind < kKinds; ++kind) {
      EXPECT_EQ(texts_of(*held.records()[kind]), expected[kind]);
      EXPECT_EQ(held.records()[kind]->offset, kind);
    }
    EXPECT_EQ(total->load(), held.bytes());
    EXPECT_GT(held.bytes(), kKinds * sizeof(Record));
    EXPECT_LT(held.bytes(), kKinds * (sizeof(Record) + 200) * 2);
  }
  EXPECT_EQ(total->load(), 0u);
}

TEST(HeldTick, DeadLettersKeepWhatATickOfAPartitionHasRoomFor) {
  const auto total = std::make_shared<std::atomic<size_t>>(0);
  HeldTick held(total);
  const std::string raw(100'000, 'r');
  for (int i = 0; i < 1000; ++i) {
    Record record;
    record.reason = Reason::kUndecodable, record.raw = raw, record.raw_bytes = raw.size(), record.detail = "why";
    record.partition = i % 2;
    held.add(record);
  }
  size_t whole = 0, kept = 0;
  for (const Record* record : held.records()) {
    EXPECT_EQ(record->raw_bytes, raw.size());
    EXPECT_EQ(record->detail, "why");
    ASSERT_TRUE(record->raw.size() == kDeadRawMax || record->raw.size() == kDeadRawShort) << record->raw.size();
    whole += record->raw.size() == kDeadRawMax, kept += record->raw.size();
  }
  EXPECT_EQ(whole, 2 * kDeadRawTickMax / kDeadRawMax);
  EXPECT_LT(held.bytes(), kept + 1000 * (sizeof(Record) + 64) + (size_t{2} << 20));
}

TEST(Budget, RefusesWhatIsTooMuchAndTellsOfRoom) {
  Budget budget(3, 100);
  ASSERT_TRUE(budget.take(60));
  EXPECT_FALSE(budget.take(50));
  ASSERT_TRUE(budget.take(40));
  EXPECT_TRUE(budget.take(0));
  EXPECT_FALSE(budget.take(0)) << "three calls are all";
  EXPECT_EQ(budget.bytes(), 100u);
  int told = 0;
  budget.when_room([&told] { ++told; });
  EXPECT_EQ(told, 0);
  budget.give(0, true);
  EXPECT_EQ(told, 0) << "there is a call's room, but no byte's";
  EXPECT_FALSE(budget.take(30));
  EXPECT_TRUE(budget.take_admitted(30));
  budget.give(60, true);
  EXPECT_EQ(told, 1);
  budget.when_room([&told] { ++told; });
  EXPECT_EQ(told, 2);
  budget.give(40, true), budget.give(30, true);
  EXPECT_EQ(budget.calls(), 0u);
  EXPECT_EQ(budget.bytes(), 0u);
  EXPECT_TRUE(budget.take(500)) << "alone, anything may go";
  {
    Share share(budget, 500);
    share.add(100);
    Share other = std::move(share);
    other.shrink(10);
    EXPECT_EQ(budget.bytes(), 10u);
  }
  EXPECT_EQ(budget.bytes(), 0u);
  EXPECT_EQ(budget.calls(), 0u);
}

TEST(PublishWire, CutsOutWhatProtobufWouldRead) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    pb::PublishStreamRequest stream;
    pb::PublishRequest unary;
    stream.set_sequence(random());
    for (uint32_t i = random() % 6; i > 0; --i) {
      *stream.add_events() = event_of_kind(static_cast<int>(random() % kKinds));
      *unary.add_events() = stream.events(stream.events_size() - 1);
    }
    PublishWire out;
    ASSERT_TRUE(read_publish(stream.SerializeAsString(), kPublishStreamRequest, 4, out));
    EXPECT_EQ(out.sequence, stream.sequence());
    ASSERT_EQ(out.count, static_cast<size_t>(stream.events_size()));
    ASSERT_EQ(out.events.size(), std::min<size_t>(4, out.count));
    const std::string bytes = unary.SerializeAsString();
    ASSERT_TRUE(read_publish(bytes, kPublishRequest, 100, out));
    for (size_t i = 0; i < out.count; ++i) {
      EXPECT_EQ(out.events[i], unary.events(static_cast<int>(i)).SerializeAsString());
      EXPECT_EQ(is_judgement(out.events[i]), unary.events(static_cast<int>(i)).has_judgement());
    }
    // Cut anywhere it is read as protobuf reads it, and never past its end.
    if (bytes.empty()) continue;
    const std::string cut = bytes.substr(0, random() % bytes.size());
    pb::PublishRequest parsed;
    const bool sound = read_publish(cut, kPublishRequest, 100, out);
    if (parsed.ParseFromString(cut)) {
      ASSERT_TRUE(sound);
      EXPECT_EQ(out.count, static_cast<size_t>(parsed.events_size()));
    }
  }
  PublishWire out;
  const std::string nothing(2'000'000, '\0');
  EXPECT_FALSE(read_publish(nothing, kPublishRequest, 100, out));
  std::string many;
  for (int i = 0; i < 1'000'000; ++i) many.append("\x0a\0", 2);
  ASSERT_TRUE(read_publish(many, kPublishRequest, 100, out));
  EXPECT_EQ(out.count, 1'000'000u);
  EXPECT_EQ(out.events.size(), 100u);
  // The last member of the oneof stands.
  pb::Event both = event_of_kind(4);
  EXPECT_FALSE(is_judgement(both.SerializeAsString() + event_of_kind(0).SerializeAsString()));
  EXPECT_TRUE(is_judgement(event_of_kind(0).SerializeAsString() + both.SerializeAsString()));
}

grpc::ByteBuffer buffer_of_bytes(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return {&slice, 1};
}

// What an object of a request takes is bounded before it is made: each of these would take forty times its bytes.
TEST(RawRequest, IsWeighedBeforeItIsAnObject) {
  pb::BatchGetUsersRequest request, parsed;
  for (int i = 0; i < 1000; ++i) request.add_users("user " + std::to_string(i));
  request.add_min_position()->set_topic("likes");
  RawRequest wire;
  ASSERT_TRUE(RawRequest::open(buffer_of(request), wire).ok());
  EXPECT_GE(wire.weight, request.SpaceUsedLong());
  ASSERT_TRUE(wire.parse(parsed).ok());
  EXPECT_EQ(parsed.SerializeAsString(), request.SerializeAsString());
  ASSERT_TRUE(RawRequest::open(buffer_of(pb::BatchGetUsersRequest()), wire).ok());
  ASSERT_TRUE(wire.parse(parsed).ok());
  EXPECT_EQ(parsed.users_size(), 0);

  const auto code_of = [&wire](const std::string& bytes) {
    const grpc::Status status = RawRequest::open(buffer_of_bytes(bytes), wire);
    return std::make_pair(status.error_code(), status.error_message());
  };
  for (const std::string& element : {std::string("\x0a\0", 2), std::string("\x12\0", 2)}) {  // an id, a position
    std::string many;
    for (size_t i = 0; i < kRequestFieldsMax; ++i) many += element;
    ASSERT_TRUE(RawRequest::open(buffer_of_bytes(many), wire).ok());
    ASSERT_TRUE(wire.parse(parsed).ok());
    EXPECT_GE(wire.weight, parsed.SpaceUsedLong());
    const auto [code, text] = code_of(many + element);
    EXPECT_EQ(code, grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_NE(text.find("20001 fields"), std::string::npos) << text;
  }
  const auto [code, text] = code_of("\x0a\xff\xff\x7f" + std::string(kRequestBytesMax, 'x'));
  EXPECT_EQ(code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(text.find("1048580 bytes; allowed: at most 1048576"), std::string::npos) << text;
  for (const std::string& broken : {std::string("\xff"), std::string(1000, '\xff'), std::string("\x0a\x05no"),
                                    std::string(10, '\0'), std::string("\x0b\x0c")}) {
    const auto [broken_code, broken_text] = code_of(broken);
    EXPECT_EQ(broken_code, grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_NE(broken_text.find("no protobuf message"), std::string::npos) << broken_text;
  }
  // Sound at its top level, and not inside.
  ASSERT_TRUE(RawRequest::open(buffer_of_bytes("\x12\x01\x0a"), wire).ok());
  EXPECT_EQ(wire.parse(parsed).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  // Text that is no UTF-8.
  ASSERT_TRUE(RawRequest::open(buffer_of_bytes("\x0a\x01\xff"), wire).ok());
  EXPECT_EQ(wire.parse(parsed).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// Takes what gRPC would, and closes it when told.
class Taken final : public Listener::Acceptor {
 public:
  void HandleNewConnection(NewConnectionParameters* p) override {
    const std::lock_guard lock(mutex);
    open.push_back(p->fd);
  }
  size_t count() {
    const std::lock_guard lock(mutex);
    return open.size();
  }
  void close_all() {
    const std::lock_guard lock(mutex);
    for (const int fd : open) close(fd);
    open.clear();
  }
  std::mutex mutex;
  std::vector<int> open;
};

int connect_to(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET, address.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return condition();
}

TEST(Listener, ClosesOneTooManyAndKnowsWhenThereIsRoom) {
  std::unique_ptr<Listener> listener;
  ASSERT_TRUE(Listener::open("127.0.0.1:0", 3, listener).ok());
  std::unique_ptr<Listener> second;
  const Status taken = Listener::open("127.0.0.1:" + std::to_string(listener->port()), 3, second);
  EXPECT_NE(taken.message.find("in use"), std::string::npos) << taken.message;
  Taken acceptor;
  listener->run(acceptor);
  std::vector<int> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(connect_to(listener->port()));
  EXPECT_TRUE(soon([&] { return listener->refused() == 2; }));
  EXPECT_EQ(acceptor.count(), 3u);
  EXPECT_EQ(listener->connections(), 3u);
  char byte;
  EXPECT_EQ(recv(clients[4], &byte, 1, 0), 0) << "closed at once";
  acceptor.close_all();
  EXPECT_TRUE(soon([&] { return listener->connections() == 0; }));
  clients.push_back(connect_to(listener->port()));
  EXPECT_TRUE(soon([&] { return acceptor.count() == 1; }));
  listener->stop();
  for (const int fd : clients) close(fd);
  acceptor.close_all();
}

}  // namespace
}  // namespace bellwether::overload_test

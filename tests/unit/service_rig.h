// A whole deployment in one process: embedded log, engine, query service; fed with a simulated community with a ring in
// it.
#pragma once

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "bellwether/v1/admin.grpc.pb.h"
#include "bellwether/v1/errors.pb.h"
#include "bellwether/v1/flags.grpc.pb.h"
#include "bellwether/v1/ingest.grpc.pb.h"
#include "bellwether/v1/key_users.grpc.pb.h"
#include "operators/analysis.h"
#include "operators/registry.h"
#include "pipeline/service/service.h"
#include "pipeline/sources/embedded_log.h"
#include "pipeline/tools/simulate.h"

namespace bellwether {

namespace pb = bellwether::v1;

// What stands in a failed call's details.
struct Details {
  pb::ErrorInfo info;
  pb::BadRequest request;
};
inline Details details_of(const grpc::Status& status) {
  Details out;
  pb::ErrorStatus all;
  EXPECT_TRUE(all.ParseFromString(status.error_details()));
  for (const auto& any : all.details()) {
    if (any.type_url() == "type.googleapis.com/google.rpc.ErrorInfo") {
      EXPECT_TRUE(out.info.ParseFromString(any.value()));
    }
    if (any.type_url() == "type.googleapis.com/google.rpc.BadRequest") {
      EXPECT_TRUE(out.request.ParseFromString(any.value()));
    }
  }
  EXPECT_EQ(out.info.domain(), "bellwether") << status.error_message();
  return out;
}
inline std::string field_of(const grpc::Status& status) {
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  const Details details = details_of(status);
  return details.request.field_violations_size() == 0 ? "" : details.request.field_violations(0).field();
}

class Rig {
 public:
  Rig() {
    char name[] = "/tmp/bellwether_service_XXXXXX";
    dir_ = mkdtemp(name);
    config.service.listen = "127.0.0.1:0";
    config.service.tokens = dir_ + "/tokens";
    config.service.drain_s = 2;
    config.engine.idle_ms = 200;
    config.engine.commit_ms = 50;
    std::ofstream(config.service.tokens) << "token-of-a-member-1 u1 member\n"
                                            "token-of-platform-1 shop platform\n"
                                            "token-of-moderator1 mo moderator\n"
                                            "token-of-the-admin1 root admin\n";
    EmbeddedLog::Options log_options;
    log_options.config = config.log;
    log_options.now_us = [] {
      return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
    };
    std::vector<std::string> messages;
    require(EmbeddedLog::open(dir_, log_options, log, messages));
    source_ = log->reader();
    store = make_memory_store();
    std::array<OperatorId, kKeyKinds> homes{};
    for (size_t kind = 0; kind < kKeyKinds; ++kind) homes[kind] = home_operator(static_cast<KeyKind>(kind));
    operators_ = std::make_unique<OperatorSet>(all_operators(), homes, run_analysis);
    EngineOptions options;
    options.outbox = true;
    require(Engine::open(config, *operators_, *store, {{source_.get(), true}}, options, engine));
    input_ = make_embedded_input(*log);
    ServiceDeps deps;
    deps.published = [this] { return engine->published(); };
    deps.figures = [this] { return engine->figures(); };
    deps.store = [this] { return store->figures(); };
    deps.input = input_.get();
    deps.version = "test";
    require(start_service(config, std::move(deps), service));
    thread_ = std::thread([this] { require(engine->run()); });
    channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(service->port()), grpc::InsecureChannelCredentials());
    users = pb::KeyUsers::NewStub(channel), flags = pb::Flags::NewStub(channel), ingest = pb::Ingest::NewStub(channel),
    admin = pb::Admin::NewStub(channel);
  }
  ~Rig() {
    if (service != nullptr) service->drain();
    engine->stop();
    thread_.join();
    service.reset();
    engine.reset();
    source_.reset();
    log.reset();
    std::filesystem::remove_all(dir_);
  }

  static void require(const Status& status) {
    if (status.ok()) return;
    ADD_FAILURE() << status.message;
    throw std::runtime_error(status.message);
  }

  // Calls with a token; the admin's if none is named.
  template <class Stub, class Request, class Response>
  grpc::Status call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const std::type_identity_t<Request>& request, Response& response,
                    const std::string& token = "token-of-the-admin1", int timeout_ms = 20'000) {
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
    response.Clear();
    return (stub.*method)(&context, request, &response);
  }
  static void authorize(grpc::ClientContext& context, const std::string& token = "token-of-the-admin1") {
    context.AddMetadata("authorization", "Bearer " + token);
  }

  // Simulates a community with one ring, publishes it, waits until it is counted.
  void feed() {
    SimulateOptions sim;
    sim.users = 300, sim.days = 16, sim.seed = 5, sim.rings = {"20x10:0.9:burst"};
    sim.out = dir_ + "/events.jsonl", sim.labels = dir_ + "/labels.jsonl", sim.start = "2025-03-01";
    std::ostringstream said;
    ASSERT_EQ(run_simulate(sim, said), 0) << said.str();
    std::ifstream in(sim.out);
    grpc::ClientContext context;
    authorize(context, "token-of-the-admin1");
    auto stream = ingest->PublishStream(&context);
    pb::PublishStreamRequest request;
    uint64_t requests = 0;
    const auto flush = [&] {
      request.set_sequence(++requests);
      ASSERT_TRUE(stream->Write(request));
      request.clear_events();
    };
    for (std::string line; std::getline(in, line);) {
      ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(line, request.add_events()).ok()) << line;
      ++events;
      if (request.events_size() == 500) flush();
    }
    if (request.events_size() > 0) flush();
    stream->WritesDone();
    pb::PublishStreamResponse answer;
    uint64_t next = 1;
    while (stream->Read(&answer)) {
      ASSERT_EQ(answer.sequence(), next++);
      ASSERT_EQ(answer.rejected_size(), 0);
      last = answer.high_positions(0);
    }
    ASSERT_TRUE(stream->Finish().ok());
    ASSERT_EQ(next - 1, requests);
    ASSERT_EQ(last.offset(), static_cast<int64_t>(events) - 1);
    settle();
  }
  // Until everything written so far is counted.
  void settle() {
    pb::GetStatusRequest request;
    request.add_min_position()->CopyFrom(position(log->end_offset(0) - 1));
    pb::GetStatusResponse response;
    const grpc::Status status =
        call(*admin, &pb::Admin::Stub::GetStatus, request, response, "token-of-the-admin1", 60'000);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  static pb::Position position(int64_t offset) {
    pb::Position p;
    p.set_topic("log");
    p.set_offset(offset);
    return p;
  }

  Config config = default_config();
  std::unique_ptr<EmbeddedLog> log;
  std::unique_ptr<Store> store;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Service> service;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::KeyUsers::Stub> users;
  std::unique_ptr<pb::Flags::Stub> flags;
  std::unique_ptr<pb::Ingest::Stub> ingest;
  std::unique_ptr<pb::Admin::Stub> admin;
  pb::Position last;
  uint64_t events = 0;

 private:
  std::string dir_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<OperatorSet> operators_;
  std::unique_ptr<InputLog> input_;
  std::thread thread_;
};

inline pb::Event like_event(const std::string& id, const std::string& user, const std::string& post,
                            const std::string& author, int64_t seconds) {
  pb::Event event;
  event.set_id(id);
  event.mutable_time()->set_seconds(seconds);
  event.set_user(user);
  event.mutable_like()->set_post(post);
  event.mutable_like()->set_author(author);
  event.mutable_like()->set_kind(pb::LIKE_KIND_LIKE);
  return event;
}

}  // namespace bellwether

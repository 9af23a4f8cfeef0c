// A client of a running `serve`, for measurements:
//   live load ADDRESS [--users 100000] [--rate EVENTS/S, 0: as fast as it takes them] [--seconds 20] [--warm 5]
//             [--probes N] [--queries PAUSE_US] [--seed 1]
//   live first ADDRESS USER     seconds from now until GetUser(USER) is answered
// load publishes mixed events with the time of now over PublishStream. Meanwhile each of N probes, one after another,
// publishes an idea of a new user and asks for that user with its position (answered once it is counted); one more
// client asks GetUser, ExplainScore, ListUsers (pages of 50) and GetLeaderboard in turn. The warm seconds are thrown
// away. Prints one JSON line: rate reached, quantiles in milliseconds, counts.
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "bellwether/v1/ingest.grpc.pb.h"
#include "bellwether/v1/key_users.grpc.pb.h"
#include "made_events.h"
#include "records.h"

namespace {

using namespace bellwether;
using namespace bellwether::bench;

struct Options {
  std::string address, user;
  uint32_t users = 100'000, rate = 0, probes = 0;
  int queries_pause_us = -1;
  double seconds = 20, warm = 5;
  uint64_t seed = 1;
};

constexpr double kAfter = 4;  // seconds: more than the lateness, a slot, a fold and a commit

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void sleep_s(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

std::shared_ptr<grpc::Channel> connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// Times of one kind of call, kept once the warm-up is over.
class Times {
 public:
  explicit Times(std::string name) : name_(std::move(name)) {}
  void add(double seconds) {
    const std::lock_guard lock(mutex_);
    ms_.push_back(seconds * 1e3);
  }
  void print() {
    std::sort(ms_.begin(), ms_.end());
    const auto at = [&](size_t permille) { return ms_.empty() ? -1 : ms_[ms_.size() * permille / 1000]; };
    std::printf(",\"%s\":{\"count\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f}",
                name_.c_str(), ms_.size(), at(500), at(990), at(999), ms_.empty() ? -1 : ms_.back());
  }

 private:
  const std::string name_;
  std::mutex mutex_;
  std::vector<double> ms_;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options) {}

  void run() {
    std::vector<std::thread> threads;
    threads.emplace_back([this] { publish(); });
    for (uint32_t i = 0; i < options_.probes; ++i) threads.emplace_back([this, i] { probe(i); });
    if (options_.queries_pause_us >= 0) threads.emplace_back([this] { ask(); });
    sleep_s(options_.warm);
    const uint64_t before = published_;
    const double begin = wall_seconds();
    measuring_ = true;
    sleep_s(options_.seconds);
    measuring_ = false;
    const double rate = static_cast<double>(published_ - before) / (wall_seconds() - begin);
    // What was appended last is answered under the same load: without it time would stand still, and wait for the idle.
    if (options_.probes > 0) sleep_s(kAfter);
    stopping_ = true;
    for (std::thread& t : threads) t.join();
    std::printf("{\"events\":%llu,\"per_s\":%.0f,\"failed_calls\":%llu,\"not_found\":%llu",
                static_cast<unsigned long long>(published_), rate, static_cast<unsigned long long>(failed_),
                static_cast<unsigned long long>(not_found_));
    appended_to_answer_.print(), called_to_answer_.print();
    for (Times* t : {&get_user_, &explain_, &list_, &board_}) t->print();
    std::printf("}\n");
  }

 private:
  // A few messages are under way at any time; where the service is slower than the rate asked for, it is the service
  // that sets the pace.
  void publish() {
    constexpr uint32_t kUnderWay = 4;
    const auto stub = v1::Ingest::NewStub(connect(options_.address));
    grpc::ClientContext context;
    const auto stream = stub->PublishStream(&context);
    Random random(options_.seed);
    MixedEvents events(options_.users, "l" + std::to_string(options_.seed) + "-");
    const uint32_t size = options_.rate == 0 ? 1000 : std::max<uint32_t>(1, options_.rate / 100);
    const double begin = wall_seconds();
    uint64_t number = 0;
    v1::PublishStreamRequest request;
    v1::PublishStreamResponse response;
    for (uint64_t sent = 0; !stopping_; ++sent) {
      if (options_.rate != 0) {
        const double due = begin + static_cast<double>(number) / options_.rate;
        if (const double early = due - wall_seconds(); early > 0) sleep_s(early);
      }
      request.Clear();
      request.set_sequence(sent + 1);
      const int64_t time = now_us();
      for (uint32_t i = 0; i < size; ++i) events.next(random, number++, time, *request.add_events());
      if (!stream->Write(request)) break;
      if (sent < kUnderWay) continue;
      if (!stream->Read(&response)) break;
      published_ += static_cast<uint64_t>(response.positions_size());
      failed_ += static_cast<uint64_t>(response.rejected_size());
    }
    stream->WritesDone();
    while (stream->Read(&response)) published_ += static_cast<uint64_t>(response.positions_size());
    if (const grpc::Status status = stream->Finish(); !status.ok()) fail("PublishStream: " + status.error_message());
  }

  void probe(uint32_t prober) {
    const auto channel = connect(options_.address);
    const auto ingest = v1::Ingest::NewStub(channel);
    const auto users = v1::KeyUsers::NewStub(channel);
    Random random(options_.seed * 1000 + prober);
    for (uint64_t i = 0; !stopping_; ++i) {
      // An answer comes with a commit, to all who wait for it: without a pause of its own length each, probes would go
      // on in step with the commits.
      sleep_s(static_cast<double>(random.below(2000)) * 1e-3);
      if (stopping_) break;
      const bool measured = measuring_;
      v1::PublishRequest publish;
      v1::Event& e = *publish.add_events();
      const std::string name = std::to_string(options_.seed) + "-" + std::to_string(prober) + "-" + std::to_string(i);
      e.set_id("probe" + name), e.set_user("probe" + name), set_time(e, now_us());
      e.mutable_post()->set_post("probe" + name), e.mutable_post()->set_kind(v1::POST_KIND_IDEA);
      e.mutable_post()->set_action(v1::POST_ACTION_PUBLISHED);
      const double called = wall_seconds();
      v1::PublishResponse published;
      grpc::ClientContext first;
      if (!ingest->Publish(&first, publish, &published).ok()) {
        ++failed_;
        continue;
      }
      const double appended = wall_seconds();
      v1::GetUserRequest request;
      request.set_user(e.user());
      *request.mutable_min_position() = published.high_positions();
      v1::GetUserResponse answer;
      grpc::ClientContext second;
      second.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
      if (!users->GetUser(&second, request, &answer).ok()) {
        ++failed_;
      } else if (measured) {
        appended_to_answer_.add(wall_seconds() - appended);
        called_to_answer_.add(wall_seconds() - called);
      }
    }
  }

  template <class Request, class Response>
  void time(Times& times, v1::KeyUsers::Stub& stub,
            grpc::Status (v1::KeyUsers::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
            const Request& request) {
    grpc::ClientContext context;
    Response response;
    const bool measured = measuring_;
    const double begin = wall_seconds();
    const grpc::Status status = (stub.*method)(&context, request, &response);
    const double seconds = wall_seconds() - begin;
    if (status.ok()) {
      if (measured) times.add(seconds);
    } else if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      ++not_found_;
    } else {
      ++failed_;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(options_.queries_pause_us));
  }

  void ask() {
    const auto stub = v1::KeyUsers::NewStub(connect(options_.address));
    Random random(options_.seed + 1);
    while (!stopping_) {
      const std::string user = "u" + std::to_string(random.log_uniform(1, options_.users) - 1);
      v1::GetUserRequest get;
      get.set_user(user);
      time(get_user_, *stub, &v1::KeyUsers::Stub::GetUser, get);
      v1::ExplainScoreRequest explain;
      explain.set_user(user), explain.set_profile("overall"), explain.set_events_per_contribution(5);
      time(explain_, *stub, &v1::KeyUsers::Stub::ExplainScore, explain);
      v1::ListUsersRequest list;
      list.set_page_size(50);
      time(list_, *stub, &v1::KeyUsers::Stub::ListUsers, list);
      v1::GetLeaderboardRequest board;
      board.set_page_size(50), board.set_profile("overall");
      time(board_, *stub, &v1::KeyUsers::Stub::GetLeaderboard, board);
    }
  }

  const Options& options_;
  std::atomic<bool> measuring_{false}, stopping_{false};
  std::atomic<uint64_t> published_{0}, failed_{0}, not_found_{0};
  Times appended_to_answer_{"appended_to_answer"}, called_to_answer_{"called_to_answer"};
  Times get_user_{"get_user"}, explain_{"explain_score"}, list_{"list_users"}, board_{"get_leaderboard"};
};

// Whether somebody listens. A gRPC channel would wait longer and longer between its own tries.
bool listening(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoul(address.substr(colon + 1))));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) fail("no address: " + address);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const bool is = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  close(fd);
  return is;
}

void first(const Options& options) {
  const double begin = wall_seconds();
  while (!listening(options.address)) {
    if (wall_seconds() - begin > 120) fail("nobody listens on " + options.address);
    sleep_s(0.001);
  }
  const auto stub = v1::KeyUsers::NewStub(connect(options.address));
  grpc::Status status;
  do {
    v1::GetUserRequest request;
    request.set_user(options.user);
    v1::GetUserResponse answer;
    grpc::ClientContext context;
    status = stub->GetUser(&context, request, &answer);
    if (!status.ok() && status.error_code() != grpc::StatusCode::UNAVAILABLE)
      fail("GetUser: " + status.error_message());
  } while (!status.ok() && wall_seconds() - begin < 120);
  if (!status.ok()) fail("no answer: " + status.error_message());
  std::printf("{\"seconds\":%.3f}\n", wall_seconds() - begin);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("A client for measurements");
  app.require_subcommand(1);
  CLI::App* load = app.add_subcommand("load");
  load->add_option("ADDRESS", options.address)->required();
  load->add_option("--users", options.users)->check(CLI::Range(2, 100'000'000));
  load->add_option("--rate", options.rate);
  load->add_option("--seconds", options.seconds);
  load->add_option("--warm", options.warm);
  load->add_option("--probes", options.probes);
  load->add_option("--queries", options.queries_pause_us);
  load->add_option("--seed", options.seed);
  CLI::App* asked = app.add_subcommand("first");
  asked->add_option("ADDRESS", options.address)->required();
  asked->add_option("USER", options.user)->required();
  CLI11_PARSE(app, argc, argv);
  if (load->parsed()) {
    Load(options).run();
  } else {
    first(options);
  }
}

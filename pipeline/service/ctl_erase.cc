#include <absl/random/random.h>
#include <google/protobuf/util/time_util.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <thread>

#include "bellwether/v1/admin.grpc.pb.h"
#include "bellwether/v1/ingest.grpc.pb.h"
#include "bellwether/v1/key_users.grpc.pb.h"
#include "pipeline/service/convert.h"
#include "pipeline/service/ctl_client.h"

namespace bellwether::ctl {
namespace {

namespace pb = bellwether::v1;

struct EraseOptions {
  std::string user, by = "ctl";
  bool yes = false, unknown = false;
  double wait_s = 0;
};

// It cannot be taken back, so it takes more than a slip of the hand.
bool sure(const EraseOptions& o) {
  if (o.yes) return true;
  if (isatty(STDIN_FILENO) == 0) {
    std::cerr << "bellwether: erasing " << plain(o.user) << " cannot be taken back: add --yes\n";
    return false;
  }
  std::cerr << "The name of " << plain(o.user)
            << " will be removed everywhere, for good; what they did stays, under a number.\nType the id again: ";
  std::string typed;
  std::getline(std::cin, typed);
  if (typed == o.user) return true;
  std::cerr << "bellwether: that is another id; nothing was done\n";
  return false;
}

// A slip of the keyboard names nobody; who is known by the posts or referrals of others alone has no row to show.
int check_known(Client& client, const EraseOptions& o) {
  if (o.unknown) return 0;
  auto stub = pb::KeyUsers::NewStub(client.channel());
  grpc::ClientContext context;
  client.prepare(context);
  pb::GetUserRequest request;
  request.set_user(o.user);
  pb::GetUserResponse response;
  const grpc::Status status = stub->GetUser(&context, request, &response);
  if (status.ok()) return 0;
  if (status.error_code() != grpc::StatusCode::NOT_FOUND) return client.failed(status);
  std::cerr << "bellwether: nobody is known as " << plain(o.user)
            << " (or they are erased already); to erase the id all the same, add --unknown\n";
  return 1;
}

// Until no file holds the name. `left`: of the last answer, -1 before the first.
int wait_until_gone(Client& client, const EraseOptions& o, const pb::PublishResponse& written, int64_t& left) {
  left = -1;
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(o.wait_s);
  auto stub = pb::Admin::NewStub(client.channel());
  while (std::chrono::steady_clock::now() < until) {
    grpc::ClientContext context;
    client.prepare(context);
    pb::GetStatusRequest request;
    *request.mutable_min_position() = written.high_positions();
    pb::GetStatusResponse response;
    if (const grpc::Status status = stub->GetStatus(&context, request, &response); !status.ok())
      return client.failed(status);
    for (const pb::Detail& d : response.details())
      if (d.name() == "erasures_pending") left = std::stoll(d.value());
    if (left == 0) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  std::cerr << "bellwether: the name is out of every answer, but after " << o.wait_s
            << " s files may still hold it; `ctl status` shows erasures_pending until they do not\n";
  return 1;
}

int erase(Client& client, const EraseOptions& o) {
  if (!sure(o)) return 2;
  if (const int code = check_known(client, o); code != 0) return code;
  absl::BitGen random;
  pb::PublishRequest request;
  pb::Event& event = *request.add_events();
  event.set_id("erase-" + hex16(random()) + hex16(random()));
  *event.mutable_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
  event.set_user(o.by);
  event.mutable_judgement()->mutable_erasure()->set_subject(o.user);
  auto stub = pb::Ingest::NewStub(client.channel());
  grpc::ClientContext context;
  client.prepare(context);
  pb::PublishResponse response;
  if (const grpc::Status status = stub->Publish(&context, request, &response); !status.ok())
    return client.failed(status);
  int64_t left = -1;
  const int code = o.wait_s > 0 ? wait_until_gone(client, o, response, left) : 0;
  if (client.options().json()) {
    std::cout << "{\"event\":\"" << event.id() << "\",\"gone\":" << (left == 0 ? "true" : "false") << "}\n";
  } else if (left == 0) {
    std::cout << "erased: no answer and no file of the data folder holds the name\n";
  } else {
    std::cout << "written as event " << event.id() << "; `ctl status` shows erasures_pending until files are clean\n";
  }
  return code;
}

}  // namespace

void add_erase(CLI::App& ctl, const Run& run) {
  auto o = std::make_shared<EraseOptions>();
  CLI::App* c = ctl.add_subcommand("erase", "Remove a person's id from state, log and out topics, for good (admins)");
  c->add_option("USER", o->user, "Whose")->required();
  c->add_flag("--yes", o->yes, "Do not ask to type the id again");
  c->add_flag("--unknown", o->unknown, "Also where nobody is known by that id");
  c->add_option("--by", o->by, "The member of staff who asks for it, as the event's user")->capture_default_str();
  c->add_option("--wait", o->wait_s, "Seconds to wait until no file holds the name")->check(CLI::NonNegativeNumber);
  c->callback([run, o] { run([o](Client& client) { return erase(client, *o); }); });
}

}  // namespace bellwether::ctl

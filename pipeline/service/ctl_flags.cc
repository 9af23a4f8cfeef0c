#include <absl/random/random.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "bellwether/v1/flags.grpc.pb.h"
#include "bellwether/v1/key_users.grpc.pb.h"
#include "pipeline/service/ctl_client.h"

namespace bellwether::ctl {
namespace {

namespace pb = bellwether::v1;

std::string kind(pb::FlagKind k) { return short_name(pb::FlagKind_Name(k), "FLAG_KIND_"); }
std::string status(pb::FlagStatus s) { return short_name(pb::FlagStatus_Name(s), "FLAG_STATUS_"); }
std::string tier(pb::Tier t) { return short_name(pb::Tier_Name(t), "TIER_"); }
std::string confidence(uint32_t permille) {
  return std::to_string(permille / 10) + "." + std::to_string(permille % 10) + " %";
}

std::string names(const google::protobuf::RepeatedPtrField<std::string>& list, int most) {
  std::string out;
  for (int i = 0; i < list.size() && i < most; ++i) out += (i == 0 ? "" : ", ") + list[i];
  if (list.size() > most) out += " and " + std::to_string(list.size() - most) + " more";
  return out;
}

std::string losses(const pb::FlagBeneficiary& b) {
  std::string out;
  for (const pb::CapabilityLoss& loss : b.losses())
    out += (out.empty() ? "" : ", ") + short_name(pb::Capability_Name(loss.capability()), "CAPABILITY_") + " " +
           points(loss.taken_micros());
  return out.empty() ? "-" : out;
}

void print_flag(const pb::Flag& f, int evidence_max) {
  std::cout << plain(f.id()) << ": " << kind(f.kind()) << ", " << status(f.status()) << ", confidence "
            << confidence(f.confidence_permille()) << "\n";
  // The summary begins with the flag's id, which stands in the line above already.
  const std::string_view summary = f.summary();
  const std::string id = f.id() + ": ";
  std::cout << "  " << plain(summary.starts_with(id) ? summary.substr(id.size()) : summary) << "\n";
  std::cout << "  raised " << time_text(f.opened_time()) << ", last changed " << time_text(f.updated_time()) << "\n";
  if (f.has_evidence_from_time())
    std::cout << "  evidence from " << time_text(f.evidence_from_time()) << " to " << time_text(f.evidence_until_time())
              << "\n";
  std::cout << "  subjects (" << f.subjects_size() << "): " << plain(names(f.subjects(), 20)) << "\n";
  if (f.targets_size() > 0) {
    std::cout << "  targets (" << f.targets_size() << "):";
    for (int i = 0; i < f.targets_size() && i < 20; ++i)
      std::cout << (i == 0 ? " " : ", ") << plain(f.targets(i).id().empty() ? f.targets(i).hash() : f.targets(i).id());
    std::cout << (f.targets_size() > 20 ? ", …" : "") << "\n";
  }
  for (const pb::Detail& d : f.details()) std::cout << "  " << plain(d.name()) << " = " << plain(d.value()) << "\n";
  if (f.beneficiaries_size() > 0) {
    std::cout << "who gained, and what is taken off:\n";
    Table table({"user", "taken", "tier with flag", "tier without", ""});
    for (const pb::FlagBeneficiary& b : f.beneficiaries())
      table.row({b.user(), losses(b), tier(b.tier_with_flag()), tier(b.tier_without_flag()),
                 b.subject() ? "also a subject" : ""});
    table.print("  ");
  }
  if (f.evidence_size() > 0) {
    std::cout << "evidence:\n";
    Table table({"time", "who", "did", "on", "of"});
    int shown = 0;
    for (const pb::FlagEvidence& e : f.evidence()) {
      if (shown++ == evidence_max) break;
      table.row({time_text(e.time()), e.liker(), short_name(pb::LikeKind_Name(e.kind()), "LIKE_KIND_"), e.post(),
                 e.author()});
    }
    table.print("  ");
    const uint64_t more =
        f.more_evidence_count() + static_cast<uint64_t>(std::max(0, f.evidence_size() - evidence_max));
    if (more > 0) std::cout << "  and " << more << " more\n";
  }
  if (f.history_size() > 0) {
    std::cout << "decisions:\n";
    for (const pb::FlagDecision& d : f.history())
      std::cout << "  " << time_text(d.time()) << "  " << plain(d.user()) << " "
                << short_name(pb::Decision_Name(d.decision()), "DECISION_") << " -> " << status(d.status())
                << (d.reason().empty() ? "" : ": " + plain(d.reason())) << "\n";
  }
}

struct ListOptions {
  std::string filter, order;
  uint32_t limit = 50;
};

int list(Client& client, const ListOptions& o) {
  auto stub = pb::Flags::NewStub(client.channel());
  Table table({"flag", "kind", "status", ">sure", "raised", ">subjects", ">events", "who gained most"});
  std::string token;
  uint32_t left = o.limit;
  do {
    grpc::ClientContext context;
    client.prepare(context);
    pb::ListFlagsRequest request;
    request.set_filter(o.filter);
    request.set_order_by(o.order);
    request.set_page_size(static_cast<int32_t>(std::min<uint32_t>(left, 1000)));
    request.set_page_token(token);
    pb::ListFlagsResponse response;
    if (const grpc::Status status = stub->ListFlags(&context, request, &response); !status.ok())
      return client.failed(status);
    if (client.options().json()) print_json(response);
    for (const pb::Flag& f : response.flags())
      table.row(
          {f.id(), kind(f.kind()), status(f.status()), confidence(f.confidence_permille()), time_text(f.opened_time()),
           std::to_string(f.subjects_size()), std::to_string(f.more_evidence_count()),
           f.beneficiaries_size() == 0 ? "" : f.beneficiaries(0).user() + " (" + losses(f.beneficiaries(0)) + ")"});
    left -= std::min<uint32_t>(left, static_cast<uint32_t>(response.flags_size()));
    token = response.next_page_token();
  } while (left > 0 && !token.empty());
  if (client.options().json()) return 0;
  if (table.empty()) {
    std::cout << "no flags\n";
  } else {
    table.print();
  }
  return 0;
}

template <class Reader, class Response, class Print>
int follow(Client& client, Reader& reader, grpc::ClientContext& context, uint64_t limit, const Print& print) {
  Response response;
  uint64_t shown = 0;
  bool enough = false;
  while (reader.Read(&response)) {
    if (!response.has_change()) continue;
    if (client.options().json()) {
      print_json(response, true);
    } else {
      print(response);
    }
    std::cout.flush();
    if (limit > 0 && ++shown == limit) {
      enough = true;
      context.TryCancel();
      break;
    }
  }
  const grpc::Status status = reader.Finish();
  if (enough) return 0;
  const std::string token = response.resume_token();
  const int code = client.failed(status);
  if (!token.empty()) std::cerr << "To go on: --resume " << token << "\n";
  return code;
}

}  // namespace

void add_flags(CLI::App& ctl, const Run& run) {
  auto l = std::make_shared<ListOptions>();
  CLI::App* c = ctl.add_subcommand("flags", "Manipulation that was found");
  c->add_option("--filter", l->filter, "Only these, for example 'kind = ring AND status = open AND confidence >= 900'");
  c->add_option("--order", l->order, "opened, updated or confidence, then desc or asc (default: opened desc)");
  c->add_option("--limit", l->limit, "How many")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  c->callback([run, l] { run([l](Client& client) { return list(client, *l); }); });

  struct FlagOptions {
    std::string flag;
    int evidence = 20;
  };
  auto f = std::make_shared<FlagOptions>();
  c = ctl.add_subcommand("flag", "One flag with its evidence");
  c->add_option("flag", f->flag, "The flag's id")->required();
  c->add_option("--evidence", f->evidence, "Events shown")->check(CLI::Range(0, 1000))->capture_default_str();
  c->callback([run, f] {
    run([f](Client& client) {
      auto stub = pb::Flags::NewStub(client.channel());
      pb::GetFlagRequest request;
      request.set_flag(f->flag);
      return ask<pb::Flags::Stub, pb::GetFlagRequest, pb::GetFlagResponse>(
          client, *stub, &pb::Flags::Stub::GetFlag, request,
          [f](const pb::GetFlagResponse& r) { print_flag(r.flag(), f->evidence); });
    });
  });

  struct DecideOptions {
    std::string flag, decision, reason, request_id;
    double wait_s = 0;
  };
  auto d = std::make_shared<DecideOptions>();
  c = ctl.add_subcommand("decide", "Decide about a flag");
  c->add_option("flag", d->flag, "The flag's id")->required();
  c->add_option("decision", d->decision, "confirm, dismiss, appeal, reverse or uphold")
      ->required()
      ->check(CLI::IsMember({"confirm", "dismiss", "appeal", "reverse", "uphold"}));
  c->add_option("--reason", d->reason, "Why, at most 500 bytes");
  c->add_option("--request-id", d->request_id, "Makes repeating the command harmless (default: one made up)");
  c->add_option("--wait", d->wait_s, "Seconds to wait until the decision shows")->check(CLI::NonNegativeNumber);
  c->callback([run, d] {
    run([d](Client& client) {
      static const std::map<std::string, pb::Decision> kDecisions = {{"confirm", pb::DECISION_CONFIRMED},
                                                                     {"dismiss", pb::DECISION_DISMISSED},
                                                                     {"appeal", pb::DECISION_APPEALED},
                                                                     {"reverse", pb::DECISION_REVERSED},
                                                                     {"uphold", pb::DECISION_UPHELD}};
      auto stub = pb::Flags::NewStub(client.channel());
      pb::DecideFlagRequest request;
      request.set_flag(d->flag);
      request.set_decision(kDecisions.at(d->decision));
      request.set_reason(d->reason);
      absl::BitGen random;
      request.set_request_id(d->request_id.empty() ? std::to_string(random()) + "-" + std::to_string(random())
                                                   : d->request_id);
      grpc::ClientContext context;
      client.prepare(context);
      pb::DecideFlagResponse response;
      if (const grpc::Status s = stub->DecideFlag(&context, request, &response); !s.ok()) return client.failed(s);
      if (client.options().json()) {
        print_json(response);
      } else {
        std::cout << "written: " << plain(response.position().topic()) << "/" << response.position().partition()
                  << " at " << response.position().offset() << ", event " << plain(response.event_id()) << "\n";
      }
      if (d->wait_s <= 0) return 0;
      grpc::ClientContext waiting;
      client.prepare(waiting, true);
      waiting.set_deadline(std::chrono::system_clock::now() +
                           std::chrono::milliseconds(static_cast<int64_t>(d->wait_s * 1000)));
      pb::GetFlagRequest again;
      again.set_flag(d->flag);
      *again.add_min_position() = response.position();
      pb::GetFlagResponse now;
      if (const grpc::Status s = stub->GetFlag(&waiting, again, &now); !s.ok()) return client.failed(s);
      if (!client.options().json()) std::cout << "the flag is " << status(now.flag().status()) << "\n";
      return 0;
    });
  });
}

void add_watch(CLI::App& ctl, const Run& run) {
  struct WatchOptions {
    std::string what, resume;
    uint64_t limit = 0;
  };
  auto o = std::make_shared<WatchOptions>();
  CLI::App* c = ctl.add_subcommand("watch", "Changes as they are committed, until stopped");
  c->add_option("what", o->what, "tiers or flags")->required()->check(CLI::IsMember({"tiers", "flags"}));
  c->add_option("--resume", o->resume, "Go on behind this token");
  c->add_option("--limit", o->limit, "Stop after so many changes");
  c->callback([run, o] {
    run([o](Client& client) {
      grpc::ClientContext context;
      client.prepare(context, true);
      if (o->what == "tiers") {
        auto stub = pb::KeyUsers::NewStub(client.channel());
        pb::WatchTiersRequest request;
        request.set_resume_token(o->resume);
        auto reader = stub->WatchTiers(&context, request);
        return follow<grpc::ClientReader<pb::WatchTiersResponse>, pb::WatchTiersResponse>(
            client, *reader, context, o->limit, [](const pb::WatchTiersResponse& r) {
              std::cout << time_text(r.change().time()) << "  " << plain(r.change().user()) << "  "
                        << tier(r.change().from_tier()) << " -> " << tier(r.change().tier()) << "  "
                        << points(r.change().overall_micros()) << " points  " << plain(r.change().reason().text())
                        << "\n";
            });
      }
      auto stub = pb::Flags::NewStub(client.channel());
      pb::WatchFlagsRequest request;
      request.set_resume_token(o->resume);
      auto reader = stub->WatchFlags(&context, request);
      return follow<grpc::ClientReader<pb::WatchFlagsResponse>, pb::WatchFlagsResponse>(
          client, *reader, context, o->limit, [](const pb::WatchFlagsResponse& r) {
            std::cout << time_text(r.change().time()) << "  " << plain(r.change().flag().id()) << "  "
                      << short_name(pb::FlagChange_Name(r.change().change()), "FLAG_CHANGE_") << ", "
                      << status(r.change().flag().status()) << "  " << plain(r.change().flag().summary()) << "\n";
          });
    });
  });
}

}  // namespace bellwether::ctl

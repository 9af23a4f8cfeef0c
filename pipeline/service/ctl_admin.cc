#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "bellwether/v1/admin.grpc.pb.h"
#include "pipeline/service/ctl_client.h"

namespace bellwether::ctl {
namespace {

namespace pb = bellwether::v1;

void print_status(const pb::GetStatusResponse& r) {
  const pb::RecordAccount& a = r.account();
  std::cout << "version " << plain(r.version()) << ", running since " << time_text(r.start_time()) << ", as of "
            << time_text(r.as_of().watermark()) << "\n";
  std::cout << "rules " << plain(r.configuration_version()) << " (" << r.configuration_hash() << ")\n";
  std::cout << "records: consumed " << a.consumed() << " = applied " << a.applied() << " + duplicate " << a.duplicate()
            << " + late " << a.late() << " + dead-lettered " << a.dead_lettered() << "; pending " << a.pending()
            << "\n";
  if (a.gap() > 0) std::cout << "gap: " << a.gap() << " offsets were gone before they were read\n";
  std::cout << "ticks " << r.ticks() << ", commits " << r.commits() << ", users " << r.users()
            << ", out records waiting " << r.outbox_pending() << "\n";
  Table partitions({"topic", ">partition", ">next", ">lag", "watermark", ">behind ms", "", ">consumed"});
  for (const pb::PartitionStatus& p : r.partitions())
    partitions.row({p.topic(), std::to_string(p.partition()), std::to_string(p.next_offset()),
                    p.lag_records() < 0 ? "?" : std::to_string(p.lag_records()), time_text(p.watermark()),
                    std::to_string(p.lag_ms()), p.idle() ? "idle" : "", std::to_string(p.account().consumed())});
  if (!partitions.empty()) partitions.print();
  std::cout << "tiers:";
  for (const pb::TierCount& t : r.tiers())
    std::cout << " " << short_name(pb::Tier_Name(t.tier()), "TIER_") << " " << t.count();
  std::cout << "\nflags:";
  for (const pb::FlagCount& f : r.flags())
    std::cout << " " << short_name(pb::FlagKind_Name(f.kind()), "FLAG_KIND_") << " "
              << short_name(pb::FlagStatus_Name(f.status()), "FLAG_STATUS_") << " " << f.count();
  std::cout << (r.flags_size() == 0 ? " none\n" : "\n");
  if (r.dead_letters_size() > 0) {
    std::cout << "dead letters:";
    for (const pb::DeadLetterCount& d : r.dead_letters())
      std::cout << " " << short_name(pb::DeadLetterReason_Name(d.reason()), "DEAD_LETTER_REASON_") << " " << d.count();
    std::cout << "\n";
  }
  Table details({"figure", ">value"});
  for (const pb::Detail& d : r.details()) details.row({d.name(), d.value()});
  details.print();
}

// The first bytes of a record, readable: text as it is, other bytes in hexadecimal.
std::string excerpt(const std::string& raw) {
  constexpr size_t kShown = 60;
  std::string out;
  for (const char c : raw.substr(0, kShown)) {
    const auto b = static_cast<unsigned char>(c);
    if (b >= 0x20 && b < 0x7f && c != '\\') {
      out += c;
    } else {
      char hex[5];
      std::snprintf(hex, sizeof hex, "\\x%02x", b);
      out += hex;
    }
  }
  return out + (raw.size() > kShown ? "…" : "");
}

struct DeadOptions {
  std::string filter;
  uint32_t limit = 20;
};

int dead_letters(Client& client, const DeadOptions& o) {
  auto stub = pb::Admin::NewStub(client.channel());
  Table table({"time", "record", "reason", "what is wrong", "bytes"});
  std::string token;
  uint32_t left = o.limit;
  do {
    grpc::ClientContext context;
    client.prepare(context);
    pb::ListDeadLettersRequest request;
    request.set_filter(o.filter);
    request.set_page_size(static_cast<int32_t>(std::min<uint32_t>(left, 1000)));
    request.set_page_token(token);
    pb::ListDeadLettersResponse response;
    if (const grpc::Status status = stub->ListDeadLetters(&context, request, &response); !status.ok())
      return client.failed(status);
    if (client.options().json()) print_json(response);
    for (const pb::DeadLetter& d : response.dead_letters())
      table.row({time_text(d.time()), d.id(), short_name(pb::DeadLetterReason_Name(d.reason()), "DEAD_LETTER_REASON_"),
                 d.text(), excerpt(d.raw())});
    left -= std::min<uint32_t>(left, static_cast<uint32_t>(response.dead_letters_size()));
    token = response.next_page_token();
  } while (left > 0 && !token.empty());
  if (client.options().json()) return 0;
  if (table.empty()) {
    std::cout << "no dead letters\n";
  } else {
    table.print();
  }
  return 0;
}

struct BackupOptions {
  std::string to;
  bool copy = false;
};

int backup(Client& client, const BackupOptions& o) {
  auto stub = pb::Admin::NewStub(client.channel());
  pb::CreateBackupRequest request;
  request.set_to(std::filesystem::absolute(o.to).lexically_normal());
  request.set_copy(o.copy);
  grpc::ClientContext context;
  client.prepare(context, true);  // as long as it takes
  pb::CreateBackupResponse response;
  if (const grpc::Status status = stub->CreateBackup(&context, request, &response); !status.ok())
    return client.failed(status);
  if (client.options().json()) {
    print_json(response);
    return 0;
  }
  std::cout << "backup " << plain(response.to()) << ": " << response.files() << " files, " << response.bytes()
            << " bytes, of which " << response.linked_bytes() << " are shared with the data folder; as of "
            << time_text(response.as_of().watermark()) << "\n";
  for (const pb::Position& p : response.as_of().positions())
    std::cout << "  " << plain(p.topic()) << "/" << p.partition() << " up to " << p.offset() << "\n";
  return 0;
}

}  // namespace

void add_admin(CLI::App& ctl, const Run& run) {
  CLI::App* c = ctl.add_subcommand("status", "How the engine is: the account, partitions, ticks, flags, memory");
  c->callback([run] {
    run([](Client& client) {
      auto stub = pb::Admin::NewStub(client.channel());
      return ask<pb::Admin::Stub, pb::GetStatusRequest, pb::GetStatusResponse>(
          client, *stub, &pb::Admin::Stub::GetStatus, {}, print_status);
    });
  });
  auto o = std::make_shared<DeadOptions>();
  c = ctl.add_subcommand("deadletters", "Records that are no events, the latest first");
  c->add_option("--filter", o->filter, "Only these, for example 'reason = empty_id AND topic = \"community.likes\"'");
  c->add_option("--limit", o->limit, "How many")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  c->callback([run, o] { run([o](Client& client) { return dead_letters(client, *o); }); });
  auto b = std::make_shared<BackupOptions>();
  c = ctl.add_subcommand("backup", "Back up the data folder of the running service, on its machine");
  c->add_option("--to", b->to, "The folder to make")->required();
  c->add_flag("--copy", b->copy, "Copy every file, also those that hard links could share with the data folder");
  c->callback([run, b] { run([b](Client& client) { return backup(client, *b); }); });
}

}  // namespace bellwether::ctl

#include <CLI/CLI.hpp>
#include <iostream>

#include "bellwether/v1/key_users.grpc.pb.h"
#include "pipeline/service/ctl_client.h"

namespace bellwether::ctl {
namespace {

namespace pb = bellwether::v1;

std::string tier(pb::Tier t) { return short_name(pb::Tier_Name(t), "TIER_"); }
std::string flag_kind(pb::FlagKind k) { return short_name(pb::FlagKind_Name(k), "FLAG_KIND_"); }
std::string permille(uint32_t v) { return std::to_string(v / 10) + "." + std::to_string(v % 10) + " %"; }

const std::map<std::string, pb::Capability>& capabilities() {
  static const std::map<std::string, pb::Capability> kNames = {{"innovation", pb::CAPABILITY_INNOVATION},
                                                               {"communication", pb::CAPABILITY_COMMUNICATION},
                                                               {"referral", pb::CAPABILITY_REFERRAL},
                                                               {"knowledge", pb::CAPABILITY_KNOWLEDGE}};
  return kNames;
}

// A capability by name, anything else is a profile; empty: the overall score.
template <class Request>
void choose(const std::string& score, Request& request) {
  if (const auto it = capabilities().find(score); it != capabilities().end()) {
    request.set_capability(it->second);
  } else if (!score.empty()) {
    request.set_profile(score);
  }
}

void print_as_of(const pb::AsOf& as_of) {
  std::cout << "as of " << (as_of.has_watermark() ? time_text(as_of.watermark()) : "the beginning") << "\n";
}

std::string rank(const pb::Score& s) {
  return s.rank() == 0 ? "-" : (s.rank_exact() ? "" : "~") + std::to_string(s.rank());
}

std::string gate_value(const pb::Gate& gate, int64_t value) {
  if (gate.name() == "score" || gate.name().starts_with("points.")) return points(value);
  return gate.name() == "top" ? permille(static_cast<uint32_t>(value)) : std::to_string(value);
}

void print_gates(const char* what, const pb::TierGates& gates) {
  if (gates.total() == 0) return;
  std::cout << what << " " << tier(gates.tier()) << ": " << gates.met() << " of " << gates.total() << " met\n";
  Table table({"", "gate", ">have", ">asked"});
  for (const pb::Gate& gate : gates.gates())
    table.row({gate.met() ? "yes" : "no", gate.name() == "top" ? "within the top" : gate.name(),
               gate_value(gate, gate.have()), gate_value(gate, gate.required())});
  table.print("  ");
}

void print_user(const pb::User& u) {
  std::cout << plain(u.id()) << ": " << tier(u.tier());
  if (u.visible_tier() != u.tier()) std::cout << " (members see " << tier(u.visible_tier()) << ")";
  if (u.computed_tier() != pb::TIER_UNSPECIFIED)
    std::cout << ", held by staff (computed: " << tier(u.computed_tier()) << ")";
  if (u.has_tier_since_time()) std::cout << " since " << time_text(u.tier_since_time());
  std::cout << "\n  why: " << plain(u.tier_reason().text());
  if (!u.tier_reason().flag().empty()) std::cout << " (flag " << plain(u.tier_reason().flag()) << ")";
  std::cout << "\n";
  if (u.has_grace_until_time())
    std::cout << "  is lost on " << time_text(u.grace_until_time()) << " if nothing changes\n";
  Table scores({"score", ">points", ">rank", ">better than", ">taken by flags"});
  const auto add = [&](const pb::Score& s) {
    scores.row({s.name(), points(s.score_micros()), rank(s), s.rank() == 0 ? "-" : permille(s.percentile_permille()),
                s.taken_micros() == 0 ? "" : points(s.taken_micros())});
  };
  add(u.overall());
  for (const pb::Score& s : u.capabilities()) add(s);
  for (const pb::Score& s : u.profiles()) add(s);
  scores.print("  ");
  print_gates("holds", u.tier_gates());
  print_gates("for", u.next_tier_gates());
  const pb::Portrait& p = u.portrait();
  std::cout << "active " << p.active_days() << " days";
  if (u.has_first_active_time()) std::cout << ", first " << time_text(u.first_active_time());
  if (u.has_last_active_time()) std::cout << ", last " << time_text(u.last_active_time());
  if (u.followers() > 0) std::cout << ", " << u.followers() << " followers";
  std::cout << "\n";
  const auto list = [](const char* what, const auto& items, const auto& text) {
    if (items.empty()) return;
    std::cout << what;
    for (int i = 0; i < items.size(); ++i) std::cout << (i == 0 ? " " : ", ") << plain(text(items[i]));
    std::cout << "\n";
  };
  list("topics:", p.topics(),
       [](const pb::TopicCount& t) { return t.topic() + " (" + std::to_string(t.count()) + ")"; });
  list("channels:", p.channels(), [](const pb::ChannelShare& c) {
    return (c.channel().empty() ? "not said" : c.channel()) + " " + permille(c.share_permille());
  });
  list("certificates and exams:", u.certificates(), [](const std::string& s) { return s; });
  list("roles:", u.roles(), [](const std::string& s) { return s; });
  if (u.closed()) std::cout << "the account is closed\n";
  if (u.flags_size() > 0) {
    std::cout << "flags:\n";
    Table flags({"flag", "kind", "status", "as", ">taken"});
    for (const pb::UserFlag& f : u.flags())
      flags.row({f.flag(), flag_kind(f.kind()), short_name(pb::FlagStatus_Name(f.status()), "FLAG_STATUS_"),
                 f.subject() ? "subject" : "beneficiary", points(f.overall_taken_micros())});
    flags.print("  ");
  }
}

// `limit`: lines shown, the largest first; the others are one line, so that the column still sums to the score.
void print_explanation(const pb::ExplainScoreResponse& r, int limit) {
  std::cout << plain(r.user()) << ": " << r.score().name() << " " << points(r.score().score_micros(), 6) << " points";
  if (r.score().rank() > 0) std::cout << ", rank " << rank(r.score());
  std::cout << "\nhalf-life " << r.half_life_days() << " days, window " << r.window_days()
            << " days; the last column sums to the score\n";
  int64_t sum = 0;
  int shown = 0;
  Table table({"day", "rule", ">count", ">points", ">capped", ">discounted", ">decay", ">gives"});
  for (const pb::Contribution& c : r.contributions()) {
    table.row({c.day(), c.rule(), std::to_string(c.count()), points(c.points_micros()),
               c.capped_micros() == 0 ? "" : points(c.capped_micros()),
               c.discounted_micros() == 0 ? "" : points(c.discounted_micros()),
               std::to_string(c.decay_ppm() / 10'000) + " %", points(c.contribution_micros(), 6)});
    sum += c.contribution_micros();
    if (++shown == limit) break;
  }
  if (shown < r.contributions_size()) {
    int64_t rest = 0;
    for (int i = shown; i < r.contributions_size(); ++i) rest += r.contributions(i).contribution_micros();
    table.row({"", std::to_string(r.contributions_size() - shown) + " more lines (--limit)", "", "", "", "", "",
               points(rest, 6)});
    sum += rest;
  }
  table.row({"", "sum", "", "", "", "", "", points(sum, 6)});
  table.print("  ");
  for (int i = 0; i < shown; ++i) {
    const pb::Contribution& c = r.contributions(i);
    if (c.events_size() == 0) continue;
    std::cout << c.day() << " " << c.rule() << ":\n";
    for (const pb::ContributionEvent& e : c.events()) {
      std::cout << "  " << time_text(e.event().time()) << "  " << points(e.points_micros(), 6);
      if (!e.actor().empty()) std::cout << "  by " << plain(e.actor());
      if (!e.about().empty()) std::cout << "  on " << plain(e.about());
      if (e.halvings() > 0)
        std::cout << "  halved " << (e.halvings() == 1 ? "once" : std::to_string(e.halvings()) + " times");
      if (e.authenticity() < 256) std::cout << "  " << e.authenticity() << " of 256 let stand";
      std::cout << "\n";
    }
    if (c.more_events_count() > 0) std::cout << "  and " << c.more_events_count() << " more\n";
  }
  if (r.discounts_size() > 0) {
    std::cout << "taken off by flags:\n";
    for (const pb::FlagDiscount& d : r.discounts())
      std::cout << "  " << plain(d.flag()) << " (" << flag_kind(d.kind()) << "): " << points(d.taken_micros(), 6)
                << "\n";
  }
  print_as_of(r.as_of());
}

struct TopOptions {
  std::string by, filter, order;
  uint32_t limit = 20;
};

// The board, or with a filter the list of users, page by page.
int top(Client& client, const TopOptions& o) {
  auto stub = pb::KeyUsers::NewStub(client.channel());
  std::string token;
  uint32_t left = o.limit, place = 0;
  Table board({">rank", "user", ">points", "tier", "flagged"});
  Table users({">", "user", ">overall", ">innovation", ">communication", ">referral", ">knowledge", "tier", "why"});
  pb::AsOf as_of;
  const bool list = !o.filter.empty() || !o.order.empty();
  do {
    grpc::ClientContext context;
    client.prepare(context);
    const auto size = static_cast<int32_t>(std::min<uint32_t>(left, 1000));
    if (list) {
      pb::ListUsersRequest request;
      request.set_filter(o.filter);
      request.set_order_by(o.order.empty() && !o.by.empty() ? o.by + " desc" : o.order);
      request.set_page_size(size);
      request.set_page_token(token);
      pb::ListUsersResponse response;
      if (const grpc::Status status = stub->ListUsers(&context, request, &response); !status.ok())
        return client.failed(status);
      if (client.options().json()) print_json(response);
      for (const pb::User& u : response.users())
        users.row({std::to_string(++place), u.id(), points(u.overall().score_micros()),
                   points(u.capabilities(0).score_micros()), points(u.capabilities(1).score_micros()),
                   points(u.capabilities(2).score_micros()), points(u.capabilities(3).score_micros()), tier(u.tier()),
                   u.tier_reason().text()});
      left -= std::min<uint32_t>(left, static_cast<uint32_t>(response.users_size()));
      token = response.next_page_token(), as_of = response.as_of();
    } else {
      pb::GetLeaderboardRequest request;
      choose(o.by, request);
      request.set_page_size(size);
      request.set_page_token(token);
      pb::GetLeaderboardResponse response;
      if (const grpc::Status status = stub->GetLeaderboard(&context, request, &response); !status.ok())
        return client.failed(status);
      if (client.options().json()) print_json(response);
      for (const pb::LeaderboardEntry& e : response.entries())
        board.row({(e.rank_exact() ? "" : "~") + std::to_string(e.rank()), e.user(), points(e.score_micros()),
                   tier(e.tier()), e.flagged() ? "flagged" : ""});
      left -= std::min<uint32_t>(left, static_cast<uint32_t>(response.entries_size()));
      token = response.next_page_token(), as_of = response.as_of();
    }
  } while (left > 0 && !token.empty());
  if (client.options().json()) return 0;
  const Table& table = list ? users : board;
  if (table.empty()) {
    std::cout << "nobody\n";
  } else {
    table.print();
  }
  print_as_of(as_of);
  return 0;
}

}  // namespace

void add_users(CLI::App& ctl, const Run& run) {
  auto o = std::make_shared<TopOptions>();
  CLI::App* c = ctl.add_subcommand("top", "The key users, the best first");
  c->add_option("--by", o->by,
                "innovation, communication, referral, knowledge or a profile (default: the overall score)");
  c->add_option("--limit", o->limit, "How many")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  c->add_option("--filter", o->filter,
                "Only these, for example 'tier >= key AND score.knowledge > 20 AND flagged = false'");
  c->add_option("--order", o->order, "A score's name, then desc or asc");
  c->callback([run, o] { run([o](Client& client) { return top(client, *o); }); });

  auto users = std::make_shared<std::vector<std::string>>();
  c = ctl.add_subcommand("user", "Everything that is known of users");
  c->add_option("user", *users, "Their ids")->required();
  c->callback([run, users] {
    run([users](Client& client) {
      auto stub = pb::KeyUsers::NewStub(client.channel());
      if (users->size() == 1) {
        pb::GetUserRequest request;
        request.set_user(users->front());
        return ask<pb::KeyUsers::Stub, pb::GetUserRequest, pb::GetUserResponse>(
            client, *stub, &pb::KeyUsers::Stub::GetUser, request,
            [](const pb::GetUserResponse& r) { print_user(r.user()), print_as_of(r.as_of()); });
      }
      pb::BatchGetUsersRequest request;
      for (const std::string& user : *users) request.add_users(user);
      return ask<pb::KeyUsers::Stub, pb::BatchGetUsersRequest, pb::BatchGetUsersResponse>(
          client, *stub, &pb::KeyUsers::Stub::BatchGetUsers, request, [](const pb::BatchGetUsersResponse& r) {
            for (const pb::User& u : r.users()) print_user(u), std::cout << "\n";
            for (const std::string& id : r.missing()) std::cout << plain(id) << ": nothing is known\n";
            print_as_of(r.as_of());
          });
    });
  });

  struct ExplainOptions {
    std::string user, score;
    int32_t events = 3;
    int limit = 20;
  };
  auto e = std::make_shared<ExplainOptions>();
  c = ctl.add_subcommand("explain", "Where a user's score comes from, to the last millionth of a point");
  c->add_option("user", e->user, "The user's id")->required();
  c->add_option("--score", e->score,
                "innovation, communication, referral, knowledge or a profile (default: the overall score)");
  c->add_option("--events", e->events, "Events shown of each line")->check(CLI::Range(1, 100))->capture_default_str();
  c->add_option("--limit", e->limit, "Lines shown, those that give most first")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  c->callback([run, e] {
    run([e](Client& client) {
      auto stub = pb::KeyUsers::NewStub(client.channel());
      pb::ExplainScoreRequest request;
      request.set_user(e->user);
      choose(e->score, request);
      request.set_events_per_contribution(e->events);
      return ask<pb::KeyUsers::Stub, pb::ExplainScoreRequest, pb::ExplainScoreResponse>(
          client, *stub, &pb::KeyUsers::Stub::ExplainScore, request,
          [e](const pb::ExplainScoreResponse& r) { print_explanation(r, e->limit); });
    });
  });
}

}  // namespace bellwether::ctl

// The moderator's client against a real service in this process: each subcommand as a table and as JSON, and its exit
// codes.
#include "pipeline/service/ctl.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <iterator>

#include "service_rig.h"

namespace bellwether::ctl_test {
namespace {

using google::protobuf::util::JsonStringToMessage;
using testing::Test;

struct Said {
  int code = 0;
  std::string out, err;
};

// Catches what is written to a stream.
class Caught {
 public:
  explicit Caught(std::ostream& stream) : stream_(stream), before_(stream.rdbuf(text_.rdbuf())) {}
  Caught(const Caught&) = delete;
  Caught& operator=(const Caught&) = delete;
  ~Caught() { stream_.rdbuf(before_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::ostream& stream_;
  std::streambuf* before_;
};

// `bellwether ctl WORDS…`, as main() runs it.
Said run_ctl(std::vector<std::string> words) {
  CLI::App app("test", "bellwether");
  app.require_subcommand(1);
  Said said;
  int exit_code = 0;
  add_ctl_commands(app, exit_code);
  words.insert(words.begin(), "ctl");
  std::reverse(words.begin(), words.end());
  const Caught out(std::cout), err(std::cerr);
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error, std::cout, std::cerr) == 0 ? 0 : 2;
  }
  return {exit_code, out.text(), err.text()};
}

// A port of this machine where nobody listens.
std::string nobody() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  close(fd);
  return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

template <class Message>
Message parsed(const std::string& json) {
  Message message;
  const auto status = JsonStringToMessage(json, &message);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << json;
  return message;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}
// The words of a line of a table.
std::vector<std::string> cells(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class CtlTest : public Test {
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

  static Said ctl(std::vector<std::string> words, const std::string& token = "token-of-the-admin1") {
    words.insert(words.end(), {"--address", "127.0.0.1:" + std::to_string(rig().service->port()), "--timeout", "20"});
    if (!token.empty()) words.insert(words.end(), {"--token", token});
    return run_ctl(std::move(words));
  }
  template <class Message>
  static Message json(std::vector<std::string> words) {
    words.insert(words.end(), {"--output", "json"});
    const Said said = ctl(std::move(words));
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(said.err, "");
    return parsed<Message>(said.out);
  }
  static std::string table(const std::vector<std::string>& words) {
    const Said said = ctl(words);
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(said.err, "");
    return said.out;
  }
  static pb::Flag a_ring() {
    const auto list = json<pb::ListFlagsResponse>({"flags", "--filter", "kind = ring"});
    EXPECT_GE(list.flags_size(), 1);
    return list.flags_size() == 0 ? pb::Flag() : list.flags(0);
  }
  // A file of the test's own, deleted with it.
  static std::string file_of(const std::string& text) {
    char name[] = "/tmp/bellwether_ctl_XXXXXX";
    const int fd = mkstemp(name);
    EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(fd);
    return name;
  }

 private:
  static Rig* rig_;
};
Rig* CtlTest::rig_ = nullptr;

TEST_F(CtlTest, Top) {
  const auto board = json<pb::GetLeaderboardResponse>({"top", "--limit", "5"});
  ASSERT_EQ(board.entries_size(), 5);
  EXPECT_TRUE(board.has_as_of());
  const auto rows = lines_of(table({"top", "--limit", "5"}));
  ASSERT_EQ(rows.size(), 7u);  // heading, five users, as of when
  EXPECT_THAT(cells(rows[0]), testing::ElementsAre("rank", "user", "points", "tier", "flagged"));
  for (int i = 0; i < 5; ++i) {
    const auto row = cells(rows[static_cast<size_t>(i) + 1]);
    ASSERT_GE(row.size(), 4u);
    EXPECT_EQ(row[0], std::to_string(i + 1));
    EXPECT_EQ(row[1], board.entries(i).user());
    // Two decimals, cut.
    const int64_t cents = board.entries(i).score_micros() / 10'000;
    EXPECT_EQ(row[2], std::to_string(cents / 100) + "." + std::to_string(100 + cents % 100).substr(1));
  }
  const auto by = json<pb::GetLeaderboardResponse>({"top", "--by", "knowledge", "--limit", "3"});
  for (int i = 1; i < by.entries_size(); ++i) EXPECT_GE(by.entries(i - 1).score_micros(), by.entries(i).score_micros());
  // With a filter it is the list of users.
  const auto list = json<pb::ListUsersResponse>({"top", "--filter", "score.communication > 1", "--limit", "4"});
  ASSERT_EQ(list.users_size(), 4);
  EXPECT_GT(list.users(0).capabilities(1).score_micros(), 1'000'000);
  const auto listed = lines_of(table({"top", "--filter", "score.communication > 1", "--limit", "4"}));
  ASSERT_EQ(listed.size(), 6u);
  EXPECT_EQ(cells(listed[1])[1], list.users(0).id());
  EXPECT_TRUE(has(table({"top", "--filter", "score.communication > 999999"}), "nobody"));
  // More than a page.
  EXPECT_GT(lines_of(table({"top", "--limit", "1200"})).size(), 150u);

  EXPECT_EQ(ctl({"top", "--filter", "tier = "}).code, 2);
  EXPECT_EQ(ctl({"top", "--by", "height"}).code, 2);
  EXPECT_EQ(ctl({"top", "--limit", "0"}).code, 2);
}

TEST_F(CtlTest, User) {
  const std::string best = json<pb::GetLeaderboardResponse>({"top", "--limit", "1"}).entries(0).user();
  const auto one = json<pb::GetUserResponse>({"user", best});
  EXPECT_EQ(one.user().id(), best);
  const std::string text = table({"user", best});
  EXPECT_EQ(text.find(best), 0u);
  for (const char* part : {"overall", "innovation", "communication", "referral", "knowledge", "active "})
    EXPECT_TRUE(has(text, part)) << part << "\n" << text;
  const auto two = json<pb::BatchGetUsersResponse>({"user", best, "nobody-at-all"});
  ASSERT_EQ(two.users_size(), 1);
  EXPECT_THAT(two.missing(), testing::ElementsAre("nobody-at-all"));
  EXPECT_TRUE(has(table({"user", best, "nobody-at-all"}), "nobody-at-all: nothing is known"));

  const Said unknown = ctl({"user", "nobody-at-all"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_TRUE(has(unknown.err, "nobody-at-all")) << unknown.err;
  EXPECT_EQ(ctl({"user", std::string(65, 'x')}).code, 2);
  EXPECT_EQ(ctl({"user"}).code, 2);
}

TEST_F(CtlTest, Explain) {
  const std::string best = json<pb::GetLeaderboardResponse>({"top", "--limit", "1"}).entries(0).user();
  const auto answer = json<pb::ExplainScoreResponse>({"explain", best});
  int64_t sum = 0;
  for (const pb::Contribution& c : answer.contributions()) sum += c.contribution_micros();
  EXPECT_EQ(sum, answer.score().score_micros());
  // The table's last column sums to the score too, though only some lines are shown.
  const auto rows = lines_of(table({"explain", best, "--limit", "2", "--events", "1"}));
  int64_t shown = 0;
  size_t summed = 0;
  std::string total;
  const auto micros = [](std::string number) {
    number.erase(std::remove(number.begin(), number.end(), '.'), number.end());
    return std::stoll(number);
  };
  for (size_t i = 3; i < rows.size() && total.empty(); ++i) {
    const auto row = cells(rows[i]);
    ASSERT_FALSE(row.empty()) << rows[i];
    if (row[0] == "sum") {
      total = row.back();
    } else {
      shown += micros(row.back()), ++summed;
    }
  }
  EXPECT_EQ(summed, 3u);
  ASSERT_FALSE(total.empty());
  EXPECT_EQ(micros(total), answer.score().score_micros());
  EXPECT_EQ(shown, answer.score().score_micros());
  EXPECT_TRUE(has(rows[0], best));
  EXPECT_EQ(json<pb::ExplainScoreResponse>({"explain", best, "--score", "knowledge"}).score().name(), "knowledge");

  EXPECT_EQ(ctl({"explain", "nobody-at-all"}).code, 1);
  EXPECT_EQ(ctl({"explain", best, "--score", "height"}).code, 2);
  EXPECT_EQ(ctl({"explain", std::string(65, 'x')}).code, 2);
  EXPECT_EQ(ctl({"explain", best, "--events", "1000"}).code, 2);
}

TEST_F(CtlTest, FlagsAndFlag) {
  const pb::Flag ring = a_ring();
  const auto rows = lines_of(table({"flags", "--filter", "kind = ring"}));
  ASSERT_GE(rows.size(), 2u);
  EXPECT_THAT(cells(rows[0]), testing::ElementsAre("flag", "kind", "status", "sure", "raised", "subjects", "events",
                                                   "who", "gained", "most"));
  EXPECT_EQ(cells(rows[1])[0], ring.id());
  EXPECT_EQ(cells(rows[1])[1], "ring");
  EXPECT_TRUE(has(table({"flags", "--filter", "subject = nobody-at-all"}), "no flags"));

  const auto one = json<pb::GetFlagResponse>({"flag", ring.id()}).flag();
  EXPECT_EQ(one.id(), ring.id());
  EXPECT_GT(one.evidence_size(), 50);
  const std::string text = table({"flag", ring.id(), "--evidence", "3"});
  EXPECT_TRUE(has(text, ring.id()));
  EXPECT_TRUE(has(text, one.summary().substr(one.id().size() + 2)));  // behind "ID: "
  EXPECT_TRUE(has(text, one.subjects(0)));
  EXPECT_TRUE(has(text, "evidence:"));
  EXPECT_TRUE(has(
      text, "and " + std::to_string(one.evidence_size() - 3 + static_cast<int>(one.more_evidence_count())) + " more"))
      << text;

  EXPECT_EQ(ctl({"flags", "--filter", "kind = square"}).code, 2);
  EXPECT_EQ(ctl({"flags", "--order", "height"}).code, 2);
  EXPECT_EQ(ctl({"flag", "no-such-flag"}).code, 1);
  EXPECT_EQ(ctl({"flag", std::string(65, 'x')}).code, 2);
  EXPECT_EQ(ctl({"flag"}).code, 2);
}

TEST_F(CtlTest, DecideAndWatch) {
  const pb::Flag ring = a_ring();
  EXPECT_EQ(ctl({"decide", ring.id(), "perhaps"}).code, 2);
  EXPECT_EQ(ctl({"decide", ring.id()}).code, 2);
  EXPECT_EQ(ctl({"decide", ring.id(), "confirm", "--reason", std::string(501, 'x')}).code, 2);
  EXPECT_EQ(ctl({"decide", ring.id(), "reverse"}).code, 1);  // nobody has appealed
  EXPECT_EQ(ctl({"decide", "no-such-flag", "confirm"}).code, 1);

  // Watches from now on, while somebody decides.
  pb::WatchFlagsResponse first;
  {
    grpc::ClientContext context;
    Rig::authorize(context);
    auto reader = rig().flags->WatchFlags(&context, {});
    ASSERT_TRUE(reader->Read(&first));
    context.TryCancel();
    (void)reader->Finish();
  }
  ASSERT_FALSE(first.resume_token().empty());
  const auto decided =
      json<pb::DecideFlagResponse>({"decide", ring.id(), "confirm", "--reason", "seen", "--wait", "20"});
  EXPECT_FALSE(decided.event_id().empty());
  const auto again = json<pb::GetFlagResponse>({"flag", ring.id()}).flag();
  EXPECT_EQ(again.status(), pb::FLAG_STATUS_CONFIRMED);
  ASSERT_EQ(again.history_size(), 1);
  EXPECT_EQ(again.history(0).reason(), "seen");
  const std::string text = table({"decide", ring.id(), "dismiss", "--wait", "20"});
  EXPECT_TRUE(has(text, "written: log/0")) << text;
  EXPECT_TRUE(has(text, "the flag is dismissed")) << text;

  const Said watched = ctl({"watch", "flags", "--resume", first.resume_token(), "--limit", "2", "--output", "json"});
  EXPECT_EQ(watched.code, 0) << watched.err;
  const auto changes = lines_of(watched.out);  // a line each, for whoever reads it as it comes
  ASSERT_EQ(changes.size(), 2u) << watched.out;
  const auto confirmed = parsed<pb::WatchFlagsResponse>(changes[0]);
  EXPECT_EQ(confirmed.change().flag().id(), ring.id());
  EXPECT_EQ(confirmed.change().change(), pb::FLAG_CHANGE_DECIDED);
  EXPECT_EQ(confirmed.change().flag().status(), pb::FLAG_STATUS_CONFIRMED);
  EXPECT_EQ(parsed<pb::WatchFlagsResponse>(changes[1]).change().flag().status(), pb::FLAG_STATUS_DISMISSED);
  const Said resumed = ctl({"watch", "flags", "--resume", confirmed.resume_token(), "--limit", "1"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  ASSERT_EQ(lines_of(resumed.out).size(), 1u);
  EXPECT_TRUE(has(resumed.out, "decided, dismissed")) << resumed.out;
  EXPECT_EQ(ctl({"watch", "flags", "--resume", "mine"}).code, 2);
  EXPECT_EQ(ctl({"watch", "tiers", "--resume", "mine"}).code, 2);
  EXPECT_EQ(ctl({"watch", "clouds"}).code, 2);

  // The restored score brings tiers back; the oldest change in the store is a tier's.
  const std::string oldest = "8000000000000001-00000000-00000000-0000000000000000-00000000";
  const Said gone = ctl({"watch", "tiers", "--resume", oldest, "--limit", "1"});
  EXPECT_EQ(gone.code, 1);  // more than 7 days of event time ago
  EXPECT_TRUE(has(gone.err, "7 days")) << gone.err;
}

TEST_F(CtlTest, WatchTiers) {
  // From just after what is kept begins: the last 7 days.
  const auto status = json<pb::GetStatusResponse>({"status"});
  const int64_t from = status.as_of().tick().slot() - 4 * 86'400 * 5;
  char token[80];
  std::snprintf(token, sizeof token, "%016llx-00000000-00000000-0000000000000000-00000000",
                static_cast<unsigned long long>(static_cast<uint64_t>(from) ^ uint64_t{1} << 63));
  const Said watched = ctl({"watch", "tiers", "--resume", token, "--limit", "2", "--output", "json"});
  ASSERT_EQ(watched.code, 0) << watched.err;
  const auto changes = lines_of(watched.out);
  ASSERT_EQ(changes.size(), 2u);
  const auto change = parsed<pb::WatchTiersResponse>(changes[0]).change();
  EXPECT_FALSE(change.user().empty());
  EXPECT_NE(change.from_tier(), change.tier());
  const Said text = ctl({"watch", "tiers", "--resume", token, "--limit", "1"});
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_TRUE(has(text.out, change.user() + "  ")) << text.out;
  EXPECT_TRUE(has(text.out, " -> ")) << text.out;
}

TEST_F(CtlTest, Status) {
  const auto status = json<pb::GetStatusResponse>({"status"});
  EXPECT_GE(status.account().consumed(), rig().events);
  const std::string text = table({"status"});
  EXPECT_TRUE(has(text, "records: consumed " + std::to_string(status.account().consumed()) + " = applied ")) << text;
  EXPECT_TRUE(has(text, "flags: ")) << text;
  EXPECT_TRUE(has(text, "\nlog")) << text;
  const Said member = ctl({"status"}, "token-of-a-member-1");
  EXPECT_EQ(member.code, 1);
  EXPECT_TRUE(has(member.err, "member")) << member.err;
  const Said stranger = ctl({"status"}, "token-of-nobody-at-all");
  EXPECT_EQ(stranger.code, 1);
  EXPECT_TRUE(has(stranger.err, "--token")) << stranger.err;
}

TEST_F(CtlTest, PublishAndDeadLetters) {
  const std::string when = "2025-03-16T23:59:00Z";
  const auto event = [&](const std::string& id, const std::string& user) {
    return "{\"id\":\"" + id + "\",\"time\":\"" + when + "\",\"user\":\"" + user + "\",\"post\":{\"post\":\"post-" +
           id + "\",\"kind\":\"POST_KIND_IDEA\",\"action\":\"POST_ACTION_PUBLISHED\"}}\n";
  };
  const std::string good = file_of(event("ctl-1", "ctl-user") + "\n" + event("ctl-2", "ctl-user"));
  const std::string text = table({"publish", good, "--wait", "20"});
  EXPECT_TRUE(has(text, "written 2 events")) << text;
  EXPECT_TRUE(has(text, "counted as of")) << text;
  EXPECT_EQ(json<pb::GetUserResponse>({"user", "ctl-user"}).user().id(), "ctl-user");
  // The same again is harmless, and JSON has the positions.
  const Said repeated = ctl({"publish", good, "--output", "json"});
  EXPECT_EQ(repeated.code, 0) << repeated.err;
  google::protobuf::Struct report;
  ASSERT_TRUE(JsonStringToMessage(repeated.out, &report).ok()) << repeated.out;
  EXPECT_EQ(report.fields().at("written").number_value(), 2);
  EXPECT_EQ(report.fields().at("positions").list_value().values_size(), 1);

  // A line that is no event is named; the others are written.
  const std::string mixed = file_of(event("ctl-3", "ctl-user") + "nonsense\n" + event("", "ctl-user"));
  const Said partly = ctl({"publish", mixed});
  EXPECT_EQ(partly.code, 1);
  EXPECT_TRUE(has(partly.out, "written 1 events")) << partly.out;
  EXPECT_TRUE(has(partly.out, "rejected 2")) << partly.out;
  EXPECT_TRUE(has(partly.err, mixed + ":2: ")) << partly.err;
  EXPECT_TRUE(has(partly.err, mixed + ":3: ")) << partly.err;
  EXPECT_EQ(ctl({"publish", good}, "token-of-a-member-1").code, 1);
  EXPECT_EQ(ctl({"publish", "/tmp/there-is-no-such-file"}).code, 1);
  EXPECT_EQ(ctl({"publish", good, "--batch", "0"}).code, 2);
  std::filesystem::remove(good);
  std::filesystem::remove(mixed);

  // What did not come through the service has nobody to refuse it.
  EXPECT_TRUE(has(table({"deadletters"}), "no dead letters"));
  ASSERT_TRUE(rig().log->append(0, {"\xff\x01 no event", "{\"id\":\"cut"}).status.ok());
  rig().settle();
  const auto dead = json<pb::ListDeadLettersResponse>({"deadletters"});
  ASSERT_EQ(dead.dead_letters_size(), 2);
  EXPECT_EQ(dead.dead_letters(0).reason(), pb::DEAD_LETTER_REASON_UNDECODABLE);
  const auto rows = lines_of(table({"deadletters", "--limit", "1"}));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_TRUE(has(rows[1], "undecodable")) << rows[1];
  EXPECT_TRUE(has(table({"deadletters"}), "\\xff\\x01 no event"));
  EXPECT_EQ(ctl({"deadletters", "--filter", "height = 3"}).code, 2);
  EXPECT_EQ(ctl({"deadletters"}, "token-of-a-member-1").code, 1);
}

TEST_F(CtlTest, NobodyAnswers) {
  const std::string address = nobody(), some = file_of("{\"id\":\"x\"}\n");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"top"},
                                                {"user", "u1"},
                                                {"user", "u1", "u2"},
                                                {"explain", "u1"},
                                                {"flags"},
                                                {"flag", "f"},
                                                {"decide", "f", "dismiss"},
                                                {"watch", "tiers"},
                                                {"watch", "flags"},
                                                {"status"},
                                                {"deadletters"},
                                                {"publish", some}}) {
    for (const char* output : {"table", "json"}) {
      std::vector<std::string> all = words;
      all.insert(all.end(), {"--address", address, "--timeout", "3", "--output", output});
      const Said said = run_ctl(all);
      EXPECT_EQ(said.code, 1) << words[0];
      EXPECT_EQ(said.out, "") << words[0];
      EXPECT_TRUE(has(said.err, address)) << words[0] << ": " << said.err;
      EXPECT_TRUE(has(said.err, "bellwether serve")) << words[0] << ": " << said.err;
    }
  }
  std::filesystem::remove(some);
}

TEST_F(CtlTest, BadUsage) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{},
                                                {"nonsense"},
                                                {"top", "--output", "xml"},
                                                {"status", "--timeout", "-1"},
                                                {"status", "--tls-ca", "/tmp/there-is-no-such-file"},
                                                {"top", "and", "more"}}) {
    const Said said = run_ctl(words);
    EXPECT_EQ(said.code, 2);
    EXPECT_FALSE(said.err.empty());
  }
  const Said help = run_ctl({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command :
       {"top", "user", "explain", "flags", "flag", "decide", "watch", "status", "publish", "deadletters"})
    EXPECT_TRUE(has(help.out, command)) << command;
}

}  // namespace
}  // namespace bellwether::ctl_test

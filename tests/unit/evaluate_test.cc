#include "pipeline/tools/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <sstream>

#include "pipeline/tools/cli.h"

namespace bellwether::evaluate_test {
namespace {

using ::testing::HasSubstr;

std::string put(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + "evaluate_test_" +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name() + "_" + name;
  std::ofstream(path) << text;
  return path;
}

const char* const kLabels =
    "{\"user\":\"a\",\"ring\":\"ring1\"}\n{\"user\":\"b\",\"ring\":\"ring1\"}\n{\"user\":\"c\",\"ring\":\"ring1\"}\n"
    "{\"user\":\"d\",\"ring\":\"ring1\"}\n{\"user\":\"x\",\"ring\":\"ring2\"}\n{\"user\":\"y\",\"ring\":\"ring2\"}\n"
    "{\"ring\":\"ring1\",\"beneficiary\":\"boss\"}\n"
    "{\"ring\":\"ring1\",\"like\":\"e2\",\"time\":\"2025-01-02T00:00:00.000000Z\",\"post\":\"p\"}\n"
    "{\"ring\":\"ring1\",\"like\":\"e1\",\"time\":\"2025-01-01T00:00:00.000000Z\",\"post\":\"p\"}\n"
    "{\"ring\":\"ring1\",\"like\":\"e3\",\"time\":\"2025-01-05T00:00:00.000000Z\",\"post\":\"p\"}\n"
    "{\"ring\":\"ring1\",\"like\":\"e4\",\"time\":\"2025-01-06T00:00:00.000000Z\",\"post\":\"p\"}\n";

std::string flag(const std::string& id, const std::string& kind, const std::string& status, const std::string& opened,
                 const std::string& subjects) {
  return "{\"type\":\"flag\",\"id\":\"" + id + "\",\"kind\":\"" + kind + "\",\"status\":\"" + status +
         "\",\"opened\":\"" + opened + "\",\"subjects\":[" + subjects + "],\"evidence\":{\"more\":1}}\n";
}

std::string dump() {
  std::string text = "{\"type\":\"account\",\"consumed\":7}\n";
  for (const char* user : {"a", "b", "c", "d", "x", "y", "boss", "h1", "h2", "h3"})
    text += std::string("{\"type\":\"user\",\"id\":\"") + user + "\"}\n";
  text += flag("f2", "ring", "open", "2025-01-04T00:00:00Z", "\"c\",\"boss\"");
  text += flag("f1", "ring", "confirmed", "2025-01-03T12:00:00Z", "\"a\",\"b\",\"h1\",\"x\"");
  text += flag("f3", "ring", "dismissed", "2025-01-01T00:00:00Z", "\"h2\",\"x\",\"y\"");
  text += flag("f4", "ring", "open", "2025-01-01T00:00:00Z", "\"h3\"");
  text += flag("f5", "burst", "open", "2025-01-01T00:00:00Z", "\"h2\"");
  return text;
}

Evaluation evaluated() {
  std::map<std::string, RingLabels> labels;
  EXPECT_TRUE(read_labels(put("labels", kLabels), labels).ok());
  Evaluator evaluator(std::move(labels));
  std::istringstream in(dump());
  for (std::string line; std::getline(in, line);) EXPECT_TRUE(evaluator.line(line).ok()) << line;
  return evaluator.result();
}

TEST(Evaluate, MatchesFlagsToTheRingOfLargestOverlap) {
  const Evaluation e = evaluated();
  ASSERT_EQ(e.rings.size(), 2U);
  const RingResult& one = e.rings[0];
  EXPECT_THAT(one.flags, ::testing::ElementsAre("f2", "f1"));
  EXPECT_EQ(one.score.labelled, 4U);
  EXPECT_TRUE(e.rings[1].flags.empty());  // x alone, in f1
}

TEST(Evaluate, CountsByHand) {
  const Evaluation e = evaluated();
  const RingResult &one = e.rings[0], &two = e.rings[1];
  EXPECT_EQ(one.score.flagged, 6U);
  EXPECT_EQ(one.score.found, 3U);
  EXPECT_DOUBLE_EQ(one.score.precision(), 0.5);
  EXPECT_DOUBLE_EQ(one.score.recall(), 0.75);
  EXPECT_DOUBLE_EQ(one.score.f1(), 0.6);
  EXPECT_EQ(one.detect_us, 60LL * 3600 * 1'000'000);
  EXPECT_DOUBLE_EQ(one.likes_share, 0.5);
  EXPECT_FALSE(two.detected);
  EXPECT_EQ(two.detect_us, -1);
  EXPECT_DOUBLE_EQ(two.score.f1(), 0);
  EXPECT_EQ(e.overall.flagged, 7U);  // a b c x boss h1 h3
  EXPECT_EQ(e.overall.found, 4U);    // a b c x
  EXPECT_EQ(e.overall.labelled, 6U);
  EXPECT_EQ(e.users, 10U);
  EXPECT_EQ(e.unlabelled, 3U);
  EXPECT_EQ(e.unlabelled_ring_flagged, 2U);  // h1 h3
  EXPECT_EQ(e.unlabelled_any_flagged, 3U);
  EXPECT_EQ(e.ring_flags, 3U);
  EXPECT_EQ(e.unmatched_flags, 1U);
  EXPECT_EQ(e.dismissed_flags, 1U);
}

TEST(Evaluate, CommandPrintsTableAndJson) {
  EvaluateOptions o;
  o.dump = put("dump.jsonl", dump()), o.labels = put("labels", kLabels);
  std::ostringstream out, err;
  ASSERT_EQ(run_evaluate(o, {}, out, err), 0) << err.str();
  EXPECT_THAT(
      out.str(),
      HasSubstr("ring1        4        6      3      0.500   0.750  0.600           2.5 d           50 %      2"));
  EXPECT_THAT(out.str(), HasSubstr("unlabelled users in ring flags: 2 of 3 (66.667 %)"));
  o.output = "json";
  std::ostringstream json;
  ASSERT_EQ(run_evaluate(o, {}, json, err), 0);
  EXPECT_THAT(json.str(),
              HasSubstr("{\"ring\":\"ring1\",\"members\":4,\"flagged\":6,\"right\":3,\"precision\":0.500000"));
  EXPECT_THAT(json.str(),
              HasSubstr("\"detect_seconds\":216000.000,\"likes_share\":0.500000,\"flags\":[\"f2\",\"f1\"]"));
  EXPECT_THAT(json.str(), HasSubstr("\"detected\":false,\"detect_seconds\":null,\"likes_share\":null,\"flags\":[]"));
}

TEST(Evaluate, ReadsADataFolderThroughTheHook) {
  EvaluateOptions o;
  o.data = "folder", o.labels = put("labels", kLabels);
  const DumpHook hook = [](const std::string& data, const std::function<void(std::string_view)>& line) {
    EXPECT_EQ(data, "folder");
    std::istringstream in(dump());
    for (std::string text; std::getline(in, text);) line(text);
    return 0;
  };
  std::ostringstream out, err;
  EXPECT_EQ(run_evaluate(o, hook, out, err), 0);
  EXPECT_THAT(out.str(), HasSubstr("0.600"));
  EXPECT_EQ(run_evaluate(
                o, [](const auto&, const auto&) { return 1; }, out, err),
            1);
  EXPECT_EQ(run_evaluate(o, {}, out, err), 2);
}

TEST(Evaluate, BadInputNamesTheLine) {
  EvaluateOptions o;
  o.dump = put("dump", "{\"type\":\"user\",\"id\":\"a\"}\n{\"type\":\"flag\",\"id\":\"f\"}\n"),
  o.labels = put("labels", kLabels);
  std::ostringstream out, err;
  EXPECT_EQ(run_evaluate(o, {}, out, err), 1);
  EXPECT_THAT(err.str(), HasSubstr(o.dump + ":2: a flag without"));
  o.labels = put("bad", "{\"user\":\"a\",\"ring\":\"r\"}\n{\"user\":\"a\"}\n");
  EXPECT_EQ(run_evaluate(o, {}, out, err), 1);
  EXPECT_THAT(err.str(), HasSubstr(o.labels + ":2: no \"ring\""));
  o.data = "both";
  EXPECT_EQ(run_evaluate(o, {}, out, err), 2);
}

TEST(Cli, RunsSubcommandsAndGivesTheirCodes) {
  const std::string events = put("events", ""), labels = put("labels", ""), edges = put("edges", "1 2 1254192988\n");
  const auto run = [](std::vector<std::string> arguments) {
    CLI::App app("test");
    app.require_subcommand(1);
    int code = 0;
    add_tool_commands(app, code);
    std::reverse(arguments.begin(), arguments.end());
    try {
      app.parse(arguments);
    } catch (const CLI::ParseError& e) {
      return e.get_exit_code() == 0 ? 0 : 2;
    }
    return code;
  };
  EXPECT_EQ(run({"simulate", "--users", "100", "--days", "9", "--ring", "5x3:0.9:burst", "--ring", "4x3", "--out",
                 events, "--labels", labels}),
            0);
  std::map<std::string, RingLabels> rings;
  ASSERT_TRUE(read_labels(labels, rings).ok());
  EXPECT_EQ(rings.size(), 2U);
  EXPECT_EQ(run({"simulate", "--ring", "5", "--out", events}), 2);
  EXPECT_EQ(run({"import", "edges", edges, "--out", events}), 0);
  EXPECT_EQ(run({"import", "edges", edges + "-missing", "--out", events}), 1);
  EXPECT_EQ(run({"import"}), 2);
  EXPECT_EQ(run({"simulate", "--colour", "red"}), 2);
  EXPECT_EQ(run({"evaluate", "--labels", labels}), 2);
}

}  // namespace
}  // namespace bellwether::evaluate_test

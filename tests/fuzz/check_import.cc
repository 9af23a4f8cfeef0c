// Importers: any file gives an exit code and a reason; every line that is written is an event that decoding takes, in
// time order.
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>

#include "config/text.h"
#include "pipeline/decode/decoder.h"
#include "pipeline/tools/import_csv.h"
#include "pipeline/tools/import_edges.h"
#include "pipeline/tools/import_stackexchange.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

// Parts of the input that become files of their own stand between these lines.
constexpr std::string_view kNextFile = "\n@@\n";

std::string_view part(std::string_view& rest) {
  const size_t end = rest.find(kNextFile);
  const std::string_view head = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + kNextFile.size());
  return head;
}

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  while (!line.empty()) {
    const size_t end = line.find('\t');
    if (end != 0) out.emplace_back(line.substr(0, end));
    line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  }
  return out;
}

void events_in(const std::string& path) {
  static const Hasher hasher("fuzz");
  static Decoder decoder(hasher);
  static Arena arena;
  std::ifstream in(path, std::ios::binary);
  std::string line, detail;
  int64_t last_us = INT64_MIN;
  while (std::getline(in, line)) {
    arena.clear();
    Fact fact;
    const Reason reason = decoder.decode(line, arena, fact, &detail);
    require(reason == Reason::kNone, "an imported event is a dead letter: " + detail + ": " + quoted(line));
    require(fact.time_us >= last_us, "imported events are out of order");
    last_us = fact.time_us;
  }
}

int stackexchange(std::string_view rest, size_t sort_bytes, std::ostream& err) {
  static constexpr std::array kFiles = {"Posts.xml", "Comments.xml", "Votes.xml", "Users.xml", "Badges.xml"};
  const std::string dir = scratch() + "/dump";
  static const bool made = mkdir(dir.c_str(), 0700) == 0;
  require(made, "no folder for the dump");
  for (const char* const name : kFiles) {
    const std::string path = std::string("dump/") + name;
    if (rest.empty())
      (void)unlink((scratch() + "/" + path).c_str());
    else
      scratch_file(path, part(rest));
  }
  return run_import_stackexchange({dir, scratch() + "/events", sort_bytes}, err);
}

int csv(Input& in, size_t sort_bytes, std::ostream& err) {
  static constexpr std::array kKinds = {"like",    "post", "referral", "beta_test", "account", "entitlement_use",
                                        "feedback"};
  static constexpr std::array kMaps = {
      "user=u,post=p,author=a,time=t",           "user=u,post=p,author=a,time=t,kind=k",
      "user=u,post=p,time=t,action=k,topics=x",  "user=u,referral=p,referrer=a,stage=k,time=t",
      "user=u,program=p,kind=k,status=x,time=t", "user=u,action=k,name=x,time=t",
      "user=u,right=p,quantity=x,time=t",        "user=u,kind=k,value=x,about=p,time=t",
  };
  ImportCsvOptions options;
  const uint8_t kind = in.byte(), map = in.byte(), how = in.byte();
  options.kind = kKinds[kind % kKinds.size()];
  options.map = {kMaps[map % kMaps.size()]};
  std::string_view rest = in.rest();
  if ((how & 1) != 0) {  // the options are the input's first part: map, where, join columns, fixed; one a line
    std::istringstream lines{std::string(part(rest))};
    std::string line;
    if (std::getline(lines, line) && !line.empty()) options.map = words(line);
    if (std::getline(lines, line)) options.where = words(line);
    if (std::getline(lines, line) && !line.empty()) options.join = {scratch() + "/joined:" + line};
    if (std::getline(lines, line)) options.fixed = words(line);
    if (std::getline(lines, line)) options.id_prefix = line;
    scratch_file("joined", part(rest));
  }
  static constexpr std::array kUnits = {"", "s", "ms", "us"};
  options.time_unit = kUnits[how >> 1 & 3];
  if ((how & 8) != 0) options.separator = ";";
  if ((how & 16) != 0) options.separator = "tab";
  options.file = scratch_file("table.csv", rest), options.out = scratch() + "/events", options.sort_bytes = sort_bytes;
  return run_import_csv(options, err);
}

}  // namespace

void check_import(std::string_view input) {
  static const bool spills_there = setenv("TMPDIR", scratch().c_str(), 1) == 0;
  require(spills_there, "the environment cannot be set");
  Input in(input);
  const uint8_t which = in.byte();
  const size_t sort_bytes = (which & 64) != 0 && (which & 32) != 0 ? 300 : kSortBytes;
  std::ostringstream err;
  (void)unlink((scratch() + "/events").c_str());
  int code = 0;
  switch (which % 4) {
    case 0:
    case 1:
      code = csv(in, sort_bytes, err);
      break;
    case 2:
      code = stackexchange(in.rest(), sort_bytes, err);
      break;
    default: {
      ImportEdgesOptions options;
      options.post_days = 1 + in.byte() % 40;
      options.files = {scratch_file("edges.txt", in.rest())};
      options.out = scratch() + "/events", options.sort_bytes = sort_bytes;
      code = run_import_edges(options, err);
    }
  }
  require(code >= 0 && code <= 2, "exit code " + std::to_string(code));
  require(code == 0 || !err.str().empty(), "an import fails without a reason");
  events_in(scratch() + "/events");
}

}  // namespace bellwether::fuzz

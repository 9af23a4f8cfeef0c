// Makes the corpora that need the project's own code: fuzz_seeds EVENTS DIR, where EVENTS is a file of JSON lines. It
// runs the whole engine over them in memory and takes states, ledger blocks, changes, keys and the progress row out of
// the store. The rest is made by tests/fuzz/seed.
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "bellwether/v1/event.pb.h"
#include "config/load.h"
#include "operators/registry.h"
#include "pipeline/engine/keys.h"
#include "pipeline/engine/store.h"
#include "pipeline/service/convert.h"
#include "pipeline/service/pages.h"
#include "pipeline/sources/embedded_log.h"
#include "tests/model/harness.h"

namespace {

using namespace bellwether;

class Corpora {
 public:
  explicit Corpora(std::string dir) : dir_(std::move(dir)) {}
  // At most `most` of a kind, spread over sizes: one for each power of two first come, first kept, then more.
  void add(const std::string& target, const std::string& kind, const std::string& bytes, size_t most = 40) {
    auto& [count, sizes] = kept_[target + kind];
    size_t size_class = 0;
    while (bytes.size() >> size_class > 0) ++size_class;
    if (count >= most && sizes.contains(size_class)) return;
    ++count, sizes.insert(size_class);
    std::filesystem::create_directories(dir_ + "/" + target);
    std::ofstream(dir_ + "/" + target + "/" + kind + "-" + std::to_string(count), std::ios::binary) << bytes;
    ++files_;
  }
  size_t files() const { return files_; }

 private:
  std::string dir_;
  std::map<std::string, std::pair<size_t, std::set<size_t>>> kept_;
  size_t files_ = 0;
};

std::string selected(uint8_t which, std::string_view bytes) {
  return std::string(1, static_cast<char>(which)) + std::string(bytes);
}

void events(const std::vector<std::string>& lines, Corpora& out) {
  for (const std::string& line : lines) {
    v1::Event event;
    if (!google::protobuf::util::JsonStringToMessage(line, &event).ok()) continue;
    std::string kind = "event" + std::to_string(event.body_case());
    if (event.has_like()) kind += "-" + std::to_string(event.like().kind());
    if (event.has_post()) kind += "-" + std::to_string(event.post().action());
    out.add("json", kind, line, 6);
    out.add("decode", kind, event.SerializeAsString(), 6);
  }
}

// What the store holds after all of it. The numbers in front are those that check_*.cc chooses by.
void store_rows(const Store& store, Corpora& out) {
  const auto each = [&](Family family, const auto& take) {
    const Status status = store.snapshot()->scan(family, {}, {}, [&](std::string_view key, std::string_view value) {
      take(key, value);
      return true;
    });
    if (!status.ok()) std::fprintf(stderr, "fuzz_seeds: %s\n", status.message.c_str());
  };
  const auto all = all_operators();
  each(Family::kState, [&](std::string_view key, std::string_view value) {
    StateKey name;
    if (!keys::parse_state(key, name)) return;
    for (size_t i = 0; i < all.size(); ++i)
      if (all[i]->id() == name.op) out.add("state", all[i]->name(), selected(static_cast<uint8_t>(i), value));
    out.add("progress", "key-state", selected(2, key), 3);
  });
  each(Family::kLedger, [&](std::string_view key, std::string_view value) {
    const auto op = static_cast<OperatorId>(static_cast<uint8_t>(key[6]) << 8 | static_cast<uint8_t>(key[7]));
    if (op == OperatorId::kScores) out.add("payload", "rows", selected(21, value.substr(1)));
    if (op == OperatorId::kPosts) out.add("payload", "post-block", selected(23, value));
    if (op == OperatorId::kPeople) out.add("payload", "people-block", selected(22, value));
  });
  each(Family::kViews, [&](std::string_view key, std::string_view value) {
    OutKind kind{};
    ChangeId id;
    if (keys::parse_change(key, kind, id)) {
      out.add("progress", "key-change", selected(7, key), 3);
      out.add("query", "watch-token", selected(176, text_of(id)), 3);
      if (kind == OutKind::kFlag) out.add("payload", "flag-change", selected(18, value));
      if (kind == OutKind::kTier) out.add("payload", "tier-change", selected(19, value));
    } else if (key.starts_with('I')) {
      out.add("progress", "key-index", selected(4, key), 3);
      out.add("query", "page-token", selected(128, encode(PageToken{1, 2, 3, std::string(key)})), 3);
    }
  });
  each(Family::kTimers, [&](std::string_view key, auto) { out.add("progress", "key-timer", selected(3, key), 3); });
  each(Family::kControl, [&](std::string_view, std::string_view value) {
    const auto size = static_cast<uint16_t>(value.size());
    out.add("progress", "control",
            selected(1, std::string(1, '\0') + std::string(reinterpret_cast<const char*>(&size), sizeof size)) +
                std::string(value));
  });
  each(Family::kMeta, [&](std::string_view key, std::string_view value) {
    if (key == keys::kProgress) out.add("progress", "progress", selected(0, value));
    CounterId counter;
    if (keys::parse_counter(key, counter)) out.add("progress", "key-counter", selected(6, key), 3);
  });
}

// A real segment, as the log writes it.
bool log_segments(const std::vector<std::string>& lines, const std::string& dir, Corpora& out) {
  EmbeddedLog::Options options;
  options.now_us = [] { return int64_t{1'767'225'600'000'000}; };
  std::unique_ptr<EmbeddedLog> log;
  std::vector<std::string> messages;
  const std::string folder = dir + "/log-folder";
  if (!EmbeddedLog::open(folder, options, log, messages).ok()) return false;
  for (size_t i = 0; i + 3 <= std::min<size_t>(lines.size(), 12); i += 3)
    if (!log->append(0, {lines[i], lines[i + 1], lines[i + 2]}).status.ok()) return false;
  log.reset();
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/log/0")) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    for (const size_t size : {bytes.size(), bytes.size() - 7, size_t{48}, size_t{20}})
      out.add("log", "segment", selected(225, bytes.substr(0, size)));  // 225 % 3 == 0: its first offset
  }
  std::filesystem::remove_all(folder);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: fuzz_seeds EVENTS DIR\n"), 2;
  std::ifstream in(argv[1]);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  Corpora out(argv[2]);
  events(lines, out);
  const Config config = load_text("", "defaults").value();
  const auto store = make_memory_store();
  if (run_engine(config, *store, {lines}) == nullptr) return 1;
  store_rows(*store, out);
  out.add("config", "canonical", selected(3, canonical(config.community)));
  if (!log_segments(lines, argv[2], out)) return std::fprintf(stderr, "fuzz_seeds: no log in %s\n", argv[2]), 1;
  std::printf("%zu seeds from %zu events\n", out.files(), lines.size());
  return 0;
}

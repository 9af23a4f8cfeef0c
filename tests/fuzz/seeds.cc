// Makes the corpora that need the project's own code: fuzz_seeds EVENTS DIR, where EVENTS is a file of JSON lines. It
// runs the whole engine over them in memory and takes states, ledger blocks, changes, keys and the progress row out of
// the store. The rest is made by tests/fuzz/seed.
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "bellwether/v1/admin.pb.h"
#include "bellwether/v1/event.pb.h"
#include "bellwether/v1/flags.pb.h"
#include "bellwether/v1/ingest.pb.h"
#include "bellwether/v1/key_users.pb.h"
#include "config/load.h"
#include "operators/alert.h"
#include "operators/flags.h"
#include "operators/people.h"
#include "operators/registry.h"
#include "pipeline/engine/cache.h"
#include "pipeline/engine/keys.h"
#include "pipeline/engine/members.h"
#include "pipeline/engine/out_rows.h"
#include "pipeline/engine/row_patch.h"
#include "pipeline/engine/rows.h"
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
  v1::PublishStreamRequest publish;
  for (const std::string& line : lines) {
    v1::Event event;
    if (!google::protobuf::util::JsonStringToMessage(line, &event).ok()) continue;
    std::string kind = "event" + std::to_string(event.body_case());
    if (event.has_like()) kind += "-" + std::to_string(event.like().kind());
    if (event.has_post()) kind += "-" + std::to_string(event.post().action());
    out.add("json", kind, line, 6);
    out.add("decode", kind, event.SerializeAsString(), 6);
    *publish.add_events() = event;
    if (publish.events_size() == 3) {
      publish.set_sequence(publish.sequence() + 1);
      out.add("query", "publish", selected(232, publish.SerializeAsString()), 6);
      publish.clear_events();
    }
  }
}

// What clients ask.
void requests(Corpora& out) {
  const auto add = [&out](auto request) {
    if constexpr (requires { request.add_min_position(); })
      request.add_min_position()->set_topic("likes"), request.add_min_position()->set_offset(7);
    out.add("query", request.GetTypeName(), selected(232, request.SerializeAsString()));
  };
  v1::BatchGetUsersRequest users;
  users.add_users("ann"), users.add_users("bob");
  add(users);
  v1::ListUsersRequest list;
  list.set_filter("tier >= key AND NOT flagged"), list.set_order_by("overall desc"), list.set_page_size(50);
  add(list);
  v1::GetLeaderboardRequest board;
  board.set_profile("overall"), board.set_page_token("AAAA");
  add(board);
  v1::WatchTiersRequest tiers;
  tiers.add_users("ann"), tiers.mutable_after()->set_slot(5);
  add(tiers);
  v1::WatchFlagsRequest flags;
  flags.add_kinds(v1::FLAG_KIND_RING);
  add(flags);
  v1::DecideFlagRequest decide;
  decide.set_flag("ring-1"), decide.set_decision(v1::DECISION_CONFIRMED), decide.set_reason("seen");
  add(decide);
  add(v1::ExplainScoreRequest()), add(v1::ListDeadLettersRequest());
}

// The forms of a flag's change before this one: without users, without their ids.
std::vector<std::string> older_forms(FlagChange change) {
  std::string third = encode(change);
  size_t users = 0;
  for (const auto* list : {&change.subject_users, &change.beneficiary_users})
    users += 1 + (list->size() >= 128 ? 1 : 0),
        users += std::accumulate(list->begin(), list->end(), size_t{0},
                                 [](size_t n, const FlagChange::User& u) { return n + 9 + u.id.size(); });
  std::string first = third.substr(0, third.size() - users), second = first;
  first[0] = 1, second[0] = 2;
  Writer w(second);
  for (const auto* list : {&change.subject_users, &change.beneficiary_users}) {
    w.varint(list->size());
    for (const FlagChange::User& user : *list) w.fixed64(user.hash);
  }
  return {first, second};
}

// A number of two bytes and so many bytes, as Input takes them apart.
std::string sized(std::string_view bytes) {
  const auto size = static_cast<uint16_t>(bytes.size());
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + std::string(bytes);
}

// What the store holds after all of it. The numbers in front are those that check_*.cc chooses by. False where a reader
// refuses what it shall be fuzzed with: such a corpus begins from nothing.
bool store_rows(const Store& store, Corpora& out) {
  size_t refused = 0;
  const auto taken = [&refused](bool is, const char* what) {
    if (!is) std::fprintf(stderr, "fuzz_seeds: not taken: %s\n", what), ++refused;
    return is;
  };
  const auto each = [&](Family family, const auto& take) {
    const Status status = store.snapshot()->scan(family, {}, {}, [&](std::string_view key, std::string_view value) {
      take(key, value);
      return true;
    });
    if (!status.ok()) std::fprintf(stderr, "fuzz_seeds: %s\n", status.message.c_str());
  };
  const auto all = all_operators();
  std::map<Key, std::unique_ptr<State>> books;
  std::map<Key, std::vector<std::string>> blocks;  // of them
  std::string before;
  each(Family::kState, [&](std::string_view key, std::string_view value) {
    StateKey name;
    if (!keys::parse_state(key, name)) return;
    if (value.size() < 400) {
      std::string there, back;
      taken(make_patch(before, value, SIZE_MAX, there) && make_patch(value, before, SIZE_MAX, back), "patch of a row");
      out.add("progress", "patches", selected(10, sized(before) + sized(there) + sized(back)), 3);
      before = value;
    }
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i]->id() != name.op) continue;
      int64_t timer = 0;
      bool blank = false;
      std::unique_ptr<State> state;
      if (!taken(decode_state_row(*all[i], value, timer, &state, &blank), all[i]->name()) || blank) continue;
      std::string bytes;  // without the row's timer
      state->encode(bytes);
      out.add("state", all[i]->name(), selected(static_cast<uint8_t>(i), bytes));
      if (name.op == OperatorId::kPeople) books.emplace(name.key, std::move(state));
    }
    out.add("progress", "key-state", selected(2, key), 3);
  });
  each(Family::kLedger, [&](std::string_view key, std::string_view value) {
    const auto op = static_cast<OperatorId>(static_cast<uint8_t>(key[6]) << 8 | static_cast<uint8_t>(key[7]));
    if (op == OperatorId::kScores) {
      Reader r(value.substr(1));
      taken(OpenRows().read(r), "rows");
      out.add("payload", "rows", selected(21, value.substr(1)));
    }
    if (op == OperatorId::kPosts) out.add("payload", "post-block", selected(23, value));
    if (op == OperatorId::kPeople) {
      uint64_t hash = 0;
      for (size_t i = 9; i < 17; ++i) hash = hash << 8 | static_cast<uint8_t>(key[i]);
      blocks[{KeyKind::kUser, hash}].emplace_back(value);
    }
  });
  for (const auto& [key, list] : blocks) {
    const auto at = books.find(key);
    if (!taken(at != books.end(), "a block of likes without a book")) continue;
    std::string book;
    Writer w(book);
    static_cast<const PeopleState&>(*at->second).book.write(w);
    std::string bytes = sized(book);
    for (const std::string& block : list) bytes += sized(block);
    out.add("payload", "book", selected(22, bytes));
  }
  const auto change = [&](uint8_t kind, std::string_view value) {
    if (kind == static_cast<uint8_t>(OutKind::kFlag)) {
      FlagChange flag;
      if (!taken(decode(value, flag), "flag change")) return;
      taken(value[0] == 3 && !flag.subject_users.empty() && !flag.subject_users[0].id.empty(),
            "flag change with names");
      out.add("payload", "flag-change", selected(18, value));
      for (const std::string& form : older_forms(flag)) {
        FlagChange older;
        taken(decode(form, older), "flag change of an older form");
        out.add("payload", "flag-change-older", selected(18, form));
      }
    }
    if (kind == static_cast<uint8_t>(OutKind::kTier)) out.add("payload", "tier-change", selected(19, value));
    if (kind == static_cast<uint8_t>(OutKind::kScore)) out.add("payload", "score-record", selected(20, value));
    if (kind == static_cast<uint8_t>(OutKind::kAlert)) out.add("payload", "alert", selected(26, value));
  };
  each(Family::kViews, [&](std::string_view key, std::string_view value) {
    OutKind kind{};
    ChangeId id;
    if (keys::parse_change(key, kind, id)) {
      out.add("progress", "key-change", selected(7, key), 3);
      out.add("query", "watch-token", selected(176, text_of(id)), 3);
      change(static_cast<uint8_t>(kind), value);
    } else if (DeadKey dead; keys::parse_dead(key, dead)) {
      out.add("payload", "dead-letter", selected(28, value));
    } else if (key.starts_with('B')) {
      out.add("progress", "board-row", selected(8, std::string(key) + std::string(value.substr(0, 400))), 3);
      const std::string one = members_change(std::vector<uint64_t>{1, 5}, std::vector<uint64_t>{2, 7});
      const std::string two = members_change(std::vector<uint64_t>{2, 3}, std::vector<uint64_t>{5});
      out.add("progress", "members-changes", selected(9, sized(value.substr(0, 80)) + sized(one) + sized(two)), 3);
    } else if (key.starts_with('I')) {
      out.add("progress", "key-index", selected(4, key), 3);
      out.add("query", "page-token", selected(128, encode(PageToken{1, 2, 3, std::string(key)})), 3);
    }
  });
  each(Family::kOutbox, [&](std::string_view key, std::string_view value) {
    if (value.size() < 1000) out.add("payload", "out-rows", selected(27, value));
    const bool read = each_out_row(key, value, [&](const OutRow& row) {
      out.add("payload", "out-row-" + std::to_string(row.kind),
              selected(27, encode_out_row(row.kind, row.id, row.payload)));
      change(row.kind, row.payload);
      return true;
    });
    (void)taken(read, "outbox row");
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
  return refused == 0;
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
  requests(out);
  const Config config = load_text("", "defaults").value();
  const auto store = make_memory_store();
  RunOptions options;
  options.change = [](EngineOptions& engine) { engine.outbox = true; };
  if (run_engine(config, *store, {lines}, options) == nullptr) return 1;
  if (!store_rows(*store, out)) return 1;
  out.add("config", "canonical", selected(3, canonical(config.community)));
  if (!log_segments(lines, argv[2], out)) return std::fprintf(stderr, "fuzz_seeds: no log in %s\n", argv[2]), 1;
  std::printf("%zu seeds from %zu events\n", out.files(), lines.size());
  return 0;
}

// Erasure (operators/erased.h): whoever knew it from the first record on holds, byte for byte, what he holds who learnt
// it in the middle; nobody else's line changes; no row holds a name.
#include "pipeline/engine/erasure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "operators/erased.h"
#include "pipeline/engine/control.h"
#include "pipeline/engine/out_rows.h"
#include "pipeline/engine/rows.h"
#include "pipeline/tools/event_json.h"
#include "pipeline/tools/times.h"
#include "tests/model/communities.h"
#include "tests/model/events.h"
#include "tests/model/harness.h"

namespace bellwether {
namespace {

constexpr std::string_view kMark = "person.";  // begins every id of a user, and nothing else

struct Story {
  std::vector<std::string> records, without;  // with the erasures, and with labels in their place
  std::set<std::string> people;               // erased
};

std::string time_json(int64_t time_us) { return time_text(time_us); }

std::string judgement(const std::string& id, const std::string& by, int64_t time_us, const std::string& body) {
  return R"({"id":")" + id + R"(","time":")" + time_json(time_us) + R"(","user":")" + by + R"(","judgement":{)" + body +
         "}}";
}
void erase(Story& story, const std::string& id, const std::string& who, int64_t time_us) {
  story.records.push_back(judgement(id, "staff", time_us, R"("erasure":{"subject":")" + who + "\"}"));
  story.without.push_back(judgement(id, "staff", time_us, R"("label":{"subject":")" + who + "\"}"));
  story.people.insert(who);
}
void add(Story& story, const std::string& record) { story.records.push_back(record), story.without.push_back(record); }

std::string named(std::string_view id) { return id.empty() ? std::string() : std::string(kMark) + std::string(id); }

// Every user of a record is given a name that can be looked for, and origin tokens made of it.
std::string renamed(const std::string& record) {
  static const Hasher hasher("x");
  Decoder decoder(hasher);
  Arena arena;
  Fact fact;
  if (decoder.decode(record, arena, fact, nullptr) != Reason::kNone) return record;
  const auto name = [&arena](Ref& ref) { ref.id = arena.copy(named(ref.id)); };
  name(fact.user);
  fact.device = arena.copy("token of " + std::string(fact.user.id)), fact.network = fact.device.substr(0, 60);
  fact.channel = fact.id_hash % 3 == 0   ? ""
                 : fact.id_hash % 3 == 1 ? "app"
                                         : arena.copy("at " + std::string(fact.user.id));
  std::visit(
      [&](auto& body) {
        if constexpr (requires { body.author; }) name(body.author);
        if constexpr (requires { body.parent_author; }) name(body.parent_author);
        if constexpr (requires { body.referrer; }) name(body.referrer), name(body.referred);
        if constexpr (requires { body.tester; }) name(body.tester);
        if constexpr (requires { body.subject; }) name(body.subject);
      },
      fact.body);
  std::string out;
  append_event_json(fact, out);
  return out;
}

// Texts about, by and around somebody, and records that are no events.
void around(Story& story, const std::string& who, const std::string& other, const std::string& flag, int64_t time_us,
            const std::string& tag) {
  add(story,
      judgement("hold " + tag, other, time_us,
                R"("hold":{"subject":")" + who + R"(","tier":"TIER_CONTRIBUTOR","reason":"a friend of the house"})"));
  add(story,
      judgement("hold other " + tag, other, time_us,
                R"("hold":{"subject":")" + other + R"(","tier":"TIER_KEY","reason":"vouched for by )" + who + R"("})"));
  add(story,
      judgement("verdict by " + tag, who, time_us,
                R"("verdict":{"flag":")" + flag + R"(","decision":"DECISION_APPEALED","reason":"it was not me"})"));
  add(story, judgement("verdict on " + tag, other, time_us,
                       R"("verdict":{"flag":")" + flag + R"(","decision":"DECISION_CONFIRMED","reason":"it was )" +
                           who + R"(!"})"));
  add(story, judgement("link " + tag, other, time_us,
                       R"("link":{"user":")" + other + R"(","sameAs":")" + who + R"(","evidence":"seen"})"));
  add(story, R"({"id":"dead )" + tag + R"(","time":")" + time_json(time_us) + R"(","user":")" + who + R"("})");
  add(story, R"({"id":"expired )" + tag + R"(","time":"1900-01-01T00:00:00Z","user":")" + who +
                 R"(","like":{"post":"p1","author":")" + other + R"(","kind":"LIKE_KIND_LIKE"}})");
  add(story, "{broken by " + who);
  add(story, R"({"id":"beta )" + tag + R"(","time":")" + time_json(time_us) + R"(","user":")" + who +
                 R"(","betaTest":{"program":"beta","kind":"BETA_TEST_KIND_SESSION","minutes":10}})");
}

std::vector<std::string> flags_of(const std::string& dump) {
  std::vector<std::string> flags;
  static constexpr std::string_view kFlag = "{\"type\":\"flag\",\"id\":\"";
  for (size_t at = dump.find(kFlag); at != std::string::npos; at = dump.find(kFlag, at + 1)) {
    const size_t from = at + kFlag.size();
    flags.push_back(dump.substr(from, dump.find('"', from) - from));
  }
  return flags;
}

Config config_of(uint32_t shards = 2) {
  Config config = default_config();
  config.engine.shards = shards;
  return config;
}

// A community with rings whose flags are judged; of ring members, beneficiaries and others some are erased.
const Story& ringed() {
  static const Story story = [] {
    const std::vector<std::string> plain =
        community_records({.users = 300, .days = 40, .seed = 11, .rings = {"20x10:0.9:burst"}});
    std::vector<std::string> records;
    for (const std::string& r : plain) records.push_back(renamed(r));
    const auto store = make_memory_store();
    const auto published = run_engine(config_of(), *store, {records});
    Story made;
    if (published == nullptr) return made;
    const std::string dump = dump_text(*published);
    EXPECT_NE(dump.find("\"kind\":\"ring\""), std::string::npos);
    // People of the flags, from its line.
    std::vector<std::string> people;
    const size_t line = dump.rfind("{\"type\":\"flag\"", dump.find("\"kind\":\"ring\""));
    for (size_t at = dump.find(kMark, line); at != std::string::npos && at < dump.find('\n', line);
         at = dump.find(kMark, at + 1))
      people.push_back(dump.substr(at, dump.find('"', at) - at));
    EXPECT_GE(people.size(), 20U);
    const std::string flag = flags_of(dump.substr(line, dump.find('\n', line) - line)).front();
    std::vector<std::string> wanted = {people[1], people[people.size() / 2], people.back(), named("user-7")};
    for (size_t i = 0; i < records.size(); ++i) {
      add(made, records[i]);
      // Some while their likes still come, some after the flag stands.
      const size_t part = records.size() / 10;
      const int64_t now = time_of(records[i]);
      if (i == part * 4) around(made, wanted[0], people[3], flag, now, "early");
      if (i == part * 5) erase(made, "erasure 0", wanted[0], now);
      if (i == part * 8) around(made, wanted[1], people[4], flag, now, "late");
      if (i == part * 9) erase(made, "erasure 1", wanted[1], now), erase(made, "erasure 2", wanted[2], now);
      if (i == part * 9) erase(made, "erasure 1", wanted[1], now);  // the same again
    }
    const int64_t last = time_of(records.back());
    around(made, wanted[3], people[5], flag, last, "last");
    erase(made, "erasure 3", wanted[3], last + 10 * kSecondUs);
    around(made, wanted[3], people[5], flag, last + 20 * kSecondUs, "after");
    around(made, wanted[0], people[5], flag, last + 20 * kSecondUs, "again");
    return made;
  }();
  return story;
}

// A stream of everything, out of order and broken.
const Story& mixed() {
  static const Story story = [] {
    Story made;
    int n = 0;
    int64_t now = INT64_MIN;
    for (const model::Event& e :
         model::make_stream({.seed = 78, .days = 120, .users = 60, .posts = 80, .events = 3000})) {
      add(made, renamed(model::wire(e)));
      if (e.what != model::What::kBroken) now = std::max(now, e.time_us);
      if (++n % 500 != 0) continue;
      const std::string who = named("u" + std::to_string(n / 500));
      around(made, who, named("u30"), "flag-of-nobody", now, std::to_string(n));
      erase(made, "erasure " + std::to_string(n), who, now);
    }
    return made;
  }();
  return story;
}

constexpr Family kCompared[] = {Family::kState, Family::kLedger, Family::kViews, Family::kTimers};
constexpr Family kAll[] = {Family::kState, Family::kLedger,  Family::kViews, Family::kOutbox,
                           Family::kMeta,  Family::kControl, Family::kTimers};

std::vector<std::string> rows_of(const Store& store, std::span<const Family> families) {
  std::vector<std::string> rows;
  for (const Family family : families) {
    const Status status = store.snapshot()->scan(family, {}, {}, [&](std::string_view key, std::string_view value) {
      rows.push_back(std::to_string(static_cast<int>(family)) + ":" + std::string(key) + "=" + std::string(value));
      return true;
    });
    EXPECT_TRUE(status.ok()) << status.message;
  }
  return rows;
}

// Where `who` stands in a text, as a whole name.
size_t named_at(std::string_view text, std::string_view who) {
  for (size_t at = text.find(who); at != std::string_view::npos; at = text.find(who, at + 1)) {
    const char next = at + who.size() < text.size() ? text[at + who.size()] : ' ';
    if (next < '0' || next > '9') return at;
  }
  return std::string_view::npos;
}

void expect_no_name(const Store& store, const std::set<std::string>& people, const std::string& when) {
  for (const std::string& row : rows_of(store, kAll))
    for (const std::string& who : people)
      if (const size_t at = named_at(row, who); at != std::string::npos) {
        ADD_FAILURE() << when << ": a row of family " << row[0] << " holds " << who << ": ..."
                      << row.substr(at < 40 ? 0 : at - 40, 120);
        return;
      }
}

std::set<std::string> lines_of(const std::string& dump) {
  std::set<std::string> lines;
  for (size_t at = 0; at < dump.size();) {
    const size_t end = dump.find('\n', at);
    lines.insert(dump.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::string first_difference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (a[i] != b[i]) return testing::PrintToString(a[i]) + "\nand\n" + testing::PrintToString(b[i]);
  return std::to_string(a.size()) + " and " + std::to_string(b.size()) + " rows";
}

void check(const Story& story, bool flags) {
  ASSERT_FALSE(story.records.empty());
  const auto middle = make_memory_store();
  const auto learnt = run_engine(config_of(), *middle, {story.records});
  ASSERT_NE(learnt, nullptr);
  const std::string dump = dump_text(*learnt);
  expect_no_name(*middle, story.people, "learnt in the middle");
  ControlLog control;
  ASSERT_TRUE(read_control(*middle, control).ok());
  EXPECT_EQ(control.erasures.size(), story.people.size());

  // Known from the first record on.
  const Hasher hasher(config_of().community.hash_key);
  const auto start = make_memory_store();
  ASSERT_TRUE(take_erasures(*middle, *start, hasher).ok());
  const auto known = run_engine(config_of(5), *start, {story.records});
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(dump_text(*known), dump);
  expect_no_name(*start, story.people, "known from the start");
  const auto a = rows_of(*middle, kCompared), b = rows_of(*start, kCompared);
  EXPECT_TRUE(a == b) << first_difference(a, b);

  // Nobody erased: but for the names of those who are, the users' lines are the same.
  const auto never = make_memory_store();
  const auto whole = run_engine(config_of(), *never, {story.without});
  ASSERT_NE(whole, nullptr);
  const std::set<std::string> got = lines_of(dump);
  std::set<std::string> seen;
  for (std::string line : lines_of(dump_text(*whole))) {
    if (!line.starts_with("{\"type\":\"user\"")) continue;
    for (const std::string& who : story.people) {
      const std::string id = "\"id\":\"" + who + "\"";
      const size_t at = line.find(id);
      if (at == std::string::npos) continue;
      line.replace(at, id.size(), "\"id\":\"" + erased_name(hasher(KeyKind::kUser, who)) + "\"");
      seen.insert(who);
    }
    EXPECT_TRUE(got.contains(line)) << line;
  }
  EXPECT_EQ(seen, story.people);
  EXPECT_EQ(learnt->account().consumed, whole->account().consumed);
  EXPECT_EQ(learnt->account().duplicate, whole->account().duplicate);
  EXPECT_EQ(learnt->account().id_collisions, 0U);
  // A flag that names somebody who was erased is said anew, so that its last record holds no name.
  const auto said = [](const Published& at) {
    size_t n = 0;
    EXPECT_TRUE(at.scan_changes(OutKind::kFlag, {}, [&n](const ChangeId&, std::string_view) { return ++n > 0; }).ok());
    return n;
  };
  if (flags) {
    EXPECT_GT(said(*learnt), said(*whole));
  }
}

TEST(Erasure, RingsAndTheirPeople) { check(ringed(), true); }
TEST(Erasure, EverythingElse) { check(mixed(), false); }

// Out records that nobody took yet: those written before the erasure go out without the name as well, and only the
// tombstones spell it, which are to be delivered.
void check_waiting(const Story& story) {
  const auto store = make_memory_store();
  RunOptions options;
  options.change = [](EngineOptions& o) { o.outbox = true; };
  ASSERT_NE(run_engine(config_of(), *store, {story.records}, options), nullptr);
  const Hasher hasher(config_of().community.hash_key);
  size_t rewritten = 0, tombstones = 0;
  uint64_t last = 0;
  const auto look = [&](const OutRow& record) {
    last = record.number;
    tombstones += record.kind == kOutTombstone;
    for (const std::string& who : story.people) {
      rewritten += record.payload.find(erased_name(hasher(KeyKind::kUser, who))) != std::string_view::npos;
      const bool named = named_at(record.payload, who) != std::string_view::npos;
      EXPECT_TRUE(!named || record.kind == kOutTombstone)
          << "out record " << record.number << " of kind " << int{record.kind} << " holds " << who;
    }
    return true;
  };
  ASSERT_TRUE(store->snapshot()
                  ->scan(Family::kOutbox, {}, {},
                         [&](std::string_view key, std::string_view value) {
                           EXPECT_TRUE(each_out_row(key, value, look));
                           return true;
                         })
                  .ok());
  EXPECT_GT(rewritten, story.people.size());
  EXPECT_GE(tombstones, 2 * story.people.size());
  // Delivered, nothing is left.
  options.started = [last](Engine& engine) { engine.outbox_delivered(last); };
  ASSERT_NE(run_engine(config_of(), *store, {story.records}, options), nullptr);
  expect_no_name(*store, story.people, "delivered");
}

TEST(Erasure, OutRecordsThatWaitGoOutWithoutNames) {
  check_waiting(ringed());
  check_waiting(mixed());
}

TEST(Erasure, KilledAnywhereAndResumed) {
  const Story& story = mixed();
  const auto whole = make_memory_store();
  ASSERT_NE(run_engine(config_of(), *whole, {story.records}), nullptr);
  const auto wanted = rows_of(*whole, kCompared);
  model::Dice dice(5);
  int kills = 0;
  for (int turn = 0; turn < 4; ++turn) {
    const auto store = make_memory_store();
    int here = 0;
    for (bool done = false; !done;) {
      Engine* engine = nullptr;
      int64_t left = here < 5 ? 1 + dice.below(static_cast<int64_t>(story.records.size()) / 8) : INT64_MAX;
      const int64_t every = 1 + dice.below(60);
      RunOptions options;
      options.started = [&](Engine& e) { engine = &e; };
      options.change = [&](EngineOptions& o) {
        o.commit_now = [&] {
          if (--left == 0) engine->abandon();
          return dice.below(every) == 0;
        };
      };
      ASSERT_NE(run_engine(config_of(1 + static_cast<uint32_t>(dice.below(4))), *store, {story.records}, options),
                nullptr);
      done = left > 0, here += !done;
    }
    kills += here;
    const auto got = rows_of(*store, kCompared);
    EXPECT_TRUE(got == wanted) << "turn " << turn << ": " << first_difference(got, wanted);
    expect_no_name(*store, story.people, "turn " + std::to_string(turn));
  }
  EXPECT_GE(kills, 15);
}

}  // namespace
}  // namespace bellwether

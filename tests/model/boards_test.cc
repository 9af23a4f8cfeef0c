// Lists of users that go over from one commit's reading to the next hold, place for place, what a reading holds that
// made them itself.
#include <gtest/gtest.h>

#include "pipeline/service/reading.h"
#include "tests/model/communities.h"
#include "tests/model/events.h"
#include "tests/model/harness.h"

namespace bellwether {
namespace {

std::vector<Place> walked(const Reading& reading, BoardNumber board) {
  std::vector<Place> places;
  const Status status = reading.walk(board, true, {}, [&](const Place& place, bool) {
    places.push_back(place);
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.message;
  return places;
}

bool same(const Place& a, const Place& b) {
  return a.cell == b.cell && a.sum == b.sum && a.base == b.base && a.user == b.user;
}

struct Seen {
  size_t readings = 0, anew = 0, skipped = 0;
  size_t held = 0, went_on = 0;  // lists of readings that the next one could go on with; of these, those it did
};

// Runs the engine over the records, looks at every commit, and at some after others were missed.
using Misses = bool (*)(uint64_t commit);
Seen look_at_all(const Config& config, const std::vector<std::string>& records, size_t commit_every, Misses misses) {
  Seen seen;
  std::shared_ptr<const Reading> last;
  Engine* engine = nullptr;
  size_t asked = 0;
  const auto look = [&] {
    const auto published = engine->published();
    if (last != nullptr && last->at().number() == published->number()) return;
    if (last != nullptr && misses(published->number())) {
      ++seen.skipped;
      return;
    }
    const auto next = std::make_shared<const Reading>(published, last.get());
    const Reading fresh(published);
    fresh.prepare([] { return true; });
    EXPECT_EQ(fresh.lists(), 0U);
    fresh.prepare([] { return false; });  // nobody here stands beyond the exact ranks: all cells
    size_t cells = 0;
    for (BoardNumber board = 0; board < fresh.boards(); ++board) cells += fresh.cells(board).cells.size();
    EXPECT_EQ(fresh.lists(), cells);
    ++seen.readings;
    if (last != nullptr && last->lists() > 0 && next->lists_inherited() == 0)
      ++seen.anew;
    else if (last != nullptr)
      seen.held += last->lists(), seen.went_on += next->lists_inherited();
    for (BoardNumber board = 0; board < next->boards(); ++board) {
      const std::vector<Place> got = walked(*next, board), wanted = walked(fresh, board);
      EXPECT_EQ(wanted.size(), fresh.cells(board).total);
      EXPECT_TRUE(std::ranges::equal(got, wanted, same)) << "board " << board << " of commit " << published->number();
    }
    last = next;
  };
  RunOptions options;
  options.started = [&](Engine& e) { engine = &e; };
  options.change = [&](EngineOptions& o) {
    o.board_moves = true;
    o.inline_commit = true;  // each commit is seen before the next
    o.commit_now = [&] {
      look();
      return ++asked % commit_every == 0;
    };
  };
  const auto store = make_memory_store();
  EXPECT_NE(run_engine(config, *store, {records}, options), nullptr);
  return seen;
}

Config config_of(uint32_t shards) {
  Config config = default_config();
  config.engine.shards = shards;
  return config;
}

TEST(Boards, ListsGoOverFromCommitToCommit) {
  const std::vector<std::string> records = community_records({.users = 150, .days = 45, .seed = 5});
  const auto look = [&](Misses misses) { return look_at_all(config_of(2), records, records.size() / 90, misses); };
  const Seen all = look([](uint64_t) { return false; });
  EXPECT_GE(all.readings, 60U);
  EXPECT_LE(all.anew, 3U);  // where all sums are halved
  EXPECT_GE(all.went_on, all.held * 8 / 10);
  const Seen some = look([](uint64_t commit) { return commit % 4 != 0; });
  EXPECT_GE(some.skipped, 40U);
  EXPECT_LE(some.anew, 3U);
  EXPECT_GE(some.went_on, some.held * 5 / 10);
  // More than anybody remembers.
  const Seen few = look([](uint64_t commit) { return commit % 7 != 0; });
  EXPECT_GE(few.anew, few.readings - 3);
}

// Everything that changes a score: flags raised and dismissed, old days that leave, a halving of all sums, new rules
// for some, erasures, silence.
TEST(Boards, ListsGoOverWhateverHappens) {
  std::vector<std::string> records;
  for (const model::Event& e : model::make_stream({.seed = 31, .days = 400, .users = 40, .posts = 60, .events = 2500}))
    records.push_back(model::wire(e));
  const Seen seen = look_at_all(config_of(3), records, 11, [](uint64_t commit) { return commit % 9 > 4; });
  EXPECT_GE(seen.readings, 60U);
  EXPECT_GE(seen.anew, 8U);  // at a halving
  EXPECT_LE(seen.anew, seen.readings / 2);
  EXPECT_GE(seen.went_on, seen.held / 2);
}

// Pages of a board go on where the one before ended, in a cell of more users than are sorted too, both ways.
TEST(Boards, PagesOfACellTooLargeToSort) {
  constexpr uint64_t kMany = 20'500, kFew = 900, kPage = 3'000;  // users liked once, thrice
  std::vector<std::string> records;
  const auto like = [&](uint64_t author, uint64_t time) {
    const std::string number = std::to_string(records.size());
    records.push_back(R"({"id":"e)" + number + R"(","time":"2026-01-01T00:)" + (time < 10 ? "0" : "") +
                      std::to_string(time) + R"(:00Z","user":"fan)" + number + R"(","like":{"post":"p)" +
                      std::to_string(author) + R"(","author":"u)" + std::to_string(author) +
                      R"(","kind":"LIKE_KIND_LIKE"}})");
  };
  for (uint64_t u = 0; u < kMany + kFew; ++u) like(u, u * 20 / (kMany + kFew));
  for (uint64_t u = 0; u < 2 * kFew; ++u) like(u % kFew, 30);
  const auto store = make_memory_store();
  const auto published = run_engine(default_config(), *store, {records});
  ASSERT_NE(published, nullptr);
  const Reading reading(published);
  ASSERT_EQ(reading.cells(kOverallBoard).total, kMany + kFew);
  const auto page = [&](bool best_first, const std::optional<Place>& after, size_t most) {
    std::vector<Place> places;
    const Status status = reading.walk(kOverallBoard, best_first, after, [&](const Place& place, bool exact) {
      if (places.size() == most) return false;
      EXPECT_EQ(exact, reading.cells(kOverallBoard).at(place.cell).second == kFew);
      places.push_back(place);
      return true;
    });
    EXPECT_TRUE(status.ok()) << status.message;
    return places;
  };
  for (const bool best_first : {true, false}) {
    const std::vector<Place> all = page(best_first, {}, SIZE_MAX);
    EXPECT_EQ(all.size(), kMany + kFew);
    std::vector<Place> pages;
    for (std::optional<Place> after;;) {
      const std::vector<Place> next = page(best_first, after, kPage);
      pages.insert(pages.end(), next.begin(), next.end());
      if (next.size() < kPage) break;
      ASSERT_LE(pages.size(), all.size());
      after = next.back();
    }
    EXPECT_TRUE(std::ranges::equal(pages, all, same));
    for (size_t i = 1; i < all.size(); ++i) {
      const auto order = [](const Place& p) { return std::pair(p.cell, p.user); };
      const bool large = all[i].cell == all[i - 1].cell && reading.cells(kOverallBoard).at(all[i].cell).second != kFew;
      if (all[i].cell != all[i - 1].cell || large) {
        EXPECT_EQ(order(all[i]) < order(all[i - 1]), best_first) << i;
      }
    }
  }
}

TEST(Boards, WithoutKnowingWhoMovedListsAreMadeAnew) {
  MovesKept kept;
  const auto commit = [](uint64_t number, size_t users) {
    auto moves = std::make_shared<BoardMoves>();
    moves->number = number, moves->users.resize(users);
    return moves;
  };
  for (uint64_t n = 1; n <= 9; ++n) kept.add(commit(n, 10));
  ASSERT_EQ(kept.list().size(), 4U);
  EXPECT_EQ(kept.list().front()->number, 6U);
  EXPECT_EQ(kept.list().back()->number, 9U);
  kept.add(commit(10, 3 << 20));  // the newest stays, however large
  ASSERT_EQ(kept.list().size(), 1U);
  EXPECT_EQ(kept.list().back()->number, 10U);
  kept.add(nullptr);
  EXPECT_TRUE(kept.list().empty());
}

}  // namespace
}  // namespace bellwether

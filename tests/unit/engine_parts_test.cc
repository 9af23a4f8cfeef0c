// The engine's books of what a commit will carry, and a user's running sums: each against the plainest thing that does
// the same.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <set>

#include "operators/score_book.h"
#include "pipeline/engine/cache.h"
#include "pipeline/engine/counters.h"
#include "pipeline/engine/index_overlay.h"
#include "pipeline/engine/list_counts.h"
#include "pipeline/engine/timers.h"

namespace bellwether::engine_parts_test {
namespace {

constexpr int64_t kHourSlots = kHourUs / kSlotUs;

StateKey key_of(uint64_t n) { return {OperatorId::kScores, {KeyKind::kUser, (n << 40) + n}}; }

std::map<std::string, std::string> rows(const Store& store, Family family) {
  std::map<std::string, std::string> found;
  const Status status = store.snapshot()->scan(family, "", "", [&](std::string_view key, std::string_view value) {
    found[std::string(key)] = std::string(value);
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.message;
  return found;
}

// Quiet years: nothing to load, so far ahead is looked; then everybody comes with a timer of their own.
TEST(EngineParts, TimersOfManyDoNotStandInMemory) {
  constexpr size_t kRows = 256, kUsers = 20'000;
  const auto store = make_memory_store();
  Timers timers(*store, kRows);
  std::mt19937_64 random(5);
  std::set<TimerKey> model;
  int64_t slot = 0, now = 1'000'000;
  size_t held = 0;
  for (int day = 0; day < 1100; ++day) ASSERT_TRUE(timers.next(now += 24 * kHourSlots, slot).ok());
  for (uint64_t user = 0; user < kUsers; ++user) {
    ASSERT_TRUE(timers.next(++now, slot).ok());
    ASSERT_EQ(slot, kNoTimer);
    const TimerKey key{now + 180 * 24 * kHourSlots + static_cast<int64_t>(random() % (24 * kHourSlots)), key_of(user)};
    timers.change(key.state, kNoTimer, key.slot);
    model.insert(key);
    held = std::max(held, timers.held());
    if (user % 1000 != 0) continue;
    const auto set = store->new_write_set();
    write_timers(timers.take_changes(), *set);
    ASSERT_TRUE(store->write(*set, true).ok());
    timers.landed();
  }
  EXPECT_LE(held, 2 * kRows);
  for (const int64_t end = now + 182 * 24 * kHourSlots; !model.empty();) {
    ASSERT_TRUE(timers.next(end, slot).ok());
    ASSERT_EQ(slot, model.begin()->slot);
    std::vector<StateKey> woken;
    timers.take(slot, woken);
    for (const StateKey& state : woken) ASSERT_EQ(model.erase({slot, state}), 1U);
  }
}

// Timers move, fire, are committed, read ahead in small parts and again after a restart; a set of (slot, key) says who
// is due.
TEST(EngineParts, TimersFireLikeASortedSet) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    const auto upto = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
    const auto store = make_memory_store();
    std::optional<Timers> timers(std::in_place, *store, 1 + random() % 40);
    std::set<TimerKey> model;
    std::map<StateKey, int64_t> of;
    // A commit is some steps under way: it reaches the store at one of them, and is known to have at a later one.
    std::unique_ptr<WriteSet> under_way;
    std::set<TimerKey> carried;
    const auto reach = [&] {
      ASSERT_TRUE(store->write(*under_way, true).ok());
      under_way.reset();
      std::set<std::string> expected, stored;
      for (const TimerKey& k : carried) expected.insert(keys::timer(k));
      for (const auto& [bytes, value] : rows(*store, Family::kTimers)) stored.insert(bytes);
      ASSERT_EQ(stored, expected) << "seed " << seed;
    };
    const auto land = [&] {
      if (under_way) reach();
      timers->landed();
    };
    const auto commit = [&] {
      land();
      under_way = store->new_write_set();
      write_timers(timers->take_changes(), *under_way);
      carried = model;
    };
    int64_t now = 1'000'000;
    for (int step = 0; step < 3000; ++step) {
      const int64_t kind = upto(20);
      if (under_way && upto(6) == 0) reach();
      if (!under_way && upto(6) == 0) land();
      if (kind < 14) {
        const StateKey key = key_of(static_cast<uint64_t>(upto(60)));
        const auto at = of.find(key);
        const int64_t from = at == of.end() ? kNoTimer : at->second;
        static constexpr int64_t kReach[] = {4, 240, kHourSlots, 30 * kHourSlots, 40 * 24 * kHourSlots};
        const int64_t to = upto(8) == 0 ? kNoTimer : now + 1 + upto(static_cast<uint64_t>(kReach[upto(5)]));
        timers->change(key, from, to);
        if (from != kNoTimer) model.erase({from, key});
        of.erase(key);
        if (to != kNoTimer) model.insert({to, key}), of[key] = to;
      } else if (kind < 19) {
        const int64_t limit = now + 1 + upto(static_cast<uint64_t>(upto(2) == 0 ? 100 : 50 * 24 * kHourSlots));
        int64_t slot;
        ASSERT_TRUE(timers->next(limit, slot).ok());
        const int64_t due = model.empty() || model.begin()->slot >= limit ? kNoTimer : model.begin()->slot;
        ASSERT_EQ(slot, due) << "seed " << seed << " step " << step;
        ASSERT_LE(timers->soonest(), model.empty() ? INT64_MAX : model.begin()->slot);
        if (slot == kNoTimer) {
          now = limit;
          continue;
        }
        std::vector<StateKey> woken, expected;
        timers->take(slot, woken);
        while (!model.empty() && model.begin()->slot == slot) {
          expected.push_back(model.begin()->state);
          of.erase(model.begin()->state);
          model.erase(model.begin());
        }
        ASSERT_EQ(woken, expected) << "seed " << seed << " step " << step;
        now = slot;
      } else if (upto(8) == 0) {
        commit();
        land();
        timers.emplace(*store, 1 + random() % 40, now);  // as after a restart: what was due until now was taken
      } else {
        commit();
      }
    }
    commit();
    land();
  }
}

TEST(EngineParts, CountersAreSumsInOrder) {
  std::mt19937_64 random(7);
  const auto store = make_memory_store();
  Counters counters;
  std::map<std::pair<uint16_t, uint32_t>, int64_t> model;
  for (int step = 0; step < 20'000; ++step) {
    const CounterId id{static_cast<uint16_t>(1 + random() % 5), static_cast<uint32_t>(random() % 40)};
    const int64_t delta = static_cast<int64_t>(random() % 5) - 2;
    counters.add(id, delta);
    model[{id.family, id.number}] += delta;
    ASSERT_EQ(counters.get(id), (model[{id.family, id.number}]));
    if (random() % 500 != 0) continue;
    const auto set = store->new_write_set();
    counters.write(*set);
    ASSERT_TRUE(store->write(*set, true).ok());
    std::map<std::string, std::string> expected;
    for (const auto& [k, value] : model) {
      if (value == 0) continue;
      std::string row;
      Writer(row).zigzag(value);
      expected[keys::counter({k.first, k.second})] = row;
    }
    ASSERT_EQ(rows(*store, Family::kMeta), expected);
    for (uint16_t family = 1; family <= 5; ++family) {
      std::vector<std::pair<uint32_t, int64_t>> walked, sums;
      counters.each(family, [&](uint32_t number, int64_t value) { walked.emplace_back(number, value); });
      for (const auto& [k, value] : model)
        if (k.first == family && value != 0) sums.emplace_back(k.second, value);
      ASSERT_EQ(walked, sums);
    }
  }
}

// How many rows of each place tables name, and that what they say above each is the sum.
std::map<std::pair<uint8_t, uint64_t>, uint64_t> places(const BoardTables& tables) {
  std::map<std::pair<uint8_t, uint64_t>, uint64_t> out;
  for (size_t list = 0; list < tables.size(); ++list) {
    if (tables[list] == nullptr) continue;
    uint64_t above = 0, last = UINT64_MAX;
    for (const CellTable::Cell& c : tables[list]->cells) {
      EXPECT_LT(c.cell, last);
      EXPECT_EQ(c.above, above);
      EXPECT_EQ(tables[list]->at(c.cell), std::make_pair(above, c.count));
      if (c.cell + 1 != last) {
        EXPECT_EQ(tables[list]->at(c.cell + 1), std::make_pair(above, uint64_t{0}));
      }
      above += c.count, last = c.cell;
      out[{static_cast<uint8_t>(list), c.cell}] = c.count;
    }
    EXPECT_EQ(tables[list]->total, above);
    EXPECT_GT(above, 0U);
  }
  return out;
}

TEST(EngineParts, ListsAreStoreAndChangesTogether) {
  std::mt19937_64 random(11);
  const auto store = make_memory_store();
  IndexOverlay index(*store);
  ListCounts counts;
  {
    const auto first = store->new_write_set();
    ASSERT_TRUE(counts.open(*store, *first).ok());
    ASSERT_TRUE(store->write(*first, true).ok());
  }
  // Of four rows of a board.
  const auto user = [&] { return Key{KeyKind::kUser, random() % 4 << 60 | random() % 5}; };
  std::unique_ptr<WriteSet> under_way;  // as above
  std::set<IndexKey> carried;
  const auto reach = [&] {
    ASSERT_TRUE(store->write(*under_way, true).ok());
    under_way.reset();
    std::set<IndexKey> stored;
    for (const auto& [bytes, value] : rows(*store, Family::kViews)) {
      const ListRow row = each_listed(bytes, value, [&, &bytes = bytes](const IndexKey& at) {
        ASSERT_TRUE(stored.insert(at).second);
        ASSERT_EQ(bytes, is_board(at.index) ? keys::members(at) : keys::index(at));
      });
      ASSERT_EQ(row, ListRow::kGood);
    }
    ASSERT_EQ(stored, carried);
    // Walked from anywhere, both ways, and who stands in them.
    const auto snapshot = store->snapshot();
    for (int walk = 0; walk < 20; ++walk) {
      const IndexKey at{static_cast<uint8_t>(15 + walk % 3), random() % 21, user()};
      const size_t limit = 1 + random() % 8;
      std::vector<IndexKey> found, expected;
      const auto into = [&](const IndexKey& k) {
        found.push_back(k);
        return found.size() < limit;
      };
      ASSERT_TRUE(scan_list(*snapshot, at, walk < 10 ? UINT64_MAX : 15, into).ok());
      for (const IndexKey& k : carried)
        if (k.index == at.index && !(k < at) && (walk < 10 || k.order <= 15) && expected.size() < limit)
          expected.push_back(k);
      ASSERT_EQ(found, expected);
      found.clear(), expected.clear();
      ASSERT_TRUE(scan_list_back(*snapshot, at.index, walk == 0 ? nullptr : &at, into).ok());
      for (auto k = carried.rbegin(); k != carried.rend(); ++k)
        if (k->index == at.index && (walk == 0 || *k < at) && expected.size() < limit) expected.push_back(*k);
      ASSERT_EQ(found, expected);
      Status status;
      ASSERT_EQ(is_listed(*snapshot, at, status), carried.contains(at));
    }
    // The counts are those of what is stored: as kept, as read by a restart, and as made anew for a store without them.
    std::map<std::pair<uint8_t, uint64_t>, uint64_t> rows_of;
    for (const IndexKey& k : carried)
      if (is_board(k.index)) ++rows_of[{k.index, k.order}];
    ASSERT_EQ(places(*counts.tables()), rows_of);
    // One of before has a row for each user; of before that, no counts.
    enum : uint8_t { kThis, kBefore, kBeforeThat };
    for (const auto age : {kThis, kBefore, kBeforeThat}) {
      const auto copy = make_memory_store();
      const auto set = copy->new_write_set();
      if (age == kThis) {
        for (const auto& [bytes, value] : rows(*store, Family::kViews)) set->put(Family::kViews, bytes, value);
      } else {
        for (const IndexKey& k : carried) set->put(Family::kViews, keys::index(k), {});
      }
      for (const auto& [bytes, value] : rows(*store, Family::kMeta))
        if (age != kBeforeThat) set->put(Family::kMeta, bytes, value);
      if (age == kBefore) set->put(Family::kMeta, keys::kListed, "1");
      ASSERT_TRUE(copy->write(*set, true).ok());
      ListCounts again;
      const auto made = copy->new_write_set();
      ASSERT_TRUE(again.open(*copy, *made).ok());
      ASSERT_EQ(places(*again.tables()), rows_of);
      ASSERT_TRUE(copy->write(*made, true).ok());
      ASSERT_EQ(rows(*copy, Family::kMeta), rows(*store, Family::kMeta));
      ASSERT_EQ(rows(*copy, Family::kViews), rows(*store, Family::kViews));
    }
  };
  std::set<IndexKey> model;
  for (int step = 0; step < 20'000; ++step) {
    const IndexKey key{static_cast<uint8_t>(15 + random() % 3), random() % 20, user()};
    const bool present = !model.contains(key);
    index.set(key, present);
    present ? (void)model.insert(key) : (void)model.erase(key);
    if (random() % 50 == 0) {
      const uint64_t last = random() % 20;
      const IndexKey from{key.index, random() % 20, user()};
      const size_t limit = 1 + random() % 30;
      std::vector<IndexKey> found, expected;
      ASSERT_TRUE(index.scan(from, last, limit, found).ok());
      for (const IndexKey& k : model)
        if (k.index == from.index && !(k < from) && k.order <= last && expected.size() < limit) expected.push_back(k);
      ASSERT_EQ(found, expected) << "step " << step;
    }
    if (under_way && random() % 100 == 0) reach();
    if (!under_way && random() % 100 == 0) index.landed();
    if (random() % 300 != 0) continue;
    if (under_way) reach();
    index.landed();
    under_way = store->new_write_set();
    write_index(index.take_changes(), *under_way, counts);
    ASSERT_EQ(index.changes(), 0U);
    carried = model;
  }
}

// Whichever write of it fails, the next call makes of the rest what one call makes of all; other lists stay.
TEST(EngineParts, ConversionOfBoardsGoesOnAfterAFailure) {
  const auto fill = [](Store& store) {
    const auto set = store.new_write_set();
    for (uint64_t n = 0; n < 60; ++n)
      for (const uint8_t list : {2, 16, 17})
        set->put(Family::kViews, keys::index({list, n % 4, {KeyKind::kUser, n % 5 << 60 | n}}), {});
    EXPECT_TRUE(store.write(*set, true).ok());
  };
  const auto at_once = make_memory_store();
  fill(*at_once);
  ASSERT_TRUE(convert_boards(*at_once).ok());
  const auto expected = rows(*at_once, Family::kViews);
  EXPECT_EQ(expected.size(), 60U + 2 * 4 * 5);
  int failures = 0, halves = 0;
  for (bool failed = true; failed; ++failures) {
    MemoryFaults faults;
    const auto store = make_memory_store(&faults);
    fill(*store);
    faults.fail_write_after = failures;
    failed = !convert_boards(*store, 24).ok();
    halves += rows(*store, Family::kViews) != expected;
    faults.fail_write_after = -1;
    ASSERT_TRUE(convert_boards(*store, 24).ok());
    ASSERT_EQ(rows(*store, Family::kViews), expected) << "write " << failures;
  }
  EXPECT_GT(halves, 10);
}

TEST(EngineParts, BrokenCountsAndListsAreSaid) {
  const std::string count = keys::list_count(16, 9), row = keys::index({16, 9, {KeyKind::kUser, 7}});
  struct Broken {
    Family family;
    std::string key, value;
    bool counted;
  };
  for (const Broken& b : {Broken{Family::kMeta, count, "", true}, Broken{Family::kMeta, count + "x", "\1", true},
                          Broken{Family::kMeta, count, "\xff\xff", true},
                          Broken{Family::kViews, row.substr(0, row.size() - 1), "", false},
                          Broken{Family::kViews, keys::members({16, 9, {KeyKind::kUser, 7}}), "seven b", false}}) {
    const auto store = make_memory_store();
    const auto set = store->new_write_set();
    set->put(b.family, b.key, b.value);
    if (b.counted) set->put(Family::kMeta, keys::kListed, "2");
    ASSERT_TRUE(store->write(*set, true).ok());
    ListCounts counts;
    const auto made = store->new_write_set();
    const Status status = counts.open(*store, *made);
    EXPECT_NE(status.message.find("the store is damaged"), std::string::npos) << status.message;
  }
}

// Adding, forgetting, days and versions passing: the running sums are those made anew.
TEST(EngineParts, RunningSumsAreTheSums) {
  std::array<CommunityConfig, 2> community;
  for (size_t v = 0; v < 2; ++v) {
    community[v].rules[1] = {"a", 1, 1'000'000, v == 0 ? 3'000'000 : 0};
    community[v].rules[10] = {"b", 2, 500'000, 2'000'000};
    community[v].rules[11] = {"c", v == 0 ? 2 : 3, 500'000, 0};
    community[v].rules[30] = {"d", 4, 500'000, 1'000'000};
  }
  const RulesOf rules = [&](uint16_t n) -> const CommunityConfig& { return community[n]; };
  static constexpr RuleId kRules[] = {RuleId::kIdeaAdopted, RuleId::kLikeReceived, RuleId::kShareReceived,
                                      RuleId::kAnswerAccepted};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    ScoreBook book;
    int64_t today = 19'000;
    uint16_t version = 0;
    std::vector<Taken> taken;
    for (int step = 0; step < 4000; ++step) {
      const int64_t day = today - static_cast<int64_t>(random() % 4 == 0 ? random() % 180 : 0);
      const RuleId rule = kRules[random() % 4];
      const auto raw = static_cast<int64_t>(random() % 2'000'000) - (random() % 8 == 0 ? 1'500'000 : 0);
      book.add(day, rule, version, 1, raw, random() % 3 == 0 ? raw / 2 : raw);
      if (random() % 20 == 0) {
        const auto at =
            std::find_if(taken.begin(), taken.end(), [&](const Taken& t) { return t.day == day && t.rule == rule; });
        if (at == taken.end()) taken.push_back({day, rule, raw / 2});
      }
      if (random() % 30 == 0) today += static_cast<int64_t>(random() % 9);
      if (random() % 700 == 0) version = 1;
      if (random() % 40 == 0) {
        book.forget(today - 181);
        std::erase_if(taken, [&](const Taken& t) { return t.day <= today - 181; });
      }
      if (random() % 3 != 0) continue;
      const Sums plain = book.sums(today, community[version], rules);
      const Sums& running = book.running(today, community[version], version, rules);
      ASSERT_EQ(running.day, plain.day);
      ASSERT_EQ(running.base, plain.base);
      ASSERT_TRUE(running.s == plain.s) << "seed " << seed << " step " << step;
      const Sums with = book.sums(today, community[version], rules, &taken);
      ASSERT_TRUE(book.running_with(community[version], rules, taken).s == with.s) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace bellwether::engine_parts_test

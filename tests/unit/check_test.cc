// `check` over a good store finds nothing; over one with a single row altered it names what was altered.
#include "pipeline/repair/check.h"

#include <map>

#include "operators/flags.h"
#include "operators/people.h"
#include "operators/referrals.h"
#include "operators/scores.h"
#include "pipeline/engine/cache.h"
#include "pipeline/engine/members.h"
#include "pipeline/sources/embedded_log.h"
#include "tests/unit/repair_rig.h"

namespace bellwether::check_test {
namespace {

using repair::operators;
using repair::progress_of;

using Found = std::vector<Fault>;

Found check(const Store& store, CheckFigures* figures = nullptr) {
  Found found;
  Faults faults([&](const Fault& fault) { found.push_back(fault); });
  CheckFigures own;
  check_store(store, operators(), faults, figures != nullptr ? *figures : own);
  EXPECT_EQ(faults.count(), found.size());
  return found;
}
std::string text(const Found& found) {
  std::string out;
  for (const Fault& f : found) out += std::string(fault_name(f.kind)) + ": " + f.where + ": " + f.what + "\n";
  return out;
}
// One fault of the kind, and every word in it; nothing of another kind.
::testing::AssertionResult names(const Found& found, FaultKind kind, const std::vector<std::string>& words) {
  if (found.size() != 1 || found[0].kind != kind) return ::testing::AssertionFailure() << "found\n" << text(found);
  for (const std::string& word : words)
    if (text(found).find(word) == std::string::npos)
      return ::testing::AssertionFailure() << "no \"" << word << "\" in " << text(found);
  return ::testing::AssertionSuccess();
}

class Check : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new repair::Folder;
    store_ = make_memory_store().release();
    repair::replay(repair::events(*folder_), *store_);
  }
  static void TearDownTestSuite() {
    delete store_;
    delete folder_;
  }
  void TearDown() override {
    // As it was, for the next test.
    auto set = store_->new_write_set();
    for (const auto& [at, value] : before_) {
      if (value)
        set->put(at.first, at.second, *value);
      else
        set->erase(at.first, at.second);
    }
    repair::require(store_->write(*set, false));
    EXPECT_EQ(text(check(*store_)), "");
  }
  void put(Family family, const std::string& key, std::string_view value) {
    remember(family, key);
    auto set = store_->new_write_set();
    set->put(family, key, value);
    repair::require(store_->write(*set, false));
  }
  void erase(Family family, const std::string& key) {
    remember(family, key);
    auto set = store_->new_write_set();
    set->erase(family, key);
    repair::require(store_->write(*set, false));
  }
  // Puts somebody on a board, or takes them off.
  void board(IndexId first, uint64_t cell, Key who, bool present) {
    const std::string row = keys::members({static_cast<uint8_t>(first), cell, who});
    remember(Family::kViews, row);
    auto set = store_->new_write_set();
    const std::vector<uint64_t> one = {who.hash}, none;
    set->change_members(row, members_change(present ? none : one, present ? one : none));
    repair::require(store_->write(*set, false));
  }
  static std::string get(Family family, const std::string& key) {
    std::string value;
    Status status;
    EXPECT_TRUE(store_->get(family, key, value, status));
    return value;
  }
  // The first row that pleases.
  static std::pair<std::string, std::string> first(Family family,
                                                   const std::function<bool(std::string_view, std::string_view)>& is) {
    std::pair<std::string, std::string> row;
    bool found = false;
    repair::require(store_->snapshot()->scan(family, {}, {}, [&](std::string_view key, std::string_view value) {
      found = is(key, value);
      if (found) row = {std::string(key), std::string(value)};
      return !found;
    }));
    EXPECT_TRUE(found);
    return row;
  }
  // The first state of the operator that pleases.
  template <class S>
  static std::pair<StateKey, S> state(OperatorId op, const std::function<bool(const S&)>& is) {
    std::pair<StateKey, S> out;
    first(Family::kState, [&](std::string_view bytes, std::string_view row) {
      StateKey key;
      int64_t timer;
      std::unique_ptr<State> state;
      if (!keys::parse_state(bytes, key) || key.op != op ||
          !decode_state_row(operators().get(op), row, timer, &state) || !is(dynamic_cast<const S&>(*state)))
        return false;
      out = {key, dynamic_cast<const S&>(*state)};
      return true;
    });
    return out;
  }
  void put_state(const StateKey& key, const State& state) {
    const std::string row = get(Family::kState, keys::state(key));
    int64_t timer;
    std::unique_ptr<State> old;
    ASSERT_TRUE(decode_state_row(operators().get(key.op), row, timer, &old));
    std::string was, is;
    old->encode(was), state.encode(is);
    put(Family::kState, keys::state(key), row.substr(0, row.size() - was.size()) + is);
  }

  static repair::Folder* folder_;
  static Store* store_;

 private:
  void remember(Family family, const std::string& key) {
    std::string value;
    Status status;
    const bool there = store_->get(family, key, value, status);
    before_.try_emplace({family, key}, there ? std::optional(value) : std::nullopt);
  }
  std::map<std::pair<Family, std::string>, std::optional<std::string>> before_;
};
repair::Folder* Check::folder_ = nullptr;
Store* Check::store_ = nullptr;

bool is_user_with_points(const ScoresState& s) { return s.rows.size() > 1 && s.cells.size() > 4 && s.cells[4] != 0; }

TEST_F(Check, GoodStore) {
  CheckFigures figures;
  EXPECT_EQ(text(check(*store_, &figures)), "");
  // Otherwise it would be good because it is empty.
  EXPECT_GT(figures.states, 1000U);
  EXPECT_GT(figures.blocks, 20U);
  EXPECT_GT(figures.contributions, 1000U);
  EXPECT_GT(figures.index_rows, 500U);
  EXPECT_GT(figures.timers, 100U);
  EXPECT_GT(figures.changes, 0U);
  EXPECT_EQ(figures.dead_letters, 2U);
  EXPECT_GT(figures.outbox, 100U);
  EXPECT_EQ(figures.control, 2U);  // the rules, and the floor of the file's end
  EXPECT_GT(figures.counters, 10U);
}

TEST_F(Check, BoardWithoutARow) {
  const auto [key, s] = state<ScoresState>(OperatorId::kScores, is_user_with_points);
  board(IndexId::kProfileBoards, s.cells[4], key.key, false);
  EXPECT_TRUE(names(check(*store_), FaultKind::kIndex, {"\"" + s.id + "\"", "no row", "profile 0"}));
}

TEST_F(Check, BoardWithARowTooMany) {
  const auto [key, s] = state<ScoresState>(OperatorId::kScores, is_user_with_points);
  board(IndexId::kCapabilityBoards, 7, key.key, true);
  EXPECT_TRUE(names(check(*store_), FaultKind::kIndex, {"\"" + s.id + "\"", "stands elsewhere", "capability 1"}));
}

// A row that is none, one out of order, one that names who belongs to another.
TEST_F(Check, BoardWithABrokenRow) {
  const auto [key, row] =
      first(Family::kViews, [](std::string_view k, std::string_view) { return k.starts_with("B"); });
  IndexKey at;
  ASSERT_TRUE(keys::parse_members(key, at));
  const auto bytes = [](std::initializer_list<uint64_t> hashes) {
    const std::vector<uint64_t> come = hashes;
    return members_change({}, come).substr(1);
  };
  const uint64_t low = at.key.hash;
  for (const std::string& wrong :
       {std::string(row, 1), bytes({low + 2, low + 1}), bytes({low, low}), bytes({low + (uint64_t{1} << 60)})}) {
    put(Family::kViews, key, wrong);
    // What else is said: the counts, and that its users stand nowhere.
    const Found found = check(*store_);
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const Fault& f) {
      return f.kind == FaultKind::kUnreadable && f.where.starts_with("list row") &&
             f.what.find("names who belongs elsewhere") != std::string::npos;
    })) << text(found);
  }
}

TEST_F(Check, ListOfATierNamesNobody) {
  put(Family::kViews,
      keys::index({static_cast<uint8_t>(static_cast<uint8_t>(IndexId::kUsersByTier) + 2), 0, {KeyKind::kUser, 77}}),
      "");
  EXPECT_TRUE(names(check(*store_), FaultKind::kIndex, {"tier", "000000000000004d", "not there"}));
}

TEST_F(Check, FlagOutOfItsList) {
  const auto [key, f] = state<FlagsState>(OperatorId::kFlags, [](const FlagsState& s) { return !s.id.empty(); });
  erase(Family::kViews, keys::index({static_cast<uint8_t>(IndexId::kFlagsByTime), flag_order(f.opened), key.key}));
  EXPECT_TRUE(names(check(*store_), FaultKind::kIndex, {f.id, "list of flags"}));
}

TEST_F(Check, ContributionAltered) {
  auto [key, s] = state<ScoresState>(OperatorId::kScores, is_user_with_points);
  std::vector<CreditRow> rows = s.rows.rows();
  rows[0].raw_micros += 1, rows[0].authentic_micros += 1;
  s.rows.set(rows);
  put_state(key, s);
  EXPECT_TRUE(names(check(*store_), FaultKind::kScore, {"\"" + s.id + "\"", "contributions sum to"}));
}

TEST_F(Check, ContributionAlteredInABlock) {
  const auto [key, s] = state<ScoresState>(OperatorId::kScores, [](const ScoresState& u) { return !u.blocks.empty(); });
  const std::string at = keys::ledger(s.blocks[0].day, key, s.blocks[0].number);
  std::string bytes = get(Family::kLedger, at);
  Reader r(std::string_view(bytes).substr(1));
  std::vector<CreditRow> rows;
  ASSERT_TRUE(read_rows(r, rows));
  rows.back().count += 1;
  std::string altered(1, bytes[0]);
  Writer w(altered);
  write_rows(w, rows);
  put(Family::kLedger, at, altered);
  EXPECT_TRUE(names(check(*store_), FaultKind::kScore, {"\"" + s.id + "\"", "contributions sum to"}));
}

TEST_F(Check, ContributionTooMany) {
  auto [key, s] = state<ScoresState>(OperatorId::kScores, is_user_with_points);
  CreditRow row = s.rows.rows().back();
  row.rule = RuleId::kExam;
  s.rows.add(row);
  put_state(key, s);
  EXPECT_TRUE(names(check(*store_), FaultKind::kScore, {"\"" + s.id + "\"", "counts nothing"}));
}

TEST_F(Check, PlaceAltered) {
  auto [key, s] = state<ScoresState>(OperatorId::kScores, is_user_with_points);
  const uint32_t cell = s.cells[0];
  ASSERT_NE(cell, 0U);
  s.cells[0] += 8;
  put_state(key, s);
  erase(Family::kMeta, std::string(keys::kListed));  // or the board's counts were wrong too
  board(IndexId::kCapabilityBoards, cell, key.key, false);
  board(IndexId::kCapabilityBoards, cell + 8, key.key, true);
  EXPECT_TRUE(names(check(*store_), FaultKind::kScore, {"\"" + s.id + "\"", "boards"}));
}

TEST_F(Check, DayActiveLost) {
  auto [key, s] = state<PeopleState>(OperatorId::kPeople, [](const PeopleState& p) { return p.tells_days; });
  s.portrait.days().mark(day_of(progress_of(*store_).folded * kSlotUs) - 100);
  put_state(key, s);
  EXPECT_TRUE(names(check(*store_), FaultKind::kScore, {"lacks days active"}));
  s.tells_days = false;
  put_state(key, s);
  EXPECT_TRUE(names(check(*store_), FaultKind::kScore, {"does not tell"}));
}

TEST_F(Check, AccountAltered) {
  EngineProgress progress = progress_of(*store_);
  ++progress.partitions[0].account.applied;
  put(Family::kMeta, std::string(keys::kProgress), progress.encode());
  EXPECT_TRUE(names(check(*store_), FaultKind::kAccount, {"events.jsonl/0", "consumed"}));
}

TEST_F(Check, DeadLettersByReasonAltered) {
  EngineProgress progress = progress_of(*store_);
  ++progress.dead[3];
  put(Family::kMeta, std::string(keys::kProgress), progress.encode());
  EXPECT_TRUE(names(check(*store_), FaultKind::kAccount, {"dead letters", "by reason"}));
}

TEST_F(Check, BlockDropped) {
  const auto [key, s] =
      state<PeopleState>(OperatorId::kPeople, [](const PeopleState& p) { return !p.book.blocks().empty(); });
  const LikeBook::Block block = s.book.blocks()[0];
  erase(Family::kLedger, keys::ledger(block.day, key, block.number));
  EXPECT_TRUE(names(check(*store_), FaultKind::kLedger, {"people", "\"" + s.id + "\"", "is gone"}));
  // Once its day has expired it may be.
  EngineProgress progress = progress_of(*store_);
  progress.ledger_from = block.day + 1;
  put(Family::kMeta, std::string(keys::kProgress), progress.encode());
  EXPECT_EQ(text(check(*store_)), "");
}

TEST_F(Check, BlockCut) {
  const auto [key, s] = state<ScoresState>(OperatorId::kScores, [](const ScoresState& u) { return !u.blocks.empty(); });
  const std::string at = keys::ledger(s.blocks[0].day, key, s.blocks[0].number);
  const std::string bytes = get(Family::kLedger, at);
  put(Family::kLedger, at, bytes.substr(0, bytes.size() - 1));
  EXPECT_TRUE(names(check(*store_), FaultKind::kLedger, {"scores", "\"" + s.id + "\"", "cannot be read"}));
}

TEST_F(Check, TimerLost) {
  const auto [bytes, value] = first(Family::kTimers, [](auto, auto) { return true; });
  erase(Family::kTimers, bytes);
  TimerKey key;
  ASSERT_TRUE(keys::parse_timer(bytes, key));
  EXPECT_TRUE(names(check(*store_), FaultKind::kTimer, {std::to_string(key.slot), "calendar does not say so"}));
}

TEST_F(Check, TimerTooMany) {
  put(Family::kTimers, keys::timer({12, {OperatorId::kScores, {KeyKind::kUser, 77}}}), "");
  EXPECT_TRUE(names(check(*store_), FaultKind::kTimer, {"slot 12", "000000000000004d"}));
}

TEST_F(Check, SumAltered) {
  std::string row;
  Writer(row).zigzag(1);
  put(Family::kMeta, keys::counter({kCounterUsers, 0}), row);
  EXPECT_TRUE(names(check(*store_), FaultKind::kCounter, {"is 1", "states count"}));
}

TEST_F(Check, CountOfABoardAltered) {
  const auto [key, s] = state<ScoresState>(OperatorId::kScores, is_user_with_points);
  const auto board = static_cast<uint8_t>(IndexId::kProfileBoards);
  std::string row;
  Writer(row).varint(1000);
  put(Family::kMeta, keys::list_count(board, s.cells[4]), row);
  EXPECT_TRUE(names(check(*store_), FaultKind::kCounter, {"profile 0", "counts 1000 rows"}));
  erase(Family::kMeta, keys::list_count(board, s.cells[4]));
  EXPECT_TRUE(names(check(*store_), FaultKind::kCounter, {"profile 0", "counts 0 rows"}));
  // A store of before there were counts has none, and says so.
  erase(Family::kMeta, std::string(keys::kListed));
  EXPECT_EQ(text(check(*store_)), "");
}

TEST_F(Check, StateCut) {
  const auto [key, s] = state<ReferralsState>(OperatorId::kReferrals, [](const auto&) { return true; });
  const std::string row = get(Family::kState, keys::state(key));
  put(Family::kState, keys::state(key), row.substr(0, row.size() / 2));
  EXPECT_TRUE(names(check(*store_), FaultKind::kUnreadable, {"referrals", "cannot be read"}));
}

TEST_F(Check, StateOfALaterVersion) {
  const auto [key, s] = state<ReferralsState>(OperatorId::kReferrals, [](const auto&) { return true; });
  std::string row = get(Family::kState, keys::state(key));
  row[1] = 99;  // behind the timer that it does not have
  put(Family::kState, keys::state(key), row);
  EXPECT_TRUE(names(check(*store_), FaultKind::kUnreadable, {"referrals"}));
  EXPECT_NE(std::string(fault_advice(FaultKind::kUnreadable)).find("later version"), std::string::npos);
}

TEST_F(Check, StateInTheWrongSlice) {
  const auto [key, value] = first(Family::kState, [](auto, auto) { return true; });
  std::string wrong = key;
  wrong[1] = static_cast<char>(wrong[1] ^ 1);
  put(Family::kState, wrong, value);
  EXPECT_TRUE(names(check(*store_), FaultKind::kUnreadable, {"no state's key"}));
}

TEST_F(Check, OutRecordCut) {
  const auto [key, value] = first(Family::kOutbox, [](auto, auto) { return true; });
  put(Family::kOutbox, key, value.substr(0, value.size() - 1));
  EXPECT_TRUE(names(check(*store_), FaultKind::kOutbox, {"cannot be read"}));
  put(Family::kOutbox, key, value);
  put(Family::kOutbox, keys::number(1'000'000), value);
  EXPECT_TRUE(names(check(*store_), FaultKind::kOutbox, {"1000000", "beyond"}));
}

TEST_F(Check, ChangeCut) {
  const auto [key, value] = first(Family::kViews, [](std::string_view k, auto) { return k.starts_with("C"); });
  put(Family::kViews, key, value.substr(0, 2));
  EXPECT_TRUE(names(check(*store_), FaultKind::kUnreadable, {"change", "cannot be read"}));
}

TEST_F(Check, DeadLetterMoved) {
  const auto [key, value] = first(Family::kViews, [](std::string_view k, auto) { return k.starts_with("D"); });
  std::string other = key;
  other.back() = static_cast<char>(other.back() ^ 1);
  erase(Family::kViews, key);
  put(Family::kViews, other, value);
  EXPECT_TRUE(names(check(*store_), FaultKind::kUnreadable, {"dead letter", "not what its key says"}));
}

TEST_F(Check, ControlRowCut) {
  const auto [key, value] = first(Family::kControl, [](auto, auto) { return true; });
  put(Family::kControl, key, value.substr(0, value.size() / 2));
  const Found found = check(*store_);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].kind, FaultKind::kControl) << text(found);
  EXPECT_NE(found[0].what.find("row 1"), std::string::npos) << text(found);
}

TEST_F(Check, ManyFaultsAreCountedAndTheFirstTold) {
  const auto all = store_->snapshot();
  size_t erased = 0;
  repair::require(all->scan(Family::kTimers, {}, {}, [&](std::string_view key, std::string_view) {
    erase(Family::kTimers, std::string(key));
    return ++erased < 50;
  }));
  Found found;
  Faults faults([&](const Fault& fault) { found.push_back(fault); }, 20);
  CheckFigures figures;
  check_store(*store_, operators(), faults, figures);
  EXPECT_EQ(found.size(), 20U);
  EXPECT_EQ(faults.count(FaultKind::kTimer), 50U);
}

// A bit of a table file that turned over on the disk.
TEST(CheckFiles, FlippedBit) {
  const repair::Folder folder;
  const std::string data = folder / "data";
  {
    std::unique_ptr<Store> store;
    repair::require(open_rocks_store(data, {}, store));
    repair::replay(repair::events(folder, 100, 3), *store);
  }
  {
    std::unique_ptr<Store> store;  // opening writes the log's rows into tables
    repair::require(open_rocks_store(data, {}, store));
  }
  StoreOptions reading;
  reading.read_only = true;
  std::string largest;
  for (const auto& file : std::filesystem::directory_iterator(data + "/store"))
    if (file.path().extension() == ".sst" &&
        (largest.empty() || file.file_size() > std::filesystem::file_size(largest)))
      largest = file.path();
  ASSERT_FALSE(largest.empty());
  {
    std::unique_ptr<Store> store;
    repair::require(open_rocks_store(data, reading, store));
    EXPECT_EQ(text(check(*store)), "");
  }
  repair::flip(largest, std::filesystem::file_size(largest) / 3);
  std::unique_ptr<Store> store;
  repair::require(open_rocks_store(data, reading, store));
  const Found found = check(*store);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].kind, FaultKind::kFile);
  EXPECT_NE(found[0].what.find(std::filesystem::path(largest).filename()), std::string::npos) << text(found);
}

class CheckLog : public ::testing::Test {
 protected:
  void SetUp() override {
    EmbeddedLog::Options options;
    options.config.segment_mb = 1;
    options.now_us = [] { return int64_t{1'700'000'000'000'000}; };
    std::vector<std::string> messages;
    std::unique_ptr<EmbeddedLog> log;
    repair::require(EmbeddedLog::open(folder / "", options, log, messages));
    const std::string value(10'000, 'x');
    for (int i = 0; i < 30; ++i) {
      const std::vector<std::string_view> values(10, value);
      repair::require(log->append(0, values).status);
    }
    for (const auto& segment : log->segments()) segments.push_back(segment.path);
    ASSERT_GE(segments.size(), 3U);
  }
  Found check(int64_t next_offset = 300) {
    Found found;
    Faults faults([&](const Fault& fault) { found.push_back(fault); });
    PartitionState p;
    p.id = {"log", 0};
    p.at.next_offset = p.read_to = next_offset;
    figures = {};
    check_log(folder / "", {p}, faults, figures);
    return found;
  }
  repair::Folder folder;
  std::vector<std::string> segments;
  CheckFigures figures;
};

TEST_F(CheckLog, Good) {
  EXPECT_EQ(text(check()), "");
  EXPECT_EQ(figures.records, 300U);
  EXPECT_EQ(figures.segments, segments.size());
}

TEST_F(CheckLog, FlippedBitInAFrame) {
  for (const std::string& segment : segments) {
    repair::flip(segment, 20'000);
    const Found found = check();
    ASSERT_EQ(found.size(), 1U) << text(found);
    EXPECT_EQ(found[0].kind, FaultKind::kLog);
    EXPECT_EQ(std::filesystem::path(found[0].where).filename(), std::filesystem::path(segment).filename());
    EXPECT_NE(found[0].what.find("are damaged, up to byte"), std::string::npos) << text(found);
    repair::flip(segment, 20'000);
  }
}

TEST_F(CheckLog, FlippedBitInAHeader) {
  repair::flip(segments[1], 20);
  const Found found = check();
  ASSERT_FALSE(found.empty());
  EXPECT_NE(found[0].what.find("header is damaged"), std::string::npos) << text(found);
}

TEST_F(CheckLog, SegmentMissing) {
  std::filesystem::remove(segments[1]);
  EXPECT_TRUE(names(check(), FaultKind::kLog, {"the segment before it ends at"}));
}

// A torn end was answered to nobody, unless the state has read it.
TEST_F(CheckLog, EndCutOff) {
  std::filesystem::resize_file(segments.back(), std::filesystem::file_size(segments.back()) - 100);
  EXPECT_EQ(text(check(290)), "");
  EXPECT_GT(figures.torn_bytes, 0U);
  EXPECT_TRUE(names(check(300), FaultKind::kLog, {"ends at offset 290", "up to 300"}));
}

TEST_F(CheckLog, BeginsBehindThePosition) {
  std::filesystem::remove(segments[0]);
  EXPECT_EQ(text(check()), "");
  EXPECT_TRUE(names(check(5), FaultKind::kLog, {"begins at offset", "reads on from 5"}));
}

}  // namespace
}  // namespace bellwether::check_test

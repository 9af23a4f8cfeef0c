// Two stores of the same logs, row for row: whatever does not depend on where commits fell.
#include <algorithm>
#include <array>

#include "operators/bursts_op.h"
#include "operators/people.h"
#include "operators/scores.h"
#include "pipeline/engine/cache.h"
#include "pipeline/engine/list_rows.h"
#include "pipeline/repair/check_state.h"
#include "pipeline/repair/rebuild.h"
#include "pipeline/repair/row_sum.h"

namespace bellwether {
namespace {

constexpr size_t kPageRows = 1024;
constexpr size_t kLinesMax = 20;

// The rows of a range in order, a page at a time.
class Rows {
 public:
  Rows(const Snapshot& snapshot, Family family, std::string from, std::string to)
      : snapshot_(snapshot), family_(family), next_(std::move(from)), to_(std::move(to)) {
    fill();
  }
  bool there() const { return at_ < page_.size(); }
  const std::string& key() const { return page_[at_].first; }
  const std::string& value() const { return page_[at_].second; }
  void advance() {
    if (++at_ == page_.size()) fill();
  }
  const Status& status() const { return status_; }

 private:
  void fill() {
    page_.clear(), at_ = 0;
    if (ended_) return;
    ended_ = true;
    status_ = snapshot_.scan(family_, next_, to_, [&](std::string_view key, std::string_view value) {
      if (page_.size() == kPageRows) {
        ended_ = false, next_ = key;
        return false;
      }
      page_.emplace_back(key, value);
      return true;
    });
    if (!status_.ok()) page_.clear(), ended_ = true;
  }
  const Snapshot& snapshot_;
  const Family family_;
  std::string next_;
  const std::string to_;
  std::vector<std::pair<std::string, std::string>> page_;
  size_t at_ = 0;
  bool ended_ = false;
  Status status_;
};

using ListSums = std::array<RowSum, 256>;

// Who stands where on the boards, whatever the rows that say so.
Status sum_boards(const Snapshot& snapshot, ListSums& sums) {
  const auto add = [&](std::string_view key, std::string_view value) {
    (void)each_listed(key, value, [&](const IndexKey& at) {
      if (is_board(at.index)) sums[at.index].add(keys::index(at));
    });
    return true;
  };
  Status status = snapshot.scan(Family::kViews, keys::members_from(0, 0), keys::members_end(UINT8_MAX), add);
  if (status.ok()) status = snapshot.scan(Family::kViews, keys::index_from(0, 0), keys::index_end(UINT8_MAX), add);
  return status;
}

class Comparison {
 public:
  Comparison(const Published& first, const Published& second, const OperatorSet& operators, StoreDifference& out)
      : first_(first),
        second_(second),
        operators_(operators),
        out_(out),
        ledger_from_(std::max(first.progress().ledger_from, second.progress().ledger_from)) {}

  // A store that no program of this version has gone on with may have the other rows of boards (convert_boards).
  Status views() {
    std::string a, b;
    Status status;
    first_.snapshot().get(Family::kMeta, keys::kListed, a, status);
    if (status.ok()) second_.snapshot().get(Family::kMeta, keys::kListed, b, status);
    if (!status.ok()) return status;
    if (a == b) return family(Family::kViews, "views", {}, {});
    ListSums first, second;
    StoreDifference::OfFamily found{"boards"};
    status = sum_boards(first_.snapshot(), first);
    if (status.ok()) status = sum_boards(second_.snapshot(), second);
    for (size_t list = 0; list < first.size(); ++list) {
      out_.rows += first[list].rows;
      found.other += !(first[list] == second[list]);
    }
    if (found.other > 0) out_.families.push_back(std::move(found));
    if (status.ok())
      status = family(Family::kViews, "views", keys::members_end(UINT8_MAX),
                      keys::index_from(static_cast<uint8_t>(IndexId::kCapabilityBoards), 0));
    return status;
  }
  // Files of older days are dropped whole: what is left of them depends on the files.
  Status ledger() { return family(Family::kLedger, "ledger", keys::ledger_day(ledger_from_), {}); }
  Status family(Family family, const char* name, const std::string& from, const std::string& to) {
    Rows a(first_.snapshot(), family, from, to), b(second_.snapshot(), family, from, to);
    StoreDifference::OfFamily found{name};
    while (a.there() || b.there()) {
      const int order = !a.there() ? 1 : !b.there() ? -1 : a.key().compare(b.key());
      if (order == 0 && a.value() == b.value()) {
        ++out_.rows;
      } else if (order == 0 && family == Family::kState && same_meaning(a.key(), a.value(), b.value())) {
        ++out_.rows, ++out_.written_otherwise;
      } else if (order != 0 && family == Family::kState && says_nothing(order < 0 ? a : b)) {
        ++out_.rows, ++out_.written_otherwise;
      } else if (order != 0 && family == Family::kTimers && is_look(order < 0 ? a : b)) {
        ++out_.rows, ++out_.written_otherwise;
      } else if (family == Family::kLedger && cut_otherwise(order <= 0 ? a.key() : b.key())) {
        ++out_.rows, ++out_.written_otherwise;
      } else {
        ++(order < 0 ? found.only_first : order > 0 ? found.only_second : found.other);
        if (family == Family::kState) tell(order <= 0 ? a.key() : b.key());
      }
      if (order <= 0) a.advance();
      if (order >= 0) b.advance();
    }
    if (found.only_first + found.only_second + found.other > 0) out_.families.push_back(std::move(found));
    return a.status().ok() ? b.status() : a.status();
  }

 private:
  // What each says in the bytes of this version. Days active stand in two states, and earlier versions told every day:
  // compared is what both together say. Earlier versions cut their blocks otherwise: compared is what stands in state
  // and blocks together, as far back as any of them must have it.
  void settle(const Published& published, const StateKey& key, State& state) const {
    const auto block = [&](int64_t day, uint32_t number) {
      std::string bytes;
      Status status;
      published.snapshot().get(Family::kLedger, keys::ledger(day, key, number), bytes, status);
      return bytes;
    };
    const int64_t now = published.now_us(), window = published.community().window_days;
    if (key.op == OperatorId::kPeople) {
      auto& people = dynamic_cast<PeopleState&>(state);
      people.tells_days = true, people.rules_told = 0;
      if (!people.book.loaded()) {
        for (const LikeBook::Block& b : people.book.blocks()) people.book.add_block(block(b.day, b.number));
        people.book.finish_loading();
      }
      people.book.take_as_open(day_of(now) - window - kPairUs / kDayUs);
      people.seen.load(block);
      people.seen.take_as_open(slot_of(now));
    } else if (key.op == OperatorId::kBursts) {
      auto& bursts = dynamic_cast<BurstsState&>(state);
      bursts.likes.forget_blocks(ledger_kept_from(now, published.community().window_days));
      bursts.likes.load(block);
      bursts.likes.take_as_open();
    } else if (key.op == OperatorId::kScores) {
      auto& scores = dynamic_cast<ScoresState&>(state);
      scores.wants_days = true;
      Status status;
      const auto home = published.state(OperatorId::kPeople, key.key, status);
      if (home != nullptr) scores.portrait.days().add(dynamic_cast<const PeopleState&>(*home).portrait.days());
      std::vector<CreditRow> rows;
      for (const ScoresState::Block& b : scores.blocks) {
        const std::string bytes = block(b.day, b.number);
        Reader r(bytes);
        if (r.u8() == 1) (void)read_rows(r, rows);
      }
      const std::vector<CreditRow> open = scores.rows.rows();
      rows.insert(rows.end(), open.begin(), open.end());
      const int64_t from = std::max(ledger_from_, day_of(now) - window - 2);
      std::erase_if(rows, [from](const CreditRow& row) { return day_of(row.slot * kSlotUs) < from; });
      scores.rows.set(rows);
      scores.blocks.clear(), scores.next_number = 0;
    }
  }
  // A row that knows no more than that it is to tell of days.
  bool says_nothing(const Rows& row) const {
    StateKey key;
    int64_t timer = 0;
    std::unique_ptr<State> state;
    if (!keys::parse_state(row.key(), key) || key.op != OperatorId::kPeople ||
        !decode_state_row(operators_.get(key.op), row.value(), timer, &state) || timer != kNoTimer)
      return false;
    settle(first_, key, *state);
    PeopleState nobody;
    nobody.tells_days = true;
    std::string text, nothing;
    state->encode(text), nobody.encode(nothing);
    return text == nothing;
  }
  bool same_meaning(const std::string& bytes, const std::string& a, const std::string& b) {
    StateKey key;
    const Operator* const op = keys::parse_state(bytes, key) ? operators_.find(key.op) : nullptr;
    int64_t timer_a = 0, timer_b = 0;
    std::unique_ptr<State> state_a, state_b;
    if (op == nullptr || !decode_state_row(*op, a, timer_a, &state_a) || !decode_state_row(*op, b, timer_b, &state_b))
      return false;
    settle(first_, key, *state_a), settle(second_, key, *state_b);
    std::string text_a, text_b;
    state_a->encode(text_a), state_b->encode(text_b);
    return text_a == text_b && (timer_a == timer_b || (is_look(key, timer_a) && is_look(key, timer_b)));
  }
  // A row of the ledger of a key whose states say the same, but in other blocks.
  bool cut_otherwise(const std::string& bytes) {
    int64_t day = 0;
    StateKey key;
    uint32_t number = 0;
    if (!keys::parse_ledger(bytes, day, key, number)) return false;
    if (cut_.first == key) return cut_.second;  // rows of a key and day stand together
    const std::string row = keys::state(key);
    std::string a, b;
    Status status;
    const bool both =
        first_.snapshot().get(Family::kState, row, a, status) && second_.snapshot().get(Family::kState, row, b, status);
    cut_ = {key, both && a != b && same_meaning(row, a, b)};
    return cut_.second;
  }
  // A timer at a user's own hour: earlier versions looked at a tier on days too on which nothing could come of it.
  static bool is_look(const StateKey& key, int64_t slot) {
    if (key.op != OperatorId::kScores || slot == kNoTimer) return false;
    const auto own = static_cast<int64_t>(key.key.hash % static_cast<uint64_t>(kDayUs));
    const int64_t since = slot * kSlotUs - own;
    return since - floor_div(since, kDayUs) * kDayUs < kSlotUs;
  }
  // Of a look the state says that there is one, and of which user.
  static bool is_look(const Rows& row) {
    TimerKey timer;
    return keys::parse_timer(row.key(), timer) && is_look(timer.state, timer.slot);
  }

  void tell(const std::string& bytes) {
    StateKey key;
    if (out_.lines.size() >= kLinesMax || !keys::parse_state(bytes, key)) return;
    std::string before = line(first_, key), after = line(second_, key);
    if (before == after) {  // it has no line, or its line says nothing of what differs
      const Operator* const op = operators_.find(key.op);
      Status ignored;
      const auto state = first_.state(key.op, key.key, ignored);
      out_.lines.push_back("~ " + describe(key, op != nullptr ? op->name() : "?", state.get()));
      return;
    }
    if (!before.empty()) out_.lines.push_back("- " + before);
    if (!after.empty()) out_.lines.push_back("+ " + after);
  }

  std::string line(const Published& published, const StateKey& key) {
    Status status;
    const auto state = published.state(key.op, key.key, status);
    if (state == nullptr) return {};
    PublishedReader reader(published);
    const DumpContext context{published.now_us(), published.community(), published.cutoffs(), reader,
                              [&](uint16_t n) -> const CommunityConfig& { return published.versions()[n].config; }};
    std::string text;
    return published.operators().get(key.op).dump(*state, key.key, context, text) ? text : std::string();
  }

  const Published& first_;
  const Published& second_;
  const OperatorSet& operators_;
  StoreDifference& out_;
  const int64_t ledger_from_;  // blocks filled on days before may be gone, in one or in both
  std::pair<StateKey, bool> cut_;
};

}  // namespace

Status compare_stores(const Store& first, const Store& second, const OperatorSet& operators, StoreDifference& out) {
  out = {};
  std::shared_ptr<const Published> a, b;
  if (Status status = read_published(first, operators, a); !status.ok()) return status;
  if (Status status = read_published(second, operators, b); !status.ok()) return status;
  out.tick = a->progress().tick != b->progress().tick;
  out.account = !(a->account() == b->account()) || a->gap() != b->gap();
  Comparison comparison(*a, *b, operators, out);
  Status status = comparison.family(Family::kState, "states", {}, {});
  if (status.ok()) status = comparison.ledger();
  if (status.ok()) status = comparison.views();
  if (status.ok()) status = comparison.family(Family::kTimers, "timers", {}, {});
  if (status.ok()) status = comparison.family(Family::kMeta, "sums", keys::counter_begin(), keys::counter_end());
  return status;
}

}  // namespace bellwether

#include <algorithm>
#include <bitset>
#include <map>
#include <memory>

#include "operators/alert.h"
#include "operators/flags.h"
#include "operators/people.h"
#include "pipeline/engine/cache.h"
#include "pipeline/engine/control.h"
#include "pipeline/engine/list_counts.h"
#include "pipeline/engine/out_rows.h"
#include "pipeline/engine/rows.h"
#include "pipeline/repair/check.h"
#include "pipeline/repair/check_state.h"
#include "pipeline/repair/row_sum.h"

namespace bellwether {
namespace {

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes.substr(0, 40)) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

bool payload_reads(uint8_t kind, std::string_view payload) {
  if (kind == kOutDeadLetter) {
    DeadLetterRow row;
    return decode(payload, row) && row.reason != Reason::kNone && static_cast<size_t>(row.reason) < kReasons;
  }
  switch (static_cast<OutKind>(kind)) {
    case OutKind::kScore: {
      ScoreRecord record;
      return payload.empty() || decode(payload, record);
    }
    case OutKind::kTier: {
      TierChange change;
      return decode(payload, change);
    }
    case OutKind::kFlag: {
      FlagChange change;
      return decode(payload, change);
    }
    case OutKind::kAlert: {
      Alert alert;
      return decode(payload, alert);
    }
  }
  return false;
}

class StoreCheck {
 public:
  StoreCheck(const Store& store, const OperatorSet& operators, Faults& faults, CheckFigures& figures)
      : store_(store), rows_(store.snapshot()), operators_(operators), faults_(faults), figures_(figures) {}

  void run() {
    if (const Status status = store_.verify(); !status.ok()) faults_.add(FaultKind::kFile, "store", status.message);
    meta();
    control();
    states();
    views();
    timers();
    ledger();
    outbox();
    compare_lists();
    compare_timers();
    compare_counters();
  }

 private:
  using Visit = std::function<void(std::string_view key, std::string_view value)>;
  void walk(Family family, const char* name, const Visit& visit) {
    const Status status = rows_->scan(family, {}, {}, [&](std::string_view key, std::string_view value) {
      visit(key, value);
      return true;
    });
    if (!status.ok()) faults_.add(FaultKind::kFile, name, status.message);
  }
  bool get(Family family, const std::string& key, std::string& value) {
    Status status;
    const bool found = rows_->get(family, key, value, status);
    if (!status.ok()) faults_.add(FaultKind::kFile, "key " + hex(key), status.message);
    return found;
  }

  // In a store that no program of this version has opened yet, boards have a row for each user.
  bool listed(const IndexKey& at) {
    Status status;
    std::string nothing;
    const bool there = is_listed(*rows_, at, status);
    if (!status.ok()) faults_.add(FaultKind::kFile, "key " + hex(keys::members(at)), status.message);
    return there || (is_board(at.index) && get(Family::kViews, keys::index(at), nothing));
  }

  void meta();
  void control();
  void states();
  void state(std::string_view key, std::string_view row);
  void blocks(const StateKey& key, const State& state, const std::string& who);
  void days(Key user, const ScoresState& scores, const std::string& who);
  void views();
  void timers();
  void ledger();
  void outbox();
  void compare_lists();
  void compare_timers();
  void compare_counters();

  // Reads one state row. Null, and no fault told, where it is none or blank: states() has told.
  std::unique_ptr<State> read_state(std::string_view bytes, std::string_view row, StateKey& key, int64_t& timer) {
    timer = kNoTimer;
    const Operator* op = keys::parse_state(bytes, key) ? operators_.find(key.op) : nullptr;
    std::unique_ptr<State> state;
    bool blank = false;
    if (op == nullptr || !decode_state_row(*op, row, timer, &state, &blank) || blank) return nullptr;
    return state;
  }
  std::unique_ptr<State> find_state(const StateKey& key, int64_t& timer) {
    std::string row;
    StateKey read;
    timer = kNoTimer;
    return get(Family::kState, keys::state(key), row) ? read_state(keys::state(key), row, read, timer) : nullptr;
  }
  std::string name_of(const StateKey& key, const State* state) const {
    const Operator* const op = operators_.find(key.op);
    return describe(key, op != nullptr ? op->name() : "of an unknown operator", state);
  }

  const Store& store_;
  const std::shared_ptr<const Snapshot> rows_;
  const OperatorSet& operators_;
  Faults& faults_;
  CheckFigures& figures_;
  EngineProgress progress_;
  std::vector<ConfigVersion> versions_;
  uint16_t version_ = 0;
  std::map<CounterId, int64_t> stored_sums_, sums_;
  std::map<IndexPlace, int64_t> stored_places_, places_;  // rows of boards by place, as counted; as they stand
  bool counted_ = false;                                  // a store of before there were counts has none
  std::array<RowSum, 256> lists_, listed_;                // as states say; as rows stand
  RowSum timers_, timed_;
};

void StoreCheck::meta() {
  bool progress = false;
  walk(Family::kMeta, "meta", [&](std::string_view key, std::string_view value) {
    CounterId id;
    IndexPlace place;
    if (key == keys::kProgress) {
      progress = progress_.decode(value);
      if (!progress) faults_.add(FaultKind::kUnreadable, "meta/progress", "cannot be read");
    } else if (key == keys::kListed) {
      counted_ = true;
    } else if (keys::parse_list_count(key, place.index, place.order)) {
      Reader r(value);
      stored_places_[place] = static_cast<int64_t>(r.varint());
      if (!r.ok() || !r.done()) faults_.add(FaultKind::kUnreadable, "meta/" + hex(key), "is no count");
      ++figures_.counters;
    } else if (keys::parse_counter(key, id)) {
      Reader r(value);
      const int64_t sum = r.zigzag();
      if (!r.ok() || !r.done()) faults_.add(FaultKind::kUnreadable, "meta/" + hex(key), "is no sum");
      ++figures_.counters;
      if (counted_by_states(id)) stored_sums_[id] = sum;
    }
  });
  if (!progress) return;
  const auto text = [](uint64_t n) { return std::to_string(n); };
  uint64_t dead = 0, by_reason = 0;
  for (const PartitionState& p : progress_.partitions) {
    const Account& a = p.account;
    dead += a.dead_lettered;
    if (a.balanced()) continue;
    faults_.add(FaultKind::kAccount, p.id.topic + "/" + std::to_string(p.id.number),
                "consumed " + text(a.consumed) + ", but applied " + text(a.applied) + " + duplicate " +
                    text(a.duplicate) + " + late " + text(a.late) + " + dead-lettered " + text(a.dead_lettered) +
                    " = " + text(a.applied + a.duplicate + a.late + a.dead_lettered));
  }
  for (const uint64_t n : progress_.dead) by_reason += n;
  if (dead != by_reason)
    faults_.add(FaultKind::kAccount, "dead letters",
                "the partitions count " + text(dead) + ", by reason they are " + text(by_reason));
  const auto known = [&](const StateKey& key, const char* what) {
    if (operators_.find(key.op) == nullptr && key.op != OperatorId::kNone)
      faults_.add(FaultKind::kUnreadable, "meta/progress", std::string("holds ") + what + " for an unknown operator");
  };
  for (const StoredMessage& m : progress_.findings) known(m.to, "a finding");
  for (const StoredMessage& m : progress_.leftovers) known(m.to, "a message");
}

void StoreCheck::control() {
  walk(Family::kControl, "control", [&](std::string_view, std::string_view) { ++figures_.control; });
  ControlLog log;
  if (const Status status = read_control(store_, log); !status.ok())
    faults_.add(FaultKind::kControl, "control", status.message);
  versions_ = std::move(log.versions);
  for (const ConfigVersion& v : versions_)
    if (v.from_slot <= progress_.folded) version_ = v.number;
  if (versions_.empty() && progress_.begun)
    faults_.add(FaultKind::kControl, "control", "has no version of the community's rules");
}

void StoreCheck::states() {
  walk(Family::kState, "state", [&](std::string_view key, std::string_view row) { state(key, row); });
}

void StoreCheck::state(std::string_view bytes, std::string_view row) {
  ++figures_.states;
  StateKey key;
  if (!keys::parse_state(bytes, key) || keys::state(key) != bytes)
    return faults_.add(FaultKind::kUnreadable, "state " + hex(bytes), "is no state's key");
  const Operator* const op = operators_.find(key.op);
  if (op == nullptr || op->key_kind() != key.key.kind)
    return faults_.add(FaultKind::kUnreadable, "state " + hex(bytes),
                       "is of operator " + std::to_string(static_cast<unsigned>(key.op)) + ", which has no such keys");
  int64_t timer = kNoTimer;
  std::unique_ptr<State> state;
  bool blank = false;
  if (!decode_state_row(*op, row, timer, &state, &blank))
    return faults_.add(FaultKind::kUnreadable, describe(key, op->name(), nullptr), "its state cannot be read");
  if (timer != kNoTimer) timers_.add(keys::timer({timer, key}));
  if (blank) return;
  for (const IndexKey& at : lists_of(key, *state)) lists_[at.index].add(keys::index(at));
  count_state(key, *state, sums_);
  const std::string who = describe(key, op->name(), state.get());
  blocks(key, *state, who);
  if (key.op == OperatorId::kScores) days(key.key, dynamic_cast<const ScoresState&>(*state), who);
}

// A score that asked for its user's days active has every one that is counted at their home.
void StoreCheck::days(Key user, const ScoresState& scores, const std::string& who) {
  if (!scores.wants_days || !progress_.leftovers.empty()) return;  // what waits for its round may be the answer
  int64_t timer;
  const auto state = find_state({OperatorId::kPeople, user}, timer);
  const auto* home = dynamic_cast<const PeopleState*>(state.get());
  if (home == nullptr || !home->tells_days) {
    faults_.add(FaultKind::kScore, who, "asked for the user's days active, but their home does not tell them");
    return;
  }
  ActiveDays both = scores.portrait.days();
  if (both.add(home->portrait.days()))
    faults_.add(FaultKind::kScore, who, "lacks days active that the user's home counts");
}

// Blocks, and for a user's scores that they sum to what is kept.
void StoreCheck::blocks(const StateKey& key, const State& state, const std::string& who) {
  const auto* const scores = key.op == OperatorId::kScores ? dynamic_cast<const ScoresState*>(&state) : nullptr;
  std::vector<CreditRow> rows;
  bool whole = true;
  std::string bytes;
  for (const BlockRef& b : blocks_of(key, state)) {
    const std::string name = "block " + std::to_string(b.number) + " of day " + std::to_string(b.day);
    if (!get(Family::kLedger, keys::ledger(b.day, key, b.number), bytes)) {
      if (b.day < progress_.ledger_from) continue;  // expired
      faults_.add(FaultKind::kLedger, who,
                  name + " of its ledger, with " + std::to_string(b.count) + " entries, is gone");
      whole = false;
      continue;
    }
    ++figures_.blocks;
    const int64_t entries = block_entries(key.op, bytes);
    if (entries != b.count) {
      faults_.add(
          FaultKind::kLedger, who,
          name + (entries < 0 ? " cannot be read"
                              : " holds " + std::to_string(entries) + " entries, not " + std::to_string(b.count)));
      whole = false;
    } else if (scores != nullptr) {
      Reader r(std::string_view(bytes).substr(1));
      whole = read_rows(r, rows) && whole;
    }
  }
  if (scores == nullptr || !whole || versions_.empty()) return;
  const std::vector<CreditRow> open = scores->rows.rows();
  rows.insert(rows.end(), open.begin(), open.end());
  for (std::string& fault :
       score_faults(key.key, *scores, rows, versions_, version_, progress_.folded * kSlotUs, figures_.contributions))
    faults_.add(FaultKind::kScore, who, std::move(fault));
}

void StoreCheck::views() {
  walk(Family::kViews, "views", [&](std::string_view key, std::string_view value) {
    OutKind kind;
    ChangeId id;
    DeadKey dead;
    DeadLetterRow letter;
    const ListRow row = each_listed(key, value, [&](const IndexKey& at) {
      ++figures_.index_rows;
      listed_[at.index].add(keys::index(at));
      if (is_board(at.index)) ++places_[{at.index, at.order}];
    });
    if (row == ListRow::kGood) return;
    if (row == ListRow::kBroken) {
      faults_.add(FaultKind::kUnreadable, "list row " + hex(key), "cannot be read, or names who belongs elsewhere");
    } else if (keys::parse_change(key, kind, id)) {
      ++figures_.changes;
      if (!payload_reads(static_cast<uint8_t>(kind), value))
        faults_.add(FaultKind::kUnreadable, "change " + hex(key), "cannot be read");
      if (id.tick > progress_.tick)
        faults_.add(FaultKind::kUnreadable, "change " + hex(key), "is of a tick that was never committed");
    } else if (keys::parse_dead(key, dead)) {
      ++figures_.dead_letters;
      if (!decode(value, letter) || letter.slot != dead.tick.slot || letter.sub != dead.tick.sub ||
          letter.from.number != dead.partition || letter.offset != dead.offset || letter.reason == Reason::kNone ||
          static_cast<size_t>(letter.reason) >= kReasons)
        faults_.add(FaultKind::kUnreadable, "dead letter " + hex(key), "cannot be read, or is not what its key says");
    } else {
      faults_.add(FaultKind::kUnreadable, "views " + hex(key), "is no row of a list, change or dead letter");
    }
  });
}

void StoreCheck::timers() {
  walk(Family::kTimers, "timers", [&](std::string_view bytes, std::string_view) {
    TimerKey key;
    ++figures_.timers;
    if (!keys::parse_timer(bytes, key) || operators_.find(key.state.op) == nullptr)
      return faults_.add(FaultKind::kUnreadable, "timer " + hex(bytes), "is no timer of a state");
    timed_.add(bytes);
  });
}

// Rows that no state names any more wait here for their day to end: only their names are looked at.
void StoreCheck::ledger() {
  walk(Family::kLedger, "ledger", [&](std::string_view bytes, std::string_view) {
    int64_t day = 0;
    StateKey key;
    uint32_t number = 0;
    if (!keys::parse_ledger(bytes, day, key, number) || keys::ledger(day, key, number) != bytes ||
        operators_.find(key.op) == nullptr)
      faults_.add(FaultKind::kUnreadable, "ledger " + hex(bytes), "is no block of a state");
  });
}

void StoreCheck::outbox() {
  walk(Family::kOutbox, "outbox", [&](std::string_view key, std::string_view value) {
    uint64_t number = 0;
    bool reads = true;
    const auto each = [&](const OutRow& row) {
      ++figures_.outbox;
      number = row.number, reads = payload_reads(row.kind, row.payload);
      return reads;
    };
    if (!each_out_row(key, value, each) || !reads)
      return faults_.add(FaultKind::kOutbox, "outbox " + hex(key), "cannot be read");
    if (number >= progress_.outbox_next)
      faults_.add(FaultKind::kOutbox, "outbox row " + std::to_string(number),
                  "is beyond the last one written, " + std::to_string(progress_.outbox_next - 1));
  });
}

void StoreCheck::compare_lists() {
  std::bitset<256> differ;
  for (size_t i = 0; i < 256; ++i) differ[i] = lists_[i] != listed_[i];
  if (differ.none()) return;
  const uint64_t before = faults_.count(FaultKind::kIndex);
  walk(Family::kState, "state", [&](std::string_view bytes, std::string_view row) {
    StateKey key;
    int64_t timer;
    const auto state = read_state(bytes, row, key, timer);
    if (state == nullptr) return;
    for (const IndexKey& at : lists_of(key, *state))
      if (differ[at.index] && !listed(at))
        faults_.add(FaultKind::kIndex, name_of(key, state.get()),
                    "has no row in " + list_name(at.index) + ", at " + std::to_string(at.order));
  });
  const auto look = [&](const IndexKey& at) {
    if (!differ[at.index]) return;
    const StateKey key{at.key.kind == KeyKind::kFlag ? OperatorId::kFlags : OperatorId::kScores, at.key};
    int64_t timer;
    const auto state = find_state(key, timer);
    const auto all = state != nullptr ? lists_of(key, *state) : std::vector<IndexKey>{};
    if (std::find(all.begin(), all.end(), at) == all.end())
      faults_.add(FaultKind::kIndex, list_name(at.index) + ", at " + std::to_string(at.order),
                  "names " + name_of(key, state.get()) +
                      (state == nullptr ? ", which is not there" : ", which stands elsewhere, or nowhere"));
  };
  walk(Family::kViews, "views",
       [&](std::string_view bytes, std::string_view value) { (void)each_listed(bytes, value, look); });
  if (faults_.count(FaultKind::kIndex) == before)
    faults_.add(FaultKind::kIndex, "views", "lists and states do not agree");
}

void StoreCheck::compare_timers() {
  if (timers_ == timed_) return;
  const uint64_t before = faults_.count(FaultKind::kTimer);
  std::string value;
  walk(Family::kState, "state", [&](std::string_view bytes, std::string_view row) {
    StateKey key;
    int64_t timer;
    const auto state = read_state(bytes, row, key, timer);
    if (timer != kNoTimer && !get(Family::kTimers, keys::timer({timer, key}), value))
      faults_.add(FaultKind::kTimer, name_of(key, state.get()),
                  "is to be woken in slot " + std::to_string(timer) + ", but the calendar does not say so");
  });
  walk(Family::kTimers, "timers", [&](std::string_view bytes, std::string_view) {
    TimerKey key;
    if (!keys::parse_timer(bytes, key)) return;
    int64_t timer;
    const auto state = find_state(key.state, timer);
    if (timer != key.slot)
      faults_.add(FaultKind::kTimer, "the calendar, slot " + std::to_string(key.slot),
                  "names " + name_of(key.state, state.get()) + ", which is not to be woken then");
  });
  if (faults_.count(FaultKind::kTimer) == before)
    faults_.add(FaultKind::kTimer, "timers", "the calendar and the states do not agree");
}

void StoreCheck::compare_counters() {
  std::erase_if(stored_sums_, [](const auto& sum) { return sum.second == 0; });
  std::map<CounterId, std::pair<int64_t, int64_t>> both;
  for (const auto& [id, sum] : stored_sums_) both[id].first = sum;
  for (const auto& [id, sum] : sums_) both[id].second = sum;
  for (const auto& [id, pair] : both)
    if (pair.first != pair.second)
      faults_.add(FaultKind::kCounter, "sum " + std::to_string(id.family) + "/" + std::to_string(id.number),
                  "is " + std::to_string(pair.first) + ", the states count " + std::to_string(pair.second));
  if (!counted_) return;
  std::map<IndexPlace, std::pair<int64_t, int64_t>> rows;
  for (const auto& [place, count] : stored_places_) rows[place].first = count;
  for (const auto& [place, count] : places_) rows[place].second = count;
  for (const auto& [place, pair] : rows)
    if (pair.first != pair.second && lists_[place.index] == listed_[place.index])  // else a row is wrong, as was said
      faults_.add(FaultKind::kCounter, list_name(place.index) + ", at " + std::to_string(place.order),
                  "counts " + std::to_string(pair.first) + " rows, there are " + std::to_string(pair.second));
}

}  // namespace

void check_store(const Store& store, const OperatorSet& operators, Faults& faults, CheckFigures& figures) {
  StoreCheck(store, operators, faults, figures).run();
}

}  // namespace bellwether

#include "pipeline/engine/published.h"

#include <algorithm>

#include "pipeline/engine/cache.h"
#include "pipeline/engine/erasure.h"
#include "pipeline/engine/list_rows.h"
#include "pipeline/engine/out_rows.h"

namespace bellwether {
namespace {

Status damaged(const char* what) { return Status::error(std::string(what) + " cannot be read: the store is damaged"); }

}  // namespace

std::unique_ptr<State> Published::state(OperatorId op, Key key, Status& status) const {
  const Operator* const with = operators_.find(op);
  if (with == nullptr) return nullptr;
  std::unique_ptr<State> state;
  read_state(op, key, status, [&](std::string_view bytes) {
    state = with->decode(bytes);
    return state != nullptr;
  });
  if (state != nullptr && !erased_->empty()) state->forget(key, *erased_);
  return state;
}

bool Published::read_state(OperatorId op, Key key, Status& status,
                           absl::FunctionRef<bool(std::string_view)> read) const {
  bool good = true, there = false;
  snapshot_->read(Family::kState, keys::state({op, key}), status, [&](std::string_view row) {
    std::string_view bytes;
    good = state_bytes(row, bytes) && (bytes.empty() || read(bytes));
    there = good && !bytes.empty();
  });
  if (!good) status = damaged("a state");
  return there;
}

std::string Published::block(OperatorId op, Key key, int64_t day, uint32_t number, Status& status) const {
  std::string row;
  if (!snapshot_->get(Family::kLedger, keys::ledger(day, {op, key}, number), row, status)) row.clear();
  return row;
}

int64_t Published::counter(CounterId id, Status& status) const {
  std::string row;
  return snapshot_->get(Family::kMeta, keys::counter(id), row, status) ? Reader(row).zigzag() : 0;
}

Status Published::counters(uint16_t family, std::map<uint32_t, int64_t>& out) const {
  const std::string end =
      family == UINT16_MAX ? keys::counter_end() : keys::counter({static_cast<uint16_t>(family + 1), 0});
  return snapshot_->scan(Family::kMeta, keys::counter({family, 0}), end,
                         [&](std::string_view key, std::string_view value) {
                           CounterId id;
                           if (keys::parse_counter(key, id)) out[id.number] = Reader(value).zigzag();
                           return true;
                         });
}

const CellTable& Published::board(IndexId index, uint8_t plus) const {
  static const CellTable kEmpty;
  const auto list = static_cast<size_t>(static_cast<uint8_t>(index) + plus);
  return boards_ != nullptr && (*boards_)[list] != nullptr ? *(*boards_)[list] : kEmpty;
}

Status Published::scan_index(IndexId index, uint8_t plus, bool largest_first, const std::optional<IndexKey>& after,
                             const std::function<bool(const IndexKey&)>& visit) const {
  const auto list = static_cast<uint8_t>(static_cast<uint8_t>(index) + plus);
  if (largest_first) return scan_list_back(*snapshot_, list, after ? &*after : nullptr, visit);
  return scan_list(*snapshot_, after ? *after : IndexKey{list, 0, {KeyKind{0}, 0}}, UINT64_MAX,
                   [&](const IndexKey& at) { return (after && at == *after) || visit(at); });
}

Status Published::scan_changes(OutKind kind, const std::optional<ChangeId>& after,
                               const std::function<bool(const ChangeId&, std::string_view)>& visit) const {
  const std::string from = after ? keys::change(kind, *after) + '\0' : keys::change_slot(kind, INT64_MIN);
  Status broken;
  const Status status = snapshot_->scan(Family::kViews, from, keys::change_end(kind),
                                        [&](std::string_view key, std::string_view payload) {
                                          OutKind of;
                                          ChangeId id;
                                          if (!keys::parse_change(key, of, id)) {
                                            broken = damaged("a change's row");
                                            return false;
                                          }
                                          std::string forgotten;
                                          if (forget_row(static_cast<uint8_t>(kind), id, payload, *erased_, forgotten))
                                            payload = forgotten;
                                          return visit(id, payload);
                                        });
  return status.ok() ? broken : status;
}

Status Published::scan_dead(const std::optional<DeadKey>& after,
                            const std::function<bool(const DeadKey&, const DeadLetterRow&)>& visit) const {
  Status broken;
  const Status status =
      snapshot_->scan_back(Family::kViews, keys::dead_begin(), after ? keys::dead(*after) : keys::dead_end(),
                           [&](std::string_view key, std::string_view value) {
                             DeadKey id;
                             DeadLetterRow row;
                             if (!keys::parse_dead(key, id) || !decode(value, row)) {
                               broken = damaged("a dead letter's row");
                               return false;
                             }
                             (void)forget(row, *erased_);
                             return visit(id, row);
                           });
  return status.ok() ? broken : status;
}

Status Published::scan_states(const std::function<bool(const StateKey&, const State&)>& visit) const {
  Status broken;
  const Status status = snapshot_->scan(Family::kState, {}, {}, [&](std::string_view bytes, std::string_view value) {
    StateKey key;
    if (!keys::parse_state(bytes, key)) {
      broken = damaged("a state's key");
      return false;
    }
    const Operator* const op = operators_.find(key.op);
    if (op == nullptr) return true;  // of an operator that is no more
    int64_t timer;
    bool blank;
    std::unique_ptr<State> state;
    if (!decode_state_row(*op, value, timer, &state, &blank)) {
      broken = damaged("a state");
      return false;
    }
    if (blank) return true;
    if (!erased_->empty()) state->forget(key.key, *erased_);
    return visit(key, *state);
  });
  return status.ok() ? broken : status;
}

Status Published::scan_outbox(
    uint64_t from, const std::function<bool(uint64_t, uint8_t, const ChangeId&, std::string_view)>& visit) const {
  Status broken;
  const Status status =
      snapshot_->scan(Family::kOutbox, keys::number(from), {}, [&](std::string_view key, std::string_view value) {
        bool more = true;
        std::string forgotten;
        const auto each = [&](const OutRow& row) {
          if (row.number < from) return true;
          const bool named = forget_row(row.kind, row.id, row.payload, *erased_, forgotten);
          return more = visit(row.number, row.kind, row.id, named ? std::string_view(forgotten) : row.payload);
        };
        if (!each_out_row(key, value, each)) broken = damaged("an outbox row"), more = false;
        return more;
      });
  return status.ok() ? broken : status;
}

const State* PublishedReader::state(OperatorId op, Key key) {
  const auto [it, fresh] = held_.try_emplace(StateKey{op, key});
  if (fresh) it->second = published_.state(op, key, status_);
  return it->second.get();
}

std::string PublishedReader::block(OperatorId op, Key key, int64_t day, uint32_t number) {
  return published_.block(op, key, day, number, status_);
}

Status dump_lines(const Published& published, std::vector<std::string>& lines) {
  PublishedReader reader(published);
  const DumpContext context{published.now_us(), published.community(), published.cutoffs(), reader,
                            [&](uint16_t number) -> const CommunityConfig& {
                              BELLWETHER_REQUIRE(number < published.versions().size(), "no community version %u",
                                                 number);
                              return published.versions()[number].config;
                            }};
  std::string line;
  Status status = published.scan_states([&](const StateKey& key, const State& state) {
    line.clear();
    if (published.operators().get(key.op).dump(state, key.key, context, line)) lines.push_back(line);
    reader.clear();
    return reader.status().ok();
  });
  if (status.ok()) status = reader.status();
  if (!status.ok()) return status;
  const Account a = published.account();
  lines.push_back("{\"type\":\"account\",\"consumed\":" + std::to_string(a.consumed) +
                  ",\"applied\":" + std::to_string(a.applied) + ",\"duplicate\":" + std::to_string(a.duplicate) +
                  ",\"late\":" + std::to_string(a.late) + ",\"dead_lettered\":" + std::to_string(a.dead_lettered) +
                  ",\"gap\":" + std::to_string(published.gap()) + "}");
  std::sort(lines.begin(), lines.end());
  return {};
}

}  // namespace bellwether

// What leaves a tick for the store: out records, dead letters, and at a commit everything that changed.
#include <algorithm>
#include <optional>

#include "operators/flags.h"
#include "pipeline/engine/fold.h"

namespace bellwether {

void TickRunner::emit(const Shard::Emitted& out) {
  const ChangeId id{env_.tick, out.sender, out.sequence};
  std::string_view payload = out.payload;
  std::string named;
  if (out.kind == OutKind::kFlag) {
    BELLWETHER_REQUIRE(name_users(payload, *this, named), "a flag change of %zu bytes cannot be read", payload.size());
    payload = named;
  }
  // Scores are not watched: whoever wants them reads the topic, or asks.
  if (out.kind != OutKind::kScore) set_->put(Family::kViews, keys::change(out.kind, id), payload);
  if (options_.outbox) out_rows_.add(progress_.outbox_next++, static_cast<uint8_t>(out.kind), id, payload, *set_);
}

void TickRunner::dead(TickId tick, const Record& record) {
  if (dead_.size() <= record.partition) dead_.resize(record.partition + 1);
  ++dead_[record.partition];
  ++progress_.dead[static_cast<size_t>(record.reason)];
  DeadLetterRow row;
  row.from = partition_ids_[record.partition];
  row.offset = record.offset, row.reason = record.reason;
  row.slot = tick.slot, row.sub = tick.sub;
  row.detail = record.detail, row.raw = record.raw, row.raw_bytes = record.raw_bytes;
  (void)forget(row, *erased_);
  const std::string bytes = encode(row);
  const DeadKey key{tick, hasher_(KeyKind::kEvent, row.from.topic), row.from.number, row.offset};
  set_->put(Family::kViews, keys::dead(key), bytes);
  dead_keys_.insert(key);
  if (options_.outbox) out_rows_.add(progress_.outbox_next++, kOutDeadLetter, {tick, {}, 0}, bytes, *set_);
  // Oldest out, by number and by age: a function of the ticks, not of when commits fall.
  const int64_t oldest =
      tick.slot < INT64_MIN + options_.dead_us / kSlotUs ? INT64_MIN : tick.slot - options_.dead_us / kSlotUs;
  const auto forget = [&](std::set<DeadKey>::iterator row) {
    set_->erase(Family::kViews, keys::dead(*row));
    return dead_keys_.erase(row);
  };
  while (dead_keys_.size() > options_.dead_rows) forget(dead_keys_.begin());
  // Those that came before their partition had any time are of no age: only their number counts.
  for (auto row = dead_keys_.lower_bound({{kFirstSlot + 1, 0}}); row != dead_keys_.end() && row->tick.slot < oldest;)
    row = forget(row);
}

size_t TickRunner::dirty_bytes() const {
  size_t bytes = set_->bytes() + out_rows_.bytes() + (index_.changes() + timers_.changes()) * 64;
  for (const auto& shard : shards_) bytes += shard->cache().dirty_row_bytes() + shard->block_bytes();
  return bytes;
}

size_t TickRunner::dirty_memory() const {
  size_t bytes = 0;
  for (const auto& shard : shards_) bytes += shard->cache().dirty_bytes();
  return bytes;
}

void TickRunner::collect_accounts() {
  for (size_t p = 0; p < progress_.partitions.size(); ++p) {
    Account& account = progress_.partitions[p].account;
    if (p < consumed_.size()) account.consumed += std::exchange(consumed_[p], 0);
    if (p < dead_.size()) account.dead_lettered += std::exchange(dead_[p], 0);
    for (auto& shard : shards_)
      if (p < shard->accounts().size()) account.add(std::exchange(shard->accounts()[p], {}));
    BELLWETHER_REQUIRE(
        account.balanced(),
        "law 5: of %s/%d consumed %llu, applied %llu, duplicate %llu, late %llu, dead-lettered %llu",
        progress_.partitions[p].id.topic.c_str(), progress_.partitions[p].id.number,
        static_cast<unsigned long long>(account.consumed), static_cast<unsigned long long>(account.applied),
        static_cast<unsigned long long>(account.duplicate), static_cast<unsigned long long>(account.late),
        static_cast<unsigned long long>(account.dead_lettered));
  }
}

// Who moves with a commit, shard by shard beside the encoding of their states, which has them at hand.
class TickRunner::Moving {
 public:
  Moving(const TickRunner& runner, uint64_t flight)
      : scores_(*runner.operators_.find(OperatorId::kScores)),
        context_{runner.progress_.folded == INT64_MIN ? 0 : runner.progress_.folded * kSlotUs, runner.env_.version,
                 runner.community(),
                 [&runner](uint16_t n) -> const CommunityConfig& { return runner.versions_[n].config; }},
        parts_(runner.shards_.size()) {
    moves_->number = flight, moves_->version = runner.env_.version;
    moves_->set_lowest(*runner.list_counts_.tables());
  }

  void note(size_t shard, const CacheSlot& slot) {
    Part& part = parts_[shard];
    if (slot.key.op != OperatorId::kScores || part.unknown) return;
    part.users.push_back(slot.key.key.hash);
    std::unique_ptr<State> unpacked;
    if (slot.state == nullptr) unpacked = scores_.decode(slot.packed());
    const State* const state = unpacked != nullptr ? unpacked.get() : slot.state.get();
    BoardEntry entry;
    part.unknown = state == nullptr || part.places.size() > BoardMoves::kPlacesMax;
    if (!part.unknown && scores_.board_entry(*state, slot.key.key, context_, entry) && moves_->high(entry))
      part.places.push_back(entry);
  }

  // Null where nobody knows.
  std::shared_ptr<BoardMoves> take() {
    for (Part& part : parts_) {
      if (part.unknown) return nullptr;
      moves_->users.insert(moves_->users.end(), part.users.begin(), part.users.end());
      moves_->places.insert(moves_->places.end(), part.places.begin(), part.places.end());
    }
    return moves_->places.size() > BoardMoves::kPlacesMax ? nullptr : std::move(moves_);
  }

 private:
  struct Part {
    std::vector<uint64_t> users;
    std::vector<BoardEntry> places;
    bool unknown = false;
  };
  const Operator& scores_;
  const BoardContext context_;
  std::shared_ptr<BoardMoves> moves_ = std::make_shared<BoardMoves>();
  std::vector<Part> parts_;
};

std::function<void(WriteSet&)> TickRunner::write(WriteSet& set, uint64_t flight, bool again_soon) {
  out_rows_.flush(set);
  // A fifth of the fold's time where states are large: so each shard by itself.
  std::vector<StateRows> states = spare_rows_.take(shards_.size());  // shards are sets of whole slices in order: so are
                                                                     // the rows
  size_t dirty = 0;
  for (const auto& shard : shards_) dirty += shard->cache().dirty().size();
  std::optional<Moving> moving;
  if (options_.board_moves && operators_.find(OperatorId::kScores) != nullptr) moving.emplace(*this, flight);
  const auto encode = [&](size_t s) {
    shards_[s]->cache().keep_rows(again_soon || options_.patch_always);
    states[s].encode(shards_[s]->cache(), [&](const CacheSlot& slot) {
      if (moving) moving->note(s, slot);
    });
  };
  if (pool_.threads() > 1 && dirty >= options_.parallel_rows) {
    pool_.run(shards_.size(), encode);
  } else {
    for (size_t s = 0; s < shards_.size(); ++s) encode(s);
  }
  moves_ = moving ? moving->take() : nullptr;
  for (auto& shard : shards_) {
    shard->cache().carried(flight);
    shard->write_blocks(set);
  }
  counters_.write(set);
  return [this, states = std::move(states), index = index_.take_changes(),
          timers = timers_.take_changes()](WriteSet& rest) mutable {
    for (const StateRows& rows : states) rows.write(rest);
    spare_rows_.give(std::move(states));
    write_index(std::move(index), rest, list_counts_);
    write_timers(std::move(timers), rest);
  };
}

void TickRunner::committed(uint64_t flight) {
  committed_ = flight;
  timers_.landed(), index_.landed();
  for (auto& shard : shards_) shard->blocks_committed();
}

void TickRunner::evict() {
  for (auto& shard : shards_) shard->cache().evict(committed_);
}

void TickRunner::leave_memory() {
  for (auto& shard : shards_) shard->cache().leave_memory();
}

FoldFigures TickRunner::figures() const {
  FoldFigures out;
  for (const auto& shard : shards_) {
    out.cache_bytes += shard->cache().bytes(), out.states += shard->cache().states();
    out.cache_hits += shard->cache().hits(), out.cache_misses += shard->cache().misses();
  }
  return out;
}

}  // namespace bellwether

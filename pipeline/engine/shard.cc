#include "pipeline/engine/shard.h"

#include <algorithm>

namespace bellwether {
namespace {

constexpr uint8_t kUsesMax = 3;

// Facts that are alike to the operators' order, told apart by nothing but their own log: the same id and time twice in
// a tick.
bool record_before(const Record& a, const Record& b, const std::vector<PartitionId>& partitions) {
  if (const int c = a.id.compare(b.id); c != 0) return c < 0;
  if (a.late != b.late) return b.late;
  if (a.content != b.content) return a.content < b.content;
  if (a.partition != b.partition) return partitions[a.partition] < partitions[b.partition];
  return a.offset < b.offset;
}

// The order of a key's items in a round (operators/operator.h).
bool item_before(const Item& a, const Item& b, const std::vector<PartitionId>& partitions) {
  if (a.kind != b.kind) return a.kind < b.kind;
  if (a.time_us != b.time_us) return a.time_us < b.time_us;
  if (a.id_hash != b.id_hash) return a.id_hash < b.id_hash;
  if (a.kind == Item::Kind::kFact)
    return record_before(static_cast<const Record&>(*a.fact), static_cast<const Record&>(*b.fact), partitions);
  if (a.sender != b.sender) return a.sender < b.sender;
  if (a.sender_key != b.sender_key) return a.sender_key < b.sender_key;
  if (a.sequence != b.sequence) return a.sequence < b.sequence;
  return a.payload < b.payload;  // one left over from the tick before may have the sequence of a new one
}

}  // namespace

Shard::Shard(const TickEnv& env, const Store& store, const FoldOptions& options)
    : env_(env), store_(store), cache_(*env.operators, store, options) {}

void Shard::sort_inbox() {
  order_.clear(), items_.clear(), groups_.clear();
  const auto n = static_cast<uint32_t>(inbox_.size());
  if (n == 1) {
    items_.push_back(inbox_[0].item);
    groups_.push_back({inbox_[0].to(), nullptr, 0, 1});
    return;
  }
  for (uint32_t i = 0; i < n; ++i) order_.push_back({inbox_[i].op_kind, i, inbox_[i].hash});
  std::sort(order_.begin(), order_.end(), [this](const Order& a, const Order& b) {
    if (a.op_kind != b.op_kind) return a.op_kind < b.op_kind;
    if (a.hash != b.hash) return a.hash < b.hash;
    return a.at != b.at && item_before(inbox_[a.at].item, inbox_[b.at].item, *env_.partitions);
  });
  items_.reserve(n);
  for (uint32_t i = 0; i < n; ++i) {
    const Work& work = inbox_[order_[i].at];
    items_.push_back(work.item);
    if (i == 0 || work.hash != order_[i - 1].hash || work.op_kind != order_[i - 1].op_kind)
      groups_.push_back({work.to(), nullptr, i, i});
    groups_.back().end = i + 1;
  }
}

void Shard::find_states() {
  missing_.clear();
  constexpr size_t kApart = 8;
  for (size_t i = 0; i < groups_.size(); ++i) {
    Group& group = groups_[i];
    if (i + kApart < groups_.size()) cache_.fetch_place(groups_[i + kApart].key);
    group.slot = cache_.near(group.key);
    if (group.slot == nullptr) missing_.push_back(group.key);
    StateCache::fetch_slot(group.slot);  // read when it is folded
  }
  cache_.count(groups_.size() - missing_.size(), missing_.size());
  if (missing_.empty()) return;
  if (Status status = cache_.load(missing_); !status.ok()) status_ = std::move(status);
  if (!status_.ok()) return;
  for (Group& group : groups_)
    if (group.slot == nullptr) group.slot = cache_.look(group.key);
}

void Shard::fold_round() {
  if (inbox_.empty() || !status_.ok()) return;
  sort_inbox();
  find_states();
  if (!status_.ok()) return;
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (i + 4 < groups_.size()) StateCache::fetch_state(groups_[i + 4].slot);
    if (i + 2 < groups_.size()) StateCache::fetch_inside(groups_[i + 2].slot);
    fold(groups_[i]);
    if (!status_.ok()) return;
  }
  inbox_.clear();
}

void Shard::fold(const Group& group) {
  const Operator& op = env_.operators->get(group.key.op);
  slot_ = group.slot;
  // Most posts are folded once; a user who comes back stays longer.
  if (!slot_->fresh && slot_->uses < kUsesMax) ++slot_->uses;
  slot_->fresh = false;
  folding_ = std::span<const Item>(items_).subspan(group.begin, group.end - group.begin);
  answered_ = sends_ = 0;
  if (folding_[0].kind == Item::Kind::kTimer && slot_->timer <= env_.tick.slot) slot_->timer = kNoTimer;
  if (Status status = cache_.unpack(*slot_); !status.ok()) {
    status_ = std::move(status);
    return;
  }
  op.fold(*slot_->state, group.key.key, folding_, *this);
  for (; answered_ < folding_.size(); ++answered_) {
    BELLWETHER_REQUIRE(folding_[answered_].kind != Item::Kind::kFact, "operator %s left a fact without an outcome",
                       op.name());
  }
  cache_.folded(*slot_);
  slot_ = nullptr;
}

void Shard::end_tick() {
  effects_.counts.clear(), effects_.index.clear(), effects_.timers.clear();
  effects_.out.clear(), effects_.cutoffs.clear(), effects_.analyses.clear();
  arena_.clear();
}

uint32_t Shard::next_sequence() {
  if (slot_->tick != env_.number) slot_->tick = env_.number, slot_->sequence = 0;
  return slot_->sequence++;
}

const CommunityConfig& Shard::community(uint16_t number) const {
  BELLWETHER_REQUIRE(number < env_.versions->size(), "no community version %u", number);
  return (*env_.versions)[number].config;
}

int64_t Shard::counter(CounterId id) const { return env_.counters->get(id); }

void Shard::counters(uint16_t family, absl::FunctionRef<void(uint32_t number, int64_t value)> each) const {
  env_.counters->each(family, each);
}

void Shard::outcome(Outcome outcome) {
  while (answered_ < folding_.size() && folding_[answered_].kind != Item::Kind::kFact) ++answered_;
  BELLWETHER_REQUIRE(answered_ < folding_.size(), "an outcome more than facts, of operator %u",
                     static_cast<unsigned>(slot_->key.op));
  const auto& record = static_cast<const Record&>(*folding_[answered_++].fact);
  if (accounts_.size() <= record.partition) accounts_.resize(record.partition + 1);
  Account& account = accounts_[record.partition];
  if (outcome == Outcome::kDuplicate) {
    ++account.duplicate;
    return;
  }
  ++(record.late ? account.late : account.applied);
  if (outcome == Outcome::kCollision) ++account.id_collisions;
}

void Shard::send(OperatorId to, Key key, int64_t time_us, uint64_t id_hash, std::string_view payload) {
  BELLWETHER_REQUIRE(++sends_ <= kSendsMax * folding_.size(), "operator %u sends more than %d messages an item",
                     static_cast<unsigned>(slot_->key.op), kSendsMax);
  std::vector<Work>& box =
      direct_ ? (*peers_)[shard_of(key.hash, static_cast<uint32_t>(peers_->size()))]->next_ : sent_;
  Work& work = box.emplace_back();
  work.op_kind = StateKey{to, key}.op_kind();
  work.hash = key.hash;
  work.item = {Item::Kind::kMessage, slot_->key.op, slot_->key.key, next_sequence(), time_us, id_hash, nullptr,
               arena_.copy(payload)};
}

void Shard::wake_at(int64_t at_us) {
  int64_t slot = env_.tick.slot + 1;
  if (at_us > slot * kSlotUs) slot = slot_of(at_us - 1) + 1;
  if (slot >= slot_->timer) return;
  effects_.timers.push_back({slot_->key, slot_->timer, slot});
  slot_->timer = slot;
}

void Shard::index(IndexId index, uint8_t plus, uint64_t order, bool present) {
  effects_.index.emplace_back(IndexKey{static_cast<uint8_t>(static_cast<uint8_t>(index) + plus), order, slot_->key.key},
                              present);
}

void Shard::write_block(int64_t day, uint32_t number, std::string_view bytes) {
  block_bytes_ += bytes.size() + 64;
  blocks_[{slot_->key, day, number}] = bytes;
}

std::string Shard::read_block(int64_t day, uint32_t number) { return block(slot_->key, day, number); }

std::string Shard::block(const StateKey& key, int64_t day, uint32_t number) {
  const BlockKey name{key, day, number};
  if (const auto it = blocks_.find(name); it != blocks_.end()) return it->second;
  if (const auto it = flying_.find(name); it != flying_.end()) return it->second;
  std::string out;
  Status status;
  if (!store_.get(Family::kLedger, keys::ledger(day, key, number), out, status)) out.clear();
  if (!status.ok()) status_ = std::move(status);
  return out;
}

void Shard::write_blocks(WriteSet& set) {
  std::vector<std::pair<std::string, const std::string*>> rows;
  rows.reserve(blocks_.size());
  for (const auto& [k, bytes] : blocks_) rows.emplace_back(keys::ledger(k.day, k.key, k.number), &bytes);
  std::sort(rows.begin(), rows.end());
  for (const auto& [key, bytes] : rows) set.put(Family::kLedger, key, *bytes);
  flying_ = std::move(blocks_);
  blocks_.clear();
  block_bytes_ = 0;
}

void Shard::emit(OutKind kind, std::string_view payload) {
  const uint32_t sequence = next_sequence();
  if (wanted(kind)) effects_.out.push_back({kind, slot_->key, sequence, arena_.copy(payload)});
}

}  // namespace bellwether

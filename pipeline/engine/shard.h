// One shard's part of a tick: its inbox, its cache, and what its folds ask for. The operators' Context. A shard is used
// by one thread at a time; shards share nothing but what TickEnv shows them, which stands still while they fold.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/decode/arena.h"
#include "pipeline/engine/account.h"
#include "pipeline/engine/cache.h"
#include "pipeline/engine/config_version.h"
#include "pipeline/engine/counters.h"
#include "pipeline/engine/fold_options.h"
#include "pipeline/engine/record.h"

namespace bellwether {

// What stands still during a tick.
struct TickEnv {
  TickId tick;
  uint64_t number = 0;  // of ticks in this process, from 1
  uint16_t version = 0;
  const std::vector<ConfigVersion>* versions = nullptr;  // [number]
  const Cutoffs* cutoffs = nullptr;
  const Counters* counters = nullptr;
  const Hasher* hasher = nullptr;
  const OperatorSet* operators = nullptr;
  const std::vector<PartitionId>* partitions = nullptr;
  bool outbox = true;  // somebody reads out records
};

// An item on its way to a key.
struct Work {
  uint32_t op_kind = 0;  // StateKey::op_kind()
  uint64_t hash = 0;
  Item item;
  StateKey to() const { return StateKey::of(op_kind, hash); }
};

class Shard final : public Context {
 public:
  Shard(const TickEnv& env, const Store& store, const FoldOptions& options);

  // Who else there is; send() puts messages straight into their next inbox if `direct`, else into sent().
  void meet(const std::vector<std::unique_ptr<Shard>>* peers) { peers_ = peers; }
  void set_direct(bool direct) { direct_ = direct; }

  std::vector<Work>& inbox() { return inbox_; }  // of the round to fold
  std::vector<Work>& next() { return next_; }    // of the one after
  std::vector<Work>& sent() { return sent_; }    // not yet brought to their shards
  // Folds the inbox, key by key in order, and empties it. A failure is told by status(); what was folded then must not
  // be committed.
  void fold_round();
  const Status& status() const { return status_; }
  void fail(Status status) { status_ = std::move(status); }

  StateCache& cache() { return cache_; }
  std::vector<Account>& accounts() { return accounts_; }  // by partition, since the program began; without `consumed`

  // What the folds of the tick asked for. The runner takes it and calls end_tick().
  struct TimerChange {
    StateKey key;
    int64_t from, to;
  };
  struct Emitted {
    OutKind kind;
    StateKey sender;
    uint32_t sequence;
    std::string_view payload;
  };
  struct Analysis {
    StateKey sender;
    std::string_view input;
  };
  struct Effects {
    std::vector<std::pair<CounterId, int64_t>> counts;
    std::vector<std::pair<IndexKey, bool>> index;
    std::vector<TimerChange> timers;
    std::vector<Emitted> out;
    std::vector<Cutoffs> cutoffs;
    std::vector<Analysis> analyses;
  };
  Effects& effects() { return effects_; }
  void end_tick();
  std::string_view keep(std::string_view bytes) { return arena_.copy(bytes); }  // until end_tick

  // Ledger rows that no finished commit carries.
  size_t block_bytes() const { return block_bytes_; }
  void write_blocks(WriteSet& set);  // hands them to the commit; they stay readable
  void blocks_committed() { flying_.clear(); }
  std::string block(const StateKey& key, int64_t day, uint32_t number);

  // Context
  TickId tick() const override { return env_.tick; }
  const Hasher& hasher() const override { return *env_.hasher; }
  const CommunityConfig& community() const override { return (*env_.versions)[env_.version].config; }
  uint16_t community_number() const override { return env_.version; }
  const CommunityConfig& community(uint16_t number) const override;
  const Cutoffs& cutoffs() const override { return *env_.cutoffs; }
  int64_t counter(CounterId id) const override;
  void counters(uint16_t family, absl::FunctionRef<void(uint32_t number, int64_t value)> each) const override;
  void outcome(Outcome outcome) override;
  void send(OperatorId to, Key key, int64_t time_us, uint64_t id_hash, std::string_view payload) override;
  void wake_at(int64_t at_us) override;
  int64_t wakes_us() const override { return slot_->timer == kNoTimer ? INT64_MAX : slot_->timer * kSlotUs; }
  void count(CounterId id, int64_t delta) override { effects_.counts.emplace_back(id, delta); }
  void index(IndexId index, uint8_t plus, uint64_t order, bool present) override;
  void write_block(int64_t day, uint32_t number, std::string_view bytes) override;
  std::string read_block(int64_t day, uint32_t number) override;
  void emit(OutKind kind, std::string_view payload) override;
  bool wanted(OutKind kind) const override { return env_.outbox || kind != OutKind::kScore; }
  void broadcast(const Cutoffs& cutoffs) override { effects_.cutoffs.push_back(cutoffs); }
  void analyse(std::string_view input) override { effects_.analyses.push_back({slot_->key, arena_.copy(input)}); }

 private:
  struct Order {
    uint32_t op_kind, at;
    uint64_t hash;
  };
  struct Group {
    StateKey key;
    CacheSlot* slot;
    uint32_t begin, end;
  };
  struct BlockKey {
    StateKey key;
    int64_t day;
    uint32_t number;
    friend bool operator==(const BlockKey&, const BlockKey&) = default;
    template <class H>
    friend H AbslHashValue(H h, const BlockKey& k) {
      return H::combine(std::move(h), k.key, k.day, k.number);
    }
  };
  void sort_inbox();
  void find_states();
  void fold(const Group& group);
  uint32_t next_sequence();

  const TickEnv& env_;
  const Store& store_;
  StateCache cache_;
  const std::vector<std::unique_ptr<Shard>>* peers_ = nullptr;
  bool direct_ = true;
  std::vector<Work> inbox_, next_, sent_;
  std::vector<Order> order_;
  std::vector<Item> items_;
  std::vector<Group> groups_;
  std::vector<StateKey> missing_;
  Arena arena_;
  Effects effects_;
  std::vector<Account> accounts_;
  absl::flat_hash_map<BlockKey, std::string> blocks_, flying_;
  size_t block_bytes_ = 0;
  Status status_;
  // The fold in hand.
  CacheSlot* slot_ = nullptr;
  std::span<const Item> folding_;
  size_t answered_ = 0;  // items up to here had their outcome
  uint32_t sends_ = 0;
};

}  // namespace bellwether

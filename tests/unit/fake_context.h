// A context and a small world for tests of operators: no engine, no store, no threads.
//   FakeContext  records what one fold did
//   FakeWorld    keeps states, and delivers facts, messages and timers in rounds as DESIGN.md says. Naive and slow on
//   purpose.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "operators/operator.h"

namespace bellwether {

class FakeContext : public Context {
 public:
  struct Sent {
    OperatorId from = OperatorId::kNone;
    Key from_key;
    OperatorId to = OperatorId::kNone;
    Key key;
    int64_t time_us = 0;
    uint64_t id_hash = 0;
    std::string payload;
    TickId tick;  // FakeWorld: when it was sent, and in which round
    int round = 0;
  };
  struct Emitted {
    OutKind kind;
    Key key;
    TickId tick;
    std::string payload;
  };
  struct IndexEntry {
    IndexId index;
    uint8_t plus;
    uint64_t order;
    Key key;
    friend auto operator<=>(const IndexEntry&, const IndexEntry&) = default;
  };

  FakeContext() : rules{default_config().community} {}

  TickId tick() const override { return now; }
  const Hasher& hasher() const override { return hash; }
  const CommunityConfig& community() const override { return rules.at(rules_number); }
  uint16_t community_number() const override { return rules_number; }
  const CommunityConfig& community(uint16_t number) const override { return rules.at(number); }
  const Cutoffs& cutoffs() const override { return lines; }
  int64_t counter(CounterId id) const override {
    const auto at = sums.find(id);
    return at == sums.end() ? 0 : at->second;
  }
  void counters(uint16_t family, absl::FunctionRef<void(uint32_t, int64_t)> each) const override {
    for (auto at = sums.lower_bound({family, 0}); at != sums.end() && at->first.family == family; ++at)
      if (at->second != 0) each(at->first.number, at->second);
  }
  void outcome(Outcome outcome) override { outcomes.push_back(outcome); }
  void send(OperatorId to, Key to_key, int64_t time_us, uint64_t id_hash, std::string_view payload) override {
    sent.push_back({op, key, to, to_key, time_us, id_hash, std::string(payload), now, round});
  }
  void wake_at(int64_t at_us) override {
    auto& timer = timers[{op, key}];
    if (!timer || at_us < *timer) timer = at_us;
  }
  int64_t wakes_us() const override {
    const auto at = timers.find({op, key});
    if (at == timers.end() || !at->second) return INT64_MAX;
    return slot_of(*at->second + kSlotUs - 1) * kSlotUs;
  }
  void count(CounterId id, int64_t delta) override { counted[id] += delta; }
  void index(IndexId index, uint8_t plus, uint64_t order, bool present) override {
    const IndexEntry entry{index, plus, order, key};
    if (present) {
      indexed.insert(entry);
    } else {
      indexed.erase(entry);
    }
  }
  void write_block(int64_t day, uint32_t number, std::string_view bytes) override {
    EXPECT_TRUE(blocks.emplace(std::tuple(op, key, day, number), bytes).second) << "a block is written once";
  }
  std::string read_block(int64_t day, uint32_t number) override {
    const auto at = blocks.find(std::tuple(op, key, day, number));
    return at == blocks.end() ? std::string() : at->second;
  }
  void emit(OutKind kind, std::string_view payload) override {
    emitted.push_back({kind, key, now, std::string(payload)});
  }
  void broadcast(const Cutoffs& cutoffs) override { broadcasts.push_back(cutoffs); }
  void analyse(std::string_view input) override { analyses.emplace_back(input); }

  // What the fold sees.
  TickId now{0, 0};
  Hasher hash{"test"};
  std::deque<CommunityConfig> rules;  // by number
  uint16_t rules_number = 0;
  Cutoffs lines;
  std::map<CounterId, int64_t> sums;  // as of the tick before

  // What it did.
  std::vector<Outcome> outcomes;
  std::vector<Sent> sent;
  std::map<std::pair<OperatorId, Key>, std::optional<int64_t>> timers;
  std::map<CounterId, int64_t> counted;  // in this tick
  std::set<IndexEntry> indexed;
  std::map<std::tuple<OperatorId, Key, int64_t, uint32_t>, std::string> blocks;
  std::vector<Emitted> emitted;
  std::vector<Cutoffs> broadcasts;
  std::vector<std::string> analyses;

  // Whose fold it is; FakeWorld sets them.
  OperatorId op = OperatorId::kNone;
  Key key;
  int round = 0;
};

// Holds states by (operator, key). `post` a fact or a message, then `run` the tick: all rounds, at most kRoundsMax;
// what is left goes on in the next tick run. Messages to operators that are not of this world stay in `context.sent`,
// like all others. After each fold the state is encoded, decoded and encoded again, and must come out the same.
class FakeWorld {
 public:
  explicit FakeWorld(std::vector<const Operator*> operators) : operators_(std::move(operators)) {}

  FakeContext context;

  // The fact must live until the tick ran. It goes to the operator among this world's that has its home's key kind
  // first.
  void post(const Fact& fact) { facts_.push_back(&fact); }
  void post(OperatorId to, Key key, int64_t time_us, uint64_t id_hash, std::string_view payload,
            OperatorId from = OperatorId::kNone) {
    waiting_.push_back({from, key, to, key, time_us, id_hash, std::string(payload), {}, 0});
  }

  // Runs the tick of this slot: timers that are due, hourly items at an hour's first tick, facts, messages.
  void run(int64_t slot, uint32_t sub = 0) {
    const bool first_of_hour = slot_hour(slot) != slot_hour(context.now.slot) || !ran_;
    context.now = {slot, sub};
    ran_ = true;
    for (context.round = 0; context.round < kRoundsMax; ++context.round) {
      std::map<std::pair<OperatorId, Key>, std::vector<Item>> items;
      std::vector<FakeContext::Sent> mail;
      if (context.round == 0) {
        for (auto& [who, at] : context.timers)
          if (at && slot_of(*at + kSlotUs - 1) <= slot) {
            items[who].push_back({.kind = Item::Kind::kTimer, .time_us = *at});
            at.reset();
          }
        if (first_of_hour)
          for (const Operator* o : operators_)
            if (o->hourly())
              items[{o->id(), Key{KeyKind::kCommunity, 0x8000000000000001}}].push_back(
                  {.kind = Item::Kind::kTimer, .time_us = slot_hour(slot) * kHourUs});
        std::stable_sort(facts_.begin(), facts_.end(), [](const Fact* a, const Fact* b) {
          return std::tuple(a->time_us, a->id_hash, a->id) < std::tuple(b->time_us, b->id_hash, b->id);
        });
        for (const Fact* f : facts_)
          for (const Operator* o : operators_)
            if (o->key_kind() == f->home.kind) {
              items[{o->id(), f->home}].push_back(
                  {.kind = Item::Kind::kFact, .time_us = f->time_us, .id_hash = f->id_hash, .fact = f});
              break;
            }
        facts_.clear();
      } else {
        mail.swap(waiting_);
        std::stable_sort(mail.begin(), mail.end(), [](const FakeContext::Sent& a, const FakeContext::Sent& b) {
          return std::tuple(a.time_us, a.id_hash, a.from, a.from_key) <
                 std::tuple(b.time_us, b.id_hash, b.from, b.from_key);
        });
        uint32_t sequence = 0;
        for (const FakeContext::Sent& m : mail)
          if (find(m.to) != nullptr)
            items[{m.to, m.key}].push_back({.kind = Item::Kind::kMessage,
                                            .sender = m.from,
                                            .sender_key = m.from_key,
                                            .sequence = sequence++,
                                            .time_us = m.time_us,
                                            .id_hash = m.id_hash,
                                            .payload = m.payload});
      }
      if (items.empty() && context.round > 0) break;
      for (const auto& [who, list] : items) fold(who, list);
    }
    for (const auto& [id, delta] : context.counted) context.sums[id] += delta;
    context.counted.clear();
  }
  void run_at(int64_t time_us) { run(slot_of(time_us)); }
  // Ticks on until no message waits.
  void settle() {
    for (int i = 0; !waiting_.empty() && i < 10'000; ++i) run(context.now.slot + 1);
    EXPECT_TRUE(waiting_.empty()) << "messages without end";
  }
  bool waiting() const { return !waiting_.empty(); }

  // The state of a key, or null where there is none.
  template <class S>
  std::unique_ptr<S> state(OperatorId op, Key key) const {
    const auto at = states_.find({op, key});
    if (at == states_.end()) return nullptr;
    std::unique_ptr<State> state = find(op)->decode(at->second);
    return std::unique_ptr<S>(static_cast<S*>(state.release()));
  }
  // All states as they would be stored.
  const std::map<std::pair<OperatorId, Key>, std::string>& states() const { return states_; }

 private:
  static int64_t slot_hour(int64_t slot) { return floor_div(slot, kHourUs / kSlotUs); }
  const Operator* find(OperatorId id) const {
    for (const Operator* o : operators_)
      if (o->id() == id) return o;
    return nullptr;
  }
  void fold(const std::pair<OperatorId, Key>& who, const std::vector<Item>& list) {
    const Operator* o = find(who.first);
    const auto at = states_.find(who);
    const std::string before = at == states_.end() ? std::string() : at->second;
    std::unique_ptr<State> state = o->decode(before);
    ASSERT_NE(state, nullptr) << o->name() << " cannot read its own state";
    context.op = who.first, context.key = who.second;
    const size_t sent_before = context.sent.size(), outcomes_before = context.outcomes.size();
    o->fold(*state, who.second, list, context);
    const auto facts =
        std::count_if(list.begin(), list.end(), [](const Item& i) { return i.kind == Item::Kind::kFact; });
    EXPECT_EQ(context.outcomes.size() - outcomes_before, static_cast<size_t>(facts)) << "one outcome for each fact";
    std::string bytes, again;
    state->encode(bytes);
    std::unique_ptr<State> copy = o->decode(bytes);
    ASSERT_NE(copy, nullptr) << o->name();
    copy->encode(again);
    EXPECT_EQ(bytes, again) << o->name() << ": a state does not survive storing";
    if (bytes.empty()) {
      states_.erase(who);
    } else {
      states_[who] = bytes;
    }
    for (size_t i = sent_before; i < context.sent.size(); ++i)
      if (find(context.sent[i].to) != nullptr) waiting_.push_back(context.sent[i]);
  }

  std::vector<const Operator*> operators_;
  std::map<std::pair<OperatorId, Key>, std::string> states_;
  std::vector<const Fact*> facts_;
  std::vector<FakeContext::Sent> waiting_;
  bool ran_ = false;
};

}  // namespace bellwether

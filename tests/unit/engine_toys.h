// Small operators and a source for tests of the engine. Every fold mixes all it sees, in order, into a digest: two runs
// that differ in anything an operator may see end with different states.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "operators/codec.h"
#include "operators/messages.h"
#include "operators/state_reader.h"
#include "pipeline/engine/engine.h"

namespace bellwether::toys {

inline uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9e3779b97f4a7c15;
  return h ^ h >> 29;
}
inline uint64_t mix(uint64_t h, std::string_view s) {
  for (const char c : s) h = mix(h, static_cast<unsigned char>(c));
  return mix(h, s.size());
}

struct ToyState : State {
  uint64_t digest = 0, folds = 0, items = 0, timers = 0, order = 0;
  std::vector<uint64_t> seen;
  void encode(std::string& out) const override {
    Writer w(out);
    w.u8(1), w.fixed64(digest), w.varint(folds), w.varint(items), w.varint(timers), w.varint(order),
        w.varint(seen.size());
    for (const uint64_t s : seen) w.fixed64(s);
  }
  bool decode(std::string_view bytes) {
    Reader r(bytes);
    r.u8(), digest = r.fixed64(), folds = r.varint(), items = r.varint(), timers = r.varint(), order = r.varint();
    for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) seen.push_back(r.fixed64());
    return r.ok() && r.done();
  }
  size_t memory() const override { return seen.capacity() * 8; }
};

class Toy : public OperatorOf<ToyState> {
 public:
  Toy(OperatorId id, KeyKind kind, bool hourly = false) : id_(id), kind_(kind), hourly_(hourly) {}
  OperatorId id() const override { return id_; }
  const char* name() const override { return "toy"; }
  KeyKind key_kind() const override { return kind_; }
  bool hourly() const override { return hourly_; }
  void fold_key(ToyState& state, Key key, std::span<const Item> items, Context& context) const override {
    ++state.folds;
    state.digest = mix(state.digest, static_cast<uint64_t>(context.tick().slot));
    state.digest = mix(state.digest, context.tick().sub);
    state.digest = mix(state.digest, context.cutoffs().version);
    for (const Item& item : items) {
      ++state.items;
      state.digest = mix(state.digest, static_cast<uint64_t>(item.kind));
      state.digest = mix(state.digest, static_cast<uint64_t>(item.time_us));
      state.digest = mix(state.digest, item.id_hash);
      state.digest =
          mix(state.digest, static_cast<uint64_t>(item.sender) << 8 | static_cast<uint64_t>(item.sender_key.kind));
      state.digest = mix(state.digest, item.sender_key.hash);
      state.digest = mix(state.digest, item.sequence);
      state.digest = mix(state.digest, item.payload);
      if (item.kind == Item::Kind::kTimer) ++state.timers;
      on_item(state, key, item, context);
    }
  }
  virtual void on_item(ToyState& state, Key key, const Item& item, Context& context) const = 0;

 private:
  OperatorId id_;
  KeyKind kind_;
  bool hourly_;
};

// Home of users: duplicates by id, messages to post and author, timers near and far, ledger rows, lists, counters, out
// records.
class ToyPeople final : public Toy {
 public:
  ToyPeople() : Toy(OperatorId::kPeople, KeyKind::kUser) {}
  void on_item(ToyState& state, Key, const Item& item, Context& context) const override {
    if (item.kind == Item::Kind::kTimer) {
      context.emit(OutKind::kTier, std::to_string(state.items));
      return;
    }
    if (item.kind != Item::Kind::kFact) return;
    if (std::find(state.seen.begin(), state.seen.end(), item.id_hash) != state.seen.end()) {
      context.outcome(Outcome::kDuplicate);
      return;
    }
    context.outcome(Outcome::kApplied);
    state.seen.push_back(item.id_hash);
    if (state.seen.size() > 64) state.seen.erase(state.seen.begin());
    state.digest = mix(state.digest, static_cast<uint64_t>(context.counter({kCounterUsers, 0})));
    context.count({kCounterUsers, 0}, 1);
    context.count({kCounterCells, static_cast<uint32_t>(item.id_hash % 7)}, item.id_hash % 2 ? 1 : -1);
    const auto& like = std::get<LikeFact>(item.fact->body);
    context.send(OperatorId::kPosts, {KeyKind::kPost, like.post.hash}, item.time_us, item.id_hash, "post");
    context.send(OperatorId::kScores, {KeyKind::kUser, like.author.hash}, item.time_us, item.id_hash, "author");
    const int64_t days[] = {0, 0, 1, 3, 40};
    context.wake_at(context.now_us() + kMinuteUs + days[item.id_hash % 5] * kDayUs);
    const auto number = static_cast<uint32_t>(state.items);
    context.write_block(day_of(item.time_us), number, std::to_string(state.digest));
    if (number > 1) state.digest = mix(state.digest, context.read_block(day_of(item.time_us), number - 1));
    // Rarely a long chain: more hops than a tick has rounds.
    if (item.id_hash % 20 == 0)
      context.send(OperatorId::kPosts, {KeyKind::kPost, item.id_hash}, item.time_us, item.id_hash,
                   std::string(40, 'x'));
  }
};

class ToyPosts final : public Toy {
 public:
  ToyPosts() : Toy(OperatorId::kPosts, KeyKind::kPost) {}
  void on_item(ToyState&, Key key, const Item& item, Context& context) const override {
    if (item.kind == Item::Kind::kFact) context.outcome(Outcome::kApplied);
    if (item.kind != Item::Kind::kMessage || item.payload[0] != 'x') return;
    if (item.payload.size() > 1)
      context.send(OperatorId::kPosts, {KeyKind::kPost, mix(key.hash, 1)}, item.time_us, item.id_hash,
                   item.payload.substr(1));
  }
};

// A board of users by folds; told of moved lines.
class ToyScores final : public Toy {
 public:
  ToyScores() : Toy(OperatorId::kScores, KeyKind::kUser) {}
  void on_item(ToyState& state, Key key, const Item& item, Context& context) const override {
    if (item.payload.size() == 1) {
      context.emit(OutKind::kScore, "recheck");
      return;
    }
    if (state.order != 0) context.index(IndexId::kProfileBoards, 0, state.order, false);
    ++state.order;
    context.index(IndexId::kProfileBoards, 0, state.order, true);
    if (state.order % 10 == 0)
      context.send(OperatorId::kRings, kEngineCommunityKey, item.time_us, item.id_hash, std::to_string(key.hash));
  }
};

class ToyCommunity final : public Toy {
 public:
  ToyCommunity() : Toy(OperatorId::kCommunity, KeyKind::kCommunity, true) {}
  void on_item(ToyState& state, Key, const Item&, Context& context) const override {
    Cutoffs cutoffs = context.cutoffs();
    ++cutoffs.version;
    cutoffs.cell[2] = static_cast<uint32_t>(state.items * 7 % 23);
    cutoffs.cell[3] = static_cast<uint32_t>(state.items * 3 % 11);
    context.counters(kCounterCells, [&](uint32_t n, int64_t v) {
      state.digest = mix(mix(state.digest, n), static_cast<uint64_t>(v));
    });
    context.broadcast(cutoffs);
  }
};

class ToyRings final : public Toy {
 public:
  ToyRings() : Toy(OperatorId::kRings, KeyKind::kCommunity) {}
  void on_item(ToyState& state, Key, const Item& item, Context& context) const override {
    if (item.sender != OperatorId::kNone && state.items % 3 == 0) context.analyse(item.payload);
  }
};

inline std::string toy_analysis(std::string_view input, StateReader& reader) {
  const Key key{KeyKind::kUser, std::stoull(std::string(input))};
  std::string bytes = "found ";
  if (const State* state = reader.state(OperatorId::kScores, key)) state->encode(bytes);
  if (reader.state(OperatorId::kScores, {KeyKind::kUser, 12345}) != nullptr) bytes += "!";
  return bytes;
}

inline const OperatorSet& toy_operators() {
  static const ToyPeople people;
  static const ToyPosts posts;
  static const ToyScores scores;
  static const ToyCommunity community;
  static const ToyRings rings;
  static const std::array<const Operator*, 5> all = {&people, &posts, &scores, &community, &rings};
  static const OperatorSet set(all,
                               {OperatorId::kNone, OperatorId::kPeople, OperatorId::kPosts, OperatorId::kPosts,
                                OperatorId::kPosts, OperatorId::kPosts, OperatorId::kNone},
                               toy_analysis);
  return set;
}

// Partitions of lines in memory. `live`: at the end it is at_end, never ended.
class VectorSource final : public Source {
 public:
  std::vector<PartitionId> ids;
  std::vector<std::vector<std::string>> lines;
  bool live = false;
  int64_t append_us = -1;

  void add(std::string topic, std::vector<std::string> with) {
    ids.push_back({std::move(topic), 0});
    lines.push_back(std::move(with));
    at_.push_back(0);
  }
  const std::vector<PartitionId>& partitions() const override { return ids; }
  Status refresh() override { return {}; }
  Status start(size_t p, int64_t next) override {
    at_.resize(ids.size());
    at_[p] = static_cast<size_t>(std::max<int64_t>(0, next));
    return {};
  }
  Status poll(size_t p, size_t max, int, Batch& out) override {
    out.clear();
    for (; at_[p] < lines[p].size() && out.records.size() < max; ++at_[p])
      out.records.push_back({static_cast<int64_t>(at_[p]), append_us, lines[p][at_[p]]});
    out.next_offset = static_cast<int64_t>(at_[p]);
    out.at_end = at_[p] == lines[p].size();
    out.ended = out.at_end && !live;
    return {};
  }
  int64_t end_offset(size_t p) override { return static_cast<int64_t>(lines[p].size()); }

 private:
  std::vector<size_t> at_;
};

}  // namespace bellwether::toys

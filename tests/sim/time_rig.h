// One pipeline with the clock in the test's hand: partitions that are written while it reads them, an operator that
// notes in which tick every event is folded, and the real ingest, schedule, ticks, commits and control log between the
// two. One thread; everything is committed at every step, so that what the test looks at is what a restart would find.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "operators/codec.h"
#include "pipeline/engine/engine.h"
#include "pipeline/engine/keys.h"
#include "pipeline/tools/times.h"

namespace bellwether {

inline void PrintTo(const TickId& tick, std::ostream* out) { *out << "(" << tick.slot << ", " << tick.sub << ")"; }

namespace timing {

constexpr int64_t kNoon = 19'700 * kDayUs + 12 * kHourUs;  // 2023-12-09T12:00:00Z, on the edge of a tick
constexpr int64_t ms(int64_t n) { return n * 1000; }

// What the operator saw. A restart may fold a tick again that was not committed: then it must see the same.
struct Notes {
  struct Fold {
    TickId tick;
    int64_t time_us = 0;
    friend bool operator==(const Fold&, const Fold&) = default;
  };
  struct Timer {
    TickId tick;
    int64_t due_us = 0;
    friend bool operator==(const Timer&, const Timer&) = default;
  };
  std::map<std::string, Fold> folds;  // by event id
  std::vector<Timer> timers;
  std::set<TickId> ticks;
  bool keep = true;  // false: only counted, for millions
  uint64_t count = 0;
};

struct CountState final : State {
  uint64_t count = 0;
  void encode(std::string& out) const override {
    Writer w(out);
    w.u8(1), w.varint(count);
  }
  bool decode(std::string_view bytes) {
    Reader r(bytes);
    r.u8(), count = r.varint();
    return r.ok() && r.done();
  }
  size_t memory() const override { return 0; }
};

// Home of users. A like of post "wake N" asks to be woken N seconds after its tick.
class Recorder final : public OperatorOf<CountState> {
 public:
  explicit Recorder(Notes& notes) : notes_(notes) {}
  OperatorId id() const override { return OperatorId::kPeople; }
  const char* name() const override { return "recorder"; }
  KeyKind key_kind() const override { return KeyKind::kUser; }
  void fold_key(CountState& state, Key, std::span<const Item> items, Context& context) const override {
    for (const Item& item : items) {
      if (notes_.keep) notes_.ticks.insert(context.tick());
      if (item.kind == Item::Kind::kTimer) notes_.timers.push_back({context.tick(), item.time_us});
      if (item.kind != Item::Kind::kFact) continue;
      context.outcome(Outcome::kApplied);
      ++state.count, ++notes_.count;
      if (!notes_.keep) continue;
      const Notes::Fold fold{context.tick(), item.time_us};
      const auto [it, fresh] = notes_.folds.try_emplace(std::string(item.fact->id), fold);
      EXPECT_TRUE(fresh || it->second == fold) << it->first << " was folded again, elsewhere";
      const auto& like = std::get<LikeFact>(item.fact->body);
      if (like.post.id.starts_with("wake "))
        context.wake_at(context.now_us() + std::stoll(std::string(like.post.id.substr(5))) * kSecondUs);
    }
  }

 private:
  Notes& notes_;
};

// Partitions that the test writes while they are read.
class WrittenSource final : public Source {
 public:
  struct Line {
    std::string value;
    int64_t append_us = -1;
  };
  struct Part {
    std::deque<Line> lines;  // views into them stay good
    size_t first = 0;        // offset of lines[0]
    size_t at = 0;           // the next offset to be read
    size_t end() const { return first + lines.size(); }
    bool away = false;           // no leader: nothing comes, and nobody knows whether there is something
    size_t per_poll = SIZE_MAX;  // at most so many records a poll
  };
  std::deque<Part> parts;
  bool file = false;  // ends where its lines end
  std::function<void(size_t partition, size_t records)> on_poll;

  size_t add(const std::string& topic) {
    parts.emplace_back();
    ids_.push_back({topic, 0});
    return parts.size() - 1;
  }
  const std::vector<PartitionId>& partitions() const override { return ids_; }
  Status refresh() override { return {}; }
  Status start(size_t p, int64_t next) override {
    parts[p].at = static_cast<size_t>(std::max<int64_t>(0, next));
    return {};
  }
  Status poll(size_t p, size_t max, int, Batch& out) override {
    out.clear();
    Part& part = parts[p];
    out.next_offset = static_cast<int64_t>(part.at);
    if (part.away) return {};
    for (; part.at < part.end() && out.records.size() < std::min(max, part.per_poll); ++part.at) {
      const Line& line = part.lines[part.at - part.first];
      out.records.push_back({static_cast<int64_t>(part.at), line.append_us, line.value});
    }
    out.next_offset = static_cast<int64_t>(part.at);
    out.at_end = part.at == part.end();
    out.ended = out.at_end && file;
    if (on_poll) on_poll(p, out.records.size());
    return {};
  }
  int64_t end_offset(size_t p) override { return static_cast<int64_t>(parts[p].end()); }
  // Lets go of what was read, but for the newest so many, which open ticks may hold.
  void forget(size_t p, size_t keep) {
    for (Part& part = parts[p]; part.at - part.first > keep; ++part.first) part.lines.pop_front();
  }

 private:
  std::vector<PartitionId> ids_;
};

// A like as a record.
inline std::string like(const std::string& id, int64_t time_us, const std::string& post = "p",
                        const std::string& user = "u") {
  return R"({"id":")" + id + R"(","time":")" + time_text(time_us) + R"(","user":")" + user + R"(","like":{"post":")" +
         post + R"(","author":"a","kind":"LIKE_KIND_LIKE"}})";
}

struct Rig {
  // A topic's name each.
  explicit Rig(const std::vector<std::string>& topics = {"t0"}, const OperatorSet* operators = nullptr)
      : recorder(notes), operators(operators) {
    for (const std::string& topic : topics) source.add(topic);
    config.engine.shards = config.engine.threads = 1;
    options.inline_ingest = options.inline_commit = true;
    options.clock_us = [this] { return clock; };
    options.commit_now = [] { return true; };
    options.file_append_us = INT64_MAX;
  }
  ~Rig() { kill(); }

  void say(size_t p, const std::string& id, int64_t time_us, int64_t append_us = -1, const std::string& post = "p") {
    line(p, like(id, time_us, post, "u" + id), append_us);
  }
  void line(size_t p, std::string value, int64_t append_us = -1) {
    source.parts[p].lines.push_back({std::move(value), append_us});
  }

  // ---- the process ----
  void open() {
    const IngestSource from = other != nullptr ? IngestSource{other, true} : IngestSource{&source, !source.file};
    const Status status =
        Engine::open(config, operators != nullptr ? *operators : own, *store, {from}, options, engine);
    ASSERT_TRUE(status.ok()) << status.message;
  }
  void step() {
    if (engine == nullptr) open();
    ASSERT_NE(engine, nullptr);
    const Status status = engine->step(done);
    ASSERT_TRUE(status.ok()) << status.message;
    engine->land();
    pending_most = std::max(pending_most, engine->figures().pending);
    if (const auto published = engine->published()) {
      EXPECT_TRUE(published->account().balanced());
      EXPECT_GE(published->tick(), last) << "what is published went back";
      last = published->tick();
    }
  }
  // Wall time goes by, in steps.
  void pass(int64_t us, int64_t step_us = ms(50)) {
    for (int64_t gone = 0; gone < us; gone += step_us) {
      clock += step_us;
      for (size_t i = 0; i < source.parts.size(); ++i) step();
    }
  }
  // What is there is read, without any time.
  void read(int steps = 40) {
    for (int i = 0; i < steps; ++i) step();
  }
  // Files and until_end: to their end.
  void read_to_end(int most = 1'000'000) {
    for (done = false; !done && most-- > 0;) step();
    ASSERT_TRUE(done) << "it does not come to an end";
    const Status status = engine->finish();
    ASSERT_TRUE(status.ok()) << status.message;
    engine->land();
  }
  void kill() {
    if (engine != nullptr) engine->abandon();
    engine.reset();
    last = {};
  }

  // ---- what came of it ----
  std::shared_ptr<const Published> published() const { return engine->published(); }
  Account account() const { return published()->account(); }
  uint64_t pending() const { return engine->figures().pending; }
  TickId tick_of(const std::string& id) const {
    const auto it = notes.folds.find(id);
    return it == notes.folds.end() ? TickId{} : it->second.tick;
  }
  bool folded(const std::string& id) const { return notes.folds.contains(id); }
  std::vector<FloorRow> floors(const std::string& topic = "") const {
    ControlLog control;
    EXPECT_TRUE(read_control(*store, control).ok());
    std::vector<FloorRow> out;
    for (const auto& [number, row] : control.floors)
      if (topic.empty() || row.partition.topic == topic) out.push_back(row);
    return out;
  }
  struct Dead {
    std::string topic;
    int64_t offset;
    Reason reason;
    int64_t slot;
    friend bool operator==(const Dead&, const Dead&) = default;
    friend void PrintTo(const Dead& d, std::ostream* out) {
      *out << d.topic << "@" << d.offset << " " << reason_name(d.reason) << " in slot " << d.slot;
    }
  };
  std::vector<Dead> dead() const {
    std::vector<Dead> out;
    EXPECT_TRUE(published()
                    ->scan_dead(std::nullopt,
                                [&](const DeadKey&, const DeadLetterRow& row) {
                                  out.push_back({row.from.topic, row.offset, row.reason, row.slot});
                                  return true;
                                })
                    .ok());
    std::sort(out.begin(), out.end(),
              [](const Dead& a, const Dead& b) { return std::tie(a.topic, a.offset) < std::tie(b.topic, b.offset); });
    return out;
  }
  size_t stored_timers() const {
    size_t n = 0;
    EXPECT_TRUE(store->snapshot()
                    ->scan(Family::kTimers, {}, {}, [&](std::string_view, std::string_view) { return ++n, true; })
                    .ok());
    return n;
  }

  // Law 1 on what a clock decided: the same logs with this run's control log alone, no clock and no floors of its own,
  // in batches of another size, fold every event in the same tick.
  void expect_same_by_control_log() const {
    Rig again(std::vector<std::string>{}, operators);
    again.config = config;
    again.config.engine.batch = 3;
    again.options.tick_records = options.tick_records;
    again.options.floors = false;
    again.options.until_end = true;
    auto rows = again.store->new_write_set();
    EXPECT_TRUE(store->snapshot()
                    ->scan(Family::kControl, {}, {},
                           [&](std::string_view key, std::string_view value) {
                             rows->put(Family::kControl, key, value);
                             return true;
                           })
                    .ok());
    ASSERT_TRUE(again.store->write(*rows, true).ok());
    for (size_t p = 0; p < source.parts.size(); ++p) {
      again.source.add(source.partitions()[p].topic);
      for (const auto& line : source.parts[p].lines) again.line(p, line.value, line.append_us);
    }
    again.read_to_end();
    for (const auto& [id, fold] : notes.folds) EXPECT_EQ(again.tick_of(id), fold.tick) << id;
    EXPECT_EQ(again.account(), account());
    for (size_t i = 0; i < notes.timers.size() && i < again.notes.timers.size(); ++i)
      EXPECT_EQ(again.notes.timers[i], notes.timers[i]) << "timer " << i;
    EXPECT_GE(again.notes.timers.size(), notes.timers.size());
  }

  int64_t clock = kNoon;  // the machine's, far from the events' time or near it, as the test likes
  Config config = default_config();
  EngineOptions options;
  Notes notes;
  Recorder recorder;
  const OperatorSet* operators;
  OperatorSet own{std::array<const Operator*, 1>{&recorder}, {OperatorId::kNone, OperatorId::kPeople}, nullptr};
  std::unique_ptr<Store> store = make_memory_store();
  WrittenSource source;
  Source* other = nullptr;  // read instead, as a live one
  std::unique_ptr<Engine> engine;
  bool done = false;
  uint64_t pending_most = 0;
  TickId last;
};

}  // namespace timing
}  // namespace bellwether

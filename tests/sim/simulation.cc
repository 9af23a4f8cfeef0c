#include "tests/sim/simulation.h"

#include <algorithm>

#include "pipeline/decode/decoder.h"
#include "pipeline/engine/control.h"
#include "pipeline/engine/keys.h"
#include "pipeline/engine/out_rows.h"
#include "pipeline/tools/times.h"
#include "tests/model/communities.h"
#include "tests/model/harness.h"
#include "tests/sim/world.h"

namespace bellwether::sim {
namespace {

constexpr uint64_t kStepsMax = 100'000;
constexpr size_t kPartitionsMax = 6;

const Config& usual_config() {
  static const Config config = default_config();
  return config;
}

std::string partition_text(const PartitionId& id) { return id.topic + "/" + std::to_string(id.number); }

}  // namespace

Shape shape_of(const Options& options) {
  model::Dice dice(options.seed * 0x2545f4914f6cdd1d + 3);
  Shape shape;
  static const std::vector<uint32_t> kTickRecords = {kTickRecordsMax, kTickRecordsMax, 2, 7};
  static const std::vector<size_t> kJobRows = {4096, 3, 20};
  shape.tick_records = dice.of(kTickRecords);
  shape.job_rows = dice.of(kJobRows);
  shape.partitions = static_cast<size_t>(dice.between(1, 4));
  if (options.partitions > 0) shape.partitions = static_cast<size_t>(options.partitions);
  shape.rings = dice.chance(4);
  static const std::vector<int64_t> kDays = {1, 3, 10, 40, 220};
  if (shape.rings) {
    for (std::string& record :
         community_records({.users = 200, .days = 30, .seed = dice.next() % 1000, .rings = {"20x10:0.9:burst"}})) {
      const int64_t time = time_of(record);
      shape.stream.push_back({time, std::move(record)});
    }
  } else {
    const model::StreamOptions stream{.seed = dice.next() % 1'000'000,
                                      .days = dice.of(kDays),
                                      .users = static_cast<int>(dice.between(12, 40)),
                                      .posts = static_cast<int>(dice.between(10, 60)),
                                      .events = static_cast<int>(dice.between(80, 500))};
    for (const model::Event& e : model::make_stream(stream)) shape.stream.push_back({e.time_us, model::wire(e)});
  }
  if (dice.chance(25)) {  // some ask to be forgotten, in the middle of it all
    for (int64_t n = dice.between(1, 3); n > 0 && !shape.stream.empty(); --n) {
      const auto at = static_cast<size_t>(dice.below(static_cast<int64_t>(shape.stream.size())));
      Arriving wish{shape.stream[at].time_us, {}};
      wish.value = R"({"id":"erasure )" + std::to_string(n) + R"(","time":")" + time_text(wish.time_us) +
                   R"(","user":"staff","judgement":{"erasure":{"subject":"u)" + std::to_string(dice.below(12)) +
                   R"("}}})";
      shape.stream.insert(shape.stream.begin() + static_cast<ptrdiff_t>(at) + 1, std::move(wish));
    }
  }
  std::vector<bool> dropped(shape.stream.size());
  for (const auto& [from, to] : options.drop)
    for (int64_t i = from; i < to && i < static_cast<int64_t>(dropped.size()); ++i)
      dropped[static_cast<size_t>(i)] = true;
  std::vector<Arriving> kept;
  for (size_t i = 0; i < shape.stream.size(); ++i) {
    if (options.events >= 0 && static_cast<int64_t>(i) >= options.events) break;
    if (!dropped[i]) kept.push_back(std::move(shape.stream[i]));
  }
  shape.stream = std::move(kept);
  return shape;
}

EngineOptions engine_options_of(const Shape& shape) {
  EngineOptions options;
  options.outbox = true;
  options.inline_ingest = options.inline_commit = true;
  options.tick_records = shape.tick_records;
  options.fold.job_rows = shape.job_rows;
  options.file_append_us = INT64_MAX;
  return options;
}

World::World(const Options& options)
    : options_(options),
      shape_(shape_of(options)),
      chaos_(options.seed, options.faults, options.fault_limit, options.verbose),
      plan_(options.seed * 0x6c62272e07bb0142 + 11),
      config_(usual_config()) {
  for (size_t p = 0; p < shape_.partitions; ++p)
    log_.add(p % 2 == 0 ? "community.likes" : "community.posts", static_cast<int32_t>(p / 2));
  if (shape_.rings) {  // small ones, so that a run is short
    RingsConfig& rings = config_.community.rings;
    rings.score_min_milli = 8000, rings.odds_min = 2, rings.density_min_permille = 200;
    rings.members_min = 3, rings.targets_min = 2;
  }
  now_us_ = (shape_.stream.empty() ? model::kFirstDay * kDayUs : shape_.stream.front().time_us) - kHourUs;
  produce_percent_ = plan_.between(1, 12);
}

void World::fail(const std::string& text) {
  if (!failed()) result_.failure = "step " + std::to_string(chaos_.step) + ": " + text;
}

void World::change_config() {
  if (result_.processes == 0 || !chaos_.roll(Fault::kConfigChange)) return;
  auto& dice = chaos_.dice(Fault::kConfigChange);
  CommunityConfig& c = config_.community;
  c.version = std::to_string(result_.processes);
  c.rules[static_cast<size_t>(RuleId::kLikeReceived)].points_micros = dice.between(1, 5) * 500'000;
  c.rules[static_cast<size_t>(RuleId::kLikeReceived)].cap_micros = dice.between(1, 20) * 1'000'000;
  c.rules[static_cast<size_t>(RuleId::kAnswerAccepted)].points_micros = dice.between(1, 9) * 1'000'000;
  c.tiers[2].min_score_micros = dice.between(1, 30) * 1'000'000;
  c.grace_days = static_cast<uint32_t>(dice.between(0, 14));
}

void World::start() {
  if (chaos_.step < start_at_) return;
  disk_.recover(chaos_);
  if (published_number_ > 0) {
    EngineProgress found;
    std::string row;
    if (!disk_.get(Family::kMeta, keys::kProgress, row) || !found.decode(row)) return fail("the progress is gone");
    if (found.tick < published_.tick || found.outbox_next < published_.outbox_next ||
        found.account().consumed < published_.account().consumed)
      return fail("readers saw tick " + std::to_string(published_.tick.slot) + ", after the restart the store is at " +
                  std::to_string(found.tick.slot));
    published_number_ = 0;
  }
  truncate();
  change_config();
  auto p = std::make_unique<Process>();
  p->config = config_;
  p->config.engine.threads = 1;
  p->config.engine.shards = static_cast<uint32_t>(plan_.between(1, 6));
  p->config.engine.batch = static_cast<uint32_t>(plan_.chance(30) ? plan_.between(1, 3) : plan_.between(4, 500));
  p->config.engine.cache_mb = 1;
  p->config.engine.idle_ms = plan_.chance(50) ? 5000 : 300;
  p->config.engine.max_lag_ms = plan_.chance(60) ? 0 : 3000;
  static const std::vector<int64_t> kCommits = {2, 10, 60};
  p->commit_one_in = plan_.of(kCommits);
  process_ = std::move(p);
  ++result_.processes;
  chaos_.say("process " + std::to_string(result_.processes) + ": " + std::to_string(process_->config.engine.shards) +
             " shards, batches of " + std::to_string(process_->config.engine.batch));
  guarded([this] {
    Process& now = *process_;
    now.store = open_sim_store(disk_, chaos_);
    now.source = std::make_unique<SimSource>(log_, &chaos_, plan_.next(), skip_gaps_);
    EngineOptions options = engine_options_of(shape_);
    options.clock_us = [this] { return now_us_ + skew_us_; };
    options.fold.timer_rows = static_cast<size_t>(plan_.between(1, 200));
    // States are kept packed as they are where memory is short: here always, seldom or never.
    if (plan_.chance(70)) {
      options.fold.packs_above_permille = 0;
      options.fold.packs_after = static_cast<uint32_t>(plan_.chance(50) ? 0 : plan_.between(1, 200));
    }
    options.fold.patch_always = plan_.chance(60);
    // Room for some records only, or for one that everybody waits for and no other.
    if (plan_.chance(40)) options.held_bytes = static_cast<size_t>(plan_.between(1, 60'000));
    options.commit_now = [this] { return plan_.below(process_->commit_one_in) == 0; };
    if (Status status =
            Engine::open(now.config, every_operator(), *now.store, {{now.source.get(), true}}, options, now.engine);
        !status.ok())
      return die("it does not open: " + status.message);
    Outbox::Deps deps;
    deps.threaded = false;
    deps.wait_published = [&now](uint64_t, int64_t) { return now.engine->published(); };
    deps.delivered = [&now](uint64_t through) { now.engine->outbox_delivered(through); };
    deps.make_sink = [this, &now](std::unique_ptr<Sink>& sink) {
      if (chaos_.roll(Fault::kSinkRefused)) return Status::error("the simulated brokers are away");
      sink = std::make_unique<SimSink>(
          out_, chaos_, [this](const OutRecord& r) { check_out(r); }, &now.sink);
      return Status{};
    };
    deps.say = [this](const std::string& text) { chaos_.say(text); };
    now.outbox = std::make_unique<Outbox>("out", std::move(deps));
  });
}

// Deletes records that nobody has read yet, as a retention that passes our position does. Only where the store holds
// nothing of the partition from there on: then what is lost can be said exactly.
void World::truncate() {
  EngineProgress at;
  std::string row;
  if (!disk_.get(Family::kMeta, keys::kProgress, row) || !at.decode(row)) return;
  for (size_t p = 0; p < log_.partitions.size(); ++p) {
    LogPartition& log = log_.partitions[p];
    const auto state = std::find_if(at.partitions.begin(), at.partitions.end(),
                                    [&](const PartitionState& s) { return s.id == log.id; });
    if (state == at.partitions.end() || state->at.next_offset < log.first) continue;
    const size_t from = log.index_of(state->at.next_offset);
    size_t gone = 0;
    for (auto it = lost_.lower_bound({p, 0}); it != lost_.end() && it->first < std::pair(p, state->at.next_offset);
         ++it)
      ++gone;
    if (from == log.records.size() || state->account.consumed != from - gone) continue;
    if (!chaos_.roll(Fault::kTruncated)) continue;
    const auto n =
        static_cast<size_t>(chaos_.dice(Fault::kTruncated)
                                .between(1, std::min<int64_t>(15, static_cast<int64_t>(log.records.size() - from))));
    for (size_t i = from; i < from + n; ++i) lost_[{p, log.records[i].offset}] = true;
    log.first = from + n < log.records.size() ? log.records[from + n].offset : log.next;
    chaos_.say(partition_text(log.id) + " now begins at " + std::to_string(log.first));
  }
}

void World::guarded(const std::function<void()>& what) {
  try {
    what();
  } catch (const Killed& killed) {
    die("killed: " + std::string(name_of(killed.at)));
  }
}

void World::die(const std::string& how) {
  chaos_.say("the process ends: " + how);
  if (process_->engine != nullptr) result_.commits += process_->engine->figures().commit.commits;
  skip_gaps_ = process_->source != nullptr && process_->source->met_gap();
  if (process_->sink != nullptr) process_->sink->crash();
  process_.reset();
  disk_.crash(chaos_);
  start_at_ = chaos_.step + 1 + static_cast<uint64_t>(plan_.below(plan_.chance(80) ? 10 : 200));
}

void World::watch() {
  const auto at = process_->engine->published();
  if (!at->account().balanced()) fail("the account of what is published does not balance");
  if (at->number() <= published_number_) return;
  if (at->tick() < TickId{published_.folded, 0} && published_number_ > 0) fail("what is published went back");
  published_ = at->progress();
  published_number_ = at->number();
  if (chaos_.verbose())
    chaos_.say("published " + std::to_string(at->number()) + ": tick " + std::to_string(published_.tick.slot) + "." +
               std::to_string(published_.tick.sub) + ", " + std::to_string(published_.account().consumed) +
               " consumed");
}

void World::engine_step() {
  bool done = false;
  const Status status = process_->engine->step(done);
  if (!status.ok()) return die(status.message);
  watch();
}

void World::stop_in_order() {
  chaos_.say("the process is stopped");
  process_->engine->stop();
  Status status;
  for (bool done = false; !done && status.ok();) status = process_->engine->step(done);
  if (status.ok()) status = process_->engine->finish();
  if (status.ok()) watch();
  process_->outbox->stop(0);
  for (int i = 0; status.ok() && i < 30 && process_->outbox->step() == Outbox::Turn::kMore; ++i)
    if (process_->sink != nullptr) process_->sink->deliver();
  die(status.ok() ? "in order" : status.message);
}

void World::process_turn() {
  chaos_.kill(Fault::kKill);
  if (chaos_.roll(Fault::kStop)) return stop_in_order();
  if (chaos_.roll(Fault::kPause)) {
    now_us_ += plan_.chance(70) ? kMinuteUs : kHourUs;
    process_->paused_until = chaos_.step + 20;
  }
  if (process_->paused_until > chaos_.step) return;
  const int64_t what = plan_.below(100);
  if (what < 70) {
    engine_step();
  } else if (what < 80) {
    process_->engine->land();
    watch();
  } else if (what < 92) {
    process_->outbox->step();
  } else if (process_->sink != nullptr) {
    process_->sink->deliver();
  }
}

void World::check_out(const OutRecord& record) {
  const Rows& rows = disk_.rows(Family::kOutbox);
  const auto row = rows.lower_bound(keys::number(record.sequence));
  OutRow committed;
  bool there = false;
  if (row != rows.end())
    there = each_out_row(row->first, row->second.value,
                         [&](const OutRow& r) {
                           committed = r;
                           return r.number != record.sequence;
                         }) &&
            committed.number == record.sequence;
  if (!there)
    return fail("out record " + std::to_string(record.sequence) + " (" + std::string(record.id) +
                ") goes out, and is not committed");
  OutMessage message;
  if (!out_message(committed.kind, committed.id, committed.payload, config_.community, message) ||
      message.id != record.id || "out" + message.topic != record.topic)
    fail("out record " + std::to_string(record.sequence) + " goes out as " + std::string(record.id) +
         ", committed is " + message.id);
}

void World::append(size_t partition, const std::string& value) {
  log_.clock_us = now_us_;
  log_.append(partition, value, chaos_);
  ++result_.events;
  if (chaos_.verbose()) {
    const LogPartition& p = log_.partitions[partition];
    Arena arena;
    static const Hasher hasher("of no matter");
    Decoder decoder(hasher);
    Fact fact;
    const bool good = decoder.decode(value, arena, fact, nullptr) == Reason::kNone;
    chaos_.say(
        "produced to " + partition_text(p.id) + " at " + std::to_string(p.records.back().offset) +
        (good ? ", slot " + std::to_string(slot_of(fact.time_us)) + ", id " + std::string(fact.id) : ", broken") +
        ", appended in slot " + std::to_string(slot_of(p.records.back().append_us)));
  }
}

void World::produce() {
  std::vector<Arriving> request;
  const int64_t most = plan_.chance(10) ? plan_.between(10, 60) : plan_.between(1, 4);
  for (int64_t n = 0; n < most; ++n) {
    Arriving one;
    if (!later_.empty() && plan_.chance(next_event_ < shape_.stream.size() ? 15 : 100)) {
      one = std::move(later_.front());
      later_.pop_front();
    } else if (next_event_ < shape_.stream.size()) {
      one = shape_.stream[next_event_++];
      if (chaos_.roll(Fault::kSameEvent)) later_.push_back(one);
    } else {
      break;
    }
    // Mostly an event is heard of after it happened; some clocks run ahead, few by more than is allowed.
    if (one.time_us > now_us_) {
      const int64_t how = plan_.below(100);
      if (how < 90) {
        now_us_ = one.time_us + plan_.below(plan_.chance(50) ? 20'000 : 2 * kSecondUs);
      } else if (how < 98) {
        now_us_ = std::max(now_us_, one.time_us - plan_.below(9 * kMinuteUs));
      }
    }
    request.push_back(std::move(one));
  }
  const auto partition = static_cast<size_t>(plan_.below(static_cast<int64_t>(log_.partitions.size())));
  if (!request.empty() && chaos_.roll(Fault::kProducerHalf)) {
    const auto there = chaos_.dice(Fault::kProducerHalf).below(static_cast<int64_t>(request.size()) + 1);
    for (int64_t i = 0; i < there; ++i) append(partition, request[static_cast<size_t>(i)].value);
  }
  for (const Arriving& one : request) append(partition, one.value);
}

// Staff judge a flag that a query showed them.
void World::judge() {
  if (verdicts_left_ == 0) return;
  std::vector<std::string> lines;
  if (!dump_lines(*process_->engine->published(), lines).ok()) return;  // the reader is told, and asks again
  std::vector<std::string> flags;
  static constexpr std::string_view kFlag = "{\"type\":\"flag\",\"id\":\"";
  for (const std::string& line : lines)
    if (line.starts_with(kFlag))
      flags.push_back(line.substr(kFlag.size(), line.find('"', kFlag.size()) - kFlag.size()));
  if (flags.empty()) return;
  --verdicts_left_, ++result_.verdicts;
  static const std::vector<Decision> kDecisions = {Decision::kDismissed, Decision::kConfirmed};
  append(0,
         verdict_record("verdict " + std::to_string(verdicts_left_), plan_.of(flags), plan_.of(kDecisions), now_us_));
}

void World::time_passes() {
  const int64_t how = plan_.below(100);
  now_us_ += how < 60 ? plan_.below(50'000) : how < 90 ? plan_.below(kSecondUs) : plan_.below(10 * kSecondUs);
  if (chaos_.roll(Fault::kClockForward)) skew_us_ += chaos_.dice(Fault::kClockForward).below(3 * kHourUs);
  if (chaos_.roll(Fault::kClockBack)) skew_us_ -= chaos_.dice(Fault::kClockBack).below(3 * kHourUs);
}

void World::turn() {
  ++chaos_.step;
  time_passes();
  // How long a run takes depends on its producers, slow ones of many events too: after half of the steps they hurry.
  if (plan_.below(100) < produce_percent_ || chaos_.step > kStepsMax / 2) {
    if (log_.partitions.size() < kPartitionsMax && chaos_.roll(Fault::kPartitionAdded)) {
      log_.add("community.accounts", static_cast<int32_t>(log_.partitions.size()));
      chaos_.say("partition " + partition_text(log_.partitions.back().id) + " is added");
    }
    produce();
  }
  if (chaos_.roll(Fault::kStall)) {
    auto& dice = chaos_.dice(Fault::kStall);
    log_.partitions[static_cast<size_t>(dice.below(static_cast<int64_t>(log_.partitions.size())))].away_until =
        chaos_.step + static_cast<uint64_t>(dice.below(400));
  }
  if (chaos_.roll(Fault::kVanish)) {
    const uint64_t until = chaos_.step + static_cast<uint64_t>(chaos_.dice(Fault::kVanish).below(200));
    for (LogPartition& p : log_.partitions) p.away_until = until;
  }
  if (process_ == nullptr) return start();
  guarded([this] { process_turn(); });
  if (shape_.rings && process_ != nullptr && plan_.below(1500) == 0) guarded([this] { judge(); });
}

// Everything works again: what was written is read, folded, committed and sent.
void World::drain() {
  chaos_.calm();
  chaos_.say("no more faults");
  for (LogPartition& p : log_.partitions) p.away_until = p.end_until = 0;
  start_at_ = 0;
  // Past what the clock has to catch up, and what idle and quiet partitions wait for.
  uint64_t quiet = 0;
  const uint64_t until = chaos_.step + kStepsMax;
  while (!failed() && quiet < 300) {
    if (++chaos_.step > until) {
      std::string text = "the pipeline does not come to an end";
      if (process_ != nullptr) {
        for (const PartitionFigures& p : process_->engine->figures().partitions)
          text += "\n  " + partition_text(p.id) + " at " + std::to_string(p.next_offset) + " of " +
                  std::to_string(p.end_offset) + ", watermark " + std::to_string(p.watermark_us) + ", floor " +
                  std::to_string(p.floor_slot) + ", holds " + std::to_string(p.held) + (p.idle ? ", idle" : "");
      }
      return fail(text);
    }
    now_us_ += 100'000;
    if (process_ == nullptr) {
      start();
      continue;
    }
    guarded([this] {
      engine_step();
      if (process_ != nullptr && chaos_.step % 3 == 0) {
        process_->engine->land();
        process_->outbox->step();
        if (process_->sink != nullptr) process_->sink->deliver();
      }
    });
    const bool read = process_ != nullptr && process_->source->all_read();
    quiet = read && process_->engine->figures().erasures_pending == 0 ? quiet + 1 : 0;
  }
  if (failed()) return;
  process_->engine->stop();
  Status status;
  for (bool done = false; !done && status.ok();) status = process_->engine->step(done);
  if (status.ok()) status = process_->engine->finish();
  if (!status.ok()) return fail("the last commit: " + status.message);
  watch();
  // What earlier processes sent and erased is none of this one's business.
  const auto unsent = [this] {
    const Rows& rows = disk_.rows(Family::kOutbox);
    return !rows.empty() && rows.rbegin()->first >= keys::number(process_->outbox->delivered() + 1);
  };
  for (int i = 0; unsent(); ++i) {
    if (i > 20'000)
      return fail("committed out records are not sent: those up to " + std::to_string(process_->outbox->delivered()) +
                  " are");
    process_->outbox->step();
    if (process_->sink != nullptr) process_->sink->deliver();
  }
  die("in order");
}

// What the reference is given.
void World::say_logs() {
  ControlLog control;
  const Status status = read_control(*open_sim_store(disk_, chaos_), control);
  if (!status.ok()) chaos_.say(status.message);
  for (const auto& [number, floor] : control.floors)
    chaos_.say("control " + std::to_string(number) + ": floor of " + partition_text(floor.partition) + " from " +
               std::to_string(floor.from_offset) + " at slot " + std::to_string(floor.slot));
  for (const GapRow& gap : control.gaps)
    chaos_.say("control: gap of " + partition_text(gap.partition) + " from " + std::to_string(gap.from) + " to " +
               std::to_string(gap.to));
  for (const ConfigVersion& version : control.versions)
    chaos_.say("control: configuration " + std::to_string(version.number) + " from slot " +
               std::to_string(version.from_slot));
}

Result World::run() {
  while (!failed() && (next_event_ < shape_.stream.size() || !later_.empty())) {
    turn();
    if (chaos_.step > kStepsMax) fail("the run does not come to an end");
  }
  for (int i = 0; !failed() && i < 400; ++i) turn();
  if (!failed()) drain();
  if (!failed()) {
    disk_.recover(chaos_);
    if (chaos_.verbose()) say_logs();
    if (const std::string wrong = compare_with_undisturbed({disk_, log_, lost_, out_, config_}, shape_, result_);
        !wrong.empty())
      fail(wrong);
  }
  result_.faults = chaos_.counts();
  result_.steps = chaos_.step;
  result_.lost = lost_.size();
  return std::move(result_);
}

Result simulate(const Options& options) { return World(options).run(); }

}  // namespace bellwether::sim

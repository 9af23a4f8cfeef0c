#include "pipeline/engine/engine.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "config/load.h"
#include "pipeline/engine/fold.h"
#include "pipeline/engine/named_thread.h"

namespace bellwether {
namespace {

constexpr size_t kPrefetch = 4096;  // records
constexpr uint32_t kFewRecords = 16;
constexpr int64_t kBehindUs = 1'000'000;  // what waits longer to be folded waits for no answer: commits are larger
constexpr size_t kHeldLarge = size_t{64} << 10;  // bytes of a tick's records that are let go as soon as it was folded
constexpr size_t kQueueChunks = 4096;
constexpr uint32_t kLookTicks = 16, kLookRecords = 4096;  // between two looks at the clock and at what is dirty
constexpr auto kFoldAfterStop = std::chrono::seconds(5);  // what is closed by then; the rest is read again
constexpr OutKind kWatched[] = {OutKind::kTier, OutKind::kFlag, OutKind::kAlert};

// What only a replay into a new store may change, as text for the refusal.
struct Fixed {
  const char* name;
  std::string value;
};
std::vector<Fixed> fixed_of(const Config& config) {
  return {{"tick (microseconds)", std::to_string(kSlotUs)},
          {"engine.lateness_ms", std::to_string(config.engine.lateness_ms)},
          {"community.window_days", std::to_string(config.community.window_days)},
          {"community.half_life_days", std::to_string(config.community.half_life_days)},
          // The key itself is a secret: the store keeps what it makes of a fixed text.
          {"community.hash_key", hash_key_print(Hasher(config.community.hash_key))}};
}

int64_t since_1970_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// How long the machine runs, its sleep included: what the engine measures are waits, and a wall clock that is set right
// (or wrong, by years) in between must not move event time on. A floor that it did would stand in the control log for
// good, and make everything that comes late, or expired.
int64_t running_us() {
  timespec now{};
  BELLWETHER_REQUIRE(clock_gettime(CLOCK_BOOTTIME, &now) == 0, "the machine has no clock");
  return int64_t{now.tv_sec} * kSecondUs + now.tv_nsec / 1000;
}

// A clock that goes back all the same goes on from where it stood: nobody may wait an hour for what was to come in a
// second.
std::function<int64_t()> never_back(std::function<int64_t()> clock_us) {
  struct Last {
    std::mutex mutex;
    int64_t shown = INT64_MIN, ahead = 0;
  };
  return [clock_us = std::move(clock_us), last = std::make_shared<Last>()] {
    const std::lock_guard lock(last->mutex);
    const int64_t now = clock_us();
    if (last->shown != INT64_MIN && now + last->ahead < last->shown) last->ahead = last->shown - now;
    return last->shown = now + last->ahead;
  };
}

}  // namespace

Engine::Engine(const Config& config, const OperatorSet& operators, Store& store, const EngineOptions& options)
    : config_(config), operators_(operators), store_(store), options_(options), hasher_(config.community.hash_key) {
  if (options_.file_append_us < 0) options_.file_append_us = options_.clock_us ? options_.clock_us() : since_1970_us();
  options_.clock_us = never_back(options_.clock_us ? std::move(options_.clock_us) : running_us);
  options_.fold.shards = std::clamp<uint32_t>(config_.engine.shards, 1, 256);
  options_.fold.threads = std::max<uint32_t>(1, config_.engine.threads);
  if (options_.fold.row_threads == 0 && !options_.inline_commit)
    options_.fold.row_threads = std::min(2U, std::thread::hardware_concurrency());
  options_.fold.cache_bytes = size_t{config_.engine.cache_mb} << 20;
  options_.fold.outbox = options_.outbox;
  options_.fold.board_moves = options_.board_moves;
  held_max_ = options_.held_bytes > 0 ? options_.held_bytes : size_t{config_.engine.pending_mb} << 20;
  commit_bytes_ = std::min(size_t{config_.engine.commit_mb} << 20, options_.fold.cache_bytes / 4);
  // Dirty states are not evicted, and as many again may be in flight: at half of the cache the fold waits.
  dirty_begins_ = options_.fold.cache_bytes / 8 * 3, dirty_max_ = options_.fold.cache_bytes / 2;
}

Engine::~Engine() {
  stop_.store(true);
  queue_changed_.notify_all();
  if (ingest_thread_.joinable()) ingest_thread_.join();
  if (eraser_ != nullptr) eraser_->stop();
  committer_.reset();  // it publishes into this engine
  if (options_.process_ends) leave_memory();
}

// Millions of small pieces: to give back each takes a second or two, for which nobody can start in its place.
void Engine::leave_memory() {
#ifndef __SANITIZE_ADDRESS__  // which would tell of leaks
  if (runner_ != nullptr) runner_->leave_memory();
  const auto leave = [](auto& chunks) {
    for (auto& chunk : chunks)
      for (auto& held : chunk->held) (void)held.release();
  };
  leave(queue_), leave(spent_);
#endif
}

Status Engine::open(const Config& config, const OperatorSet& operators, Store& store, std::vector<IngestSource> sources,
                    const EngineOptions& options, std::unique_ptr<Engine>& out) {
  std::unique_ptr<Engine> engine(new Engine(config, operators, store, options));
  if (Status status = engine->restore(std::move(sources)); !status.ok()) return status;
  out = std::move(engine);
  return {};
}

Status Engine::check_fixed(bool fresh) {
  std::string row;
  Status status;
  const bool there = store_.get(Family::kMeta, keys::kFixed, row, status);
  if (!status.ok()) return status;
  std::vector<Fixed> fixed = fixed_of(config_);
  if (!there) {
    if (!fresh) return Status::error("the store has progress but no fixed settings: it is damaged");
    std::string bytes;
    Writer w(bytes);
    for (const Fixed& f : fixed) w.bytes(f.value);
    auto set = store_.new_write_set();
    set->put(Family::kMeta, keys::kFixed, bytes);
    return store_.write(*set, true);
  }
  Reader r(row);
  for (const Fixed& f : fixed) {
    const std::string_view stored = r.bytes();
    if (stored == f.value) continue;
    const bool secret = std::string_view(f.name) == "community.hash_key";
    return Status::error(std::string(f.name) + " is " + (secret ? "another" : f.value) +
                         ", but the store was made with " + (secret ? "a different one" : std::string(stored)) +
                         ": change it back, or replay into a new folder");
  }
  return {};
}

Status Engine::put_on_config(bool fresh) {
  const uint64_t hash = content_hash(config_.community);
  auto& versions = control_.versions;
  if (!versions.empty() && versions.back().hash == hash) return {};
  ConfigVersion version;
  version.number = static_cast<uint16_t>(versions.size());
  version.hash = hash;
  version.config = config_.community;
  if (versions.size() >= UINT16_MAX)
    return Status::error("65,535 versions of the community's configuration are all that a store holds");
  // The first tick that no earlier run can have seen open: everything up to the last one is committed, the rest is
  // folded anew.
  if (!fresh && progress_.begun) version.from_slot = progress_.tick.slot + 1;
  auto set = store_.new_write_set();
  set->put(Family::kControl, keys::number(control_.next++), encode(version));
  versions.push_back(std::move(version));
  return store_.write(*set, true);
}

Status Engine::restore(std::vector<IngestSource> sources) {
  std::string row;
  Status status;
  const bool there = store_.get(Family::kMeta, keys::kProgress, row, status);
  if (!status.ok()) return status;
  if (there && !progress_.decode(row))
    return Status::error("the store's progress cannot be read: it is damaged, or of a later version");
  if (status = check_fixed(!there); !status.ok()) return status;
  if (status = read_control(store_, control_); !status.ok()) return status;
  // Up to a tick that was reached before, the rules are those that were in force then.
  if (!options_.until)
    if (status = put_on_config(!there); !status.ok()) return status;
  versions_ = std::make_shared<std::vector<ConfigVersion>>(control_.versions);

  committer_ = std::make_unique<Committer>(store_, !options_.inline_commit);
  runner_ = std::make_unique<TickRunner>(options_.fold, operators_, hasher_, store_, *versions_, progress_);
  set_ = store_.new_write_set();
  runner_->set_write_set(set_.get());
  for (const PartitionState& p : progress_.partitions) runner_->add_partition(p.id);
  runner_->set_erased(erased_of(control_, hasher_));
  if (status = runner_->open(store_); !status.ok()) return status;

  IngestOptions ingest;
  ingest.limits.lateness_us = int64_t{config_.engine.lateness_ms} * 1000;
  ingest.limits.skew_us = int64_t{config_.engine.skew_minutes} * kMinuteUs;
  ingest.limits.window_us = int64_t{config_.community.window_days} * kDayUs;
  ingest.limits.tick_records = options_.tick_records;
  ingest.clock_us = options_.clock_us;
  ingest.batch = config_.engine.batch;
  ingest.held_bytes = held_max_;
  ingest.wait_ms = options_.inline_ingest ? 0 : 5;
  ingest.floors = options_.floors;
  ingest.until_end = options_.until_end;
  ingest.idle_us = int64_t{config_.engine.idle_ms} * 1000;
  ingest.max_lag_us = int64_t{config_.engine.max_lag_ms} * 1000;
  ingest.file_append_us = options_.file_append_us;
  const TickId committed = progress_.begun ? progress_.tick : TickId{};
  ingest_ = std::make_unique<Ingest>(ingest, hasher_, std::move(sources), control_, progress_.partitions, committed);
  ingest_->set_next_due(runner_->next_due());
  tell_erased();
  committed_at_ = tick_committed_at_ = now_us(), committed_ticks_ = progress_.ticks;
  published_ = std::make_shared<const Published>(store_.snapshot(), operators_, versions_, progress_,
                                                 runner_->version(), 0, erased_, runner_->boards());
  uint64_t removed = 0;
  if (store_.get(Family::kMeta, keys::kErased, row, status)) removed = Reader(row).varint();
  if (!status.ok()) return status;
  eraser_ = std::make_unique<Eraser>(
      store_, Eraser::Deps{[this] { return published(); }, options_.rewrite_log, options_.drop_old, options_.say},
      removed);
  outbox_erased_ = progress_.outbox_next - 1;
  status = published_->scan_outbox(0, [&](uint64_t number, uint8_t, const ChangeId&, std::string_view) {
    outbox_erased_ = number - 1;
    return false;
  });
  outbox_delivered_ = outbox_erased_;
  return status;
}

void Engine::ingest_loop() {
  std::vector<std::unique_ptr<Chunk>> spent;
  for (;;) {
    spent.clear();
    {
      std::unique_lock lock(queue_mutex_);
      // While memory is full and the fold has something to do, it is waited for. Where all that is held stands in open
      // ticks, waiting would help nobody: the one that everybody waits for is read on.
      const auto room = [&] {
        return stop_ || (queue_.size() < kQueueChunks && (queue_records_ == 0 || ingest_->held_bytes() < held_max_));
      };
      // What was folded is let go here, by the thread that made it: memory is had again where it is asked for.
      while (!queue_changed_.wait_for(lock, std::chrono::milliseconds(10), [&] { return !spent_.empty() || room(); })) {
      }  // ticks are let go without a word
      if (!spent_.empty()) {
        spent.swap(spent_);
        if (!room()) continue;
      }
    }
    spent.clear();
    std::unique_ptr<Chunk> chunk;
    bool done = stop_, waited = false;
    Status status;
    if (!done) status = ingest_->step(chunk, done, waited);
    if (waited && !chunk && !done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (!chunk && !done && status.ok()) continue;
    const std::lock_guard lock(queue_mutex_);
    if (chunk) {
      queue_records_ += chunk->records.size();
      queue_.push_back(std::move(chunk));
    }
    ingest_done_ = done || !status.ok();
    ingest_status_ = std::move(status);
    queue_changed_.notify_all();
    if (ingest_done_) return;
  }
}

Status Engine::next_chunk(std::unique_ptr<Chunk>& chunk, bool& done) {
  chunk.reset();
  done = false;
  if (options_.inline_ingest) {
    bool waited;
    if (stop_) {
      done = true;
      return {};
    }
    return ingest_->step(chunk, done, waited);
  }
  std::unique_lock lock(queue_mutex_);
  queue_changed_.wait_for(lock, std::chrono::microseconds(until_due_us()),
                          [this] { return !queue_.empty() || ingest_done_; });
  if (!queue_.empty()) {
    chunk = std::move(queue_.front());
    queue_.pop_front();
    // By time, not by whether something waits: with a steady load something always does.
    behind_ = !chunk->near_end || now_us() - chunk->made_at >= kBehindUs;
    queue_changed_.notify_all();
    return {};
  }
  behind_ = !ingest_->caught_up();
  done = ingest_done_;
  return ingest_status_;
}

// When the next commit is due by time. Positions alone are seen by nobody but who waits for one: they go with the next
// tick, which is rarely far, and never make a tick wait.
int64_t Engine::due_us() const {
  constexpr uint32_t kPositionsMs = 500;
  if (behind_) return committed_at_ + config_.engine.commit_behind_ms * int64_t{1000};
  if (progress_.ticks != committed_ticks_) return tick_committed_at_ + config_.engine.commit_ms * int64_t{1000};
  return committed_at_ + std::max(config_.engine.commit_ms, kPositionsMs) * int64_t{1000};
}

// How long to wait for records before looking again at the commit that is due when nothing comes.
int64_t Engine::until_due_us() const {
  constexpr int64_t kMost = 50'000, kLeast = 2'000;  // the least: the one before has not landed
  return anything_ ? std::clamp(due_us() - now_us(), kLeast, kMost) : kMost;
}

Status Engine::run() {
  if (!options_.inline_ingest) {
    ingest_thread_ = named_thread("ingest", [this] { ingest_loop(); });
    eraser_->start();
  }
  Status status;
  for (bool done = false; status.ok() && !done && !abandon_ && !cut_short();) status = step(done);
  if (status.ok() && !stop_) status = finish_erasures();
  eraser_->stop();
  stop_ = true;
  queue_changed_.notify_all();
  if (ingest_thread_.joinable()) ingest_thread_.join();
  if (abandon_) return status;
  const Status last = status.ok() ? finish() : settle();
  return status.ok() ? last : status;
}

// Whether enough was folded since stop(): an end may not take as long as a full queue does.
bool Engine::cut_short() {
  if (!stop_ || options_.inline_ingest) return false;
  const auto now = std::chrono::steady_clock::now();
  if (stop_seen_ == std::chrono::steady_clock::time_point{}) stop_seen_ = now;
  return now - stop_seen_ >= kFoldAfterStop;
}

Status Engine::step(bool& done) {
  std::unique_ptr<Chunk> chunk;
  Status status = next_chunk(chunk, done);
  bool idle = !chunk;
  if (status.ok() && chunk) {
    const size_t records = chunk->records.size();
    status = process(*chunk);
    if (options_.inline_ingest) {
      chunk->held.clear();
    } else {
      const std::lock_guard lock(queue_mutex_);
      queue_records_ -= records;
      spent_.push_back(std::move(chunk));
      queue_changed_.notify_all();
      idle = queue_.empty();  // what was folded last is committed without waiting for what comes next
    }
  }
  if (status.ok() && !abandon_) status = after_tick(idle);
  return status;
}

Status Engine::finish() {
  Status status;
  if (anything_) {
    status = settle();
    if (status.ok()) status = commit();
  }
  const Status last = settle();
  return status.ok() ? last : status;
}

Status Engine::process(Chunk& chunk) {
  for (size_t i = 0; i < chunk.partitions.size(); ++i) {
    runner_->add_partition(chunk.partitions[i]);
    progress_.partitions.push_back({chunk.partitions[i], {}, chunk.append_us[i], {}, 0, {}, 0});
    anything_ = true;
  }
  for (const ControlRow& row : chunk.control) {
    if (options_.until) break;
    set_->put(Family::kControl, keys::number(row.number), row.value);
    anything_ = true;
  }
  size_t fetched = 0, first = 0;
  Status status;
  const auto past_end = [&](TickId tick) { return options_.until && tick > *options_.until; };
  const auto advance = [&](TickId before) {
    for (bool more = true; more && status.ok() && !abandon_ && !cut_short();) {
      const uint64_t ticks = progress_.ticks;
      status = runner_->advance(before, more);
      anything_ |= progress_.ticks != ticks;
      if (status.ok() && more) status = after_tick(false);
    }
  };
  for (const Chunk::Tick& tick : chunk.ticks) {
    if (past_end(tick.id)) break;
    if (tick.begin >= fetched) {
      const size_t end = std::min(chunk.records.size(), std::max<size_t>(fetched + kPrefetch, tick.end));
      const auto next = std::find_if(chunk.ticks.begin() + (&tick - chunk.ticks.data()), chunk.ticks.end(),
                                     [end](const Chunk::Tick& later) { return later.begin >= end; });
      status = runner_->prefetch(std::span<Record* const>(chunk.records).subspan(tick.begin, end - tick.begin),
                                 (next == chunk.ticks.end() ? chunk.closed_before : next->id).slot);
      fetched = end, first = tick.begin;
      if (!status.ok()) return status;
    }
    // Of a tick of many the shards fetch ahead themselves.
    if (tick.end - tick.begin <= kFewRecords)
      for (uint32_t i = tick.begin; i < tick.end; ++i) {
        runner_->fetch_ahead(i - first);
        if (i + 10 < chunk.records.size()) __builtin_prefetch(chunk.records[i + 10], 0);
      }
    advance(tick.id);
    if (!status.ok() || abandon_ || cut_short()) return status;
    anything_ = true;
    // A commit between two ticks of a chunk carries records that the restart points do not cover yet.
    for (uint32_t i = tick.begin; i < tick.end; ++i) {
      int64_t& read_to = progress_.partitions[chunk.records[i]->partition].read_to;
      read_to = std::max(read_to, chunk.records[i]->offset + 1);
    }
    status = runner_->run(tick.id, std::span<Record* const>(chunk.records).subspan(tick.begin, tick.end - tick.begin));
    tell_erased();
    if (progress_.first_folded == INT64_MIN) progress_.first_folded = progress_.folded;
    // Small ones by the thread that made them, with the chunk.
    auto& held = chunk.held[static_cast<size_t>(&tick - chunk.ticks.data())];
    if (held->bytes() >= kHeldLarge) held.reset();
    ticks_since_look_ += (tick.end - tick.begin) / (kLookRecords / kLookTicks);  // full ticks are looked at each
    // A commit after the last one carries the restart points too: who waits for a position waits for no second commit.
    if (status.ok() && &tick != &chunk.ticks.back()) status = after_tick(false);
    if (!status.ok() || abandon_) return status;
  }
  if (past_end(chunk.closed_before)) {
    advance({options_.until->slot, options_.until->sub + 1});
    stop_ = true;  // the restart points are those of the chunk before: this one is read again
    return status;
  }
  advance(chunk.closed_before);
  if (!status.ok() || abandon_ || cut_short()) return status;
  for (size_t p = 0; p < chunk.restart.size(); ++p) {
    PartitionState& partition = progress_.partitions[p];
    if (partition.at == chunk.restart[p] && partition.gap == chunk.gaps[p]) continue;
    partition.at = std::move(chunk.restart[p]);
    partition.gap = chunk.gaps[p], partition.bookmark = chunk.bookmarks[p];
    anything_ = true;
  }
  ingest_->set_next_due(runner_->next_due());
  return {};
}

// Wall time decides when a commit is made, never what is in it.
Status Engine::after_tick(bool idle) {
  runner_->evict();
  if (options_.inline_ingest && eraser_->done() < runner_->erased()->size()) {
    bool waits;
    if (Status status = eraser_->step(waits); !status.ok()) return status;
  }
  if (eraser_->has_work())
    if (Status status = scrub(); !status.ok()) return status;
  // A tombstone's row holds the name until the commit that lets go of it.
  anything_ |= eraser_->waits_outside() && outbox_delivered_.load() > outbox_erased_;
  const bool asked = options_.commit_now && options_.commit_now();
  if (!asked && !idle && ++ticks_since_look_ < kLookTicks) return {};
  ticks_since_look_ = 0;
  const size_t dirty = runner_->dirty_bytes(), memory = runner_->dirty_memory();
  const int64_t now = now_us();
  Status status;
  const bool busy = committer_->busy(status);
  if (!status.ok()) return status;
  if (!busy && landed_ != flight_) landed_ = flight_, runner_->committed(landed_);
  if (now - figures_at_ >= 100'000 || now < figures_at_) {
    figures_at_ = now;
    const std::lock_guard lock(mutex_);
    figures_.cache = runner_->figures();
    figures_.dirty_bytes = dirty;
    figures_.ticks = progress_.ticks;
    // What was delivered since the last commit is still stored, but waits for nobody.
    figures_.outbox_pending = progress_.outbox_next - 1 - std::max(outbox_erased_, outbox_delivered_.load());
  }
  if (!anything_) return {};
  if (!asked && dirty < commit_bytes_ && memory < dirty_begins_ && now < due_us()) return {};
  if (busy) {
    if (!asked && dirty < 2 * commit_bytes_ && memory < dirty_max_) return {};  // the fold goes on, up to as much again
    if (status = settle(); !status.ok()) return status;
  }
  return commit();
}

Status Engine::settle() {
  Status status = committer_->settle();
  if (status.ok() && landed_ != flight_) landed_ = flight_, runner_->committed(landed_);
  return status;
}

Status Engine::commit() {
  runner_->collect_accounts();
  ++flight_;
  eraser_->committing(flight_);
  Committer::Job job;
  job.prepare = runner_->write(*set_, flight_, !behind_);
  moves_.add(runner_->take_moves());
  if (progress_.folded != INT64_MIN) {
    const int64_t now = progress_.folded * kSlotUs;
    // By the hour of the last tick, so that what is left depends on ticks only.
    const int64_t from = floor_div(now, kHourUs) * (kHourUs / kSlotUs) - kChangesUs / kSlotUs;
    if (from > progress_.changes_from) {
      for (const OutKind kind : kWatched)
        set_->erase_range(Family::kViews, keys::change_slot(kind, INT64_MIN), keys::change_slot(kind, from));
      progress_.changes_from = from;
    }
    const int64_t day = ledger_kept_from(now, config_.community.window_days);
    if (day > progress_.ledger_from) {
      job.ledger_from = keys::ledger_day(INT32_MIN), job.ledger_to = keys::ledger_day(day);
      progress_.ledger_from = day;
    }
  }
  if (const uint64_t through = outbox_delivered_.load(); through > outbox_erased_) {
    set_->erase_range(Family::kOutbox, keys::number(0), keys::number(through + 1));
    outbox_erased_ = through;
  }
  set_->put(Family::kMeta, keys::kProgress, progress_.encode());
  job.set = std::move(set_);
  job.publish = [this, progress = progress_, version = runner_->version(), number = flight_, erased = runner_->erased(),
                 moves = moves_.list()](std::shared_ptr<const Snapshot> snapshot) {
    auto next = std::make_shared<const Published>(std::move(snapshot), operators_, versions_, progress, version, number,
                                                  erased, runner_->boards(), moves);
    const std::lock_guard lock(mutex_);
    published_ = std::move(next);
    published_changed_.notify_all();
  };
  set_ = committer_->empty_set();
  committer_->start(std::move(job));
  runner_->set_write_set(set_.get());
  anything_ = false;
  committed_at_ = now_us();
  if (progress_.ticks != committed_ticks_) tick_committed_at_ = committed_at_, committed_ticks_ = progress_.ticks;
  return {};
}

Status read_published(const Store& store, const OperatorSet& operators, std::shared_ptr<const Published>& out) {
  std::string row;
  Status status;
  EngineProgress progress;
  const bool there = store.get(Family::kMeta, keys::kProgress, row, status);
  if (!status.ok()) return status;
  if (there && !progress.decode(row))
    return Status::error("the store's progress cannot be read: it is damaged, or of a later version");
  ControlLog control;
  if (status = read_control(store, control); !status.ok()) return status;
  if (control.versions.empty()) return Status::error("the store is empty: nothing was ever replayed or served into it");
  uint16_t version = 0;
  for (const ConfigVersion& v : control.versions)
    if (v.from_slot <= progress.folded) version = v.number;
  // Hashes of ids in texts need the hasher, which outlives what is read through it.
  const std::string hash_key = control.versions.back().config.hash_key;
  const auto hasher = std::make_shared<const Hasher>(hash_key);
  auto erased = erased_of(control, *hasher);
  out = std::make_shared<const Published>(
      store.snapshot(), operators, std::make_shared<const std::vector<ConfigVersion>>(std::move(control.versions)),
      std::move(progress), version, 0, std::shared_ptr<const Erased>(erased.get(), [erased, hasher](const Erased*) {}));
  return {};
}

std::shared_ptr<const Published> Engine::published() const {
  const std::lock_guard lock(mutex_);
  return published_;
}

std::shared_ptr<const Published> Engine::wait_published(uint64_t number, int64_t timeout_us) const {
  std::unique_lock lock(mutex_);
  published_changed_.wait_for(lock, std::chrono::microseconds(timeout_us),
                              [&] { return published_->number() > number; });
  return published_;
}

EngineFigures Engine::figures() const {
  EngineFigures out;
  {
    const std::lock_guard lock(mutex_);
    out = figures_;
  }
  {
    const std::lock_guard lock(queue_mutex_);
    out.pending = queue_records_;
  }
  out.erased = erased()->size();
  out.erasures_pending = out.erased - std::min<uint64_t>(out.erased, eraser_->done());
  out.pending += ingest_->pending();
  out.held_bytes = ingest_->held_bytes();
  out.caught_up = ingest_->caught_up();
  out.commit = committer_->figures();
  out.partitions = ingest_->figures();
  return out;
}

}  // namespace bellwether

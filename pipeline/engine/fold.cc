#include "pipeline/engine/fold.h"

#include <algorithm>

#include "operators/messages.h"

namespace bellwether {
namespace {

constexpr int64_t kDaySlots = kDayUs / kSlotUs;
constexpr int64_t kHourSlots = kHourUs / kSlotUs;

}  // namespace

TickRunner::TickRunner(const FoldOptions& options, const OperatorSet& operators, const Hasher& hasher,
                       const Store& store, const std::vector<ConfigVersion>& versions, EngineProgress& progress)
    : options_(options),
      operators_(operators),
      hasher_(hasher),
      store_(store),
      versions_(versions),
      progress_(progress),
      pool_(std::clamp<uint32_t>(std::max(options.threads, options.row_threads), 1, options.shards)),
      timers_(store, options.timer_rows, progress.folded),
      index_(store) {
  env_.versions = &versions_;
  env_.cutoffs = &progress_.cutoffs;
  env_.counters = &counters_;
  env_.hasher = &hasher_;
  env_.operators = &operators_;
  env_.partitions = &partition_ids_;
  env_.outbox = options_.outbox;
  for (uint32_t i = 0; i < options_.shards; ++i) shards_.push_back(std::make_unique<Shard>(env_, store_, options_));
  for (auto& shard : shards_) shard->meet(&shards_);
  erased_ = std::make_shared<const Erased>(hasher_);
  wanted_.resize(shards_.size());
  for (const Operator* op : operators_.all())
    if (op->hourly()) hourly_.push_back(op);
}

Status TickRunner::open(Store& store) {
  const auto snapshot = store_.snapshot();
  Status broken;
  Status status = snapshot->scan(Family::kMeta, keys::counter_begin(), keys::counter_end(),
                                 [&](std::string_view key, std::string_view value) {
                                   CounterId id;
                                   Reader r(value);
                                   const int64_t count = r.zigzag();
                                   if (!keys::parse_counter(key, id) || !r.ok()) {
                                     broken = Status::error("a counter row cannot be read: the store is damaged");
                                     return false;
                                   }
                                   counters_.load(id, count);
                                   return true;
                                 });
  if (status.ok())
    status = snapshot->scan(Family::kViews, keys::dead_begin(), keys::dead_end(),
                            [&](std::string_view key, std::string_view) {
                              DeadKey dead;
                              if (!keys::parse_dead(key, dead)) {
                                broken = Status::error("a dead letter's row cannot be read: the store is damaged");
                                return false;
                              }
                              dead_keys_.insert(dead_keys_.end(), dead);
                              return true;
                            });
  env_.version = version_at(progress_.folded);
  if (status.ok() && broken.ok()) status = list_counts_.open(store, *set_);
  return status.ok() ? broken : status;
}

uint16_t TickRunner::version_at(int64_t slot) const {
  for (size_t i = versions_.size(); i > 1; --i)
    if (versions_[i - 1].from_slot <= slot) return versions_[i - 1].number;
  return 0;
}

Status TickRunner::failure() const {
  for (const auto& shard : shards_)
    if (!shard->status().ok()) return shard->status();
  return {};
}

Status TickRunner::prefetch(std::span<Record* const> records, int64_t until) {
  likely_.clear(), likely_slots_.clear(), likely_of_.clear();
  likely_records_ = records;
  for (const Record* record : records) {
    likely_of_.push_back(static_cast<uint32_t>(likely_.size()));
    if (record->reason != Reason::kNone) continue;
    operators_.likely(*record, versions_[env_.version].config, [&](OperatorId op, Key of) {
      likely_.push_back({op, of});
    });
  }
  likely_of_.push_back(static_cast<uint32_t>(likely_.size()));
  size_t missing = 0;
  constexpr size_t kApart = 16, kWokenMost = 4096;
  // Whoever is woken meanwhile was not heard of for long: in a community larger than the cache they are most reads.
  if (Status status = timers_.look_ahead(until, kWokenMost); !status.ok()) return status;
  for (size_t n = 0; n < kWokenMost; ++n) {
    const TimerKey* const timer = timers_.ahead(n);
    if (timer == nullptr || timer->slot >= until) break;
    const StateKey& key = timer->state;
    if (shard(key.key.hash).cache().look(key) != nullptr) continue;
    wanted_[shard_of(key.key.hash, static_cast<uint32_t>(shards_.size()))].push_back(key);
    ++missing;
  }
  for (size_t i = 0; i < likely_.size(); ++i) {
    if (i + kApart < likely_.size()) shard(likely_[i + kApart].key.hash).cache().fetch_place(likely_[i + kApart]);
    CacheSlot* const slot = shard(likely_[i].key.hash).cache().look(likely_[i]);
    likely_slots_.push_back(slot);
    if (slot != nullptr) continue;
    wanted_[shard_of(likely_[i].key.hash, static_cast<uint32_t>(shards_.size()))].push_back(likely_[i]);
    ++missing;
  }
  if (missing == 0) return {};
  if (Status status = load_wanted(missing); !status.ok()) return status;
  for (size_t i = 0; i < likely_.size(); ++i)
    if (likely_slots_[i] == nullptr) likely_slots_[i] = shard(likely_[i].key.hash).cache().look(likely_[i]);
  // Whose home has turned out to be new.
  missing = 0;
  for (size_t r = 0; r < records.size(); ++r) {
    if (likely_of_[r] == likely_of_[r + 1]) continue;
    const CacheSlot* const home = likely_slots_[likely_of_[r]];
    if (home == nullptr || !home->blank || home->dirty) continue;
    operators_.likely_new(*records[r], versions_[env_.version].config, [&](OperatorId op, Key of) {
      if (shard(of.hash).cache().look({op, of}) != nullptr) return;
      wanted_[shard_of(of.hash, static_cast<uint32_t>(shards_.size()))].push_back({op, of});
      ++missing;
    });
  }
  return missing == 0 ? Status() : load_wanted(missing);
}

// What is in wanted_, `count` in all.
Status TickRunner::load_wanted(size_t count) {
  std::vector<Status> statuses(shards_.size());
  const auto load = [&](size_t s) {
    statuses[s] = shards_[s]->cache().load(wanted_[s]);
    wanted_[s].clear();
  };
  if (options_.threads > 1 && count >= options_.parallel_items) {
    pool_.run(shards_.size(), load);
  } else {
    for (size_t s = 0; s < shards_.size(); ++s)
      if (!wanted_[s].empty()) load(s);
  }
  for (Status& status : statuses)
    if (!status.ok()) return std::move(status);
  return {};
}

void TickRunner::fetch_ahead(size_t i) {
  // In steps, since each names the next.
  const auto each = [&](size_t n, auto&& fetch) {
    if (n + 1 >= likely_of_.size()) return;
    for (uint32_t k = likely_of_[n]; k < likely_of_[n + 1]; ++k) fetch(k);
  };
  each(i + 7, [&](uint32_t k) { shard(likely_[k].key.hash).cache().fetch_slot(likely_[k], likely_slots_[k]); });
  each(i + 5, [&](uint32_t k) { StateCache::fetch_state(likely_slots_[k]); });
  each(i + 3, [&](uint32_t k) { StateCache::fetch_inside(likely_slots_[k]); });
  const auto home = [&](size_t n, auto&& fetch) {
    if (n + 1 < likely_of_.size() && likely_of_[n] < likely_of_[n + 1])
      fetch(likely_slots_[likely_of_[n]], *likely_records_[n]);
  };
  home(i + 2, StateCache::fetch_places);
  home(i + 1, StateCache::fetch_found);
}

int64_t TickRunner::next_due() const {
  int64_t due = timers_.soonest();
  if (!progress_.findings.empty()) due = std::min(due, progress_.findings.front().slot);
  if (progress_.folded == INT64_MIN) return due;
  if (!progress_.leftovers.empty() || !progress_.jobs.empty()) return progress_.folded + 1;
  return std::min(due, (floor_div(progress_.folded, kDaySlots) + 1) * kDaySlots);
}

Status TickRunner::advance(TickId before, bool& more) {
  more = false;
  if (progress_.folded == INT64_MIN) return {};  // nothing can be due before the first event
  // Ticks (slot, 0) with slot < bound come before `before`.
  const int64_t bound = before.sub > 0 ? before.slot + 1 : before.slot;
  for (int ticks = 0; ticks < 64; ++ticks) {
    int64_t slot;
    if (Status status = timers_.next(bound, slot); !status.ok()) return status;
    if (!progress_.findings.empty()) slot = std::min(slot, progress_.findings.front().slot);
    if (!progress_.leftovers.empty() || !progress_.jobs.empty()) slot = std::min(slot, progress_.folded + 1);
    slot = std::min(slot, (floor_div(progress_.folded, kDaySlots) + 1) * kDaySlots);
    if (slot >= bound) return {};
    if (Status status = run({slot, 0}, {}); !status.ok()) return status;
  }
  more = true;
  return {};
}

Status TickRunner::run(TickId tick, std::span<Record* const> records) {
  BELLWETHER_REQUIRE(!progress_.begun || progress_.tick < tick, "tick (%lld, %u) after (%lld, %u)",
                     static_cast<long long>(tick.slot), tick.sub, static_cast<long long>(progress_.tick.slot),
                     progress_.tick.sub);
  if (Status status = learn_erasures(tick, records); !status.ok()) return status;
  progress_.tick = tick;
  progress_.begun = true;
  size_t facts = 0;
  for (const Record* record : records) {
    if (consumed_.size() <= record->partition) consumed_.resize(record->partition + 1);
    ++consumed_[record->partition];
    if (record->reason == Reason::kNone) {
      ++facts;
    } else {
      dead(tick, *record);
    }
  }
  // A tick of dead letters only is none to the operators: else a record that says nothing would move their time.
  if (facts == 0 && !records.empty()) {
    int64_t slot = kNoTimer;
    if (progress_.folded == INT64_MIN || tick.sub > 0) return {};
    if (Status status = timers_.next(tick.slot + 1, slot); !status.ok()) return status;
    slot = std::min(slot, next_due());
    if (slot > tick.slot) return {};
  }
  if (Status status = begin(tick, records); !status.ok()) return status;
  if (Status status = rounds(); !status.ok()) return status;
  return finish();
}

// Whoever is woken was not heard of for long: their state is in no cache of the processor. As fetch_ahead(), by timers.
void TickRunner::fetch_woken() {
  if (const TimerKey* timer = timers_.ahead(8)) shard(timer->state.key.hash).cache().fetch_place(timer->state);
  ++woken_at_;
  CacheSlot*& slot = woken_[(woken_at_ + 6) % woken_.size()];
  const TimerKey* timer = timers_.ahead(6);
  slot = timer == nullptr ? nullptr : shard(timer->state.key.hash).cache().look(timer->state);
  StateCache::fetch_slot(slot);
  StateCache::fetch_state(woken_[(woken_at_ + 4) % woken_.size()]);
  StateCache::fetch_inside(woken_[(woken_at_ + 2) % woken_.size()]);
}

Status TickRunner::begin(TickId tick, std::span<Record* const> records) {
  ++env_.number;
  env_.tick = tick;
  const uint16_t version = version_at(tick.slot);
  if (std::exchange(env_.version, version) != version) look_at_tiers();
  engine_sequence_ = 0;
  const int64_t now_us = tick.slot * kSlotUs;

  due_.clear();
  if (tick.sub == 0) {
    int64_t slot;
    if (Status status = timers_.next(tick.slot + 1, slot); !status.ok()) return status;
    if (slot != kNoTimer) {
      BELLWETHER_REQUIRE(slot == tick.slot, "a timer of slot %lld was passed over", static_cast<long long>(slot));
      timers_.take(slot, due_);
      fetch_woken();
    }
  }
  const int64_t hour = floor_div(tick.slot, kHourSlots);
  if (hour != progress_.hour) {
    for (const Operator* op : hourly_) {
      const StateKey key{op->id(), kEngineCommunityKey};
      if (std::find(due_.begin(), due_.end(), key) == due_.end()) due_.push_back(key);
    }
    progress_.hour = hour;
  }
  for (const StateKey& key : due_) {
    Work& work = shard(key.key.hash).inbox().emplace_back();
    work.op_kind = key.op_kind(), work.hash = key.key.hash;
    work.item.kind = Item::Kind::kTimer, work.item.time_us = now_us;
  }
  for (Record* record : records) {
    if (record->reason != Reason::kNone) continue;
    Work& work = shard(record->home.hash).inbox().emplace_back();
    work.op_kind = StateKey{operators_.home(record->home.kind), record->home}.op_kind(), work.hash = record->home.hash;
    work.item.kind = Item::Kind::kFact, work.item.time_us = record->time_us, work.item.id_hash = record->id_hash;
    work.item.fact = record;
  }
  if (!progress_.leftovers.empty()) {
    for (const StoredMessage& message : std::exchange(progress_.leftovers, {})) engine_message(message);
  }
  if (!progress_.findings.empty() && progress_.findings.front().slot <= tick.slot) {
    auto& findings = progress_.findings;
    const auto due = std::find_if(findings.begin(), findings.end(), [&](const auto& f) { return f.slot > tick.slot; });
    for (auto it = findings.begin(); it != due; ++it) {
      it->sequence = engine_sequence_++;
      engine_message(*it);
    }
    findings.erase(findings.begin(), due);
  }
  if (!erased_now_.empty())
    if (Status status = say_flags_anew(); !status.ok()) return status;
  return progress_.jobs.empty() ? Status{} : slice_jobs();
}

void TickRunner::engine_message(const StoredMessage& message) {
  Shard& to = shard(message.to.key.hash);
  Work& work = to.next().emplace_back();
  work.op_kind = message.to.op_kind(), work.hash = message.to.key.hash;
  work.item = {Item::Kind::kMessage, message.sender.op, message.sender.key,      message.sequence, message.time_us,
               message.id_hash,      nullptr,           to.keep(message.payload)};
}

Status TickRunner::slice_jobs() {
  const char recheck = static_cast<char>(MessageKind::kRecheck);
  size_t left = options_.job_rows;
  while (!progress_.jobs.empty() && left > 0) {
    RecheckJob& job = progress_.jobs.front();
    rows_.clear();
    if (Status status = index_.scan(job.next, job.high, left, rows_); !status.ok()) return status;
    for (const IndexKey& row : rows_) {
      StoredMessage message;
      message.to = {OperatorId::kScores, row.key};
      message.sequence = engine_sequence_++;
      message.time_us = env_.tick.slot * kSlotUs;
      message.payload.assign(1, recheck);
      engine_message(message);
    }
    const bool done = rows_.size() < left;
    left -= rows_.size();
    if (done) {
      progress_.jobs.erase(progress_.jobs.begin());
      continue;
    }
    job.next = rows_.back();
    if (++job.next.key.hash == 0) job.next.key.kind = static_cast<KeyKind>(static_cast<uint8_t>(job.next.key.kind) + 1);
  }
  return {};
}

Status TickRunner::rounds() {
  for (int round = 0; round < kRoundsMax; ++round) {
    size_t items = 0;
    for (const auto& shard : shards_) items += shard->inbox().size();
    if (items == 0 && round > 0) return {};
    const bool parallel = options_.threads > 1 && items >= options_.parallel_items;
    if (parallel) {
      for (auto& shard : shards_) shard->set_direct(false);
      pool_.run(shards_.size(), [this](size_t s) { shards_[s]->fold_round(); });
      for (auto& from : shards_) {
        for (const Work& work : from->sent()) shard(work.hash).next().push_back(work);
        from->sent().clear();
        from->set_direct(true);
      }
    } else {
      for (auto& shard : shards_) shard->fold_round();
    }
    if (Status status = failure(); !status.ok()) return status;
    for (auto& shard : shards_) std::swap(shard->inbox(), shard->next());
  }
  leave_over();
  return {};
}

void TickRunner::leave_over() {
  for (auto& shard : shards_) {
    for (const Work& work : shard->inbox()) {
      const Item& item = work.item;
      progress_.leftovers.push_back({0,
                                     work.to(),
                                     {item.sender, item.sender_key},
                                     item.sequence,
                                     item.time_us,
                                     item.id_hash,
                                     std::string(item.payload)});
    }
    shard->inbox().clear();
  }
}

Status TickRunner::finish() {
  std::vector<StoredMessage> found;
  const Cutoffs before = progress_.cutoffs;
  Cutoffs after = before;
  for (auto& shard : shards_) {
    Shard::Effects& effects = shard->effects();
    for (const auto& [id, delta] : effects.counts) counters_.add(id, delta);
    for (const auto& [key, present] : effects.index) index_.set(key, present);
    for (const auto& change : effects.timers) timers_.change(change.key, change.from, change.to);
    for (const auto& out : effects.out) emit(out);
    for (const Cutoffs& cutoffs : effects.cutoffs) after = cutoffs;
  }
  for (auto& shard : shards_) {
    for (const Shard::Analysis& analysis : shard->effects().analyses) {
      StoredMessage message;
      message.slot = env_.tick.slot + kMinuteUs / kSlotUs;
      message.to = analysis.sender;
      message.time_us = message.slot * kSlotUs;
      message.payload = operators_.analyse()(analysis.input, *this);
      found.push_back(std::move(message));
    }
  }
  if (Status status = failure(); !status.ok()) return status;
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.to < b.to; });
  for (StoredMessage& message : found) progress_.findings.push_back(std::move(message));  // slots rise with ticks
  if (after.version != before.version || after.cell != before.cell) {
    progress_.cutoffs = after;
    start_jobs(before, after);
  }
  progress_.folded = env_.tick.slot;
  ++progress_.ticks;
  for (auto& shard : shards_) shard->end_tick();
  return {};
}

void TickRunner::start_jobs(const Cutoffs& before, const Cutoffs& after) {
  for (size_t tier = 0; tier < after.cell.size(); ++tier) {
    if (before.cell[tier] == after.cell[tier]) continue;
    RecheckJob job;
    job.tier = static_cast<uint8_t>(tier);
    job.high = std::max(before.cell[tier], after.cell[tier]);
    job.next = {static_cast<uint8_t>(IndexId::kProfileBoards),
                std::min(before.cell[tier], after.cell[tier]),
                {KeyKind::kEvent, 0}};
    auto& jobs = progress_.jobs;
    const auto same = std::find_if(jobs.begin(), jobs.end(), [&](const RecheckJob& j) {
      return j.tier == job.tier && j.next.index == job.next.index;
    });
    if (same == jobs.end()) {
      jobs.push_back(job);
    } else {  // one walk over both ranges
      same->next = std::min(same->next, job.next);
      same->high = std::max(same->high, job.high);
    }
  }
}

// By other rules than those by which they were told when to be looked at next.
void TickRunner::look_at_tiers() {
  for (const Tier tier : {Tier::kContributor, Tier::kKey, Tier::kLead}) {
    RecheckJob job;
    job.tier = static_cast<uint8_t>(tier);
    job.next = {static_cast<uint8_t>(static_cast<uint8_t>(IndexId::kUsersByTier) + job.tier), 0, {KeyKind::kEvent, 0}};
    std::erase_if(progress_.jobs, [&](const RecheckJob& j) { return j.next.index == job.next.index; });
    progress_.jobs.push_back(job);
  }
}

const State* TickRunner::state(OperatorId op, Key key) {
  const State* out = nullptr;
  Shard& home = shard(key.hash);
  home.cache().evict(committed_);  // a look reads many
  if (Status status = home.cache().peek({op, key}, out); !status.ok()) home.fail(std::move(status));
  return out;
}

std::string TickRunner::block(OperatorId op, Key key, int64_t day, uint32_t number) {
  return shard(key.hash).block({op, key}, day, number);
}

}  // namespace bellwether

#include "pipeline/engine/ingest.h"

#include <xxhash.h>

#include <algorithm>

#include "operators/erased.h"
#include "pipeline/engine/check.h"
#include "pipeline/engine/keys.h"

namespace bellwether {
namespace {

constexpr int64_t kLookUs = 5'000;        // an empty partition is looked at again after so long while others are busy
constexpr int64_t kPauseUs = 10'000'000;  // nobody looked for so long: how long a partition was empty is not known
constexpr int64_t kNearUs = 1'000'000;
constexpr int64_t kFiguresUs = 100'000;
constexpr size_t kFullBatch = 64;  // records a poll of a partition that was empty, while memory is full

// The last tick before `t`, or one that is not there but sorts so.
TickId tick_before(TickId t) { return t.sub > 0 ? TickId{t.slot, t.sub - 1} : TickId{t.slot - 1, UINT32_MAX}; }

}  // namespace

Ingest::Ingest(const IngestOptions& options, const Hasher& hasher, std::vector<IngestSource> sources,
               const ControlLog& control, const std::vector<PartitionState>& known, TickId committed)
    : options_(options),
      sources_(std::move(sources)),
      decoder_(hasher),
      schedule_(options.limits, committed),
      found_(known.size()),
      known_(known),
      next_control_(control.next),
      fresh_(known.empty()),
      committed_(committed),
      closed_(committed) {
  for (const auto& [number, row] : control.floors) old_floors_[row.partition].emplace_back(number, row);
  for (const GapRow& row : control.gaps) gaps_[row.partition].push_back(row);
}

Status Ingest::refresh(bool first) {
  for (size_t s = 0; s < sources_.size(); ++s) {
    if (Status status = sources_[s].source->refresh(); !status.ok()) return status;
    const auto& there = sources_[s].source->partitions();
    for (size_t local = sources_[s].joined; local < there.size(); ++local)
      if (Status status = join(s, local, first); !status.ok()) return status;
    sources_[s].joined = there.size();
  }
  return {};
}

Status Ingest::join(size_t source, size_t local, bool first) {
  Partition p;
  p.source = source, p.local = local;
  p.id = sources_[source].source->partitions()[local];
  p.live = sources_[source].live;
  const auto known = std::find_if(known_.begin(), known_.end(), [&](const PartitionState& k) { return k.id == p.id; });
  const bool is_new = known == known_.end();
  RestartPoint at;
  // Known, it is a promise from here on: what is deleted before it was read is a gap.
  const int64_t first_offset = sources_[source].source->first_offset(local);
  if (is_new) {
    at.next_offset = std::max<int64_t>(first_offset, 0);
    p.number = static_cast<uint32_t>(known_.size());
    p.append_us = p.live ? -1 : options_.file_append_us;
    known_.push_back({p.id, at, p.append_us, {}, 0, {}, 0});
    found_.push_back(true);
    joined_.push_back(p.id), joined_append_us_.push_back(p.append_us);
  } else {
    p.number = static_cast<uint32_t>(known - known_.begin());
    p.append_us = known->append_us;
    at = known->at;
    p.read_to = known->read_to;
    found_[p.number] = true;
    sources_[source].source->expect(local, known->bookmark);
  }
  p.next_offset = at.next_offset;
  floor_stands_since_ = options_.clock_us();
  if (at.newest_us > newest_us_) newest_us_ = at.newest_us, newest_read_at_ = floor_stands_since_;
  const TickId open = schedule_.first_open();  // before it joins
  const size_t index = schedule_.add_partition(at);
  // Of the floors not after the next offset only the highest counts.
  int64_t slot = INT64_MIN;
  for (const auto& [number, row] : old_floors_[p.id]) {
    if (row.from_offset <= at.next_offset) {
      slot = std::max(slot, row.slot);
    } else {
      schedule_.add_floor(index, row.from_offset, row.slot);
    }
    p.floor = row, p.floor_number = number;
    highest_floor_ = std::max(highest_floor_, row.slot);
  }
  if (slot != INT64_MIN) schedule_.add_floor(index, at.next_offset, slot), p.floor_slot = slot;
  old_floors_.erase(p.id);
  const bool read_all = p.next_offset >= p.read_to;
  partitions_.push_back(std::move(p));
  // One that nobody knew must not open again what is closed; nor one that is found later than the others.
  // A known one with records to pass over was waited for: nothing is closed that it may hold.
  if ((is_new && !fresh_) || (!first && read_all)) {
    const TickId least = std::max(open, closed_);
    tell_ = true;  // what was closed without it must be so for whoever replays
    add_floor(partitions_.back(), index,
              least.slot == INT64_MIN ? INT64_MIN : least.slot + (least.sub > 0 || least == committed_ ? 1 : 0));
  }
  return sources_[source].source->start(local, at.next_offset == 0 && first_offset < 0 ? -1 : at.next_offset);
}

// A partition of which more was folded than its restart point covers cannot be given a floor before it was read up to
// there: a floor would fall on records that were folded without it, and they would be counted twice.
bool Ingest::waits_for_known() const {
  for (size_t i = 0; i < known_.size(); ++i)
    if (!found_[i] && known_[i].at.next_offset < known_[i].read_to) return true;
  return false;
}

// The clock was set back: what was measured by it keeps its length, and nobody waits until the clock is there again.
void Ingest::set_back(int64_t us) {
  for (Partition& p : partitions_) {
    p.polled_at -= us, p.at_end_at -= us;
    if (p.empty_since >= 0) p.empty_since = std::max<int64_t>(0, p.empty_since - us);
    if (p.holds_since >= 0) p.holds_since = std::max<int64_t>(0, p.holds_since - us);
  }
  newest_read_at_ -= us;
  floor_stands_since_ -= us;
}

// While as much is held as may be, only that is read without which nothing closes: the partition that everybody waits
// for. Others stay where they are, so which tick a record belongs to does not hear of it. One that was empty is looked
// at all the same, a few records at a time, for it must be seen to be idle or not.
bool Ingest::may_poll(size_t index) const {
  if (!schedule_.may_poll(index)) return false;
  return held_bytes() < options_.held_bytes || schedule_.is_lowest(index) || partitions_[index].empty_since >= 0;
}

int Ingest::pick(int64_t now) {
  int busy = -1, empty = -1;
  for (int i = 0; i < static_cast<int>(partitions_.size()); ++i) {
    const Partition& p = partitions_[i];
    if (p.finished || !may_poll(i)) continue;
    if (p.empty_since < 0) {
      if (busy < 0 || schedule_.low_slot(i) < schedule_.low_slot(busy)) busy = i;
    } else {
      if (empty < 0 || p.polled_at < partitions_[empty].polled_at) empty = i;
    }
  }
  if (busy < 0 || empty < 0) return busy >= 0 ? busy : empty;
  // Turns, where polls take longer than that.
  const int64_t looked_at = partitions_[empty].polled_at;
  return now - looked_at >= kLookUs && partitions_[busy].polled_at >= looked_at ? empty : busy;
}

Status Ingest::poll(Partition& p, size_t index, int64_t now) {
  const bool was_empty = p.empty_since >= 0;
  bool others_busy = false;
  for (const Partition& q : partitions_) others_busy |= &q != &p && !q.finished && q.empty_since < 0;
  int wait = 0;
  if (was_empty && !others_busy && options_.wait_ms > 0)
    wait = std::max(1, options_.wait_ms / static_cast<int>(partitions_.size()));
  size_t most = options_.batch;
  if (held_bytes() >= options_.held_bytes && !schedule_.is_lowest(index)) most = std::min(most, kFullBatch);
  if (Status status = sources_[p.source].source->poll(p.local, most, wait, batch_); !status.ok()) return status;
  if (now - p.polled_at >= kPauseUs) p.empty_since = -1;
  p.polled_at = now;
  p.at_end = batch_.at_end;
  if (p.at_end) p.at_end_at = now;
  p.seen |= p.at_end || !batch_.records.empty();
  if (batch_.records.empty()) {
    if (p.empty_since < 0) p.empty_since = now;
  } else {
    p.empty_since = -1;
    p.idle = false;
    floor_stands_since_ = now;
    place(p, index);
  }
  int64_t next = std::max(p.next_offset, batch_.next_offset);
  if (p.end_target >= 0) next = std::min(next, std::max(p.end_target, p.next_offset));
  if (batch_.gap_from < batch_.gap_to) {
    pass_gap(p, index, batch_.gap_from, batch_.gap_to);
  } else if (next > p.next_offset) {
    p.next_offset = next, schedule_.passed(index, next);
  }
  if (batch_.ended) p.finished = true;
  batch_.clear();  // the source's buffers are its own again
  arena_.clear();
  return {};
}

// The operator's order to go on behind records that are gone is input: a row of the control log. What was lost would
// have raised the watermark, so a floor takes its place, above every tick that holds or held a record of the partition
// from before the gap. Then no tick holds records of both sides, and a restart from before the gap, where its records
// are gone too, finds none from behind it in a tick that is committed.
void Ingest::pass_gap(Partition& p, size_t index, int64_t from, int64_t to) {
  auto& rows = gaps_[p.id];
  // Told before a restart: its floor stands, and records behind it may be folded already. A second floor would fold
  // them again.
  for (const GapRow& row : rows) {
    if (row.from > from || row.to != to) continue;
    p.next_offset = to;
    schedule_.passed(index, to);
    return;
  }
  // Of the records that are left below read_to some were folded and some not, and what told them apart is gone.
  to = std::max(to, p.read_to);
  int64_t slot = schedule_.low_slot(index);
  if (schedule_.newest_us(index) != INT64_MIN) slot = std::max(slot, slot_of(schedule_.newest_us(index)));
  if (committed_.slot != INT64_MIN) slot = std::max(slot, committed_.slot);
  p.next_offset = to;
  schedule_.passed(index, to);
  if (slot != INT64_MIN) add_floor(p, index, slot + 1);
  const GapRow row{p.id, from, to};
  rows.push_back(row);
  known_[p.number].gap = gap_offsets(rows);
  new_gaps_.push_back({next_control_++, encode(row)});
}

void Ingest::set_erased(std::shared_ptr<const Erased> erased) {
  const std::lock_guard lock(erased_mutex_);
  erased_told_ = std::move(erased);
  erased_count_.store(erased_told_->size(), std::memory_order_release);
}

void Ingest::place(Partition& p, size_t index) {
  const size_t erased = erased_count_.load(std::memory_order_acquire);
  if (erased != (erased_ == nullptr ? 0 : erased_->size())) {
    const std::lock_guard lock(erased_mutex_);
    erased_ = erased_told_;
  }
  Record& record = record_;
  for (const RawRecord& raw : batch_.records) {
    if (p.end_target >= 0 && raw.offset >= p.end_target) break;
    if (raw.offset < p.next_offset) continue;  // handed out again: the same record, read already
    p.next_offset = raw.offset + 1;
    record = Record{};
    record.offset = raw.offset;
    record.partition = p.number;
    record.reason = decoder_.decode(raw.value, arena_, record, &detail_);
    if (record.reason == Reason::kNone) {
      record.erases = std::holds_alternative<ErasureFact>(record.body);
      if (erased_ != nullptr) forget(record, *erased_), record.erased = static_cast<uint32_t>(erased_->size());
    }
    Placed placed;
    if (record.reason != Reason::kNone) {
      placed = schedule_.place_dead(index, raw.offset);
    } else {
      placed = schedule_.place(index, raw.offset, record.time_us, raw.append_us >= 0 ? raw.append_us : p.append_us);
      if (placed.placement == Placement::kFuture) {
        record.reason = Reason::kFuture;
        detail_ = "time is too far after the time at which the record was appended";
      } else if (placed.placement == Placement::kExpired) {
        record.reason = Reason::kExpired;
        detail_ = "the day of the event has left the score window";
      } else {
        record.time_us = placed.trusted_us;
        record.late = placed.placement == Placement::kLate;
      }
      if (p.let_go && !record.late && record.reason == Reason::kNone) p.let_go = false, p.holds_since = -1;
      if (schedule_.newest_us(index) > newest_us_)
        newest_us_ = schedule_.newest_us(index), newest_read_at_ = p.polled_at;
    }
    if (placed.placement == Placement::kSkip) continue;  // committed before the restart
    record.raw_bytes = raw.value.size();
    if (record.reason != Reason::kNone) {
      record.raw = raw.value, record.detail = detail_;
    } else {
      record.content = XXH3_64bits(raw.value.data(), raw.value.size());
    }
    hold(record, placed.tick);
  }
}

void Ingest::hold(const Record& record, TickId tick) {
  if (last_held_ == nullptr || tick != last_tick_) {
    std::unique_ptr<HeldTick>& held = open_[tick];
    if (held == nullptr) held = std::make_unique<HeldTick>(held_);
    last_tick_ = tick, last_held_ = held.get();
  }
  last_held_->add(record);
  pending_.fetch_add(1, std::memory_order_relaxed);
}

void Ingest::add_floor(Partition& p, size_t index, int64_t slot) {
  if (slot <= kFirstSlot || slot <= schedule_.low_slot(index)) return;
  schedule_.add_floor(index, p.next_offset, slot);
  if (p.floor_number == 0 || p.floor.from_offset != p.next_offset) {
    // What was read meanwhile was placed by the floor before: that one is input too, though it closed nothing yet.
    if (p.floor_changed) raised_.push_back({p.floor_number, encode(p.floor)});
    p.floor_number = next_control_++;
    p.floor = {p.id, p.next_offset, slot};
  }
  p.floor.slot = p.floor_slot = slot;
  p.floor_changed = true;
  if (slot > highest_floor_) highest_floor_ = slot, floor_stands_since_ = options_.clock_us();
}

bool Ingest::quiet_due(int64_t now, int64_t& slot) const {
  // As in floors(): what counts is when emptiness was seen, not what the clock says since.
  for (const Partition& p : partitions_) {
    if (p.finished || p.let_go) continue;
    if (p.empty_since < 0 || !p.at_end || p.next_offset < p.read_to || p.polled_at - p.empty_since < options_.quiet_us)
      return false;
    now = std::min(now, p.polled_at);
  }
  if (newest_us_ == INT64_MIN) {  // nothing but dead letters
    slot = kFirstSlot + 1;
    return !open_.empty();
  }
  slot = slot_of(newest_us_ + std::max<int64_t>(0, now - newest_read_at_) - options_.limits.lateness_us);
  // What comes after a silence may be older than the floor that the silence raised (a verdict carries the time of the
  // last tick): it stands in the floor's tick, which the newest event's time alone would close much later.
  if (highest_floor_ > INT64_MIN)
    slot = std::max(slot, highest_floor_ + std::max<int64_t>(0, now - floor_stands_since_) / kSlotUs);
  int64_t due = next_due_.load(std::memory_order_relaxed);
  if (!open_.empty()) due = std::min(due, open_.begin()->first.slot);
  return due < slot;
}

// Behind an earlier end's floor (a file that has grown, a second --until-end) a record may stand in a tick that its own
// time does not reach: that tick must be over too, or the record would wait for ever in a run that says it is done.
int64_t Ingest::end_slot() const {
  const int64_t slot = newest_us_ == INT64_MIN ? kFirstSlot + 1 : slot_of(newest_us_ + kEndFloorUs);
  return open_.empty() ? slot : std::max(slot, open_.rbegin()->first.slot + 1);
}

// A partition is a laggard while it stands lowest and another one has something that waits for it; after `max_lag` of
// that it is let go: as one that is idle it gets floors, and what it brings too late is late.
void Ingest::let_go_laggards(int64_t now) {
  int64_t lowest = INT64_MAX;
  for (size_t i = 0; i < partitions_.size(); ++i)
    if (!partitions_[i].finished && !partitions_[i].idle) lowest = std::min(lowest, schedule_.low_slot(i));
  bool waited_for = false;
  for (size_t i = 0; i < partitions_.size() && !waited_for; ++i)
    waited_for =
        !partitions_[i].finished && schedule_.low_slot(i) > lowest && (schedule_.held(i) > 0 || !schedule_.may_poll(i));
  for (size_t i = 0; i < partitions_.size(); ++i) {
    Partition& p = partitions_[i];
    if (p.let_go || p.next_offset < p.read_to) continue;
    if (!waited_for || p.finished || p.idle || !p.live || schedule_.low_slot(i) > lowest) {
      p.holds_since = -1;
      continue;
    }
    if (p.holds_since < 0) p.holds_since = now;
    p.let_go = now - p.holds_since >= options_.max_lag_us;
  }
}

void Ingest::floors(int64_t now) {
  if (partitions_.empty()) return;
  if (options_.floors && !options_.until_end && options_.max_lag_us > 0) let_go_laggards(now);
  int64_t lowest = INT64_MAX;
  size_t active = 0, unfinished = 0;
  bool stuck = true;  // none of those that are waited for may be polled
  for (size_t i = 0; i < partitions_.size(); ++i) {
    Partition& p = partitions_[i];
    if (p.live && options_.until_end && !p.finished) {
      if (p.end_target < 0) p.end_target = sources_[p.source].source->end_offset(p.local);
      p.finished = p.seen && p.end_target >= 0 && p.next_offset >= p.end_target;
    }
    if (p.finished) continue;
    ++unfinished;
    // How long it was seen empty: after a pause of the program nobody knows what came meanwhile.
    const int64_t empty = p.empty_since < 0 ? -1 : p.polled_at - p.empty_since;
    if (options_.floors && !options_.until_end && p.live) {
      p.idle = p.next_offset >= p.read_to && (p.let_go || (p.at_end && empty >= options_.idle_us));
    }
    if (p.idle) continue;
    ++active;
    stuck &= !may_poll(i);
    lowest = std::min(lowest, schedule_.low_slot(i));
  }
  if (unfinished == 0) {
    if (ended_) return;
    ended_ = true;
    for (size_t i = 0; i < partitions_.size(); ++i) add_floor(partitions_[i], i, end_slot());
    return;
  }
  if (active > 0 && active < partitions_.size() && lowest > INT64_MIN) {
    // One that has ended holds nobody up at all. An idle one stands where the lowest stands, and only gives way where
    // that one has more records in its slot than may be held.
    for (size_t i = 0; i < partitions_.size(); ++i) {
      const Partition& p = partitions_[i];
      // After a restart the lowest may stand at the last floor already: nothing is raised past that.
      if (p.finished) add_floor(partitions_[i], i, std::min(lowest + 1, end_slot()));
      if (p.idle) add_floor(partitions_[i], i, lowest + (stuck ? 1 : 0));
    }
  }
  int64_t slot;
  if (options_.floors && !options_.until_end && quiet_due(now, slot))
    for (size_t i = 0; i < partitions_.size(); ++i) add_floor(partitions_[i], i, slot);
}

// A partition that an earlier run read and that is not there now holds nobody up. That is a decision like any other:
// what closes without it is written as its floor.
void Ingest::pass_absent(Chunk& chunk) {
  const int64_t slot = closed_.slot + (closed_.sub > 0 ? 1 : 0);
  for (size_t i = 0; i < known_.size(); ++i) {
    if (found_[i] || slot <= kFirstSlot) continue;
    auto& rows = old_floors_[known_[i].id];
    const int64_t from = known_[i].at.next_offset;
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.second.from_offset == from; });
    if (row != rows.end() && row->second.slot >= slot) continue;
    if (row == rows.end()) {
      rows.emplace_back(next_control_++, FloorRow{known_[i].id, from, slot});
      chunk.control.push_back({rows.back().first, encode(rows.back().second)});
    } else {
      row->second.slot = slot;
      chunk.control.push_back({row->first, encode(row->second)});
    }
  }
}

std::unique_ptr<Chunk> Ingest::close() {
  const TickId open = schedule_.first_open();
  bool changed = !joined_.empty();
  for (const Partition& p : partitions_) changed |= p.floor_changed;
  // A gap is told at once: whoever restarts must not have to be told again.
  if (open <= closed_ && !(ended_ && changed) && new_gaps_.empty() && !tell_) return nullptr;
  tell_ = false;
  auto chunk = std::make_unique<Chunk>();
  closed_ = std::max(closed_, open);
  chunk->closed_before = closed_;
  pass_absent(*chunk);
  auto it = open_.begin();
  for (; it != open_.end() && it->first < closed_; ++it) {
    const auto& records = it->second->records();
    const auto begin = static_cast<uint32_t>(chunk->records.size());
    chunk->records.insert(chunk->records.end(), records.begin(), records.end());
    chunk->ticks.push_back({it->first, begin, static_cast<uint32_t>(chunk->records.size())});
    chunk->held.push_back(std::move(it->second));
  }
  open_.erase(open_.begin(), it);
  last_held_ = nullptr;
  pending_.fetch_sub(chunk->records.size(), std::memory_order_relaxed);
  for (size_t i = 0; i < partitions_.size(); ++i) {
    Partition& p = partitions_[i];
    if (closed_ == open && open.slot > INT64_MIN) known_[p.number].at = schedule_.restart_point(i, tick_before(open));
    PartitionState& known = known_[p.number];
    if (const Bookmark mark = sources_[p.source].source->bookmark(p.local, known.at.next_offset); mark.offset >= 0)
      known.bookmark = mark;
    if (!p.floor_changed) continue;
    p.floor_changed = false;
    chunk->control.push_back({p.floor_number, encode(p.floor)});
  }
  for (ControlRow& row : raised_) chunk->control.push_back(std::move(row));
  raised_.clear();
  for (ControlRow& row : new_gaps_) chunk->control.push_back(std::move(row));
  new_gaps_.clear();
  for (const PartitionState& known : known_) {
    chunk->restart.push_back(known.at);
    chunk->gaps.push_back(known.gap), chunk->bookmarks.push_back(known.bookmark);
  }
  chunk->partitions = std::move(joined_);
  chunk->append_us = std::move(joined_append_us_);
  joined_.clear(), joined_append_us_.clear();
  chunk->near_end = near_end_, chunk->made_at = clock_at_;
  return chunk;
}

Status Ingest::step(std::unique_ptr<Chunk>& chunk, bool& done, bool& waited) {
  done = waited = false;
  chunk.reset();
  if (Status status = refresh(!started_); !status.ok()) return status;
  started_ = true;
  if (waits_for_known()) {
    waited = true;
    return {};
  }
  const int64_t now = options_.clock_us();
  if (now < clock_at_) set_back(clock_at_ - now);
  clock_at_ = now;
  const int at = pick(now);
  if (at >= 0) {
    if (Status status = poll(partitions_[at], at, now); !status.ok()) return status;
  }
  waited = at < 0 || partitions_[at].empty_since >= 0;
  bool caught_up = true;
  near_end_ = true;
  for (const Partition& p : partitions_) {
    caught_up &= p.finished || (p.empty_since >= 0 && p.at_end);
    near_end_ &= p.finished || now - p.at_end_at < kNearUs;
  }
  caught_up_.store(caught_up, std::memory_order_relaxed);
  floors(now);
  chunk = close();
  done = ended_ || (sources_.empty() && partitions_.empty());
  publish(now);
  return {};
}

void Ingest::publish(int64_t now) {
  if (now - figures_at_ < kFiguresUs && !ended_ && figures_.size() == partitions_.size()) return;
  figures_at_ = now;
  const std::lock_guard lock(figures_mutex_);
  figures_.resize(partitions_.size());
  for (size_t i = 0; i < partitions_.size(); ++i) {
    const Partition& p = partitions_[i];
    figures_[i] = {p.id,
                   p.next_offset,
                   sources_[p.source].source->end_offset(p.local),
                   schedule_.watermark_us(i),
                   schedule_.newest_us(i),
                   p.floor_slot,
                   p.idle,
                   p.finished,
                   schedule_.held(i)};
  }
}

std::vector<PartitionFigures> Ingest::figures() const {
  const std::lock_guard lock(figures_mutex_);
  return figures_;
}

}  // namespace bellwether

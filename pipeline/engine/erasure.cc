#include "pipeline/engine/erasure.h"

#include <algorithm>
#include <chrono>

#include "pipeline/engine/cache.h"
#include "pipeline/engine/control.h"
#include "pipeline/engine/named_thread.h"
#include "pipeline/engine/out_rows.h"

namespace bellwether {
namespace {

constexpr auto kWait = std::chrono::milliseconds(50);

}  // namespace

std::shared_ptr<const Erased> erased_of(const ControlLog& control, const Hasher& hasher) {
  auto erased = std::make_shared<Erased>(hasher);
  for (const ErasureRow& row : control.erasures) erased->add(row.user, row.id_bytes);
  return erased;
}

Status take_erasures(const Store& from, Store& to, const Hasher& hasher) {
  ControlLog theirs, ours;
  if (Status status = read_control(from, theirs); !status.ok()) return status;
  if (Status status = read_control(to, ours); !status.ok()) return status;
  if (theirs.erasures.empty()) return {};
  std::string fixed, key_print;
  Status status;
  if (!from.get(Family::kMeta, keys::kFixed, fixed, status))
    return status.ok() ? Status::error("the folder whose erasures are to be kept has no fixed settings: it is damaged")
                       : status;
  for (Reader r(fixed); !r.done() && r.ok();) key_print = r.bytes();  // the last one
  if (key_print != hash_key_print(hasher))
    return Status::error(
        "the erasures to be kept were made with another community.hash_key, which their hashes depend on: set the "
        "same");
  Erased known(hasher);
  for (const ErasureRow& row : ours.erasures) known.add(row.user, row.id_bytes);
  auto set = to.new_write_set();
  for (const ErasureRow& row : theirs.erasures) {
    const uint64_t number = kErasureNumbers + known.size();
    if (known.add(row.user, row.id_bytes)) set->put(Family::kControl, keys::number(number), encode(row));
  }
  return to.write(*set, true);
}

void Eraser::start() {
  thread_ = named_thread("erase", [this] { run(); });
}

void Eraser::stop() {
  stop_.store(true);
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Eraser::run() {
  while (!stop_) {
    bool waits = false;
    const Status status = step(waits);
    if (!status.ok()) return;
    if (!waits) continue;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kWait, [this] { return stop_.load(); });
  }
}

Status Eraser::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::vector<RowName> Eraser::take(size_t most) {
  const std::lock_guard lock(mutex_);
  const size_t n = std::min(most, todo_.size());
  std::vector<RowName> rows(std::make_move_iterator(todo_.end() - static_cast<ptrdiff_t>(n)),
                            std::make_move_iterator(todo_.end()));
  todo_.resize(todo_.size() - n);
  if (todo_.empty() && say_done_ == 0) taken_ = true, has_work_.store(false, std::memory_order_release);
  return rows;
}

bool Eraser::says_done(uint64_t& done) {
  const std::lock_guard lock(mutex_);
  if (say_done_ == 0) return false;
  done = std::exchange(say_done_, 0);
  if (todo_.empty()) taken_ = true, has_work_.store(false, std::memory_order_release);
  return true;
}

void Eraser::committing(uint64_t flight) {
  const std::lock_guard lock(mutex_);
  if (taken_) taken_ = false, carried_by_ = flight;
}

void Eraser::hand(std::vector<RowName> rows, uint64_t done) {
  const std::lock_guard lock(mutex_);
  todo_ = std::move(rows), say_done_ = done;
  carried_by_ = 0, taken_ = false;
  has_work_.store(true, std::memory_order_release);
}

bool Eraser::landed(const Published& at) {
  const std::lock_guard lock(mutex_);
  return carried_by_ != 0 && at.number() >= carried_by_;
}

// Every row that reads otherwise without the names.
Status Eraser::walk(const Published& at, std::vector<RowName>& rows) {
  const Snapshot& snapshot = at.snapshot();
  const Erased& erased = at.erased();
  Status broken;
  Status status = snapshot.scan(Family::kState, {}, {}, [&](std::string_view bytes, std::string_view value) {
    StateKey key;
    const Operator* const op = keys::parse_state(bytes, key) ? at.operators().find(key.op) : nullptr;
    if (op == nullptr) return !stopping();
    int64_t timer;
    std::unique_ptr<State> state;
    if (!decode_state_row(*op, value, timer, &state)) {
      broken = Status::error("a state cannot be read: the store is damaged");
      return false;
    }
    if (state->forget(key.key, erased)) rows.push_back({Family::kState, std::string(bytes)});
    return !stopping();
  });
  std::string out;
  const auto views = [&](std::string_view key, std::string_view value) {
    OutKind kind;
    ChangeId id;
    DeadKey dead;
    if (keys::parse_change(key, kind, id)
            ? forget_row(static_cast<uint8_t>(kind), id, value, erased, out)
            : keys::parse_dead(key, dead) && forget_row(kOutDeadLetter, {}, value, erased, out))
      rows.push_back({Family::kViews, std::string(key)});
    return !stopping();
  };
  if (status.ok()) status = snapshot.scan(Family::kViews, {}, {}, views);
  const auto outbox = [&](std::string_view key, std::string_view value) {
    bool named = false;
    each_out_row(key, value, [&](const OutRow& row) {
      named = forget_row(row.kind, row.id, row.payload, erased, out);
      return !named;
    });
    if (named) rows.push_back({Family::kOutbox, std::string(key)});
    return !stopping();
  };
  if (status.ok()) status = snapshot.scan(Family::kOutbox, {}, {}, outbox);
  return status.ok() ? broken : status;
}

Status Eraser::step(bool& waits) {
  waits = false;
  const auto stop = [this] { return stopping(); };
  const auto fail = [this](Status status) {
    const std::lock_guard lock(mutex_);
    failure_ = status;
    if (deps_.say)
      deps_.say("an erasure could not be finished, it is begun again at the next start: " + status.message);
    return status;
  };
  if (Status failed = failure(); !failed.ok()) {
    waits = true;
    return failed;
  }
  const std::shared_ptr<const Published> at = deps_.published();
  Status status;
  switch (phase_) {
    case Phase::kIdle: {
      if (at == nullptr || at->erased().size() <= done_.load()) {
        waits = true;
        return {};
      }
      batch_ = at->erased().size();
      names_.clear();
      status = at->snapshot().scan(Family::kMeta, keys::erasing_begin(), keys::erasing_end(),
                                   [this](std::string_view, std::string_view name) {
                                     names_.emplace_back(name);
                                     return true;
                                   });
      phase_ = Phase::kLog;
      break;
    }
    case Phase::kLog:
      if (deps_.drop_old) status = deps_.drop_old();
      if (status.ok() && deps_.rewrite_log) status = deps_.rewrite_log(at->shared_erased(), names_, stop);
      phase_ = Phase::kWalk;
      break;
    case Phase::kWalk: {
      std::vector<RowName> rows;
      status = walk(*at, rows);
      if (stopping()) return {};
      hand(std::move(rows), 0);
      phase_ = Phase::kRows;
      break;
    }
    case Phase::kRows:
      waits = !landed(*at);
      if (!waits) phase_ = Phase::kBrokers;
      break;
    case Phase::kBrokers: {
      bool there = false;
      status = at->scan_outbox(0, [&](uint64_t, uint8_t kind, const ChangeId&, std::string_view) {
        there = kind == kOutTombstone;
        return !there;
      });
      waits = there;
      waits_outside_.store(there);
      if (!there) phase_ = Phase::kFiles;
      break;
    }
    case Phase::kFiles: {
      static constexpr Family kNamed[] = {Family::kState, Family::kViews, Family::kOutbox};
      status = store_.purge(kNamed, at->snapshot().sequence(), stop, waits);
      if (stopping()) return {};
      if (!waits) phase_ = Phase::kNames;
      break;
    }
    case Phase::kNames: {
      std::vector<RowName> rows;
      status = at->snapshot().scan(Family::kMeta, keys::erasing_begin(), keys::erasing_end(),
                                   [&](std::string_view key, std::string_view name) {
                                     // One that came meanwhile is of the next turn.
                                     if (std::find(names_.begin(), names_.end(), name) != names_.end())
                                       rows.push_back({Family::kMeta, std::string(key)});
                                     return true;
                                   });
      hand(std::move(rows), 0);
      phase_ = Phase::kNamesGone;
      break;
    }
    case Phase::kNamesGone:
      waits = !landed(*at);
      if (!waits) phase_ = Phase::kMetaFiles;
      break;
    case Phase::kMetaFiles: {
      static constexpr Family kMeta[] = {Family::kMeta};
      status = store_.purge(kMeta, at->snapshot().sequence(), stop, waits);
      if (stopping()) return {};
      if (!waits) phase_ = Phase::kDone;
      break;
    }
    case Phase::kDone:
      hand({}, batch_);
      phase_ = Phase::kDoneGone;
      break;
    case Phase::kDoneGone:
      waits = !landed(*at);
      if (waits) break;
      done_.store(batch_);
      std::fill(names_.begin(), names_.end(), std::string());
      names_.clear();
      phase_ = Phase::kIdle;
      if (deps_.say)
        deps_.say("erased: no file of the data folder holds a name of the " + std::to_string(batch_) +
                  " erased so far");
      break;
  }
  return status.ok() ? status : fail(std::move(status));
}

}  // namespace bellwether

#include "pipeline/engine/commit.h"

#include <chrono>

#include "pipeline/engine/check.h"
#include "pipeline/engine/named_thread.h"

namespace bellwether {
namespace {

constexpr size_t kSpareBytes = 16 << 20;  // a set of less is let go: a service that has caught up needs no more

}  // namespace

Committer::Committer(Store& store, bool threaded) : store_(store), threaded_(threaded) {
  if (threaded_) thread_ = named_thread("commit", [this] { work(); });
}

Committer::~Committer() {
  if (!threaded_) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Committer::start(Job job) {
  {
    const std::lock_guard lock(mutex_);
    BELLWETHER_REQUIRE(!busy_, "two commits at once");
    job_ = std::move(job);
    busy_ = true;
  }
  changed_.notify_all();
}

bool Committer::busy(Status& status) {
  const std::lock_guard lock(mutex_);
  status = status_;
  return busy_;
}

Status Committer::settle() {
  if (!threaded_) land();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_; });
  return status_;
}

void Committer::land() {
  BELLWETHER_REQUIRE(!threaded_, "a commit on a thread of its own lands by itself");
  std::unique_lock lock(mutex_);
  if (busy_) perform(lock);
}

CommitFigures Committer::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

std::unique_ptr<WriteSet> Committer::empty_set() {
  {
    const std::lock_guard lock(mutex_);
    if (spare_) return std::move(spare_);
  }
  return store_.new_write_set();
}

void Committer::perform(std::unique_lock<std::mutex>& lock) {
  Job job = std::move(job_);
  lock.unlock();
  if (job.prepare) job.prepare(*job.set);
  const size_t rows = job.set->rows(), bytes = job.set->bytes();
  const auto begin = std::chrono::steady_clock::now();
  Status status = store_.write(*job.set, true);
  if (status.ok()) job.publish(store_.snapshot());
  if (status.ok() && job.ledger_from < job.ledger_to)
    status = store_.drop_range(Family::kLedger, job.ledger_from, job.ledger_to);
  const auto us =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count();
  std::unique_ptr<WriteSet> set = std::move(job.set);
  job = {};
  if (!status.ok() || bytes < kSpareBytes) set.reset();
  lock.lock();
  spare_ = std::move(set);
  if (status.ok()) {
    ++figures_.commits, figures_.rows += rows, figures_.bytes += bytes;
    figures_.last_us = us, figures_.total_us += us;
  } else {
    status_ = std::move(status);
  }
  busy_ = false;
  changed_.notify_all();
}

void Committer::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return busy_ || stop_; });
    if (!busy_) return;
    perform(lock);
  }
}

}  // namespace bellwether

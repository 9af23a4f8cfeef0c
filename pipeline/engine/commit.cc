#include "pipeline/engine/commit.h"

#include <chrono>

#include "pipeline/engine/check.h"

namespace bellwether {

Committer::Committer(Store& store) : store_(store), thread_([this] { work(); }) {}

Committer::~Committer() {
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
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_; });
  return status_;
}

CommitFigures Committer::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void Committer::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return busy_ || stop_; });
    if (!busy_) return;
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
    job = {};
    lock.lock();
    if (status.ok()) {
      ++figures_.commits, figures_.rows += rows, figures_.bytes += bytes;
      figures_.last_us = us, figures_.total_us += us;
    } else {
      status_ = std::move(status);
    }
    busy_ = false;
    changed_.notify_all();
  }
}

}  // namespace bellwether

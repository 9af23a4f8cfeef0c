#include "pipeline/engine/pool.h"

#include "pipeline/engine/named_thread.h"

namespace bellwether {

Pool::Pool(uint32_t threads) {
  for (uint32_t i = 1; i < threads; ++i) threads_.push_back(named_thread("fold", [this] { work(); }));
}

Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  begin_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Pool::drain(absl::FunctionRef<void(size_t)> job, size_t n) {
  for (size_t i = next_.fetch_add(1); i < n; i = next_.fetch_add(1)) job(i);
}

void Pool::run(size_t n, absl::FunctionRef<void(size_t)> job) {
  {
    const std::lock_guard lock(mutex_);
    job_ = &job;
    jobs_ = n;
    next_ = 0;
    ++round_;
  }
  begin_.notify_all();
  drain(job, n);
  std::unique_lock lock(mutex_);
  job_ = nullptr;  // who wakes up only now is not waited for
  end_.wait(lock, [this] { return busy_ == 0; });
}

void Pool::work() {
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    begin_.wait(lock, [&] { return stop_ || round_ != seen; });
    if (stop_) return;
    seen = round_;
    if (job_ == nullptr) continue;
    const absl::FunctionRef<void(size_t)> job = *job_;
    const size_t n = jobs_;
    ++busy_;
    lock.unlock();
    drain(job, n);
    lock.lock();
    if (--busy_ == 0) end_.notify_one();
  }
}

}  // namespace bellwether

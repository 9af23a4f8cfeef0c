// A fixed number of threads and a bounded queue: where calls do their work, so that gRPC's own threads never wait.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "pipeline/engine/named_thread.h"
#include "pipeline/engine/priority.h"

namespace bellwether {

class Executor {
 public:
  // `nice`: its threads give way by so much (priority.h).
  Executor(size_t threads, size_t queue_max, uint32_t nice = 0) : queue_max_(queue_max) {
    for (size_t i = 0; i < threads; ++i)
      threads_.push_back(named_thread("calls", [this, nice] {
        give_way(nice);
        work();
      }));
  }
  ~Executor() { stop(); }

  // False, and nothing is run, where the queue is full or the executor has stopped.
  bool post(std::function<void()> task) { return push(std::move(task), queue_max_); }
  // Goes on with a call that was taken already: the bound was for taking it. False only once stopped.
  bool resume(std::function<void()> task) { return push(std::move(task), SIZE_MAX); }
  size_t queued() const {
    const std::lock_guard lock(mutex_);
    return queue_.size();
  }
  // Runs what is queued, then ends the threads.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }

 private:
  bool push(std::function<void()> task, size_t most) {
    const std::lock_guard lock(mutex_);
    if (stopped_ || queue_.size() >= most) return false;
    queue_.push_back(std::move(task));
    changed_.notify_one();
    return true;
  }
  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
        if (queue_.empty()) return;
        task = std::move(queue_.front());
        queue_.pop_front();
      }
      task();
    }
  }

  const size_t queue_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bellwether

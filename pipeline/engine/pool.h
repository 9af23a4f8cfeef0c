// Threads that do one numbered job together, with a barrier at its end. The caller works too.
#pragma once

#include <absl/functional/function_ref.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace bellwether {

class Pool {
 public:
  explicit Pool(uint32_t threads);  // 1: only the caller
  ~Pool();
  uint32_t threads() const { return static_cast<uint32_t>(threads_.size()) + 1; }
  // Calls job(0) … job(n - 1), each once, on any of the threads; returns when all are done. Threads that have no
  // processor meanwhile are not waited for.
  void run(size_t n, absl::FunctionRef<void(size_t)> job);

 private:
  void work();
  void drain(absl::FunctionRef<void(size_t)> job, size_t n);

  std::mutex mutex_;
  std::condition_variable begin_, end_;
  const absl::FunctionRef<void(size_t)>* job_ = nullptr;  // null: nothing to begin with
  size_t jobs_ = 0;
  uint64_t round_ = 0;
  size_t busy_ = 0;  // threads at work, but the caller
  bool stop_ = false;
  std::atomic<size_t> next_{0};
  std::vector<std::thread> threads_;
};

}  // namespace bellwether

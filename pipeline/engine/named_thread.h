// A thread with a name of its own in `top -H`, `perf` and /proc/PID/task/*/comm. The one that folds keeps the
// program's, which is the process's too; RocksDB, librdkafka and gRPC name theirs.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <thread>
#include <utility>

namespace bellwether {

// Begins work(); `name` is a literal, of which the kernel keeps 15 bytes.
template <size_t kSize, class Work>
std::thread named_thread(const char (&name)[kSize], Work work) {
  static_assert(kSize <= 16);
  return std::thread([text = static_cast<const char*>(name), work = std::move(work)]() mutable {
    (void)pthread_setname_np(pthread_self(), text);
    work();
  });
}

}  // namespace bellwether

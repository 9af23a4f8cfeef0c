#include "pipeline/program/memory_bound.h"

#include <sys/resource.h>

#include <algorithm>

namespace bellwether {
namespace {

constexpr size_t kMb = size_t{1} << 20;

// The program and its libraries, threads' stacks and what malloc keeps of them; keys of 100,000 dead letters, timers
// read ahead; open store files and compaction; lists that pages are cut from.
constexpr size_t kBaseMb = 160;
// A batch on its way from a source to open ticks: its bytes, and as much again where JSON is translated.
constexpr size_t kBatchMb = 16;
// What the commit in hand and the one in flight take, in commits: the fold collects up to two while one is in flight,
// and of the one in flight, up to two as well, states stand as rows and in the batch.
constexpr size_t kCommits = 6;
constexpr size_t kConnectionKb = 24, kStreamKb = 64;
constexpr size_t kFilesBeside = 512 + 128;  // the store's (rocks_store.cc), the logs', and some more

size_t mb(size_t bytes) { return (bytes + kMb - 1) / kMb; }

}  // namespace

size_t commit_bytes(const EngineConfig& config) {
  return std::min(size_t{config.commit_mb} * kMb, size_t{config.cache_mb} * kMb / 4);
}

MemoryBound memory_bound(const Config& config, bool serves) {
  const EngineConfig& engine = config.engine;
  const ServiceConfig& service = config.service;
  const size_t commit = commit_bytes(engine);
  const size_t message = size_t{service.max_message_kb} << 10;
  MemoryBound out;
  const auto add = [&out](const char* name, size_t mb) { out.parts.emplace_back(name, mb); };
  add("base", kBaseMb);
  add("states (engine.cache_mb)", engine.cache_mb);
  add("events that wait (engine.pending_mb)", engine.pending_mb + kBatchMb);
  add("commits (engine.commit_mb)", mb(kCommits * commit));
  // Write buffers are passed by the commit on its way, and by the one before that is flushed.
  add("store (engine.block_cache_mb, write_buffer_mb)",
      size_t{engine.block_cache_mb} + engine.write_buffer_mb + mb(2 * commit));
  if (!serves) return out;
  if (!config.kafka.brokers.empty()) {
    // Fetched, on its way (a quarter), and taken by the batch in hand; and what producers hold.
    add("Kafka (kafka.queued_mb)", config.kafka.queued_mb * 9 / 4 + 64 + (config.kafka.outputs ? 64 : 0));
  } else {
    // Appends that wait; a group as records and as a frame; a frame that each reader stands in.
    add("log", 16 + mb(message * (5 + 2 * size_t{config.log.partitions})) + config.log.partitions * 2);
  }
  // A publisher's request that is there already may go past the bound once.
  add("calls (service.calls_mb, publish_mb)", service.calls_mb + 2 * size_t{service.publish_mb});
  add("gRPC (service.grpc_mb)", service.grpc_mb);
  add("connections", mb((service.max_connections * kConnectionKb + service.max_streams * kStreamKb) << 10));
  return out;
}

size_t MemoryBound::total_mb() const {
  size_t sum = 0;
  for (const auto& [name, mb] : parts) sum += mb;
  return sum;
}

std::string MemoryBound::text() const {
  std::string out = std::to_string(total_mb()) + " MB =";
  for (const auto& [name, mb] : parts) out += (out.ends_with("=") ? " " : " + ") + std::to_string(mb) + " " + name;
  return out;
}

size_t room_for_connections() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return SIZE_MAX;
  if (files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)getrlimit(RLIMIT_NOFILE, &files);
  }
  if (files.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return files.rlim_cur > kFilesBeside ? static_cast<size_t>(files.rlim_cur) - kFilesBeside : 0;
}

}  // namespace bellwether

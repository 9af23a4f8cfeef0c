// The records of a tick from when they are read until they are folded, with all memory that they point into. They are
// copies: a record that waits for long keeps nothing alive but itself, neither the batch that brought it nor a buffer
// of its source, so that what waits is counted in bytes and nothing else stands behind it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/engine/record.h"

namespace bellwether {

// How much of a dead letter is kept: 64 KiB of each, as long as the partition has not filled 4 MiB in that tick; then
// its beginning. Both follow from the partition's own log, so that a replay keeps the same bytes.
constexpr size_t kDeadRawMax = size_t{64} << 10;
constexpr size_t kDeadRawTickMax = size_t{4} << 20;
constexpr size_t kDeadRawShort = 256;
constexpr size_t kDeadDetailMax = 1024;

// Bytes held by all ticks of an engine, those on their way to the fold too.
using HeldBytes = std::shared_ptr<std::atomic<size_t>>;

class HeldTick {
 public:
  explicit HeldTick(HeldBytes total);
  ~HeldTick();
  HeldTick(const HeldTick&) = delete;
  HeldTick& operator=(const HeldTick&) = delete;

  // Copies the record and every text it has. Records of one partition come in offset order.
  void add(const Record& record);
  const std::vector<Record*>& records() const { return records_; }
  // What it takes from the heap, this object included.
  size_t bytes() const { return bytes_; }

 private:
  char* allocate(size_t n, size_t align);
  std::string_view copy(std::string_view text);
  void grew(size_t n);

  const HeldBytes total_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* at_ = nullptr;
  size_t left_ = 0, next_block_ = 0, bytes_ = 0;
  std::vector<Record*> records_;
  std::vector<std::pair<uint32_t, size_t>> dead_raw_;  // bytes kept of each partition's dead letters
};

}  // namespace bellwether

// How ticks are folded, and how it goes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "operators/limits.h"

namespace bellwether {

struct FoldOptions {
  uint32_t shards = 1, threads = 1;
  // That encode what a commit writes, however few of them fold; 0: two where there are processors for them, and a
  // thread of its own commits.
  uint32_t row_threads = 0;
  size_t cache_bytes = size_t{64} << 20;
  // Once states take more than the part of 1,000 of that, one that is not folded again within so many folds of its
  // shard is packed (cache.h).
  size_t packs_above_permille = 800;
  uint32_t packs_after = 1 << 15;
  bool outbox = true;           // false: no out records are kept for sinks
  bool board_moves = false;     // note who moves on the boards (board_moves.h)
  size_t parallel_items = 256;  // rounds smaller than this are folded by the caller
  size_t parallel_rows = 1024;  // fewer states of a commit are encoded by the caller
  size_t job_rows = 4096;       // rows of lists that jobs walk in a tick
  size_t dead_rows = 100'000;   // dead letters kept for ListDeadLetters
  int64_t dead_us = 7 * kDayUs;
  size_t timer_rows = 1 << 18;  // timers read ahead
  bool patch_always = false;    // tests: commits write what changed of rows however far apart they are
};

struct FoldFigures {
  size_t cache_bytes = 0, states = 0;
  uint64_t cache_hits = 0, cache_misses = 0;
};

}  // namespace bellwether

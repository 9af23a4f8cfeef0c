// What a commit writes of a shard's states: rows in stored order, their bytes one after another; or patches of them
// (row_patch.h).
#pragma once

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/engine/cache.h"
#include "pipeline/engine/store.h"

namespace bellwether {

class StateRows {
 public:
  // The cache's dirty states; `each` of them is shown once it is encoded.
  void encode(StateCache& cache, absl::FunctionRef<void(const CacheSlot&)> each);
  void write(WriteSet& set) const;
  void clear() { rows_.clear(), bytes_.clear(); }
  size_t bytes() const { return bytes_.size(); }

 private:
  enum class Kind : uint8_t { kRow, kPatch, kNone };  // none: the key has no row any more
  struct Row {
    StateKey key;
    size_t end = 0;
    Kind kind = Kind::kRow;
  };
  struct Dirty {
    uint64_t slice_op_kind, hash;  // as their keys stand in the store
    CacheSlot* slot;
  };
  std::vector<Dirty> dirty_;
  std::vector<Row> rows_;
  std::string bytes_, patch_;
};

// Those of the last commit, for the next: memory that is there need not be asked for and cleared again. Taken by the
// fold, given back by the commit's thread.
class SpareRows {
 public:
  std::vector<StateRows> take(size_t shards);
  void give(std::vector<StateRows> rows);  // few bytes: let go instead, a service that has caught up needs no more

 private:
  std::mutex mutex_;
  std::vector<StateRows> spare_;
};

}  // namespace bellwether

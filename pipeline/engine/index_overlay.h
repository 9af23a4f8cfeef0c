// Changes of the lists that no commit carries yet. Operators are exact: they put in what is not in and take out what
// is.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <utility>
#include <vector>

#include "pipeline/engine/keys.h"
#include "pipeline/engine/list_rows.h"
#include "pipeline/engine/store.h"

namespace bellwether {

// Many a tick, so they are kept as they come; put in order only at a commit, or for a walk. True: the row comes, false:
// it goes; those of a row take turns.
using IndexChanges = absl::flat_hash_map<IndexPlace, std::vector<std::pair<Key, bool>>>;

class IndexOverlay {
 public:
  explicit IndexOverlay(const Store& store) : store_(store) {}

  void set(const IndexKey& key, bool present) {
    changes_[{key.index, key.order}].emplace_back(key.key, present);
    ++count_;
  }
  // Up to `limit` rows of one list, from <= row, order <= last_order, in order: store and changes together.
  Status scan(const IndexKey& from, uint64_t last_order, size_t limit, std::vector<IndexKey>& out) const;
  // What no commit carries yet; a commit takes it along. Until landed() it may or may not be in the store.
  IndexChanges take_changes() {
    count_ = 0;
    flying_ = changes_;
    return std::exchange(changes_, {});
  }
  void landed() { flying_.clear(); }
  size_t changes() const { return count_; }

 private:
  const Store& store_;
  IndexChanges flying_, changes_;
  size_t count_ = 0;
};

}  // namespace bellwether

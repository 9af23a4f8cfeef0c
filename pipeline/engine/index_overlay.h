// Changes of the lists that no commit carries yet. Operators are exact: they put in what is not in and take out what
// is.
#pragma once

#include <absl/container/btree_map.h>

#include <functional>
#include <vector>

#include "pipeline/engine/keys.h"
#include "pipeline/engine/store.h"

namespace bellwether {

class IndexOverlay {
 public:
  // `settle`: as for Timers.
  IndexOverlay(const Store& store, std::function<Status()> settle) : store_(store), settle_(std::move(settle)) {}

  void set(const IndexKey& key, bool present);
  // Up to `limit` rows of one list, from <= row, order <= last_order, in order: store and changes together.
  Status scan(const IndexKey& from, uint64_t last_order, size_t limit, std::vector<IndexKey>& out) const;
  void write(WriteSet& set);  // and forget the changes
  size_t changes() const { return changes_.size(); }

 private:
  const Store& store_;
  std::function<Status()> settle_;
  absl::btree_map<IndexKey, bool> changes_;
};

}  // namespace bellwether

// Changes of the lists that no commit carries yet. Operators are exact: they put in what is not in and take out what
// is.
#pragma once

#include <absl/container/flat_hash_map.h>

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
  struct Hash {
    size_t operator()(const IndexKey& k) const {
      return (k.key.hash ^ k.order * 0x9E3779B97F4A7C15U) + k.index * 0xC2B2AE3D27D4EB4FU;
    }
  };
  std::vector<std::pair<IndexKey, bool>> sorted(const IndexKey& from, uint64_t last_order, bool all) const;
  absl::flat_hash_map<IndexKey, bool, Hash> changes_;  // many a tick; in order only at a commit, or for a walk
};

}  // namespace bellwether

// How many rows each place of a board has: kept with every commit, so that nobody walks a board to know how many stand
// above a user.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "pipeline/engine/index_overlay.h"
#include "pipeline/engine/list_rows.h"
#include "pipeline/engine/store.h"

namespace bellwether {

// The cells of one board that hold anybody, the highest first.
struct CellTable {
  struct Cell {
    uint64_t cell = 0, above = 0, count = 0;  // users in higher cells, users in this one
  };
  std::vector<Cell> cells;
  uint64_t total = 0;
  // Users in cells above `cell`, and in it.
  std::pair<uint64_t, uint64_t> at(uint64_t cell) const;
};

// By list (IndexId and what is added to it); null where a list is empty. Never changed once made.
using BoardTables = std::array<std::shared_ptr<const CellTable>, 256>;

// One thread at a time. Rows in Family::kMeta: keys::list_count; keys::kListed says "1" where they are kept, "2" where
// boards have a row for many users too (list_rows.h).
class ListCounts {
 public:
  // What the store says. The boards of one that was written before boards had a row for many users are converted, those
  // of one from before there were counts are counted; what the next opening must know of it goes into `set`.
  Status open(Store& store, WriteSet& set);
  // A row came to that place (1) or left it (-1).
  void add(const IndexPlace& place, int64_t delta) { changes_[place.index][place.order] += delta; }
  // Puts what changed into the commit that changes the lists.
  void write(WriteSet& set);
  // As of the last write().
  const std::shared_ptr<const BoardTables>& tables() const { return tables_; }

 private:
  std::map<uint8_t, std::map<uint64_t, int64_t>> changes_;
  std::shared_ptr<const BoardTables> tables_ = std::make_shared<const BoardTables>();
};

// Puts the changes of lists into a commit, and those of boards into `counts`.
void write_index(IndexChanges changes, WriteSet& set, ListCounts& counts);

}  // namespace bellwether

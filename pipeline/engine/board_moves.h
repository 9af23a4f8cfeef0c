// Who moved on the boards with a commit, so that lists that were made over the commit before can be made into lists
// over this one without reading everybody in them again. Of the boards' upper part, where ranks are exact.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "operators/operator.h"
#include "pipeline/engine/list_counts.h"

namespace bellwether {

// The list (IndexId and what is added to it) of a board: capabilities, then profiles.
constexpr uint8_t list_of_board(size_t board) {
  return static_cast<uint8_t>(board < kCapabilities
                                  ? static_cast<size_t>(IndexId::kCapabilityBoards) + board
                                  : static_cast<size_t>(IndexId::kProfileBoards) + board - kCapabilities);
}

struct BoardMoves {
  static constexpr size_t kPlacesMax = 100'000;  // more are not kept: lists over such a commit are made anew

  uint64_t number = 0;   // of the commit; they lead to it from the one before
  uint16_t version = 0;  // the community's, by which the sums are made
  // By board: where a user stands in this cell or a higher one, `places` has them.
  std::array<uint32_t, kBoardsMax> lowest{};
  std::vector<uint64_t> users;  // whose scores were written, in no order
  std::vector<BoardEntry> places;

  // Cells with exact ranks, as the boards were before the commit.
  void set_lowest(const BoardTables& tables);
  // Whether the boards' upper part has that place.
  bool high(const BoardEntry& entry) const;
  size_t bytes() const { return users.capacity() * sizeof(uint64_t) + places.capacity() * sizeof(BoardEntry); }
};

// Those of the last commits, the newest last, without a gap: few, and not many bytes.
class MovesKept {
 public:
  using List = std::vector<std::shared_ptr<const BoardMoves>>;
  // Null: nobody knows who moved with this commit.
  void add(std::shared_ptr<const BoardMoves> moves);
  const List& list() const { return list_; }

 private:
  List list_;
};

}  // namespace bellwether

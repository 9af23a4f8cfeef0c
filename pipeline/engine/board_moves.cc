#include "pipeline/engine/board_moves.h"

namespace bellwether {
namespace {

constexpr size_t kCommitsKept = 4, kBytesKept = size_t{16} << 20;

}  // namespace

void BoardMoves::set_lowest(const BoardTables& tables) {
  for (size_t board = 0; board < kBoardsMax; ++board) {
    lowest[board] = 0;
    const auto& table = tables[list_of_board(board)];
    if (table == nullptr) continue;
    for (const CellTable::Cell& cell : table->cells) {
      if (cell.above >= kRanksExact) break;
      lowest[board] = static_cast<uint32_t>(cell.cell);
    }
  }
}

bool BoardMoves::high(const BoardEntry& entry) const {
  for (size_t board = 0; board < kBoardsMax; ++board)
    if (entry.cells[board] != 0 && entry.cells[board] >= lowest[board]) return true;
  return false;
}

void MovesKept::add(std::shared_ptr<const BoardMoves> moves) {
  if (moves == nullptr) return list_.clear();
  list_.push_back(std::move(moves));
  size_t bytes = 0;
  for (const auto& kept : list_) bytes += kept->bytes();
  while (list_.size() > kCommitsKept || (list_.size() > 1 && bytes > kBytesKept)) {
    bytes -= list_.front()->bytes();
    list_.erase(list_.begin());
  }
}

}  // namespace bellwether

#include "pipeline/engine/list_counts.h"

#include <algorithm>

#include "operators/codec.h"
#include "pipeline/engine/check.h"
#include "pipeline/engine/keys.h"

namespace bellwether {
namespace {

constexpr std::string_view kListedNow = "2";

// `before` with `changes`, by ascending cell, added.
std::shared_ptr<const CellTable> changed(const CellTable* before, const std::map<uint64_t, int64_t>& changes) {
  auto out = std::make_shared<CellTable>();
  const auto add = [&](uint64_t cell, uint64_t count) {
    if (count == 0) return;
    out->cells.push_back({cell, out->total, count});
    out->total += count;
  };
  static const CellTable kEmpty;
  if (before == nullptr) before = &kEmpty;
  out->cells.reserve(before->cells.size() + changes.size());
  auto change = changes.rbegin();
  for (const CellTable::Cell& c : before->cells) {
    for (; change != changes.rend() && change->first > c.cell; ++change)
      add(change->first, static_cast<uint64_t>(change->second));
    uint64_t count = c.count;
    if (change != changes.rend() && change->first == c.cell) count += static_cast<uint64_t>((change++)->second);
    add(c.cell, count);
  }
  for (; change != changes.rend(); ++change) add(change->first, static_cast<uint64_t>(change->second));
  return out->cells.empty() ? nullptr : out;
}

Status broken(const char* what) {
  return Status::error(std::string(what) +
                       " cannot be read: the store is damaged; restore a backup, or replay the logs into a new folder");
}

}  // namespace

std::pair<uint64_t, uint64_t> CellTable::at(uint64_t cell) const {
  const auto it =
      std::lower_bound(cells.begin(), cells.end(), cell, [](const Cell& c, uint64_t v) { return c.cell > v; });
  if (it == cells.end()) return {total, 0};
  return {it->above, it->cell == cell ? it->count : 0};
}

Status ListCounts::open(Store& store, WriteSet& set) {
  std::string listed;
  Status status, damage;
  const bool counted = store.get(Family::kMeta, keys::kListed, listed, status);
  if (status.ok() && listed != kListedNow) {
    status = convert_boards(store);
    set.put(Family::kMeta, keys::kListed, kListedNow);
  }
  if (!status.ok()) return status;
  const auto snapshot = store.snapshot();
  if (counted) {
    status = snapshot->scan(Family::kMeta, keys::list_count_begin(), keys::list_count_end(),
                            [&](std::string_view key, std::string_view value) {
                              IndexPlace place;
                              Reader r(value);
                              const uint64_t count = r.varint();
                              if (!keys::parse_list_count(key, place.index, place.order) || !r.ok()) {
                                damage = broken("a board's count");
                                return false;
                              }
                              add(place, static_cast<int64_t>(count));
                              return true;
                            });
  } else {
    for (unsigned list = 0; list <= UINT8_MAX && status.ok(); ++list)
      if (const auto board = static_cast<uint8_t>(list); is_board(board))
        status = scan_list(*snapshot, {board, 0, {}}, UINT64_MAX, [&](const IndexKey& at) {
          add({at.index, at.order}, 1);
          return true;
        });
  }
  if (!status.ok() || !damage.ok()) return status.ok() ? damage : status;
  if (!counted) {
    write(set);
    return {};
  }
  auto tables = std::make_shared<BoardTables>();
  for (const auto& [list, changes] : changes_) (*tables)[list] = changed(nullptr, changes);
  changes_.clear();
  tables_ = std::move(tables);
  return {};
}

void ListCounts::write(WriteSet& set) {
  if (changes_.empty()) return;
  auto tables = std::make_shared<BoardTables>(*tables_);
  std::string row;
  for (auto& [list, changes] : changes_) {
    std::erase_if(changes, [](const auto& change) { return change.second == 0; });
    if (changes.empty()) continue;
    std::shared_ptr<const CellTable>& table = (*tables)[list];
    table = changed(table.get(), changes);
    for (const auto& [order, delta] : changes) {
      const uint64_t count = table != nullptr ? table->at(order).second : 0;
      BELLWETHER_REQUIRE(count <= INT64_MAX, "list %u has fewer than no rows at %llu", static_cast<unsigned>(list),
                         static_cast<unsigned long long>(order));
      if (count == 0) {
        set.erase(Family::kMeta, keys::list_count(list, order));
        continue;
      }
      row.clear();
      Writer(row).varint(count);
      set.put(Family::kMeta, keys::list_count(list, order), row);
    }
  }
  changes_.clear();
  tables_ = std::move(tables);
}

}  // namespace bellwether

// What the rows of lists say, of both kinds: boards, which have a row for many users, and others, a row for each.
#pragma once

#include <absl/functional/function_ref.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "pipeline/engine/keys.h"
#include "pipeline/engine/store.h"

namespace bellwether {

// By place in a list, so that a walk over some places looks at no other.
struct IndexPlace {
  uint8_t index = 0;
  uint64_t order = 0;
  friend auto operator<=>(const IndexPlace&, const IndexPlace&) = default;
  template <class H>
  friend H AbslHashValue(H h, const IndexPlace& p) {
    return H::combine(std::move(h), p.index, p.order);
  }
};

constexpr bool is_board(uint8_t list) { return list >= static_cast<uint8_t>(IndexId::kCapabilityBoards); }

enum class ListRow : uint8_t { kNone, kGood, kBroken };
// Calls each(entry) in order for what a row of family views says of lists. kNone: it is no row of a list.
ListRow each_listed(std::string_view key, std::string_view value, absl::FunctionRef<void(const IndexKey&)> each);

// The entries of from.index from <= entry, order <= last_order, in order, until `visit` returns false.
Status scan_list(const Snapshot& snapshot, const IndexKey& from, uint64_t last_order,
                 absl::FunctionRef<bool(const IndexKey&)> visit);
// Those of a list that stand before `before` (null: all), backwards.
Status scan_list_back(const Snapshot& snapshot, uint8_t list, const IndexKey* before,
                      absl::FunctionRef<bool(const IndexKey&)> visit);
// Whether it stands in its list.
bool is_listed(const Snapshot& snapshot, const IndexKey& key, Status& status);

// One place's changes: who comes (true) and who goes, by key, one each.
void write_place(const IndexPlace& place, const std::vector<std::pair<Key, bool>>& changes, WriteSet& set);

// Stores of before boards had rows for many users have one for each: writes the one form and takes the other away, with
// writes of so many bytes of members. Killed in between, it goes on when called again.
Status convert_boards(Store& store, size_t write_bytes = size_t{8} << 20);

}  // namespace bellwether

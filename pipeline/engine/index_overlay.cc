#include "pipeline/engine/index_overlay.h"

#include <algorithm>

#include "pipeline/engine/list_counts.h"

namespace bellwether {

namespace {

using Changes = std::vector<std::pair<Key, bool>>;

void sort_by_key(Changes& changes) {
  std::stable_sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

// In order, one a row: what came and went again, or the other way, is as it was.
void settle_changes(Changes& changes) {
  sort_by_key(changes);
  size_t kept = 0;
  for (size_t i = 0, next; i < changes.size(); i = next) {
    for (next = i + 1; next < changes.size() && changes[next].first == changes[i].first;) ++next;
    if (changes[next - 1].second == changes[i].second) changes[kept++] = changes[i];
  }
  changes.resize(kept);
}

// Calls each(place, changes) for the places of a list from `first` to `last`, in no order.
template <class Each>
void each_place(const IndexChanges& changes, const IndexPlace& first, uint64_t last, Each&& each) {
  if (last - first.order < changes.size()) {
    for (uint64_t n = 0; n <= last - first.order; ++n)
      if (const auto at = changes.find({first.index, first.order + n}); at != changes.end())
        each(at->first, at->second);
    return;
  }
  for (const auto& [place, of] : changes)
    if (place.index == first.index && place.order >= first.order && place.order <= last) each(place, of);
}

}  // namespace

Status IndexOverlay::scan(const IndexKey& from, uint64_t last_order, size_t limit, std::vector<IndexKey>& out) const {
  // The store may hold the commit in flight already, or not: what is said last of a row holds either way.
  std::vector<std::pair<IndexKey, bool>> changes;
  if (from.order <= last_order) {
    for (const IndexChanges* part : {&flying_, &changes_})
      each_place(*part, {from.index, from.order}, last_order, [&](const IndexPlace& place, const Changes& of) {
        for (const auto& [key, present] : of)
          if (const IndexKey row{place.index, place.order, key}; !(row < from)) changes.emplace_back(row, present);
      });
  }
  std::stable_sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  size_t kept = 0;
  for (size_t i = 0; i < changes.size(); ++i)
    if (i + 1 == changes.size() || changes[i + 1].first != changes[i].first) changes[kept++] = changes[i];
  changes.resize(kept);
  auto change = changes.begin();
  // Changes that stand before `until` (null: all of the range) go out first.
  const auto drain = [&](const IndexKey* until) {
    for (; change != changes.end() && (until == nullptr || change->first < *until); ++change) {
      if (out.size() >= limit) return;
      if (change->second) out.push_back(change->first);
    }
  };
  Status status = scan_list(*store_.snapshot(), from, last_order, [&](const IndexKey& key) {
    drain(&key);
    if (out.size() >= limit) return false;
    if (change != changes.end() && change->first == key) {
      if (change->second) out.push_back(key);
      ++change;
    } else {
      out.push_back(key);
    }
    return out.size() < limit;
  });
  if (!status.ok()) return status;
  drain(nullptr);
  return {};
}

void write_index(IndexChanges changes, WriteSet& set, ListCounts& counts) {
  std::vector<IndexPlace> places;
  places.reserve(changes.size());
  for (const auto& [place, of] : changes) places.push_back(place);
  std::sort(places.begin(), places.end());
  for (const IndexPlace& place : places) {
    Changes& of = changes[place];
    settle_changes(of);
    int64_t more = 0;
    for (const auto& [key, present] : of) more += present ? 1 : -1;
    write_place(place, of, set);
    if (more != 0 && is_board(place.index)) counts.add(place, more);
  }
  counts.write(set);
}

}  // namespace bellwether

#include "pipeline/engine/index_overlay.h"

#include <algorithm>

namespace bellwether {

namespace {

using Changes = std::vector<std::pair<IndexKey, bool>>;

void sort_by_row(Changes& changes) {
  std::stable_sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

// In order, one a row: what came and went again, or the other way, is as it was.
void settle_changes(Changes& changes) {
  sort_by_row(changes);
  size_t kept = 0;
  for (size_t i = 0, next; i < changes.size(); i = next) {
    for (next = i + 1; next < changes.size() && changes[next].first == changes[i].first;) ++next;
    if (changes[next - 1].second == changes[i].second) changes[kept++] = changes[i];
  }
  changes.resize(kept);
}

}  // namespace

Status IndexOverlay::scan(const IndexKey& from, uint64_t last_order, size_t limit, std::vector<IndexKey>& out) const {
  // The store may hold the commit in flight already, or not: what is said last of a row holds either way.
  Changes changes;
  for (const IndexChanges* part : {&flying_, &changes_})
    if (const auto list = part->find(from.index); list != part->end())
      for (const auto& [key, present] : list->second)
        if (key.order <= last_order && !(key < from)) changes.emplace_back(key, present);
  sort_by_row(changes);
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
  Status broken;
  const std::string end =
      last_order == UINT64_MAX ? keys::index_end(from.index) : keys::index_from(from.index, last_order + 1);
  const Status status =
      store_.snapshot()->scan(Family::kViews, keys::index(from), end, [&](std::string_view bytes, std::string_view) {
        IndexKey key;
        if (!keys::parse_index(bytes, key)) {
          broken = Status::error("a list row that is none: the store is damaged");
          return false;
        }
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
  if (!broken.ok()) return broken;
  drain(nullptr);
  return {};
}

void write_index(IndexChanges changes, WriteSet& set) {
  std::vector<uint8_t> lists;
  for (const auto& [list, of] : changes) lists.push_back(list);
  std::sort(lists.begin(), lists.end());
  for (const uint8_t list : lists) {
    settle_changes(changes[list]);
    for (const auto& [key, present] : changes[list]) {
      if (present) {
        set.put(Family::kViews, keys::index(key), {});
      } else {
        set.erase(Family::kViews, keys::index(key));
      }
    }
  }
}

}  // namespace bellwether

#include "pipeline/engine/index_overlay.h"

#include <algorithm>

namespace bellwether {

void IndexOverlay::set(const IndexKey& key, bool present) {
  auto& list = changes_[key.index];
  const auto [it, fresh] = list.try_emplace(key, present);
  if (fresh) {
    ++count_;
  } else if (it->second != present) {  // the two undo each other
    list.erase(it);
    --count_;
  }
}

Status IndexOverlay::scan(const IndexKey& from, uint64_t last_order, size_t limit, std::vector<IndexKey>& out) const {
  if (Status status = settle_(); !status.ok()) return status;
  std::vector<std::pair<IndexKey, bool>> changes;
  if (const auto list = changes_.find(from.index); list != changes_.end())
    for (const auto& [key, present] : list->second)
      if (key.order <= last_order && !(key < from)) changes.emplace_back(key, present);
  std::sort(changes.begin(), changes.end());
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

void write_index(const IndexChanges& changes, WriteSet& set) {
  std::vector<std::pair<IndexKey, bool>> sorted;
  for (const auto& [index, list] : changes) sorted.insert(sorted.end(), list.begin(), list.end());
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [key, present] : sorted) {
    if (present) {
      set.put(Family::kViews, keys::index(key), {});
    } else {
      set.erase(Family::kViews, keys::index(key));
    }
  }
}

}  // namespace bellwether

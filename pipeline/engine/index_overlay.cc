#include "pipeline/engine/index_overlay.h"

#include <algorithm>

namespace bellwether {

void IndexOverlay::set(const IndexKey& key, bool present) {
  const auto [it, fresh] = changes_.try_emplace(key, present);
  if (!fresh && it->second != present) changes_.erase(it);  // the two undo each other
}

std::vector<std::pair<IndexKey, bool>> IndexOverlay::sorted(const IndexKey& from, uint64_t last_order, bool all) const {
  std::vector<std::pair<IndexKey, bool>> found;
  for (const auto& [key, present] : changes_)
    if (all || (key.index == from.index && key.order <= last_order && !(key < from))) found.emplace_back(key, present);
  std::sort(found.begin(), found.end());
  return found;
}

Status IndexOverlay::scan(const IndexKey& from, uint64_t last_order, size_t limit, std::vector<IndexKey>& out) const {
  if (Status status = settle_(); !status.ok()) return status;
  const auto changes = sorted(from, last_order, false);
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

void IndexOverlay::write(WriteSet& set) {
  for (const auto& [key, present] : sorted({}, 0, true)) {
    if (present) {
      set.put(Family::kViews, keys::index(key), {});
    } else {
      set.erase(Family::kViews, keys::index(key));
    }
  }
  changes_.clear();
}

}  // namespace bellwether

#include "pipeline/engine/index_overlay.h"

namespace bellwether {

void IndexOverlay::set(const IndexKey& key, bool present) {
  const auto [it, fresh] = changes_.try_emplace(key, present);
  if (!fresh && it->second != present) changes_.erase(it);  // the two undo each other
}

Status IndexOverlay::scan(const IndexKey& from, uint64_t last_order, size_t limit, std::vector<IndexKey>& out) const {
  if (Status status = settle_(); !status.ok()) return status;
  auto change = changes_.lower_bound(from);
  const auto in_range = [&](const IndexKey& k) { return k.index == from.index && k.order <= last_order; };
  // Changes that stand before `until` (null: all of the range) go out first.
  const auto drain = [&](const IndexKey* until) {
    for (; change != changes_.end() && in_range(change->first) && (until == nullptr || change->first < *until);
         ++change) {
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
        if (change != changes_.end() && change->first == key) {
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
  for (const auto& [key, present] : changes_) {
    if (present) {
      set.put(Family::kViews, keys::index(key), {});
    } else {
      set.erase(Family::kViews, keys::index(key));
    }
  }
  changes_.clear();
}

}  // namespace bellwether

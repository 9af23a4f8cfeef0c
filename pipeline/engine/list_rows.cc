#include "pipeline/engine/list_rows.h"

#include "pipeline/engine/members.h"

namespace bellwether {
namespace {

Status damaged() {
  return Status::error(
      "a list's row cannot be read: the store is damaged; restore a backup, or replay the logs into a new folder");
}

bool same_row(const Key& a, const Key& b) {
  return a.kind == b.kind && a.hash >> keys::kPartShift == b.hash >> keys::kPartShift;
}

bool same_cell(const IndexKey& a, const IndexKey& b) {
  return a.index == b.index && a.order == b.order && a.key.kind == b.key.kind;
}

}  // namespace

ListRow each_listed(std::string_view key, std::string_view value, absl::FunctionRef<void(const IndexKey&)> each) {
  IndexKey at;
  if (keys::parse_index(key, at)) {
    each(at);
    return ListRow::kGood;
  }
  IndexKey first;
  if (!keys::parse_members(key, first)) return ListRow::kNone;
  at = first;
  bool any = false, good = true;
  good &= each_member(value, [&](uint64_t member) {
    good = (!any || member > at.key.hash) && same_row({first.key.kind, member}, first.key);
    any = true, at.key.hash = member;
    if (good) each(at);
    return good;
  });
  return good && any ? ListRow::kGood : ListRow::kBroken;
}

Status scan_list(const Snapshot& snapshot, const IndexKey& from, uint64_t last_order,
                 absl::FunctionRef<bool(const IndexKey&)> visit) {
  if (from.order > last_order) return {};
  const bool board = is_board(from.index), last = last_order == UINT64_MAX;
  const auto end_of = [&](auto&& place, auto&& list) {
    return last ? list(from.index) : place(from.index, last_order + 1);
  };
  bool good = true, more = true;
  Status status;
  if (!board) {
    status = snapshot.scan(Family::kViews, keys::index(from), end_of(keys::index_from, keys::index_end),
                           [&](std::string_view key, std::string_view) {
                             IndexKey at;
                             good = keys::parse_index(key, at);
                             return good && visit(at);
                           });
  } else {
    status = snapshot.scan(Family::kViews, keys::members(from), end_of(keys::members_from, keys::members_end),
                           [&](std::string_view key, std::string_view row) {
                             IndexKey at;
                             if (!(good = keys::parse_members(key, at))) return false;
                             const uint64_t least = same_cell(at, from) ? from.key.hash : 0;
                             good = each_member(
                                 row,
                                 [&](uint64_t member) {
                                   at.key.hash = member;
                                   return more = visit(at);
                                 },
                                 least);
                             return good && more;
                           });
  }
  return status.ok() && !good ? damaged() : status;
}

Status scan_list_back(const Snapshot& snapshot, uint8_t list, const IndexKey* before,
                      absl::FunctionRef<bool(const IndexKey&)> visit) {
  bool good = true, more = true;
  Status status;
  if (!is_board(list)) {
    status = snapshot.scan_back(Family::kViews, keys::index_from(list, 0),
                                before != nullptr ? keys::index(*before) : keys::index_end(list),
                                [&](std::string_view key, std::string_view) {
                                  IndexKey at;
                                  good = keys::parse_index(key, at);
                                  return good && visit(at);
                                });
  } else {
    status = snapshot.scan_back(Family::kViews, keys::members_from(list, 0),
                                before != nullptr ? keys::members(*before) + '\0' : keys::members_end(list),
                                [&](std::string_view key, std::string_view row) {
                                  IndexKey at;
                                  if (!(good = keys::parse_members(key, at))) return false;
                                  const bool ends = before != nullptr && same_cell(at, *before);
                                  good = each_member_back(
                                      row,
                                      [&](uint64_t member) {
                                        at.key.hash = member;
                                        return more = visit(at);
                                      },
                                      ends ? &before->key.hash : nullptr);
                                  return good && more;
                                });
  }
  return status.ok() && !good ? damaged() : status;
}

bool is_listed(const Snapshot& snapshot, const IndexKey& key, Status& status) {
  bool there = true;
  if (!is_board(key.index)) return snapshot.read(Family::kViews, keys::index(key), status, [](std::string_view) {});
  return snapshot.read(Family::kViews, keys::members(key), status, [&](std::string_view row) {
    there = has_member(row, key.key.hash);
  }) && there;
}

void write_place(const IndexPlace& place, const std::vector<std::pair<Key, bool>>& changes, WriteSet& set) {
  if (!is_board(place.index)) {
    for (const auto& [key, present] : changes) {
      const std::string row = keys::index({place.index, place.order, key});
      if (present) {
        set.put(Family::kViews, row, {});
      } else {
        set.erase(Family::kViews, row);
      }
    }
    return;
  }
  std::vector<uint64_t> gone, come;
  for (size_t i = 0, next; i < changes.size(); i = next) {
    gone.clear(), come.clear();
    for (next = i; next < changes.size() && same_row(changes[i].first, changes[next].first); ++next)
      (changes[next].second ? come : gone).push_back(changes[next].first.hash);
    set.change_members(keys::members({place.index, place.order, changes[i].first}), members_change(gone, come));
  }
}

Status convert_boards(Store& store, size_t write_bytes) {
  const auto set = store.new_write_set();
  const auto snapshot = store.snapshot();
  const std::string begin = keys::index_from(static_cast<uint8_t>(IndexId::kCapabilityBoards), 0);
  std::string from = begin;  // of what is not taken away yet
  IndexKey row;              // of `come`
  std::vector<uint64_t> come;
  size_t bytes = 0;
  Status written;
  const auto put = [&](const std::string& until) {
    if (come.empty()) return true;
    set->change_members(keys::members(row), members_change({}, come));
    bytes += come.size() * sizeof(uint64_t);
    come.clear();
    if (bytes < write_bytes) return true;
    set->erase_range(Family::kViews, from, until);
    from = until, bytes = 0;
    written = store.write(*set, false);
    return written.ok();
  };
  bool good = true;
  const std::string end = keys::index_end(UINT8_MAX);
  Status status = snapshot->scan(Family::kViews, begin, end, [&](std::string_view key, std::string_view) {
    IndexKey at;
    good = keys::parse_index(key, at);
    if (!good) return false;
    const bool same = at.index == row.index && at.order == row.order && same_row(at.key, row.key);
    if (!same && !put(std::string(key))) return false;
    row = at;
    come.push_back(at.key.hash);
    return true;
  });
  if (status.ok()) status = good ? written : damaged();
  if (!status.ok()) return status;
  if (!put(end)) return written;
  if (row == IndexKey{}) return {};
  set->erase_range(Family::kViews, from, end);
  return store.write(*set, true);
}

}  // namespace bellwether

#include "pipeline/service/reading.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>

#include "operators/decay.h"
#include "operators/referrals.h"
#include "operators/reports.h"

namespace bellwether {
namespace {

constexpr size_t kSortMax = 20'000;           // users of a cell that are sorted
constexpr size_t kSortedPlacesMax = 200'000;  // kept a reading

IndexId index_of(BoardNumber board) {
  return board < kCapabilities ? IndexId::kCapabilityBoards : IndexId::kProfileBoards;
}
uint8_t plus_of(BoardNumber board) {
  return static_cast<uint8_t>(board < kCapabilities ? board : board - kCapabilities);
}

bool better(const Place& a, const Place& b) { return a.sum != b.sum ? a.sum > b.sum : a.user > b.user; }

// The sum over a later base block: a block is one halving.
uint128 rebased(const Place& place, int64_t base) {
  const int64_t by = base - place.base;
  if (by <= 0) return place.sum;
  return by >= 128 ? 0 : place.sum >> by;
}

}  // namespace

const CellTable& Reading::cells(BoardNumber board) const { return at_->board(index_of(board), plus_of(board)); }

Place Reading::place(const ScoresState& scores, uint64_t user, BoardNumber board) const {
  const Sums sums = scores.book.sums(day_of(now_us()), community(), rules());
  Place place;
  place.cell = board < scores.cells.size() ? scores.cells[board] : 0;
  place.sum = board < kCapabilities ? sums.s[board] : sums.profile(community().profiles[board - kCapabilities]);
  place.base = sums.base, place.user = user;
  return place;
}

// A list is the one before without those who moved, and with those of them who stand in it now.
void Reading::inherit(const Reading& before) {
  Lists lists;
  {
    const std::lock_guard lock(before.mutex_);
    lists = before.sorted_;
  }
  const uint64_t from = before.at().number(), to = at_->number();
  const auto base_of = [](const Reading& r) {
    return decay_of(r.community().half_life_days).base(day_of(r.now_us()), r.community().window_days);
  };
  const uint16_t version = at_->version().number;
  if (lists.empty() || from >= to || before.at().version().number != version) return;
  const int64_t base = base_of(*this);
  if (base_of(before) != base) return;
  std::vector<const BoardMoves*> path;
  for (const auto& moves : at_->moves())
    if (moves->number > from && moves->number <= to && moves->version == version) path.push_back(moves.get());
  if (path.size() != to - from) return;

  absl::flat_hash_map<uint64_t, std::vector<Place>> came;
  const auto number = [](BoardNumber board, uint32_t cell) { return uint64_t{board} << 32 | cell; };
  for (auto it = lists.begin(); it != lists.end();) {
    const auto at = it++;
    const auto [board, cell] = at->first;
    const bool known = board < boards() &&
                       std::all_of(path.begin(), path.end(), [board = board, cell = cell](const BoardMoves* moves) {
                         return cell >= moves->lowest[board];
                       });
    if (known)
      came[number(board, cell)];
    else
      lists.erase(at);
  }
  absl::flat_hash_set<uint64_t> moved;  // with the commits looked at so far: the newest first
  for (auto moves = path.rbegin(); moves != path.rend(); ++moves) {
    for (const BoardEntry& entry : (*moves)->places) {
      if (moved.contains(entry.user)) continue;
      if (entry.base != base) return;
      Sums sums;
      sums.s = entry.s;
      for (BoardNumber board = 0; board < boards(); ++board) {
        const uint32_t cell = entry.cells[board];
        if (cell == 0 || cell < (*moves)->lowest[board]) continue;
        const auto list = came.find(number(board, cell));
        if (list == came.end()) continue;
        const uint128 sum =
            board < kCapabilities ? entry.s[board] : sums.profile(community().profiles[board - kCapabilities]);
        list->second.push_back({cell, sum, base, entry.user});
      }
    }
    moved.insert((*moves)->users.begin(), (*moves)->users.end());
  }
  for (const auto& [at, old] : lists) {
    const auto [board, cell] = at;
    std::vector<Place>& more = came[number(board, cell)];
    std::sort(more.begin(), more.end(), better);
    auto made = std::make_shared<std::vector<Place>>();
    made->reserve(old->size() + more.size());
    auto next = more.begin();
    for (const Place& p : *old) {
      if (moved.contains(p.user)) continue;
      for (; next != more.end() && better(*next, p); ++next) made->push_back(*next);
      made->push_back(p);
    }
    made->insert(made->end(), next, more.end());
    // The boards count their users themselves.
    if (made->size() != cells(board).at(cell).second || made->size() > kSortMax) continue;
    sorted_places_ += made->size();
    sorted_.emplace(at, std::move(made));
  }
  inherited_ = sorted_.size();
}

void Reading::prepare(const std::function<bool()>& stop) const {
  Status status;
  for (BoardNumber board = 0; board < boards(); ++board)
    for (const CellTable::Cell& cell : cells(board).cells) {
      if (cell.above >= kRanksExact) break;
      if (stop() || !status.ok()) return;  // who asks is told of an error
      if (cell.count <= kSortMax) (void)sorted(board, static_cast<uint32_t>(cell.cell), status);
    }
}

Reading::Sorted Reading::sorted(BoardNumber board, uint32_t cell, Status& status) const {
  const std::lock_guard making(making_[board]);
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = sorted_.find({board, cell}); it != sorted_.end()) return it->second;
  }
  auto places = std::make_shared<std::vector<Place>>();
  status =
      at_->scan_index(index_of(board), plus_of(board), true,
                      IndexKey{list_of_board(board), uint64_t{cell} + 1, {KeyKind{0}, 0}}, [&](const IndexKey& row) {
                        if (row.order != cell) return false;
                        places->push_back({cell, 0, 0, row.key.hash});
                        return places->size() <= kSortMax;
                      });
  if (!status.ok() || places->size() > kSortMax) return nullptr;
  for (Place& p : *places) {
    const auto state = at_->state(OperatorId::kScores, {KeyKind::kUser, p.user}, status);
    if (!status.ok()) return nullptr;
    if (state != nullptr) p = place(static_cast<const ScoresState&>(*state), p.user, board), p.cell = cell;
  }
  std::sort(places->begin(), places->end(), better);
  const std::lock_guard lock(mutex_);
  if (sorted_places_ + places->size() > kSortedPlacesMax) sorted_.clear(), sorted_places_ = 0;
  sorted_places_ += places->size();
  return sorted_[{board, cell}] = std::move(places);
}

Rank Reading::rank(const ScoresState& scores, uint64_t user, BoardNumber board, Status& status) const {
  if (board >= boards() || board >= scores.cells.size() || scores.cells[board] == 0) return {};
  const uint32_t cell = scores.cells[board];
  const auto [above, count] = cells(board).at(cell);
  const auto rank = static_cast<uint32_t>(above + 1);
  if (above >= kRanksExact || count > kSortMax) return {rank, false};
  const Sorted places = sorted(board, cell, status);
  if (places == nullptr) return {};
  const auto it = std::find_if(places->begin(), places->end(), [&](const Place& p) { return p.user == user; });
  const auto exact = static_cast<uint32_t>(above + static_cast<uint64_t>(it - places->begin()) + 1);
  return {exact, exact <= kRanksExact};
}

uint32_t Reading::percentile_permille(const ScoresState& scores, BoardNumber board) const {
  if (board >= boards() || board >= scores.cells.size() || scores.cells[board] == 0) return 0;
  const CellTable& table = cells(board);
  if (table.total == 0) return 0;
  const uint64_t above = table.at(scores.cells[board]).first;
  return static_cast<uint32_t>((table.total - std::min(above, table.total)) * 1000 / table.total);
}

Status Reading::walk(BoardNumber board, bool best_first, const std::optional<Place>& after,
                     const std::function<bool(const Place&, bool)>& visit) const {
  Status status;
  bool go_on = true;
  // The cells that hold anybody are known without a look into the store.
  const std::vector<CellTable::Cell>& cells = this->cells(board).cells;
  const size_t n = cells.size();
  const auto passed_cell = [&](size_t i) {
    const uint64_t cell = cells[best_first ? i : n - 1 - i].cell;
    return best_first ? cell > after->cell : cell < after->cell;
  };
  size_t i = 0;
  for (size_t end = after ? n : 0; i < end;) {  // the first one not passed
    const size_t middle = i + (end - i) / 2;
    passed_cell(middle) ? i = middle + 1 : end = middle;
  }
  for (; i < n && go_on; ++i) {
    const auto cell = static_cast<uint32_t>(cells[best_first ? i : n - 1 - i].cell);
    const bool resumed = after && after->cell == cell;
    const Sorted places = sorted(board, cell, status);
    if (!status.ok()) return status;
    if (places != nullptr) {
      const auto passed = [&](const Place& p) {
        if (!resumed) return false;
        const uint128 sum = rebased(*after, p.base);
        if (p.sum != sum) return best_first ? p.sum > sum : p.sum < sum;
        return best_first ? p.user >= after->user : p.user <= after->user;
      };
      const size_t users = places->size();
      for (size_t u = 0; u < users && go_on; ++u) {
        const Place& p = best_first ? (*places)[u] : (*places)[users - 1 - u];
        if (!passed(p)) go_on = visit(p, true);
      }
    } else {  // too many of one cell: as the list has them
      const IndexKey begin = best_first
                                 ? IndexKey{list_of_board(board), uint64_t{cell} + 1, {KeyKind{0}, 0}}
                                 : IndexKey{list_of_board(board), uint64_t{cell} - 1, {KeyKind{0xff}, UINT64_MAX}};
      const IndexKey within = resumed ? IndexKey{list_of_board(board), cell, {KeyKind::kUser, after->user}} : begin;
      status = at_->scan_index(index_of(board), plus_of(board), best_first, within, [&](const IndexKey& row) {
        if (row.order != cell) return false;
        return go_on = visit({cell, 0, 0, row.key.hash}, false);
      });
      if (!status.ok()) return status;
    }
  }
  return status;
}

const PeopleShown* Lookup::people(uint64_t user) {
  const auto [it, fresh] = people_.try_emplace(user);
  std::optional<PeopleShown>& shown = it->second;
  const Key key{KeyKind::kUser, user};
  if (fresh && !at().read_state(OperatorId::kPeople, key, status_,
                                [&](std::string_view row) { return shown.emplace().decode_front(row); }))
    shown.reset();
  if (fresh && shown && !at().erased().empty()) shown->forget_names(key, at().erased());
  return shown ? &*shown : nullptr;
}

std::optional<LikeEntry> Lookup::like(uint64_t user, int64_t time_us, uint64_t id_hash) {
  const PeopleShown* people = this->people(user);
  if (people == nullptr) return {};
  const auto among = [&](const std::vector<LikeEntry>& entries) -> std::optional<LikeEntry> {
    const auto at = std::find_if(entries.rbegin(), entries.rend(),
                                 [&](const LikeEntry& e) { return e.id_hash == id_hash && e.time_us == time_us; });
    return at == entries.rend() ? std::nullopt : std::optional(*at);
  };
  if (const auto open = among(people->book.entries())) return open;
  // Not folded before its time, so in no block that was full on a day before; most are in the first of the others.
  for (const LikeBook::Block& b : people->book.blocks()) {
    if (b.day < day_of(time_us)) continue;
    const auto [it, fresh] = blocks_.try_emplace({user, b.number});
    if (fresh && !LikeBook::read_block(
                     at().block(OperatorId::kPeople, {KeyKind::kUser, user}, b.day, b.number, status_), it->second))
      it->second.clear();
    if (const auto found = among(it->second)) return found;
  }
  return {};
}

std::string Lookup::name(Key key) {
  if (key.hash == 0) return {};
  const auto [it, fresh] = names_.try_emplace(key);
  if (!fresh) return it->second;
  switch (key.kind) {
    case KeyKind::kUser: {
      if (const ScoresState* s = scores(key.hash); s != nullptr && !s->id.empty()) {
        it->second = s->id;
      } else if (const PeopleShown* p = people(key.hash)) {
        it->second = p->id;
      }
      break;
    }
    case KeyKind::kPost:
      if (const PostsState* p = post(key.hash)) it->second = p->id;
      break;
    case KeyKind::kReferral:
      if (const auto* r = find<ReferralsState>(OperatorId::kReferrals, key)) it->second = r->id;
      break;
    case KeyKind::kReport:
      if (const auto* r = find<ReportsState>(OperatorId::kReports, key)) it->second = r->id;
      break;
    case KeyKind::kFlag:
      if (const FlagsState* f = flag(key.hash)) it->second = f->id;
      break;
    case KeyKind::kEvent:
    case KeyKind::kCommunity:
      break;
  }
  return it->second;
}

}  // namespace bellwether

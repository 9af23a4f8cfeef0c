#include "operators/like_book.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace bellwether {
namespace {
constexpr size_t kIndexAbove = 48;    // entries; below it a scan is cheaper than three maps
constexpr size_t kBlockEntries = 16;  // of a small book; a block grows with the book, so that its directory stays short
constexpr size_t kBlockEntriesMax = 256;
size_t block_entries(size_t book) { return std::clamp(book / 8, kBlockEntries, kBlockEntriesMax); }
}  // namespace

bool OpenDiscount::covers(const LikeEntry& e) const {
  if (e.time_us < scope.from_us || e.time_us > scope.to_us) return false;
  if (scope.posts.empty()) return scope.author != 0 && e.author == scope.author;
  return std::binary_search(scope.posts.begin(), scope.posts.end(), e.post);
}

template <class Each>
void LikeBook::newest_first(const absl::flat_hash_map<uint64_t, uint32_t>& last, uint32_t LikeEntry::*before,
                            uint64_t key, Each&& each) const {
  const auto at = last.find(key);
  for (uint32_t n = at == last.end() ? 0 : at->second; n != 0 && held(n - 1);) {
    const size_t i = place(n - 1);
    if (!each(i)) return;
    n = entries_[i].*before;
  }
}

std::vector<LikeBook::Dated>::const_iterator LikeBook::first_of_day(int64_t day) const {
  return std::lower_bound(by_day_.begin(), by_day_.end(), Dated{day, 0});
}

void LikeBook::build_index() {
  by_target_.clear(), by_author_.clear(), by_id_.clear(), by_day_.clear();
  forgotten_ = 0;
  indexed_ = entries_.size() > kIndexAbove;
  by_day_.reserve(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i)
    by_day_.push_back({day_of(entries_[i].time_us), static_cast<uint32_t>(i)});
  std::sort(by_day_.begin(), by_day_.end());
  if (!indexed_) return;
  for (size_t i = 0; i < entries_.size(); ++i) index(i);
}

void LikeBook::index(size_t i) {
  LikeEntry& e = entries_[i];
  const auto number = static_cast<uint32_t>(forgotten_ + i);
  e.before_of_target = std::exchange(by_target_[target_of(e)], number + 1);
  e.before_of_author = std::exchange(by_author_[e.author], number + 1);
  by_id_[e.id_hash] = number;
}

ptrdiff_t LikeBook::standing(uint64_t target, LikeKind kind) const {
  const auto matches = [&](const LikeEntry& e) {
    return !e.undo && !e.undone && e.kind == kind && target_of(e) == target && day_of(e.time_us) > expired_day_;
  };
  ptrdiff_t found = -1;
  if (indexed_) {
    of_target(target, [&](size_t i) {
      if (matches(entries_[i])) found = static_cast<ptrdiff_t>(i);
      return found < 0;
    });
    return found;
  }
  for (size_t i = entries_.size(); i-- > 0;)
    if (matches(entries_[i])) return static_cast<ptrdiff_t>(i);
  return found;
}

ptrdiff_t LikeBook::undo_ahead(uint64_t target, LikeKind kind, int64_t like_time_us) const {
  const auto matches = [&](const LikeEntry& e) {
    return e.undo && !e.used && e.kind == kind && target_of(e) == target && e.time_us >= like_time_us &&
           day_of(e.time_us) > expired_day_;
  };
  ptrdiff_t found = -1;
  if (indexed_) {  // the oldest of them
    of_target(target, [&](size_t i) {
      if (matches(entries_[i])) found = static_cast<ptrdiff_t>(i);
      return true;
    });
    return found;
  }
  for (size_t i = 0; i < entries_.size(); ++i)
    if (matches(entries_[i])) return static_cast<ptrdiff_t>(i);
  return found;
}

bool LikeBook::has_id(uint64_t id_hash, int64_t since_slot) const {
  if (indexed_) {
    const auto it = by_id_.find(id_hash);
    return it != by_id_.end() && held(it->second) && entries_[place(it->second)].slot >= since_slot;
  }
  for (size_t i = entries_.size(); i-- > 0 && entries_[i].slot >= since_slot;)
    if (entries_[i].id_hash == id_hash) return true;
  return false;
}

uint32_t LikeBook::on_day(int64_t day) const {
  if (by_day_.empty() || by_day_.back().day < day) return 0;
  return static_cast<uint32_t>(first_of_day(day + 1) - first_of_day(day));
}

// Undoes act on what was folded before them, or void what comes after. What an entry met when it was folded is kept in
// its `born` bit: after a reload the other one may have left the book.
void LikeBook::link(size_t i, bool fresh) {
  LikeEntry& e = entries_[i];
  if (!fresh && !e.born) return;
  const uint64_t target = target_of(e);
  const auto earlier = [&](auto&& matches) -> LikeEntry* {
    if (indexed_) {
      LikeEntry* found = nullptr;
      of_target(target, [&](size_t k) {
        if (k < i && matches(entries_[k])) found = &entries_[k];
        return found == nullptr;
      });
      return found;
    }
    for (size_t j = i; j-- > 0;)
      if (matches(entries_[j])) return &entries_[j];
    return nullptr;
  };
  // When it was folded, what had expired met nothing any more; after a reload more has expired, but what it met is
  // known to be there.
  const auto meets = [&](const LikeEntry& o) {
    return o.kind == e.kind && target_of(o) == target && (!fresh || day_of(o.time_us) > expired_day_);
  };
  LikeEntry* met = nullptr;
  if (e.undo) {
    met = earlier([&](const LikeEntry& l) { return !l.undo && !l.undone && meets(l); });
    if (met != nullptr) met->undone = true;
  } else {
    met = earlier([&](const LikeEntry& u) { return u.undo && !u.used && u.time_us >= e.time_us && meets(u); });
    if (met != nullptr) met->used = true;
  }
  if (fresh) e.born = met != nullptr;
  if (e.born) (e.undo ? e.used : e.undone) = true;
}

void LikeBook::append(LikeEntry entry) {
  entry.born = entry.undone = entry.used = false;
  entry.before_of_target = entry.before_of_author = 0;
  entries_.push_back(entry);
  const Dated dated{day_of(entry.time_us), static_cast<uint32_t>(forgotten_ + entries_.size() - 1)};
  by_day_.insert(std::upper_bound(by_day_.begin(), by_day_.end(), dated), dated);
  link(entries_.size() - 1, true);
  if (indexed_)
    index(entries_.size() - 1);
  else if (entries_.size() > kIndexAbove)
    build_index();
}

void LikeBook::set_discount(OpenDiscount discount) {
  for (OpenDiscount& d : discounts_)
    if (d.flag == discount.flag) {
      d = std::move(discount);
      return;
    }
  if (discounts_.size() < kUserFlagsMax) discounts_.push_back(std::move(discount));
}

bool LikeBook::end_discount(uint64_t flag) {
  return std::erase_if(discounts_, [&](const OpenDiscount& d) { return d.flag == flag; }) > 0;
}

uint16_t LikeBook::authenticity(const LikeEntry& e, uint64_t without) const {
  uint16_t least = kAuthentic;
  for (const OpenDiscount& d : discounts_)
    if (d.flag != without && d.covers(e)) least = std::min(least, d.authenticity);
  return least;
}

LikeWorth LikeBook::worth(size_t i, uint64_t without) const {
  const LikeEntry& e = entries_[i];
  LikeWorth w;
  w.standing = !e.undo && !e.undone;
  w.authenticity = authenticity(e, without);
  const bool contact = counts_for_pair(e) && w.standing && w.authenticity > 0;
  w.first = contact;
  uint32_t halvings = 0;
  const auto look = [&](const LikeEntry& before) {
    if (before.author != e.author || !counts_for_pair(before)) return;
    if (before.time_us <= e.time_us - kPairUs || before.time_us > e.time_us) return;
    if (authenticity(before, without) == 0) return;
    if (before.kind == LikeKind::kLike && e.kind == LikeKind::kLike) ++halvings;
    if (!before.undone) w.first = false;
  };
  if (indexed_) {
    of_author(e.author, [&](size_t k) {
      if (k < i) look(entries_[k]);
      return true;
    });
  } else {
    for (size_t j = 0; j < i; ++j) look(entries_[j]);
  }
  w.halvings = static_cast<uint8_t>(std::min(halvings, kHalvingMax));
  return w;
}

bool LikeBook::likes_author(uint64_t author, uint64_t without) const {
  const auto holds = [&](const LikeEntry& e) {
    return e.author == author && counts_for_pair(e) && !e.undone && day_of(e.time_us) > expired_day_ &&
           authenticity(e, without) > 0;
  };
  if (indexed_) {
    bool found = false;
    of_author(author, [&](size_t i) { return !(found = holds(entries_[i])); });
    return found;
  }
  return std::any_of(entries_.begin(), entries_.end(), holds);
}

std::vector<size_t> LikeBook::pair(uint64_t author) const {
  std::vector<size_t> found;
  if (indexed_) {
    of_author(author, [&](size_t i) {
      found.push_back(i);
      return true;
    });
    std::reverse(found.begin(), found.end());
    return found;
  }
  for (size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].author == author) found.push_back(i);
  return found;
}

int64_t LikeBook::oldest_unexpired_day() const {
  if (by_day_.empty()) return INT64_MAX;
  if (by_day_.front().day > expired_day_) return by_day_.front().day;
  const auto at = first_of_day(expired_day_ + 1);
  return at == by_day_.end() ? INT64_MAX : at->day;
}

std::vector<LikeBook::Ended> LikeBook::expire(int64_t day, size_t most, Key self) {
  // Day by day, so that a pair's last entry is the one that ends it; within a day the pairs in order of their author.
  std::vector<Ended> ended;
  while (expired_day_ < day) {
    const int64_t next = oldest_unexpired_day();
    if (next > day) {
      expired_day_ = day;
      break;
    }
    std::vector<std::pair<uint64_t, size_t>> leaving;
    for (auto at = first_of_day(next); at != by_day_.end() && at->day == next; ++at)
      if (const LikeEntry& e = entries_[place(at->number)]; counts_for_pair(e))
        leaving.emplace_back(e.author, place(at->number));
    std::sort(leaving.begin(), leaving.end());
    if (!ended.empty() && ended.size() + leaving.size() > most) break;  // a day is done whole
    std::vector<std::pair<uint64_t, size_t>> held;
    for (size_t k = 0; k < leaving.size(); ++k)
      if ((k == 0 || leaving[k].first != leaving[k - 1].first) && likes_author(leaving[k].first))
        held.push_back(leaving[k]);
    expired_day_ = next;
    for (const auto& [author, i] : held)
      if (!likes_author(author)) ended.push_back({author, {self, entries_[i].time_us, entries_[i].id_hash}});
  }
  return ended;
}

void LikeBook::forget(int64_t day) {
  // Moved together, not a few a day: nothing that is asked for is so old.
  const auto old = static_cast<size_t>(first_of_day(day) - by_day_.begin());
  if (old == 0 || old * 8 < entries_.size()) return;
  // Whole blocks from the front only, so that what memory holds is what a reload would give.
  size_t drop = 0, blocks = 0;
  while (blocks < blocks_.size()) {
    const size_t end = drop + blocks_[blocks].count;
    if (std::any_of(entries_.begin() + static_cast<ptrdiff_t>(drop), entries_.begin() + static_cast<ptrdiff_t>(end),
                    [&](const LikeEntry& e) { return day_of(e.time_us) >= day; }))
      break;
    drop = end, ++blocks;
  }
  if (blocks == blocks_.size()) {  // then open ones
    while (drop < entries_.size() && day_of(entries_[drop].time_us) < day) ++drop;
  }
  if (drop == 0) return;
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(drop));
  blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<ptrdiff_t>(blocks));
  sealed_ = sealed_ > drop ? sealed_ - drop : 0;
  forgotten_ += drop;
  // Links stay as they are: they were made when both ends were there.
  if (forgotten_ > entries_.size()) return build_index();
  // All of them are of days before `day`.
  const auto end = by_day_.begin() + (first_of_day(day) - by_day_.begin());
  by_day_.erase(std::remove_if(by_day_.begin(), end, [this](const Dated& d) { return !held(d.number); }), end);
}

bool LikeBook::seal(int64_t filling_day, Block& block, std::string& bytes) {
  const size_t open = entries_.size() - sealed_, full = block_entries(entries_.size());
  if (open < full) return false;
  block = {filling_day, next_number_++, static_cast<uint32_t>(full)};
  bytes.clear();
  Writer w(bytes);
  w.u8(1);
  const LikeEntry* from = entries_.data() + sealed_;
  write_entries(w, from, from + full);
  sealed_ += full;
  blocks_.push_back(block);
  return true;
}

void LikeBook::write_entries(Writer& w, const LikeEntry* from, const LikeEntry* to) {
  w.varint(static_cast<uint64_t>(to - from));
  int64_t last = 0;
  for (const LikeEntry* e = from; e != to; ++e) {
    EntryWriter c(w);
    c.fixed64(e->post), c.fixed64(e->author), c.fixed64(e->id_hash);
    c.zigzag(e->time_us - last), last = e->time_us;
    c.zigzag(e->slot - slot_of(e->time_us));
    c.varint(e->rules);
    c.u8(static_cast<uint8_t>(static_cast<uint8_t>(e->kind) | static_cast<uint8_t>(e->post_kind) << 3 | e->undo << 6 |
                              e->born << 7));
  }
}

bool LikeBook::read_entries(Reader& r, std::vector<LikeEntry>& out) {
  const uint64_t n = r.varint();
  int64_t last = 0;
  for (uint64_t i = 0; i < n && r.ok(); ++i) {
    LikeEntry e;
    e.post = r.fixed64(), e.author = r.fixed64(), e.id_hash = r.fixed64();
    e.time_us = last = r.above(last);
    e.slot = r.above(slot_of(e.time_us));
    e.rules = static_cast<uint16_t>(r.varint());
    const uint8_t b = r.u8();
    e.kind = static_cast<LikeKind>(b & 7), e.post_kind = static_cast<PostKind>(b >> 3 & 7), e.undo = b >> 6 & 1,
    e.born = b >> 7;
    out.push_back(e);
  }
  return r.ok();
}

void LikeBook::write(Writer& w) const {
  w.varint(blocks_.size());
  int64_t last = 0;
  for (const Block& b : blocks_) w.zigzag(b.day - last), last = b.day, w.varint(b.number), w.varint(b.count);
  w.varint(next_number_);
  w.zigzag(expired_day_);
  w.varint(discounts_.size());
  for (const OpenDiscount& d : discounts_) {
    w.fixed64(d.flag), w.bytes(d.flag_id), w.u8(static_cast<uint8_t>(d.kind)), w.varint(d.authenticity);
    w.varint(d.scope.posts.size());
    for (uint64_t p : d.scope.posts) w.fixed64(p);
    w.fixed64(d.scope.author), w.zigzag(d.scope.from_us), w.zigzag(d.scope.to_us);
  }
  write_entries(w, entries_.data() + sealed_, entries_.data() + entries_.size());
}

bool LikeBook::read(Reader& r) {
  const uint64_t blocks = r.varint();
  int64_t last = 0;
  for (uint64_t i = 0; i < blocks && r.ok(); ++i) {
    Block b;
    b.day = last = r.above(last), b.number = static_cast<uint32_t>(r.varint()),
    b.count = static_cast<uint32_t>(r.varint());
    blocks_.push_back(b);
  }
  next_number_ = static_cast<uint32_t>(r.varint());
  expired_day_ = r.zigzag();
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    OpenDiscount d;
    d.flag = r.fixed64(), d.flag_id = r.bytes(), d.kind = static_cast<FlagKind>(r.u8()),
    d.authenticity = static_cast<uint16_t>(r.varint());
    for (uint64_t k = r.varint(); k > 0 && r.ok(); --k) d.scope.posts.push_back(r.fixed64());
    d.scope.author = r.fixed64(), d.scope.from_us = r.zigzag(), d.scope.to_us = r.zigzag();
    discounts_.push_back(std::move(d));
  }
  std::vector<LikeEntry> open;
  if (!read_entries(r, open)) return false;
  entries_ = std::move(open);
  sealed_ = 0;
  loaded_ = blocks_.empty();
  if (loaded_) finish_loading();
  return true;
}

bool LikeBook::add_block(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != 1) return false;
  std::vector<LikeEntry> block;
  if (!read_entries(r, block)) return false;
  entries_.insert(entries_.begin() + static_cast<ptrdiff_t>(sealed_), block.begin(), block.end());
  sealed_ += block.size();
  return true;
}

void LikeBook::finish_loading() {
  loaded_ = true;
  build_index();
  for (size_t i = 0; i < entries_.size(); ++i) link(i, false);
}

size_t LikeBook::memory() const {
  size_t bytes =
      entries_.capacity() * sizeof(LikeEntry) + blocks_.capacity() * sizeof(Block) + by_day_.capacity() * sizeof(Dated);
  for (const OpenDiscount& d : discounts_) bytes += sizeof d + d.scope.posts.capacity() * 8;
  if (indexed_) bytes += entries_.size() * 72;
  return bytes;
}

}  // namespace bellwether

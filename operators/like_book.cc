#include "operators/like_book.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <utility>

#include "operators/block_size.h"

namespace bellwether {
namespace {
constexpr size_t kTagsAbove = 8;     // entries; up to it a scan of the entries themselves is as cheap
constexpr size_t kIndexAbove = 192;  // up to it a scan of tags is cheaper than three tables, and half their size

// There are as many books as users: room for a few more entries, not for as many again.
size_t with_room(size_t n) { return n + n / 8 + 2; }
template <class T>
void push(std::vector<T>& v, const T& value) {
  if (v.size() == v.capacity()) v.reserve(with_room(v.size()));
  v.push_back(value);
}

// Bits of an entry's tag.
constexpr uint32_t kTargetBits = 0x7ff, kAuthorBits = 0x7ff << 11, kIdBits = 0x3ffU << 22;
uint32_t target_tag(uint64_t target) { return static_cast<uint32_t>(spread(target) >> 53); }
uint32_t author_tag(uint64_t author) { return static_cast<uint32_t>(spread(author) >> 53) << 11; }
uint32_t id_tag(uint64_t id_hash) { return static_cast<uint32_t>(spread(id_hash) >> 54) << 22; }
}  // namespace

bool OpenDiscount::covers(const LikeEntry& e) const {
  if (e.time_us < scope.from_us || e.time_us > scope.to_us) return false;
  if (scope.posts.empty()) return scope.author != 0 && e.author == scope.author;
  return std::binary_search(scope.posts.begin(), scope.posts.end(), e.post);
}

template <class Each>
void LikeBook::tagged(uint32_t tag, uint32_t mask, size_t below, Each&& each) const {
  if (tags_.size() < 8) {  // there are none, or few are left
    for (size_t i = below; i-- > 0;)
      if (!each(i)) return;
    return;
  }
  for (size_t n = below; n > 0;) {
    const size_t from = n >= 8 ? n - 8 : 0;
    uint32_t hits = among_eight(tags_.data() + from, tag, mask) & (0xffU >> (8 - (n - from)));
    for (; hits != 0; hits &= ~(1U << (std::bit_width(hits) - 1)))
      if (!each(from + static_cast<size_t>(std::bit_width(hits)) - 1)) return;
    n = from;
  }
}

template <class Each>
void LikeBook::chained(uint32_t newest, uint32_t Index::Before::*before, size_t below, Each&& each) const {
  const Index& index = index_.front();
  for (uint32_t n = newest; n != LikeNumbers::kNone && index.held(n);) {
    const size_t i = index.place(n);
    if (i < below && !each(i)) return;
    n = index.before[i].*before;
  }
}

template <class Each>
void LikeBook::of_target(uint64_t target, size_t below, Each&& each) const {
  if (indexed())
    return chained(index_.front().target.find(target, TargetOf{*this}), &Index::Before::target, below, each);
  tagged(target_tag(target), kTargetBits, below, [&](size_t i) { return target_of(entries_[i]) != target || each(i); });
}

template <class Each>
void LikeBook::of_author(uint64_t author, size_t below, Each&& each) const {
  if (indexed())
    return chained(index_.front().author.find(author, AuthorOf{*this}), &Index::Before::author, below, each);
  tagged(author_tag(author), kAuthorBits, below, [&](size_t i) { return entries_[i].author != author || each(i); });
}

std::vector<LikeBook::Index::Day>::const_iterator LikeBook::Index::first_of(int64_t day) const {
  return std::lower_bound(days.begin(), days.end(), day, [](const Day& d, int64_t at) { return d.day < at; });
}

void LikeBook::Index::count(int64_t day, uint32_t number) {
  if (days.empty() || days.back().day < day) return push(days, {static_cast<int32_t>(day), 1, number});
  const auto at = days.back().day == day ? days.end() - 1 : days.begin() + (first_of(day) - days.begin());
  if (at->day != day)
    days.insert(at, {static_cast<int32_t>(day), 1, number});
  else
    ++at->count;
}

template <class Each>
void LikeBook::of_day(int64_t day, Each&& each) const {
  size_t i = 0, left = entries_.size();
  if (indexed()) {
    const Index& index = index_.front();
    const auto at = index.first_of(day);
    if (at == index.days.end() || at->day != day) return;
    i = index.held(at->first) ? index.place(at->first) : 0, left = at->count;
  }
  for (; i < entries_.size() && left > 0; ++i)  // seldom far: a day's are folded together, but for the late
    if (day_of(entries_[i].time_us) == day) each(i), --left;
}

void LikeBook::build_index() {
  tags_.clear();
  index_.clear();
  if (entries_.size() > kIndexAbove && entries_.size() <= LikeNumbers::kNumberMax) {
    tags_ = std::vector<uint32_t>();
    index_.reserve(1);
    Index& index = index_.emplace_back();
    index.before.reserve(entries_.capacity());
    index.target.reserve(entries_.size()), index.id.reserve(entries_.size());
  } else if (entries_.size() > kTagsAbove) {
    tags_.reserve(entries_.capacity());
    tags_.push_back(tag_of(entries_.front()));
  }
  for (size_t i = tags_.size(); i < entries_.size(); ++i) find_by(i);
  oldest_ = find_oldest();
}

uint32_t LikeBook::tag_of(const LikeEntry& e) {
  return target_tag(target_of(e)) | author_tag(e.author) | id_tag(e.id_hash);
}

void LikeBook::find_by(size_t i) {
  const LikeEntry& e = entries_[i];
  if (!indexed()) {
    if (!tags_.empty()) push(tags_, tag_of(e));
    return;
  }
  Index& index = index_.front();
  const auto number = static_cast<uint32_t>(index.forgotten + i);
  push(index.before, {index.target.exchange(target_of(e), number, TargetOf{*this}),
                      index.author.exchange(e.author, number, AuthorOf{*this})});
  index.id.exchange(e.id_hash, number, IdOf{*this});
  index.count(day_of(e.time_us), number);
}

ptrdiff_t LikeBook::standing(uint64_t target, LikeKind kind) const {
  ptrdiff_t found = -1;
  of_target(target, entries_.size(), [&](size_t i) {
    const LikeEntry& e = entries_[i];
    if (!e.undo && !e.undone && e.kind == kind && day_of(e.time_us) > expired_day_) found = static_cast<ptrdiff_t>(i);
    return found < 0;
  });
  return found;
}

ptrdiff_t LikeBook::undo_ahead(uint64_t target, LikeKind kind, int64_t like_time_us) const {
  ptrdiff_t found = -1;  // the oldest of them
  of_target(target, entries_.size(), [&](size_t i) {
    const LikeEntry& e = entries_[i];
    if (e.undo && !e.used && e.kind == kind && e.time_us >= like_time_us && day_of(e.time_us) > expired_day_)
      found = static_cast<ptrdiff_t>(i);
    return true;
  });
  return found;
}

bool LikeBook::has_id(uint64_t id_hash, int64_t since_slot) const {
  // The newest of the id decides: ticks only go up.
  bool found = false;
  if (indexed()) {
    const Index& index = index_.front();
    const uint32_t number = index.id.find(id_hash, IdOf{*this});
    return number != LikeNumbers::kNone && entries_[index.place(number)].slot() >= since_slot;
  }
  tagged(id_tag(id_hash), kIdBits, entries_.size(), [&](size_t i) {
    if (entries_[i].id_hash != id_hash) return true;
    found = entries_[i].slot() >= since_slot;
    return false;
  });
  return found;
}

uint32_t LikeBook::on_day(int64_t day) const {
  if (indexed()) {
    const Index& index = index_.front();
    const auto at = index.first_of(day);
    return at == index.days.end() || at->day != day ? 0 : at->count;
  }
  uint32_t n = 0;
  of_day(day, [&](size_t) { ++n; });
  return n;
}

// Undoes act on what was folded before them, or void what comes after. What an entry met when it was folded is kept in
// its `born` bit: after a reload the other one may have left the book.
void LikeBook::link(size_t i, bool fresh) {
  LikeEntry& e = entries_[i];
  if (!fresh && !e.born) return;
  const uint64_t target = target_of(e);
  const auto earlier = [&](auto&& matches) {
    LikeEntry* found = nullptr;
    of_target(target, i, [&](size_t k) {
      if (matches(entries_[k])) found = &entries_[k];
      return found == nullptr;
    });
    return found;
  };
  // When it was folded, what had expired met nothing any more; after a reload more has expired, but what it met is
  // known to be there.
  const auto meets = [&](const LikeEntry& o) {
    return o.kind == e.kind && (!fresh || day_of(o.time_us) > expired_day_);
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
  if (!e.born) return;
  if (e.undo)
    e.used = true;
  else
    e.undone = true;
}

void LikeBook::append(LikeEntry entry) {
  entry.born = entry.undone = entry.used = false;
  push(entries_, entry);
  const size_t i = entries_.size() - 1;
  link(i, true);
  if (indexed() ? index_.front().forgotten + i > LikeNumbers::kNumberMax : i == kTagsAbove || i == kIndexAbove)
    return build_index();
  find_by(i);
  if (const int64_t day = day_of(entry.time_us); day > expired_day_) oldest_ = std::min(oldest_, day);
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
  w.first = counts_for_pair(e) && w.standing && w.authenticity > 0;
  const bool halved = e.kind == LikeKind::kLike;
  uint32_t halvings = 0;
  const auto open = [&] { return w.first || (halved && halvings < kHalvingMax); };
  if (!open()) return w;
  of_author(e.author, i, [&](size_t k) {
    const LikeEntry& before = entries_[k];
    if (!counts_for_pair(before)) return true;
    if (before.time_us <= e.time_us - kPairUs || before.time_us > e.time_us) return true;
    if (authenticity(before, without) == 0) return true;
    if (halved && before.kind == LikeKind::kLike) ++halvings;
    if (!before.undone) w.first = false;
    return open();
  });
  w.halvings = static_cast<uint8_t>(std::min(halvings, kHalvingMax));
  return w;
}

bool LikeBook::likes_author(uint64_t author, uint64_t without) const {
  bool found = false;
  of_author(author, entries_.size(), [&](size_t i) {
    const LikeEntry& e = entries_[i];
    found = counts_for_pair(e) && !e.undone && day_of(e.time_us) > expired_day_ && authenticity(e, without) > 0;
    return !found;
  });
  return found;
}

std::vector<size_t> LikeBook::pair(uint64_t author) const {
  std::vector<size_t> found;
  of_author(author, entries_.size(), [&](size_t i) {
    found.push_back(i);
    return true;
  });
  std::reverse(found.begin(), found.end());
  return found;
}

int64_t LikeBook::find_oldest() const {
  int64_t oldest = INT64_MAX;
  if (indexed()) {
    for (const Index::Day& d : index_.front().days)
      if (d.day > expired_day_) return d.day;
    return oldest;
  }
  for (const LikeEntry& e : entries_)
    if (const int64_t day = day_of(e.time_us); day > expired_day_) oldest = std::min(oldest, day);
  return oldest;
}

std::vector<LikeBook::Ended> LikeBook::expire(int64_t day, size_t most, Key self) {
  // Day by day, so that a pair's last entry is the one that ends it; within a day the pairs in order of their author.
  std::vector<Ended> ended;
  while (expired_day_ < day) {
    const int64_t next = oldest_;
    if (next > day) {
      expired_day_ = day;
      break;
    }
    std::vector<std::pair<uint64_t, size_t>> leaving;
    of_day(next, [&](size_t i) {
      if (counts_for_pair(entries_[i])) leaving.emplace_back(entries_[i].author, i);
    });
    std::sort(leaving.begin(), leaving.end());
    if (!ended.empty() && ended.size() + leaving.size() > most) break;  // a day is done whole
    std::vector<std::pair<uint64_t, size_t>> held;
    for (size_t k = 0; k < leaving.size(); ++k)
      if ((k == 0 || leaving[k].first != leaving[k - 1].first) && likes_author(leaving[k].first))
        held.push_back(leaving[k]);
    expired_day_ = next;
    oldest_ = find_oldest();
    for (const auto& [author, i] : held)
      if (!likes_author(author)) ended.push_back({author, {self, entries_[i].time_us, entries_[i].id_hash}});
  }
  return ended;
}

void LikeBook::forget(int64_t day) {
  // Moved together, not a few a day: nothing that is asked for is so old.
  size_t old = 0;
  if (indexed()) {
    for (const Index::Day& d : index_.front().days) old += d.day < day ? d.count : 0;
  } else {
    for (const LikeEntry& e : entries_) old += day_of(e.time_us) < day;
  }
  if (old == 0 || old * 8 < entries_.size()) return;
  // Whole blocks from the front only, so that what memory holds is what a reload would give; forget_blocks() sees to
  // it that the ledger has those which are left.
  size_t drop = 0, blocks = 0;
  while (blocks < blocks_.size()) {
    const size_t end = drop + blocks_[blocks].count;
    if (end > sealed_ ||  // a block that could not be read
        std::any_of(entries_.begin() + static_cast<ptrdiff_t>(drop), entries_.begin() + static_cast<ptrdiff_t>(end),
                    [&](const LikeEntry& e) { return day_of(e.time_us) >= day; }))
      break;
    drop = end, ++blocks;
  }
  if (blocks == blocks_.size()) {  // then open ones
    while (drop < entries_.size() && day_of(entries_[drop].time_us) < day) ++drop;
  }
  if (drop != 0) drop_front(drop, blocks);
}

void LikeBook::forget_old_blocks(int64_t day) {
  size_t drop = 0, blocks = 0;
  while (blocks < blocks_.size() && blocks_[blocks].day < day) drop += blocks_[blocks++].count;
  drop_front(loaded_ ? drop : 0, blocks);
}

void LikeBook::drop_front(size_t drop, size_t blocks) {
  blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<ptrdiff_t>(blocks));
  if (drop == 0) return;
  const auto dropped = static_cast<ptrdiff_t>(drop);
  if (indexed()) {
    Index& index = index_.front();
    for (size_t i = 0; i < drop; ++i)
      --index.days[static_cast<size_t>(index.first_of(day_of(entries_[i].time_us)) - index.days.begin())].count;
    std::erase_if(index.days, [](const Index::Day& d) { return d.count == 0; });
    index.before.erase(index.before.begin(), index.before.begin() + dropped);
    index.forgotten += drop;
  } else if (!tags_.empty()) {
    tags_.erase(tags_.begin(), tags_.begin() + dropped);
  }
  entries_.erase(entries_.begin(), entries_.begin() + dropped);
  sealed_ = sealed_ > drop ? sealed_ - drop : 0;
  // Links stay as they are: they were made when both ends were there.
  if (entries_.capacity() > 2 * with_room(entries_.size())) entries_.shrink_to_fit(), tags_.shrink_to_fit();
  if (indexed() && index_.front().forgotten > entries_.size()) return build_index();
  oldest_ = find_oldest();
}

bool LikeBook::seal(int64_t filling_day, Block& block, std::string& bytes) {
  const size_t open = entries_.size() - sealed_, full = block_rows(blocks_.size());
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
    c.zigzag(e->slot_ahead);
    c.varint(e->rules);
    c.u8(static_cast<uint8_t>(static_cast<uint8_t>(e->kind) | static_cast<uint8_t>(e->post_kind) << 3 | e->undo << 6 |
                              e->born << 7));
  }
}

bool LikeBook::read_entries(Reader& r, std::vector<LikeEntry>& out) {
  const uint64_t n = r.varint();
  constexpr size_t kBytesMin = 28;  // of an entry
  out.reserve(with_room(std::min<uint64_t>(n, r.left() / kBytesMin)));
  int64_t last = 0;
  for (uint64_t i = 0; i < n && r.ok(); ++i) {
    LikeEntry e;
    e.post = r.fixed64(), e.author = r.fixed64(), e.id_hash = r.fixed64();
    e.time_us = last = r.above(last);
    if (!e.set_slot(r.above(slot_of(e.time_us)))) return false;
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

bool LikeBook::read_block(std::string_view bytes, std::vector<LikeEntry>& out) {
  Reader r(bytes);
  return r.u8() == 1 && read_entries(r, out);
}

bool LikeBook::add_block(std::string_view bytes) {
  std::vector<LikeEntry> block;
  if (!read_block(bytes, block)) return false;
  if (const size_t n = entries_.size() + block.size(); n > entries_.capacity()) entries_.reserve(with_room(n));
  entries_.insert(entries_.begin() + static_cast<ptrdiff_t>(sealed_), block.begin(), block.end());
  sealed_ += block.size();
  return true;
}

void LikeBook::finish_loading() {
  loaded_ = true;
  build_index();
  for (size_t i = 0; i < entries_.size(); ++i) link(i, false);
}

void LikeBook::take_as_open(int64_t day) {
  std::erase_if(entries_, [day](const LikeEntry& e) { return day_of(e.time_us) < day; });
  blocks_.clear();
  sealed_ = 0, next_number_ = 0;
}

size_t LikeBook::memory() const {
  const auto taken = [](const auto& v) { return v.capacity() * sizeof v[0]; };
  size_t bytes = taken(entries_) + taken(blocks_) + taken(discounts_) + taken(tags_) + taken(index_);
  for (const OpenDiscount& d : discounts_) bytes += taken(d.scope.posts) + d.flag_id.capacity();
  for (const Index& index : index_)
    bytes +=
        index.target.memory() + index.author.memory() + index.id.memory() + taken(index.before) + taken(index.days);
  return bytes;
}

}  // namespace bellwether

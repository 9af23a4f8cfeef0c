#include "operators/people.h"

#include <algorithm>

#include "operators/credit.h"
#include "operators/erased.h"
#include "operators/messages.h"
#include "operators/registry.h"

namespace bellwether {

// How rows read. Version 4:
//   front = id, first seen, registered, bits u8 (closed, tells_days), followers, rules_told, held u8 [until, reason],
//   portrait, book
//   rest  = purpose, telling, co_likers, seen
// Version 3 had all of `seen` in the row. Before it the order was front without the book, with `seen` before the
// portrait; co_likers, purpose, telling, book; and version 1 had neither tells_days nor rules_told.
bool PeopleShown::decode_front(std::string_view row) {
  Reader r(row);
  if (const uint8_t version = r.u8(); version == 3 || version == PeopleState::kVersion) {
    uint8_t bits;
    uint16_t rules_told;
    return read_front(r, bits, rules_told);
  }
  PeopleState whole;
  if (!whole.decode(row)) return false;
  *this = std::move(static_cast<PeopleShown&>(whole));
  return true;
}

void PeopleShown::write_start(Writer& w, uint8_t bits, uint16_t rules_told) const {
  EntryWriter c(w);
  c.bytes(id), c.zigzag(first_seen_us), c.zigzag(registered_us), c.u8(bits), c.varint(followers), c.varint(rules_told);
  c.u8(static_cast<uint8_t>(held));
  if (held != Tier::kUnspecified) c.zigzag(held_until_us), c.bytes(held_reason);
}

void PeopleShown::read_start(Reader& r, uint8_t& bits, uint16_t* rules_told) {
  id = r.bytes();
  first_seen_us = r.zigzag(), registered_us = r.zigzag();
  bits = r.u8();
  closed = bits & 1;
  followers = r.varint();
  if (rules_told != nullptr) *rules_told = static_cast<uint16_t>(r.varint());
  held = static_cast<Tier>(r.u8());
  if (held != Tier::kUnspecified) held_until_us = r.zigzag(), held_reason = r.bytes();
}

bool PeopleShown::read_front(Reader& r, uint8_t& bits, uint16_t& rules_told) {
  read_start(r, bits, &rules_told);
  return bits <= 3 && portrait.read(r) && book.read(r);
}

bool PeopleState::decode(std::string_view bytes) {
  Reader r(bytes);
  const uint8_t version = r.u8();
  if (version == 1 || version == 2) return decode_before_3(version, r) && r.done();
  uint8_t bits;
  if ((version != 3 && version != kVersion) || !read_front(r, bits, rules_told)) return false;
  tells_days = bits >> 1 & 1;
  if (!purpose.read(r) || !read_telling(r) || !read_co_likers(r)) return false;
  return (version == 3 ? seen.read_without_blocks(r) : seen.read(r)) && r.done();
}

bool PeopleState::decode_before_3(uint8_t version, Reader& r) {
  uint8_t bits;
  read_start(r, bits, version == 1 ? nullptr : &rules_told);
  tells_days = version == 1 || (bits >> 1 & 1);  // once every day was told
  if (bits > (version == 1 ? 1 : 3)) return false;
  return seen.read_without_blocks(r) && portrait.read(r) && read_co_likers(r) && purpose.read(r) && read_telling(r) &&
         book.read(r);
}

bool PeopleState::read_co_likers(Reader& r) {
  auto pairs = CoLikers::decode(r.bytes());
  if (pairs) co_likers = std::move(*pairs);
  return pairs.has_value();
}

bool PeopleState::read_telling(Reader& r) {
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    Telling t;
    t.to = static_cast<OperatorId>(r.varint()), t.key.kind = static_cast<KeyKind>(r.u8()), t.key.hash = r.fixed64();
    t.time_us = r.zigzag(), t.id_hash = r.fixed64(), t.payload = r.bytes();
    telling.push_back(std::move(t));
  }
  return r.ok();
}

void PeopleState::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  write_start(w, static_cast<uint8_t>(closed | tells_days << 1), rules_told);
  portrait.write(w), book.write(w);
  purpose.write(w);
  w.varint(telling.size());
  for (const Telling& t : telling)
    w.varint(static_cast<uint64_t>(t.to)), w.u8(static_cast<uint8_t>(t.key.kind)), w.fixed64(t.key.hash),
        w.zigzag(t.time_us), w.fixed64(t.id_hash), w.bytes(t.payload);
  static thread_local std::string part;  // encoded a million times
  part.clear(), co_likers.encode(part), w.bytes(part);
  seen.write(w);
}

bool PeopleShown::forget_names(Key key, const Erased& erased) {
  bool changed = false;
  const std::string* name = erased.name(key.hash);
  if (name != nullptr) {
    if (!id.empty() && id != *name) id = *name, changed = true;
    changed |= portrait.forget();
  }
  if (!held_reason.empty() && (name != nullptr || erased.in(held_reason))) held_reason.clear(), changed = true;
  return changed;
}

void PeopleState::fetch_places(const Fact& fact) const {
  if (const auto* like = std::get_if<LikeFact>(&fact.body))
    book.fetch_places(like->kind == LikeKind::kFollow ? like->author.hash : like->post.hash, like->author.hash,
                      fact.id_hash);
}
void PeopleState::fetch_found(const Fact& fact) const {
  if (const auto* like = std::get_if<LikeFact>(&fact.body))
    book.fetch_found(like->kind == LikeKind::kFollow ? like->author.hash : like->post.hash, like->author.hash,
                     fact.id_hash);
}

size_t PeopleState::memory() const {
  return id.capacity() + seen.memory() + book.memory() + portrait.memory() + co_likers.bytes() + telling.size() * 200;
}

namespace {

ActKind act_of(LikeKind kind) {
  switch (kind) {
    case LikeKind::kLike:
      return ActKind::kLike;
    case LikeKind::kShare:
      return ActKind::kShare;
    case LikeKind::kFollow:
      return ActKind::kFollow;
    case LikeKind::kDislike:
      return ActKind::kDislike;
    case LikeKind::kView:
      return ActKind::kView;
    case LikeKind::kUnspecified:
      break;
  }
  return ActKind::kOther;
}

// What every like of an author's pair is worth, in the real world and in the world without each flag: taken before and
// after a change, the difference is what the posts are told.
struct Worths {
  struct World {
    uint64_t flag;
    std::vector<LikeWorth> worth;
    int liker;
  };
  std::vector<size_t> entries;
  std::vector<LikeWorth> real;
  int liker = 0;
  std::vector<World> without;
};

class People final : public OperatorOf<PeopleState> {
 public:
  OperatorId id() const override { return OperatorId::kPeople; }
  const char* name() const override { return "people"; }
  KeyKind key_kind() const override { return KeyKind::kUser; }

  void fold_key(PeopleState& s, Key key, std::span<const Item> items, Context& context) const override {
    s.book.forget_blocks(ledger_kept_from(context.now_us(), context.community().window_days));
    if (!s.book.loaded()) load(s, context);
    expire(s, key, context);  // first, so that what left the window is gone for whatever is folded in this tick
    for (const Item& item : items) {
      switch (item.kind) {
        case Item::Kind::kTimer:
          break;  // expiry above
        case Item::Kind::kFact:
          context.outcome(fact(s, key, *item.fact, context));
          break;
        case Item::Kind::kMessage:
          message(s, key, item, context);
          break;
      }
    }
    wake(s, key, context);
    tell_some(s, key, items.size(), context);
    LikeBook::Block block;
    std::string bytes;
    const int64_t today = day_of(context.now_us());
    while (s.book.seal(today, block, bytes)) context.write_block(block.day, block.number, bytes);
    SeenBlocks::Block ids;
    while (s.seen.seal(today, ids, bytes)) context.write_block(ids.day, ids.number, bytes);
  }

 private:
  static void load(PeopleState& s, Context& context) {
    for (const LikeBook::Block& b : s.book.blocks()) s.book.add_block(context.read_block(b.day, b.number));
    s.book.finish_loading();
  }

  static Outcome fact(PeopleState& s, Key key, const Fact& f, Context& context) {
    const int64_t slot = context.tick().slot;
    const std::string_view id = home_id(f, key);
    if (s.id.empty())
      s.id = id;
    else if (s.id != id)
      return Outcome::kCollision;
    if (!s.seen.loaded()) s.seen.load([&](int64_t day, uint32_t number) { return context.read_block(day, number); });
    if (s.seen.test(f.id_hash, slot) || s.book.has_id(f.id_hash, slot - kSeenUs / kSlotUs)) return Outcome::kDuplicate;
    const bool own = f.user.hash == key.hash;  // not what staff says of them
    if (const auto* like = std::get_if<LikeFact>(&f.body)) {
      if (const Outcome o = fold_like(s, key, f, *like, context); o != Outcome::kApplied) return o;
    } else {
      s.seen.add(f.id_hash, slot);
      account(s, key, f, context);
    }
    if (own) {
      s.first_seen_us = std::min(s.first_seen_us, f.time_us);
      const auto* like = std::get_if<LikeFact>(&f.body);
      const bool new_here = s.portrait.days().none();  // told, so that the user is known
      if (s.portrait.act(f.time_us, like != nullptr ? act_of(like->kind) : ActKind::kAccount, f.channel) &&
          (s.tells_days || new_here || s.rules_told != context.community_number())) {
        s.rules_told = context.community_number();
        Activity a;
        a.user_id = s.id, a.time_us = f.time_us, a.act = static_cast<uint8_t>(ActKind::kOther);
        context.send(OperatorId::kScores, key, f.time_us, f.id_hash, encode(a));
      }
    }
    return Outcome::kApplied;
  }

  static std::string_view home_id(const Fact& f, Key key) {
    if (f.user.hash == key.hash) return f.user.id;
    return std::visit(
        [](const auto& body) -> std::string_view {
          if constexpr (requires { body.subject; })
            return body.subject.id;
          else if constexpr (requires { body.same_as; })
            return body.user.id;
          else
            return {};
        },
        f.body);
  }

  static Outcome fold_like(PeopleState& s, Key key, const Fact& f, const LikeFact& like, Context& context) {
    LikeEntry e;
    e.post = like.kind == LikeKind::kFollow ? 0 : like.post.hash;
    e.author = like.author.hash, e.time_us = f.time_us, e.id_hash = f.id_hash;
    e.set_slot(context.tick().slot);
    e.rules = context.community_number(), e.kind = like.kind, e.post_kind = like.post_kind, e.undo = like.undo;
    const uint64_t target = like.kind == LikeKind::kFollow ? e.author : e.post;
    const ptrdiff_t standing = s.book.standing(target, e.kind);
    if (like.undo ? standing < 0 && s.book.undo_ahead(target, e.kind, INT64_MIN) >= 0 : standing >= 0) {
      s.seen.add(f.id_hash, context.tick().slot);  // its id may not come again, whatever the body
      return Outcome::kDuplicate;
    }
    const bool own_post = e.author == key.hash;
    if (s.book.entries().size() >= kDayLikesMax &&
        s.book.on_day(day_of(e.time_us)) >= kDayLikesMax) {  // counted, worth nothing
      s.seen.add(f.id_hash, context.tick().slot);
      return Outcome::kApplied;
    }
    if (like.undo) {
      if (standing < 0) {
        s.book.append(e);
        return Outcome::kApplied;
      }
      // What the like took with it: the author stands in the like's own entry, whatever the undo says.
      const LikeEntry taken = s.book.entries()[static_cast<size_t>(standing)];
      e.author = taken.author;
      const Worths before = worths(s, {taken.author});
      s.book.append(e);
      tell(s, key, before, Cause::kUndo, 0, context.now_us(), context.community());
      return Outcome::kApplied;
    }
    const bool held = !own_post && s.book.likes_author(e.author);
    std::vector<std::pair<uint64_t, bool>> held_without;
    for (const OpenDiscount& d : s.book.discounts())
      held_without.emplace_back(d.flag, s.book.likes_author(e.author, d.flag));
    s.book.append(e);
    if (own_post) return Outcome::kApplied;
    const size_t i = s.book.entries().size() - 1;
    LikeChange c;
    c.event = {key, e.time_us, e.id_hash};
    c.author = like.author, c.post = like.post, c.kind = e.kind, c.post_kind = e.post_kind, c.slot = e.slot(),
    c.rules = e.rules;
    c.after = s.book.worth(i);
    c.liker_delta = static_cast<int8_t>(!held && (c.after.first || s.book.likes_author(e.author)));
    for (const auto& [flag, had] : held_without) {
      LikeChange::World w{
          flag, {}, s.book.worth(i, flag), static_cast<int8_t>(!had && s.book.likes_author(e.author, flag))};
      if (w.after != c.after || w.liker_delta != c.liker_delta) c.without.push_back(w);
    }
    const BurstsConfig& bursts = context.community().bursts;
    c.young = s.purpose.young(e.time_us, bursts.young_days), c.one_purpose = s.purpose.one_purpose();
    s.purpose.on_like(e.author, e.time_us);
    if (e.kind == LikeKind::kLike && c.after.standing) {
      RingCounts counts;
      c.degree = s.co_likers.on_like(key.hash, e.time_us, &counts).degree;
      count_rings(counts, context);
    }
    deliver(c, context);
    return Outcome::kApplied;
  }

  // A follow is the author's own; everything else goes by its post, which knows what kind it is.
  static void deliver(const LikeChange& c, Context& context) {
    if (c.kind == LikeKind::kFollow)
      send_like_credit(c, PostKind::kUnspecified, context);
    else
      context.send(OperatorId::kPosts, {KeyKind::kPost, c.post.hash}, c.event.time_us, c.event.id_hash,
                   encode_to_send(c));
  }

  static void queue(PeopleState& s, const LikeChange& c) {
    s.telling.push_back(
        {OperatorId::kPosts, {KeyKind::kPost, c.post.hash}, c.event.time_us, c.event.id_hash, encode(c)});
  }
  // Leaves room for what the items themselves send.
  static void tell_some(PeopleState& s, Key key, size_t items, Context& context) {
    if (s.telling.empty()) return;
    const size_t now = std::min(s.telling.size(), items * (kSendsMax - 4));
    for (size_t i = 0; i < now; ++i) {
      const PeopleState::Telling& t = s.telling[i];
      if (t.to == OperatorId::kPosts)
        deliver(decode_like_change(t.payload), context);
      else
        context.send(t.to, t.key, t.time_us, t.id_hash, t.payload);
    }
    s.telling.erase(s.telling.begin(), s.telling.begin() + static_cast<ptrdiff_t>(now));
    if (s.telling.empty()) return;
    const std::string more(1, static_cast<char>(MessageKind::kContinue));
    context.send(OperatorId::kPeople, key, context.now_us(), 0, more);
  }

  static Worths worths(const PeopleState& s, const std::vector<uint64_t>& authors) {
    Worths w;
    for (uint64_t a : authors) {
      const std::vector<size_t> of = s.book.pair(a);
      w.entries.insert(w.entries.end(), of.begin(), of.end());
    }
    for (size_t i : w.entries) w.real.push_back(s.book.worth(i));
    if (authors.size() == 1) w.liker = s.book.likes_author(authors[0]);
    for (const OpenDiscount& d : s.book.discounts()) {
      Worths::World v{d.flag, {}, authors.size() == 1 ? s.book.likes_author(authors[0], d.flag) : 0};
      for (size_t i : w.entries) v.worth.push_back(s.book.worth(i, d.flag));
      w.without.push_back(std::move(v));
    }
    return w;
  }

  // Tells the posts of one author's pair what is worth something else now. The first message carries the change of the
  // liker, which never comes alone.
  static void tell(PeopleState& s, Key key, const Worths& before, Cause cause, uint64_t flag, int64_t now_us,
                   const CommunityConfig& community) {
    if (before.entries.empty()) return;
    const uint64_t author = s.book.entries()[before.entries[0]].author;
    if (author == key.hash) return;
    const int64_t oldest = day_of(now_us) - community.window_days - 2;
    std::vector<uint64_t> flags;
    for (const auto& v : before.without) flags.push_back(v.flag);
    for (const OpenDiscount& d : s.book.discounts())
      if (std::find(flags.begin(), flags.end(), d.flag) == flags.end()) flags.push_back(d.flag);
    const auto find = [&](uint64_t f) -> const Worths::World* {
      for (const auto& v : before.without)
        if (v.flag == f) return &v;
      return nullptr;
    };
    int liker = static_cast<int>(s.book.likes_author(author)) - before.liker;
    std::vector<int> likers;
    for (uint64_t f : flags) {
      const Worths::World* v = find(f);
      likers.push_back(static_cast<int>(s.book.likes_author(author, f)) - (v != nullptr ? v->liker : before.liker));
    }
    for (size_t k = 0; k < before.entries.size(); ++k) {
      const LikeEntry& e = s.book.entries()[before.entries[k]];
      if (e.undo || day_of(e.time_us) < oldest) continue;
      LikeChange c;
      c.event = {key, e.time_us, e.id_hash};
      c.author.hash = e.author, c.post.hash = e.post, c.kind = e.kind, c.post_kind = e.post_kind, c.slot = e.slot(),
      c.rules = e.rules;
      c.before = before.real[k], c.after = s.book.worth(before.entries[k]);
      c.cause = cause, c.flag = flag;
      c.liker_delta = static_cast<int8_t>(liker);
      bool changed = c.before != c.after;
      for (size_t f = 0; f < flags.size(); ++f) {
        const Worths::World* v = find(flags[f]);
        LikeChange::World w{flags[f], v != nullptr ? v->worth[k] : before.real[k],
                            s.book.worth(before.entries[k], flags[f]), static_cast<int8_t>(likers[f])};
        changed = changed || w.before != w.after;
        if (w.before != c.before || w.after != c.after || w.liker_delta != c.liker_delta) c.without.push_back(w);
      }
      if (!changed) continue;
      if (c.cause == Cause::kFlag && c.before.authenticity == c.after.authenticity &&
          c.before.halvings != c.after.halvings)
        c.cause = Cause::kHalving;
      queue(s, c);
      liker = 0, std::fill(likers.begin(), likers.end(), 0);
    }
  }

  static void message(PeopleState& s, Key key, const Item& item, Context& context) {
    if (kind_of(item.payload) == MessageKind::kDiscount) {
      const Discount m = decode_discount(item.payload);
      OpenDiscount d{m.flag, std::string(m.flag_id), m.kind, m.authenticity, m.scope};
      // The authors whose pair it can touch, those of an earlier scope of the same flag too.
      std::vector<uint64_t> authors;
      const auto touch = [&](const OpenDiscount& o) {
        for (const LikeEntry& e : s.book.entries())
          if (o.covers(e)) authors.push_back(e.author);
      };
      touch(d);
      for (const OpenDiscount& o : s.book.discounts())
        if (o.flag == m.flag) touch(o);
      std::sort(authors.begin(), authors.end());
      authors.erase(std::unique(authors.begin(), authors.end()), authors.end());
      std::vector<Worths> before;
      before.reserve(authors.size());
      for (uint64_t a : authors) before.push_back(worths(s, {a}));
      if (m.open)
        s.book.set_discount(std::move(d));
      else
        s.book.end_discount(m.flag);
      for (const Worths& b : before)
        tell(s, key, b, m.open ? Cause::kFlag : Cause::kFlagEnd, m.flag, context.now_us(), context.community());
    } else if (kind_of(item.payload) == MessageKind::kPairs) {
      const auto pairs = PairMessage::decode(item.payload.substr(1));
      if (!pairs) return;
      RingCounts counts;
      const auto figures = [&] { return ring_figures(pairs->time_s, context); };
      const auto report = s.co_likers.on_pairs(key.hash, *pairs, figures, &counts);
      count_rings(counts, context);
      if (report) {
        std::string payload(1, static_cast<char>(MessageKind::kPairReport));
        report->encode(payload);
        context.send(OperatorId::kRings, kCommunityKey, item.time_us, item.id_hash, payload);
      }
    } else if (kind_of(item.payload) == MessageKind::kWantDays) {
      s.tells_days = true;
      context.send(OperatorId::kScores, key, item.time_us, item.id_hash, encode(s.portrait.days()));
    }
  }

  static void account(PeopleState& s, Key key, const Fact& f, Context& context) {
    if (const auto* a = std::get_if<AccountFact>(&f.body)) {
      switch (a->action) {
        case AccountAction::kRegistered:
          s.registered_us = f.time_us, s.closed = false;
          s.purpose.on_registered(f.time_us);
          break;
        case AccountAction::kFollowers:
          s.followers = a->followers;
          break;
        case AccountAction::kClosed:
          s.closed = true;
          break;
        case AccountAction::kCertified:
        case AccountAction::kExamPassed:
        case AccountAction::kRole: {
          Gate g;
          g.user_id = s.id, g.action = a->action, g.name = a->name, g.time_us = f.time_us, g.expires_us = a->expires_us,
          g.revoked = a->revoked;
          context.send(OperatorId::kScores, key, f.time_us, f.id_hash, encode(g));
          break;
        }
        case AccountAction::kUnspecified:
          break;
      }
    } else if (const auto* h = std::get_if<HoldFact>(&f.body)) {
      s.held = h->release ? Tier::kUnspecified : h->tier;
      s.held_until_us = h->expires_us, s.held_reason = std::string(h->reason);
    }
    if (f.user.hash == key.hash) s.purpose.on_other(f.time_us);
  }

  // When a day leaves the window for this user: its end, the window, and hours of their own, so that nobody leaves at
  // once.
  static int64_t leaves_us(int64_t day, Key key, uint32_t window_days) {
    return (day + 1 + window_days) * kDayUs + static_cast<int64_t>(key.hash % static_cast<uint64_t>(kDayUs));
  }
  static void wake(const PeopleState& s, Key key, Context& context) {
    const int64_t oldest = s.book.oldest_unexpired_day();
    if (oldest != INT64_MAX) context.wake_at(leaves_us(oldest, key, context.community().window_days));
  }
  static void expire(PeopleState& s, Key key, Context& context) {
    if (s.book.empty()) return;
    const uint32_t window = context.community().window_days;
    // The newest day that has left by now.
    const int64_t left =
        floor_div(context.now_us() - static_cast<int64_t>(key.hash % static_cast<uint64_t>(kDayUs)), kDayUs) - 1 -
        window;
    const int64_t oldest = s.book.oldest_unexpired_day();
    if (oldest <= left) {
      for (const LikeBook::Ended& e : s.book.expire(left, kSendsMax, key)) {
        if (e.author == key.hash) continue;
        Credit c;
        c.day = day_of(e.event.time_us), c.cause = Cause::kExpiry, c.event = e.event, c.liker_delta = -1;
        s.telling.push_back(
            {OperatorId::kScores, {KeyKind::kUser, e.author}, e.event.time_us, e.event.id_hash, encode(c)});
      }
      s.book.forget(left - kPairUs / kDayUs - 2);
    }
  }

  static void count_rings(const RingCounts& c, Context& context) {
    if (c.empty()) return;
    const auto now_s =
        static_cast<uint32_t>(std::max<int64_t>(0, context.now_us() / kSecondUs));  // the tick's time, the same for all
    const uint32_t epoch = now_s / RingLimits::kEpochS * 8;
    const auto add = [&](uint32_t field, uint64_t n) {
      if (n != 0) context.count({kCounterRings, epoch + field}, static_cast<int64_t>(n));
    };
    if (c.likes != 0) context.count({kCounterPulse, RingPulse::bucket(now_s)}, static_cast<int64_t>(c.likes));
    add(0, c.likes), add(1, c.users), add(2, c.posts), add(3, c.pairs[0]), add(4, c.pairs[1]), add(5, c.pairs[2]);
  }
};

}  // namespace

RingFigures ring_figures(uint32_t now_s, const Context& context) {
  RingFigures f;
  f.epoch = now_s / RingLimits::kEpochS;
  for (uint32_t back = 0; back < 2; ++back) {
    if (f.epoch < back) break;
    const uint32_t at = (f.epoch - back) * 8;
    const auto get = [&](uint32_t field) {
      return static_cast<uint64_t>(context.counter({kCounterRings, at + field}));
    };
    RingCounts& c = f.counts[back];
    c.likes = get(0), c.users = get(1), c.posts = get(2), c.pairs = {get(3), get(4), get(5)};
  }
  return f;
}

const Operator& people_operator() {
  static const People instance;
  return instance;
}

}  // namespace bellwether

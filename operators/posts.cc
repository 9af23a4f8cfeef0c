#include "operators/posts.h"

#include <algorithm>

#include "operators/credit.h"
#include "operators/erased.h"
#include "operators/messages.h"
#include "operators/portrait.h"
#include "operators/registry.h"

namespace bellwether {
namespace {

constexpr size_t kOpenLikes = 64, kBlockLikesMax = 1024;

void write_likes(Writer& w, const PostLike* from, const PostLike* to) {
  w.varint(static_cast<uint64_t>(to - from));
  int64_t last = 0;
  for (const PostLike* l = from; l != to; ++l) {
    EntryWriter c(w);
    c.fixed64(l->liker), c.fixed64(l->id_hash);
    c.boolean(l->gone), c.zigzag(l->time_us - last), last = l->time_us;
  }
}
bool read_likes(Reader& r, std::vector<PostLike>& out) {
  int64_t last = 0;
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    PostLike l;
    l.liker = r.fixed64(), l.id_hash = r.fixed64(), l.gone = r.boolean(), l.time_us = last = r.above(last);
    out.push_back(l);
  }
  return r.ok();
}

}  // namespace

PostKind PostsState::kind_as_of(int64_t slot) const {
  PostKind kind = PostKind::kUnspecified;
  for (const Kind& k : kinds)
    if (k.slot <= slot) kind = k.kind;
  return kind;
}

bool PostsState::decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != 1) return false;
  id = r.bytes(), author_id = r.bytes(), author = r.fixed64(), parent = r.fixed64(), published_us = r.zigzag(),
  removed = r.boolean();
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    const int64_t slot = r.zigzag();
    kinds.push_back({slot, static_cast<PostKind>(r.u8())});
  }
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) topics.emplace_back(r.bytes());
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    Action a;
    a.action = static_cast<PostAction>(r.u8()), a.rule = static_cast<RuleId>(r.u8()),
    a.rules = static_cast<uint16_t>(r.varint());
    a.time_us = r.zigzag(), a.id_hash = r.fixed64(), a.user = r.fixed64();
    actions.push_back(a);
  }
  standing = static_cast<uint16_t>(r.varint());
  for (size_t a = 0; a < done.size(); ++a)
    if ((standing >> a & 1) != 0) done[a] = r.zigzag();
  if (!seen.read(r)) return false;
  for (uint32_t* n : {&likes, &shares, &dislikes, &views, &replies}) *n = static_cast<uint32_t>(r.varint());
  auto held = TargetLikers::decode(r.bytes());
  if (!held) return false;
  likers = std::move(*held);
  int64_t last = 0;
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    Block b;
    b.day = last = r.above(last), b.number = static_cast<uint32_t>(r.varint()),
    b.count = static_cast<uint32_t>(r.varint());
    blocks.push_back(b);
  }
  next_number = static_cast<uint32_t>(r.varint());
  return read_likes(r, open) && r.done();
}

void PostsState::encode(std::string& out) const {
  Writer w(out);
  {
    EntryWriter c(w);
    c.u8(1);
    c.bytes(id), c.bytes(author_id), c.fixed64(author), c.fixed64(parent), c.zigzag(published_us), c.boolean(removed);
    c.varint(kinds.size());
  }
  for (const Kind& k : kinds) w.zigzag(k.slot), w.u8(static_cast<uint8_t>(k.kind));
  w.varint(topics.size());
  for (const std::string& t : topics) w.bytes(t);
  w.varint(actions.size());
  for (const Action& a : actions)
    w.u8(static_cast<uint8_t>(a.action)), w.u8(static_cast<uint8_t>(a.rule)), w.varint(a.rules), w.zigzag(a.time_us),
        w.fixed64(a.id_hash), w.fixed64(a.user);
  w.varint(standing);
  for (size_t a = 0; a < done.size(); ++a)
    if ((standing >> a & 1) != 0) w.zigzag(done[a]);
  seen.write(w);
  {
    EntryWriter c(w);
    for (uint32_t n : {likes, shares, dislikes, views, replies}) c.varint(n);
  }
  static thread_local std::string held;  // encoded a million times
  held.clear(), likers.encode(held), w.bytes(held);
  w.varint(blocks.size());
  int64_t last = 0;
  for (const Block& b : blocks) w.zigzag(b.day - last), last = b.day, w.varint(b.number), w.varint(b.count);
  w.varint(next_number);
  write_likes(w, open.data(), open.data() + open.size());
}

bool PostsState::forget(Key, const Erased& erased) {
  const std::string* name = erased.name(author);
  if (name == nullptr || author_id.empty() || author_id == *name) return false;
  author_id = *name;
  return true;
}

size_t PostsState::memory() const {
  return id.capacity() + author_id.capacity() + seen.memory() + likers.bytes() + open.capacity() * sizeof(PostLike) +
         actions.capacity() * sizeof(Action) + blocks.capacity() * sizeof(Block) + topics.capacity() * 40;
}

std::vector<PostLike> PostsState::read_block(std::string_view bytes) {
  Reader r(bytes);
  std::vector<PostLike> likes;
  if (r.u8() == 1) read_likes(r, likes);
  return likes;
}

namespace {

ActKind act_of(PostKind kind) {
  switch (kind) {
    case PostKind::kQuestion:
      return ActKind::kQuestion;
    case PostKind::kAnswer:
      return ActKind::kAnswer;
    case PostKind::kComment:
      return ActKind::kComment;
    case PostKind::kIdea:
      return ActKind::kIdea;
    case PostKind::kReview:
      return ActKind::kReview;
    case PostKind::kArticle:
      return ActKind::kArticle;
    case PostKind::kUnspecified:
      break;
  }
  return ActKind::kOther;
}

class Posts final : public OperatorOf<PostsState> {
 public:
  OperatorId id() const override { return OperatorId::kPosts; }
  const char* name() const override { return "posts"; }
  KeyKind key_kind() const override { return KeyKind::kPost; }

  void fold_key(PostsState& s, Key key, std::span<const Item> items, Context& context) const override {
    for (const Item& item : items) {
      if (item.kind == Item::Kind::kFact) {
        context.outcome(fact(s, key, *item.fact, std::get<PostFact>(item.fact->body), context));
      } else if (item.kind == Item::Kind::kMessage) {
        if (kind_of(item.payload) == MessageKind::kLikeChange)
          like(s, key, decode_like_change(item.payload), context);
        else if (kind_of(item.payload) == MessageKind::kReply)
          reply(s, key, decode_reply(item.payload), context);
      }
    }
    seal(s, context);
  }

 private:
  static bool once(PostAction a) { return a != PostAction::kEdited && a != PostAction::kUnspecified; }
  static uint16_t bit(PostAction a) { return static_cast<uint16_t>(1U << static_cast<unsigned>(a)); }

  static Outcome fact(PostsState& s, Key key, const Fact& f, const PostFact& p, Context& context) {
    const int64_t slot = context.tick().slot;
    if (s.id.empty())
      s.id = p.post.id;
    else if (s.id != p.post.id)
      return Outcome::kCollision;
    if (s.seen.test_and_add(f.id_hash, slot)) return Outcome::kDuplicate;
    const int64_t window = static_cast<int64_t>(context.community().window_days) * (kDayUs / kSlotUs);
    int64_t& done = s.done[static_cast<size_t>(p.action)];
    if (once(p.action) && (s.standing & bit(p.action)) != 0 && done + window >= slot) return Outcome::kDuplicate;
    done = slot;

    const Ref author = p.author.present() ? p.author : p.action == PostAction::kPublished ? f.user : Ref{};
    if (s.author == 0 && author.present()) s.author = author.hash, s.author_id = author.id;
    // At the bound the last one stays: forgetting an older one would change what the likes of its time were worth.
    if (p.kind != PostKind::kUnspecified && p.kind != s.kind_as_of(INT64_MAX) &&
        s.kinds.size() < PostsState::kKindsMax) {
      // Told in a later part of a slot, it is in force from the next slot on: what a like was worth can be found again
      // by its slot alone.
      s.kinds.push_back({slot + (context.tick().sub > 0 ? 1 : 0), p.kind});
    }
    if (p.parent.present()) s.parent = p.parent.hash;
    for (uint8_t i = 0; i < p.topic_count; ++i)
      if (s.topics.size() < PostsState::kTopicsMax &&
          std::find(s.topics.begin(), s.topics.end(), p.topics[i]) == s.topics.end())
        s.topics.emplace_back(p.topics[i]);

    const PostKind kind = s.kind_as_of(INT64_MAX);
    s.standing |= once(p.action) ? bit(p.action) : 0;
    switch (p.action) {
      case PostAction::kPublished:
        published(s, key, f, p, kind, context);
        break;
      case PostAction::kAccepted:
        earn(s, key, f, p.action, RuleId::kAnswerAccepted, context);
        break;
      case PostAction::kFeatured:
        earn(s, key, f, p.action, RuleId::kFeatured, context);
        break;
      case PostAction::kAdopted:
        earn(s, key, f, p.action, RuleId::kIdeaAdopted, context);
        break;
      case PostAction::kUnaccepted:
        take_back(s, key, PostAction::kAccepted, context),
            s.standing &= static_cast<uint16_t>(~(bit(PostAction::kAccepted) | bit(PostAction::kUnaccepted)));
        break;
      case PostAction::kReverted:
        take_back(s, key, PostAction::kAdopted, context),
            s.standing &= static_cast<uint16_t>(~(bit(PostAction::kAdopted) | bit(PostAction::kReverted)));
        break;
      case PostAction::kRemoved:
        // What the post earned by itself goes; what people gave it by liking stays theirs to take back. It may be
        // published again.
        s.removed = true;
        while (!s.actions.empty()) take_back(s, key, s.actions.back().action, context);
        s.standing = bit(PostAction::kRemoved);
        break;
      case PostAction::kEdited:
      case PostAction::kPlanned:
      case PostAction::kAnswered:
      case PostAction::kDeclined:
      case PostAction::kUnspecified:
        break;
    }
    act(f, p, kind, context);
    return Outcome::kApplied;
  }

  static void published(PostsState& s, Key key, const Fact& f, const PostFact& p, PostKind kind, Context& context) {
    const bool again = s.published_us != 0;
    if (!again) {
      s.published_us = f.time_us;
      context.count({kCounterPosts, 0}, 1);
    }
    s.removed = false;
    s.standing &= static_cast<uint16_t>(~bit(PostAction::kRemoved));
    if (kind == PostKind::kIdea) earn(s, key, f, PostAction::kPublished, RuleId::kIdeaPosted, context);
    if (!again && (p.parent.present() || p.parent_author.present())) {  // a reply that is put back is no second one
      Reply r;
      r.event = {key, f.time_us, f.id_hash};
      r.by = {s.author_id, s.author}, r.parent_author = p.parent_author, r.parent = p.parent;
      if (p.parent.present())
        context.send(OperatorId::kPosts, {KeyKind::kPost, p.parent.hash}, f.time_us, f.id_hash, encode(r));
      else
        credit_reply(r, p.parent_author, context);
    }
  }

  // The author's standing credit for an action. Ids travel with it, so that a user known by their posts alone has a
  // name.
  static void earn(PostsState& s, Key key, const Fact& f, PostAction action, RuleId rule, Context& context) {
    if (s.author == 0) return;  // nobody known to credit: the action stands, and its like comes to nobody
    if (s.actions.size() >= PostsState::kActionsMax) s.actions.erase(s.actions.begin());
    s.actions.push_back({action, rule, context.community_number(), f.time_us, f.id_hash, s.author});
    send_credit({{s.author_id, s.author}, rule, {key, f.time_us, f.id_hash}, context.community_number(), 1, 1},
                context);
  }
  static void take_back(PostsState& s, Key key, PostAction action, Context& context) {
    for (size_t i = s.actions.size(); i-- > 0;) {
      const PostsState::Action a = s.actions[i];
      if (a.action != action) continue;
      s.actions.erase(s.actions.begin() + static_cast<ptrdiff_t>(i));
      send_credit({{s.author_id, a.user}, a.rule, {key, a.time_us, a.id_hash}, a.rules, 1, -1}, context);
      return;
    }
  }

  static void act(const Fact& f, const PostFact& p, PostKind kind, Context& context) {
    Activity a;
    a.user_id = f.user.id, a.time_us = f.time_us, a.channel = f.channel;
    a.act = static_cast<uint8_t>(p.action == PostAction::kPublished ? act_of(kind) : ActKind::kOther);
    if (p.action == PostAction::kPublished)
      for (uint8_t i = 0; i < p.topic_count; ++i) a.topics.push_back(p.topics[i]);
    context.send(OperatorId::kScores, {KeyKind::kUser, f.user.hash}, f.time_us, f.id_hash, encode(a));
  }

  static void reply(PostsState& s, Key key, const Reply& r, Context& context) {
    if (s.id.empty())
      s.id = r.parent.id;
    else if (s.id != r.parent.id)
      return;
    (void)key;
    if (s.replies != UINT32_MAX) ++s.replies;
    if (s.author == 0 && r.parent_author.present()) s.author = r.parent_author.hash, s.author_id = r.parent_author.id;
    credit_reply(r, s.author != 0 ? Ref{s.author_id, s.author} : Ref{}, context);
  }
  static void credit_reply(const Reply& r, Ref to, Context& context) {
    if (!to.present() || to.hash == r.by.hash) return;  // one's own thread earns nothing
    send_credit({to, RuleId::kReplyReceived, r.event, context.community_number(), 1, 1}, context);
  }

  static void like(PostsState& s, Key key, const LikeChange& c, Context& context) {
    if (s.id.empty() && !c.post.id.empty()) s.id = c.post.id;
    if (s.author == 0 && !c.author.id.empty()) s.author = c.author.hash, s.author_id = c.author.id;
    const int came = static_cast<int>(c.after.standing) - static_cast<int>(c.before.standing);
    uint32_t* const count = c.kind == LikeKind::kLike      ? &s.likes
                            : c.kind == LikeKind::kShare   ? &s.shares
                            : c.kind == LikeKind::kDislike ? &s.dislikes
                                                           : &s.views;
    *count += static_cast<uint32_t>(came);
    if (c.kind == LikeKind::kLike && came != 0) {
      s.open.push_back({c.event.home.hash, c.event.time_us, c.event.id_hash, came < 0});
      if (came > 0) {
        RingCounts counts;
        const uint32_t time_s = c.event.time_us <= 0 ? 0 : static_cast<uint32_t>(c.event.time_us / kSecondUs);
        std::optional<PairMessage> pairs;
        if (context.community().rings.enabled)
          pairs = s.likers.on_like(key.hash, c.author.hash, {c.event.home.hash, time_s, c.degree}, &counts);
        else
          s.likers.count_like(time_s, &counts);
        if (counts.posts != 0) {
          const auto now_s = static_cast<uint32_t>(std::max<int64_t>(0, context.now_us() / kSecondUs));
          context.count({kCounterRings, now_s / RingLimits::kEpochS * 8 + 2}, static_cast<int64_t>(counts.posts));
        }
        if (pairs) {
          std::string payload(1, static_cast<char>(MessageKind::kPairs));
          pairs->encode(payload);
          context.send(OperatorId::kPeople, c.event.home, c.event.time_us, c.event.id_hash, payload);
        }
      } else {
        s.likers.on_undo(c.event.home.hash);
      }
    }
    const PostKind kind = c.post_kind != PostKind::kUnspecified ? c.post_kind : s.kind_as_of(c.slot);
    send_like_credit(c, kind, context);
    if (c.cause == Cause::kEvent && c.kind == LikeKind::kLike && came > 0 && context.community().bursts.enabled)
      send_like_seen(c, key, context);
  }

  static void send_like_seen(const LikeChange& c, Key post, Context& context) {
    LikeSeen m;
    m.liker = c.event.home.hash, m.post = post.hash, m.author = c.author.hash, m.time_us = c.event.time_us,
    m.id_hash = c.event.id_hash;
    m.young = c.young, m.one_purpose = c.one_purpose;
    context.send(OperatorId::kBursts, {KeyKind::kUser, c.author.hash}, m.time_us, m.id_hash, encode_to_send(m));
  }

  static void seal(PostsState& s, Context& context) {
    if (s.open.size() < kOpenLikes) return;
    const size_t full = std::min(kBlockLikesMax, std::max(kOpenLikes, kOpenLikes * (s.blocks.size() + 1) / 4));
    if (s.open.size() < full) return;
    std::string bytes;
    Writer w(bytes);
    w.u8(1);
    write_likes(w, s.open.data(), s.open.data() + s.open.size());
    const int64_t day = day_of(context.now_us());
    context.write_block(day, s.next_number, bytes);
    s.blocks.push_back({day, s.next_number++, static_cast<uint32_t>(s.open.size())});
    s.open.clear();
    // Blocks older than the ring test looks back, and than the ledger keeps, are named no more.
    const int64_t oldest = day - static_cast<int64_t>(context.community().window_days) - kPairUs / kDayUs;
    std::erase_if(s.blocks, [&](const PostsState::Block& b) { return b.day < oldest; });
  }
};

}  // namespace

const Operator& posts_operator() {
  static const Posts instance;
  return instance;
}

}  // namespace bellwether

#include "operators/messages.h"

#include <cstdio>
#include <cstdlib>

#include "operators/erased.h"

namespace bellwether {
namespace {

template <class Out>  // Writer or EntryWriter
void write_ref(Out& w, const Ref& ref) {
  w.fixed64(ref.hash), w.bytes(ref.id);
}
Ref read_ref(Reader& r) {
  Ref ref;
  ref.hash = r.fixed64(), ref.id = r.bytes();
  return ref;
}
Writer begin(std::string& out, MessageKind kind) {
  Writer w(out);
  w.u8(static_cast<uint8_t>(kind));
  return w;
}
// Opens a payload of the kind expected. Only this file writes them, so anything else is a broken invariant.
Reader open(std::string_view payload, MessageKind kind) {
  Reader r(payload);
  if (static_cast<MessageKind>(r.u8()) != kind) {
    std::fprintf(stderr, "bellwether: a message of kind %d where %d was due\n", payload.empty() ? -1 : payload[0],
                 static_cast<int>(kind));
    std::abort();
  }
  return r;
}
void close(const Reader& r, MessageKind kind) {
  if (r.ok()) return;
  std::fprintf(stderr, "bellwether: a broken message of kind %d\n", static_cast<int>(kind));
  std::abort();
}

// What a message is written into that is sent at once.
std::string& scratch() {
  static thread_local std::string bytes;
  bytes.clear();
  return bytes;
}

void write(std::string& out, const LikeChange& m) {
  Writer w(out);
  {
    EntryWriter c(w);
    c.u8(static_cast<uint8_t>(MessageKind::kLikeChange));
    m.event.write(c), write_ref(c, m.author), write_ref(c, m.post);
    c.u8(static_cast<uint8_t>(m.kind)), c.u8(static_cast<uint8_t>(m.post_kind));
    c.zigzag(m.slot), c.varint(m.rules), c.u8(static_cast<uint8_t>(m.cause)), c.fixed64(m.flag);
    m.before.write(c), m.after.write(c);
    c.zigzag(m.liker_delta), c.varint(m.degree);
    c.u8(static_cast<uint8_t>(m.young | m.one_purpose << 1));
    c.varint(m.without.size());
  }
  for (const LikeChange::World& v : m.without)
    w.fixed64(v.flag), v.before.write(w), v.after.write(w), w.zigzag(v.liker_delta);
}

void write(std::string& out, const Credit& m) {
  Writer w(out);
  {
    EntryWriter c(w);
    c.u8(static_cast<uint8_t>(MessageKind::kCredit)), c.bytes(m.user_id);
    c.u8(static_cast<uint8_t>(m.rule)), c.zigzag(m.day), c.varint(m.rules);
    c.u8(static_cast<uint8_t>(m.cause)), c.fixed64(m.flag), m.event.write(c);
    c.zigzag(m.count), c.zigzag(m.raw_micros), c.zigzag(m.authentic_micros), c.zigzag(m.liker_delta);
    c.zigzag(m.reached_count);
    if (m.rule != RuleId::kNone) c.zigzag(m.reached_raw_micros), c.zigzag(m.reached_authentic_micros);
    c.varint(m.without.size());
  }
  for (const Credit::World& v : m.without)
    w.fixed64(v.flag), w.zigzag(v.authentic_micros), w.zigzag(v.reached_authentic_micros), w.zigzag(v.liker_delta);
}

void write(std::string& out, const LikeSeen& m) {
  Writer w(out);
  EntryWriter c(w);
  c.u8(static_cast<uint8_t>(MessageKind::kLikeSeen));
  c.fixed64(m.liker), c.fixed64(m.post), c.fixed64(m.author), c.zigzag(m.time_us), c.fixed64(m.id_hash);
  c.u8(static_cast<uint8_t>(m.young | m.one_purpose << 1));
}

template <class M>
std::string written(const M& m) {
  std::string out;
  write(out, m);
  return out;
}
template <class M>
std::string_view sent(const M& m) {
  std::string& out = scratch();
  write(out, m);
  return out;
}

}  // namespace

std::string encode(const LikeChange& m) { return written(m); }
std::string encode(const Credit& m) { return written(m); }
std::string encode(const LikeSeen& m) { return written(m); }
std::string_view encode_to_send(const LikeChange& m) { return sent(m); }
std::string_view encode_to_send(const Credit& m) { return sent(m); }
std::string_view encode_to_send(const LikeSeen& m) { return sent(m); }

LikeChange decode_like_change(std::string_view payload) {
  Reader r = open(payload, MessageKind::kLikeChange);
  LikeChange m;
  m.event = EventRef::read(r);
  m.author = read_ref(r), m.post = read_ref(r);
  m.kind = static_cast<LikeKind>(r.u8()), m.post_kind = static_cast<PostKind>(r.u8());
  m.slot = r.zigzag(), m.rules = static_cast<uint16_t>(r.varint()), m.cause = static_cast<Cause>(r.u8()),
  m.flag = r.fixed64();
  m.before = LikeWorth::read(r), m.after = LikeWorth::read(r);
  m.liker_delta = static_cast<int8_t>(r.zigzag()), m.degree = static_cast<uint32_t>(r.varint());
  const uint8_t who = r.u8();
  m.young = who & 1, m.one_purpose = who >> 1 & 1;
  const uint64_t n = r.varint();
  for (uint64_t i = 0; i < n && r.ok(); ++i) {
    LikeChange::World v;
    v.flag = r.fixed64(), v.before = LikeWorth::read(r), v.after = LikeWorth::read(r),
    v.liker_delta = static_cast<int8_t>(r.zigzag());
    m.without.push_back(v);
  }
  close(r, MessageKind::kLikeChange);
  return m;
}

Credit decode_credit(std::string_view payload) {
  Reader r = open(payload, MessageKind::kCredit);
  Credit m;
  m.user_id = r.bytes(), m.rule = static_cast<RuleId>(r.u8()), m.day = r.zigzag(),
  m.rules = static_cast<uint16_t>(r.varint());
  m.cause = static_cast<Cause>(r.u8()), m.flag = r.fixed64(), m.event = EventRef::read(r);
  m.count = static_cast<int32_t>(r.zigzag()), m.raw_micros = r.zigzag(), m.authentic_micros = r.zigzag();
  m.liker_delta = static_cast<int8_t>(r.zigzag());
  m.reached_count = static_cast<int32_t>(r.zigzag());
  if (m.rule != RuleId::kNone) m.reached_raw_micros = r.zigzag(), m.reached_authentic_micros = r.zigzag();
  const uint64_t n = r.varint();
  for (uint64_t i = 0; i < n && r.ok(); ++i) {
    Credit::World v;
    v.flag = r.fixed64(), v.authentic_micros = r.zigzag(), v.reached_authentic_micros = r.zigzag(),
    v.liker_delta = static_cast<int8_t>(r.zigzag());
    m.without.push_back(v);
  }
  close(r, MessageKind::kCredit);
  return m;
}

std::string encode(const Activity& m) {
  std::string out;
  Writer w = begin(out, MessageKind::kActivity);
  w.bytes(m.user_id), w.zigzag(m.time_us), w.bytes(m.channel), w.u8(m.act), w.varint(m.topics.size());
  for (std::string_view t : m.topics) w.bytes(t);
  return out;
}
Activity decode_activity(std::string_view payload) {
  Reader r = open(payload, MessageKind::kActivity);
  Activity m;
  m.user_id = r.bytes(), m.time_us = r.zigzag(), m.channel = r.bytes(), m.act = r.u8();
  const uint64_t n = r.varint();
  for (uint64_t i = 0; i < n && r.ok(); ++i) m.topics.push_back(r.bytes());
  close(r, MessageKind::kActivity);
  return m;
}

std::string encode(const ActiveDays& days) {
  std::string out;
  Writer w = begin(out, MessageKind::kDays);
  days.write(w);
  return out;
}
ActiveDays decode_days(std::string_view payload) {
  Reader r = open(payload, MessageKind::kDays);
  ActiveDays days;
  days.read(r);
  close(r, MessageKind::kDays);
  return days;
}

std::string encode(const Gate& m) {
  std::string out;
  Writer w = begin(out, MessageKind::kGate);
  w.bytes(m.user_id), w.u8(static_cast<uint8_t>(m.action)), w.bytes(m.name), w.zigzag(m.time_us),
      w.zigzag(m.expires_us), w.boolean(m.revoked);
  return out;
}
Gate decode_gate(std::string_view payload) {
  Reader r = open(payload, MessageKind::kGate);
  Gate m;
  m.user_id = r.bytes(), m.action = static_cast<AccountAction>(r.u8()), m.name = r.bytes();
  m.time_us = r.zigzag(), m.expires_us = r.zigzag(), m.revoked = r.boolean();
  close(r, MessageKind::kGate);
  return m;
}

std::string encode(const Reply& m) {
  std::string out;
  Writer w = begin(out, MessageKind::kReply);
  m.event.write(w), write_ref(w, m.by), write_ref(w, m.parent_author), write_ref(w, m.parent);
  return out;
}
Reply decode_reply(std::string_view payload) {
  Reader r = open(payload, MessageKind::kReply);
  Reply m;
  m.event = EventRef::read(r), m.by = read_ref(r), m.parent_author = read_ref(r), m.parent = read_ref(r);
  close(r, MessageKind::kReply);
  return m;
}

namespace {
void write_scope(Writer& w, const Scope& s) {
  write_hashes(w, s.posts), w.fixed64(s.author), w.zigzag(s.from_us), w.zigzag(s.to_us);
}
Scope read_scope(Reader& r) {
  Scope s;
  s.posts = read_hashes(r), s.author = r.fixed64(), s.from_us = r.zigzag(), s.to_us = r.zigzag();
  return s;
}
}  // namespace

std::string encode(const Raise& m) {
  std::string out;
  Writer w = begin(out, MessageKind::kRaise);
  w.u8(static_cast<uint8_t>(m.kind)), w.bytes(m.id), write_hashes(w, m.subjects), write_hashes(w, m.beneficiaries),
      write_scope(w, m.scope);
  w.varint(m.authenticity), w.varint(m.confidence_permille), w.varint(m.details.size());
  for (const Raise::Detail& d : m.details) w.bytes(d.name), w.zigzag(d.value);
  w.varint(m.evidence.size());
  for (const EvidenceEvent& e : m.evidence)
    w.fixed64(e.liker), w.fixed64(e.post), w.fixed64(e.author), w.zigzag(e.time_us), w.fixed64(e.id_hash);
  return out;
}
Raise decode_raise(std::string_view payload) {
  Reader r = open(payload, MessageKind::kRaise);
  Raise m;
  m.kind = static_cast<FlagKind>(r.u8()), m.id = r.bytes(), m.subjects = read_hashes(r),
  m.beneficiaries = read_hashes(r), m.scope = read_scope(r);
  m.authenticity = static_cast<uint16_t>(r.varint()), m.confidence_permille = static_cast<uint16_t>(r.varint());
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    Raise::Detail d;
    d.name = r.bytes(), d.value = r.zigzag();
    m.details.push_back(std::move(d));
  }
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    EvidenceEvent e;
    e.liker = r.fixed64(), e.post = r.fixed64(), e.author = r.fixed64(), e.time_us = r.zigzag(),
    e.id_hash = r.fixed64();
    m.evidence.push_back(e);
  }
  close(r, MessageKind::kRaise);
  return m;
}

std::string encode(const Discount& m) {
  std::string out;
  Writer w = begin(out, MessageKind::kDiscount);
  w.fixed64(m.flag), w.bytes(m.flag_id), w.u8(static_cast<uint8_t>(m.kind)), w.boolean(m.open),
      w.varint(m.authenticity), write_scope(w, m.scope);
  return out;
}
Discount decode_discount(std::string_view payload) {
  Reader r = open(payload, MessageKind::kDiscount);
  Discount m;
  m.flag = r.fixed64(), m.flag_id = r.bytes(), m.kind = static_cast<FlagKind>(r.u8()), m.open = r.boolean();
  m.authenticity = static_cast<uint16_t>(r.varint()), m.scope = read_scope(r);
  close(r, MessageKind::kDiscount);
  return m;
}

std::string encode(const Benefit& m) {
  std::string out;
  Writer w = begin(out, MessageKind::kBenefit);
  w.fixed64(m.flag), w.bytes(m.flag_id), w.u8(static_cast<uint8_t>(m.kind)), w.u8(static_cast<uint8_t>(m.stage));
  return out;
}
Benefit decode_benefit(std::string_view payload) {
  Reader r = open(payload, MessageKind::kBenefit);
  Benefit m;
  m.flag = r.fixed64(), m.flag_id = r.bytes(), m.kind = static_cast<FlagKind>(r.u8()),
  m.stage = static_cast<Benefit::Stage>(r.u8());
  close(r, MessageKind::kBenefit);
  return m;
}

LikeSeen decode_like_seen(std::string_view payload) {
  Reader r = open(payload, MessageKind::kLikeSeen);
  LikeSeen m;
  m.liker = r.fixed64(), m.post = r.fixed64(), m.author = r.fixed64(), m.time_us = r.zigzag(), m.id_hash = r.fixed64();
  const uint8_t who = r.u8();
  m.young = who & 1, m.one_purpose = who >> 1 & 1;
  close(r, MessageKind::kLikeSeen);
  return m;
}

bool forget(std::string& payload, Key to, const Erased& erased) {
  const auto take = [&erased](std::string_view& id, uint64_t user) {
    const std::string* name = erased.name(user);
    if (name == nullptr || id.empty() || id == *name) return false;
    id = *name;
    return true;
  };
  std::string out;
  const auto put = [&out](bool changed, const auto& message) {
    if (changed) out = encode(message);
  };
  switch (kind_of(payload)) {
    case MessageKind::kLikeChange: {
      LikeChange m = decode_like_change(payload);
      put(take(m.author.id, m.author.hash), m);
      break;
    }
    case MessageKind::kCredit: {
      Credit m = decode_credit(payload);
      put(take(m.user_id, to.hash), m);
      break;
    }
    case MessageKind::kActivity: {
      Activity m = decode_activity(payload);
      bool changed = take(m.user_id, to.hash);
      if (erased.name(to.hash) != nullptr && !m.channel.empty() && m.channel != kErasedChannel)
        m.channel = kErasedChannel, changed = true;
      put(changed, m);
      break;
    }
    case MessageKind::kGate: {
      Gate m = decode_gate(payload);
      put(take(m.user_id, to.hash), m);
      break;
    }
    case MessageKind::kReply: {
      Reply m = decode_reply(payload);
      put(take(m.by.id, m.by.hash) | take(m.parent_author.id, m.parent_author.hash), m);
      break;
    }
    default:  // hashes only
      break;
  }
  if (out.empty()) return false;
  payload = std::move(out);
  return true;
}

}  // namespace bellwether

// Payloads: what operators say to each other, what they emit, and blocks of the ledger. Messages are written by one
// operator and read by another in the same program: they are made here from the input, and must arrive as they were
// sent. What is read back from a store (records, ring evidence, findings, blocks) must bear any bytes.
#include "operators/flags.h"
#include "operators/like_book.h"
#include "operators/messages.h"
#include "operators/posts.h"
#include "operators/rings_op.h"
#include "operators/scores.h"
#include "operators/tiers.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

// ---- messages: made, written, read, written again ----

Ref ref(Input& in) {
  const auto hash = in.number<uint64_t>();
  return {in.text(), hash};
}
EventRef event(Input& in) {
  EventRef e;
  e.home = {static_cast<KeyKind>(in.byte()), in.number<uint64_t>()};
  e.time_us = in.whole(), e.id_hash = in.number<uint64_t>();
  return e;
}
LikeWorth worth(Input& in) {
  LikeWorth w;
  w.standing = in.coin(), w.first = in.coin(), w.halvings = in.byte() % 64, w.authenticity = in.number<uint16_t>();
  return w;
}
Scope scope(Input& in) {
  Scope s;
  for (unsigned n = in.byte() % 8; n > 0; --n) s.posts.push_back(in.number<uint64_t>());
  s.author = in.number<uint64_t>(), s.from_us = in.whole(), s.to_us = in.whole();
  return s;
}
LikeChange like_change(Input& in) {
  LikeChange m;
  m.event = event(in), m.author = ref(in), m.post = ref(in);
  m.kind = static_cast<LikeKind>(in.byte()), m.post_kind = static_cast<PostKind>(in.byte());
  m.slot = in.whole(), m.rules = in.number<uint16_t>(), m.cause = static_cast<Cause>(in.byte());
  m.flag = in.number<uint64_t>(), m.before = worth(in), m.after = worth(in);
  m.liker_delta = in.number<int8_t>(), m.degree = in.number<uint32_t>(), m.young = in.coin(), m.one_purpose = in.coin();
  for (unsigned n = in.byte() % 8; n > 0; --n)
    m.without.push_back({in.number<uint64_t>(), worth(in), worth(in), in.number<int8_t>()});
  return m;
}
Credit credit(Input& in) {
  Credit m;
  m.user_id = in.text(), m.rule = static_cast<RuleId>(in.byte()), m.day = in.whole(), m.rules = in.number<uint16_t>();
  m.cause = static_cast<Cause>(in.byte()), m.flag = in.number<uint64_t>(), m.event = event(in);
  m.count = in.number<int32_t>(), m.raw_micros = in.whole(), m.authentic_micros = in.whole();
  m.liker_delta = in.number<int8_t>(), m.reached_count = in.number<int32_t>();
  if (m.rule != RuleId::kNone) m.reached_raw_micros = in.whole(), m.reached_authentic_micros = in.whole();
  for (unsigned n = in.byte() % 8; n > 0; --n)
    m.without.push_back({in.number<uint64_t>(), in.whole(), in.whole(), in.number<int8_t>()});
  return m;
}
Activity activity(Input& in) {
  Activity m;
  m.user_id = in.text(), m.time_us = in.whole(), m.channel = in.text(), m.act = in.byte();
  for (unsigned n = in.byte() % 10; n > 0; --n) m.topics.push_back(in.text());
  return m;
}
Gate gate(Input& in) {
  Gate m;
  m.user_id = in.text(), m.action = static_cast<AccountAction>(in.byte()), m.name = in.text();
  m.time_us = in.whole(), m.expires_us = in.whole(), m.revoked = in.coin();
  return m;
}
Raise raise(Input& in) {
  Raise m;
  m.kind = static_cast<FlagKind>(in.byte()), m.id = in.text();
  for (unsigned n = in.byte() % 8; n > 0; --n) m.subjects.push_back(in.number<uint64_t>());
  for (unsigned n = in.byte() % 8; n > 0; --n) m.beneficiaries.push_back(in.number<uint64_t>());
  m.scope = scope(in), m.authenticity = in.number<uint16_t>(), m.confidence_permille = in.number<uint16_t>();
  for (unsigned n = in.byte() % 4; n > 0; --n) {
    std::string name(in.text());
    m.details.push_back({std::move(name), in.whole()});
  }
  for (unsigned n = in.byte() % 4; n > 0; --n)
    m.evidence.push_back(
        {in.number<uint64_t>(), in.number<uint64_t>(), in.number<uint64_t>(), in.whole(), in.number<uint64_t>()});
  return m;
}
Discount discount(Input& in) {
  Discount m;
  m.flag = in.number<uint64_t>(), m.flag_id = in.text(), m.kind = static_cast<FlagKind>(in.byte()), m.open = in.coin();
  m.authenticity = in.number<uint16_t>(), m.scope = scope(in);
  return m;
}
LikeSeen like_seen(Input& in) {
  LikeSeen m;
  m.liker = in.number<uint64_t>(), m.post = in.number<uint64_t>(), m.author = in.number<uint64_t>();
  m.time_us = in.whole(), m.id_hash = in.number<uint64_t>(), m.young = in.coin(), m.one_purpose = in.coin();
  return m;
}

template <class Message, class Read>
void arrives(const Message& message, MessageKind kind, Read read) {
  const Exact sent(encode(message));
  require(kind_of(sent.view()) == kind, "a message's first byte is not its kind");
  require(encode(read(sent.view())) == sent.view(),
          "a message of kind " + std::to_string(static_cast<int>(kind)) + " does not arrive as it was sent");
}

// ---- what is read back: any bytes ----

// Types with encode(std::string&) and a static decode that gives an optional.
template <class T>
void bears(std::string_view bytes, const char* name) {
  const auto value = T::decode(bytes);
  if (!value) return;
  std::string first, second;
  value->encode(first);
  const auto again = T::decode(Exact(first).view());
  require(again.has_value(), std::string(name) + ": refuses what it wrote itself");
  again->encode(second);
  require(first == second, std::string(name) + ": what it wrote reads as something else");
}
// Types with free encode(T) and bool decode(bytes, T&).
template <class T>
void bears_free(std::string_view bytes, const char* name) {
  T value, again;
  if (!decode(bytes, value)) return;
  const std::string first = encode(value);
  require(decode(Exact(first).view(), again), std::string(name) + ": refuses what it wrote itself");
  require(first == encode(again), std::string(name) + ": what it wrote reads as something else");
}

void bears_findings(std::string_view bytes) {
  std::vector<RingFinding> findings, again;
  if (!decode_findings(bytes, findings)) return;
  const std::string first = encode_findings(findings);
  require(decode_findings(Exact(first).view(), again) && encode_findings(again) == first, "findings do not come back");
}

void bears_rows(std::string_view bytes) {
  Reader r(bytes);
  std::vector<CreditRow> rows, again;
  if (!read_rows(r, rows)) return;
  std::string first, second;
  Writer w(first), w2(second);
  write_rows(w, rows);
  Reader r2(first);
  require(read_rows(r2, again) && r2.done(), "credit rows: refuses what it wrote itself");
  write_rows(w2, again);
  require(first == second, "credit rows: what was written reads as something else");
}

// A user's book whose full blocks come back from the ledger.
void bears_book(std::string_view bytes) {
  Input in(bytes);
  LikeBook book;
  const Exact state(in.bytes(in.number<uint16_t>() % 2048));
  Reader r(state.view());
  if (!book.read(r)) return;
  std::string before;
  Writer w(before);
  book.write(w);
  if (book.loaded()) return;
  for (size_t n = std::min<size_t>(book.blocks().size(), 4); n > 0; --n) {
    const Exact block(in.bytes(in.number<uint16_t>() % 2048));
    (void)book.add_block(block.view());
  }
  book.finish_loading();
  for (size_t i = 0; i < std::min<size_t>(book.entries().size(), 64); ++i) (void)book.worth(i);
  std::string after;
  Writer w2(after);
  book.write(w2);
  require(before == after, "loading a book's blocks changes what its row says");
}

}  // namespace

void check_payload(std::string_view input) {
  Input in(input);
  const uint8_t which = in.byte() % 24;
  const Exact rest(in.rest());
  const std::string_view bytes = rest.view();
  switch (which) {
    case 0:
      return arrives(like_change(in), MessageKind::kLikeChange, decode_like_change);
    case 1:
      return arrives(credit(in), MessageKind::kCredit, decode_credit);
    case 2:
      return arrives(activity(in), MessageKind::kActivity, decode_activity);
    case 3:
      return arrives(gate(in), MessageKind::kGate, decode_gate);
    case 4:
      return arrives(Reply{event(in), ref(in), ref(in), ref(in)}, MessageKind::kReply, decode_reply);
    case 5:
      return arrives(raise(in), MessageKind::kRaise, decode_raise);
    case 6:
      return arrives(discount(in), MessageKind::kDiscount, decode_discount);
    case 7:
      return arrives(Benefit{in.number<uint64_t>(), in.text(), static_cast<FlagKind>(in.byte()),
                             static_cast<Benefit::Stage>(in.byte())},
                     MessageKind::kBenefit, decode_benefit);
    case 8:
      return arrives(like_seen(in), MessageKind::kLikeSeen, decode_like_seen);
    case 9:
      return bears<PairMessage>(bytes, "pairs");
    case 10:
      return bears<EdgeReport>(bytes, "pair report");
    case 11:
      return bears<RingCounts>(bytes, "ring counts");
    case 12:
      return bears<RingFigures>(bytes, "ring figures");
    case 13:
      return bears<TargetLikers>(bytes, "target likers");
    case 14:
      return bears<CoLikers>(bytes, "co-likers");
    case 15:
      return bears<RingInput>(bytes, "ring input");
    case 16:
      return bears<RingEvidence>(bytes, "ring evidence");
    case 17:
      return bears_findings(bytes);
    case 18:
      return bears_free<FlagChange>(bytes, "flag change");
    case 19:
      return bears_free<TierChange>(bytes, "tier change");
    case 20:
      return bears_free<ScoreRecord>(bytes, "score record");
    case 21:
      return bears_rows(bytes);
    case 22:
      return bears_book(bytes);
    default:
      (void)PostsState::read_block(bytes);
  }
}

}  // namespace bellwether::fuzz

// Payloads: what operators say to each other, what they emit, and blocks of the ledger. Messages are written by one
// operator and read by another in the same program: they are made here from the input, and must arrive as they were
// sent. What is read back from a store (records, ring evidence, findings, blocks) must bear any bytes.
#include <algorithm>
#include <functional>

#include "operators/alert.h"
#include "operators/erased.h"
#include "operators/flags.h"
#include "operators/like_book.h"
#include "operators/messages.h"
#include "operators/people.h"
#include "operators/posts.h"
#include "operators/rings_op.h"
#include "operators/scores.h"
#include "operators/state_reader.h"
#include "operators/tiers.h"
#include "pipeline/engine/erasure.h"
#include "pipeline/engine/out_rows.h"
#include "pipeline/service/convert.h"
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
  RingWork work = 0, work_again = 0;
  if (!decode_findings(bytes, findings, work)) return;
  const std::string first = encode_findings(findings, work);
  require(decode_findings(Exact(first).view(), again, work_again) && encode_findings(again, work_again) == first,
          "findings do not come back");
}

// ---- flag changes: named at the end of their tick, scrubbed by an erasure, sent ----

FlagChange flag_change(Input& in) {
  FlagChange c;
  c.what = static_cast<FlagChange::What>(in.byte()), c.id = in.text(), c.kind = static_cast<FlagKind>(in.byte());
  c.status = static_cast<FlagStatus>(in.byte()), c.decision = static_cast<Decision>(in.byte());
  c.tick = {in.whole() % (INT64_MAX / kSlotUs), in.number<uint32_t>()};
  c.subjects = in.number<uint32_t>(), c.beneficiaries = in.number<uint32_t>(), c.evidence = in.number<uint32_t>();
  c.confidence_permille = in.number<uint16_t>();
  for (auto* users : {&c.subject_users, &c.beneficiary_users})
    for (unsigned n = in.byte() % (kFlagChangeUsersMax + 1); n > 0; --n) {
      const uint64_t hash = in.coin() ? in.byte() : in.number<uint64_t>();
      users->push_back({hash, std::string(in.text())});
    }
  return c;
}

// Of three users one has a row in people, one in scores alone, one none.
class Names final : public StateReader {
 public:
  static std::string of(uint64_t user) { return user % 3 == 2 ? std::string() : "user-" + std::to_string(user); }
  const State* state(OperatorId op, Key key) override {
    if (key.kind != KeyKind::kUser) return nullptr;
    if (op == OperatorId::kPeople && key.hash % 3 == 0) return people_.id = of(key.hash), &people_;
    if (op == OperatorId::kScores && key.hash % 3 == 1) return scores_.id = of(key.hash), &scores_;
    return nullptr;
  }
  std::string block(OperatorId, Key, int64_t, uint32_t) override { return {}; }
  const CommunityConfig& community() const override { return community_; }

 private:
  PeopleState people_;
  ScoresState scores_;
  CommunityConfig community_;
};

void each_user(FlagChange& change, const std::function<void(FlagChange::User&)>& what) {
  for (auto* users : {&change.subject_users, &change.beneficiary_users})
    for (FlagChange::User& user : *users) what(user);
}

void bears_change(std::string_view bytes) {
  FlagChange change;
  if (!decode(bytes, change)) return;
  bears_free<FlagChange>(bytes, "flag change");

  static const Hasher hasher("fuzz");
  static Names names;
  std::string named, again;
  FlagChange expected = change, read;
  each_user(expected, [](FlagChange::User& user) { user.id = Names::of(user.hash); });
  require(name_users(bytes, names, named), "a flag change that can be read cannot be named");
  require(decode(Exact(named).view(), read) && read == expected, "naming a flag change changes more than its names");
  require(name_users(named, names, again) && again == named, "a flag change named twice is another one");

  // The first that it names is erased, wherever they stand in it.
  Erased erased(hasher);
  const FlagChange::User* gone = nullptr;
  for (auto* users : {&change.subject_users, &change.beneficiary_users})
    for (const FlagChange::User& user : *users)
      if (gone == nullptr && !user.id.empty()) gone = &user;
  if (gone != nullptr) {
    erased.add(gone->hash, gone->id.size());
    expected = change;
    each_user(expected, [&](FlagChange::User& user) {
      if (user.hash == gone->hash && !user.id.empty()) user.id = erased_name(user.hash);
    });
    std::string scrubbed, once_more;
    constexpr auto kKind = static_cast<uint8_t>(OutKind::kFlag);
    const bool did = forget_row(kKind, {}, bytes, erased, scrubbed);
    require(did == (expected != change), "an erasure does not see a name in a flag change");
    FlagChange without;
    if (did)
      require(decode(Exact(scrubbed).view(), without) && without == expected &&
                  !forget_row(kKind, {}, scrubbed, erased, once_more),
              "an erasure leaves a name in a flag change, or takes more");
  }

  pb::FlagRecord record;
  require(flag_record({{1, 2}, StateKey::of(7, 9), 3}, bytes, record), "a flag change cannot be sent");
  const pb::Flag& flag = record.flag();
  require(flag.subjects_size() == static_cast<int>(change.subject_users.size()) &&
              flag.beneficiaries_size() == static_cast<int>(change.beneficiary_users.size()),
          "a flag's record names fewer than its change");
  require(std::is_sorted(flag.subjects().begin(), flag.subjects().end()), "a record's order is by chance");
}

// The forms of before say the same but for what they lack.
void reads_older_changes(Input& in) {
  FlagChange change = flag_change(in), read;
  require(decode(Exact(encode(change)).view(), read) && read == change, "a flag change does not arrive as it was made");
  bears_change(encode(change));
  each_user(change, [](FlagChange::User& user) { user.id.clear(); });
  std::string second = encode(change);  // each id is a length of 0 behind its hash
  FlagChange bare = change;
  bare.subject_users.clear(), bare.beneficiary_users.clear();
  std::string first = encode(bare);
  first.resize(first.size() - 2), first[0] = 1;  // two counts of 0
  second.resize(first.size()), second[0] = 2;
  Writer w(second);
  for (const auto* users : {&change.subject_users, &change.beneficiary_users}) {
    w.varint(users->size());
    for (const FlagChange::User& user : *users) w.fixed64(user.hash);
  }
  FlagChange of_first, of_second;
  require(decode(Exact(first).view(), of_first) && of_first == bare, "a flag change of the first form reads otherwise");
  require(decode(Exact(second).view(), of_second) && of_second == change,
          "a flag change of the second form reads otherwise");
}

// ---- credit rows: in blocks of the ledger, and as a state keeps the newest ----

bool same(const CreditRow& a, const CreditRow& b) {
  return a.rule == b.rule && a.day == b.day && a.cause == b.cause && a.flag == b.flag && a.event == b.event &&
         a.slot == b.slot && a.count == b.count && a.raw_micros == b.raw_micros &&
         a.authentic_micros == b.authentic_micros;
}
bool same(const std::vector<CreditRow>& a, const std::vector<CreditRow>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return same(x, y); });
}

CreditRow credit_row(Input& in) {
  constexpr int64_t kFar = int64_t{1} << 59;  // beyond any day or slot; what is read may be 2^60
  CreditRow row;
  row.rule = static_cast<RuleId>(in.byte() % kRuleIds), row.cause = static_cast<Cause>(in.byte() % 6);
  row.event = event(in), row.day = in.whole() % kFar, row.slot = in.whole() % kFar;
  row.count = in.number<int32_t>(), row.raw_micros = in.whole();
  row.authentic_micros = in.coin() ? row.raw_micros : in.whole();
  if (row.cause == Cause::kFlag || row.cause == Cause::kFlagEnd || row.cause == Cause::kHalving)
    row.flag = in.number<uint64_t>();
  return row;
}

// What stands, written and read back, in a state and in a block.
void rows_are(const OpenRows& open, const std::vector<CreditRow>& rows) {
  require(open.size() == rows.size() && open.empty() == rows.empty(), "open rows: miscounted");
  require(same(open.rows(), rows), "open rows: they are others");
  std::string bytes, second;
  Writer w(bytes), w2(second);
  open.write(w);
  const Exact stored(bytes);
  Reader r(stored.view()), r2(stored.view());
  OpenRows again;
  require(again.read(r) && r.done(), "open rows: refuses what it wrote itself");
  again.write(w2);
  require(second == bytes && same(again.rows(), rows), "open rows: what was written reads as something else");
  std::vector<CreditRow> sealed;
  require(read_rows(r2, sealed) && r2.done() && same(sealed, rows), "open rows: a block of them reads as other ones");
}

void keeps_rows(Input& in) {
  OpenRows open;
  std::vector<CreditRow> rows;
  for (unsigned n = in.byte() % 70; n > 0; --n) {
    CreditRow row = credit_row(in);
    const bool same_event = in.coin();
    if (same_event && !rows.empty()) {
      row.event = rows.back().event;
    }
    open.add(row, same_event);
    rows.push_back(row);
    if (in.byte() == 255) rows_are(open, rows);
  }
  rows_are(open, rows);
  OpenRows set;
  set.set(rows);
  rows_are(set, rows);
}

void bears_rows(std::string_view bytes) {
  Reader r(bytes);
  std::vector<CreditRow> rows, again;
  const bool taken = read_rows(r, rows);
  OpenRows open;
  Reader whole(bytes);
  require(open.read(whole) == (taken && r.done()), "credit rows: a state and a block take other ones");
  if (!taken) return;
  if (r.done()) {
    rows_are(open, rows);
    CreditRow more;
    if (!rows.empty()) more = rows.back();
    more.day = more.slot = 0;
    open.add(more, true), rows.push_back(more);
    rows_are(open, rows);
    rows.pop_back();
  }
  std::string first, second;
  Writer w(first), w2(second);
  write_rows(w, rows);
  Reader r2(first);
  require(read_rows(r2, again) && r2.done() && same(again, rows), "credit rows: refuses what it wrote itself");
  write_rows(w2, again);
  require(first == second, "credit rows: what was written reads as something else");
}

// ---- rows that leave the pipeline ----

void bears_out_row(std::string_view bytes) {
  const std::string key = keys::number(5'000);
  std::string changed, twice;
  size_t records = 0, records_again = 0;
  const auto one_more = [](const OutRow& row, std::string& payload) {
    payload = std::string(row.payload) + "!";
    return true;
  };
  if (each_out_row(key, bytes, [&](const OutRow&) { return ++records, true; })) {
    require(change_out_rows(key, bytes, one_more, changed), "outbox rows that are read cannot be changed");
    require(each_out_row(key, Exact(changed).view(), [&](const OutRow&) { return ++records_again, true; }) &&
                records == records_again,
            "outbox rows: what was changed does not read");
    require(!change_out_rows(
                key, changed, [](const OutRow&, std::string&) { return false; }, twice),
            "outbox rows change by nothing");
  }
  uint8_t kind = 0, kind_again = 0;
  ChangeId id, id_again;
  std::string_view payload, payload_again;
  if (!decode_out_row(bytes, kind, id, payload)) return;
  const Exact written(encode_out_row(kind, id, payload));
  require(decode_out_row(written.view(), kind_again, id_again, payload_again) && kind_again == kind &&
              text_of(id_again) == text_of(id) && payload_again == payload,
          "an outbox row: what was written reads as something else");
  static const Hasher hasher("fuzz");
  Erased erased(hasher);
  erased.add(id.sender.key.hash, 4), erased.add(hasher(KeyKind::kUser, "anna"), 4);
  std::string without, again;
  if (forget_row(kind, id, payload, erased, without))
    require(!forget_row(kind, id, Exact(without).view(), erased, again), "an erasure leaves a name in an outbox row");
}

void bears_dead_letter(std::string_view bytes) {
  DeadLetterRow row, again;
  if (!decode(bytes, row)) return;
  const Exact first(encode(row));
  require(decode(first.view(), again) && encode(again) == first.view(), "a dead letter reads as something else");
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
  const uint8_t which = in.byte() % 29;
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
      return bears_change(bytes);
    case 19:
      return bears_free<TierChange>(bytes, "tier change");
    case 20:
      return bears_free<ScoreRecord>(bytes, "score record");
    case 21:
      return bears_rows(bytes);
    case 22:
      return bears_book(bytes);
    case 23:
      (void)PostsState::read_block(bytes);
      return;
    case 24:
      return reads_older_changes(in);
    case 25:
      return keeps_rows(in);
    case 26:
      return bears_free<Alert>(bytes, "alert");
    case 27:
      return bears_out_row(bytes);
    default:
      return bears_dead_letter(bytes);
  }
}

}  // namespace bellwether::fuzz

#include "operators/reports.h"

#include <algorithm>
#include <variant>

#include "operators/credit.h"
#include "operators/erased.h"
#include "operators/portrait.h"

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 1;

// The rule that a kind and status earns the tester points by.
RuleId rule_of(BetaTestKind kind, BetaTestStatus status) {
  if (kind == BetaTestKind::kSuggestion && status == BetaTestStatus::kAdopted) return RuleId::kSuggestionAdopted;
  if (kind == BetaTestKind::kBug && status == BetaTestStatus::kConfirmed) return RuleId::kBugConfirmed;
  if (kind == BetaTestKind::kBug && status == BetaTestStatus::kFixed) return RuleId::kBugFixed;
  if (kind == BetaTestKind::kSession && status != BetaTestStatus::kRejected) return RuleId::kBetaSession;
  return RuleId::kNone;
}

// A record whose tester was erased names the row of (program, tester) by its hash, as a report that is none.
bool names_report(const BetaTestFact& test) { return test.report.present() && !is_erased_name(test.report.id); }

// What a row is called: the report's id, or program and tester in a form that no pair of other texts has.
std::string text_of(const BetaTestFact& test, std::string_view tester, uint64_t home) {
  if (names_report(test)) return std::string(test.report.id);
  if (test.report.present() || is_erased_name(tester)) return erased_name(home);
  std::string text(1, static_cast<char>(test.program.size()));
  text.push_back('\0');
  return text.append(test.program).append(tester);
}

class Reports final : public OperatorOf<ReportsState> {
 public:
  OperatorId id() const override { return OperatorId::kReports; }
  const char* name() const override { return "reports"; }
  KeyKind key_kind() const override { return KeyKind::kReport; }

  void fold_key(ReportsState& state, Key key, std::span<const Item> items, Context& context) const override {
    for (const Item& item : items)
      if (item.kind == Item::Kind::kFact) context.outcome(fold_fact(state, key, *item.fact, context));
  }

 private:
  static Outcome fold_fact(ReportsState& state, Key key, const Fact& fact, Context& context) {
    const BetaTestFact& test = std::get<BetaTestFact>(fact.body);
    const Ref& filer = test.tester.present() ? test.tester : fact.user;
    const std::string text = text_of(test, filer.id, key.hash);
    if (state.id.empty()) state.id = text, state.named = names_report(test);
    if (state.id != text || state.named != names_report(test)) return Outcome::kCollision;

    const bool again = state.seen.test_and_add(fact.id_hash, context.tick().slot);
    state.seen.keep_newest(kReportSeenMax);
    if (again || (state.named && said_before(state, fact, test, context))) return Outcome::kDuplicate;

    const bool submitted = test.status == BetaTestStatus::kSubmitted;
    if (state.tester_hash == 0 || (submitted && !state.submitted))
      state.tester = filer.id, state.tester_hash = filer.hash, state.submitted = submitted;
    state.kind = test.kind;
    if (test.status != BetaTestStatus::kUnspecified) state.status = test.status;
    if (test.severity != 0) state.severity = test.severity;

    if (fact.user.hash == state.tester_hash) send_activity(fact, context);
    if (test.status == BetaTestStatus::kRejected) {
      take_back(state, context);
    } else {
      give(state, key, fact, test, context);
    }
    return Outcome::kApplied;
  }

  // Whether the same was said of this report within the score window; remembers it where not.
  static bool said_before(ReportsState& state, const Fact& fact, const BetaTestFact& test, Context& context) {
    const int64_t now = context.tick().slot;
    const int64_t window = context.community().window_days * (kDayUs / kSlotUs);
    std::erase_if(state.meanings, [&](const ReportsState::Meaning& m) { return m.slot + window < now; });
    const ReportsState::Meaning said{context.hasher()(KeyKind::kReport, test.program), fact.user.hash, test.kind,
                                     test.status, now};
    for (const ReportsState::Meaning& m : state.meanings)
      if (m.program == said.program && m.user == said.user && m.kind == said.kind && m.status == said.status)
        return true;
    // A rejection undoes what was decided before it, and a decision undoes a rejection: the other may be said again.
    const bool rejects = test.status == BetaTestStatus::kRejected;
    const bool decides = test.status == BetaTestStatus::kConfirmed || test.status == BetaTestStatus::kFixed ||
                         test.status == BetaTestStatus::kAdopted;
    std::erase_if(state.meanings, [&](const ReportsState::Meaning& m) {
      const bool rejected = m.status == BetaTestStatus::kRejected;
      return rejects ? m.status >= BetaTestStatus::kConfirmed && !rejected : decides && rejected;
    });
    if (state.meanings.size() == kReportMeaningsMax) state.meanings.erase(state.meanings.begin());
    state.meanings.push_back(said);
    return false;
  }

  static void send_activity(const Fact& fact, Context& context) {
    const Activity activity{.user_id = fact.user.id,
                            .time_us = fact.time_us,
                            .channel = fact.channel,
                            .act = static_cast<uint8_t>(ActKind::kBeta)};
    context.send(OperatorId::kScores, Key{KeyKind::kUser, fact.user.hash}, fact.time_us, fact.id_hash,
                 encode(activity));
  }

  static void give(ReportsState& state, Key key, const Fact& fact, const BetaTestFact& test, Context& context) {
    const RuleId rule = rule_of(test.kind, test.status);
    if (rule == RuleId::kNone || context.community().rules[static_cast<size_t>(rule)].name == nullptr) return;
    // A report earns each of its points once, however many of the staff say so.
    for (const ReportsState::Gift& gift : state.gifts)
      if (gift.rule == rule) return;
    ReportsState::Gift gift{.rule = rule,
                            .user = state.tester_hash,
                            .rules = context.community_number(),
                            .event = {key, fact.time_us, fact.id_hash}};
    if (rule == RuleId::kBugConfirmed) {
      // A (program, tester) may have many bugs: another one's severity says nothing of this one's.
      const uint32_t said = test.severity != 0 || !state.named ? test.severity : state.severity;
      gift.times = static_cast<uint8_t>(std::clamp<uint32_t>(said, 1, 5));
    }
    send(gift, state.tester, +1, context);
    if (state.named) state.gifts.push_back(gift);
  }

  // A rejection takes back what the report gave, from whom it was given to and on the day it was given for.
  static void take_back(ReportsState& state, Context& context) {
    for (const ReportsState::Gift& gift : state.gifts) send(gift, {}, -1, context);
    state.gifts.clear();
  }

  static void send(const ReportsState::Gift& gift, std::string_view user_id, int sign, Context& context) {
    send_credit({.user = {user_id, gift.user},
                 .rule = gift.rule,
                 .event = gift.event,
                 .rules = gift.rules,
                 .times = gift.times,
                 .sign = sign},
                context);
  }
};

}  // namespace

bool ReportsState::decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != kVersion) return false;
  id = r.bytes(), named = r.boolean();
  tester = r.bytes(), tester_hash = r.fixed64(), submitted = r.boolean();
  kind = static_cast<BetaTestKind>(r.u8()), status = static_cast<BetaTestStatus>(r.u8());
  severity = static_cast<uint32_t>(r.varint());
  const uint64_t meaning_count = r.varint();
  for (uint64_t i = 0; i < meaning_count && r.ok(); ++i) {
    Meaning m;
    m.program = r.fixed64(), m.user = r.fixed64();
    m.kind = static_cast<BetaTestKind>(r.u8()), m.status = static_cast<BetaTestStatus>(r.u8());
    m.slot = r.zigzag();
    meanings.push_back(m);
  }
  const uint64_t gift_count = r.varint();
  for (uint64_t i = 0; i < gift_count && r.ok(); ++i) {
    Gift g;
    g.rule = static_cast<RuleId>(r.u8()), g.user = r.fixed64();
    g.rules = static_cast<uint16_t>(r.varint()), g.event = EventRef::read(r), g.times = r.u8();
    gifts.push_back(g);
  }
  return seen.read(r) && r.done();
}

void ReportsState::encode(std::string& out) const {
  if (id.empty()) return;
  Writer w(out);
  w.u8(kVersion);
  w.bytes(id), w.boolean(named);
  w.bytes(tester), w.fixed64(tester_hash), w.boolean(submitted);
  w.u8(static_cast<uint8_t>(kind)), w.u8(static_cast<uint8_t>(status));
  w.varint(severity);
  w.varint(meanings.size());
  for (const Meaning& m : meanings) {
    w.fixed64(m.program), w.fixed64(m.user);
    w.u8(static_cast<uint8_t>(m.kind)), w.u8(static_cast<uint8_t>(m.status));
    w.zigzag(m.slot);
  }
  w.varint(gifts.size());
  for (const Gift& g : gifts) {
    w.u8(static_cast<uint8_t>(g.rule)), w.fixed64(g.user);
    w.varint(g.rules), g.event.write(w), w.u8(g.times);
  }
  seen.write(w);
}

bool ReportsState::forget(Key key, const Erased& erased) {
  const std::string* name = erased.name(tester_hash);
  if (name == nullptr || tester == *name) return false;
  tester = *name;
  if (!named) id = erased_name(key.hash);
  return true;
}

size_t ReportsState::memory() const {
  return id.capacity() + tester.capacity() + meanings.capacity() * sizeof(Meaning) + gifts.capacity() * sizeof(Gift) +
         seen.memory();
}

const Operator& reports_operator() {
  static const Reports instance;
  return instance;
}

}  // namespace bellwether

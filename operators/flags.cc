#include "operators/flags.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "operators/alert.h"

namespace bellwether {
namespace {

using Ending = FlagsState::Ending;
using What = FlagChange::What;

constexpr uint32_t kBudget = kSendsMax - 1;  // one is left for the kContinue

// Adds what is not in `list` yet, up to `most`. Detectors name everything anew, so what did not fit is the most that
// ever did not. True where the list grew.
bool unite(std::vector<uint64_t>& list, const std::vector<uint64_t>& more, size_t most, uint32_t& left_out) {
  const size_t before = list.size();
  absl::flat_hash_set<uint64_t> known(list.begin(), list.end());
  uint32_t out = 0;
  for (const uint64_t hash : more) {
    if (!known.insert(hash).second) continue;
    if (list.size() < most) {
      list.push_back(hash);
    } else {
      ++out;
    }
  }
  left_out = std::max(left_out, out);
  return list.size() != before;
}

bool unite(std::vector<EvidenceEvent>& list, const std::vector<EvidenceEvent>& more, uint32_t& left_out) {
  const size_t before = list.size();
  absl::flat_hash_set<std::pair<uint64_t, uint64_t>> known;  // an event's id is unique at its home, the liker
  for (const EvidenceEvent& e : list) known.emplace(e.liker, e.id_hash);
  uint32_t out = 0;
  for (const EvidenceEvent& e : more) {
    if (!known.emplace(e.liker, e.id_hash).second) continue;
    if (list.size() < kFlagEvidenceMax) {
      list.push_back(e);
    } else {
      ++out;
    }
  }
  left_out = std::max(left_out, out);
  return list.size() != before;
}

bool widen(Scope& scope, const Scope& more) {
  const Scope before = scope;
  for (const uint64_t post : more.posts) {
    const auto at = std::lower_bound(scope.posts.begin(), scope.posts.end(), post);
    if ((at == scope.posts.end() || *at != post) && scope.posts.size() < kScopePostsMax) scope.posts.insert(at, post);
  }
  scope.from_us = std::min(scope.from_us, more.from_us);
  scope.to_us = std::max(scope.to_us, more.to_us);
  return scope != before;
}

class Flags final : public OperatorOf<FlagsState> {
 public:
  OperatorId id() const override { return OperatorId::kFlags; }
  const char* name() const override { return "flags"; }
  KeyKind key_kind() const override { return KeyKind::kFlag; }
  bool dump(const State& state, Key, const DumpContext& context, std::string& json_line) const override {
    const auto& flag = static_cast<const FlagsState&>(state);
    if (flag.status == FlagStatus::kNone) return false;
    json_line = flag_json(flag, context.reader);
    return true;
  }

  void fold_key(FlagsState& state, Key key, std::span<const Item> items, Context& context) const override {
    bool my_turn = !state.working;
    for (const Item& item : items) {
      switch (item.kind) {
        case Item::Kind::kFact:
          context.outcome(on_verdict(state, *item.fact, context));
          break;
        case Item::Kind::kTimer:
          on_timer(state, item, context);
          break;
        case Item::Kind::kMessage:
          if (kind_of(item.payload) == MessageKind::kContinue) {
            my_turn = true;
          } else if (kind_of(item.payload) == MessageKind::kRaise) {
            on_raise(state, item, context);
          } else if (kind_of(item.payload) == MessageKind::kForgotten && state.status != FlagStatus::kNone) {
            // Whoever keeps the last record of each flag keeps none that names them. The flag itself is as it was.
            const TickId updated = state.updated;
            emit(state, What::kUpdated, Decision::kUnspecified, context);
            state.updated = updated;
          }
          break;
      }
    }
    if (!my_turn) return;
    state.working = step(state, key, context);
    if (state.working)
      context.send(OperatorId::kFlags, key, state.cause_time_us, state.cause_id_hash,
                   std::string(1, static_cast<char>(MessageKind::kContinue)));
  }

 private:
  // --- What is found and decided ---

  static void on_raise(FlagsState& state, const Item& item, Context& context) {
    const Raise raise = decode_raise(item.payload);
    if (state.id.empty()) state.id = raise.id;
    if (state.id != raise.id) return;  // another flag of the same hash stands here
    const bool opens = state.status == FlagStatus::kNone;
    if (opens) {
      state.kind = raise.kind;
      state.scope = raise.scope;
      state.scope.posts.clear();  // added below, up to the bound
      state.opened = context.tick();
    }
    const int64_t window_us = context.community().window_days * kDayUs;
    if (state.status == FlagStatus::kClosed)  // what had run out makes room
      std::erase_if(state.evidence, [&](const EvidenceEvent& e) { return e.time_us + window_us < context.now_us(); });

    const bool new_subjects = unite(state.subjects, raise.subjects, kFlagUsersMax, state.more_subjects);
    const bool new_gain = unite(state.beneficiaries, raise.beneficiaries, kFlagUsersMax, state.more_beneficiaries);
    const bool new_evidence = unite(state.evidence, raise.evidence, state.more_evidence);
    const bool new_worth =
        widen(state.scope, raise.scope) | (std::exchange(state.authenticity, raise.authenticity) != raise.authenticity);
    if (new_worth) state.discounts_told = 0;
    state.confidence_permille = raise.confidence_permille;
    state.details = raise.details;
    if (state.details.size() > kFlagDetailsMax) state.details.resize(kFlagDetailsMax);
    state.newest_us = std::max(state.newest_us, item.time_us);
    for (const EvidenceEvent& e : raise.evidence) state.newest_us = std::max(state.newest_us, e.time_us);

    if (opens) {
      context.index(IndexId::kFlagsByTime, 0, flag_order(state.opened), true);
      change_status(state, FlagStatus::kOpen, item, context);
      // Verdicts may come before the flag, for example when the log is read again with other detectors.
      for (FlagDecision& d : state.history) {
        change_status(state, may_decide(state, d) ? decided(state.status, d.decision) : state.status, item, context);
        d.status = state.status;
      }
      emit(state, What::kOpened, Decision::kUnspecified, context);
      if (discounts(state.status))
        context.emit(OutKind::kAlert, encode(Alert{.kind = AlertKind::kFlagRaised,
                                                   .severity = AlertSeverity::kWarning,
                                                   .subject = state.id,
                                                   .text = flag_summary(state)}));
    } else {
      const bool much_more = state.evidence_total() >= std::max<uint32_t>(1, 2 * state.evidence_at_end);
      const bool dismissed = state.status == FlagStatus::kDismissed || state.status == FlagStatus::kReversed;
      const bool reopens = state.status == FlagStatus::kClosed || (dismissed && much_more);
      if (reopens) change_status(state, FlagStatus::kOpen, item, context);
      if (reopens || new_subjects || new_gain || new_evidence || new_worth) {
        state.cause_time_us = item.time_us, state.cause_id_hash = item.id_hash;
        emit(state, What::kUpdated, Decision::kUnspecified, context);
      }
    }
    wake(state, context);
  }

  static Outcome on_verdict(FlagsState& state, const Fact& fact, Context& context) {
    const VerdictFact& verdict = std::get<VerdictFact>(fact.body);
    if (state.id.empty()) state.id = verdict.flag.id;
    if (state.id != verdict.flag.id) return Outcome::kCollision;
    const bool again = state.seen.test_and_add(fact.id_hash, context.tick().slot);
    state.seen.keep_newest(kFlagSeenMax);
    if (again) return Outcome::kDuplicate;

    FlagDecision decision{.decision = verdict.decision,
                          .user_hash = fact.user.hash,
                          .user = std::string(fact.user.id),
                          .reason = std::string(verdict.reason),
                          .time_us = fact.time_us,
                          .id_hash = fact.id_hash};
    const Item item{.kind = Item::Kind::kFact, .time_us = fact.time_us, .id_hash = fact.id_hash};
    const FlagStatus before = state.status;
    if (may_decide(state, decision)) change_status(state, decided(before, verdict.decision), item, context);
    decision.status = state.status;
    if (state.history.size() == kFlagHistoryMax) state.history.erase(state.history.begin()), ++state.more_history;
    state.history.push_back(std::move(decision));
    if (before != FlagStatus::kNone) emit(state, What::kDecided, verdict.decision, context);
    state.updated = context.tick();
    if (state.status == FlagStatus::kAppealed && before != FlagStatus::kAppealed)
      context.emit(OutKind::kAlert,
                   encode(Alert{.kind = AlertKind::kAppeal,
                                .severity = AlertSeverity::kWarning,
                                .subject = state.id,
                                .text = std::string(fact.user.id) + " appeals against " + flag_summary(state)}));
    wake(state, context);
    return Outcome::kApplied;
  }

  // An appeal comes from a subject, every other decision from anybody else; the rest is noted and has no effect.
  // Subjects left out at the bound cannot be told from strangers: then anybody may appeal.
  static bool may_decide(const FlagsState& state, const FlagDecision& d) {
    const bool subject = std::find(state.subjects.begin(), state.subjects.end(), d.user_hash) != state.subjects.end();
    return d.decision == Decision::kAppealed ? subject || state.more_subjects > 0 : !subject;
  }

  static void on_timer(FlagsState& state, const Item& item, Context& context) {
    if (state.id.empty()) return;
    if (deadline_us(state, context) <= context.now_us()) {
      if (discounts(state.status)) {
        change_status(state, FlagStatus::kClosed, item, context);
        emit(state, What::kClosed, Decision::kUnspecified, context);
      } else if (!state.working) {
        state = FlagsState();
        return;
      }
    }
    wake(state, context);
  }

  static void change_status(FlagsState& state, FlagStatus to, const Item& cause, Context& context) {
    const FlagStatus from = std::exchange(state.status, to);
    if (from == to) return;
    state.cause_time_us = cause.time_us, state.cause_id_hash = cause.id_hash;
    const int change = discounts(to) - discounts(from);
    if (change != 0) context.count({kCounterFlags, static_cast<uint32_t>(state.kind)}, change);
    if (change < 0) state.ended = context.tick(), state.evidence_at_end = state.evidence_total();
  }

  static void emit(FlagsState& state, What what, Decision decision, Context& context) {
    state.updated = context.tick();
    FlagChange change;
    change.what = what, change.id = state.id, change.kind = state.kind, change.status = state.status,
    change.decision = decision;
    change.tick = context.tick();
    change.subjects = static_cast<uint32_t>(state.subjects.size()) + state.more_subjects;
    change.beneficiaries = static_cast<uint32_t>(state.beneficiaries.size()) + state.more_beneficiaries;
    change.evidence = state.evidence_total();
    change.confidence_permille = state.confidence_permille;
    const auto first = [](const std::vector<uint64_t>& users) {
      std::vector<FlagChange::User> named;
      for (const uint64_t user : users) {
        if (named.size() == kFlagChangeUsersMax) break;
        named.push_back({user, {}});
      }
      return named;
    };
    change.subject_users = first(state.subjects), change.beneficiary_users = first(state.beneficiaries);
    context.emit(OutKind::kFlag, encode(change));
  }

  // When a flag that discounts ends by itself: its likes have left the score window and nothing is left to take. When
  // verdicts on a flag that nobody raised are forgotten. A flag once raised is history and stays.
  static int64_t deadline_us(const FlagsState& state, const Context& context) {
    const int64_t window_us = context.community().window_days * kDayUs;
    if (discounts(state.status)) return state.newest_us + window_us + kFlagCarriesDays * kDayUs;
    if (state.status != FlagStatus::kNone) return INT64_MAX;
    return state.updated.slot * kSlotUs + window_us + kFlagKeptDays * kDayUs;
  }
  static void wake(const FlagsState& state, Context& context) {
    const int64_t deadline = deadline_us(state, context);
    if (deadline != INT64_MAX) context.wake_at(std::max(deadline, context.now_us() + kHourUs));
  }

  // --- Who is told ---

  // One round's work; true where more is left for the next.
  static bool step(FlagsState& state, Key key, Context& context) {
    uint32_t budget = kBudget;
    if (state.ending == Ending::kNo && !discounts(state.status) && (state.benefits_told > 0 || state.discounted > 0)) {
      state.ending = Ending::kDiscounts;
      state.ending_cursor = state.discounts_told = state.confirms_told = 0;
    }
    if (state.ending != Ending::kNo) return end(state, key, budget, context);
    if (!discounts(state.status)) return false;

    const uint32_t beneficiaries = static_cast<uint32_t>(state.beneficiaries.size());
    if (state.benefits_told < beneficiaries) {
      while (state.benefits_told < beneficiaries && budget > 0)
        tell(state, key, state.beneficiaries[state.benefits_told++], Benefit::Stage::kOpened, budget, context);
      return true;  // they must know before the first discount shows
    }
    while (state.discounts_told < state.subjects.size() && budget > 0) {
      discount(state, key, state.subjects[state.discounts_told++], true, budget, context);
      state.discounted = std::max(state.discounted, state.discounts_told);
    }
    const bool confirmed = state.status == FlagStatus::kConfirmed || state.status == FlagStatus::kUpheld;
    while (confirmed && state.confirms_told < beneficiaries && budget > 0)
      tell(state, key, state.beneficiaries[state.confirms_told++], Benefit::Stage::kConfirmed, budget, context);
    return state.discounts_told < state.subjects.size() || (confirmed && state.confirms_told < beneficiaries);
  }

  static bool end(FlagsState& state, Key key, uint32_t& budget, Context& context) {
    uint32_t& cursor = state.ending_cursor;
    if (state.ending == Ending::kDiscounts) {
      while (cursor < state.discounted && budget > 0)
        discount(state, key, state.subjects[cursor++], false, budget, context);
      if (cursor == state.discounted) state.ending = Ending::kSettling, cursor = 0;
      return true;
    }
    if (state.ending == Ending::kSettling && ++cursor < kSettleRounds) return true;
    if (state.ending == Ending::kSettling) state.ending = Ending::kBenefits, cursor = 0;
    while (cursor < state.benefits_told && budget > 0)
      tell(state, key, state.beneficiaries[cursor++], Benefit::Stage::kDismissed, budget, context);
    if (cursor < state.benefits_told) return true;
    state.ending = Ending::kNo;
    state.ending_cursor = state.benefits_told = state.discounted = 0;
    return discounts(state.status);  // confirmed again meanwhile: from the next round on
  }

  static void tell(const FlagsState& state, Key key, uint64_t user, Benefit::Stage stage, uint32_t& budget,
                   Context& context) {
    --budget;
    const Benefit benefit{.flag = key.hash, .flag_id = state.id, .kind = state.kind, .stage = stage};
    context.send(OperatorId::kScores, Key{KeyKind::kUser, user}, state.cause_time_us, state.cause_id_hash,
                 encode(benefit));
  }
  static void discount(const FlagsState& state, Key key, uint64_t user, bool open, uint32_t& budget, Context& context) {
    --budget;
    Discount discount{
        .flag = key.hash, .flag_id = state.id, .kind = state.kind, .open = open, .authenticity = state.authenticity};
    if (open) discount.scope = state.scope;  // one that ends is known by its flag
    context.send(OperatorId::kPeople, Key{KeyKind::kUser, user}, state.cause_time_us, state.cause_id_hash,
                 encode(discount));
  }
};

}  // namespace

FlagStatus decided(FlagStatus status, Decision decision) {
  const bool counts = discounts(status);
  switch (decision) {
    case Decision::kConfirmed:
      return status == FlagStatus::kNone || status == FlagStatus::kClosed || status == FlagStatus::kUpheld
                 ? status
                 : FlagStatus::kConfirmed;
    case Decision::kDismissed:
      return counts ? FlagStatus::kDismissed : status;
    case Decision::kAppealed:
      return counts ? FlagStatus::kAppealed : status;
    case Decision::kReversed:
      return counts ? FlagStatus::kReversed : status;
    case Decision::kUpheld:
      return counts ? FlagStatus::kUpheld : status;
    case Decision::kUnspecified:
      return status;
  }
  return status;
}

const Operator& flags_operator() {
  static const Flags instance;
  return instance;
}

}  // namespace bellwether

// Stored bytes of states. Whatever stands in a store, decoding refuses it or takes it; what it takes is written back as
// bytes that mean the same: decoded again and written again they do not change. What is taken can be looked at, dumped
// and added to as a state that was folded.
#include <algorithm>

#include "config/config.h"
#include "operators/erased.h"
#include "operators/people.h"
#include "operators/registry.h"
#include "operators/scores.h"
#include "operators/state_reader.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

std::unique_ptr<State> back(const Operator& op, const State& state, std::string& bytes) {
  bytes.clear();
  state.encode(bytes);
  auto again = op.decode(Exact(bytes).view());
  require(again != nullptr, std::string(op.name()) + ": refuses what it wrote itself");
  return again;
}

bool same(const Portrait::Counts& a, const Portrait::Counts& b) {
  const auto same_names = [](const std::vector<Portrait::Named>& x, const std::vector<Portrait::Named>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](const auto& n, const auto& m) { return n.name == m.name && n.count == m.count; });
  };
  return a.hours == b.hours && a.acts == b.acts && same_names(a.channels, b.channels) && same_names(a.topics, b.topics);
}

bool same_days(const Portrait& a, const Portrait& b) {
  for (int64_t day = 20'000 - ActiveDays::kDays; day < 20'000; ++day)
    if (a.days().on(day) != b.days().on(day)) return false;
  return a.days().count(20'000, 182) == b.days().count(20'000, 182);
}

Portrait read_back(const Portrait& portrait) {
  std::string bytes, second;
  Writer w(bytes), w2(second);
  portrait.write(w);
  const Exact stored(bytes);
  Reader r(stored.view());
  Portrait again;
  require(again.read(r) && r.done(), "portrait: refuses what it wrote itself");
  again.write(w2);
  require(second == bytes, "portrait: what was written reads as something else");
  require(same(again.counts(), portrait.counts()) && same_days(again, portrait), "portrait: it comes back another one");
  return again;
}

uint64_t sum(const auto& counts) {
  uint64_t all = 0;
  for (const uint32_t n : counts) all += n;
  return all;
}

// The counts are kept as bytes: an act or a topic more, and they say what they said and that.
void lives_on(Portrait portrait, std::string_view word) {
  Portrait stored = read_back(portrait);
  const Portrait::Counts before = portrait.counts();
  Portrait erased = portrait;
  for (Portrait* p : {&portrait, &stored}) {
    p->act(20'000 * kDayUs - 1, ActKind::kIdea, word);
    p->topic(word);
    p->act(20'000 * kDayUs - 8 * kDayUs, ActKind::kLike, {});
  }
  require(same(portrait.counts(), stored.counts()) && same_days(portrait, stored),
          "portrait: stored it lives otherwise");
  read_back(portrait);
  const Portrait::Counts after = portrait.counts();
  const bool forgetful = !portrait.forget();  // erased before: nothing was counted
  require(forgetful ? same(before, after) && sum(before.hours) == 0
                    : sum(after.acts) == sum(before.acts) + 2 || sum(before.acts) > UINT32_MAX - 2,
          "portrait: acts are lost");
  if (!forgetful && !word.empty())
    require(std::ranges::any_of(after.topics, [&](const auto& n) { return n.name == word; }),
            "portrait: a topic is lost");

  erased.forget();
  require(same(erased.counts(), Portrait().counts()) && !erased.forget(), "portrait: it does not forget");
  erased.act(20'000 * kDayUs, ActKind::kIdea, word), erased.topic(word);
  Portrait again = read_back(erased);
  require(same(again.counts(), Portrait().counts()) && !again.forget(), "portrait: it no longer knows that it forgot");
}

// Adds to the newest rows of a ledger, which stay the bytes that they were read as.
void earns_on(ScoresState& state) {
  const std::vector<CreditRow> before = state.rows.rows();
  require(before.size() == state.rows.size(), "open rows: miscounted");
  CreditRow row;
  row.rule = RuleId::kLikeReceived, row.day = 20'000, row.slot = slot_of(20'000 * kDayUs) + 7, row.cause = Cause::kFlag;
  row.flag = 5, row.event = {{KeyKind::kUser, 77}, 20'000 * kDayUs, 3}, row.count = 1, row.raw_micros = 500'000;
  if (!before.empty()) row.event = before.back().event;
  state.rows.add(row, true);  // taken at its word only where a row stands before it
  state.rows.add(row, false);
  std::string bytes;
  const auto again = back(scores_operator(), state, bytes);
  const auto rows = static_cast<const ScoresState&>(*again).rows.rows();
  require(rows.size() == before.size() + 2 && rows[before.size()].event == rows[before.size() + 1].event &&
              rows.back().day == row.day && rows.back().slot == row.slot && rows.back().flag == row.flag,
          "open rows: what was added reads as something else");
}

// Nobody else has a row.
class Nobody final : public StateReader {
 public:
  const State* state(OperatorId, Key) override { return nullptr; }
  std::string block(OperatorId, Key, int64_t, uint32_t) override { return {}; }
  const CommunityConfig& community() const override { return community_; }

 private:
  CommunityConfig community_ = default_config().community;
};

void dumped(const Operator& op, const State& state, Key key) {
  static Nobody nobody;
  static const Cutoffs cutoffs{};
  static const DumpContext context{20'000 * kDayUs, nobody.community(), cutoffs, nobody,
                                   [](uint16_t) -> const CommunityConfig& { return nobody.community(); }};
  std::string line;
  if (!op.dump(state, key, context, line)) return;
  require(line.starts_with('{') && line.ends_with('}') && line.find('\n') == std::string::npos,
          std::string(op.name()) + ": a line of dump is none");
}

}  // namespace

void check_state(std::string_view input) {
  Input in(input);
  const auto all = all_operators();
  const Operator& op = *all[in.byte() % all.size()];
  const Exact bytes(in.rest());
  const auto state = op.decode(bytes.view());
  if (state == nullptr) return;
  (void)state->memory(), (void)state->whole(), (void)state->names(1);
  std::string first, second;
  state->encode(first);
  require(state->blank() == first.empty(), std::string(op.name()) + ": is blank and writes something, or the reverse");
  // Nothing written: the state says that its row can go.
  if (first.empty()) return;
  const auto again = op.decode(Exact(first).view());
  require(again != nullptr, std::string(op.name()) + ": refuses what it wrote itself");
  again->encode(second);
  require(first == second, std::string(op.name()) + ": what it wrote reads as something else");
  const Key key{op.key_kind(), 1};
  // A score's line asks for days about today, which the fold sees to: other ones end the program with a word.
  if (op.id() != OperatorId::kScores) dumped(op, *state, key);

  if (op.id() == OperatorId::kPeople)
    lives_on(static_cast<const PeopleState&>(*state).portrait, bytes.view().substr(0, 4));
  if (op.id() == OperatorId::kScores) {
    lives_on(static_cast<const ScoresState&>(*state).portrait, bytes.view().substr(0, 4));
    earns_on(static_cast<ScoresState&>(*again));
  }

  // An erasure takes the name out of it for good.
  static const Hasher hasher("fuzz");
  static const Erased erased = [] {
    Erased e(hasher);
    for (const uint64_t user : {uint64_t{0}, uint64_t{1}, uint64_t{0x0101010101010101}}) e.add(user, 4);
    e.add(hasher(KeyKind::kUser, "anna"), 4);
    return e;
  }();
  const auto stored = op.decode(first);
  const bool forgot = state->forget(key, erased);
  require(stored->forget(key, erased) == forgot, std::string(op.name()) + ": stored it forgets otherwise");
  require(!state->forget(key, erased), std::string(op.name()) + ": forgets twice");
  state->encode(first = {}), stored->encode(second = {});
  require(first == second, std::string(op.name()) + ": what forgot is another one once stored");
  if (first.empty()) return;
  require(!back(op, *stored, second)->forget(key, erased), std::string(op.name()) + ": a name comes back");
}

}  // namespace bellwether::fuzz

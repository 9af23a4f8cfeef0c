#include "pipeline/repair/check_state.h"

#include <cstdio>

#include "operators/bursts_op.h"
#include "operators/decay.h"
#include "operators/flags.h"
#include "operators/people.h"
#include "operators/posts.h"
#include "operators/referrals.h"
#include "operators/reports.h"

namespace bellwether {
namespace {

IndexKey place(IndexId index, size_t plus, uint64_t order, Key key) {
  return {static_cast<uint8_t>(static_cast<size_t>(index) + plus), order, key};
}

std::string points(int64_t micros) { return points_text(micros) + " points"; }

std::string id_of(const StateKey& key, const State& state) {
  switch (key.op) {
    case OperatorId::kPeople:
      return dynamic_cast<const PeopleState&>(state).id;
    case OperatorId::kPosts:
      return dynamic_cast<const PostsState&>(state).id;
    case OperatorId::kReferrals:
      return dynamic_cast<const ReferralsState&>(state).id;
    case OperatorId::kReports:
      return dynamic_cast<const ReportsState&>(state).id;
    case OperatorId::kScores:
      return dynamic_cast<const ScoresState&>(state).id;
    case OperatorId::kFlags:
      return dynamic_cast<const FlagsState&>(state).id;
    default:
      return {};
  }
}

// Of the boards that there are under these rules.
bool cells_are(const ScoresState& s, const CommunityConfig& rules_now, const RulesOf& rules, int64_t today) {
  const Sums sums = s.book.sums(today, rules_now, rules);
  const size_t boards = std::min(kBoardsMax, kCapabilities + rules_now.profiles.size());
  for (size_t b = 0; b < std::max(boards, s.cells.size()); ++b) {
    const uint128 sum = b < kCapabilities ? sums.s[b]
                        : b < boards      ? sums.profile(rules_now.profiles[b - kCapabilities])
                                          : 0;
    if (cell_of(sum, sums.base) != (b < s.cells.size() ? s.cells[b] : 0)) return false;
  }
  return true;
}

}  // namespace

std::string describe(const StateKey& key, const char* op, const State* state) {
  char hash[20];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(key.key.hash));
  std::string id = state != nullptr ? id_of(key, *state) : std::string();
  for (char& c : id)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return std::string(op) + (id.empty() ? " " : " \"" + id + "\" ") + "(" + hash + ")";
}

std::string list_name(uint8_t index) {
  if (index == static_cast<uint8_t>(IndexId::kFlagsByTime)) return "the list of flags";
  const auto tiers = static_cast<uint8_t>(IndexId::kUsersByTier);
  const auto boards = static_cast<uint8_t>(IndexId::kCapabilityBoards);
  const auto profiles = static_cast<uint8_t>(IndexId::kProfileBoards);
  if (index >= profiles) return "the board of profile " + std::to_string(index - profiles);
  if (index >= boards && index < boards + kCapabilities)
    return "the board of capability " + std::to_string(index - boards + 1);
  if (index > tiers && index <= tiers + static_cast<uint8_t>(Tier::kLead))
    return "the list of tier " + std::string(tier_name(static_cast<Tier>(index - tiers)));
  return "list " + std::to_string(index);
}

std::vector<IndexKey> lists_of(const StateKey& key, const State& state) {
  std::vector<IndexKey> out;
  if (key.op == OperatorId::kScores) {
    const auto& s = dynamic_cast<const ScoresState&>(state);
    for (size_t b = 0; b < s.cells.size(); ++b) {
      if (s.cells[b] == 0) continue;
      out.push_back(b < kCapabilities ? place(IndexId::kCapabilityBoards, b, s.cells[b], key.key)
                                      : place(IndexId::kProfileBoards, b - kCapabilities, s.cells[b], key.key));
    }
    if (s.machine.tier > Tier::kMember)
      out.push_back(place(IndexId::kUsersByTier, static_cast<size_t>(s.machine.tier), 0, key.key));
  } else if (key.op == OperatorId::kFlags) {
    const auto& f = dynamic_cast<const FlagsState&>(state);
    if (f.status != FlagStatus::kNone) out.push_back(place(IndexId::kFlagsByTime, 0, flag_order(f.opened), key.key));
  }
  return out;
}

std::vector<BlockRef> blocks_of(const StateKey& key, const State& state) {
  std::vector<BlockRef> out;
  const auto take = [&](const auto& blocks) {
    for (const auto& b : blocks) out.push_back({b.day, b.number, b.count});
  };
  if (key.op == OperatorId::kPeople) {
    const auto& people = dynamic_cast<const PeopleState&>(state);
    take(people.book.blocks()), take(people.seen.blocks());
  }
  if (key.op == OperatorId::kBursts)
    for (const BurstLikes::Block& b : dynamic_cast<const BurstsState&>(state).likes.blocks())
      out.push_back({b.day, b.number, BurstLikes::kBlock});
  if (key.op == OperatorId::kPosts) take(dynamic_cast<const PostsState&>(state).blocks);
  if (key.op == OperatorId::kScores) take(dynamic_cast<const ScoresState&>(state).blocks);
  return out;
}

int64_t block_entries(OperatorId op, std::string_view bytes) {
  if (op == OperatorId::kPeople) {
    LikeBook book;
    return book.add_block(bytes) ? static_cast<int64_t>(book.entries().size()) : SeenBlocks::block_entries(bytes);
  }
  if (op == OperatorId::kBursts) return BurstLikes::is_block(bytes) ? static_cast<int64_t>(BurstLikes::kBlock) : -1;
  if (op == OperatorId::kPosts) return static_cast<int64_t>(PostsState::read_block(bytes).size());
  if (op != OperatorId::kScores) return -1;
  Reader r(bytes);
  std::vector<CreditRow> rows;
  return r.u8() == 1 && read_rows(r, rows) && r.done() ? static_cast<int64_t>(rows.size()) : -1;
}

bool counted_by_states(CounterId id) {
  return id.family == kCounterCells || id.family == kCounterUsers || id.family == kCounterPosts ||
         id.family == kCounterFlags || id.family == kCounterRated;
}

void count_state(const StateKey& key, const State& state, std::map<CounterId, int64_t>& sums) {
  if (key.op == OperatorId::kScores) {
    const auto& s = dynamic_cast<const ScoresState&>(state);
    if (!s.id.empty()) ++sums[{kCounterUsers, 0}];
    if (s.cells.size() <= kCapabilities || s.cells[kCapabilities] == 0) return;
    ++sums[{kCounterCells, s.cells[kCapabilities]}];
    ++sums[{kCounterRated, 0}];
  } else if (key.op == OperatorId::kPosts) {
    if (dynamic_cast<const PostsState&>(state).published_us != 0) ++sums[{kCounterPosts, 0}];
  } else if (key.op == OperatorId::kFlags) {
    const auto& f = dynamic_cast<const FlagsState&>(state);
    if (discounts(f.status)) ++sums[{kCounterFlags, static_cast<uint32_t>(f.kind)}];
  }
}

std::vector<std::string> score_faults(Key key, const ScoresState& s, const std::vector<CreditRow>& rows,
                                      const std::vector<ConfigVersion>& versions, uint16_t version, int64_t now_us,
                                      uint64_t& contributions) {
  std::vector<std::string> faults;
  const CommunityConfig& community = versions[version].config;
  const int64_t today = day_of(now_us), window = community.window_days;
  const auto bucket_name = [](int64_t day, RuleId rule) {
    return "rule " + std::to_string(static_cast<int>(rule)) + " on day " + std::to_string(day);
  };

  // What the ledger says of each day and rule.
  struct Part {
    int64_t count = 0, raw = 0, authentic = 0;
    bool operator==(const Part&) const = default;
  };
  std::map<std::pair<int64_t, RuleId>, Part> said;
  for (const CreditRow& row : rows) {
    Part& part = said[{row.day, row.rule}];
    part.count += row.count, part.raw += row.raw_micros, part.authentic += row.authentic_micros;
  }
  contributions += rows.size();
  bool sound = true;
  for (const Bucket& b : s.book.buckets()) {
    // Of a day out of all bounds no weight can be taken.
    if (b.day < today - window - 3 || b.day > today + 1) {
      faults.push_back("has points for " + bucket_name(b.day, b.rule) + ", outside of the window of day " +
                       std::to_string(today));
      sound = false;
    }
    if (b.rules > version) {
      faults.push_back("was counted by version " + std::to_string(b.rules) +
                       " of the rules, which the control log does not have");
      sound = false;
    }
    const auto at = said.find({b.day, b.rule});
    const Part part = at == said.end() ? Part{} : at->second;
    if (part != Part{b.count, b.raw_micros, b.authentic_micros})
      faults.push_back("counts " + std::to_string(b.count) + " events, " + points(b.raw_micros) + ", authentic " +
                       points_text(b.authentic_micros) + ", for " + bucket_name(b.day, b.rule) +
                       "; its contributions sum to " + std::to_string(part.count) + ", " + points(part.raw) + ", " +
                       points_text(part.authentic));
    if (at != said.end()) said.erase(at);
  }
  // The newest day that has left for this user, as in operators/scores.cc: rows of that day and before have no bucket.
  const int64_t left =
      floor_div(now_us - static_cast<int64_t>(key.hash % static_cast<uint64_t>(kDayUs)), kDayUs) - 1 - window;
  for (const auto& [name, part] : said)
    if (name.first > left && part != Part{})
      faults.push_back("counts nothing for " + bucket_name(name.first, name.second) + "; its contributions sum to " +
                       std::to_string(part.count) + ", " + points(part.raw));
  if (!sound) return faults;

  const RulesOf rules = [&](uint16_t n) -> const CommunityConfig& { return versions[n].config; };
  const ScoreView view = scores_of(s, community, rules, now_us);
  const auto compare = [&](const std::string& name, const std::vector<Contribution>& lines, int64_t score) {
    int64_t sum = 0;
    for (const Contribution& c : lines) sum += c.contribution_micros;
    if (sum != score)
      faults.push_back("the score of " + name + " is " + points(score) + ", its explanation sums to " + points(sum));
  };
  for (size_t c = 0; c < kCapabilities; ++c)
    compare("capability " + std::to_string(c + 1), explain_capability(s, c + 1, community, rules, now_us),
            view.capability_micros[c]);
  for (size_t p = 0; p < community.profiles.size(); ++p)
    compare("profile " + community.profiles[p].name,
            explain_profile(s, community.profiles[p], community, rules, now_us), view.profile_micros[p]);
  // A user whom nothing happened to since the rules changed still stands where the earlier ones put them.
  bool placed = false;
  for (size_t v = version + size_t{1}; v-- > 0 && !placed;) placed = cells_are(s, versions[v].config, rules, today);
  if (!placed) faults.push_back("stands on the boards where its points do not put it");
  return faults;
}

}  // namespace bellwether

// What a user has earned: buckets of points, the ledger of every credit, distinct likers, certificates, days active,
// the tier. The only place where a score changes. For each open flag that takes from the user it keeps the world
// without that flag beside the real one (what the flag took, by bucket, and a tier machine of its own), so that a
// dismissal restores score, tier and history of the tier exactly, and "the tier without X" is at hand.
#pragma once

#include <string>
#include <vector>

#include "operators/messages.h"
#include "operators/operator.h"
#include "operators/portrait.h"
#include "operators/score_book.h"
#include "operators/tiers.h"

namespace bellwether {

// One row of a user's ledger: a credit, or what changed one.
struct CreditRow {
  RuleId rule = RuleId::kNone;
  int64_t day = 0;
  Cause cause = Cause::kEvent;
  uint64_t flag = 0;  // behind kFlag, kFlagEnd and the halvings they changed
  EventRef event;
  int64_t slot = 0;  // of the tick that folded it
  int32_t count = 0;
  int64_t raw_micros = 0, authentic_micros = 0;
};
void write_rows(Writer& w, const std::vector<CreditRow>& rows);
bool read_rows(Reader& r, std::vector<CreditRow>& rows);

// The newest rows of a ledger as the bytes they are stored as: they are added to, written, and seldom looked at. A
// quarter of the memory of CreditRows, and nothing to encode at a commit.
class OpenRows {
 public:
  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  // `same_event`: the event is that of the row added before it, by the same fold: the bytes depend on folds alone.
  void add(const CreditRow& row, bool same_event = false);
  std::vector<CreditRow> rows() const;
  void set(const std::vector<CreditRow>& rows);
  void clear() { bytes_.clear(), count_ = 0; }
  void write(Writer& w) const { w.varint(count_), w.append(bytes_.data(), bytes_.size()); }
  bool read(Reader& r);  // takes all that is left
  size_t memory() const { return bytes_.capacity(); }
  void fetch_ahead() const { __builtin_prefetch(bytes_.data() + bytes_.size(), 1); }  // where the next is added

 private:
  std::string bytes_;
  uint32_t count_ = 0;
};

// A certificate, exam or role.
struct Grant {
  AccountAction action = AccountAction::kUnspecified;
  std::string name;
  int64_t since_us = 0, expires_us = 0;  // 0: never
};

// The world without one flag.
struct WithoutFlag {
  uint64_t flag = 0;
  std::string flag_id;
  FlagKind kind = FlagKind::kNone;
  bool confirmed = false;
  bool told = false;  // a ranking flag was raised over it
  int64_t opened_us = 0;
  std::vector<Taken> taken;  // by (day, rule)
  int64_t likers = 0;        // distinct likers it took
  TierMachine machine;
};

// Bound: 182 days of at most kRuleIds buckets, kGrantsMax grants, kUserFlagsMax worlds, kBlockRowsMax open rows; the
// rest of the ledger stands in blocks, 5 bytes a block here (operators/block_size.h).
struct ScoresState final : State {
  static constexpr size_t kGrantsMax = 32;
  struct Block {
    int64_t day = 0;
    uint32_t number = 0, count = 0;
  };

  std::string id;
  int64_t first_us = 0;  // event time of the first credit or activity
  ScoreBook book;
  int64_t likers = 0;
  std::vector<Grant> grants;
  // Of days with a like or an account event of theirs, which are counted at their home, it has the first one, and from
  // when `wants_days` is set all. That is at the first look at which a tier may hang on them: most users' likes then
  // cost nothing here. Whoever shows days active adds the home's.
  Portrait portrait;
  bool wants_days = false;
  bool awaits_days = false;  // asked, not answered: no look is taken at the tier, and nothing reported, until they come
  TierMachine machine;
  std::vector<WithoutFlag> without;
  std::vector<uint32_t> cells;          // as last put into the boards: capabilities, then profiles; 0 = in none
  int64_t reported_minute = INT64_MIN;  // of the last score record; minutes begin at a moment of the user's own
  bool report_due = false;
  OpenRows rows;  // newest, in fold order
  std::vector<Block> blocks;
  uint32_t next_number = 0;

  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override;
  bool forget(Key key, const Erased& erased) override;
  bool blank() const override { return false; }
  void fetch_ahead() const override { book.fetch_ahead(), rows.fetch_ahead(), __builtin_prefetch(cells.data()); }
};

const Operator& scores_operator();

// The user's numbers on the day of `now_us`, in the real world or without one flag. Pure; for queries, dumps and the
// operator. `home`: the user's other days active (PeopleState), null where there are none.
Standing standing_of(const ScoresState& state, const ActiveDays* home, const CommunityConfig& community,
                     const RulesOf& rules, int64_t now_us, const WithoutFlag* without = nullptr);
// Days active within the window, of both.
uint32_t days_active(const ScoresState* scores, const ActiveDays* home, int64_t now_us, uint32_t window_days);
struct ScoreView {
  std::array<int64_t, kCapabilities> capability_micros{};
  std::vector<int64_t> profile_micros;  // in configured order
};
ScoreView scores_of(const ScoresState& state, const CommunityConfig& community, const RulesOf& rules, int64_t now_us);
// The tier that members see: until visible_delay_hours after a flag opened, the one from the world without it.
Tier visible_tier(const ScoresState& state, const CommunityConfig& community, int64_t now_us);

// One line of an explanation; over all lines of a capability (1..4), or of a profile, contribution_micros sum to the
// score exactly.
struct Contribution {
  RuleId rule = RuleId::kNone;
  int64_t day = 0;
  int64_t count = 0;
  int64_t raw_micros = 0;           // before authenticity, cap and decay
  int64_t discounted_micros = 0;    // of raw: taken off by flags
  int64_t capped_micros = 0;        // of what is left: above the day's cap
  int64_t contribution_micros = 0;  // to today's score, decayed
};
std::vector<Contribution> explain_capability(const ScoresState& state, size_t capability,
                                             const CommunityConfig& community, const RulesOf& rules, int64_t now_us);
std::vector<Contribution> explain_profile(const ScoresState& state, const ProfileConfig& profile,
                                          const CommunityConfig& community, const RulesOf& rules, int64_t now_us);

}  // namespace bellwether

// What queries read: one committed tick, frozen. Any thread; cheap to hold, but it pins a snapshot of the store.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operators/erased.h"
#include "pipeline/engine/board_moves.h"
#include "pipeline/engine/config_version.h"
#include "pipeline/engine/list_counts.h"
#include "pipeline/engine/meta.h"
#include "pipeline/engine/operator_set.h"
#include "pipeline/engine/rows.h"
#include "pipeline/engine/store.h"

namespace bellwether {

class Published {
 public:
  Published(std::shared_ptr<const Snapshot> snapshot, const OperatorSet& operators,
            std::shared_ptr<const std::vector<ConfigVersion>> versions, EngineProgress progress, uint16_t version,
            uint64_t number, std::shared_ptr<const Erased> erased, std::shared_ptr<const BoardTables> boards = nullptr,
            MovesKept::List moves = {})
      : snapshot_(std::move(snapshot)),
        operators_(operators),
        versions_(std::move(versions)),
        progress_(std::move(progress)),
        version_(version),
        number_(number),
        erased_(std::move(erased)),
        boards_(std::move(boards)),
        moves_(std::move(moves)) {}

  // Commits since the process began; rises by one with each. 0: what a restart found.
  uint64_t number() const { return number_; }
  // The last tick that operators saw; its slot is INT64_MIN before the first.
  TickId tick() const { return {progress_.folded, progress_.tick.slot == progress_.folded ? progress_.tick.sub : 0}; }
  // "Now" of every answer: the start of that tick's slot, microseconds; 0 before the first.
  int64_t now_us() const { return progress_.folded == INT64_MIN ? 0 : progress_.folded * kSlotUs; }
  // Of each source partition ever read: every record below `at.next_offset` is in the answer; its account.
  const std::vector<PartitionState>& partitions() const { return progress_.partitions; }
  Account account() const { return progress_.account(); }
  // Offsets of all partitions that were gone before they were read; beside the account, not in its sum.
  uint64_t gap() const { return progress_.gap(); }
  const EngineProgress& progress() const { return progress_; }
  const Cutoffs& cutoffs() const { return progress_.cutoffs; }
  const CommunityConfig& community() const { return (*versions_)[version_].config; }
  const ConfigVersion& version() const { return (*versions_)[version_]; }
  const std::vector<ConfigVersion>& versions() const { return *versions_; }
  const OperatorSet& operators() const { return operators_; }
  const Snapshot& snapshot() const { return *snapshot_; }
  // Whose names no answer holds, also where the store still does.
  const Erased& erased() const { return *erased_; }
  const std::shared_ptr<const Erased>& shared_erased() const { return erased_; }

  // Null where the key has no state, or on an error told in `status`.
  std::unique_ptr<State> state(OperatorId op, Key key, Status& status) const;
  // The bytes of a state as its operator wrote them, for read(bytes) to look at: of a large state no more is read than
  // that looks at. False where the key has no state, or on an error told in `status`: read() gave false, or the store.
  bool read_state(OperatorId op, Key key, Status& status, absl::FunctionRef<bool(std::string_view)> read) const;
  // A ledger row; empty where there is none.
  std::string block(OperatorId op, Key key, int64_t day, uint32_t number, Status& status) const;
  int64_t counter(CounterId id, Status& status) const;
  // Every counter of a family that is not 0, by number.
  Status counters(uint16_t family, std::map<uint32_t, int64_t>& out) const;

  // How many users each cell of a board has. Of what an engine published; elsewhere nobody is counted.
  const CellTable& board(IndexId index, uint8_t plus) const;
  // Who moved on the boards with this commit and some before it, the newest last, without a gap; may be empty.
  const MovesKept::List& moves() const { return moves_; }
  // Visitors return false to stop. Rows of one list in order, smallest first or largest first, beginning behind `after`
  // if given.
  Status scan_index(IndexId index, uint8_t plus, bool largest_first, const std::optional<IndexKey>& after,
                    const std::function<bool(const IndexKey&)>& visit) const;
  // Out records of one kind in order, behind `after` (none: from the oldest kept). `oldest_slot()`: what lies before is
  // gone.
  Status scan_changes(OutKind kind, const std::optional<ChangeId>& after,
                      const std::function<bool(const ChangeId&, std::string_view payload)>& visit) const;
  // Whether changes after `slot` were erased: what is kept begins later, and there was something before it.
  bool changes_gone(int64_t slot) const {
    return slot < progress_.changes_from && progress_.first_folded < progress_.changes_from;
  }
  int64_t changes_from_slot() const { return progress_.changes_from; }
  // Dead letters, the latest first, beginning behind (before in time) `after`.
  Status scan_dead(const std::optional<DeadKey>& after,
                   const std::function<bool(const DeadKey&, const DeadLetterRow&)>& visit) const;
  // Every state of an operator, in stored order: the whole state family is walked.
  Status scan_states(const std::function<bool(const StateKey&, const State&)>& visit) const;
  // Out records that wait, from a number on.
  Status scan_outbox(
      uint64_t from,
      const std::function<bool(uint64_t number, uint8_t kind, const ChangeId&, std::string_view payload)>& visit) const;

 private:
  std::shared_ptr<const Snapshot> snapshot_;
  const OperatorSet& operators_;
  std::shared_ptr<const std::vector<ConfigVersion>> versions_;
  EngineProgress progress_;
  uint16_t version_;
  uint64_t number_;
  std::shared_ptr<const Erased> erased_;
  std::shared_ptr<const BoardTables> boards_;
  MovesKept::List moves_;
};

// Reads through a Published; what it hands out lives until clear(). One thread.
class PublishedReader final : public StateReader {
 public:
  explicit PublishedReader(const Published& published) : published_(published) {}
  const State* state(OperatorId op, Key key) override;
  std::string block(OperatorId op, Key key, int64_t day, uint32_t number) override;
  const CommunityConfig& community() const override { return published_.community(); }
  void clear() { held_.clear(); }
  const Status& status() const { return status_; }

 private:
  const Published& published_;
  std::map<StateKey, std::unique_ptr<State>> held_;
  Status status_;
};

// Canonical JSON lines of everything that operators dump, and of the account, sorted by their text (DESIGN.md, "dump").
Status dump_lines(const Published& published, std::vector<std::string>& lines);

}  // namespace bellwether

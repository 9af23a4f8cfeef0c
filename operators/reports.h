// Beta tests: bugs, suggestions and sessions, and what became of them. The home of a report, or of a (program, tester)
// where none is named; its tester earns the points.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "operators/messages.h"
#include "operators/operator.h"
#include "operators/seen.h"

namespace bellwether {

constexpr size_t kReportSeenMax = 1024;  // event ids; the oldest are forgotten first
constexpr size_t kReportMeaningsMax =
    256;  // (program, user, kind, status) of a named report; the oldest are forgotten first

// One report, or what one tester did in one program without naming a report. Bound: 26 KB of ids and 10 KB of meanings
// encoded; a usual one is below 300 bytes. Kept for good: its id may come again.
struct ReportsState final : State {
  // What may not be said again in the score window.
  struct Meaning {
    uint64_t program = 0, user = 0;  // hashes
    BetaTestKind kind = BetaTestKind::kUnspecified;
    BetaTestStatus status = BetaTestStatus::kUnspecified;
    int64_t slot = 0;  // of the tick that folded it
  };
  // Points given for a named report and not taken back: at most one a rule.
  struct Gift {
    RuleId rule = RuleId::kNone;
    uint64_t user = 0;
    uint16_t rules = 0;  // community version
    EventRef event;
    uint8_t times = 1;  // a bug's severity
  };

  std::string id;      // the report's, or program and tester; empty: nothing folded yet
  bool named = false;  // a report, not a (program, tester)
  std::string tester;  // who filed it: as the first SUBMITTED said, until then as the first event did
  uint64_t tester_hash = 0;
  bool submitted = false;                                // whether it is from a SUBMITTED
  BetaTestKind kind = BetaTestKind::kUnspecified;        // of the latest event
  BetaTestStatus status = BetaTestStatus::kUnspecified;  // of the latest event with one
  uint32_t severity = 0;                                 // last said; 0 never
  std::vector<Meaning> meanings;                         // in tick order
  std::vector<Gift> gifts;
  Seen seen;

  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override;
  bool forget(Key key, const Erased& erased) override;
};

const Operator& reports_operator();

}  // namespace bellwether

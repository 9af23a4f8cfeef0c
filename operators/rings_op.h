// D2 on the community's key: collects the pairs that users report, asks for the block test when enough is new, and
// raises flags for what it finds. The statistics are those of operators/rings.h, the block test runs as an analysis
// (operators/analysis.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "operators/operator.h"
#include "operators/rings.h"

namespace bellwether {

constexpr size_t kKnownRingsMax =
    256;  // the one not found for longest is forgotten first; its next finding is a new flag

// Bound: RingLimits::kCommunityBytes and kKnownRingsMax rings of kFlagUsersMax members: 2.0 MB encoded; a community
// with few pairs that beat chance has some KB.
struct RingsState final : State {
  struct Known {
    std::string id;                 // of its flag
    std::vector<uint64_t> members;  // all found so far, ascending
    int64_t found_us = 0;           // last
  };

  RingEvidence evidence;
  std::vector<Known> known;
  bool analysing = false;          // findings are on their way
  int64_t pruned_day = INT64_MIN;  // the day on which old kCounterPulse were last dropped
  // At the last look: the epoch, and how many likes of it there were; what the look took, known with its findings.
  uint32_t looked_epoch = 0;
  uint64_t looked_likes = 0;
  RingWork work = 0;

  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override;
};

// The payload of kFindings: what an analysis found and what it took.
std::string encode_findings(const std::vector<RingFinding>& findings, RingWork work);
// False where the bytes are no findings.
bool decode_findings(std::string_view payload, std::vector<RingFinding>& findings, RingWork& work);

const Operator& rings_operator();

}  // namespace bellwether

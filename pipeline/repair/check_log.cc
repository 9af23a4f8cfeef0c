#include <algorithm>

#include "pipeline/repair/check.h"
#include "pipeline/sources/log_folder.h"

namespace bellwether {

const char* fault_name(FaultKind kind) {
  static constexpr std::array<const char*, kFaultKinds> kNames = {
      "file", "unreadable", "account", "control", "index", "timer", "counter", "ledger", "score", "outbox", "log"};
  return kNames[static_cast<size_t>(kind)];
}

const char* fault_advice(FaultKind kind) {
  switch (kind) {
    case FaultKind::kFile:
      return "the disk or the file system damaged it: look at the disk, then restore a backup, or rebuild";
    case FaultKind::kControl:
      return "the control log cannot be made again from the input: restore a backup";
    case FaultKind::kOutbox:
      return "who reads the out topics misses a record: rebuild does not bring it back, a backup may";
    case FaultKind::kLog:
      return "acknowledged records are lost or damaged: take the log's segment from a backup";
    case FaultKind::kUnreadable:
      return "it is damaged, or of a later version: run the latest program, then rebuild, or restore a backup";
    default:
      return "make the state again from the log: bellwether rebuild; or restore a backup";
  }
}

void check_log(const std::string& dir, const std::vector<PartitionState>& partitions, Faults& faults,
               CheckFigures& figures) {
  std::vector<LogFolderSegment> segments;
  if (const Status status = list_log_folder(dir, segments); !status.ok())
    return faults.add(FaultKind::kFile, dir + "/log", status.message);
  struct Reach {
    int64_t first = -1, end = -1;
  };
  std::vector<Reach> reach;
  int64_t created_us = INT64_MIN;
  for (const LogFolderSegment& segment : segments) {
    if (reach.size() <= segment.partition) reach.resize(segment.partition + 1);
    Reach& r = reach[segment.partition];
    SegmentWalk walk;
    if (const Status status = walk_segment(segment, walk); !status.ok()) {
      faults.add(FaultKind::kFile, segment.path, status.message);
      continue;
    }
    for (const std::string& fault : walk.faults) faults.add(FaultKind::kLog, segment.path, fault);
    if (r.first < 0) {
      r.first = segment.first_offset, created_us = INT64_MIN;
    } else if (r.end != segment.first_offset) {
      faults.add(FaultKind::kLog, segment.path,
                 "begins at offset " + std::to_string(segment.first_offset) + ", but the segment before it ends at " +
                     std::to_string(r.end));
    }
    if (walk.faults.empty() && walk.frames > 0 && walk.created_us < created_us)
      faults.add(FaultKind::kLog, segment.path, "is older than the segment before it");
    created_us = std::max(created_us, walk.created_us);
    r.end = walk.next_offset;
    ++figures.segments, figures.frames += walk.frames, figures.records += walk.records;
    figures.torn_bytes += walk.torn_bytes;
  }
  for (const PartitionState& p : partitions) {
    if (p.id.topic != "log") continue;
    const auto number = static_cast<size_t>(p.id.number);
    const Reach r = number < reach.size() ? reach[number] : Reach{};
    const std::string where = dir + "/log/" + std::to_string(p.id.number);
    const int64_t read = std::max(p.at.next_offset, p.read_to);
    if (read > std::max<int64_t>(r.end, 0))
      faults.add(FaultKind::kLog, where,
                 "ends at offset " + std::to_string(std::max<int64_t>(r.end, 0)) + ", but records up to " +
                     std::to_string(read) + " are in the state: it is cut short, or another log");
    if (r.first > p.at.next_offset)
      faults.add(FaultKind::kLog, where,
                 "begins at offset " + std::to_string(r.first) + ", but the store reads on from " +
                     std::to_string(p.at.next_offset));
  }
}

}  // namespace bellwether

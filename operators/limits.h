// Every bound of the engine in one place, checked against each other. Configuration may lower some, never raise them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bellwether {

constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kMinuteUs = 60 * kSecondUs;
constexpr int64_t kHourUs = 60 * kMinuteUs;
constexpr int64_t kDayUs = 24 * kHourUs;

constexpr int64_t kSlotUs = 250'000;  // a tick is 250 ms of event time
constexpr uint32_t kTickRecordsMax =
    65'536;  // records of one partition in one tick; also records held above its watermark
constexpr int64_t kPollAheadUs = 5 * kSecondUs;  // a partition is not read further ahead of the slowest
constexpr int64_t kEndFloorUs = 61 * kSecondUs;  // how far time runs on after the last file has ended
constexpr int kRoundsMax = 16;                   // rounds of messages inside a tick
constexpr int kSendsMax = 16;                    // messages one fold sends for one item
constexpr size_t kIdBytesMax = 64;
constexpr size_t kRecordBytesMax = 1 << 20;
constexpr int64_t kSeenUs = 7 * kDayUs;     // event ids are remembered so long
constexpr int64_t kPairUs = 30 * kDayUs;    // likes of a pair inside this halve the next one
constexpr uint32_t kHalvingMax = 20;        // 1 point >> 20 is 0 micro-points
constexpr uint32_t kDayLikesMax = 4096;     // likes of a liker and day beyond this are counted, worth nothing
constexpr size_t kUserFlagsMax = 32;        // open flags kept at one user
constexpr size_t kBoardsMax = 16;           // lists of users by score: capabilities, then profiles
constexpr uint32_t kRanksExact = 10'000;    // ranks on them beyond it are those of a cell
constexpr int64_t kChangesUs = 7 * kDayUs;  // tier and flag changes can be watched from so far back

static_assert(kDayUs % kSlotUs == 0 && kHourUs % kSlotUs == 0, "days and hours begin with a tick");

// The floor of a / b for any sign of a; b > 0.
constexpr int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
constexpr int64_t slot_of(int64_t time_us) { return floor_div(time_us, kSlotUs); }
constexpr int64_t day_of(int64_t time_us) { return floor_div(time_us, kDayUs); }

// Blocks of the ledger that were filled on days before this one are gone, or may be, once a tick of `now_us` was
// folded.
constexpr int64_t ledger_kept_from(int64_t now_us, uint32_t window_days) {
  return day_of(now_us) - (static_cast<int64_t>(window_days) + kPairUs / kDayUs + 4);
}

// A tick: the slot of event time, and which 65,536 of its records. Ordered.
struct TickId {
  int64_t slot = INT64_MIN;
  uint32_t sub = 0;
  friend auto operator<=>(const TickId&, const TickId&) = default;
};

}  // namespace bellwether

// Pages: opaque tokens bound to their query, and the snapshots that stay pinned so that pages of one query show one
// tick.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "pipeline/service/reading.h"

namespace bellwether {

// What a page token carries.
struct PageToken {
  uint64_t query = 0;    // hash of the query: filter, order, parent
  uint64_t process = 0;  // commit numbers belong to one run of the program
  uint64_t commit = 0;   // the snapshot that the page before showed
  std::string last;      // where to go on, as the list itself wrote it
};
std::string encode(const PageToken& token);  // base64url
bool decode(std::string_view text, PageToken& out);

std::string base64url(std::string_view bytes);
bool from_base64url(std::string_view text, std::string& out);

// 0 = default 50, above the cap = cap. Negative ones are for the caller to refuse.
constexpr int32_t kPageDefault = 50;
uint32_t page_size_of(int32_t asked, uint32_t page_max);

// At most 16 readings, each for 60 s from its first page. Any thread.
class PinnedReadings {
 public:
  static constexpr size_t kPinnedMax = 16;
  static constexpr auto kPinnedFor = std::chrono::seconds(60);
  using Clock = std::chrono::steady_clock;

  void pin(const std::shared_ptr<const Reading>& reading, Clock::time_point now = Clock::now());
  // Null where it is no longer pinned.
  std::shared_ptr<const Reading> find(uint64_t commit, Clock::time_point now = Clock::now());
  // Lets go those that know of fewer erasures: they show a name, and keep its rows on disk. Their pages go on from the
  // newest.
  void forget(size_t erased);
  // Lets go what is over. To be called now and then, so that no snapshot stays without need.
  void expire(Clock::time_point now = Clock::now());

 private:
  struct Pin {
    std::shared_ptr<const Reading> reading;
    Clock::time_point until;
  };
  std::mutex mutex_;
  std::list<Pin> pins_;  // the oldest first
};

}  // namespace bellwether

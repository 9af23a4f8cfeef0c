// A progress bar on standard error, drawn only when that is a terminal. For people: nothing reads it, nothing depends
// on it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace bellwether {

bool stderr_is_terminal();

class ProgressBar {
 public:
  // total: of what `done` counts (bytes, days); 0 = not known. unit: what `count` counts, e.g. "events".
  ProgressBar(std::string label, uint64_t total, std::string unit = "events", bool shown = stderr_is_terminal());
  ~ProgressBar() { finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  // Cheap enough for every record: looks at the clock every 1,024 calls and draws at most ten times a second.
  void update(uint64_t done, uint64_t count) {
    done_ = done, count_ = count;
    if (shown_ && (++calls_ & 1023) == 0) draw(false);
  }
  void total(uint64_t total) { total_ = total; }
  void finish();  // wipes the bar

 private:
  void draw(bool last);
  std::string label_, unit_;
  uint64_t total_, done_ = 0, count_ = 0, calls_ = 0;
  bool shown_, drawn_ = false;
  std::chrono::steady_clock::time_point begun_, last_;
};

}  // namespace bellwether

#include "pipeline/tools/progress.h"

#include <unistd.h>

#include <cstdio>

namespace bellwether {

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

ProgressBar::ProgressBar(std::string label, uint64_t total, std::string unit, bool shown)
    : label_(std::move(label)), unit_(std::move(unit)), total_(total), shown_(shown) {
  if (shown_) begun_ = last_ = std::chrono::steady_clock::now();
}

void ProgressBar::draw(bool last) {
  const auto now = std::chrono::steady_clock::now();
  if (!last && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - begun_).count();
  const double rate = seconds > 0 ? static_cast<double>(count_) / seconds : 0;
  std::string bar;
  if (total_ > 0) {
    const double share = done_ >= total_ ? 1.0 : static_cast<double>(done_) / static_cast<double>(total_);
    constexpr int kWidth = 30;
    const int full = static_cast<int>(share * kWidth);
    bar = "[" + std::string(full, '#') + std::string(kWidth - full, '.') + "] ";
    char percent[16];
    std::snprintf(percent, sizeof percent, "%3.0f %% ", share * 100);
    bar += percent;
  }
  std::fprintf(stderr, "\r%s %s%llu %s, %.0f/s\x1b[K", label_.c_str(), bar.c_str(),
               static_cast<unsigned long long>(count_), unit_.c_str(), rate);
  drawn_ = true;
}

void ProgressBar::finish() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  shown_ = drawn_ = false;
}

}  // namespace bellwether

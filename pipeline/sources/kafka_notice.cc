#include "pipeline/sources/kafka_notice.h"

#include <algorithm>
#include <utility>

namespace bellwether {
namespace {

constexpr auto kSayAgain = std::chrono::minutes(1);
constexpr auto kAskEvery = std::chrono::seconds(2);
constexpr int kAskMs = 200;
using Clock = std::chrono::steady_clock;

std::string seconds(Clock::duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

}  // namespace

KafkaNotice::~KafkaNotice() {
  if (!away_ || hooks_.outage == nullptr) return;
  const std::lock_guard lock(hooks_.outage->mutex);
  --hooks_.outage->clients;
}

void KafkaNotice::say(KafkaLevel level, const std::string& text) const {
  if (hooks_.log) hooks_.log(level, who_ + ": " + text);
}

void KafkaNotice::away(const std::string& why) {
  std::string text;
  bool known;
  {
    const std::lock_guard lock(mutex_);
    if (away_) return;
    away_ = true;
    why_ = why;
    text = reason();
    known = !lost_.empty();
    since_ = said_ = Clock::now();
  }
  if (hooks_.outage != nullptr) {
    const std::lock_guard lock(hooks_.outage->mutex);
    if (hooks_.outage->clients++ > 0) return;
    hooks_.outage->said = Clock::now(), hooks_.outage->why_said = known;
  }
  say(KafkaLevel::kWarning, "no broker answers (" + text + "); trying again until one does");
}

void KafkaNotice::suspect(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (away_ || suspected_) return;
  suspected_ = true;
  why_ = why;
  asked_ = {};
}

void KafkaNotice::lost(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    const bool news = away_ && lost_.empty();
    lost_ = why;
    if (!news) return;
    said_ = Clock::now();
  }
  if (hooks_.outage != nullptr) {
    const std::lock_guard lock(hooks_.outage->mutex);
    if (std::exchange(hooks_.outage->why_said, true)) return;
    hooks_.outage->said = Clock::now();
  }
  say(KafkaLevel::kWarning, "the last connection to a broker ended: " + why);
}

std::string KafkaNotice::reason() const { return lost_.empty() ? why_ : why_ + "; " + lost_; }

void KafkaNotice::check(const std::function<bool(int timeout_ms)>& answers) {
  const bool known = remind();
  std::string why;
  {
    const std::lock_guard lock(mutex_);
    if ((!known && !suspected_) || (asked_ != Time{} && Clock::now() - asked_ < kAskEvery)) return;
    asked_ = Clock::now();
    why = why_;
    suspected_ = false;
  }
  if (answers(kAskMs)) {
    back();
  } else {
    away(why);
  }
}

void KafkaNotice::back() {
  std::string text;
  {
    const std::lock_guard lock(mutex_);
    if (!away_) return;
    away_ = false;
    lost_.clear();
    text = "a broker answers again after " + seconds(Clock::now() - since_);
  }
  if (hooks_.outage != nullptr) {
    const std::lock_guard lock(hooks_.outage->mutex);
    if (--hooks_.outage->clients > 0) return;
  }
  say(KafkaLevel::kInfo, text);
}

bool KafkaNotice::remind() {
  std::string text;
  {
    const std::lock_guard lock(mutex_);
    if (!away_) return false;
    const auto now = Clock::now();
    if (now - said_ < kSayAgain) return true;
    said_ = now;
    text = "no broker has answered for " + seconds(now - since_) + " (" + reason() + ")";
    if (hooks_.outage != nullptr) {
      const std::lock_guard shared(hooks_.outage->mutex);
      if (now - hooks_.outage->said < kSayAgain) return true;
      hooks_.outage->said = now;
    }
  }
  say(KafkaLevel::kWarning, text);
  return true;
}

void KafkaNotice::seldom(const std::string& key, KafkaLevel level, const std::string& text) {
  {
    KafkaOutage* const shared = hooks_.outage.get();
    const std::lock_guard lock(shared != nullptr ? shared->mutex : mutex_);
    auto& seldom = shared != nullptr ? shared->seldom : seldom_;
    const auto now = Clock::now();
    std::erase_if(seldom, [&](const auto& said) { return now - said.second >= kSayAgain; });
    if (std::ranges::find(seldom, key, &std::pair<std::string, Time>::first) != seldom.end()) return;
    seldom.emplace_back(key, now);
  }
  say(level, text);
}

}  // namespace bellwether

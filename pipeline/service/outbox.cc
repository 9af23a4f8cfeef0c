#include "pipeline/service/outbox.h"

#include <algorithm>
#include <chrono>

#include "pipeline/service/convert.h"

namespace bellwether {
namespace {

constexpr size_t kBatchMax = 10'000;  // rows read at once: a scan pins its snapshot
constexpr int64_t kWaitUs = 100'000;
constexpr auto kRetry = std::chrono::seconds(2);
using Clock = std::chrono::steady_clock;

}  // namespace

bool out_message(uint8_t kind, const ChangeId& id, std::string_view payload, const CommunityConfig& community,
                 OutMessage& out) {
  switch (kind) {
    case static_cast<uint8_t>(OutKind::kScore): {
      pb::ScoreRecord record;
      if (!score_record(id, payload, community, record)) return false;
      out = {".scores", record.user(), record.id(), record.SerializeAsString()};
      return true;
    }
    case static_cast<uint8_t>(OutKind::kTier): {
      pb::TierRecord record;
      if (!tier_record(id, payload, community, record)) return false;
      out = {".tiers", record.user(), record.id(), record.SerializeAsString()};
      return true;
    }
    case static_cast<uint8_t>(OutKind::kFlag): {
      pb::FlagRecord record;
      if (!flag_record(id, payload, record)) return false;
      out = {".flags", record.flag().id(), record.id(), record.SerializeAsString()};
      return true;
    }
    case static_cast<uint8_t>(OutKind::kAlert): {
      pb::AlertRecord record;
      if (!alert_record(id, payload, record)) return false;
      out = {".alerts", record.subject(), record.id(), record.SerializeAsString()};
      return true;
    }
    case kOutDeadLetter: {
      DeadLetterRow row;
      if (!decode(payload, row)) return false;
      pb::DeadLetter record;
      dead_letter(row, record);
      out = {".deadletters", record.id(), record.id(), record.SerializeAsString()};
      return true;
    }
    default:
      return false;
  }
}

std::vector<std::string> out_topics(const std::string& prefix) {
  return {prefix + ".scores", prefix + ".tiers", prefix + ".flags", prefix + ".alerts", prefix + ".deadletters"};
}

Outbox::Outbox(std::string prefix, Deps deps)
    : prefix_(std::move(prefix)), deps_(std::move(deps)), thread_([this] { run(); }) {}

void Outbox::stop(int timeout_ms) {
  stop_timeout_ms_.store(timeout_ms);
  stop_.store(true);
  if (thread_.joinable()) thread_.join();
}

bool Outbox::send(const Published& at) {
  bool full = false;
  uint64_t last = 0;
  size_t sent = 0;
  std::string broken;
  const Status status =
      at.scan_outbox(next_, [&](uint64_t number, uint8_t kind, const ChangeId& id, std::string_view payload) {
        if (sent == kBatchMax) return false;
        OutMessage message;
        if (!out_message(kind, id, payload, rules_at(at, id.tick.slot), message)) {
          broken = "outbox row " + std::to_string(number) + " cannot be read: the store is damaged";
          return false;
        }
        const std::string topic = prefix_ + message.topic;
        if (!sink_->enqueue({number, topic, message.key, message.value, message.id}, 50)) {
          full = true;
          return false;
        }
        last = number, ++sent;
        return true;
      });
  if (last != 0) next_ = last + 1;
  // A row that is gone wrong must stop the line: skipping it would lose it silently.
  if (!status.ok()) broken = status.message;
  if (!broken.empty()) {
    deps_.say(broken);
    ++failures_;
    std::this_thread::sleep_for(kRetry);
    return false;
  }
  return !full && sent < kBatchMax;
}

void Outbox::acknowledge() {
  const uint64_t through = sink_->acknowledged();
  if (through <= delivered_.load()) return;
  delivered_.store(through);
  deps_.delivered(through);
}

void Outbox::run() {
  uint64_t number = 0;
  bool all_sent = false;
  Clock::time_point stop_at = Clock::time_point::max();
  while (Clock::now() < stop_at) {
    if (stop_ && stop_at == Clock::time_point::max())
      stop_at = Clock::now() + std::chrono::milliseconds(stop_timeout_ms_.load());
    if (sink_ == nullptr || !sink_->failure().ok()) {
      if (sink_ != nullptr) {
        acknowledge();
        deps_.say("out records: " + sink_->failure().message + "; beginning again from the last acknowledged one");
        ++failures_;
        sink_.reset();
        std::this_thread::sleep_for(kRetry);
      }
      if (const Status made = deps_.make_sink(sink_); !made.ok()) {
        sink_.reset();
        deps_.say("out records: " + made.message);
        ++failures_;
        if (stop_) return;
        std::this_thread::sleep_for(kRetry);
        continue;
      }
      next_ = delivered_.load() + 1, all_sent = false;
    }
    // Without anything new there is nothing to read; acknowledgements still come.
    const auto at = deps_.wait_published(all_sent ? number : UINT64_MAX, stop_ ? 10'000 : all_sent ? kWaitUs : 0);
    if (at != nullptr && (!all_sent || at->number() != number)) {
      number = at->number();
      all_sent = send(*at);
    }
    acknowledge();
    if (stop_ && all_sent && delivered_.load() + 1 >= next_) return;
  }
}

}  // namespace bellwether

#include "pipeline/service/outbox.h"

#include <algorithm>
#include <chrono>

#include "pipeline/engine/named_thread.h"
#include "pipeline/engine/priority.h"
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
      // Nearly all are of this kind: its dozen parts are made once, not for each.
      thread_local pb::ScoreRecord record;
      record.Clear();
      if (!score_record(id, payload, community, record)) return false;
      out.topic = ".scores", out.key = record.user(), out.id = record.id(), out.tombstone = false;
      return record.SerializeToString(&out.value);
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
    case kOutTombstone: {
      std::string_view topic, key;
      if (!decode_tombstone(payload, topic, key)) return false;
      // A dead letter's id is its key; that it went must not look like a repeat of it.
      const bool dead = topic == ".deadletters";
      out = {std::string(topic), std::string(key), dead ? std::string(key) + "/erased" : text_of(id), {}, true};
      return true;
    }
    default:
      return false;
  }
}

std::vector<std::string> out_topics(const std::string& prefix) {
  return {prefix + ".scores", prefix + ".tiers", prefix + ".flags", prefix + ".alerts", prefix + ".deadletters"};
}

Outbox::Outbox(std::string prefix, Deps deps) : prefix_(std::move(prefix)), deps_(std::move(deps)) {
  if (deps_.threaded) thread_ = named_thread("outbox", [this] { run(); });
}

void Outbox::stop(int timeout_ms) {
  stop_timeout_ms_.store(timeout_ms);
  stop_.store(true);
  if (thread_.joinable()) thread_.join();
}

bool Outbox::send(const Published& at) {
  bool full = false;
  uint64_t last = 0;
  size_t sent = 0;
  std::string broken, topic;
  OutMessage message;
  const Status status =
      at.scan_outbox(next_, [&](uint64_t number, uint8_t kind, const ChangeId& id, std::string_view payload) {
        if (sent == kBatchMax) return false;
        if (!out_message(kind, id, payload, rules_at(at, id.tick.slot), message)) {
          broken = "outbox row " + std::to_string(number) + " cannot be read: the store is damaged";
          return false;
        }
        topic.assign(prefix_).append(message.topic);
        if (!sink_->enqueue({number, topic, message.key, message.value, message.id, message.tombstone}, 50)) {
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
    broken_ = true;
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

Outbox::Turn Outbox::step() {
  if (sink_ != nullptr && !sink_->failure().ok()) {
    acknowledge();
    deps_.say("out records: " + sink_->failure().message + "; beginning again from the last acknowledged one");
    ++failures_;
    sink_.reset();
    return Turn::kPause;
  }
  if (sink_ == nullptr) {
    if (const Status made = deps_.make_sink(sink_); !made.ok()) {
      sink_.reset();
      deps_.say("out records: " + made.message);
      ++failures_;
      return stop_ ? Turn::kDone : Turn::kPause;
    }
    next_ = delivered_.load() + 1, all_sent_ = false;
  }
  // Without anything new there is nothing to read; acknowledgements still come.
  const auto at = deps_.wait_published(all_sent_ ? number_ : UINT64_MAX, stop_ ? 10'000 : all_sent_ ? kWaitUs : 0);
  broken_ = false;
  if (at != nullptr && (!all_sent_ || at->number() != number_)) {
    number_ = at->number();
    all_sent_ = send(*at);
  }
  acknowledge();
  if (stop_ && all_sent_ && delivered_.load() + 1 >= next_) return Turn::kDone;
  return broken_ ? Turn::kPause : Turn::kMore;
}

void Outbox::run() {
  give_way(deps_.nice);
  Clock::time_point stop_at = Clock::time_point::max();
  while (Clock::now() < stop_at) {
    if (stop_ && stop_at == Clock::time_point::max())
      stop_at = Clock::now() + std::chrono::milliseconds(stop_timeout_ms_.load());
    const Turn turn = step();
    if (turn == Turn::kDone) return;
    if (turn == Turn::kPause) std::this_thread::sleep_for(kRetry);
  }
}

}  // namespace bellwether

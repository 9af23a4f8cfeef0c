#include "tests/sim/broker.h"

#include <algorithm>

#include "operators/limits.h"

namespace bellwether::sim {

size_t LogPartition::index_of(int64_t offset) const {
  return static_cast<size_t>(std::lower_bound(records.begin(), records.end(), offset,
                                              [](const Logged& r, int64_t o) { return r.offset < o; }) -
                             records.begin());
}

void InputLog::add(const std::string& topic, int32_t number) {
  LogPartition partition;
  partition.id = {topic, number};
  partitions.push_back(std::move(partition));
}

void InputLog::append(size_t partition, std::string value, Chaos& chaos) {
  LogPartition& p = partitions[partition];
  if (chaos.roll(Fault::kOffsetGap)) p.next += 1 + chaos.dice(Fault::kOffsetGap).below(3);
  int64_t at = clock_us;
  if (chaos.roll(Fault::kBrokerClock)) at -= chaos.dice(Fault::kBrokerClock).below(20 * kMinuteUs);
  p.records.push_back({p.next++, at, std::make_shared<std::string>(std::move(value))});
  // A marker behind the last record is an offset that nobody sees.
  if (chaos.roll(Fault::kOffsetGap)) ++p.next;
}

Status SimSource::refresh() {
  while (ids_.size() < log_.partitions.size()) {
    // Found some time after they were made; those of the beginning at once.
    if (chaos_ != nullptr && !ids_.empty() && !chance_.chance(20)) break;
    ids_.push_back(log_.partitions[ids_.size()].id);
    first_.push_back(log_.partitions[at_.size()].first);
    at_.push_back(-1);
  }
  return {};
}

Status SimSource::start(size_t partition, int64_t next_offset) {
  at_[partition] = next_offset < 0 ? log_.partitions[partition].first : next_offset;
  return {};
}

Status SimSource::poll(size_t partition, size_t max_records, int, Batch& out) {
  out.clear();
  LogPartition& p = log_.partitions[partition];
  int64_t& at = at_[partition];
  out.next_offset = at;
  size_t most = max_records;
  // What was deleted is not handed out again, and who stands before it is still to be told.
  const auto back = [&](int64_t records) { at = std::min(at, std::max(p.first, at - records)); };
  if (chaos_ != nullptr) {
    if (chaos_->roll(Fault::kPollError)) return Status::error("the simulated source gives up");
    if (p.away_until > step()) return {};
    if (chaos_->roll(Fault::kPollDelay)) return {};
    if (chaos_->roll(Fault::kLeaderMove)) {
      auto& dice = chaos_->dice(Fault::kLeaderMove);
      p.away_until = step() + 1 + static_cast<uint64_t>(dice.below(60));
      p.end = std::max(p.first, p.next - dice.below(10));
      p.end_until = p.away_until + static_cast<uint64_t>(dice.below(60));
      back(dice.below(10));
      out.next_offset = at;
      return {};
    }
    if (chaos_->roll(Fault::kRedelivery)) back(1 + chaos_->dice(Fault::kRedelivery).below(20));
    most = std::min(most, static_cast<size_t>(1 + chance_.below(chance_.chance(70) ? 6 : 200)));
  }
  if (at < p.first) {
    met_gap_ = true;
    if (!skip_gaps_)
      return Status::error("of " + p.id.topic + " our offset " + std::to_string(at) +
                           " was deleted; the first kept is " + std::to_string(p.first));
    out.gap_from = at, out.gap_to = at = p.first;
    out.next_offset = at;
    return {};
  }
  const int64_t end = p.known_end(step());
  for (size_t i = p.index_of(at); i < p.records.size() && out.records.size() < most; ++i) {
    const Logged& r = p.records[i];
    if (r.offset >= end) break;
    out.records.push_back({r.offset, r.append_us, *r.value});
    out.keep.push_back(r.value);
    at = r.offset + 1;
  }
  if (p.index_of(at) == p.records.size() || p.records[p.index_of(at)].offset >= end) at = std::max(at, end);
  out.next_offset = at;
  out.at_end = at >= end;
  return {};
}

int64_t SimSource::first_offset(size_t partition) const { return first_[partition]; }

int64_t SimSource::end_offset(size_t partition) { return log_.partitions[partition].known_end(step()); }

bool SimSource::all_read() const {
  if (ids_.size() < log_.partitions.size()) return false;
  for (size_t p = 0; p < at_.size(); ++p)
    if (at_[p] < log_.partitions[p].next) return false;
  return true;
}

SimSink::SimSink(OutTopics& out, Chaos& chaos, Check check, SimSink** current)
    : out_(out), chaos_(chaos), check_(std::move(check)), current_(current) {
  *current_ = this;
}

SimSink::~SimSink() {
  if (*current_ == this) *current_ = nullptr;
}

bool SimSink::enqueue(const OutRecord& record, int) {
  if (!failure_.ok() || full_until_ > chaos_.step) return false;
  if (chaos_.roll(Fault::kSinkFull)) {
    full_until_ = chaos_.step + 1 + static_cast<uint64_t>(chaos_.dice(Fault::kSinkFull).below(100));
    return false;
  }
  check_(record);
  way_.push_back(
      {record.sequence,
       {std::string(record.topic), std::string(record.key), std::string(record.value), std::string(record.id)}});
  return true;
}

void SimSink::arrive(OnTheWay& one) {
  if (!one.arrived) out_.kept.push_back(one.record);
  one.arrived = true;
}

void SimSink::deliver() {
  if (way_.empty() || !failure_.ok() || late_until_ > chaos_.step) return;
  if (chaos_.roll(Fault::kSinkLate)) {
    late_until_ = chaos_.step + 1 + static_cast<uint64_t>(chaos_.dice(Fault::kSinkLate).below(200));
    return;
  }
  auto& dice = chaos_.dice(Fault::kSinkLate);
  if (chaos_.roll(Fault::kSinkFails)) {
    crash();
    failure_ = Status::error("the simulated sink fails for good");
    return;
  }
  // Topics are written apart from each other: what comes later may arrive first.
  for (auto& one : way_)
    if (dice.chance(60)) arrive(one);
  chaos_.kill(Fault::kKillBeforeAck);
  size_t done = 0;
  while (done < way_.size() && way_[done].arrived) acknowledged_ = way_[done++].sequence;
  way_.erase(way_.begin(), way_.begin() + static_cast<std::ptrdiff_t>(done));
}

void SimSink::crash() {
  auto& dice = chaos_.dice(Fault::kSinkFails);
  for (auto& one : way_)
    if (dice.chance(40)) arrive(one);
}

}  // namespace bellwether::sim

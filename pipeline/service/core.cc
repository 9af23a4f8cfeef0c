#include "pipeline/service/core.h"

#include <google/protobuf/util/time_util.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

namespace bellwether {
namespace {

constexpr auto kLook = std::chrono::milliseconds(10);
constexpr auto kBehindMost = std::chrono::milliseconds(200);  // a reading, where its maker has no processor
constexpr auto kListsKept = std::chrono::seconds(30);         // that nobody asks for

uint64_t random_number() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// More than processors, for some wait for the disk.
size_t query_threads() { return std::clamp<size_t>(2 * std::thread::hardware_concurrency(), 4, 16); }
constexpr size_t kWriteThreads = 16;  // nearly all the time they wait for the log's fsync, or the broker's answer
constexpr size_t kWatchThreads = 2;

std::string positions_text(const std::vector<pb::Position>& positions) {
  std::string text;
  for (const pb::Position& p : positions)
    text +=
        (text.empty() ? "" : ", ") + p.topic() + "/" + std::to_string(p.partition()) + "@" + std::to_string(p.offset());
  return text;
}

}  // namespace

bool covers(const Published& at, const std::vector<pb::Position>& positions) {
  return std::all_of(positions.begin(), positions.end(), [&](const pb::Position& p) {
    return std::any_of(at.partitions().begin(), at.partitions().end(), [&](const PartitionState& s) {
      return s.id.topic == p.topic() && s.id.number == p.partition() && s.at.next_offset > p.offset();
    });
  });
}

void set_as_of(const Published& at, pb::AsOf& out) {
  if (at.tick().slot != INT64_MIN) {
    out.mutable_tick()->set_slot(at.tick().slot);
    out.mutable_tick()->set_sub_tick(at.tick().sub);
    *out.mutable_watermark() =
        google::protobuf::util::TimeUtil::MicrosecondsToTimestamp((at.tick().slot + 1) * kSlotUs);
  }
  std::vector<const PartitionState*> sorted;
  for (const PartitionState& p : at.partitions()) sorted.push_back(&p);
  std::sort(sorted.begin(), sorted.end(),
            [](const PartitionState* a, const PartitionState* b) { return a->id < b->id; });
  for (const PartitionState* p : sorted) {
    pb::Position* position = out.add_positions();
    position->set_topic(p->id.topic);
    position->set_partition(p->id.number);
    position->set_offset(p->at.next_offset);
  }
}

ServiceCore::ServiceCore(const Config& config, ServiceDeps deps, std::optional<Tokens> tokens)
    : config_(config),
      deps_(std::move(deps)),
      tokens_(std::move(tokens)),
      hasher_(config.community.hash_key),
      process_(random_number()),
      started_(std::chrono::system_clock::now()),
      queries_(config.service.max_calls, size_t{config.service.calls_mb} << 20),
      writes_(config.service.max_calls, size_t{config.service.publish_mb} << 20),
      queries_executor_(query_threads(), config.service.max_calls),
      writes_executor_(kWriteThreads, config.service.max_calls, config.engine.nice),
      watches_executor_(kWatchThreads, config.service.max_streams),
      thread_([this] { tick(); }) {}

grpc::Status ServiceCore::admit(const grpc::ServerContextBase& context, Roles may, const char* method,
                                Caller& out) const {
  if (!tokens_) {  // loopback only
    out = {"local", Role::kAdmin};
    return grpc::Status::OK;
  }
  const auto& metadata = context.client_metadata();
  const auto [begin, end] = metadata.equal_range("authorization");
  if (begin == end)
    return call_error(grpc::StatusCode::UNAUTHENTICATED, "TOKEN_MISSING",
                      "the call has no metadata authorization: Bearer TOKEN");
  const std::string_view given(begin->second.data(), begin->second.size());
  constexpr std::string_view kBearer = "Bearer ";
  const Identity* who = nullptr;
  if (std::next(begin) == end && given.size() > kBearer.size() &&
      std::equal(kBearer.begin(), kBearer.end(), given.begin(),
                 [](char a, char b) { return (a | 0x20) == (b | 0x20); }))
    who = tokens_->find(given.substr(kBearer.size()));
  if (who == nullptr) return call_error(grpc::StatusCode::UNAUTHENTICATED, "TOKEN_UNKNOWN", "nobody bears this token");
  out = {who->user, who->role};
  if ((may & role_bit(who->role)) == 0) {
    std::string roles;
    for (const Role role : {Role::kMember, Role::kPlatform, Role::kModerator, Role::kAdmin})
      if (may & role_bit(role)) roles += (roles.empty() ? "" : ", ") + std::string(role_name(role));
    return call_error(grpc::StatusCode::PERMISSION_DENIED, "ROLE",
                      std::string(method) + " is for " + roles + "; this token is a " + role_name(who->role) + "'s",
                      {{"role", role_name(who->role)}, {"allowed", roles}});
  }
  return grpc::Status::OK;
}

SystemTime ServiceCore::deadline_of(const grpc::ServerContextBase& context) const {
  const SystemTime given = context.deadline();
  const SystemTime usual =
      std::chrono::system_clock::now() + std::chrono::milliseconds(config_.service.default_deadline_ms);
  // "None" is a time in the far future.
  return given > std::chrono::system_clock::now() + std::chrono::hours(24 * 365) ? usual : given;
}

std::shared_ptr<const Reading> ServiceCore::newest() {
  const auto now = std::chrono::steady_clock::now();
  std::shared_ptr<const Reading> held;
  {
    const std::lock_guard lock(mutex_);
    asked_ = now;
    // Nobody waits for lists, and nobody reads what is long past.
    if (newest_ != nullptr && newest_->lists() > 0 && now - looked_ < kBehindMost) held = newest_;
  }
  return held != nullptr && knows_erased(*held) ? held : make_newest();
}

bool ServiceCore::knows_erased(const Reading& reading) const {
  return reading.at().erased().size() >= deps_.published()->erased().size();
}

std::shared_ptr<const Reading> ServiceCore::make_newest() {
  const std::lock_guard making(making_);
  auto published = deps_.published();
  const auto now = std::chrono::steady_clock::now();
  std::shared_ptr<const Reading> before;  // let go outside of the lock
  {
    const std::lock_guard lock(mutex_);
    looked_ = now;
    if (newest_ != nullptr && newest_->at().number() >= published->number()) return newest_;
    before = newest_;
  }
  auto next = std::make_shared<const Reading>(std::move(published), before.get());
  newest_number_.store(next->at().number());
  const std::lock_guard lock(mutex_);
  return newest_ = std::move(next);
}

void ServiceCore::when_covered(std::vector<pb::Position> positions, SystemTime deadline,
                               std::function<bool()> cancelled, std::function<void(grpc::Status)> then) {
  if (covers(newest()->at(), positions)) return then(grpc::Status::OK);
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_ && waiting_.size() < config_.service.max_calls) {
      waiting_.push_back({std::move(positions), deadline, std::move(cancelled), std::move(then)});
      changed_.notify_all();
      return;
    }
  }
  then(call_error_retry(grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED",
                        "more calls wait for a position than the service takes on", 200));
}

bool ServiceCore::watch(const std::shared_ptr<Watcher>& watcher) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || draining_.load()) return false;
  if (watchers_.size() >= config_.service.max_streams) {
    std::erase_if(watchers_, [](const std::weak_ptr<Watcher>& w) { return w.expired(); });
    if (watchers_.size() >= config_.service.max_streams) return false;
  }
  watchers_.push_back(watcher);
  changed_.notify_all();
  return true;
}

void ServiceCore::tick() {
  auto next_second = std::chrono::steady_clock::now();
  uint64_t commits = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const bool asked = std::chrono::steady_clock::now() - asked_ < kListsKept;
      const bool quiet = waiting_.empty() && watchers_.empty() && !(asked && newest_ != nullptr);
      changed_.wait_for(lock, quiet ? 10 * kLook : kLook, [this] { return stopped_; });
      if (stopped_) return;
    }
    const auto published = deps_.published();
    const bool moved = published != nullptr && published->number() != seen_commit_;
    if (moved) seen_commit_ = published->number();
    const auto now = std::chrono::steady_clock::now();
    const bool second = now >= next_second;
    if (second) next_second = now + std::chrono::seconds(1);
    tend(moved, second);
    if (second) pinned_.expire(), end_untaken();
    if (moved) pinned_.forget(published->erased().size());
    if (deps_.metrics != nullptr && (moved || second)) {
      deps_.metrics->queue("queries", queries_.calls());
      deps_.metrics->queue("writes", writes_.calls());
      deps_.metrics->queue("watches", watches_executor_.queued());
      std::function<size_t()> connections;
      {
        const std::lock_guard lock(mutex_);
        connections = connections_;
      }
      if (connections) deps_.metrics->queue("connections", connections());
      if (moved && deps_.figures) {
        const CommitFigures figures = deps_.figures().commit;
        if (figures.commits != commits) deps_.metrics->commit(static_cast<double>(figures.last_us) / 1e6);
        commits = figures.commits;
      }
    }
  }
}

// Once somebody asks for ranks all lists of them are made, beside the calls, and again those that a commit brings.
void ServiceCore::prepare(const std::shared_ptr<const Reading>& reading) {
  if (prepared_ == reading->at().number() || reading->lists() == 0 || preparing_.exchange(true)) return;
  const bool posted = watches_executor_.resume([this, reading] {
    reading->prepare([this, &reading] {
      const bool over = newest_number_.load() != reading->at().number();
      return over || stopping_.load();
    });
    preparing_.store(false);
  });
  if (posted) prepared_ = reading->at().number();
}

void ServiceCore::tend(bool moved, bool second) {
  std::list<Waiting> ready;
  std::vector<std::shared_ptr<Watcher>> wake;
  std::shared_ptr<const Reading> held;  // what nobody asks for is let go outside the lock
  {
    const std::lock_guard lock(mutex_);
    if (std::chrono::steady_clock::now() - asked_ >= kListsKept) held = std::exchange(newest_, nullptr);
  }
  held.reset();
  const std::shared_ptr<const Reading> reading = make_newest();
  const Published* const published = &reading->at();
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::system_clock::now();
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      const auto next = std::next(it);
      if (now >= it->deadline || it->cancelled() || covers(*published, it->positions))
        ready.splice(ready.end(), waiting_, it);
      it = next;
    }
    if (moved || second) {
      std::erase_if(watchers_, [](const std::weak_ptr<Watcher>& w) { return w.expired(); });
      for (const auto& watcher : watchers_)
        if (auto alive = watcher.lock()) wake.push_back(std::move(alive));
    }
  }
  prepare(reading);
  for (Waiting& w : ready) {
    if (covers(*published, w.positions)) {
      w.then(grpc::Status::OK);
    } else if (w.cancelled()) {
      w.then(grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away"));
    } else {
      w.then(call_error_retry(grpc::StatusCode::DEADLINE_EXCEEDED, "POSITION_NOT_REACHED",
                              "not yet read and committed when the deadline passed: " + positions_text(w.positions),
                              1000));
    }
  }
  for (const auto& watcher : wake) watcher->wake();
}

void ServiceCore::set_connections(std::function<size_t()> connections) {
  const std::lock_guard lock(mutex_);
  connections_ = std::move(connections);
}

void ServiceCore::answered(std::shared_ptr<CallHandle> call) {
  const std::lock_guard lock(mutex_);
  answered_.emplace_back(std::chrono::steady_clock::now(), std::move(call));
}

// Answers that nobody takes would fill the memory with the clients' idleness: after a while they are dropped.
void ServiceCore::end_untaken() {
  std::vector<std::shared_ptr<CallHandle>> late;
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(answered_, [](const auto& a) { return a.second->is_gone(); });
    while (!answered_.empty() && now - answered_.front().first >= stall()) {
      late.push_back(std::move(answered_.front().second));
      answered_.pop_front();
    }
  }
  size_t ended = 0;
  for (const auto& call : late) ended += call->cancel() ? 1 : 0;
  if (ended > 0)
    spdlog::warn("{} answers were dropped: their clients did not read them within {} s (service.stall_s)", ended,
                 config_.service.stall_s);
}

void ServiceCore::finished(const char* method, const Caller& caller, const grpc::Status& status,
                           std::chrono::steady_clock::time_point begun) const {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const char* const code = code_name(status.error_code());
  if (deps_.metrics != nullptr) deps_.metrics->call(method, code, seconds);
  const bool ours =
      status.error_code() == grpc::StatusCode::INTERNAL || status.error_code() == grpc::StatusCode::UNKNOWN;
  const char* const user = caller.user.empty() ? "-" : caller.user.c_str();
  if (status.ok()) {
    spdlog::info("call method={} user={} code={} ms={:.1f}", method, user, code, seconds * 1e3);
  } else {
    spdlog::log(ours ? spdlog::level::err : spdlog::level::info,
                "call method={} user={} code={} ms={:.1f} error=\"{}\"", method, user, code, seconds * 1e3,
                status.error_message().substr(0, 300));
  }
}

void ServiceCore::drain() {
  draining_.store(true);
  std::vector<std::weak_ptr<Watcher>> watchers;
  {
    const std::lock_guard lock(mutex_);
    watchers.swap(watchers_);
  }
  for (const auto& watcher : watchers)
    if (const auto alive = watcher.lock()) alive->end();
}

void ServiceCore::stop() {
  std::list<Waiting> waiting;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    stopping_.store(true);
    waiting.swap(waiting_);
    changed_.notify_all();
  }
  for (Waiting& w : waiting) w.then(call_error(grpc::StatusCode::UNAVAILABLE, "STOPPING", "the service stops"));
  if (thread_.joinable()) thread_.join();
  queries_executor_.stop();
  writes_executor_.stop();
  watches_executor_.stop();
}

}  // namespace bellwether

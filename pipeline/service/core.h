// What all services share: who calls, what tick they read, waiting for a position, the threads that work, the request
// log.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "bellwether/v1/common.pb.h"
#include "config/tokens.h"
#include "pipeline/service/budget.h"
#include "pipeline/service/errors.h"
#include "pipeline/service/executor.h"
#include "pipeline/service/pages.h"
#include "pipeline/service/request.h"
#include "pipeline/service/service.h"

namespace bellwether {

namespace pb = bellwether::v1;

struct Caller {
  std::string user;
  Role role = Role::kMember;
  bool staff() const { return role == Role::kModerator || role == Role::kAdmin; }
};

// Sets of roles, for "who may".
using Roles = uint8_t;
constexpr Roles role_bit(Role role) { return static_cast<Roles>(1 << static_cast<uint8_t>(role)); }
constexpr Roles kStaff = role_bit(Role::kModerator) | role_bit(Role::kAdmin);
constexpr Roles kReaders = kStaff | role_bit(Role::kPlatform);
constexpr Roles kEverybody = kReaders | role_bit(Role::kMember);

using SystemTime = std::chrono::system_clock::time_point;

// One call in hand.
struct Call {
  Caller caller;
  SystemTime deadline;
  std::function<bool()> cancelled;
  std::shared_ptr<const Reading> reading;
  // Whether to stop working: nobody waits any longer.
  bool over() const { return cancelled() || std::chrono::system_clock::now() >= deadline; }
};

// Where calls do their work. Each has its own threads and its own bound, so that a flood of one kind leaves the others
// their time.
enum class Lane : uint8_t { kQueries, kWrites };

// A way to a call's context for those who may come too late. Cancelling may end the call at once, in the same thread.
class CallHandle {
 public:
  explicit CallHandle(grpc::ServerContextBase* context) : context_(context) {}
  // Ends the call whose client does not take what it was sent. False: it is over.
  bool cancel() {
    const std::lock_guard lock(mutex_);
    if (context_ != nullptr) context_->TryCancel();
    return context_ != nullptr;
  }
  // The call is over: the context goes.
  void gone() {
    const std::lock_guard lock(mutex_);
    context_ = nullptr;
    gone_.store(true);
  }
  bool is_gone() const { return gone_.load(); }

 private:
  std::recursive_mutex mutex_;
  grpc::ServerContextBase* context_;
  std::atomic<bool> gone_{false};
};

// Someone who wants to hear of each commit; see ServiceCore::watch.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // A commit was published, or a second has passed. On the core's own thread: must be short.
  virtual void wake() = 0;
  // The service ends.
  virtual void end() = 0;
};

class ServiceCore {
 public:
  ServiceCore(const Config& config, ServiceDeps deps, std::optional<Tokens> tokens);
  ~ServiceCore() { stop(); }

  const Config& config() const { return config_; }
  const ServiceDeps& deps() const { return deps_; }
  const Hasher& hasher() const { return hasher_; }
  Executor& executor(Lane lane) { return lane == Lane::kWrites ? writes_executor_ : queries_executor_; }
  Executor& watches() { return watches_executor_; }
  // Of calls admitted and not over yet: waiting, worked on, or answered and not taken by their clients.
  Budget& budget(Lane lane) { return lane == Lane::kWrites ? writes_ : queries_; }
  std::chrono::seconds stall() const { return std::chrono::seconds(config_.service.stall_s); }
  PinnedReadings& pinned() { return pinned_; }
  uint64_t process() const { return process_; }
  SystemTime started() const { return started_; }

  // Who calls, and whether they may. `method` is "KeyUsers.GetUser".
  grpc::Status admit(const grpc::ServerContextBase& context, Roles may, const char* method, Caller& out) const;
  SystemTime deadline_of(const grpc::ServerContextBase& context) const;
  // The newest commit's reading; one object a commit. Where lists of users go over from the reading before, its own
  // thread makes it, some milliseconds after the commit; until then calls read the one before, but where the commit
  // erased somebody.
  std::shared_ptr<const Reading> newest();
  // Whether the reading names nobody whom the newest commit has erased.
  bool knows_erased(const Reading& reading) const;
  // Calls `then` once all positions are in what is published, or with DEADLINE_EXCEEDED or CANCELLED.
  void when_covered(std::vector<pb::Position> positions, SystemTime deadline, std::function<bool()> cancelled,
                    std::function<void(grpc::Status)> then);
  // Wakes the watcher at each commit until it is forgotten. False: there are too many, or the service ends.
  bool watch(const std::shared_ptr<Watcher>& watcher);

  // The call was answered: where its client does not take the answer within `stall()`, it is cancelled.
  void answered(std::shared_ptr<CallHandle> call);

  // One line in the request log, one observation in the metrics.
  void finished(const char* method, const Caller& caller, const grpc::Status& status,
                std::chrono::steady_clock::time_point begun) const;

  bool draining() const { return draining_.load(); }
  void drain();                                               // watchers end; no new streams
  void set_connections(std::function<size_t()> connections);  // for metrics
  void stop();

 private:
  struct Waiting {
    std::vector<pb::Position> positions;
    SystemTime deadline;
    std::function<bool()> cancelled;
    std::function<void(grpc::Status)> then;
  };
  void tick();
  std::shared_ptr<const Reading> make_newest();
  void tend(bool moved, bool second);
  void prepare(const std::shared_ptr<const Reading>& reading);
  void end_untaken();

  const Config config_;
  const ServiceDeps deps_;
  const std::optional<Tokens> tokens_;
  const Hasher hasher_;
  const uint64_t process_;
  const SystemTime started_;
  PinnedReadings pinned_;
  Budget queries_, writes_;
  Executor queries_executor_, writes_executor_, watches_executor_;
  std::atomic<bool> draining_{false};

  std::mutex making_;  // one makes newest_, and mutex_ is free meanwhile
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<const Reading> newest_;
  std::chrono::steady_clock::time_point asked_, looked_;  // for newest_; whether there is a newer one
  std::list<Waiting> waiting_;
  std::vector<std::weak_ptr<Watcher>> watchers_;
  std::deque<std::pair<std::chrono::steady_clock::time_point, std::shared_ptr<CallHandle>>> answered_;
  std::function<size_t()> connections_;
  std::atomic<uint64_t> newest_number_{0};  // of newest_
  std::atomic<bool> preparing_{false}, stopping_{false};
  uint64_t prepared_ = UINT64_MAX;  // the reading that was told to
  bool stopped_ = false;
  uint64_t seen_commit_ = 0;
  std::thread thread_;
};

// Whether a Published has every record up to the positions.
bool covers(const Published& at, const std::vector<pb::Position>& positions);
void set_as_of(const Published& at, pb::AsOf& out);

// One unary call, from its method to the moment when the client has the answer: until then its bytes count.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  explicit UnaryCall(grpc::CallbackServerContext* context) : handle(std::make_shared<CallHandle>(context)) {}
  void OnDone() override {
    handle->gone();
    delete this;
  }
  const std::shared_ptr<CallHandle> handle;
  Share share;
};

// Runs one unary call: admits, makes the request's object within the budget, waits for min_position, works on the
// lane's executor, logs. `work(call, in, out)` gives the call's status. A Request of ByteBuffer is handed to it as it
// came.
template <class Request, class Response, class Work>
grpc::ServerUnaryReactor* run_unary(ServiceCore& core, grpc::CallbackServerContext* context, const char* method,
                                    Roles may, const grpc::ByteBuffer* request, grpc::ByteBuffer* response, Work work,
                                    Lane lane = Lane::kQueries) {
  constexpr bool kRaw = std::is_same_v<Request, grpc::ByteBuffer>;
  struct MessageCall : Call {
    std::conditional_t<kRaw, std::monostate, Request> in;
  };
  const auto begun = std::chrono::steady_clock::now();
  auto* const reactor = new UnaryCall(context);
  auto call = std::make_shared<MessageCall>();
  // After it the reactor may be gone.
  const auto finish = [&core, reactor, method, begun, call](const grpc::Status& status) {
    core.finished(method, call->caller, status, begun);
    core.answered(reactor->handle);
    reactor->Finish(status);
  };
  if (grpc::Status admitted = core.admit(*context, may, method, call->caller); !admitted.ok()) {
    finish(admitted);
    return reactor;
  }
  const auto busy = [finish] {
    finish(call_error_retry(grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED",
                            "more calls are in hand than the service takes on", 200));
  };
  RawRequest wire;
  if constexpr (kRaw) {
    wire.weight = weight_of(*request);
  } else if (grpc::Status opened = RawRequest::open(*request, wire); !opened.ok()) {
    finish(opened);
    return reactor;
  }
  if (!core.budget(lane).take(wire.weight)) {
    busy();
    return reactor;
  }
  reactor->share = Share(core.budget(lane), wire.weight);
  if constexpr (!kRaw) {
    if (grpc::Status parsed = wire.parse(call->in); !parsed.ok()) {
      finish(parsed);
      return reactor;
    }
  }
  call->deadline = core.deadline_of(*context);
  call->cancelled = [context] { return context->IsCancelled(); };
  auto run = [&core, reactor, call, request, response, work, finish] {
    if (call->over())
      return finish(call_error(grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE",
                               "the deadline passed before the call was worked on"));
    call->reading = core.newest();
    Response out;
    grpc::Status status;
    if constexpr (kRaw)
      status = work(*call, *request, out);
    else
      status = work(*call, call->in, out);
    call->reading.reset();  // no snapshot stays for a client that takes its time
    if (status.ok()) {
      *response = buffer_of(out);
      reactor->share.add(weight_of(*response));
    }
    finish(status);
  };
  std::vector<pb::Position> positions;
  if constexpr (requires(const Request& in) { in.min_position(); }) {
    const Request& in = call->in;
    FieldErrors wrong;
    constexpr int kMost = 1024;
    if (in.min_position_size() > kMost) wrong.emplace_back("min_position", "more than 1024 positions");
    for (int i = 0; i < std::min(kMost, in.min_position_size()) && wrong.size() < 20; ++i) {
      const pb::Position& p = in.min_position(i);
      const std::string field = "min_position[" + std::to_string(i) + "]";
      if (p.topic().empty()) wrong.emplace_back(field + ".topic", "is empty");
      if (p.partition() < 0)
        wrong.emplace_back(field + ".partition", "given " + std::to_string(p.partition()) + ", allowed: 0 or more");
      if (p.offset() < 0)
        wrong.emplace_back(field + ".offset", "given " + std::to_string(p.offset()) + ", allowed: 0 or more");
    }
    if (!wrong.empty()) {
      finish(bad_fields(wrong));
      return reactor;
    }
    positions.assign(in.min_position().begin(), in.min_position().end());
  }
  if (positions.empty()) {
    if (!core.executor(lane).post(run)) busy();
    return reactor;
  }
  core.when_covered(std::move(positions), call->deadline, call->cancelled,
                    [&core, run, finish, busy, lane](grpc::Status status) {
                      if (!status.ok()) return finish(status);
                      if (!core.executor(lane).resume(run)) busy();
                    });
  return reactor;
}

}  // namespace bellwether

#include "pipeline/service/watch.h"

#include <spdlog/spdlog.h>

#include <deque>
#include <set>

#include "pipeline/service/convert.h"

namespace bellwether {
namespace {

constexpr size_t kScanMax = 64;                // changes held ahead of the client,
constexpr size_t kHeldMax = size_t{64} << 10;  // or so many bytes of them
constexpr auto kSignOfLife = std::chrono::seconds(10);

using ByteWriter = grpc::ServerWriteReactor<grpc::ByteBuffer>;

class FailedStream final : public ByteWriter {
 public:
  explicit FailedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

template <class Response>
class Stream final : public ByteWriter, public Watcher, public std::enable_shared_from_this<Stream<Response>> {
 public:
  // Fills `change` of the answer; false: not wanted. An unreadable row is an error, told by `status`.
  using Make =
      std::function<bool(const Published&, const ChangeId&, std::string_view payload, Response&, Status& status)>;

  Stream(ServiceCore& core, grpc::ServerContextBase* context, const char* method, OutKind kind, Caller caller,
         ChangeId after, Make make)
      : core_(core),
        handle_(std::make_shared<CallHandle>(context)),
        method_(method),
        kind_(kind),
        caller_(std::move(caller)),
        cursor_(after),
        make_(std::move(make)) {}

  void begin() {
    self_ = this->shared_from_this();
    if (core_.watch(self_)) return wake();
    finish(call_error_retry(
        core_.draining() ? grpc::StatusCode::UNAVAILABLE : grpc::StatusCode::RESOURCE_EXHAUSTED,
        core_.draining() ? "DRAINING" : "TOO_MANY_STREAMS",
        core_.draining() ? "the service ends; go on from the last resume_token elsewhere" : "too many streams are open",
        1000));
  }

  void wake() override {
    {
      std::unique_lock lock(mutex_);
      if (writing_ && std::chrono::steady_clock::now() - last_write_ > core_.stall()) return drop(lock);
      if (ended_ || scanning_ || writing_) {
        again_ = true;
        return;
      }
      scanning_ = true;
    }
    schedule();
  }
  void end() override {
    finish(call_error_retry(grpc::StatusCode::UNAVAILABLE, "DRAINING",
                            "the service ends; go on from the last resume_token elsewhere", 1000));
  }

  void OnWriteDone(bool ok) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    queue_.pop_front();
    if (!ok && !ended_) ended_ = true, ending_ = grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away");
    if (ended_) return finish_if_quiet(lock);
    if (!queue_.empty()) return write(lock);
    if (!again_) return;
    again_ = false, scanning_ = true;
    lock.unlock();
    schedule();
  }
  void OnCancel() override { finish(grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away")); }
  void OnDone() override {
    handle_->gone();
    core_.finished(method_, caller_, ending_, begun_);
    const auto keep = std::move(self_);  // maybe the last one
  }

 private:
  void schedule() {
    if (!core_.watches().resume([self = this->shared_from_this()] { self->scan(); }))
      scanned(call_error(grpc::StatusCode::UNAVAILABLE, "STOPPING", "the service stops"), {}, false);
  }

  void scan() {
    const std::shared_ptr<const Reading> reading = core_.newest();
    const Published& at = reading->at();
    std::deque<grpc::ByteBuffer> found;
    if (at.number() == commit_ && !more_) return scanned(grpc::Status::OK, sign_of_life(at), false);
    if (at.changes_gone(cursor_.tick.slot))
      return scanned(
          call_error(grpc::StatusCode::OUT_OF_RANGE, "CHANGES_GONE",
                     "changes are kept for 7 days of event time; read the list anew and go on from its as_of",
                     {{"oldest_slot", std::to_string(at.changes_from_slot())}}),
          {}, false);
    Status broken;
    more_ = false;
    size_t seen = 0, bytes = 0;
    ChangeId last = cursor_;
    const Status status = at.scan_changes(kind_, cursor_, [&](const ChangeId& id, std::string_view payload) {
      if (found.size() == kScanMax || bytes >= kHeldMax || seen == 64 * kScanMax) {
        more_ = true;
        return false;
      }
      ++seen;
      Response response;
      if (make_(at, id, payload, response, broken)) {
        response.set_resume_token(text_of(id));
        set_as_of(at, *response.mutable_as_of());
        found.push_back(buffer_of(response));
        bytes += found.back().Length();
      }
      last = id;
      return broken.ok();
    });
    if (!status.ok() || !broken.ok()) return scanned(io_error(status.ok() ? broken : status), {}, false);
    cursor_ = more_ ? last : std::max(last, end_of(at.tick()));
    commit_ = at.number();
    if (found.empty()) found = sign_of_life(at);
    scanned(grpc::Status::OK, std::move(found), more_);
  }

  // The first answer comes at once, so that the caller has a token.
  std::deque<grpc::ByteBuffer> sign_of_life(const Published& at) {
    std::deque<grpc::ByteBuffer> out;
    const auto now = std::chrono::steady_clock::now();
    if (told_ && now - last_write_ < kSignOfLife) return out;
    Response response;
    response.set_resume_token(text_of(cursor_));
    set_as_of(at, *response.mutable_as_of());
    out.push_back(buffer_of(response));
    return out;
  }

  void scanned(const grpc::Status& status, std::deque<grpc::ByteBuffer> found, bool more) {
    std::unique_lock lock(mutex_);
    scanning_ = false;
    again_ = again_ || more;
    if (!status.ok() && !ended_) ended_ = true, ending_ = status;
    if (ended_) return finish_if_quiet(lock);
    for (grpc::ByteBuffer& response : found) queue_.push_back(std::move(response));
    if (!queue_.empty()) return write(lock);
    if (!more) {
      again_ = false;  // the next commit or second wakes it
      return;
    }
    again_ = false, scanning_ = true;
    lock.unlock();
    schedule();
  }

  void write(std::unique_lock<std::mutex>& lock) {
    writing_ = told_ = true;
    last_write_ = std::chrono::steady_clock::now();
    const grpc::ByteBuffer* const next = &queue_.front();
    lock.unlock();
    this->StartWrite(next);
  }

  // The client has not taken what it was sent for a while. It is told so behind that, in case it reads on; if it does
  // not, core's sweep cancels the call.
  void drop(std::unique_lock<std::mutex>& lock) {
    if (finished_) return;
    ended_ = finished_ = true;
    ending_ = call_error(grpc::StatusCode::RESOURCE_EXHAUSTED, "SLOW_SUBSCRIBER",
                         "what was sent was not read for " + std::to_string(core_.stall().count()) +
                             " s; go on from the last resume_token");
    const grpc::Status status = ending_;
    lock.unlock();
    spdlog::warn("call method={} user={} does not read: it is told so, and cancelled if it goes on", method_,
                 caller_.user);
    core_.answered(handle_);
    this->Finish(status);
  }

  void finish(const grpc::Status& status) {
    std::unique_lock lock(mutex_);
    if (ended_) return;
    ended_ = true, ending_ = status;
    finish_if_quiet(lock);
  }
  // Finish only once nothing is under way that would still touch the stream.
  void finish_if_quiet(std::unique_lock<std::mutex>& lock) {
    if (writing_ || scanning_ || finished_) return;
    finished_ = true;
    const grpc::Status status = ending_;
    lock.unlock();
    this->Finish(status);
  }

  ServiceCore& core_;
  const std::shared_ptr<CallHandle> handle_;
  const char* const method_;
  const OutKind kind_;
  const Caller caller_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  // Used by one scan at a time.
  ChangeId cursor_;
  const Make make_;
  uint64_t commit_ = UINT64_MAX;
  bool more_ = false;
  // Under the mutex.
  std::mutex mutex_;
  std::deque<grpc::ByteBuffer> queue_;
  bool scanning_ = false, writing_ = false, again_ = false, ended_ = false, finished_ = false, told_ = false;
  std::chrono::steady_clock::time_point last_write_;
  grpc::Status ending_;
  std::shared_ptr<Stream> self_;
};

// Where a stream begins.
template <class Request>
grpc::Status begin_at(ServiceCore& core, const Request& request, ChangeId& out) {
  if (!request.resume_token().empty()) {
    if (!parse_change_id(request.resume_token(), out))
      return bad_field("resume_token", "is no token of this service", "RESUME_TOKEN_INVALID");
    return grpc::Status::OK;
  }
  const auto newest = core.newest();
  out =
      request.has_after() ? end_of({request.after().slot(), request.after().sub_tick()}) : end_of(newest->at().tick());
  return grpc::Status::OK;
}

// `prepare` looks at the request and gives what makes the answers of it.
template <class Request, class Response, class Prepare>
ByteWriter* open(ServiceCore& core, grpc::CallbackServerContext* context, const grpc::ByteBuffer& bytes,
                 const char* method, Roles may, OutKind kind, Prepare&& prepare) {
  Caller caller;
  ChangeId after;
  RawRequest wire;
  Request request;
  typename Stream<Response>::Make make;
  grpc::Status status = core.admit(*context, may, method, caller);
  if (status.ok()) status = RawRequest::open(bytes, wire);
  if (status.ok()) status = wire.parse(request);
  if (status.ok()) status = prepare(caller, request, make);
  if (status.ok()) status = begin_at(core, request, after);
  if (!status.ok()) {
    core.finished(method, caller, status, std::chrono::steady_clock::now());
    return new FailedStream(status);
  }
  auto stream =
      std::make_shared<Stream<Response>>(core, context, method, kind, std::move(caller), after, std::move(make));
  stream->begin();
  return stream.get();
}

constexpr size_t kUsersMax = 10'000;

grpc::Status prepare_tiers(const Caller& caller, const pb::WatchTiersRequest& request,
                           Stream<pb::WatchTiersResponse>::Make& out) {
  if (static_cast<size_t>(request.users_size()) > kUsersMax)
    return bad_field(
        "users", "given " + std::to_string(request.users_size()) + ", allowed: at most " + std::to_string(kUsersMax));
  if (!pb::Tier_IsValid(request.min_tier()))
    return bad_field("min_tier", "given " + std::to_string(request.min_tier()) + ", which is no tier");
  // A platform reads no reasons that name detection.
  out = [users = std::set<std::string>(request.users().begin(), request.users().end()), least = request.min_tier(),
         staff = caller.staff()](const Published& at, const ChangeId& id, std::string_view payload,
                                 pb::WatchTiersResponse& response, Status& status) {
    pb::TierRecord& record = *response.mutable_change();
    if (!tier_record(id, payload, rules_at(at, id.tick.slot), record)) {
      status = Status::error("a tier change cannot be read: the store is damaged");
      return false;
    }
    if (!users.empty() && !users.contains(record.user())) return false;
    if (!staff) record.clear_reason();
    return std::max(record.from_tier(), record.tier()) >= least;
  };
  return grpc::Status::OK;
}

grpc::Status prepare_flags(const Caller& /*caller*/, const pb::WatchFlagsRequest& request,
                           Stream<pb::WatchFlagsResponse>::Make& out) {
  for (int i = 0; i < request.kinds_size(); ++i)
    if (request.kinds(i) == pb::FLAG_KIND_UNSPECIFIED || !pb::FlagKind_IsValid(request.kinds(i)))
      return bad_field("kinds[" + std::to_string(i) + "]",
                       "given " + std::to_string(request.kinds(i)) + ", which is no kind of flag");
  out = [kinds = std::set<int>(request.kinds().begin(), request.kinds().end())](
            const Published& /*at*/, const ChangeId& id, std::string_view payload, pb::WatchFlagsResponse& response,
            Status& status) {
    if (!flag_record(id, payload, *response.mutable_change())) {
      status = Status::error("a flag change cannot be read: the store is damaged");
      return false;
    }
    return kinds.empty() || kinds.contains(response.change().flag().kind());
  };
  return grpc::Status::OK;
}

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* watch_tiers(ServiceCore& core, grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request) {
  return open<pb::WatchTiersRequest, pb::WatchTiersResponse>(core, context, *request, "KeyUsers.WatchTiers", kReaders,
                                                             OutKind::kTier, prepare_tiers);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* watch_flags(ServiceCore& core, grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request) {
  return open<pb::WatchFlagsRequest, pb::WatchFlagsResponse>(core, context, *request, "Flags.WatchFlags", kStaff,
                                                             OutKind::kFlag, prepare_flags);
}

}  // namespace bellwether

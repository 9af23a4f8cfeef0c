#include <google/protobuf/arena.h>

#include <deque>
#include <map>

#include "bellwether/v1/ingest.grpc.pb.h"
#include "pipeline/decode/decoder.h"
#include "pipeline/service/convert.h"
#include "pipeline/service/services.h"

namespace bellwether {
namespace {

constexpr int kEventsMax = 10'000;
constexpr size_t kInFlightMax = 8;  // requests of a stream between reading and answering
constexpr int kStreamTimeoutMs = 30'000;
constexpr Roles kMay = kReaders;  // by event: erasures are for admins, other judgements for staff, everything else for
                                  // platforms and admins

InputTopic topic_of(const pb::Event& event) {
  switch (event.body_case()) {
    case pb::Event::kPost:
      return InputTopic::kPosts;
    case pb::Event::kReferral:
      return InputTopic::kReferrals;
    case pb::Event::kBetaTest:
      return InputTopic::kBetaTests;
    case pb::Event::kJudgement:
      return InputTopic::kJudgements;
    case pb::Event::kAccount:
    case pb::Event::kEntitlementUse:
    case pb::Event::kFeedback:
      return InputTopic::kAccounts;
    case pb::Event::kLike:
    case pb::Event::BODY_NOT_SET:
      break;
  }
  return InputTopic::kLikes;
}

bool may_publish(const Caller& caller, const pb::Event& event) {
  if (caller.role == Role::kAdmin) return true;
  if (event.judgement().has_erasure()) return false;  // it cannot be taken back
  return event.has_judgement() ? caller.role == Role::kModerator : caller.role == Role::kPlatform;
}

grpc::Status not_allowed(const Caller& caller, int index) {
  return call_error(grpc::StatusCode::PERMISSION_DENIED, "ROLE",
                    "events[" + std::to_string(index) +
                        "]: erasures are for admins, other judgements for moderators and admins, all other events for "
                        "platforms and admins",
                    {{"role", role_name(caller.role)}});
}

// The path that a sentence of the decoder begins with ("like.author is empty"), or nothing.
std::string field_of(const std::string& detail) {
  const size_t end = detail.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.");
  const std::string word = detail.substr(0, end);
  return word == "the" || word == "a" || word == "no" ? "" : word;
}

// Checks events and makes records of them. One thread at a time.
class Checker {
 public:
  explicit Checker(const ServiceCore& core) : core_(core), decoder_(core.hasher()) {}

  // kNone: `record` is filled.
  Reason check(const pb::Event& event, InputRecord& record, std::string& detail) {
    record.value.clear();
    event.AppendToString(&record.value);
    arena_.clear();
    detail.clear();
    const Reason reason = decoder_.decode(record.value, arena_, fact_, &detail);
    if (reason != Reason::kNone) return reason;
    const int64_t now =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    if (fact_.time_us > now + int64_t{core_.config().engine.skew_minutes} * kMinuteUs) {
      detail = "time lies more than " + std::to_string(core_.config().engine.skew_minutes) + " minutes ahead";
      return Reason::kFuture;
    }
    record.topic = topic_of(event);
    record.user = event.user();
    record.user_hash = fact_.user.hash;
    return Reason::kNone;
  }

 private:
  const ServiceCore& core_;
  Decoder decoder_;
  Arena arena_;
  Fact fact_;
};

template <class Response>
void set_positions(const InputAck& ack, Response& out) {
  std::map<PartitionId, int64_t> high;
  const auto add = [](pb::Position* p, const PartitionId& partition, int64_t offset) {
    p->set_topic(partition.topic);
    p->set_partition(partition.number);
    p->set_offset(offset);
  };
  for (const InputPosition& at : ack.positions) {
    add(out.add_positions(), at.partition, at.offset);
    int64_t& highest = high.try_emplace(at.partition, at.offset).first->second;
    highest = std::max(highest, at.offset);
  }
  for (const auto& [partition, offset] : high) add(out.add_high_positions(), partition, offset);
}

grpc::Status check_count(int count) {
  if (count >= 1 && count <= kEventsMax) return grpc::Status::OK;
  return bad_field("events", "given " + std::to_string(count) + ", allowed: 1..10000 events");
}
grpc::Status no_log() {
  return call_error(grpc::StatusCode::UNAVAILABLE, "NO_INPUT_LOG", "this process has no input log to write to");
}
grpc::Status log_failed(const Status& status) {
  return call_error_retry(grpc::StatusCode::UNAVAILABLE, "INPUT_LOG", status.message, 1000);
}

// One PublishStream. Requests are checked and handed to the log one after the other; up to kInFlightMax wait for the
// disk at once, and answers go out in the order of requests.
class PublishStream final : public grpc::ServerBidiReactor<pb::PublishStreamRequest, pb::PublishStreamResponse>,
                            public Watcher,
                            public std::enable_shared_from_this<PublishStream> {
 public:
  PublishStream(ServiceCore& core, Caller caller) : core_(core), caller_(std::move(caller)), checker_(core) {}

  void begin() {
    self_ = shared_from_this();
    if (core_.deps().input == nullptr) return end_with(no_log());
    if (!core_.watch(self_))
      return end_with(
          call_error_retry(grpc::StatusCode::UNAVAILABLE, "DRAINING", "the service takes no more streams", 1000));
    std::unique_lock lock(mutex_);
    read(lock);
  }
  void wake() override {}
  void end() override {
    end_with(call_error_retry(grpc::StatusCode::UNAVAILABLE, "DRAINING",
                              "the service ends; send again what was not acknowledged", 1000));
  }

  void OnReadDone(bool ok) override {
    std::unique_lock lock(mutex_);
    reading_ = false;
    if (!ok) {
      read_all_ = true;
      return go_on(lock);
    }
    if (ended_) return go_on(lock);
    working_ = true;
    lock.unlock();
    if (!core_.executor().resume([self = shared_from_this()] { self->work(); })) {
      lock.lock();
      working_ = false;
      fail(lock, call_error(grpc::StatusCode::UNAVAILABLE, "STOPPING", "the service stops"));
    }
  }
  void OnWriteDone(bool ok) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    answers_.pop_front();
    if (!ok) return fail(lock, grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away"));
    go_on(lock);
  }
  void OnCancel() override { end_with(grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away")); }
  void OnDone() override {
    core_.finished("Ingest.PublishStream", caller_, ending_, begun_);
    const auto keep = std::move(self_);
  }

 private:
  struct Answer {
    bool ready = false;
    pb::PublishStreamResponse response;
  };

  void read(std::unique_lock<std::mutex>& lock) {
    if (reading_ || read_all_ || ended_) return;
    reading_ = true;
    lock.unlock();
    StartRead(&request_);
    lock.lock();
  }

  void work() {
    auto answer = std::make_shared<Answer>();
    answer->response.set_sequence(request_.sequence());
    grpc::Status status = check_count(request_.events_size());
    std::vector<InputRecord> records;
    for (int i = 0; i < request_.events_size() && status.ok(); ++i) {
      if (!may_publish(caller_, request_.events(i))) {
        status = not_allowed(caller_, i);
        break;
      }
      InputRecord& record = records.emplace_back();
      const Reason reason = checker_.check(request_.events(i), record, detail_);
      if (reason == Reason::kNone) continue;
      records.pop_back();
      pb::RejectedEvent* rejected = answer->response.add_rejected();
      rejected->set_index(static_cast<uint32_t>(i));
      rejected->set_reason(to_pb(reason));
      rejected->set_text(detail_);
    }
    std::unique_lock lock(mutex_);
    if (!status.ok()) {
      working_ = false;
      return fail(lock, status);
    }
    answers_.push_back(answer);
    ++appending_;
    lock.unlock();
    if (records.empty()) {
      appended(answer, {});
    } else {
      core_.deps().input->append(
          std::move(records), kStreamTimeoutMs,
          [self = shared_from_this(), answer](const InputAck& ack) { self->appended(answer, ack); });
    }
    lock.lock();
    working_ = false;
    go_on(lock);
  }

  void appended(const std::shared_ptr<Answer>& answer, const InputAck& ack) {
    if (ack.status.ok()) {
      set_positions(ack, answer->response);
      set_as_of(core_.newest()->at(), *answer->response.mutable_as_of());
    }
    std::unique_lock lock(mutex_);
    --appending_;
    answer->ready = true;
    if (!ack.status.ok()) return fail(lock, log_failed(ack.status));
    go_on(lock);
  }

  void end_with(const grpc::Status& status) {
    std::unique_lock lock(mutex_);
    fail(lock, status);
  }
  void fail(std::unique_lock<std::mutex>& lock, const grpc::Status& status) {
    if (!ended_) ended_ = true, ending_ = status;
    go_on(lock);
  }

  // Whatever can be done now: write the next answer, read the next request, or finish.
  void go_on(std::unique_lock<std::mutex>& lock) {
    if (finished_) return;
    if (ended_ || (read_all_ && answers_.empty() && !working_)) {
      // A read under way ends by itself once the call is finished; writes and work must be over.
      if (writing_ || working_ || appending_ > 0) return;
      finished_ = true;
      const grpc::Status status = ending_;
      lock.unlock();
      Finish(status);
      return;
    }
    if (!writing_ && !answers_.empty() && answers_.front()->ready) {
      writing_ = true;
      const pb::PublishStreamResponse* const next = &answers_.front()->response;
      lock.unlock();
      StartWrite(next);
      lock.lock();
    }
    if (!working_ && !finished_ && answers_.size() < kInFlightMax) read(lock);
  }

  ServiceCore& core_;
  const Caller caller_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  Checker checker_;  // used by the one work() at a time
  std::string detail_;
  pb::PublishStreamRequest request_;
  std::mutex mutex_;
  std::deque<std::shared_ptr<Answer>> answers_;
  size_t appending_ = 0;
  bool reading_ = false, working_ = false, writing_ = false, read_all_ = false, ended_ = false, finished_ = false;
  grpc::Status ending_;
  std::shared_ptr<PublishStream> self_;
};

class RefusedStream final : public grpc::ServerBidiReactor<pb::PublishStreamRequest, pb::PublishStreamResponse> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

class IngestService final : public pb::Ingest::CallbackService {
 public:
  explicit IngestService(ServiceCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context, const pb::PublishRequest* request,
                                    pb::PublishResponse* response) override {
    return run_unary(core_, context, "Ingest.Publish", kMay, request, response,
                     [this](const Call& call, const pb::PublishRequest& in, pb::PublishResponse& out) {
                       return publish(call, in, out);
                     });
  }

  grpc::ServerBidiReactor<pb::PublishStreamRequest, pb::PublishStreamResponse>* PublishStream(
      grpc::CallbackServerContext* context) override {
    Caller caller;
    if (grpc::Status status = core_.admit(*context, kMay, "Ingest.PublishStream", caller); !status.ok()) {
      core_.finished("Ingest.PublishStream", caller, status, std::chrono::steady_clock::now());
      return new RefusedStream(status);
    }
    auto stream = std::make_shared<bellwether::PublishStream>(core_, std::move(caller));
    stream->begin();
    return stream.get();
  }

 private:
  grpc::Status publish(const Call& call, const pb::PublishRequest& in, pb::PublishResponse& out) {
    if (grpc::Status count = check_count(in.events_size()); !count.ok()) return count;
    if (core_.deps().input == nullptr) return no_log();
    std::vector<InputRecord> records;
    FieldErrors wrong;
    std::string reason_text, detail;
    Checker checker(core_);
    for (int i = 0; i < in.events_size() && wrong.size() < 20; ++i) {
      if (!may_publish(call.caller, in.events(i))) return not_allowed(call.caller, i);
      InputRecord& record = records.emplace_back();
      const Reason reason = checker.check(in.events(i), record, detail);
      if (reason == Reason::kNone) continue;
      const std::string field = field_of(detail);
      wrong.emplace_back("events[" + std::to_string(i) + "]" + (field.empty() ? "" : "." + field), detail);
      if (reason_text.empty())
        reason_text = pb::DeadLetterReason_Name(to_pb(reason)).substr(sizeof("DEAD_LETTER_REASON_") - 1);
    }
    if (!wrong.empty()) return bad_fields(wrong, "EVENT_" + reason_text);

    struct Wait {
      std::mutex mutex;
      std::condition_variable changed;
      std::optional<InputAck> ack;
    };
    auto wait = std::make_shared<Wait>();
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline - std::chrono::system_clock::now()).count();
    core_.deps().input->append(std::move(records), static_cast<int>(std::max<int64_t>(1, left)), [wait](InputAck ack) {
      const std::lock_guard lock(wait->mutex);
      wait->ack = std::move(ack);
      wait->changed.notify_all();
    });
    std::unique_lock lock(wait->mutex);
    if (!wait->changed.wait_until(lock, call.deadline, [&] { return wait->ack.has_value(); }))
      return call_error_retry(grpc::StatusCode::DEADLINE_EXCEEDED, "NOT_DURABLE_YET",
                              "not confirmed by the input log in time; the same events may be sent again", 1000);
    if (!wait->ack->status.ok()) return log_failed(wait->ack->status);
    set_positions(*wait->ack, out);
    set_as_of(core_.newest()->at(), *out.mutable_as_of());
    return grpc::Status::OK;
  }

  ServiceCore& core_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_ingest_service(ServiceCore& core) { return std::make_unique<IngestService>(core); }

}  // namespace bellwether

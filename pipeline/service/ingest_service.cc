#include <deque>
#include <map>

#include "bellwether/v1/ingest.grpc.pb.h"
#include "pipeline/decode/decoder.h"
#include "pipeline/service/convert.h"
#include "pipeline/service/request_wire.h"
#include "pipeline/service/services.h"

namespace bellwether {
namespace {

constexpr size_t kEventsMax = 10'000;
constexpr size_t kAnswerBytes = 192;  // of an event's position, as objects and on the wire
constexpr size_t kInFlightMax = 8;    // requests of a stream between reading and answering
constexpr int kStreamTimeoutMs = 30'000;
constexpr Roles kMay = kReaders;  // by event: erasures are for admins, other judgements for staff, everything else for
                                  // platforms and admins

InputTopic topic_of(const Fact& fact) {
  struct Topic {
    InputTopic operator()(const LikeFact&) const { return InputTopic::kLikes; }
    InputTopic operator()(const PostFact&) const { return InputTopic::kPosts; }
    InputTopic operator()(const ReferralFact&) const { return InputTopic::kReferrals; }
    InputTopic operator()(const BetaTestFact&) const { return InputTopic::kBetaTests; }
    InputTopic operator()(const RatingFact&) const { return InputTopic::kJudgements; }
    InputTopic operator()(const HoldFact&) const { return InputTopic::kJudgements; }
    InputTopic operator()(const LabelFact&) const { return InputTopic::kJudgements; }
    InputTopic operator()(const VerdictFact&) const { return InputTopic::kJudgements; }
    InputTopic operator()(const LinkFact&) const { return InputTopic::kJudgements; }
    InputTopic operator()(const ErasureFact&) const { return InputTopic::kJudgements; }
    InputTopic operator()(const IncentiveFact&) const { return InputTopic::kJudgements; }
    InputTopic operator()(const AccountFact&) const { return InputTopic::kAccounts; }
    InputTopic operator()(const EntitlementUseFact&) const { return InputTopic::kAccounts; }
    InputTopic operator()(const FeedbackFact&) const { return InputTopic::kAccounts; }
  };
  return std::visit(Topic{}, fact.body);
}

bool may_publish(const Caller& caller, bool judgement, bool erasure) {
  if (caller.role == Role::kAdmin) return true;
  if (erasure) return false;  // it cannot be taken back
  return judgement ? caller.role == Role::kModerator : caller.role == Role::kPlatform;
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

  enum class Answer : uint8_t { kTaken, kNotAllowed, kRejected };
  // kTaken: `record` is filled. kRejected: `reason` and `detail` say why.
  Answer check(const Caller& caller, std::string_view event, InputRecord& record, Reason& reason, std::string& detail) {
    if (!may_publish(caller, is_judgement(event), false)) return Answer::kNotAllowed;
    arena_.clear();
    detail.clear();
    reason = Reason::kNone;
    // In a log, JSON and the schema registry's prefix are told from protobuf by the first byte. Here is protobuf only,
    // where a field that we do not know could begin like one of them.
    if (!event.empty() &&
        (event[0] == '{' || event[0] == ' ' || event[0] == '\t' || event[0] == '\r' || event[0] == 0)) {
      reason = Reason::kUndecodable;
      detail = "the event begins with a field that no event has";
      return Answer::kRejected;
    }
    reason = decoder_.decode(event, arena_, fact_, &detail);
    if (reason != Reason::kNone) return Answer::kRejected;
    record.topic = topic_of(fact_);
    const bool erasure = std::holds_alternative<ErasureFact>(fact_.body);
    if (!may_publish(caller, record.topic == InputTopic::kJudgements, erasure)) return Answer::kNotAllowed;
    const int64_t now =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    if (fact_.time_us > now + int64_t{core_.config().engine.skew_minutes} * kMinuteUs) {
      detail = "time lies more than " + std::to_string(core_.config().engine.skew_minutes) + " minutes ahead";
      reason = Reason::kFuture;
      return Answer::kRejected;
    }
    record.value = event;
    record.user = fact_.user.id;
    record.user_hash = fact_.user.hash;
    return Answer::kTaken;
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

grpc::Status read_request(std::string_view wire, PublishFields fields, PublishWire& out) {
  if (!read_publish(wire, fields, kEventsMax, out))
    return call_error(grpc::StatusCode::INVALID_ARGUMENT, "MALFORMED", "the request is no protobuf message");
  if (out.count >= 1 && out.count <= kEventsMax) return grpc::Status::OK;
  return bad_field("events", "given " + std::to_string(out.count) + ", allowed: 1..10000 events");
}
grpc::Status no_log() {
  return call_error(grpc::StatusCode::UNAVAILABLE, "NO_INPUT_LOG", "this process has no input log to write to");
}
grpc::Status log_failed(const Status& status) {
  return call_error_retry(grpc::StatusCode::UNAVAILABLE, "INPUT_LOG", status.message, 1000);
}

// One PublishStream. Requests are checked and handed to the log one after the other; up to kInFlightMax wait for the
// disk at once, and answers go out in the order of requests. While as many bytes of requests are in hand as may be,
// over all callers, no stream reads another: gRPC's flow control then holds the clients back.
class PublishStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public Watcher,
                            public std::enable_shared_from_this<PublishStream> {
 public:
  PublishStream(ServiceCore& core, grpc::ServerContextBase* context, Caller caller)
      : core_(core), handle_(std::make_shared<CallHandle>(context)), caller_(std::move(caller)), checker_(core) {}

  void begin() {
    self_ = shared_from_this();
    if (core_.deps().input == nullptr) return end_with(no_log());
    if (!core_.watch(self_))
      return end_with(core_.draining()
                          ? call_error_retry(grpc::StatusCode::UNAVAILABLE, "DRAINING", "the service ends", 1000)
                          : call_error_retry(grpc::StatusCode::RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS",
                                             "too many streams are open", 1000));
    std::unique_lock lock(mutex_);
    read(lock);
  }
  void wake() override {
    std::unique_lock lock(mutex_);
    if (!writing_ || finished_ || std::chrono::steady_clock::now() - last_write_ <= core_.stall()) return;
    // As for a watcher that does not read: told behind what waits for it, cancelled where it still does not read. What
    // the log has not answered yet goes on without a listener.
    ended_ = finished_ = true;
    ending_ = call_error(grpc::StatusCode::RESOURCE_EXHAUSTED, "SLOW_PUBLISHER",
                         "answers were not read for " + std::to_string(core_.stall().count()) +
                             " s; send again what was not acknowledged");
    const grpc::Status status = ending_;
    lock.unlock();
    core_.answered(handle_);
    Finish(status);
  }
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
    const size_t weight = weight_of(request_);
    if (!core_.budget(Lane::kWrites).take_admitted(weight)) {
      request_.Clear();
      return fail(lock, call_error_retry(grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED",
                                         "more is in hand than the service takes on; send again what was not "
                                         "acknowledged",
                                         200));
    }
    share_ = Share(core_.budget(Lane::kWrites), weight);
    working_ = true;
    lock.unlock();
    if (!core_.executor(Lane::kWrites).resume([self = shared_from_this()] { self->work(); })) {
      lock.lock();
      working_ = false;
      fail(lock, call_error(grpc::StatusCode::UNAVAILABLE, "STOPPING", "the service stops"));
    }
  }
  void OnWriteDone(bool ok) override {
    std::shared_ptr<Answer> sent;  // goes after the lock: its share may wake a stream, this one too
    std::unique_lock lock(mutex_);
    writing_ = false;
    sent = std::move(answers_.front());
    answers_.pop_front();
    if (!ok) return fail(lock, grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away"));
    go_on(lock);
  }
  void OnCancel() override { end_with(grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away")); }
  void OnDone() override {
    handle_->gone();
    core_.finished("Ingest.PublishStream", caller_, ending_, begun_);
    const auto keep = std::move(self_);
  }

 private:
  struct Answer {
    bool ready = false;
    pb::PublishStreamResponse response;
    grpc::ByteBuffer bytes;  // of the response, once it is ready
    Share share;
  };

  // One wish to read is under way at most.
  void read(std::unique_lock<std::mutex>& lock) {
    if (reading_ || read_all_ || ended_) return;
    reading_ = true;
    lock.unlock();
    core_.budget(Lane::kWrites).when_room([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->start_read();
    });
    lock.lock();
  }
  void start_read() {
    std::unique_lock lock(mutex_);
    if (finished_) return;
    if (ended_) {
      reading_ = false;
      return go_on(lock);
    }
    lock.unlock();
    StartRead(&request_);
  }

  void work() {
    auto answer = std::make_shared<Answer>();
    answer->share = std::move(share_);
    const std::string wire = bytes_of(request_);
    request_.Clear();
    PublishWire in;
    grpc::Status status = read_request(wire, kPublishStreamRequest, in);
    answer->response.set_sequence(in.sequence);
    std::vector<InputRecord> records;
    for (size_t i = 0; i < in.events.size() && status.ok(); ++i) {
      InputRecord record;
      Reason reason;
      switch (checker_.check(caller_, in.events[i], record, reason, detail_)) {
        case Checker::Answer::kTaken:
          records.push_back(std::move(record));
          break;
        case Checker::Answer::kNotAllowed:
          status = not_allowed(caller_, static_cast<int>(i));
          break;
        case Checker::Answer::kRejected: {
          pb::RejectedEvent* rejected = answer->response.add_rejected();
          rejected->set_index(static_cast<uint32_t>(i));
          rejected->set_reason(to_pb(reason));
          rejected->set_text(detail_);
        }
      }
    }
    answer->share.add(in.count * kAnswerBytes);
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
      answer->bytes = buffer_of(answer->response);
      answer->response.Clear();
      answer->share.shrink(weight_of(answer->bytes));
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
      last_write_ = std::chrono::steady_clock::now();
      const grpc::ByteBuffer* const next = &answers_.front()->bytes;
      lock.unlock();
      StartWrite(next);
      lock.lock();
    }
    if (!working_ && !finished_ && answers_.size() < kInFlightMax) read(lock);
  }

  ServiceCore& core_;
  const std::shared_ptr<CallHandle> handle_;
  const Caller caller_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  Checker checker_;  // used by the one work() at a time
  std::string detail_;
  grpc::ByteBuffer request_;
  Share share_;  // of request_
  std::mutex mutex_;
  std::chrono::steady_clock::time_point last_write_;
  std::deque<std::shared_ptr<Answer>> answers_;
  size_t appending_ = 0;
  bool reading_ = false, working_ = false, writing_ = false, read_all_ = false, ended_ = false, finished_ = false;
  grpc::Status ending_;
  std::shared_ptr<PublishStream> self_;
};

class RefusedStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

// Requests come as bytes: see request_wire.h.
using RawIngest =
    pb::Ingest::WithRawCallbackMethod_Publish<pb::Ingest::WithRawCallbackMethod_PublishStream<pb::Ingest::Service>>;

class IngestService final : public RawIngest {
 public:
  explicit IngestService(ServiceCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return run_unary<grpc::ByteBuffer, pb::PublishResponse>(
        core_, context, "Ingest.Publish", kMay, request, response,
        [this](const Call& call, const grpc::ByteBuffer& in, pb::PublishResponse& out) {
          return publish(call, in, out);
        },
        Lane::kWrites);
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* PublishStream(
      grpc::CallbackServerContext* context) override {
    Caller caller;
    if (grpc::Status status = core_.admit(*context, kMay, "Ingest.PublishStream", caller); !status.ok()) {
      core_.finished("Ingest.PublishStream", caller, status, std::chrono::steady_clock::now());
      return new RefusedStream(status);
    }
    auto stream = std::make_shared<bellwether::PublishStream>(core_, context, std::move(caller));
    stream->begin();
    return stream.get();
  }

 private:
  grpc::Status publish(const Call& call, const grpc::ByteBuffer& request, pb::PublishResponse& out) {
    const std::string wire = bytes_of(request);
    PublishWire in;
    if (grpc::Status read = read_request(wire, kPublishRequest, in); !read.ok()) return read;
    if (core_.deps().input == nullptr) return no_log();
    std::vector<InputRecord> records;
    FieldErrors wrong;
    std::string reason_text, detail;
    Checker checker(core_);
    for (size_t i = 0; i < in.events.size() && wrong.size() < 20; ++i) {
      InputRecord record;
      Reason reason;
      switch (checker.check(call.caller, in.events[i], record, reason, detail)) {
        case Checker::Answer::kTaken:
          records.push_back(std::move(record));
          break;
        case Checker::Answer::kNotAllowed:
          return not_allowed(call.caller, static_cast<int>(i));
        case Checker::Answer::kRejected: {
          const std::string field = field_of(detail);
          wrong.emplace_back("events[" + std::to_string(i) + "]" + (field.empty() ? "" : "." + field), detail);
          if (reason_text.empty())
            reason_text = pb::DeadLetterReason_Name(to_pb(reason)).substr(sizeof("DEAD_LETTER_REASON_") - 1);
        }
      }
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

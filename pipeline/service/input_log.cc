#include "pipeline/service/input_log.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>

#include "pipeline/service/forget_record.h"
#include "pipeline/sources/embedded_log.h"
#include "pipeline/sources/kafka_sink.h"

namespace bellwether {
namespace {

// Whoever publishes is told each time; whoever is on call once a minute.
class Refusals {
 public:
  void say(const Status& status) {
    {
      const std::lock_guard lock(mutex_);
      const auto now = std::chrono::steady_clock::now();
      if (said_ && now - *said_ < std::chrono::minutes(1)) return;
      said_ = now;
    }
    spdlog::error("the log takes nothing in, publishers are answered UNAVAILABLE and must send again: {}",
                  status.message);
  }

 private:
  std::mutex mutex_;
  std::optional<std::chrono::steady_clock::time_point> said_;
};

class EmbeddedInput final : public InputLog {
 public:
  explicit EmbeddedInput(EmbeddedLog& log) : log_(log) {}

  void append(std::vector<InputRecord> records, int, std::function<void(InputAck)> done) override {
    struct Pending {
      std::mutex mutex;
      size_t open = 0;
      InputAck ack;
      std::function<void(InputAck)> done;
    };
    const size_t partitions = log_.partitions();
    std::vector<std::vector<size_t>> by_partition(partitions);
    for (size_t i = 0; i < records.size(); ++i) by_partition[records[i].user_hash % partitions].push_back(i);

    // An append holds at most kAppendBytesMax; a larger request goes as several, in order.
    struct Part {
      size_t partition;
      std::vector<size_t> members;
    };
    std::vector<Part> parts;
    for (size_t p = 0; p < partitions; ++p) {
      size_t bytes = SIZE_MAX;
      for (const size_t i : by_partition[p]) {
        if (bytes == SIZE_MAX || bytes + records[i].value.size() > EmbeddedLog::kAppendBytesMax / 2)
          parts.push_back({p, {}}), bytes = 0;
        parts.back().members.push_back(i);
        bytes += records[i].value.size();
      }
    }
    if (parts.empty()) return done({});
    auto pending = std::make_shared<Pending>();
    pending->open = parts.size();
    pending->done = std::move(done);
    pending->ack.positions.resize(records.size());
    for (const Part& part : parts) {
      std::vector<std::string_view> values;
      values.reserve(part.members.size());
      for (const size_t i : part.members) values.emplace_back(records[i].value);
      log_.append_async(part.partition, values, [pending, part, refusals = refusals_](const Appended& appended) {
        bool last;
        {
          const std::lock_guard lock(pending->mutex);
          if (!appended.status.ok() && pending->ack.status.ok()) pending->ack.status = appended.status;
          for (size_t n = 0; n < part.members.size(); ++n)
            pending->ack.positions[part.members[n]] = {{"log", static_cast<int32_t>(part.partition)},
                                                       appended.first_offset + static_cast<int64_t>(n)};
          last = --pending->open == 0;
        }
        if (!last) return;
        if (!pending->ack.status.ok()) refusals->say(pending->ack.status);
        pending->done(std::move(pending->ack));
      });
    }
  }

 private:
  EmbeddedLog& log_;
  const std::shared_ptr<Refusals> refusals_ = std::make_shared<Refusals>();  // answers may come after this is gone
};

class KafkaInput final : public InputLog {
 public:
  KafkaInput(KafkaSink& sink, const std::vector<std::string>& topics) : sink_(sink) {
    static constexpr std::string_view kEndings[] = {".posts",     ".likes",      ".referrals",
                                                    ".betatests", ".judgements", ".accounts"};
    names_.resize(std::size(kEndings));
    for (size_t i = 0; i < names_.size(); ++i)
      for (const std::string& topic : topics)
        if (topic.ends_with(kEndings[i])) names_[i] = topic;
    // One topic for everything is a common way to begin.
    if (topics.size() == 1)
      for (std::string& name : names_) name = topics.front();
  }

  void append(std::vector<InputRecord> records, int timeout_ms, std::function<void(InputAck)> done) override {
    InputAck ack;
    std::vector<ToProduce> out;
    out.reserve(records.size());
    for (const InputRecord& record : records) {
      const std::string& topic = names_[static_cast<size_t>(record.topic)];
      if (topic.empty()) {
        ack.status = Status::error("kafka.topics has no topic for this kind of event");
        return done(std::move(ack));
      }
      out.push_back({topic, record.user, record.value});
    }
    for (Produced& produced : sink_.produce_all(out, timeout_ms)) {
      if (!produced.status.ok() && ack.status.ok()) ack.status = produced.status;
      ack.positions.push_back({produced.partition, produced.offset});
    }
    done(std::move(ack));
  }

 private:
  KafkaSink& sink_;
  std::vector<std::string> names_;  // by InputTopic
};

}  // namespace

void ForgettingInput::append(std::vector<InputRecord> records, int timeout_ms, std::function<void(InputAck)> done) {
  const std::shared_lock lock(gate_);
  if (const auto erased = erased_(); !erased->empty()) {
    RecordForgetter forgetter(hasher_, erased, {});
    std::string out;
    for (InputRecord& record : records) {
      if (forgetter.forget(record.value, out)) record.value = out;
      if (const std::string* name = erased->name(record.user_hash)) record.user = *name;
    }
  }
  to_->append(std::move(records), timeout_ms, std::move(done));
}

std::unique_ptr<InputLog> make_embedded_input(EmbeddedLog& log) { return std::make_unique<EmbeddedInput>(log); }
std::unique_ptr<InputLog> make_kafka_input(KafkaSink& sink, const std::vector<std::string>& topics) {
  return std::make_unique<KafkaInput>(sink, topics);
}

}  // namespace bellwether

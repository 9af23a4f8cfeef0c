#include <CLI/CLI.hpp>
#include <condition_variable>
#include <deque>
#include <iostream>
#include <map>
#include <mutex>
#include <thread>

#include "bellwether/v1/ingest.grpc.pb.h"
#include "bellwether/v1/key_users.grpc.pb.h"
#include "pipeline/decode/json.h"
#include "pipeline/service/ctl_client.h"
#include "pipeline/tools/lines.h"
#include "pipeline/tools/progress.h"

namespace bellwether::ctl {
namespace {

namespace pb = bellwether::v1;

constexpr size_t kInFlight = 8;  // requests without an answer
constexpr size_t kBatchBytes = 1 << 20;
constexpr int kShownMax = 20;  // rejected events told one by one

struct PublishOptions {
  std::string file = "-";
  uint32_t batch = 1000;
  double wait_s = 0, rate = 0;
};

// A request on its way: the line of each of its events, for messages.
struct Sent {
  uint64_t sequence;
  std::vector<uint64_t> lines;
};

class Publisher {
 public:
  Publisher(Client& client, const PublishOptions& options) : client_(client), options_(options) {}

  int run() {
    LineReader in;
    if (const Status status = in.open(options_.file); !status.ok()) {
      std::cerr << "bellwether: " << status.message << "\n";
      return 1;
    }
    auto stub = pb::Ingest::NewStub(client_.channel());
    grpc::ClientContext context;
    client_.prepare(context, true);
    context_ = &context;
    auto stream = stub->PublishStream(&context);
    ProgressBar bar("publishing", in.stream().raw_total());
    std::thread reader([&] { read(*stream); });
    const auto begun = std::chrono::steady_clock::now();

    pb::PublishStreamRequest request;
    Sent batch{1, {}};
    size_t bytes = 0;
    bool open = true;
    decode::JsonReader json;
    Arena arena;
    std::string_view line;
    LineReader::Got got;
    uint64_t events = 0;
    const auto flush = [&] {
      if (batch.lines.empty()) return;
      request.set_sequence(batch.sequence);
      open = wait_for_room(batch) && stream->Write(request);
      batch = {batch.sequence + 1, {}};
      request.clear_events();
      bytes = 0;
      if (options_.rate > 0)
        std::this_thread::sleep_until(begun +
                                      std::chrono::duration<double>(static_cast<double>(events) / options_.rate));
    };
    while (open && (got = in.next(line)) != LineReader::Got::kEnd) {
      if (got == LineReader::Got::kError) {
        std::cerr << "bellwether: " << in.status().message << "\n";
        broken_ = true;
        break;
      }
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      std::string_view wire;
      std::string detail;
      arena.clear();
      if (got == LineReader::Got::kTooLong) {
        bad_line(in.line_number(), "the line is longer than 1 MiB");
        continue;
      }
      if (json.translate(line, arena, wire, &detail) != Reason::kNone ||
          !request.add_events()->ParseFromArray(wire.data(), static_cast<int>(wire.size()))) {
        bad_line(in.line_number(), detail.empty() ? "is no event" : detail);
        if (static_cast<size_t>(request.events_size()) > batch.lines.size()) request.mutable_events()->RemoveLast();
        continue;
      }
      batch.lines.push_back(in.line_number());
      bytes += wire.size();
      bar.update(in.stream().raw_bytes(), ++events);
      if (batch.lines.size() == options_.batch || bytes > kBatchBytes) flush();
    }
    if (open) flush();
    stream->WritesDone();
    reader.join();
    const grpc::Status status = stream->Finish();
    bar.finish();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    if (!status.ok()) {
      std::cerr << "bellwether: " << written_
                << " events were acknowledged before the stream ended; sending the file again is harmless\n";
      return client_.failed(status);
    }
    report(seconds);
    if (const int code = wait_until_counted(); code != 0) return code;
    return rejected_ > 0 || broken_ ? 1 : 0;
  }

 private:
  bool wait_for_room(const Sent& batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || sent_.size() < kInFlight; });
    if (ended_) return false;
    sent_.push_back(batch);
    return true;
  }

  void read(grpc::ClientReaderWriter<pb::PublishStreamRequest, pb::PublishStreamResponse>& stream) {
    pb::PublishStreamResponse response;
    while (stream.Read(&response)) {
      const std::lock_guard lock(mutex_);
      if (sent_.empty() || sent_.front().sequence != response.sequence()) {
        std::cerr << "bellwether: the service answered out of order\n";
        context_->TryCancel();
        break;
      }
      written_ += static_cast<uint64_t>(response.positions_size());
      for (const pb::RejectedEvent& r : response.rejected())
        bad(r.index() < sent_.front().lines.size() ? sent_.front().lines[r.index()] : 0, r.text());
      for (const pb::Position& p : response.high_positions()) high_[{p.topic(), p.partition()}] = p;
      sent_.pop_front();
      changed_.notify_all();
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  void bad_line(uint64_t line, const std::string& why) {
    const std::lock_guard lock(mutex_);
    bad(line, why);
  }
  void bad(uint64_t line, const std::string& why) {
    if (rejected_++ < kShownMax) std::cerr << plain(options_.file) << ":" << line << ": " << plain(why) << "\n";
  }

  void report(double seconds) const {
    if (client_.options().json()) {
      std::cout << "{\"written\":" << written_ << ",\"rejected\":" << rejected_ << ",\"seconds\":" << seconds
                << ",\"positions\":[";
      bool first = true;
      for (const auto& [key, p] : high_) {
        std::cout << (first ? "" : ",") << "{\"topic\":\"" << plain(p.topic()) << "\",\"partition\":" << p.partition()
                  << ",\"offset\":\"" << p.offset() << "\"}";
        first = false;
      }
      std::cout << "]}\n";
      return;
    }
    std::cout << "written " << written_ << " events in " << points(static_cast<int64_t>(seconds * 1e6)) << " s";
    if (seconds > 0) std::cout << " (" << static_cast<uint64_t>(static_cast<double>(written_) / seconds) << "/s)";
    if (rejected_ > 0) std::cout << ", rejected " << rejected_;
    std::cout << "\n";
    for (const auto& [key, p] : high_)
      std::cout << "  up to " << plain(p.topic()) << "/" << p.partition() << " at " << p.offset() << "\n";
  }

  int wait_until_counted() {
    if (options_.wait_s <= 0 || high_.empty()) return 0;
    auto stub = pb::KeyUsers::NewStub(client_.channel());
    grpc::ClientContext context;
    client_.prepare(context, true);
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(static_cast<int64_t>(options_.wait_s * 1000)));
    pb::GetLeaderboardRequest request;
    request.set_page_size(1);
    for (const auto& [key, p] : high_) *request.add_min_position() = p;
    pb::GetLeaderboardResponse response;
    const grpc::Status status = stub->GetLeaderboard(&context, request, &response);
    if (!status.ok()) return client_.failed(status);
    if (!client_.options().json()) std::cout << "counted as of " << time_text(response.as_of().watermark()) << "\n";
    return 0;
  }

  Client& client_;
  const PublishOptions& options_;
  grpc::ClientContext* context_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Sent> sent_;
  std::map<std::pair<std::string, int32_t>, pb::Position> high_;
  uint64_t written_ = 0, rejected_ = 0;
  bool ended_ = false, broken_ = false;
};

}  // namespace

void add_publish(CLI::App& ctl, const Run& run) {
  auto o = std::make_shared<PublishOptions>();
  CLI::App* c = ctl.add_subcommand("publish", "Send events to the service: JSON lines, .gz and .zst as they are");
  c->add_option("file", o->file, "The file, or - for standard input")->capture_default_str();
  c->add_option("--batch", o->batch, "Events a request")->check(CLI::Range(1, 10'000))->capture_default_str();
  c->add_option("--rate", o->rate, "At most so many events a second")->check(CLI::PositiveNumber);
  c->add_option("--wait", o->wait_s, "Seconds to wait until the events are counted")->check(CLI::NonNegativeNumber);
  c->callback([run, o] { run([o](Client& client) { return Publisher(client, *o).run(); }); });
}

}  // namespace bellwether::ctl

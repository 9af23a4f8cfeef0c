#include "pipeline/service/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <fstream>
#include <map>
#include <mutex>

#include "operators/flags.h"

namespace bellwether {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

const prometheus::Histogram::BucketBoundaries kCallBuckets = {.0005, .001, .0025, .005, .01, .025, .05,
                                                              .1,    .25,  .5,    1,    2.5, 5,    10};
const prometheus::Histogram::BucketBoundaries kCommitBuckets = {.001, .0025, .005, .01, .025, .05, .1,
                                                                .25,  .5,    1,    2.5, 5,    10,  30};

// Builds families in the order asked for.
class Families {
 public:
  void counter(const std::string& name, const std::string& help, double value, const Labels& labels = {}) {
    ClientMetric& metric = add(name, help, MetricType::Counter, labels);
    metric.counter.value = value;
  }
  void gauge(const std::string& name, const std::string& help, double value, const Labels& labels = {}) {
    ClientMetric& metric = add(name, help, MetricType::Gauge, labels);
    metric.gauge.value = value;
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  ClientMetric& add(const std::string& name, const std::string& help, MetricType type, const Labels& labels) {
    if (families_.empty() || families_.back().name != name) {
      MetricFamily family;
      family.name = name, family.help = help, family.type = type;
      families_.push_back(std::move(family));
    }
    ClientMetric& metric = families_.back().metric.emplace_back();
    for (const auto& [key, value] : labels) metric.label.push_back({key, value});
    return metric;
  }
  std::vector<MetricFamily> families_;
};

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double size = 0, resident = 0;
  in >> size >> resident;
  return resident * 4096;
}

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

double seconds_of(int64_t us) { return static_cast<double>(us) / 1e6; }

class Figures final : public prometheus::Collectable {
 public:
  explicit Figures(Metrics::Deps deps) : deps_(std::move(deps)) {}

  void queue(std::string_view name, size_t depth) {
    const std::lock_guard lock(mutex_);
    queues_[std::string(name)] = depth;
  }
  void kafka(std::map<std::string, double> figures) {
    const std::lock_guard lock(mutex_);
    kafka_ = std::move(figures);
  }

  std::vector<MetricFamily> Collect() const override {
    Families f;
    f.gauge("bellwether_build_info", "The program's version, always 1.", 1, {{"version", deps_.version}});
    if (const auto at = deps_.published ? deps_.published() : nullptr) published(*at, f);
    if (deps_.figures) engine(deps_.figures(), f);
    if (deps_.store) store(deps_.store(), f);
    if (deps_.outbox_failures)
      f.counter("bellwether_outbox_failures_total", "Times that the sink of out records had to be made anew.",
                static_cast<double>(deps_.outbox_failures()));
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [name, depth] : queues_)
        f.gauge("bellwether_queue_depth", "What waits in a queue.", static_cast<double>(depth), {{"queue", name}});
      for (const auto& [name, value] : kafka_) f.gauge("bellwether_kafka_" + name, "As librdkafka reports it.", value);
    }
    f.gauge("bellwether_memory_resident_bytes", "Memory of the process.", resident_bytes());
    f.counter("bellwether_cpu_seconds_total", "Processor time of the process.", cpu_seconds());
    return f.take();
  }

 private:
  static void published(const Published& at, Families& f) {
    const auto account = [&](const char* name, const char* help, uint64_t Account::*field) {
      for (const PartitionState& p : at.partitions())
        f.counter(name, help, static_cast<double>(p.account.*field),
                  {{"topic", p.id.topic}, {"partition", std::to_string(p.id.number)}});
    };
    account("bellwether_records_consumed_total",
            "Records of committed ticks: applied + duplicate + late + dead_lettered.", &Account::consumed);
    account("bellwether_records_applied_total", "Records folded on time.", &Account::applied);
    account("bellwether_records_duplicate_total", "Records left out: the same event or meaning again.",
            &Account::duplicate);
    account("bellwether_records_late_total", "Records folded in a later tick than that of their time.", &Account::late);
    account("bellwether_records_dead_lettered_total", "Records that are no events.", &Account::dead_lettered);
    account("bellwether_id_collisions_total", "Messages dropped because two ids have the same hash.",
            &Account::id_collisions);
    for (const PartitionState& p : at.partitions())
      f.counter("bellwether_gap_offsets_total",
                "Offsets gone before they were read and passed over (kafka.on_gap: skip); not in consumed.",
                static_cast<double>(p.gap), {{"topic", p.id.topic}, {"partition", std::to_string(p.id.number)}});
    for (size_t r = 1; r < kReasons; ++r)
      f.counter("bellwether_dead_letters_total", "Dead letters by reason.", static_cast<double>(at.progress().dead[r]),
                {{"reason", std::string(reason_name(static_cast<Reason>(r)))}});
    f.counter("bellwether_ticks_total", "Ticks folded since the store was made.",
              static_cast<double>(at.progress().ticks));
    f.gauge("bellwether_committed_time_seconds", "Event time of the last committed tick, since 1970.",
            seconds_of(at.now_us()));
    Status status;
    const auto count = [&](uint16_t family) { return static_cast<double>(at.counter({family, 0}, status)); };
    f.gauge("bellwether_users", "Users known.", count(kCounterUsers));
    f.gauge("bellwether_users_scored", "Users with a score.", count(kCounterRated));
    f.gauge("bellwether_posts", "Posts known.", count(kCounterPosts));
    for (const FlagKind kind : {FlagKind::kRing, FlagKind::kBurst, FlagKind::kRanking})
      f.gauge("bellwether_flags", "Flags that discount, by kind.",
              static_cast<double>(at.counter({kCounterFlags, static_cast<uint32_t>(kind)}, status)),
              {{"kind", flag_kind_name(kind)}});
    f.gauge("bellwether_analyses_waiting", "Analyses begun whose result is due later.",
            static_cast<double>(at.progress().findings.size()));
    f.gauge("bellwether_configuration_info", "The community's rules in force, always 1.", 1,
            {{"version", at.community().version}});
  }

  static void engine(const EngineFigures& e, Families& f) {
    int64_t furthest = INT64_MIN;
    for (const PartitionFigures& p : e.partitions) furthest = std::max(furthest, p.watermark_us);
    const auto each = [&](const char* name, const char* help, auto value) {
      for (const PartitionFigures& p : e.partitions)
        if (const auto v = value(p))
          f.gauge(name, help, *v, {{"topic", p.id.topic}, {"partition", std::to_string(p.id.number)}});
    };
    using Value = std::optional<double>;
    each("bellwether_watermark_seconds", "The newest trusted time read, less the lateness, since 1970.",
         [](const PartitionFigures& p) {
           return p.watermark_us == INT64_MIN ? Value{} : Value{seconds_of(p.watermark_us)};
         });
    each("bellwether_watermark_lag_seconds",
         "How far the watermark lies behind that of the furthest partition, in event time.",
         [&](const PartitionFigures& p) {
           return p.watermark_us == INT64_MIN ? Value{} : Value{seconds_of(furthest - p.watermark_us)};
         });
    each("bellwether_lag_records", "Records not yet read.", [](const PartitionFigures& p) {
      return p.end_offset < 0 ? Value{}
                              : Value{static_cast<double>(std::max<int64_t>(0, p.end_offset - p.next_offset))};
    });
    each("bellwether_next_offset", "The next offset to read.",
         [](const PartitionFigures& p) { return Value{static_cast<double>(p.next_offset)}; });
    each("bellwether_partition_idle", "1 while a partition was empty for so long that it holds nobody up.",
         [](const PartitionFigures& p) { return Value{p.idle ? 1.0 : 0.0}; });
    f.gauge("bellwether_pending_records", "Records read that wait in open ticks.", static_cast<double>(e.pending));
    f.gauge("bellwether_ingest_queue_bytes", "Records read that wait to be folded, those in open ticks too.",
            static_cast<double>(e.held_bytes));
    f.gauge("bellwether_uncommitted_bytes", "Changed state that no commit carries yet.",
            static_cast<double>(e.dirty_bytes));
    f.gauge("bellwether_caught_up", "1 while there is nothing more to read.", e.caught_up ? 1 : 0);
    f.counter("bellwether_commits_total", "Commits since the process began.", static_cast<double>(e.commit.commits));
    f.counter("bellwether_commit_rows_total", "Rows written by commits.", static_cast<double>(e.commit.rows));
    f.counter("bellwether_commit_bytes_total", "Bytes written by commits.", static_cast<double>(e.commit.bytes));
    f.gauge("bellwether_cache_bytes", "Memory of decoded states.", static_cast<double>(e.cache.cache_bytes));
    f.gauge("bellwether_cache_states", "Decoded states in memory.", static_cast<double>(e.cache.states));
    f.counter("bellwether_cache_hits_total", "States found in memory.", static_cast<double>(e.cache.cache_hits));
    f.counter("bellwether_cache_misses_total", "States read from the store.",
              static_cast<double>(e.cache.cache_misses));
    f.gauge("bellwether_outbox_pending", "Out records not yet delivered.", static_cast<double>(e.outbox_pending));
  }

  static void store(const Store::Figures& s, Families& f) {
    f.gauge("bellwether_store_disk_bytes", "The store's files.", static_cast<double>(s.bytes_on_disk));
    f.gauge("bellwether_store_write_buffer_bytes", "Memory of write buffers.", static_cast<double>(s.memtable_bytes));
    f.gauge("bellwether_store_block_cache_bytes", "Memory of cached blocks.", static_cast<double>(s.block_cache_bytes));
    f.gauge("bellwether_store_rows", "Rows, estimated.", static_cast<double>(s.estimated_rows));
  }

  const Metrics::Deps deps_;
  mutable std::mutex mutex_;
  std::map<std::string, size_t> queues_;
  std::map<std::string, double> kafka_;
};

}  // namespace

class Metrics::Impl {
 public:
  explicit Impl(Deps deps)
      : registry(std::make_shared<prometheus::Registry>()),
        figures(std::make_shared<Figures>(std::move(deps))),
        calls(prometheus::BuildHistogram()
                  .Name("bellwether_call_seconds")
                  .Help("Time of calls by method.")
                  .Register(*registry)),
        codes(prometheus::BuildCounter()
                  .Name("bellwether_calls_total")
                  .Help("Calls by method and status code.")
                  .Register(*registry)),
        commits(prometheus::BuildHistogram()
                    .Name("bellwether_commit_seconds")
                    .Help("Time of commits in the store.")
                    .Register(*registry)
                    .Add({}, kCommitBuckets)) {}

  std::shared_ptr<prometheus::Registry> registry;
  std::shared_ptr<Figures> figures;
  prometheus::Family<prometheus::Histogram>& calls;
  prometheus::Family<prometheus::Counter>& codes;
  prometheus::Histogram& commits;
  std::unique_ptr<prometheus::Exposer> exposer;
};

Metrics::Metrics(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Metrics::~Metrics() = default;

Status Metrics::start(const std::string& listen, Deps deps, std::unique_ptr<Metrics>& out) {
  auto impl = std::make_unique<Impl>(std::move(deps));
  try {
    impl->exposer = std::make_unique<prometheus::Exposer>(listen, 2);
  } catch (const std::exception& error) {
    return Status::error("metrics.listen: cannot listen on " + listen + ": " + error.what());
  }
  impl->exposer->RegisterCollectable(impl->registry);
  impl->exposer->RegisterCollectable(impl->figures);
  out.reset(new Metrics(std::move(impl)));
  return {};
}

void Metrics::call(std::string_view method, std::string_view code, double seconds) {
  const std::string name(method);
  if (code == "OK" && !name.ends_with("Stream") && name.find(".Watch") == std::string::npos)
    impl_->calls.Add({{"method", name}}, kCallBuckets).Observe(seconds);
  impl_->codes.Add({{"method", name}, {"code", std::string(code)}}).Increment();
}
void Metrics::commit(double seconds) { impl_->commits.Observe(seconds); }
void Metrics::queue(std::string_view queue, size_t depth) { impl_->figures->queue(queue, depth); }

void Metrics::kafka_statistics(std::string_view json) {
  // A few top-level numbers of a fixed writer: no parser needed.
  std::map<std::string, double> found;
  for (const auto& [key, name] : {std::pair{"\"replyq\":", "reply_queue"},
                                  {"\"msg_cnt\":", "queued_messages"},
                                  {"\"msg_size\":", "queued_bytes"},
                                  {"\"rx_bytes\":", "received_bytes"},
                                  {"\"tx_bytes\":", "sent_bytes"},
                                  {"\"rxmsgs\":", "received_messages"},
                                  {"\"txmsgs\":", "sent_messages"}}) {
    const size_t at = json.find(key);
    if (at != std::string_view::npos)
      found[name] = std::atof(std::string(json.substr(at + std::string_view(key).size(), 24)).c_str());
  }
  impl_->figures->kafka(std::move(found));
}

std::string Metrics::text() const {
  std::vector<prometheus::MetricFamily> families = impl_->registry->Collect();
  for (auto& family : impl_->figures->Collect()) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace bellwether

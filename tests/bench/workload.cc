// Makes a workload, up to a second out of order, the same bytes for the same options:
//   workload likes|mixed [--events 1000000] [--users 100000] [--seed 1] [--minutes 43200] [--zipf-likers 0.8]
//            [--zipf-authors 1.0] [--famous-permille 0]
//            [--records FILE] [--jsonl FILE] [--broker HOST:PORT --topic NAME [--partitions 4]]
// likes: the peers' job (a hundredth of the records repeat an earlier one of the last 7.2 h), keyed by author. mixed:
// all kinds of events, keyed by user. --records writes what the topic gets, --jsonl the same events for `bellwether
// replay`. Prints one JSON line.
#include <google/protobuf/util/json_util.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "made_events.h"
#include "pipeline/sources/kafka_sink.h"
#include "records.h"

namespace {

using namespace bellwether;
using namespace bellwether::bench;

struct Options {
  std::string what, records, jsonl, broker, topic;
  uint64_t events = 1'000'000, seed = 1;
  uint32_t users = 100'000, minutes = 30 * 24 * 60;  // of event time
  uint32_t famous_permille = 0;                      // of mixed: posts by one author
  int partitions = 4;
  double zipf_likers = 0.8, zipf_authors = 1.0;
};

// Uncompressed, placed by key as the Java clients do.
std::unique_ptr<KafkaSink> open_sink(const Options& options) {
  KafkaConfig config;
  config.brokers = options.broker;
  config.properties = {
      {"partitioner", "murmur2_random"}, {"compression.type", "none"}, {"linger.ms", "20"}, {"batch.size", "1000000"}};
  KafkaSink::Options sink_options;
  sink_options.topics = {options.topic}, sink_options.partitions = options.partitions;
  KafkaHooks hooks;
  hooks.log = [](auto, auto text) { std::fprintf(stderr, "%s\n", std::string(text).c_str()); };
  std::unique_ptr<KafkaSink> sink;
  if (Status s = KafkaSink::open(config, sink_options, std::move(hooks), sink); !s.ok()) fail(s.message);
  return sink;
}

int make(const Options& options) {
  constexpr size_t kReach = 50'000;  // a repeat comes at most so many records later
  const bool likes = options.what == "likes";
  std::unique_ptr<RecordWriter> records;
  if (!options.records.empty()) records = std::make_unique<RecordWriter>(options.records);
  std::FILE* jsonl = options.jsonl.empty() ? nullptr : std::fopen(options.jsonl.c_str(), "wb");
  if (!options.jsonl.empty() && jsonl == nullptr) fail("cannot write " + options.jsonl);
  std::unique_ptr<KafkaSink> sink;
  if (!options.broker.empty()) sink = open_sink(options);

  Random random(options.seed);
  LikeEvents like_events(likes ? options.users : 2, options.zipf_likers, options.zipf_authors);
  MixedEvents mixed_events(likes ? 2 : options.users, "",
                           {options.zipf_likers, options.zipf_authors, options.famous_permille});
  const uint64_t reach = std::max<uint64_t>(1, std::min<uint64_t>(kReach, options.events / 100));
  std::vector<v1::Event> recent(likes ? kReach : 1);
  uint64_t repeats = 0, bytes = 0;
  std::string value, line;
  const double begin = wall_seconds();
  for (uint64_t i = 0; i < options.events; ++i) {
    v1::Event& e = recent[i % recent.size()];
    const int64_t time_us =
        kFirstUs +
        static_cast<int64_t>(static_cast<unsigned __int128>(options.minutes) * 60'000'000 * i / options.events) -
        static_cast<int64_t>(random.below(1'000'001));
    if (likes && i > 0 && random.below(100) == 0) {
      const uint64_t back = 1 + random.below(std::min(i, reach));
      if (back % kReach != 0) e = recent[(i - back) % kReach];
      ++repeats;
    } else if (likes) {
      like_events.next(random, i, time_us, e);
    } else {
      mixed_events.next(random, i, time_us, e);
    }
    const std::string& key = likes ? e.like().author() : e.user();
    if (records != nullptr || sink != nullptr) {
      if (!e.SerializeToString(&value)) fail("an event cannot be written");
      bytes += key.size() + value.size();
    }
    if (records != nullptr) records->write(key, value);
    if (jsonl != nullptr) {
      line.clear();
      if (!google::protobuf::util::MessageToJsonString(e, &line).ok()) fail("an event cannot be written as JSON");
      line.push_back('\n');
      if (std::fwrite(line.data(), 1, line.size(), jsonl) != line.size()) fail("cannot write " + options.jsonl);
    }
    if (sink != nullptr) {
      OutRecord out;
      out.sequence = i + 1, out.topic = options.topic, out.key = key, out.value = value;
      while (!sink->enqueue(out, 1000))
        if (Status s = sink->failure(); !s.ok()) fail(s.message);
    }
  }
  if (jsonl != nullptr && std::fclose(jsonl) != 0) fail("cannot write " + options.jsonl);
  if (sink != nullptr)
    if (Status s = sink->flush(120'000); !s.ok()) fail(s.message);
  std::printf("{\"workload\":\"%s\",\"events\":%llu,\"repeats\":%llu,\"bytes\":%llu,\"wall_s\":%.2f}\n",
              options.what.c_str(), static_cast<unsigned long long>(options.events),
              static_cast<unsigned long long>(repeats), static_cast<unsigned long long>(bytes), wall_seconds() - begin);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Makes a workload for measurements");
  app.add_option("WHAT", options.what)->required()->check(CLI::IsMember({"likes", "mixed"}));
  app.add_option("--events", options.events);
  app.add_option("--users", options.users)->check(CLI::Range(2, 100'000'000));
  app.add_option("--seed", options.seed);
  app.add_option("--minutes", options.minutes)->check(CLI::Range(1, 100'000'000));
  app.add_option("--zipf-likers", options.zipf_likers)->check(CLI::Range(0.0, 3.0));
  app.add_option("--zipf-authors", options.zipf_authors)->check(CLI::Range(0.0, 3.0));
  app.add_option("--famous-permille", options.famous_permille)->check(CLI::Range(0, 1000));
  app.add_option("--records", options.records);
  app.add_option("--jsonl", options.jsonl);
  app.add_option("--broker", options.broker);
  app.add_option("--topic", options.topic)->needs("--broker");
  app.add_option("--partitions", options.partitions)->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  return make(options);
}

// The limits that a replay is measured against, each read to its end once:
//   limits decode FILE            file source and decode, nothing else
//   limits drain BROKER TOPIC     Kafka source alone, records counted and thrown away
//   limits drain-decode BROKER TOPIC
// Prints one JSON line: records, bytes, dead letters, seconds of wall time, CPU seconds of the process.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/decode/decoder.h"
#include "pipeline/sources/file_source.h"
#include "pipeline/sources/kafka_source.h"

namespace {

using namespace bellwether;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "limits: %s\n", what.c_str());
  std::exit(1);
}

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (!(mode == "decode" && argc == 3) && !((mode == "drain" || mode == "drain-decode") && argc == 4)) {
    std::fprintf(stderr, "usage: limits decode FILE | drain BROKER TOPIC | drain-decode BROKER TOPIC\n");
    return 2;
  }
  const Hasher hasher("bellwether");
  Decoder decoder(hasher);
  Arena arena;
  std::unique_ptr<Source> source;
  if (mode == "decode") {
    std::unique_ptr<FileSource> file;
    if (Status s = FileSource::open({argv[2]}, file); !s.ok()) fail(s.message);
    source = std::move(file);
  } else {
    KafkaConfig config;
    config.brokers = argv[2], config.topics = {argv[3]};
    KafkaHooks hooks;
    hooks.log = [](auto, auto text) { std::fprintf(stderr, "%s\n", std::string(text).c_str()); };
    std::unique_ptr<KafkaSource> kafka;
    if (Status s = KafkaSource::open(config, std::move(hooks), kafka); !s.ok()) fail(s.message);
    while (kafka->partitions().empty())
      if (Status s = kafka->refresh(); !s.ok()) fail(s.message);
    source = std::move(kafka);
  }
  const size_t partitions = source->partitions().size();
  for (size_t p = 0; p < partitions; ++p)
    if (Status s = source->start(p, -1); !s.ok()) fail(s.message);

  uint64_t records = 0, bytes = 0, dead = 0;
  std::vector<bool> done(partitions, false);
  size_t left = partitions;
  const auto begin = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  Batch batch;
  Fact fact;
  while (left > 0) {
    for (size_t p = 0; p < partitions; ++p) {
      if (done[p]) continue;
      if (Status s = source->poll(p, 10000, 100, batch); !s.ok()) fail(s.message);
      for (const RawRecord& r : batch.records) {
        ++records, bytes += r.value.size();
        if (mode != "drain") dead += decoder.decode(r.value, arena, fact, nullptr) != Reason::kNone;
      }
      arena.clear();
      if (batch.ended || batch.at_end) done[p] = true, --left;
    }
  }
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf(
      "{\"mode\":\"%s\",\"records\":%llu,\"bytes\":%llu,\"dead\":%llu,\"wall_s\":%.3f,\"cpu_s\":%.3f,\"per_s\":%.0f}\n",
      mode.c_str(), static_cast<unsigned long long>(records), static_cast<unsigned long long>(bytes),
      static_cast<unsigned long long>(dead), wall, cpu_seconds() - cpu, static_cast<double>(records) / wall);
}

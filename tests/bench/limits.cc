// The limits that the pipeline is measured against, each over all records once:
//   limits decode FILE             file source and decode of JSON lines, nothing else
//   limits decode-records FILE     decode alone, of protobuf records as workload writes them
//   limits drain BROKER TOPIC      Kafka source alone, records counted and thrown away
//   limits drain-decode BROKER TOPIC
//   limits memory FILE             the whole pipeline, but the commits go to a map in memory
// Prints one JSON line: records, bytes, dead letters, seconds of wall time, CPU seconds of the process.
#include <memory>
#include <vector>

#include "operator_set.h"
#include "pipeline/decode/decoder.h"
#include "pipeline/sources/file_source.h"
#include "pipeline/sources/kafka_source.h"
#include "records.h"

namespace {

using namespace bellwether;
using namespace bellwether::bench;

struct Counted {
  uint64_t records = 0, bytes = 0, dead = 0;
  double wall = 0, cpu = 0;
};

void print(const std::string& mode, const Counted& c) {
  std::printf("{\"mode\":\"%s\",\"records\":%llu,\"bytes\":%llu,\"dead\":%llu,\"wall_s\":%.3f,\"cpu_s\":%.3f}\n",
              mode.c_str(), static_cast<unsigned long long>(c.records), static_cast<unsigned long long>(c.bytes),
              static_cast<unsigned long long>(c.dead), c.wall, c.cpu);
}

Counted decode_records(const std::string& path) {
  const Hasher hasher("bellwether");
  Decoder decoder(hasher);
  Arena arena;
  Fact fact;
  RecordReader in(path);
  Counted c;
  std::string_view key, value;
  c.wall = -wall_seconds(), c.cpu = -cpu_seconds();
  while (in.next(key, value)) {
    c.dead += decoder.decode(value, arena, fact, nullptr) != Reason::kNone;
    c.bytes += value.size();
    if (++c.records % 1024 == 0) arena.clear();
  }
  c.wall += wall_seconds(), c.cpu += cpu_seconds();
  return c;
}

Counted memory(const std::string& path) {
  const Config config = default_config();
  std::unique_ptr<FileSource> file;
  if (Status s = FileSource::open({path}, file); !s.ok()) fail(s.message);
  const std::unique_ptr<Store> store = make_memory_store();
  EngineOptions options;
  options.floors = false;
  std::unique_ptr<Engine> engine;
  Counted c;
  c.wall = -wall_seconds(), c.cpu = -cpu_seconds();
  if (Status s = Engine::open(config, operator_set(), *store, {{file.get(), false}}, options, engine); !s.ok())
    fail(s.message);
  if (Status s = engine->run(); !s.ok()) fail(s.message);
  c.wall += wall_seconds(), c.cpu += cpu_seconds();
  const Account a = engine->published()->account();
  c.records = a.consumed, c.dead = a.dead_lettered, c.bytes = static_cast<uint64_t>(file->bytes_read());
  return c;
}

std::unique_ptr<Source> open_file(const std::string& path) {
  std::unique_ptr<FileSource> file;
  if (Status s = FileSource::open({path}, file); !s.ok()) fail(s.message);
  return file;
}

std::unique_ptr<Source> open_topic(const std::string& broker, const std::string& topic) {
  KafkaConfig config;
  config.brokers = broker, config.topics = {topic};
  KafkaHooks hooks;
  hooks.log = [](auto, auto text) { std::fprintf(stderr, "%s\n", std::string(text).c_str()); };
  std::unique_ptr<KafkaSource> kafka;
  if (Status s = KafkaSource::open(config, std::move(hooks), kafka); !s.ok()) fail(s.message);
  while (kafka->partitions().empty())
    if (Status s = kafka->refresh(); !s.ok()) fail(s.message);
  return kafka;
}

Counted drain(Source& source, bool decode) {
  const Hasher hasher("bellwether");
  Decoder decoder(hasher);
  Arena arena;
  Fact fact;
  const size_t partitions = source.partitions().size();
  for (size_t p = 0; p < partitions; ++p)
    if (Status s = source.start(p, -1); !s.ok()) fail(s.message);
  std::vector<bool> done(partitions, false);
  size_t left = partitions;
  Batch batch;
  Counted c;
  // From the first record on: what finding the broker takes is no drain.
  double wall = 0, cpu = 0;
  while (left > 0) {
    for (size_t p = 0; p < partitions; ++p) {
      if (done[p]) continue;
      if (Status s = source.poll(p, 10000, 100, batch); !s.ok()) fail(s.message);
      if (wall == 0 && !batch.records.empty()) wall = wall_seconds(), cpu = cpu_seconds();
      for (const RawRecord& r : batch.records) {
        ++c.records, c.bytes += r.value.size();
        if (decode) c.dead += decoder.decode(r.value, arena, fact, nullptr) != Reason::kNone;
      }
      arena.clear();
      if (batch.ended || batch.at_end) done[p] = true, --left;
    }
  }
  c.wall = wall_seconds() - wall, c.cpu = cpu_seconds() - cpu;
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "decode" && argc == 3) {
    print(mode, drain(*open_file(argv[2]), true));
  } else if (mode == "decode-records" && argc == 3) {
    print(mode, decode_records(argv[2]));
  } else if (mode == "memory" && argc == 3) {
    print(mode, memory(argv[2]));
  } else if ((mode == "drain" || mode == "drain-decode") && argc == 4) {
    print(mode, drain(*open_topic(argv[2], argv[3]), mode == "drain-decode"));
  } else {
    std::fprintf(stderr,
                 "usage: limits decode FILE | decode-records FILE | memory FILE | drain BROKER TOPIC | drain-decode "
                 "BROKER TOPIC\n");
    return 2;
  }
}

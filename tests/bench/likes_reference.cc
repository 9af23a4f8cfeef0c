// The peers' job, plainly: one thread, maps in memory, nothing durable, records from a file of workload or of the
// peers' generator.
//   likes_reference FILE
// Decode with protobuf, drop ids seen before, give the author 1,000,000 >> n micro-points, n the likes of the same pair
// within the 30 days before. Prints one JSON line: events, duplicates, authors, undecayed points, seconds. It shares no
// code with the program but the schema.
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include "bellwether/v1/event.pb.h"
#include "records.h"

namespace {

using namespace bellwether;
using namespace bellwether::bench;

constexpr int64_t kDay = 86400, kPairWindow = 30 * kDay;
constexpr size_t kPairTimes = 20;  // further halvings leave nothing of a million

uint32_t number_of(absl::flat_hash_map<std::string, uint32_t>& names, const std::string& name) {
  return names.try_emplace(name, static_cast<uint32_t>(names.size())).first->second;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: likes_reference FILE\n");
    return 2;
  }
  RecordReader in(argv[1]);
  absl::flat_hash_map<std::string, uint32_t> users;
  absl::flat_hash_set<std::string> today, yesterday;  // ids are kept for one to two days
  absl::flat_hash_map<uint64_t, std::vector<uint32_t>> pairs;
  std::vector<std::pair<bool, int64_t>> authors;
  int64_t id_day = 0;
  uint64_t events = 0, duplicates = 0;
  v1::Event e;
  std::string_view key, value;
  const double begin = wall_seconds(), cpu = cpu_seconds();
  while (in.next(key, value)) {
    if (!e.ParseFromArray(value.data(), static_cast<int>(value.size()))) fail("a record is no event");
    ++events;
    const int64_t time = e.time().seconds();
    if (time / kDay > id_day) {
      yesterday = time / kDay == id_day + 1 ? std::move(today) : absl::flat_hash_set<std::string>();
      today.clear();
      id_day = time / kDay;
    }
    if (yesterday.contains(e.id()) || !today.insert(e.id()).second) {
      ++duplicates;
      continue;
    }
    const uint32_t author = number_of(users, e.like().author()), liker = number_of(users, e.user());
    std::vector<uint32_t>& times = pairs[static_cast<uint64_t>(author) << 32 | liker];
    std::erase_if(times, [&](uint32_t t) { return t <= time - kPairWindow; });
    if (author >= authors.size()) authors.resize(std::max<size_t>(author + 1, authors.size() * 2));
    authors[author].first = true;
    authors[author].second += 1'000'000 >> times.size();
    if (times.size() == kPairTimes) times.erase(times.begin());
    times.push_back(static_cast<uint32_t>(time));
  }
  const double wall = wall_seconds() - begin, used = cpu_seconds() - cpu;
  uint64_t liked = 0;
  int64_t undecayed = 0;
  for (const auto& [present, points] : authors) liked += present, undecayed += points;
  std::printf(
      "{\"records\":%llu,\"duplicates\":%llu,\"authors\":%llu,\"undecayed_micros\":%lld,\"wall_s\":%.3f,\"cpu_s\":%.3f}"
      "\n",
      static_cast<unsigned long long>(events), static_cast<unsigned long long>(duplicates),
      static_cast<unsigned long long>(liked), static_cast<long long>(undecayed), wall, used);
}

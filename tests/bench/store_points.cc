// What the likes in a data folder brought, without decay:
//   store_points DATA
// Sums the buckets of every user by the rule like_received. Prints one JSON line to compare with likes_reference.
#include "operator_set.h"
#include "operators/scores.h"
#include "records.h"

int main(int argc, char** argv) {
  using namespace bellwether;
  if (argc != 2) {
    std::fprintf(stderr, "usage: store_points DATA\n");
    return 2;
  }
  std::unique_ptr<Store> store;
  StoreOptions options;
  options.read_only = true;
  if (Status s = open_rocks_store(argv[1], options, store); !s.ok()) bench::fail(s.message);
  std::shared_ptr<const Published> published;
  if (Status s = read_published(*store, bench::operator_set(), published); !s.ok()) bench::fail(s.message);
  uint64_t authors = 0, users = 0;
  int64_t undecayed = 0, likes = 0;
  const Status status = published->scan_states([&](const StateKey& key, const State& state) {
    if (key.op != OperatorId::kScores) return true;
    ++users;
    int64_t own = 0;
    for (const Bucket& b : dynamic_cast<const ScoresState&>(state).book.buckets())
      if (b.rule == RuleId::kLikeReceived) own += b.count, undecayed += b.authentic_micros;
    likes += own, authors += own > 0;
    return true;
  });
  if (!status.ok()) bench::fail(status.message);
  const Account a = published->account();
  std::printf(
      "{\"records\":%llu,\"applied\":%llu,\"duplicates\":%llu,\"late\":%llu,\"dead\":%llu,\"users\":%llu,"
      "\"authors\":%llu,\"likes\":%lld,\"undecayed_micros\":%lld}\n",
      static_cast<unsigned long long>(a.consumed), static_cast<unsigned long long>(a.applied),
      static_cast<unsigned long long>(a.duplicate), static_cast<unsigned long long>(a.late),
      static_cast<unsigned long long>(a.dead_lettered), static_cast<unsigned long long>(users),
      static_cast<unsigned long long>(authors), static_cast<long long>(likes), static_cast<long long>(undecayed));
}

// A laboratory for ring detection: plants rings into a real stream of likes and runs the detector's parts over it in
// one pass, all in memory. Prints F1 a ring, the organic users flagged, what a like costs and what the states hold.
//   rings_lab --data DIR [--set mathoverflow|polis] [--days 1|30] [--rings 20x10,50x25] [--density 90] [--tempo
//   burst,spread,drip]
//             [--camouflage 1] [--seed 1] [--seeds 1] [--no-plant] [--verbose]
//   rings_lab --likes FILE --labels FILE     its own community instead: "seconds user post author" lines, "user ring"
//   lines
// Plants: m accounts like n existing posts, each with the probability `density`; burst within 10 minutes, spread within
// a day, drip within 14 days of a post; targets born over 60 days. A fifth of the accounts are hijacked real ones.
// Every account also makes `camouflage` times as many likes on posts drawn by popularity.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "operators/hash.h"
#include "operators/rings.h"

namespace bellwether {
namespace {

struct Row {
  int64_t time_s;
  uint64_t user, post, author;
};

struct Options {
  std::string likes, labels;
  std::string data = "../shared/data", set = "mathoverflow", rings = "20x10,50x25", tempo = "burst,spread,drip";
  int days = 1, density = 90, camouflage = 1, seeds = 1;
  uint64_t seed = 1;
  bool verbose = false, plant = true;
};

struct Plant {
  std::string name;
  std::vector<uint64_t> members;  // ascending
  int64_t first_s = INT64_MAX;
  std::vector<int64_t> times;
};

class Lines {
 public:
  explicit Lines(const std::string& file) : pipe_(popen(("zcat -f '" + file + "'").c_str(), "r")) {}
  ~Lines() {
    if (pipe_ != nullptr) pclose(pipe_);
  }
  bool next(std::string& line) {
    char buffer[4096];
    if (pipe_ == nullptr || std::fgets(buffer, sizeof buffer, pipe_) == nullptr) return false;
    line = buffer;
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    return true;
  }

 private:
  FILE* pipe_;
};

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == by) {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  return parts;
}

std::vector<Row> load(const Options& options, const Hasher& hasher) {
  std::vector<Row> rows;
  std::string line;
  if (!options.likes.empty()) {
    Lines in(options.likes);
    while (in.next(line)) {
      const auto c = split(line, ' ');
      if (c.size() != 4 || c[1] == c[3]) continue;
      rows.push_back({std::atoll(c[0].c_str()), hasher(KeyKind::kUser, c[1]), hasher(KeyKind::kPost, c[2]),
                      hasher(KeyKind::kUser, c[3])});
    }
  } else if (options.set == "polis") {
    Lines in(options.data + "/polis/votes.csv.gz");
    in.next(line);
    while (in.next(line)) {
      const auto c = split(line, ',');
      if (c.size() != 6 || c[5] != "1" || c[3] == c[4]) continue;
      rows.push_back({std::atoll(c[0].c_str()) / 1000, hasher(KeyKind::kUser, c[1] + "/" + c[4]),
                      hasher(KeyKind::kPost, c[1] + "/" + c[2]), hasher(KeyKind::kUser, c[1] + "/" + c[3])});
    }
  } else {
    for (const char* name : {"a2q", "c2q", "c2a"}) {
      Lines in(options.data + "/mathoverflow/sx-mathoverflow-" + name + ".txt.gz");
      while (in.next(line)) {
        const auto c = split(line, ' ');
        if (c.size() != 3 || c[0] == c[1]) continue;
        const int64_t time = std::atoll(c[2].c_str());
        const std::string post = c[1] + "/" + std::to_string(time / (86400 * options.days));
        rows.push_back(
            {time, hasher(KeyKind::kUser, c[0]), hasher(KeyKind::kPost, post), hasher(KeyKind::kUser, c[1])});
      }
    }
  }
  if (rows.empty()) {
    std::fprintf(stderr, "rings_lab: nothing read below %s\n", options.data.c_str());
    std::exit(1);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.time_s < b.time_s; });
  std::set<std::pair<uint64_t, uint64_t>> once;
  std::erase_if(rows, [&](const Row& r) { return !once.insert({r.user, r.post}).second; });
  return rows;
}

void plant(std::vector<Row>& rows, const std::vector<Row>& organic, const std::unordered_map<uint64_t, int64_t>& births,
           const std::string& shape, const std::string& tempo, const Options& options, const Hasher& hasher,
           std::mt19937_64& random, std::vector<Plant>& plants) {
  const auto sizes = split(shape, 'x');
  const size_t m = std::stoul(sizes.at(0)), n = std::stoul(sizes.at(1));
  const int64_t kDay = 86400;
  const auto below = [&](uint64_t limit) { return static_cast<int64_t>(random() % limit); };
  std::vector<Row> posts;  // first like of each post in the 60 days
  int64_t start = 0;
  size_t first = 0, last = 0;
  while (posts.size() < n) {
    start = organic[static_cast<size_t>(below(organic.size()))].time_s;
    if (start + 75 * kDay > organic.back().time_s && options.set != "polis") continue;
    first = static_cast<size_t>(
        std::lower_bound(organic.begin(), organic.end(), start, [](const Row& r, int64_t t) { return r.time_s < t; }) -
        organic.begin());
    last = first;
    posts.clear();
    while (last < organic.size() && organic[last].time_s < start + 60 * kDay) {
      if (births.at(organic[last].post) == organic[last].time_s) posts.push_back(organic[last]);
      ++last;
    }
  }
  std::shuffle(posts.begin(), posts.end(), random);
  posts.resize(n);

  Plant p;
  p.name = shape + " " + tempo;
  const std::string prefix = "ring/" + std::to_string(plants.size()) + "/";
  for (size_t i = 0; i < m; ++i) {
    if (i < m / 5) {
      uint64_t user = 0;
      do {
        user = organic[first + static_cast<size_t>(below(last - first))].user;
      } while (std::find(p.members.begin(), p.members.end(), user) != p.members.end());
      p.members.push_back(user);
    } else {
      p.members.push_back(hasher(KeyKind::kUser, prefix + std::to_string(i)));
    }
  }
  std::unordered_map<uint64_t, int> made;
  for (const Row& post : posts) {
    const int64_t width = tempo == "burst" ? 600 : tempo == "spread" ? kDay : 14 * kDay;
    const int64_t from = post.time_s + (tempo == "drip" ? 0 : below(kDay));
    for (const uint64_t user : p.members) {
      if (below(100) >= options.density || user == post.author) continue;
      rows.push_back({from + below(static_cast<uint64_t>(width)), user, post.post, post.author});
      p.times.push_back(rows.back().time_s);
      ++made[user];
    }
  }
  for (const uint64_t user : p.members) {
    for (int i = 0; i < made[user] * options.camouflage; ++i) {
      const Row& like = organic[first + static_cast<size_t>(below(last - first))];
      if (like.author != user) rows.push_back({like.time_s + below(kDay), user, like.post, like.author});
    }
  }
  std::sort(p.members.begin(), p.members.end());
  std::sort(p.times.begin(), p.times.end());
  plants.push_back(std::move(p));
}

class MemoryLedger : public LedgerView {
 public:
  void add(const Row& row, uint64_t id) {
    likes_[row.user].push_back({row.user, row.post, row.author, row.time_s * 1'000'000, id});
    auto& post = likers_[row.post];
    post.push_back({row.time_s * 1'000'000, row.user});
  }
  void likes_of(uint64_t user, int64_t from_us, int64_t to_us,
                absl::FunctionRef<void(const RingLike&)> each) const override {
    const auto at = likes_.find(user);
    if (at == likes_.end()) return;
    const auto& all = at->second;
    for (auto i = std::lower_bound(all.begin(), all.end(), from_us,
                                   [](const RingLike&l, int64_t t) { return l.time_us < t; });
         i != all.end() && i->time_us <= to_us; ++i) {
      each(*i);
    }
    ++reads;
  }
  void likers_of(uint64_t post, int64_t from_us, int64_t to_us,
                 absl::FunctionRef<void(uint64_t, int64_t)> each) const override {
    const auto at = likers_.find(post);
    if (at == likers_.end()) return;
    for (const auto& [time, user] : at->second) {
      if (time >= from_us && time <= to_us) each(user, time);
    }
    ++reads;
  }
  int64_t post_birth_us(uint64_t post) const override {
    const auto at = likers_.find(post);
    return at == likers_.end() ? 0 : at->second.front().first;
  }
  mutable uint64_t reads = 0;

 private:
  std::unordered_map<uint64_t, std::vector<RingLike>> likes_;
  std::unordered_map<uint64_t, std::vector<std::pair<int64_t, uint64_t>>> likers_;
};

struct Flag {
  std::vector<uint64_t> members;
  int64_t first_s;
  RingFinding best;
};

struct Totals {
  double f1 = 0, worst = 2;
  int runs = 0;
};

// CPU time: the machine may be doing other things.
double cpu_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void run(const Options& options, uint64_t seed, const std::vector<Row>& organic,
         const std::unordered_map<uint64_t, int64_t>& births, const Hasher& hasher,
         std::vector<std::pair<std::string, Totals>>& totals) {
  std::mt19937_64 random(seed);
  std::vector<Row> rows = organic;
  std::vector<Plant> plants;
  if (!options.labels.empty()) {
    std::map<std::string, Plant> named;
    Lines in(options.labels);
    std::string line;
    while (in.next(line)) {
      const auto c = split(line, ' ');
      if (c.size() == 2) named[c[1]].members.push_back(hasher(KeyKind::kUser, c[0]));
    }
    for (auto& [name, p] : named) {
      p.name = name;
      std::sort(p.members.begin(), p.members.end());
      for (const Row& r : organic) {
        if (std::binary_search(p.members.begin(), p.members.end(), r.user)) p.times.push_back(r.time_s);
      }
      plants.push_back(std::move(p));
    }
  } else if (options.plant) {
    for (const std::string& shape : split(options.rings, ',')) {
      for (const std::string& tempo : split(options.tempo, ','))
        plant(rows, organic, births, shape, tempo, options, hasher, random, plants);
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.time_s < b.time_s; });
  std::set<std::pair<uint64_t, uint64_t>> once;
  std::erase_if(rows, [&](const Row& r) { return !once.insert({r.user, r.post}).second; });

  MemoryLedger ledger;
  std::unordered_map<uint64_t, TargetLikers> posts;
  std::unordered_map<uint64_t, CoLikers> users;
  posts.reserve(rows.size()), users.reserve(50000);
  RingEvidence evidence;
  RingFigures figures;
  RingPulse pulse;
  const RingsConfig config;
  std::vector<Flag> flags;
  uint64_t reports = 0, inputs = 0, runs = 0, input_edges = 0;
  double analysis_s = 0, input_s = 0, fold_s = 0;
  int64_t organic_score = -1'000'000;
  std::unordered_set<uint64_t> planted;
  for (const Plant& p : plants) planted.insert(p.members.begin(), p.members.end());

  const auto begin = cpu_s();
  int64_t hour = 0;
  for (size_t i = 0; i <= rows.size(); ++i) {
    const int64_t now = i < rows.size() ? rows[i].time_s : rows.back().time_s + 3600;
    if (now / 3600 != hour) {
      hour = now / 3600;
      if (evidence.due(now * 1000000)) {
        const auto a = cpu_s();
        ++inputs;
        RingInput input = evidence.take_input(now * 1'000'000);
        input.figures = figures, input.pulse = pulse;
        input_s += cpu_s() - a;
        if (!input.empty()) {
          const auto b = cpu_s();
          ++runs;
          input_edges += input.edges.size();
          for (RingFinding& f : find_rings(input, ledger, config)) {
            const bool ours =
                std::any_of(f.members.begin(), f.members.end(), [&](uint64_t u) { return planted.contains(u); });
            if (!ours) organic_score = std::max(organic_score, f.score_milli);
            if (options.verbose) {
              size_t of_ring = 0;
              for (const uint64_t u : f.members) of_ring += planted.contains(u);
              std::printf("  day %ld: %zux%zu score %.1f odds %u density %u confidence %u, %zu planted, %zu likes\n",
                          now / 86400, f.members.size(), f.targets.size(), f.score_milli / 1000.0, f.odds,
                          f.density_permille, f.confidence_permille, of_ring, f.evidence.size());
            }
            auto same = std::find_if(flags.begin(), flags.end(),
                                     [&](const Flag& g) { return same_ring(g.members, f.members); });
            if (same == flags.end()) {
              flags.push_back({f.members, now, f});
            } else {
              std::vector<uint64_t> both;
              std::set_union(same->members.begin(), same->members.end(), f.members.begin(), f.members.end(),
                             std::back_inserter(both));
              same->members = both;
            }
          }
          analysis_s += cpu_s() - b;
        }
      }
    }
    if (i == rows.size()) break;
    const Row& row = rows[i];
    ledger.add(row, i);
    RingCounts counts;
    CoLikers& user = users[row.user];
    const LikerSeen seen = user.on_like(row.user, row.time_s * 1'000'000, &counts);
    if (const auto message = posts[row.post].on_like(row.post, row.author, seen, &counts)) {
      if (const auto report = user.on_pairs(row.user, *message, figures, &counts)) {
        ++reports;
        evidence.on_report(*report);
      }
    }
    const uint32_t epoch = static_cast<uint32_t>(row.time_s / RingLimits::kEpochS);
    if (epoch != figures.epoch) {
      figures.counts[1] = epoch == figures.epoch + 1 ? figures.counts[0] : RingCounts{};
      figures.counts[0] = {}, figures.epoch = epoch;
    }
    figures.counts[0].add(counts);
    pulse.add(static_cast<uint32_t>(row.time_s), 1);
  }
  const double all_s = cpu_s() - begin;
  fold_s = all_s - analysis_s - input_s;

  std::unordered_set<uint64_t> flagged, people;
  for (const Row& r : organic) {
    if (!planted.contains(r.user)) people.insert(r.user);
  }
  for (const Flag& f : flags) flagged.insert(f.members.begin(), f.members.end());
  size_t wrong = 0;
  for (const uint64_t u : flagged) wrong += !planted.contains(u);
  std::printf("seed %lu: %zu likes, %zu flags, organic flagged %zu of %zu (%.3f %%), best organic score %.1f\n", seed,
              rows.size(), flags.size(), wrong, people.size(),
              100.0 * static_cast<double>(wrong) / static_cast<double>(people.size()),
              static_cast<double>(organic_score) / 1000);
  for (size_t i = 0; i < plants.size(); ++i) {
    const Plant& p = plants[i];
    double best = 0, at = 1;
    for (const Flag& f : flags) {
      std::vector<uint64_t> common;
      std::set_intersection(p.members.begin(), p.members.end(), f.members.begin(), f.members.end(),
                            std::back_inserter(common));
      const double f1 =
          2.0 * static_cast<double>(common.size()) / static_cast<double>(p.members.size() + f.members.size());
      if (f1 > best) {
        best = f1;
        at = static_cast<double>(std::lower_bound(p.times.begin(), p.times.end(), f.first_s) - p.times.begin()) /
             static_cast<double>(p.times.size());
      }
    }
    std::printf("  %-14s F1 %.3f  flagged after %.2f of its likes\n", p.name.c_str(), best, at);
    if (totals.size() <= i) totals.push_back({p.name, {}});
    totals[i].second.f1 += best, totals[i].second.worst = std::min(totals[i].second.worst, best),
                                 ++totals[i].second.runs;
  }
  size_t user_bytes = 0, post_bytes = 0, user_most = 0, post_most = 0;
  std::string out;
  for (const auto& [id, u] : users)
    out.clear(), u.encode(out), user_bytes += out.size(), user_most = std::max(user_most, out.size());
  for (const auto& [id, p] : posts)
    out.clear(), p.encode(out), post_bytes += out.size(), post_most = std::max(post_most, out.size());
  out.clear(), evidence.encode(out);
  std::printf(
      "  ns a like: fold %.0f, inputs %.0f, analyses %.0f; %lu reports, %lu inputs, %lu analyses of %.0f edges, %lu "
      "ledger reads\n",
      1e9 * fold_s / static_cast<double>(rows.size()), 1e9 * input_s / static_cast<double>(rows.size()),
      1e9 * analysis_s / static_cast<double>(rows.size()), reports, inputs, runs,
      runs == 0 ? 0.0 : static_cast<double>(input_edges) / static_cast<double>(runs), ledger.reads);
  std::printf("  bytes stored: a user %zu (most %zu), a post %zu (most %zu), community %zu with %zu pairs\n",
              user_bytes / users.size(), user_most, post_bytes / posts.size(), post_most, out.size(), evidence.edges());
}

int main_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--verbose") {
      options.verbose = true;
    } else if (key == "--no-plant") {
      options.plant = false;
    } else if (i + 1 < argc) {
      const std::string value = argv[++i];
      if (key == "--data") options.data = value;
      if (key == "--likes") options.likes = value;
      if (key == "--labels") options.labels = value;
      if (key == "--set") options.set = value;
      if (key == "--rings") options.rings = value;
      if (key == "--tempo") options.tempo = value;
      if (key == "--days") options.days = std::stoi(value);
      if (key == "--density") options.density = std::stoi(value);
      if (key == "--camouflage") options.camouflage = std::stoi(value);
      if (key == "--seed") options.seed = std::stoul(value);
      if (key == "--seeds") options.seeds = std::stoi(value);
    }
  }
  const Hasher hasher("bellwether");
  const std::vector<Row> organic = load(options, hasher);
  std::unordered_map<uint64_t, int64_t> births;
  for (const Row& r : organic) births.try_emplace(r.post, r.time_s);
  std::vector<std::pair<std::string, Totals>> totals;
  for (int s = 0; s < options.seeds; ++s)
    run(options, options.seed + static_cast<uint64_t>(s), organic, births, hasher, totals);
  for (const auto& [name, t] : totals)
    std::printf("%-14s mean F1 %.3f, worst %.3f\n", name.c_str(), t.f1 / t.runs, t.worst);
  return 0;
}

}  // namespace
}  // namespace bellwether

int main(int argc, char** argv) { return bellwether::main_of(argc, argv); }

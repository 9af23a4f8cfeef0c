// sim: runs the simulator over seeds, repeats one, or makes a failing one smaller.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "tests/sim/child.h"

namespace bellwether::sim {
namespace {

struct Arguments {
  Options options;
  int64_t seed = -1;
  uint64_t from = 1, seeds = 100;
  double hours = 0;
  bool make_smaller = false, keep_going = false;
  int tries = 400;
  std::string with, without, drop;
};

bool parse_faults(const std::string& list, bool value, FaultSet& out) {
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    Fault fault;
    if (!fault_named(list.substr(at, end - at), fault)) {
      std::string all;
      for (size_t i = 0; i < kFaults; ++i) all += " " + std::string(name_of(static_cast<Fault>(i)));
      std::fprintf(stderr, "sim: no fault \"%s\"; there are:%s\n", list.substr(at, end - at).c_str(), all.c_str());
      return false;
    }
    out.set(fault, value);
    at = end + 1;
  }
  return true;
}

bool parse_drop(const std::string& list, Options& out) {
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    const std::string one = list.substr(at, end - at);
    long long from = 0, to = 0;
    const int n = std::sscanf(one.c_str(), "%lld-%lld", &from, &to);
    if (n < 1 || from < 0 || (n == 2 && to < from)) return false;
    out.drop.emplace_back(from, (n == 2 ? to : from) + 1);
    at = end + 1;
  }
  return true;
}

void print_faults(const std::array<uint64_t, kFaults>& counts) {
  std::string line;
  for (size_t i = 0; i < kFaults; ++i) {
    line += "  " + std::string(name_of(static_cast<Fault>(i))) + " " + std::to_string(counts[i]);
    if (line.size() < 90 && i + 1 < kFaults) continue;
    std::printf("%s\n", line.c_str());
    line.clear();
  }
}

void print_run(const Result& r) {
  std::printf(
      "%llu steps, %llu events, %llu processes, %llu commits, %llu floors, %llu versions, %llu out records, %llu "
      "flags, "
      "%llu verdicts, %llu records lost to retention\n",
      static_cast<unsigned long long>(r.steps), static_cast<unsigned long long>(r.events),
      static_cast<unsigned long long>(r.processes), static_cast<unsigned long long>(r.commits),
      static_cast<unsigned long long>(r.floors), static_cast<unsigned long long>(r.versions),
      static_cast<unsigned long long>(r.out_records), static_cast<unsigned long long>(r.flags),
      static_cast<unsigned long long>(r.verdicts), static_cast<unsigned long long>(r.lost));
  print_faults(r.faults);
}

int one(const Arguments& a) {
  Options options = a.options;
  options.seed = static_cast<uint64_t>(a.seed);
  Result result = simulate_apart(options);
  if (!result.failure.empty() && a.make_smaller) {
    std::printf("seed %lld fails: %s\n", static_cast<long long>(a.seed), result.failure.c_str());
    options = shrink(options, a.tries, result);
    std::printf("smaller: %s\n", command_of(options).c_str());
  }
  print_run(result);
  std::printf("%s\n", result.failure.empty() ? "all laws held" : ("FAILED: " + result.failure).c_str());
  return result.failure.empty() ? 0 : 1;
}

int many(const Arguments& a) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  std::array<uint64_t, kFaults> faults{};
  Result sum;
  uint64_t run = 0, failed = 0;
  auto said = begin;
  for (uint64_t seed = a.from; run < a.seeds && (a.hours <= 0 || seconds() < a.hours * 3600); ++seed) {
    Options options = a.options;
    options.seed = seed;
    const Result r = simulate_apart(options);
    ++run;
    for (size_t i = 0; i < kFaults; ++i) faults[i] += r.faults[i];
    sum.steps += r.steps, sum.events += r.events, sum.processes += r.processes, sum.commits += r.commits;
    sum.floors += r.floors, sum.versions += r.versions, sum.out_records += r.out_records, sum.flags += r.flags;
    sum.verdicts += r.verdicts, sum.lost += r.lost;
    if (!r.failure.empty()) {
      ++failed;
      std::printf("seed %llu FAILED: %s\n  repeat: %s --verbose\n  smaller: %s --shrink\n",
                  static_cast<unsigned long long>(seed), r.failure.c_str(), command_of(options).c_str(),
                  command_of(options).c_str());
      std::fflush(stdout);
      if (!a.keep_going) break;
    }
    if (Clock::now() - said > std::chrono::minutes(1)) {
      said = Clock::now();
      std::printf("%llu seeds, %llu failed, %.0f s\n", static_cast<unsigned long long>(run),
                  static_cast<unsigned long long>(failed), seconds());
      std::fflush(stdout);
    }
  }
  std::printf("seeds %llu to %llu: %llu run, %llu failed, in %.1f s\n", static_cast<unsigned long long>(a.from),
              static_cast<unsigned long long>(a.from + run - 1), static_cast<unsigned long long>(run),
              static_cast<unsigned long long>(failed), seconds());
  sum.faults = faults;
  print_run(sum);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bellwether::sim

int main(int argc, char** argv) {
  using namespace bellwether::sim;
  Arguments a;
  CLI::App app("Simulates the whole pipeline with everything going wrong, and compares with a run where nothing did");
  app.add_option("--seed", a.seed, "one run, of this seed")->check(CLI::NonNegativeNumber);
  app.add_option("--from", a.from, "the first of many seeds");
  app.add_option("--seeds", a.seeds, "how many");
  app.add_option("--hours", a.hours, "and for so long at most");
  app.add_option("--events", a.options.events, "only the first so many events of the stream");
  app.add_option("--drop", a.drop, "events of the stream to leave out: 3,17-20");
  app.add_option("--partitions", a.options.partitions, "at the start")->check(CLI::Range(1, 6));
  app.add_option("--faults", a.with, "only these kinds, or none");
  app.add_option("--without", a.without, "all kinds but these");
  app.add_option("--fault-limit", a.options.fault_limit, "so many faults at most");
  app.add_option("--tries", a.tries, "runs that --shrink may take");
  app.add_flag("--shrink", a.make_smaller, "with --seed: makes a failing case smaller and prints how to repeat it");
  app.add_flag("--keep-going", a.keep_going, "does not stop at the first seed that fails");
  app.add_flag("--verbose", a.options.verbose, "prints the steps");
  CLI11_PARSE(app, argc, argv);
  if (!a.with.empty()) {
    a.options.faults = {};
    if (a.with != "none" && !parse_faults(a.with, true, a.options.faults)) return 2;
  }
  if (!a.without.empty() && !parse_faults(a.without, false, a.options.faults)) return 2;
  if (!parse_drop(a.drop, a.options)) {
    std::fprintf(stderr, "sim: --drop takes numbers and ranges, as 3,17-20\n");
    return 2;
  }
  return a.seed >= 0 ? one(a) : many(a);
}

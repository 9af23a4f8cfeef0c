#include "tests/sim/child.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "operators/codec.h"

#ifdef BELLWETHER_COVERAGE
extern "C" void __gcov_dump();  // what has run, of a process that ends by _exit
#endif

namespace bellwether::sim {
namespace {

constexpr int kRunSeconds = 120;  // a run that takes longer hangs

std::string encode(const Result& r) {
  std::string out;
  Writer w(out);
  for (const uint64_t n : r.faults) w.varint(n);
  for (const uint64_t n :
       {r.steps, r.events, r.processes, r.commits, r.floors, r.versions, r.out_records, r.flags, r.verdicts, r.lost})
    w.varint(n);
  w.bytes(r.failure);
  return out;
}

bool decode(std::string_view bytes, Result& out) {
  Reader r(bytes);
  for (uint64_t& n : out.faults) n = r.varint();
  for (uint64_t* n : {&out.steps, &out.events, &out.processes, &out.commits, &out.floors, &out.versions,
                      &out.out_records, &out.flags, &out.verdicts, &out.lost})
    *n = r.varint();
  out.failure = r.bytes();
  return r.ok() && r.done();
}

std::string read_all(int fd) {
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(n));
  ::close(fd);
  return out;
}

// What two failures of one cause share: the first words, without the step and other numbers.
std::string kind_of(const std::string& failure) {
  std::string out;
  size_t words = 0;
  for (const char c : failure) {
    if (c == '\n' || (c == ' ' && ++words == 5)) break;
    if (c < '0' || c > '9') out += c;
  }
  return out;
}

}  // namespace

Result simulate_apart(const Options& options) {
  Result result;
  int pipe[2], said[2];
  std::fflush(nullptr);
  if (::pipe(pipe) != 0 || ::pipe(said) != 0) {
    result.failure = "no pipe";
    return result;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]), ::close(said[0]);
    ::dup2(said[1], 2);
    // Of the processor's time: on a machine that is busy with others a run may take long and be well.
    const rlimit most{kRunSeconds, kRunSeconds};
    ::setrlimit(RLIMIT_CPU, &most);
    ::alarm(20 * kRunSeconds);  // and of the wall's, for one that sleeps
    const std::string bytes = encode(simulate(options));
    std::fflush(nullptr);
    size_t at = 0;
    for (ssize_t n; at < bytes.size() && (n = ::write(pipe[1], bytes.data() + at, bytes.size() - at)) > 0;)
      at += static_cast<size_t>(n);
#ifdef BELLWETHER_COVERAGE
    __gcov_dump();
#endif
    ::_exit(0);
  }
  ::close(pipe[1]), ::close(said[1]);
  if (child < 0) {
    ::close(pipe[0]), ::close(said[0]);
    result.failure = "no process";
    return result;
  }
  // Its result is written at once, at its end: what it says is read first.
  const std::string text = read_all(said[0]);
  const std::string bytes = read_all(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    result.failure = "ended by signal " + std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status)) +
                     "): " + text.substr(0, 4000);
  } else if (!decode(bytes, result)) {
    result = {};
    result.failure = "ended without a result: " + text.substr(0, 4000);
  }
  return result;
}

std::string command_of(const Options& o) {
  std::string out = "sim --seed " + std::to_string(o.seed);
  if (o.events >= 0) out += " --events " + std::to_string(o.events);
  if (o.partitions > 0) out += " --partitions " + std::to_string(o.partitions);
  if (o.fault_limit >= 0) out += " --fault-limit " + std::to_string(o.fault_limit);
  size_t on = 0;
  std::string with, without;
  for (size_t i = 0; i < kFaults; ++i) {
    std::string& list = o.faults.on[i] ? with : without;
    if (!list.empty()) list += ',';
    list += name_of(static_cast<Fault>(i));
    on += o.faults.on[i];
  }
  if (on == 0) {
    out += " --faults none";
  } else if (on < kFaults) {
    out += on * 2 <= kFaults ? " --faults " + with : " --without " + without;
  }
  std::string drop;
  for (const auto& [from, to] : o.drop)
    drop += (drop.empty() ? "" : ",") + std::to_string(from) + (to - from > 1 ? "-" + std::to_string(to - 1) : "");
  if (!drop.empty()) out += " --drop " + drop;
  return out;
}

Options shrink(const Options& failing, int runs, Result& result) {
  Options best = failing;
  best.verbose = false;
  const std::string kind = kind_of(result.failure);
  const auto try_it = [&](Options next) {
    if (runs-- <= 0) return false;
    Result got = simulate_apart(next);
    if (kind_of(got.failure) != kind) return false;
    best = std::move(next);
    result = std::move(got);
    return true;
  };
  // As few faults as can be, first by kind, then by number.
  for (size_t i = 0; i < kFaults; ++i) {
    if (!best.faults.on[i]) continue;
    Options next = best;
    next.faults.on[i] = false;
    try_it(next);
  }
  for (int64_t low = -1, high = 1000; high - low > 1;) {  // `high` fails
    Options next = best;
    next.fault_limit = (low + high) / 2;
    if (try_it(next)) {
      high = next.fault_limit;
    } else {
      low = next.fault_limit;
    }
  }
  for (int64_t p = 1; p <= 3; ++p) {
    Options next = best;
    next.partitions = p;
    if (try_it(next)) break;
  }
  // The end of the stream, then pieces of it, smaller and smaller.
  int64_t events = 4096;
  for (int64_t step = events / 2; step > 0; step /= 2) {
    Options next = best;
    next.events = events - step;
    if (try_it(next)) events -= step;
  }
  for (int64_t piece = events / 2; piece > 0 && runs > 0; piece /= 2) {
    for (int64_t from = 0; from < events && runs > 0; from += piece) {
      Options next = best;
      if (!next.drop.empty() && next.drop.back().second == from) {
        next.drop.back().second = from + piece;
      } else {
        next.drop.emplace_back(from, from + piece);
      }
      bool dropped = false;
      for (const auto& [a, b] : best.drop) dropped |= a <= from && from + piece <= b;
      if (!dropped) try_it(next);
    }
  }
  return best;
}

}  // namespace bellwether::sim

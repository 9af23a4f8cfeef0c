#include "tests/sim/chaos.h"

#include <cstdio>

namespace bellwether::sim {
namespace {

struct Kind {
  std::string_view name;
  int64_t rate;  // of a million opportunities, in a run of middling trouble
};
// In the order of Fault.
constexpr std::array<Kind, kFaults> kKinds = {{
    {"kill", 3'000},
    {"kill-before-write", 20'000},
    {"kill-after-write", 20'000},
    {"kill-after-sync", 15'000},
    {"kill-before-publish", 15'000},
    {"kill-before-drop", 60'000},
    {"kill-before-ack", 20'000},
    {"power-loss", 500'000},
    {"torn-write", 500'000},
    {"write-error", 8'000},
    {"sync-error", 8'000},
    {"disk-full", 6'000},
    {"read-error", 200},
    {"bit-flip", 60},
    {"poll-error", 700},
    {"poll-delay", 100'000},
    {"stall", 6'000},
    {"vanish", 2'000},
    {"partition-added", 4'000},
    {"redelivery", 20'000},
    {"leader-move", 3'000},
    {"offset-gap", 30'000},
    {"truncated", 150'000},
    {"producer-half", 50'000},
    {"same-event", 30'000},
    {"clock-forward", 2'000},
    {"clock-back", 2'000},
    {"broker-clock", 10'000},
    {"pause", 2'000},
    {"stop", 1'500},
    {"config-change", 200'000},
    {"sink-full", 30'000},
    {"sink-late", 200'000},
    {"sink-fails", 10'000},
    {"sink-refused", 100'000},
}};

template <size_t... I>
std::array<model::Dice, kFaults> dice_of(uint64_t seed, std::index_sequence<I...>) {
  return {model::Dice(seed * 0x9e3779b97f4a7c15 + I * 0xd1342543de82ef95 + 1)...};
}

}  // namespace

std::string_view name_of(Fault fault) { return kKinds[static_cast<size_t>(fault)].name; }

bool fault_named(std::string_view name, Fault& out) {
  for (size_t i = 0; i < kFaults; ++i) {
    if (kKinds[i].name != name) continue;
    out = static_cast<Fault>(i);
    return true;
  }
  return false;
}

FaultSet all_faults() {
  FaultSet set;
  set.on.fill(true);
  return set;
}

Chaos::Chaos(uint64_t seed, const FaultSet& allowed, int64_t limit, bool verbose)
    : dice_(dice_of(seed, std::make_index_sequence<kFaults>())), limit_(limit), verbose_(verbose) {
  model::Dice dice(seed ^ 0xc4a05);
  // Runs with everything at once hide what only shows where little happens: each leaves some kinds out.
  static const std::vector<int64_t> kTrouble = {30, 100, 100, 300};  // percent
  const int64_t trouble = dice.of(kTrouble);
  for (size_t i = 0; i < kFaults; ++i) {
    const bool chosen = dice.chance(65);
    if (chosen && allowed.on[i]) rate_[i] = kKinds[i].rate * trouble / 100;
  }
}

bool Chaos::roll(Fault fault) {
  const auto i = static_cast<size_t>(fault);
  const bool hit = dice_[i].below(1'000'000) < rate_[i];
  if (!hit || calm_ || (limit_ >= 0 && total_ >= limit_)) return false;
  ++counts_[i], ++total_;
  if (verbose_) say("fault " + std::to_string(total_) + ": " + std::string(name_of(fault)));
  return true;
}

void Chaos::say(const std::string& line) {
  if (verbose_) std::printf("%8llu  %s\n", static_cast<unsigned long long>(step), line.c_str());
}

}  // namespace bellwether::sim

// A simulated run in a process of its own, so that a broken invariant or a crash of the engine is a result too.
#pragma once

#include "tests/sim/simulation.h"

namespace bellwether::sim {

// `failure` names the signal where the run ended by one. What the run says on stderr goes to ours where `verbose`.
Result simulate_apart(const Options& options);

// The command that repeats a run.
std::string command_of(const Options& options);

// Makes a failing case smaller: kinds of faults, number of faults, partitions, events; at most `runs` tries. Gives the
// smallest that still fails, however.
Options shrink(const Options& failing, int runs, Result& result);

}  // namespace bellwether::sim

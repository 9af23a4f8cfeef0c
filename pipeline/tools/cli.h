// The tools' subcommands: simulate, plant, import, evaluate.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "pipeline/tools/evaluate.h"

namespace CLI {
class App;
}

namespace bellwether {

// Adds them to `app`. A subcommand that was chosen runs during app.parse() and leaves its exit code in `exit_code`: 0,
// 1 failed, 2 bad usage. What CLI11 refuses itself (an unknown option) it throws, as usual.
void add_tool_commands(CLI::App& app, int& exit_code);

// Reads a data folder for `evaluate --data`; set before parsing. Unset: evaluate asks for --dump.
extern DumpHook dump_hook;

}  // namespace bellwether

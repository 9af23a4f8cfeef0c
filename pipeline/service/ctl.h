// `bellwether ctl`: the moderator's client. Everything it does goes by gRPC; it needs no data folder.
#pragma once

namespace CLI {
class App;
}

namespace bellwether {

// Adds `ctl` with its subcommands. The one that was chosen runs while CLI11 parses and leaves its exit code in
// `exit_code`: 0, 1 failed, 2 bad usage (also where the service says that an argument is wrong).
void add_ctl_commands(CLI::App& app, int& exit_code);

}  // namespace bellwether

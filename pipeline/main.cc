#include <CLI/CLI.hpp>
#include <iostream>
#include <string_view>

#include "pipeline/program/large_pages.h"
#include "pipeline/program/program.h"
#include "pipeline/service/ctl.h"
#include "pipeline/tools/cli.h"

int main(int argc, char** argv) {
  using namespace std::literals;
  if (argc > 1 && (argv[1] == "serve"sv || argv[1] == "replay"sv || argv[1] == "rebuild"sv))
    bellwether::restart_with_large_pages(argv);
  CLI::App app("Bellwether finds a community's key users and the manipulation of their scores, live.", "bellwether");
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::help);
  int exit_code = 0;
  bellwether::add_serve_command(app, exit_code);
  bellwether::add_replay_command(app, exit_code);
  bellwether::add_dump_command(app, exit_code);
  bellwether::add_backup_commands(app, exit_code);
  bellwether::add_check_command(app, exit_code);
  bellwether::add_rebuild_command(app, exit_code);
  bellwether::dump_hook = bellwether::dump_folder;
  bellwether::add_tool_commands(app, exit_code);
  bellwether::add_ctl_commands(app, exit_code);
  app.add_subcommand("version", "Print the version")->callback([] {
    std::cout << "bellwether " BELLWETHER_VERSION "\n";
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // --help is no mistake
  }
  return exit_code;
}

#include <CLI/CLI.hpp>
#include <iostream>

#include "pipeline/program/program.h"

namespace bellwether {

int dump_folder(const std::string& data, const std::function<void(std::string_view line)>& line) {
  std::unique_ptr<Store> store;
  StoreOptions options;
  options.read_only = true;
  if (const Status status = open_rocks_store(data, options, store); !status.ok()) return failed(status.message);
  std::shared_ptr<const Published> published;
  if (const Status status = read_published(*store, program_operators(), published); !status.ok())
    return failed(status.message);
  std::vector<std::string> lines;
  if (const Status status = dump_lines(*published, lines); !status.ok()) return failed(status.message);
  for (const std::string& l : lines) line(l);
  return 0;
}

void add_dump_command(CLI::App& app, int& exit_code) {
  struct Options {
    std::string data;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("dump", "Print the state of a data folder as sorted JSON lines");
  command->add_option("--data", options->data, "The data folder")->required();
  command->callback([options, &exit_code] {
    std::ios::sync_with_stdio(false);
    exit_code = dump_folder(options->data, [](std::string_view line) { std::cout << line << '\n'; });
    std::cout.flush();
    if (exit_code == 0 && !std::cout) exit_code = failed("cannot write to standard output");
  });
}

}  // namespace bellwether

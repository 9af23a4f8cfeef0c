#include "pipeline/repair/check.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "pipeline/program/program.h"

namespace bellwether {
namespace {

int check(const std::string& data, uint64_t told_max) {
  Faults faults(
      [](const Fault& fault) {
        std::cout << fault_name(fault.kind) << ": " << fault.where << ": " << fault.what << "\n";
      },
      told_max);
  CheckFigures f;
  std::vector<PartitionState> partitions;
  {
    std::unique_ptr<Store> store;
    StoreOptions options;
    options.read_only = true;
    options.block_cache_mb = 64, options.write_buffer_mb = 32;
    if (const Status status = open_rocks_store(data, options, store); !status.ok()) return failed(status.message);
    check_store(*store, program_operators(), faults, f);
    std::string row;
    Status status;
    EngineProgress progress;
    if (store->get(Family::kMeta, keys::kProgress, row, status) && progress.decode(row))
      partitions = std::move(progress.partitions);
    check_log(data, partitions, faults, f);
  }
  std::cout << "looked at " << f.states << " states, " << f.blocks << " blocks of the ledger with " << f.contributions
            << " contributions, " << f.index_rows << " rows of lists, " << f.timers << " timers, " << f.counters
            << " sums, " << f.changes << " changes, " << f.dead_letters << " dead letters, " << f.outbox
            << " out records, " << f.control << " rows of the control log; " << f.segments
            << " segments of the embedded log with " << f.records << " records\n";
  if (f.torn_bytes > 0)
    std::cout << "the embedded log ends with " << f.torn_bytes
              << " bytes of a write that was cut off and answered to nobody; the next start removes them\n";
  if (faults.count() == 0) {
    std::cout << "nothing is wrong\n";
    return 0;
  }
  for (size_t k = 0; k < kFaultKinds; ++k) {
    const auto kind = static_cast<FaultKind>(k);
    if (faults.count(kind) == 0) continue;
    std::cout << faults.count(kind) << " of kind " << fault_name(kind)
              << (faults.count(kind) > faults.told_max() ? " (not all told: --all)" : "") << ": " << fault_advice(kind)
              << "\n";
  }
  std::cout.flush();
  return failed(std::to_string(faults.count()) + " things are wrong in " + data + "; nothing was changed");
}

}  // namespace

void add_check_command(CLI::App& app, int& exit_code) {
  struct Flags {
    std::string data;
    bool all = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("check", "Look a data folder over: states, lists, scores, account, checksums");
  command->add_option("--data", flags->data, "The data folder, of a service that is stopped")->required();
  command->add_flag("--all", flags->all, "Tell everything that is wrong, not the first 20 of each kind");
  command->callback([flags, &exit_code] { exit_code = check(flags->data, flags->all ? UINT64_MAX : 20); });
}

}  // namespace bellwether

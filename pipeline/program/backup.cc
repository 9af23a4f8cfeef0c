#include "pipeline/repair/backup.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "pipeline/program/program.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

std::atomic<bool> interrupted{false};
void on_interrupt(int) {
  if (interrupted.exchange(true)) std::_Exit(1);
}

// The first SIGINT or SIGTERM ends the work, and what it had begun is removed; the second ends the process.
Cancelled until_interrupted() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  return [] { return interrupted.load(); };
}

void print(const char* done, const std::string& where, const BackupReport& report) {
  std::cout << done << " " << where << ": " << report.files << " files, " << report.bytes << " bytes";
  if (report.linked_bytes > 0) std::cout << ", of which " << report.linked_bytes << " are shared with the data folder";
  if (report.tick.slot > kFirstSlot) std::cout << "; as of " << time_text((report.tick.slot + 1) * kSlotUs);
  std::cout << "\n";
  for (const auto& [partition, offset] : report.positions)
    std::cout << "  " << partition.topic << "/" << partition.number << " up to " << offset << "\n";
}

struct BackupFlags {
  std::string data, to, from;
  bool copy = false;
};

int backup(const BackupFlags& flags) {
  BackupReport report;
  Status status = backup_stopped(flags.data, flags.to, {flags.copy, BELLWETHER_VERSION, until_interrupted()}, report);
  if (!status.ok()) {
    if (status.message.find("in use") != std::string::npos)
      status.message += "; while the service runs, `bellwether ctl backup --to FOLDER` asks it for a backup";
    return failed(status.message);
  }
  print("backup", flags.to, report);
  return 0;
}

int restore(const BackupFlags& flags) {
  BackupReport report;
  if (const Status status = restore_backup(flags.from, flags.data, until_interrupted(), report); !status.ok())
    return failed(status.message);
  print("restored", flags.data, report);
  return 0;
}

}  // namespace

void add_backup_commands(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<BackupFlags>();
  CLI::App* command = app.add_subcommand("backup", "Back up the data folder of a service that is stopped");
  command->add_option("--data", flags->data, "The data folder")->required();
  command->add_option("--to", flags->to, "The folder to make")->required();
  command->add_flag("--copy", flags->copy, "Copy every file, also those that hard links could share");
  command->callback([flags, &exit_code] { exit_code = backup(*flags); });

  command = app.add_subcommand("restore", "Make a data folder of a backup, after its checksums were verified");
  command->add_option("--from", flags->from, "The backup")->required();
  command->add_option("--data", flags->data, "The data folder to make: not there yet, or empty")->required();
  command->callback([flags, &exit_code] { exit_code = restore(*flags); });
}

}  // namespace bellwether

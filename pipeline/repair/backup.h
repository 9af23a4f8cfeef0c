// Backups of a data folder: the store as of one commit, and the embedded log. A backup is a folder:
//
//   manifest      what is in it, with checksums (manifest.h)
//   store/        the store
//   log/N/        the segments of the embedded log's partition N
//
// It is made as TO.partial and renamed when it is whole and on disk, so that a folder named TO is a whole backup.
//
// The store first, then the log, and meanwhile no segment is deleted: the log always reaches from the oldest record
// kept to beyond the store's positions, so that whoever opens the backup reads on to the end of its log. The other way
// round the store could stand at positions that the log in the backup does not have.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/engine/store.h"
#include "pipeline/repair/manifest.h"
#include "pipeline/sources/embedded_log.h"

namespace bellwether {

struct BackupOptions {
  bool copy = false;    // copies everything: shares no file with the data folder
  std::string program;  // version, for the manifest
  Cancelled cancelled;  // may be empty
};

struct BackupReport {
  uint64_t files = 0, bytes = 0;
  uint64_t linked_bytes = 0;  // of bytes: shared with the data folder, by hard links
  TickId tick;
  std::vector<std::pair<PartitionId, int64_t>> positions;
};

// Of a store that is being written, and of the log (null: none) that it reads. Any thread; one at a time for a
// destination. Errors leave nothing behind: `to` or TO.partial is there already, its parent is not, the disk is full,
// cancelled.
Status backup_running(const Store& store, EmbeddedLog* log, const std::string& to, const BackupOptions& options,
                      BackupReport& report);
// Of a data folder that no process has open. Changes nothing in it.
Status backup_stopped(const std::string& data, const std::string& to, const BackupOptions& options,
                      BackupReport& report);

// Reads the whole backup and compares it with its manifest. The error names the first file that is missing or differs.
Status verify_backup(const std::string& from, const Cancelled& cancelled, Manifest& out);
// Verifies, then copies into `data`, which must not be there, or be empty. Errors leave it so.
Status restore_backup(const std::string& from, const std::string& data, const Cancelled& cancelled,
                      BackupReport& report);

}  // namespace bellwether

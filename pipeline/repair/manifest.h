// What a backup says of itself: the file `manifest` in its folder, written last. Text, a line an entry:
//
//   bellwether-backup 1
//   program VERSION
//   tick SLOT SUB                       the last one in the backup's state
//   position PARTITION OFFSET TOPIC     records below OFFSET are in the state
//   file BYTES CHECK PATH               CHECK as in files.h, PATH below the backup's folder
//   end CHECK                           XXH3 of 64 bits of all bytes before this line
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/limits.h"
#include "pipeline/repair/files.h"
#include "pipeline/sources/source.h"

namespace bellwether {

constexpr const char* kManifestName = "manifest";

struct Manifest {
  std::string program;
  TickId tick;
  std::vector<std::pair<PartitionId, int64_t>> positions;
  std::vector<std::pair<std::string, FileSum>> files;  // paths "store/NAME" and "log/PARTITION/NAME"
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

std::string encode(const Manifest& manifest);
// Errors: it is damaged, or of a later version. `path` is for the message.
Status decode(std::string_view bytes, const std::string& path, Manifest& out);

}  // namespace bellwether

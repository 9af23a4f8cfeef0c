// The folder of a store, by what stands in it: whose it is, who uses it, of what format. Knows no engine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/sources/source.h"  // Status

namespace bellwether {

// The row of family meta that names the format, the one that this program writes, and those before, which it reads on.
// 1 had no rows of members (members.h), 2 no patches of rows (row_patch.h): a program of then cannot read them.
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kFormat = "bellwether-store 3";
constexpr bool readable_format(std::string_view format) {
  return format == kFormat || format == "bellwether-store 2" || format == "bellwether-store 1";
}

// The process that holds PATH/LOCK, as the kernel knows it; 0 if it does not say. Never to be asked while this process
// holds it: closing the file would give that lock up.
int64_t lock_holder(const std::string& path);
// The process that wrote its number into DIR/pid; 0 where none did.
int64_t recorded_holder(const std::string& dir);
// Writes this process's number there, for people and for the message of a second start: the lock is what counts.
// The file's path; empty where it cannot be written.
std::string record_holder(const std::string& dir);

// Refusals, with what to do.
Status not_ours(const std::string& path, const std::string& why);
Status other_format(const std::string& path, const std::string& found);
// What went wrong while doing so in `path`, and what somebody can do about it; `text` is RocksDB's.
Status store_failure(const std::string& doing, const std::string& path, const std::string& text, bool full,
                     bool damaged);

// Names that RocksDB may have left when the very first opening was killed before it was complete.
bool may_be_unfinished(const std::string& name);

// Bytes of the files in it, of those that can be asked.
uint64_t folder_bytes(const std::string& path);

// Makes `path` in `dir`, durably.
Status make_folder(const std::string& dir, const std::string& path);

}  // namespace bellwether

// The folder of a store, by what stands in it: whose it is, who uses it, of what format. Knows no engine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/sources/source.h"  // Status

namespace bellwether {

// The row of family meta that names the format, and the one that this program reads.
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kFormat = "bellwether-store 1";

// The process that holds PATH/LOCK, as the kernel knows it; 0 if it does not say. Never to be asked while this process
// holds it: closing the file would give that lock up.
int64_t lock_holder(const std::string& path);
// The process that wrote its number into DIR/pid; 0 where none did.
int64_t recorded_holder(const std::string& dir);

// Refusals, with what to do.
Status not_ours(const std::string& path, const std::string& why);
Status other_format(const std::string& path, const std::string& found);

// Names that RocksDB may have left when the very first opening was killed before it was complete.
bool may_be_unfinished(const std::string& name);

// Makes `path` in `dir`, durably.
Status make_folder(const std::string& dir, const std::string& path);

}  // namespace bellwether

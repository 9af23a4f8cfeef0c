// Copies of files that can be trusted: summed as they are read, on disk when the call returns, linked where they never
// change. Errors name the file and, for a full disk, what to do.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "pipeline/sources/source.h"

namespace bellwether {

// Asked now and then during long work: true ends it with an error.
using Cancelled = std::function<bool()>;

struct FileSum {
  uint64_t bytes = 0;
  std::string check;  // XXH3 of 128 bits, 32 hexadecimal digits
  friend bool operator==(const FileSum&, const FileSum&) = default;
};

// Reads the file, up to `bytes_max` of it (negative: all).
Status sum_file(const std::string& path, int64_t bytes_max, const Cancelled& cancelled, FileSum& out);
// Writes a new file with the first `bytes_max` bytes of the other (negative: all) and syncs it. A shorter file is an
// error.
Status copy_file(const std::string& from, const std::string& to, int64_t bytes_max, const Cancelled& cancelled,
                 FileSum& out);
// Makes a hard link, or a copy where the two are on different file systems or these have no links. `linked` says which.
Status link_or_copy(const std::string& from, const std::string& to, const Cancelled& cancelled, FileSum& out,
                    bool& linked);
// Writes a new file and syncs it.
Status write_file(const std::string& path, std::string_view bytes);
Status read_file(const std::string& path, std::string& out);

// Makes a new folder in one that is there, and its name durable. An error where something of the name is there.
Status make_folder(const std::string& path);
// Syncs the names in the folder and in every folder below.
Status sync_tree(const std::string& path);
// "a/b" of "a/b/c" and "."  of "c"; a slash at the end is none.
std::string parent_of(const std::string& path);
// Without slashes at its end.
std::string trimmed(std::string path);

}  // namespace bellwether

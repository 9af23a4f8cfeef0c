// Interaction graphs as likes: each line "src dst unix_seconds" is a like by src of a post of dst.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "pipeline/tools/import_common.h"

namespace bellwether {

struct ImportEdgesOptions {
  std::vector<std::string> files;  // plain, .gz or .zst; "-" once
  std::string out = "-";
  uint32_t post_days = 1;  // 1..3650: the edges to one user in so many days are likes of one post
  size_t sort_bytes = kSortBytes;
};

// A post is named by its author and the first day of its period ("4-2009-09-28"); periods count from 1970-01-01. Events
// are named by file and line ("e1-17"), in time order over all files. Edges from a user to themselves stay: the
// pipeline scores them nothing. Empty lines and lines that begin with '#' or '%' are comments. What cannot be read is
// skipped, counted, and said on `err`. Gives the exit code: 0, 1 (I/O failed, or no line could be read), 2 (bad
// option).
int run_import_edges(const ImportEdgesOptions& options, std::ostream& err);

}  // namespace bellwether

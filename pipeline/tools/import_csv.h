// Anybody's table as events: columns are mapped to the fields of one kind of event.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "pipeline/tools/import_common.h"

namespace bellwether {

struct ImportCsvOptions {
  std::string file;                // plain, .gz or .zst, with a header row; "-" is standard input
  std::string kind;                // like, post, referral, beta_test, account, entitlement_use, feedback
  std::vector<std::string> map;    // "FIELD=COLUMN[+COLUMN…],…": several columns are joined by '/'
  std::vector<std::string> where;  // "COLUMN=VALUE" or "COLUMN!=VALUE"; all must hold
  std::vector<std::string> join;  // "FILE:COLUMN[+COLUMN…]": adds the columns of FILE's row with the same values there
  std::vector<std::string> fixed;  // "FIELD=VALUE"
  std::string time_unit;           // s, ms, us; empty: told by the number's size
  std::string separator = ",";     // one character, or "tab"
  std::string id_prefix;           // before the ids made from kind and row; default: the kind
  std::string out = "-";
  size_t sort_bytes = kSortBytes;
};

// Time: a number of seconds (fraction allowed), milliseconds or microseconds since 1970, RFC 3339, or "YYYY-MM-DD[
// HH:MM:SS]" in UTC. Without an `id` column events are named by kind and row ("like-17"). A joined FILE is held in
// memory, as far as its columns are used; everything else streams. Rows that make no valid event are skipped, counted
// by reason and said on `err`. Gives the exit code: 0, 1 (I/O failed, broken table, or no row made an event), 2
// (unknown kind, field, column or value).
int run_import_csv(const ImportCsvOptions& options, std::ostream& err);

// The fields of a kind, "author* kind post* …" with * where one is needed; empty for an unknown kind. For --help and
// messages.
std::string csv_fields(std::string_view kind);

}  // namespace bellwether

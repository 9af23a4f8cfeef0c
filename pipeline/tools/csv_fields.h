// The fields that `import csv` can fill, by kind of event. Used by import_csv.cc alone.
#pragma once

#include <string_view>
#include <vector>

#include "operators/fact.h"

namespace bellwether {

struct CsvField {
  std::string_view name;
  bool needed;                                              // must be mapped, given or have a default
  std::string_view standard;                                // the value when it is neither mapped nor given
  const char* (*set)(Fact& event, std::string_view value);  // null, or what is wrong with a value that is not empty
};

struct CsvKind {
  std::string_view name;
  void (*begin)(Fact& event);  // makes the body
  std::vector<CsvField> fields;
};

// Null for an unknown kind.
const CsvKind* csv_kind(std::string_view name);
std::string_view csv_kind_names();

}  // namespace bellwether

// The `<row A="…" B="…"/>` elements of a Stack Exchange dump file, streamed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "pipeline/sources/source.h"

namespace bellwether {

// One row's attributes; lives during the call it is handed to.
class XmlRow {
 public:
  // `attributes`: name, value, name, value, …, null.
  XmlRow(const char** attributes, uint64_t line) : attributes_(attributes), line_(line) {}
  // The decoded value, empty where the attribute is missing.
  std::string_view get(std::string_view name) const;
  uint64_t line() const { return line_; }

 private:
  const char** attributes_;
  uint64_t line_;
};

// Reads `path` (plain, .gz, .zst) and hands each row to `row`, ending at its first error. A document type is refused
// (so no entity can expand), as are rows over 16 MiB and anything that is not well-formed: the error names file and
// line. `progress` is told (file bytes read, file size) now and then.
Status read_xml_rows(const std::string& path, const std::function<Status(const XmlRow&)>& row,
                     const std::function<void(uint64_t, uint64_t)>& progress = {});

}  // namespace bellwether

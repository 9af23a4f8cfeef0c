// RFC 4180 tables, streamed: quoted fields with commas, doubled quotes and line ends in them; "\n" or "\r\n".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/tools/lines.h"

namespace bellwether {

class CsvReader {
 public:
  enum class Got : uint8_t { kRow, kEnd, kError };
  explicit CsvReader(char separator = ',') : separator_(separator) {}
  // Reads the header row, after a byte order mark if there is one. Column names must differ and not be empty.
  Status open(const std::string& path);
  const std::vector<std::string>& columns() const { return columns_; }
  // The column's index, or -1.
  int column(std::string_view name) const;
  std::string column_names() const;  // "a, b, c", for messages
  // The next row; its fields live until the next call. A row with another number of fields than the header is given as
  // it stands. An error (status()) names file and line: a quote that never ends, text behind a closing quote, a row
  // over 1 MiB.
  Got next(std::vector<std::string_view>& fields);
  uint64_t line() const { return row_line_; }  // on which the last row began, from 1
  uint64_t row() const { return row_; }        // its number, the first after the header being 1
  const Status& status() const { return status_; }
  const InputStream& stream() const { return in_; }

 private:
  int byte();  // the next byte, or -1
  Got fail(const std::string& what);
  InputStream in_;
  Status status_;
  char separator_;
  std::vector<std::string> columns_;
  std::string buffer_, text_;
  size_t at_ = 0, end_ = 0;
  std::vector<size_t> ends_;
  uint64_t line_ = 1, row_line_ = 0, row_ = 0;
  bool eof_ = false;
};

}  // namespace bellwether

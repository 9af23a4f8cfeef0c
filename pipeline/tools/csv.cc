#include "pipeline/tools/csv.h"

#include <algorithm>

namespace bellwether {
namespace {
constexpr size_t kBuffer = 1 << 16;
constexpr size_t kMaxRow = 1 << 20;
}  // namespace

int CsvReader::byte() {
  if (at_ == end_) {
    if (eof_) return -1;
    buffer_.resize(kBuffer);
    status_ = in_.read(buffer_.data(), kBuffer, end_);
    at_ = 0;
    if (!status_.ok() || end_ == 0) {
      end_ = 0, eof_ = true;
      return -1;
    }
  }
  return static_cast<unsigned char>(buffer_[at_++]);
}

CsvReader::Got CsvReader::fail(const std::string& what) {
  status_ = Status::error(in_.name() + ":" + std::to_string(row_line_) + ": " + what);
  eof_ = true, at_ = end_ = 0;
  return Got::kError;
}

Status CsvReader::open(const std::string& path) {
  status_ = in_.open(path);
  if (!status_.ok()) return status_;
  std::vector<std::string_view> fields;
  if (next(fields) != Got::kRow)
    return status_.ok() ? status_ = Status::error(in_.name() + ": no header row") : status_;
  if (fields[0].starts_with("\xef\xbb\xbf")) fields[0].remove_prefix(3);
  for (const std::string_view name : fields) {
    if (name.empty()) return status_ = Status::error(in_.name() + ":1: a column without a name");
    if (column(name) >= 0)
      return status_ = Status::error(in_.name() + ":1: column \"" + std::string(name) + "\" stands twice");
    columns_.emplace_back(name);
  }
  row_ = 0;
  return status_;
}

int CsvReader::column(std::string_view name) const {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  return found == columns_.end() ? -1 : static_cast<int>(found - columns_.begin());
}

std::string CsvReader::column_names() const {
  std::string out;
  for (const std::string& name : columns_) out += (out.empty() ? "" : ", ") + name;
  return out;
}

CsvReader::Got CsvReader::next(std::vector<std::string_view>& fields) {
  fields.clear(), text_.clear(), ends_.clear();
  int c = byte();
  while (c == '\n' || c == '\r') {  // empty lines between rows
    if (c == '\n') ++line_;
    c = byte();
  }
  if (c < 0) return status_.ok() ? Got::kEnd : Got::kError;
  row_line_ = line_;
  bool row_done = false;
  while (!row_done) {
    if (c == '"') {
      for (;;) {
        c = byte();
        if (c < 0) return status_.ok() ? fail("a quoted field that never ends") : Got::kError;
        if (c == '\n') ++line_;
        if (c == '"') {
          c = byte();
          if (c != '"') break;
        }
        text_ += static_cast<char>(c);
        if (text_.size() > kMaxRow) return fail("a row longer than 1 MiB (an unclosed quote?)");
      }
      if (c == '\r') c = byte();
      if (c >= 0 && c != separator_ && c != '\n') return fail("text behind a closing quote");
    } else {
      while (c >= 0 && c != separator_ && c != '\n') {
        text_ += static_cast<char>(c);
        if (text_.size() > kMaxRow) return fail("a row longer than 1 MiB");
        c = byte();
      }
      const size_t from = ends_.empty() ? 0 : ends_.back();
      if (c != separator_ && text_.size() > from && text_.back() == '\r') text_.pop_back();
    }
    if (!status_.ok()) return Got::kError;
    ends_.push_back(text_.size());
    if (c == separator_) {
      c = byte();
      if (c < 0) ends_.push_back(text_.size()), row_done = true;  // "a," at the file's end: an empty last field
    } else {
      if (c == '\n') ++line_;
      row_done = true;
    }
  }
  size_t from = 0;
  for (const size_t end : ends_) fields.emplace_back(text_.data() + from, end - from), from = end;
  ++row_;
  return Got::kRow;
}

}  // namespace bellwether

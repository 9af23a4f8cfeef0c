// Text as a JSON string, for the lines of `dump`.
#pragma once

#include <string>
#include <string_view>

namespace bellwether {

// Appends `text` (UTF-8) in quotes; quotes, backslashes and control characters are escaped, everything else stands as
// it is.
inline void append_json(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\', out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00", out += kDigits[static_cast<unsigned char>(c) >> 4], out += kDigits[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace bellwether

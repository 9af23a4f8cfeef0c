#include "config/text.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace bellwether {

std::optional<size_t> invalid_utf8_at(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t more = 0;
    // The second byte's range is narrower after some leads: that excludes overlong forms, surrogates and > U+10FFFF.
    unsigned char low = 0x80, high = 0xBF;
    if (lead < 0x80) {
      more = 0;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
      more = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      more = 2;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      more = 3;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return i;
    }
    if (i + more >= text.size()) return i;
    for (size_t k = 1; k <= more; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      if (byte < low || byte > high) return i;
      low = 0x80, high = 0xBF;
    }
    i += more + 1;
  }
  return std::nullopt;
}

std::string quoted(std::string_view text) {
  constexpr size_t kShown = 60;
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7F) {
      char hex[5];
      std::snprintf(hex, sizeof hex, "\\x%02x", byte);
      // Well-formed letters of other scripts are shown as they are; a cut or broken one is not.
      out += byte >= 0x80 && !invalid_utf8_at(text) && text.size() <= kShown ? std::string(1, c) : hex;
    } else {
      out += c;
    }
  }
  return out + (text.size() > kShown ? "…\"" : "\"");
}

std::string closest(std::string_view given, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, given.size() / 3) + 1;  // what wins is closer than this
  if (given.size() > 256) return best;
  for (const std::string& candidate : candidates) {
    const size_t rows = given.size() + 1, columns = candidate.size() + 1;
    std::vector<size_t> d(rows * columns);
    const auto at = [&](size_t i, size_t j) -> size_t& { return d[i * columns + j]; };
    for (size_t i = 0; i < rows; ++i) at(i, 0) = i;
    for (size_t j = 0; j < columns; ++j) at(0, j) = j;
    for (size_t i = 1; i < rows; ++i) {
      for (size_t j = 1; j < columns; ++j) {
        at(i, j) =
            std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (given[i - 1] != candidate[j - 1])});
        if (i > 1 && j > 1 && given[i - 1] == candidate[j - 2] && given[i - 2] == candidate[j - 1]) {
          at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
        }
      }
    }
    const size_t distance = at(rows - 1, columns - 1);
    if (distance < best_distance) best_distance = distance, best = candidate;
  }
  return best;
}

std::optional<int64_t> parse_decimal(std::string_view text, int digits) {
  const size_t dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  const std::string_view part = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  if (whole.size() > 1 && whole.front() == '0') return std::nullopt;  // elsewhere 010 is eight
  if (whole.empty() || (dot != std::string_view::npos && part.empty())) return std::nullopt;
  if (part.size() > static_cast<size_t>(digits) || whole.size() + static_cast<size_t>(digits) > 18) return std::nullopt;
  int64_t value = 0;
  for (const std::string_view run : {whole, part}) {
    for (const char c : run) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + (c - '0');
    }
  }
  for (size_t i = part.size(); i < static_cast<size_t>(digits); ++i) value *= 10;
  return value;
}

std::string decimal_text(int64_t value, int digits) {
  int64_t scale = 1;
  for (int i = 0; i < digits; ++i) scale *= 10;
  std::string text = std::to_string(value / scale);
  std::string part = std::to_string(value % scale + scale).substr(1);
  while (!part.empty() && part.back() == '0') part.pop_back();
  return part.empty() ? text : text + "." + part;
}

std::optional<std::string> read_file(const std::string& path, size_t bytes_max, std::string& error) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) {
    error = std::string("cannot be read: ") + std::strerror(errno);
    return std::nullopt;
  }
  std::string text;
  char block[16384];
  while (const size_t n = std::fread(block, 1, sizeof block, file.get())) {
    text.append(block, n);
    if (text.size() > bytes_max) {
      error = "is too large: more than " + std::to_string(bytes_max) + " bytes";
      return std::nullopt;
    }
  }
  if (std::ferror(file.get())) {
    error = std::string("cannot be read: ") + std::strerror(errno);
    return std::nullopt;
  }
  return text;
}

}  // namespace bellwether

// Small helpers for text that people write: is it UTF-8, how is it shown in a message, what did they mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bellwether {

// The offset of the first byte that is not well-formed UTF-8 (overlong forms and surrogates are not), or nothing.
std::optional<size_t> invalid_utf8_at(std::string_view text);

// `text` in double quotes for a message: control bytes shown as \xNN, cut after 60 bytes.
std::string quoted(std::string_view text);

// The candidate closest to `given`: within one edit for every three letters, swapped neighbours count as one. Empty if
// none is near.
std::string closest(std::string_view given, const std::vector<std::string>& candidates);

// A decimal such as "0.5" as a whole number of 10^-digits: exact, no float. Nothing unless it is DIGITS[.DIGITS]
// without leading zeros, with at most `digits` decimals and 18 digits in all.
std::optional<int64_t> parse_decimal(std::string_view text, int digits);
std::string decimal_text(int64_t value, int digits);

// The whole file, or what went wrong ("cannot be read: No such file or directory"). At most `bytes_max`.
std::optional<std::string> read_file(const std::string& path, size_t bytes_max, std::string& error);

}  // namespace bellwether

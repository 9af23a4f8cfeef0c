// RFC 3339 times of proto3 JSON.
#pragma once

#include <cstdint>
#include <string_view>

namespace bellwether::decode {

// "2024-02-29T23:59:59.123456789+08:00": years 0001..9999, up to nine digits of a second's fraction, "Z" or an offset.
// Seconds since 1970 and 0..999999999 nanoseconds on top. False if it is no such time; a leap second is none.
bool parse_rfc3339(std::string_view text, int64_t& seconds, int32_t& nanos);

}  // namespace bellwether::decode

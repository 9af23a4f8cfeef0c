// Points in time as text. All times are microseconds since 1970-01-01T00:00:00Z.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "operators/limits.h"

namespace bellwether {

// "2009-09-28T12:30:45.123456Z". Years 0001 to 9999.
void append_time(int64_t time_us, std::string& out);
std::string time_text(int64_t time_us);
// "2009-09-28", of a day number since 1970-01-01.
void append_date(int64_t day, std::string& out);

// "YYYY-MM-DD", or that with "T" or one blank and "HH:MM[:SS[.fraction]]" and a zone ("Z", "+02:00") or none (UTC).
// Digits past microseconds are cut. False: not such a time, or a date that does not exist.
bool parse_time(std::string_view text, int64_t& time_us);

}  // namespace bellwether

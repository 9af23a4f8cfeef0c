#include "pipeline/decode/json_time.h"

namespace bellwether::decode {
namespace {

// Exactly `count` digits at the front of `text`, taken off it.
bool digits(std::string_view& text, size_t count, int64_t& out) {
  if (text.size() < count) return false;
  out = 0;
  for (size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    out = out * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return true;
}

bool one_of(std::string_view& text, char a, char b) {
  if (text.empty() || (text[0] != a && text[0] != b)) return false;
  text.remove_prefix(1);
  return true;
}

bool leap_year(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int64_t days_in_month(int64_t year, int64_t month) {
  if (month == 2) return leap_year(year) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

// Days since 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
int64_t days_since_1970(int64_t year, int64_t month, int64_t day) {
  const int64_t y = month <= 2 ? year - 1 : year;
  const int64_t months = month <= 2 ? month + 9 : month - 3;  // since March
  const int64_t day_of_year = (153 * months + 2) / 5 + day - 1;
  const int64_t leap_days = y / 4 - y / 100 + y / 400;
  constexpr int64_t kDaysTo1970 = 719468;  // from 0000-03-01
  return y * 365 + leap_days + day_of_year - kDaysTo1970;
}

}  // namespace

bool parse_rfc3339(std::string_view text, int64_t& seconds, int32_t& nanos) {
  int64_t year, month, day, hour, minute, second;
  if (!digits(text, 4, year) || !one_of(text, '-', '-') || !digits(text, 2, month) || !one_of(text, '-', '-') ||
      !digits(text, 2, day) || !one_of(text, 'T', 't') || !digits(text, 2, hour) || !one_of(text, ':', ':') ||
      !digits(text, 2, minute) || !one_of(text, ':', ':') || !digits(text, 2, second)) {
    return false;
  }
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
  if (hour > 23 || minute > 59 || second > 59) return false;

  int64_t fraction = 0;
  if (one_of(text, '.', '.')) {
    size_t count = 0;
    while (count < text.size() && text[count] >= '0' && text[count] <= '9') ++count;
    if (count == 0 || count > 9 || !digits(text, count, fraction)) return false;
    for (; count < 9; ++count) fraction *= 10;
  }

  int64_t offset_s = 0;
  if (!one_of(text, 'Z', 'z')) {
    if (text.empty() || (text[0] != '+' && text[0] != '-')) return false;
    const int64_t sign = text[0] == '+' ? 1 : -1;
    text.remove_prefix(1);
    int64_t hours, minutes;
    if (!digits(text, 2, hours) || !one_of(text, ':', ':') || !digits(text, 2, minutes)) return false;
    if (hours > 23 || minutes > 59) return false;
    offset_s = sign * (hours * 3600 + minutes * 60);
  }
  if (!text.empty()) return false;
  seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s;
  nanos = static_cast<int32_t>(fraction);
  return true;
}

}  // namespace bellwether::decode

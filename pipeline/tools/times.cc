#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

struct Date {
  int64_t year;
  unsigned month, day;
};

constexpr int64_t kDaysInEra = 146097;  // 400 years

// The proleptic Gregorian calendar counted from March, so that the leap day is a year's last.
Date date_of(int64_t day) {
  const int64_t shifted = day + 719468;
  const int64_t era = floor_div(shifted, kDaysInEra);
  const unsigned of_era = static_cast<unsigned>(shifted - era * kDaysInEra);
  const unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
  const unsigned from_march = (5 * of_year + 2) / 153;
  const unsigned month = from_march < 10 ? from_march + 3 : from_march - 9;
  return {era * 400 + year + (month <= 2 ? 1 : 0), month, of_year - (153 * from_march + 2) / 5 + 1};
}

int64_t day_of(Date d) {
  const int64_t year = d.month <= 2 ? d.year - 1 : d.year;
  const int64_t era = floor_div(year, 400);
  const int64_t of_era = year - era * 400;
  const int64_t of_year = (153 * (d.month > 2 ? d.month - 3 : d.month + 9) + 2) / 5 + d.day - 1;
  return era * kDaysInEra + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void digits(uint64_t value, int width, std::string& out) {
  char text[8];
  for (int i = width; i-- > 0; value /= 10) text[i] = static_cast<char>('0' + value % 10);
  out.append(text, static_cast<size_t>(width));
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool number(int width, int64_t& value) {
    if (text_.size() - at_ < static_cast<size_t>(width)) return false;
    value = 0;
    for (int i = 0; i < width; ++i) {
      const char c = text_[at_++];
      if (c < '0' || c > '9') return false;
      value = value * 10 + (c - '0');
    }
    return true;
  }
  bool is(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool done() const { return at_ == text_.size(); }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

void append_date(int64_t day, std::string& out) {
  const Date d = date_of(day);
  digits(static_cast<uint64_t>(d.year), 4, out), out += '-';
  digits(d.month, 2, out), out += '-';
  digits(d.day, 2, out);
}

void append_time(int64_t time_us, std::string& out) {
  const int64_t day = floor_div(time_us, kDayUs);
  const uint64_t rest = static_cast<uint64_t>(time_us - day * kDayUs);
  append_date(day, out), out += 'T';
  digits(rest / kHourUs, 2, out), out += ':';
  digits(rest / kMinuteUs % 60, 2, out), out += ':';
  digits(rest / kSecondUs % 60, 2, out), out += '.';
  digits(rest % kSecondUs, 6, out), out += 'Z';
}

std::string time_text(int64_t time_us) {
  std::string out;
  append_time(time_us, out);
  return out;
}

bool parse_time(std::string_view text, int64_t& time_us) {
  Scanner in(text);
  int64_t year = 0, month = 0, mday = 0, hour = 0, minute = 0, second = 0, micros = 0;
  if (!in.number(4, year) || !in.is('-') || !in.number(2, month) || !in.is('-') || !in.number(2, mday)) return false;
  if (year < 1 || month < 1 || month > 12 || mday < 1 || mday > 31) return false;
  const Date given{year, static_cast<unsigned>(month), static_cast<unsigned>(mday)};
  const int64_t day = day_of(given);
  if (date_of(day).day != given.day) return false;  // 30 February
  int64_t zone_minutes = 0;
  if (!in.done()) {
    if (!in.is('T') && !in.is('t') && !in.is(' ')) return false;
    if (!in.number(2, hour) || !in.is(':') || !in.number(2, minute)) return false;
    if (in.is(':')) {
      if (!in.number(2, second)) return false;
      if (in.is('.')) {
        int64_t digit = 0;
        int seen = 0;
        for (; in.number(1, digit); ++seen)
          if (seen < 6) micros = micros * 10 + digit;
        if (seen == 0) return false;
        for (; seen < 6; ++seen) micros *= 10;
        // The scanner has eaten the character that ended the fraction; begin again behind the digits.
        size_t at = text.find('.') + 1;
        while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
        in = Scanner(text.substr(at));
      }
    }
    if (hour > 23 || minute > 59 || second > 60) return false;  // 60: a leap second counts as the next minute's first
    if (!in.is('Z') && !in.is('z') && !in.done()) {
      const bool west = in.is('-');
      if (!west && !in.is('+')) return false;
      int64_t zone_hour = 0, zone_minute = 0;
      if (!in.number(2, zone_hour)) return false;
      in.is(':');
      if (!in.number(2, zone_minute) || zone_hour > 23 || zone_minute > 59) return false;
      zone_minutes = (zone_hour * 60 + zone_minute) * (west ? -1 : 1);
    }
    if (!in.done()) return false;
  }
  time_us = day * kDayUs + (hour * 60 + minute - zone_minutes) * kMinuteUs + second * kSecondUs + micros;
  return true;
}

}  // namespace bellwether

#include "pipeline/decode/reason.h"

#include <array>

namespace bellwether {

std::string_view reason_name(Reason reason) {
  static constexpr std::array<std::string_view, kReasons> kNames = {
      "none",         "undecodable",      "too_large",       "invalid_utf8", "empty_id",
      "id_too_long",  "unspecified_enum", "body_missing",    "time_missing", "invalid_time",
      "out_of_range", "text_too_long",    "too_many_topics", "future",       "expired"};
  const auto at = static_cast<size_t>(reason);
  return at < kReasons ? kNames[at] : "unknown";
}

}  // namespace bellwether

// Text that people write: configuration and what stands beside it. It is taken or refused with a reason; what is taken
// is written back as text that means the same.
#include "config/load.h"
#include "config/schema.h"
#include "config/text.h"
#include "config/tokens.h"
#include "pipeline/decode/json_time.h"
#include "pipeline/decode/wire.h"
#include "pipeline/tools/event_json.h"
#include "pipeline/tools/ring_spec.h"
#include "pipeline/tools/times.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

void same_community(const CommunityConfig& community) {
  const std::string text = canonical(community);
  const auto again = parse_canonical(text);
  require(again.ok(), "the canonical text is refused: " + again.error_text() + "\n" + text);
  require(again.value() == community && canonical(again.value()) == text, "the canonical text reads as other values");
  require(content_hash(again.value()) == content_hash(community), "the same configuration has two hashes");
}

template <class T>
void said(const Result<T>& result) {
  for (const std::string& error : result.errors())
    require(!error.empty() && !invalid_utf8_at(error), "an error is empty or no UTF-8");
}

void loaded(const Result<Config>& result) {
  said(result);
  if (result.ok()) same_community(result.value().community);
}

void small_texts(std::string_view text) {
  for (const int digits : {0, 3, 6}) {
    const auto value = parse_decimal(text, digits);
    if (value) require(parse_decimal(decimal_text(*value, digits), digits) == value, "a decimal does not come back");
  }
  require(invalid_utf8_at(text).has_value() != decode::valid_utf8(text), "two opinions of what UTF-8 is");
  require(valid_utf8(text) == decode::valid_utf8(text), "importers have another opinion of what UTF-8 is");
  require(!invalid_utf8_at(quoted(text)), "a quoted text is no UTF-8");
  (void)closest(text, {"engine.threads", "service.listen", "kafka.brokers"});
  (void)is_loopback(text);
  if (is_loopback(text)) require(is_listen_address(text), "loopback, but no address");
  RingSpec ring;
  (void)parse_ring(text, ring).ok();
  int64_t time_us = 0, seconds = 0;
  int32_t nanos = 0;
  const bool rfc = decode::parse_rfc3339(text, seconds, nanos);
  if (rfc) require(nanos >= 0 && nanos < 1'000'000'000, "nanoseconds outside a second");
  if (parse_time(text, time_us)) {
    int64_t again = 0;
    // With a zone a time may lie outside the years that the text form has.
    constexpr int64_t kFirst = -62'135'596'800'000'000, kEnd = 253'402'300'800'000'000;
    if (time_us >= kFirst && time_us < kEnd)
      require(parse_time(time_text(time_us), again) && again == time_us, "a time does not come back");
    if (rfc) require(time_us == seconds * 1'000'000 + nanos / 1000, "two opinions of what time it is");
  }
}

}  // namespace

void check_config(std::string_view input) {
  Input in(input);
  const uint8_t which = in.byte();
  const std::string rest(in.rest());
  switch (which % 8) {
    case 0:
    case 1:
    case 2:
      loaded(load_text(rest, "fuzz.yaml"));
      said(keys_set_in(rest, "fuzz.yaml"));
      return;
    case 3: {
      const auto community = parse_canonical(rest);
      said(community);
      if (community.ok()) same_community(community.value());
      return;
    }
    case 4:
      loaded(load_text("", "fuzz.yaml", {rest}));
      return;
    case 5: {
      const size_t equals = rest.find('=');
      Environment environment;
      environment["BELLWETHER_" + rest.substr(0, equals)] = equals == std::string::npos ? "" : rest.substr(equals + 1);
      loaded(load_text("", "fuzz.yaml", {}, environment));
      return;
    }
    case 6: {
      const auto tokens = parse_tokens(rest, "tokens");
      said(tokens);
      if (tokens.ok()) require(tokens.value().find("") == nullptr && tokens.value().find(rest) == nullptr, "a token");
      return;
    }
    default:
      small_texts(Exact(rest).view());
  }
}

}  // namespace bellwether::fuzz

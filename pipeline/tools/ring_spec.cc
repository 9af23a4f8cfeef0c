#include "pipeline/tools/ring_spec.h"

#include <charconv>

#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

bool count(std::string_view text, uint32_t low, uint32_t high, uint32_t& value) {
  const auto r = std::from_chars(text.data(), text.data() + text.size(), value);
  return r.ec == std::errc() && r.ptr == text.data() + text.size() && value >= low && value <= high;
}

}  // namespace

bool parse_millionths(std::string_view text, uint64_t max, uint64_t& millionths) {
  const size_t dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  const std::string_view rest = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  if (whole.empty() && rest.empty()) return false;
  uint64_t value = 0;
  if (!whole.empty()) {
    const auto r = std::from_chars(whole.data(), whole.data() + whole.size(), value);
    if (r.ec != std::errc() || r.ptr != whole.data() + whole.size() || value > max) return false;
  }
  value *= 1'000'000;
  uint64_t digit = 100'000;
  for (const char c : rest) {
    if (c < '0' || c > '9') return false;
    value += static_cast<uint64_t>(c - '0') * digit;
    digit /= 10;
  }
  if (value > max * 1'000'000) return false;
  millionths = value;
  return true;
}

Status parse_ring(std::string_view text, RingSpec& ring) {
  const auto wrong = [&](const char* what) {
    return Status::error("ring \"" + std::string(text) + "\": " + what +
                         "; a ring is MEMBERSxTARGETS[:DENSITY[:burst|spread|drip]], e.g. 20x10:0.9:drip");
  };
  ring = RingSpec();
  const size_t colon = text.find(':');
  const std::string_view size = text.substr(0, colon);
  const size_t x = size.find('x');
  if (x == std::string_view::npos) return wrong("no x between members and targets");
  if (!count(size.substr(0, x), 2, 100'000, ring.members)) return wrong("members must be 2 to 100000");
  if (!count(size.substr(x + 1), 1, 10'000, ring.targets)) return wrong("targets must be 1 to 10000");
  if (colon == std::string_view::npos) return Status::fine();
  const std::string_view rest = text.substr(colon + 1);
  const size_t second = rest.find(':');
  uint64_t density = 0;
  if (!parse_millionths(rest.substr(0, second), 1, density)) return wrong("density must be 0 to 1");
  ring.density_ppm = static_cast<uint32_t>(density);
  if (second == std::string_view::npos) return Status::fine();
  const std::string_view tempo = rest.substr(second + 1);
  if (tempo == "burst")
    ring.tempo = Tempo::kBurst;
  else if (tempo == "spread")
    ring.tempo = Tempo::kSpread;
  else if (tempo == "drip")
    ring.tempo = Tempo::kDrip;
  else
    return wrong("tempo must be burst, spread or drip");
  return Status::fine();
}

Status parse_rings(const std::vector<std::string>& texts, std::vector<RingSpec>& rings) {
  rings.clear();
  for (const std::string& text : texts) {
    RingSpec ring;
    if (Status s = parse_ring(text, ring); !s.ok()) return s;
    rings.push_back(ring);
  }
  return Status::fine();
}

int64_t tempo_us(Tempo tempo) {
  switch (tempo) {
    case Tempo::kBurst:
      return 10 * kMinuteUs;
    case Tempo::kSpread:
      return kDayUs;
    case Tempo::kDrip:
      break;
  }
  return 14 * kDayUs;
}

int64_t span_us(Tempo tempo) { return (tempo == Tempo::kDrip ? 60 : 30) * kDayUs; }

}  // namespace bellwether

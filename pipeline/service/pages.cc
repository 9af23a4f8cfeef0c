#include "pipeline/service/pages.h"

#include <algorithm>

#include "operators/codec.h"

namespace bellwether {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr uint8_t kTokenVersion = 1;

// A token that was cut or mistyped is told from one of another query.
uint8_t check_of(std::string_view bytes) {
  uint32_t sum = 0x5a;
  for (const char c : bytes) sum = sum * 31 + static_cast<uint8_t>(c);
  return static_cast<uint8_t>(sum ^ sum >> 8 ^ sum >> 16);
}

}  // namespace

std::string base64url(std::string_view bytes) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(c), held += 8;
    while (held >= 6) held -= 6, out += kDigits[bits >> held & 63];
  }
  if (held > 0) out += kDigits[bits << (6 - held) & 63];
  return out;
}

bool from_base64url(std::string_view text, std::string& out) {
  out.clear();
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<uint32_t>(digit), held += 6;
    if (held >= 8) held -= 8, out += static_cast<char>(bits >> held & 255);
  }
  return held < 6 && (bits & ((1u << held) - 1)) == 0;
}

std::string encode(const PageToken& token) {
  std::string bytes;
  Writer w(bytes);
  w.u8(kTokenVersion), w.fixed64(token.query), w.fixed64(token.process), w.varint(token.commit), w.bytes(token.last);
  bytes += static_cast<char>(check_of(bytes));
  return base64url(bytes);
}

bool decode(std::string_view text, PageToken& out) {
  std::string bytes;
  if (text.size() > 1024 || !from_base64url(text, bytes) || bytes.size() < 2) return false;
  const auto check = static_cast<uint8_t>(bytes.back());
  bytes.pop_back();
  if (check != check_of(bytes)) return false;
  Reader r(bytes);
  if (r.u8() != kTokenVersion) return false;
  out.query = r.fixed64(), out.process = r.fixed64(), out.commit = r.varint(), out.last = r.bytes();
  return r.ok() && r.done();
}

uint32_t page_size_of(int32_t asked, uint32_t page_max) {
  if (asked <= 0) return std::min<uint32_t>(kPageDefault, page_max);
  return std::min(static_cast<uint32_t>(asked), page_max);
}

void PinnedReadings::pin(const std::shared_ptr<const Reading>& reading, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  for (const Pin& pin : pins_)
    if (pin.reading->at().number() == reading->at().number()) return;
  pins_.push_back({reading, now + kPinnedFor});
  while (pins_.size() > kPinnedMax) pins_.pop_front();
}

std::shared_ptr<const Reading> PinnedReadings::find(uint64_t commit, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  for (const Pin& pin : pins_)
    if (pin.reading->at().number() == commit && now < pin.until) return pin.reading;
  return nullptr;
}

void PinnedReadings::forget(size_t erased) {
  std::list<Pin> gone;
  const std::lock_guard lock(mutex_);
  for (auto pin = pins_.begin(); pin != pins_.end();) {
    const auto at = pin++;
    if (at->reading->at().erased().size() < erased) gone.splice(gone.end(), pins_, at);
  }
}

void PinnedReadings::expire(Clock::time_point now) {
  std::list<Pin> gone;  // a snapshot is let go outside the lock
  const std::lock_guard lock(mutex_);
  while (!pins_.empty() && now >= pins_.front().until) gone.splice(gone.end(), pins_, pins_.begin());
}

}  // namespace bellwether

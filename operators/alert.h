// A thing that somebody should look at, as operators emit it (OutKind::kAlert). Numbers as in
// schemas/bellwether/v1/out.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "operators/codec.h"

namespace bellwether {

enum class AlertKind : uint8_t { kNone, kKeyUserFlagged, kAppeal, kDeadLetters, kIdCollision, kFlagRaised };
enum class AlertSeverity : uint8_t { kNone, kInfo, kWarning, kCritical };

struct Alert {
  AlertKind kind = AlertKind::kNone;
  AlertSeverity severity = AlertSeverity::kNone;
  std::string subject;  // the flag or user it is about
  std::string text;     // a sentence for people
  friend bool operator==(const Alert&, const Alert&) = default;
};

inline std::string encode(const Alert& alert) {
  std::string out;
  Writer w(out);
  w.u8(static_cast<uint8_t>(alert.kind)), w.u8(static_cast<uint8_t>(alert.severity));
  w.bytes(alert.subject), w.bytes(alert.text);
  return out;
}

// False where the bytes are no alert.
inline bool decode(std::string_view bytes, Alert& alert) {
  Reader r(bytes);
  alert.kind = static_cast<AlertKind>(r.u8()), alert.severity = static_cast<AlertSeverity>(r.u8());
  alert.subject = r.bytes(), alert.text = r.bytes();
  return r.ok() && r.done();
}

}  // namespace bellwether

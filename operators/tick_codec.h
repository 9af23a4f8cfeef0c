// Ticks as bytes. A slot whose time has no number in microseconds is no tick of ours: it is refused where it is read,
// so that nobody multiplies it.
#pragma once

#include "operators/codec.h"
#include "operators/limits.h"

namespace bellwether {

constexpr bool has_time(int64_t slot) { return slot >= -(INT64_MAX / kSlotUs) && slot <= INT64_MAX / kSlotUs; }

template <class Out>  // Writer or EntryWriter
void write(Out& w, const TickId& tick) {
  w.zigzag(tick.slot), w.varint(tick.sub);
}
// False where it is none. `never`: one that has not been yet is good too.
inline bool read(Reader& r, TickId& tick, bool never = false) {
  tick.slot = r.zigzag(), tick.sub = static_cast<uint32_t>(r.varint());
  return r.ok() && (has_time(tick.slot) || (never && tick.slot == TickId{}.slot));
}

}  // namespace bellwether

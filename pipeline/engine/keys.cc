#include "pipeline/engine/keys.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "pipeline/engine/members.h"

namespace bellwether::keys {
namespace {

static_assert(std::endian::native == std::endian::little);

// A key is made a few times an event: put together on the stack.
class Maker {
 public:
  Maker& u8(uint8_t v) {
    bytes_[n_++] = static_cast<char>(v);
    return *this;
  }
  Maker& u16(uint16_t v) { return word(__builtin_bswap16(v)); }
  Maker& u32(uint32_t v) { return word(__builtin_bswap32(v)); }
  Maker& u64(uint64_t v) { return word(__builtin_bswap64(v)); }
  Maker& i32(int32_t v) { return u32(static_cast<uint32_t>(v) ^ 0x80000000u); }
  Maker& i64(int64_t v) { return u64(static_cast<uint64_t>(v) ^ 0x8000000000000000u); }
  Maker& name(const StateKey& k) {
    return u16(static_cast<uint16_t>(k.op)).u8(static_cast<uint8_t>(k.key.kind)).u64(k.key.hash);
  }
  std::string take() const { return {bytes_, n_}; }

 private:
  template <class T>
  Maker& word(T big_endian) {
    std::memcpy(bytes_ + n_, &big_endian, sizeof big_endian), n_ += sizeof big_endian;
    return *this;
  }
  static constexpr size_t kLongest = 40;  // dead(): 33
  size_t n_ = 0;
  char bytes_[kLongest];
};

class Parser {
 public:
  explicit Parser(std::string_view in) : in_(in) {}
  uint64_t read(size_t n) {
    uint64_t v = 0;
    if (in_.size() < n) {
      ok_ = false, in_ = {};
      return 0;
    }
    for (size_t i = 0; i < n; ++i) v = v << 8 | static_cast<unsigned char>(in_[i]);
    in_.remove_prefix(n);
    return v;
  }
  int64_t i64() { return static_cast<int64_t>(read(8) ^ 0x8000000000000000u); }
  int32_t i32() { return static_cast<int32_t>(static_cast<uint32_t>(read(4)) ^ 0x80000000u); }
  StateKey name() {
    StateKey k;
    k.op = static_cast<OperatorId>(read(2));
    k.key.kind = static_cast<KeyKind>(read(1));
    k.key.hash = read(8);
    return k;
  }
  bool done() const { return ok_ && in_.empty(); }

 private:
  std::string_view in_;
  bool ok_ = true;
};

// Ledger days are kept in 32 bits; what lies outside belongs to the nearest end.
int32_t day32(int64_t day) { return static_cast<int32_t>(std::clamp<int64_t>(day, INT32_MIN, INT32_MAX)); }

}  // namespace

std::string state(const StateKey& k) { return Maker().u16(slice_of(k.key.hash)).name(k).take(); }
bool parse_state(std::string_view bytes, StateKey& out) {
  Parser p(bytes);
  p.read(2);
  out = p.name();
  return p.done();
}

std::string ledger(int64_t day, const StateKey& k, uint32_t number) {
  return Maker().i32(day32(day)).u16(slice_of(k.key.hash)).name(k).u32(number).take();
}
std::string ledger_day(int64_t day) { return Maker().i32(day32(day)).take(); }

bool parse_ledger(std::string_view bytes, int64_t& day, StateKey& key, uint32_t& number) {
  Parser p(bytes);
  day = p.i32();
  p.read(2);
  key = p.name();
  number = static_cast<uint32_t>(p.read(4));
  return p.done();
}

std::string timer(const TimerKey& k) { return Maker().i64(k.slot).name(k.state).take(); }
std::string timer_slot(int64_t slot) { return Maker().i64(slot).take(); }
bool parse_timer(std::string_view bytes, TimerKey& out) {
  Parser p(bytes);
  out.slot = p.i64();
  out.state = p.name();
  return p.done();
}

std::string index(const IndexKey& k) {
  return Maker().u8('I').u8(k.index).u64(k.order).u8(static_cast<uint8_t>(k.key.kind)).u64(k.key.hash).take();
}
std::string index_from(uint8_t index, uint64_t order) { return Maker().u8('I').u8(index).u64(order).take(); }
std::string index_end(uint8_t index) {
  return index == 0xff ? Maker().u8('I' + 1).take() : Maker().u8('I').u8(static_cast<uint8_t>(index + 1)).take();
}
bool parse_index(std::string_view bytes, IndexKey& out) {
  Parser p(bytes);
  if (p.read(1) != 'I') return false;
  out.index = static_cast<uint8_t>(p.read(1));
  out.order = p.read(8);
  out.key.kind = static_cast<KeyKind>(p.read(1));
  out.key.hash = p.read(8);
  return p.done();
}

std::string members(const IndexKey& k) {
  return Maker()
      .u8(kMembersRow)
      .u8(k.index)
      .u64(k.order)
      .u8(static_cast<uint8_t>(k.key.kind))
      .u8(static_cast<uint8_t>(k.key.hash >> kPartShift))
      .take();
}
std::string members_from(uint8_t index, uint64_t order) { return Maker().u8(kMembersRow).u8(index).u64(order).take(); }
std::string members_end(uint8_t index) {
  return index == 0xff ? Maker().u8(kMembersRow + 1).take()
                       : Maker().u8(kMembersRow).u8(static_cast<uint8_t>(index + 1)).take();
}
bool parse_members(std::string_view bytes, IndexKey& first) {
  Parser p(bytes);
  if (p.read(1) != kMembersRow) return false;
  first.index = static_cast<uint8_t>(p.read(1));
  first.order = p.read(8);
  first.key.kind = static_cast<KeyKind>(p.read(1));
  const uint64_t part = p.read(1);
  first.key.hash = part << kPartShift;
  return p.done() && part < (1 << (64 - kPartShift));
}

std::string change(OutKind kind, const ChangeId& id) {
  return Maker()
      .u8('C')
      .u8(static_cast<uint8_t>(kind))
      .i64(id.tick.slot)
      .u32(id.tick.sub)
      .name(id.sender)
      .u32(id.sequence)
      .take();
}
std::string change_slot(OutKind kind, int64_t slot) {
  return Maker().u8('C').u8(static_cast<uint8_t>(kind)).i64(slot).take();
}
std::string change_end(OutKind kind) { return Maker().u8('C').u8(static_cast<uint8_t>(kind) + 1).take(); }
bool parse_change(std::string_view bytes, OutKind& kind, ChangeId& out) {
  Parser p(bytes);
  if (p.read(1) != 'C') return false;
  kind = static_cast<OutKind>(p.read(1));
  out.tick.slot = p.i64();
  out.tick.sub = static_cast<uint32_t>(p.read(4));
  out.sender = p.name();
  out.sequence = static_cast<uint32_t>(p.read(4));
  return p.done();
}

std::string dead(const DeadKey& k) {
  return Maker().u8('D').i64(k.tick.slot).u32(k.tick.sub).u64(k.topic_hash).i32(k.partition).i64(k.offset).take();
}
std::string dead_begin() { return "D"; }
std::string dead_end() { return "E"; }
bool parse_dead(std::string_view bytes, DeadKey& out) {
  Parser p(bytes);
  if (p.read(1) != 'D') return false;
  out.tick.slot = p.i64();
  out.tick.sub = static_cast<uint32_t>(p.read(4));
  out.topic_hash = p.read(8);
  out.partition = p.i32();
  out.offset = p.i64();
  return p.done();
}

std::string number(uint64_t n) { return Maker().u64(n).take(); }
bool parse_number(std::string_view bytes, uint64_t& out) {
  Parser p(bytes);
  out = p.read(8);
  return p.done();
}

std::string erasing(uint64_t user) { return Maker().u8('e').u64(user).take(); }
std::string erasing_begin() { return "e"; }
std::string erasing_end() { return "f"; }

std::string list_count(uint8_t index, uint64_t order) { return Maker().u8('n').u8(index).u64(order).take(); }
std::string list_count_begin() { return "n"; }
std::string list_count_end() { return "o"; }
bool parse_list_count(std::string_view bytes, uint8_t& index, uint64_t& order) {
  Parser p(bytes);
  if (p.read(1) != 'n') return false;
  index = static_cast<uint8_t>(p.read(1));
  order = p.read(8);
  return p.done();
}

std::string counter(CounterId id) { return Maker().u8('c').u16(id.family).u32(id.number).take(); }
std::string counter_begin() { return "c"; }
std::string counter_end() { return "d"; }
bool parse_counter(std::string_view bytes, CounterId& out) {
  Parser p(bytes);
  if (p.read(1) != 'c') return false;
  out.family = static_cast<uint16_t>(p.read(2));
  out.number = static_cast<uint32_t>(p.read(4));
  return p.done();
}

}  // namespace bellwether::keys

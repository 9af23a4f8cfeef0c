// How states and messages become bytes: little-endian fixed words where hashes stand, LEB128 varints elsewhere, zigzag
// for signed. No tag, no name: a version byte at the front of every state says how to read the rest.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace bellwether {

using uint128 = unsigned __int128;

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void u8(uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void fixed32(uint32_t v) { out_.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void fixed64(uint64_t v) { out_.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void fixed128(uint128 v) {
    fixed64(static_cast<uint64_t>(v));
    fixed64(static_cast<uint64_t>(v >> 64));
  }
  void varint(uint64_t v) {
    if (v < 0x80) return u8(static_cast<uint8_t>(v));
    char bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) bytes[n++] = static_cast<char>(static_cast<uint8_t>(v) | 0x80);
    bytes[n++] = static_cast<char>(v);
    out_.append(bytes, n);
  }
  void zigzag(int64_t v) { varint(static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63)); }
  void boolean(bool v) { u8(v ? 1 : 0); }
  void bytes(std::string_view v) { varint(v.size()), out_.append(v); }
  void append(const char* bytes, size_t n) { out_.append(bytes, n); }

 private:
  std::string& out_;
};

// One entry of a long list, or a message, put together here and appended to the writer whole when it goes: a string
// that grows byte by byte was a tenth of a replay. At most kBytes beside what bytes() takes; what is written is what
// Writer would write.
class EntryWriter {
 public:
  static constexpr size_t kBytes = 128;
  explicit EntryWriter(Writer& to) : to_(to) {}
  ~EntryWriter() { to_.append(bytes_, n_); }
  EntryWriter(const EntryWriter&) = delete;
  EntryWriter& operator=(const EntryWriter&) = delete;
  void u8(uint8_t v) { bytes_[n_++] = static_cast<char>(v); }
  void fixed64(uint64_t v) { std::memcpy(bytes_ + n_, &v, sizeof v), n_ += sizeof v; }
  void varint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) u8(static_cast<uint8_t>(v) | 0x80);
    u8(static_cast<uint8_t>(v));
  }
  void zigzag(int64_t v) { varint(static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63)); }
  void boolean(bool v) { u8(v ? 1 : 0); }
  void bytes(std::string_view v) {
    varint(v.size());
    if (v.empty()) return;
    if (v.size() <= text_left_) {
      std::memcpy(bytes_ + n_, v.data(), v.size());
      n_ += v.size(), text_left_ -= v.size();
      return;
    }
    to_.append(bytes_, n_), to_.append(v.data(), v.size());
    n_ = 0;
  }

 private:
  static constexpr size_t kTexts = 192;  // three ids
  Writer& to_;
  size_t n_ = 0, text_left_ = kTexts;
  char bytes_[kBytes + kTexts];
};

// Reads what Writer wrote. After any underrun or bad varint `ok()` is false for good and every read gives 0 or empty.
class Reader {
 public:
  explicit Reader(std::string_view in) : at_(in.data()), end_(in.data() + in.size()) {}
  bool ok() const { return ok_; }
  bool done() const { return at_ == end_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  uint8_t u8() { return need(1) ? static_cast<uint8_t>(*at_++) : 0; }
  uint32_t fixed32() {
    uint32_t v = 0;
    if (need(4)) std::memcpy(&v, at_, 4), at_ += 4;
    return v;
  }
  uint64_t fixed64() {
    uint64_t v = 0;
    if (need(8)) std::memcpy(&v, at_, 8), at_ += 8;
    return v;
  }
  uint128 fixed128() {
    const uint64_t low = fixed64();
    return static_cast<uint128>(fixed64()) << 64 | low;
  }
  uint64_t varint() {
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) return static_cast<uint8_t>(*at_++);
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t b = u8();
      v |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) return v;
    }
    ok_ = false;
    return 0;
  }
  int64_t zigzag() {
    const uint64_t v = varint();
    return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
  }
  // Values written as zigzag(value - base), or zigzag(base - value). Times, days and points stay far within 2^60: what
  // leads outside is no state of ours, and no sum of it may overflow.
  int64_t above(int64_t base) { return distant(base, zigzag(), false); }
  int64_t below(int64_t base) { return distant(base, zigzag(), true); }
  bool boolean() { return u8() != 0; }
  std::string_view bytes() {
    const uint64_t n = varint();
    if (!need(n)) return {};
    const std::string_view v(at_, n);
    at_ += n;
    return v;
  }
  std::string_view peek() const { return {at_, left()}; }  // what is left, without taking it
  std::string_view rest() {
    const std::string_view v(at_, left());
    at_ = end_;
    return v;
  }

 private:
  int64_t distant(int64_t base, int64_t distance, bool down) {
    constexpr int64_t kFar = int64_t{1} << 60;
    int64_t v = 0;
    const bool overflow =
        down ? __builtin_sub_overflow(base, distance, &v) : __builtin_add_overflow(base, distance, &v);
    if (!overflow && v >= -kFar && v <= kFar && base >= -kFar && base <= kFar) return v;
    ok_ = false, at_ = end_;
    return 0;
  }
  bool need(uint64_t n) {
    if (n <= static_cast<uint64_t>(end_ - at_)) return true;  // after an underrun nothing is left
    ok_ = false, at_ = end_;
    return false;
  }
  const char* at_;
  const char* end_;
  bool ok_ = true;
};

inline void write_hashes(Writer& w, const std::vector<uint64_t>& hashes) {
  w.varint(hashes.size());
  for (const uint64_t hash : hashes) w.fixed64(hash);
}
// As many as there are, however many are promised.
inline std::vector<uint64_t> read_hashes(Reader& r) {
  std::vector<uint64_t> hashes;
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    hashes.push_back(r.fixed64());
    if (!r.ok()) hashes.pop_back();
  }
  return hashes;
}

}  // namespace bellwether

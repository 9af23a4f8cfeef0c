#include "pipeline/engine/row_patch.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "operators/codec.h"

namespace bellwether {
namespace {

constexpr size_t kWord = sizeof(uint64_t);  // so many bytes that are alike are no chance
constexpr size_t kNear = 16,
                 kFar = 128;  // how far what is alike again is looked for: where as much goes as comes; else
constexpr size_t kRowMax = size_t{64} << 20;

uint32_t sum(std::string_view row) { return static_cast<uint32_t>(XXH3_64bits(row.data(), row.size())); }

uint64_t word(const char* at) {
  uint64_t w;
  std::memcpy(&w, at, kWord);
  return w;
}

size_t same_begin(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  size_t n = 0;
  for (; n + kWord <= most; n += kWord)
    if (const uint64_t other = word(a.data() + n) ^ word(b.data() + n); other != 0)
      return n + static_cast<size_t>(std::countr_zero(other)) / 8;
  while (n < most && a[n] == b[n]) ++n;
  return n;
}

size_t same_end(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  size_t n = 0;
  for (; n + kWord <= most; n += kWord)
    if (const uint64_t other = word(a.data() + a.size() - n - kWord) ^ word(b.data() + b.size() - n - kWord);
        other != 0)
      return n + static_cast<size_t>(std::countl_zero(other)) / 8;
  while (n < most && a[a.size() - n - 1] == b[b.size() - n - 1]) ++n;
  return n;
}

struct Skip {
  size_t go = 0, come = 0;
};

// How much goes of `a` and comes of `b`, which begin differently, until both have a word alike. Counts and times change
// in place, lists grow: these first. False where nothing alike is near.
bool find_alike(std::string_view a, std::string_view b, Skip& skip) {
  if (a.size() < kWord || b.size() < kWord) return false;
  const size_t a_most = std::min(kFar, a.size() - kWord), b_most = std::min(kFar, b.size() - kWord);
  for (size_t k = 1; k <= std::min({kNear, a_most, b_most}); ++k)
    if (word(a.data() + k) == word(b.data() + k)) return skip = {k, k}, true;
  const uint64_t first_a = word(a.data()), first_b = word(b.data());
  for (size_t k = 1; k <= b_most; ++k)
    if (word(b.data() + k) == first_a) return skip = {0, k}, true;
  for (size_t k = 1; k <= a_most; ++k)
    if (word(a.data() + k) == first_b) return skip = {k, 0}, true;
  // Both: what stands where in `a`, the first of a kind.
  constexpr int kBits = 9;
  std::array<uint8_t, 1 << kBits> places{};
  const auto place = [](uint64_t w) { return w * 0x9e3779b97f4a7c15U >> (64 - kBits); };
  for (size_t k = a_most; k > 0; --k) places[place(word(a.data() + k))] = static_cast<uint8_t>(k);
  for (size_t k = 1; k <= b_most; ++k) {
    const uint64_t w = word(b.data() + k);
    const size_t at = places[place(w)];
    if (at > 0 && word(a.data() + at) == w) return skip = {at, k}, true;
  }
  return false;
}

bool apply_patch(std::string_view row, std::string_view patch, bool last, std::string& out) {
  Reader r(patch);
  const uint64_t before = r.varint(), after = r.varint();
  const uint32_t check = r.fixed32();
  if (!r.ok() || before != row.size() || after > kRowMax) return false;
  out.clear();
  out.reserve(after);
  while (r.left() > 0) {
    const uint64_t stay = r.varint(), go = r.varint();
    const std::string_view come = r.bytes();
    if (!r.ok() || stay > row.size() || go > row.size() - stay) return false;
    out.append(row.substr(0, stay)), out.append(come);
    if (out.size() > after) return false;
    row.remove_prefix(stay + go);
  }
  out.append(row);
  return out.size() == after && (!last || sum(out) == check);
}

}  // namespace

bool make_patch(std::string_view before, std::string_view after, size_t most, std::string& out) {
  out.clear();
  Writer w(out);
  w.varint(before.size()), w.varint(after.size()), w.fixed32(sum(after));
  for (;;) {
    const size_t stay = same_begin(before, after);
    before.remove_prefix(stay), after.remove_prefix(stay);
    if (before.empty() && after.empty()) return out.size() <= most;
    Skip skip;
    if (!find_alike(before, after, skip)) {
      const size_t end = same_end(before, after);
      skip = {before.size() - end, after.size() - end};
    }
    w.varint(stay), w.varint(skip.go), w.bytes(after.substr(0, skip.come));
    if (out.size() > most) return false;
    before.remove_prefix(skip.go), after.remove_prefix(skip.come);
  }
}

bool apply_patches(std::string_view row, std::span<const std::string_view> patches, std::string& out) {
  if (patches.empty()) return out = row, true;
  // By turns, so that the last one fills `out`.
  std::string other;
  for (size_t i = 0; i < patches.size(); ++i) {
    std::string& to = (patches.size() - i) % 2 == 1 ? out : other;
    if (!apply_patch(row, patches[i], i + 1 == patches.size(), to)) return false;
    row = to;
  }
  return true;
}

}  // namespace bellwether

#include "operators/hash.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <string>

namespace bellwether {

std::string hex16(uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[value >> shift & 15];
  return text;
}

std::string erased_name(uint64_t hash) { return std::string(kErasedPrefix) + hex16(hash); }

bool parse_erased_name(std::string_view id, uint64_t& hash) {
  if (id.size() != kErasedNameBytes || !id.starts_with(kErasedPrefix)) return false;
  hash = 0;
  for (const char c : id.substr(kErasedPrefix.size())) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    hash = hash << 4 | static_cast<uint64_t>(digit);
  }
  return hash != 0;
}

Hasher::Hasher(std::string_view key) {
  for (size_t kind = 0; kind < secrets_.size(); ++kind) {
    std::string seed = "bellwether/1/" + std::to_string(kind) + "/";
    seed += key;
    XXH3_generateSecret(secrets_[kind].data(), secrets_[kind].size(), seed.data(), seed.size());
  }
}

uint64_t Hasher::operator()(KeyKind kind, std::string_view id) const {
  if (uint64_t spelt; id.size() == kErasedNameBytes && parse_erased_name(id, spelt)) return spelt;
  const auto& secret = secrets_[static_cast<size_t>(kind)];
  const uint64_t h = XXH3_64bits_withSecret(id.data(), id.size(), secret.data(), secret.size());
  return h != 0 ? h : 1;
}

uint64_t Hasher::pair(KeyKind kind, std::string_view a, std::string_view b) const {
  std::string text;
  text.reserve(a.size() + b.size() + 2);
  text.push_back(static_cast<char>(a.size()));  // the length first: ("ab","c") is not ("a","bc")
  text.push_back('\0');                         // and no plain id begins so
  text.append(a).append(b);
  return (*this)(kind, text);
}

}  // namespace bellwether

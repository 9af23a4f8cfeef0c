#include "operators/hash.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <string>

namespace bellwether {

Hasher::Hasher(std::string_view key) {
  for (size_t kind = 0; kind < secrets_.size(); ++kind) {
    std::string seed = "bellwether/1/" + std::to_string(kind) + "/";
    seed += key;
    XXH3_generateSecret(secrets_[kind].data(), secrets_[kind].size(), seed.data(), seed.size());
  }
}

uint64_t Hasher::operator()(KeyKind kind, std::string_view id) const {
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

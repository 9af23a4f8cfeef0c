// Keyed 64-bit hashes of ids. Every id in the engine travels as such a hash; the text is kept in the row of its key
// only. A keyed hash, so that nobody outside can make two ids collide on purpose. The key is configuration and fixed
// for a store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bellwether {

// What a key names. Hashes are taken over (kind, id), so post 42 is not user 42. Values are stored: never renumber.
enum class KeyKind : uint8_t {
  kEvent = 0,  // event ids, for duplicates only
  kUser = 1,
  kPost = 2,
  kReferral = 3,
  kReport = 4,  // a beta report, or (program, tester) where no report is named
  kFlag = 5,
  kCommunity = 6,  // the one key of community-wide figures
};

struct Key {
  KeyKind kind = KeyKind::kUser;
  uint64_t hash = 0;
  friend bool operator==(const Key&, const Key&) = default;
  friend auto operator<=>(const Key&, const Key&) = default;
};

// A key of state falls for life into one of 256 slices, by its hash's top byte; a shard is a set of whole slices.
constexpr uint16_t slice_of(uint64_t hash) { return static_cast<uint16_t>(hash >> 56); }
constexpr uint32_t shard_of(uint64_t hash, uint32_t shards) { return slice_of(hash) * shards / 256; }

// 16 hexadecimal digits: how a hash stands where its id is not known.
std::string hex16(uint64_t value);

// What stands for an id that was erased: "erased:" and its hash in 16 hexadecimal digits (operators/erased.h).
constexpr std::string_view kErasedPrefix = "erased:";
constexpr size_t kErasedNameBytes = 23;
std::string erased_name(uint64_t hash);
// False where the text is none, or spells the hash 0.
bool parse_erased_name(std::string_view id, uint64_t& hash);
inline bool is_erased_name(std::string_view id) {
  uint64_t hash;
  return parse_erased_name(id, hash);
}

// XXH3 with a secret made of the configured key. Immutable after construction, so threads share it.
class Hasher {
 public:
  // `key`: any text (configuration `community.hash_key`); the same key gives the same hashes on every machine.
  explicit Hasher(std::string_view key);
  // Never 0: 0 stands for "none" in states. An erased_name() gives the hash that it spells, whatever the kind.
  uint64_t operator()(KeyKind kind, std::string_view id) const;
  // The home of a beta event without a report: (program, tester).
  uint64_t pair(KeyKind kind, std::string_view a, std::string_view b) const;

 private:
  static constexpr size_t kSecretBytes = 192;
  std::array<std::array<unsigned char, kSecretBytes>, 8> secrets_;  // one a kind
};

}  // namespace bellwether

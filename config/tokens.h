// Who may: the file of bearer tokens. One line each: TOKEN USER ROLE, parted by blanks; empty lines and what follows a
// # that stands alone or begins a line are passed over.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "config/result.h"

namespace bellwether {

enum class Role : uint8_t { kMember = 1, kPlatform, kModerator, kAdmin };
const char* role_name(Role role);  // "member", "platform", "moderator", "admin"

struct Identity {
  std::string user;  // 1..64 bytes of UTF-8
  Role role = Role::kMember;
  bool operator==(const Identity&) const = default;
};

constexpr size_t kTokenBytesMin = 16;  // shorter ones can be guessed
constexpr size_t kTokenBytesMax = 256;

// Immutable once made, so threads share it.
class Tokens {
 public:
  // Who bears the token; null: nobody. The comparison takes as long for a wrong token as for a right one.
  const Identity* find(std::string_view token) const;
  size_t size() const { return by_hash_.size(); }

 private:
  friend Result<Tokens> parse_tokens(std::string_view text, const std::string& name);
  struct Entry {
    std::string token;
    Identity identity;
  };
  std::unordered_map<uint64_t, Entry> by_hash_;
};

// Errors name file and line, never a token: "tokens:3: role: given "boss", allowed: one of member, platform, moderator,
// admin".
Result<Tokens> parse_tokens(std::string_view text, const std::string& name);
Result<Tokens> load_tokens(const std::string& path);

}  // namespace bellwether

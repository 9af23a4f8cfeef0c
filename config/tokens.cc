#include "config/tokens.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "config/text.h"

namespace bellwether {
namespace {

constexpr size_t kFileBytesMax = 16 << 20;
constexpr size_t kUserBytesMax = 64;
constexpr std::array<std::pair<const char*, Role>, 4> kRoles = {{{"member", Role::kMember},
                                                                 {"platform", Role::kPlatform},
                                                                 {"moderator", Role::kModerator},
                                                                 {"admin", Role::kAdmin}}};

uint64_t hash_of(std::string_view token) { return XXH3_64bits(token.data(), token.size()); }

// Looks at every byte whatever the first difference is, so that time tells nothing about a token.
bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference = difference | static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

std::vector<std::string_view> fields_of(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  std::vector<std::string_view> fields;
  while (true) {
    const size_t from = line.find_first_not_of(kBlanks);
    if (from == std::string_view::npos) return fields;
    const size_t to = std::min(line.find_first_of(kBlanks, from), line.size());
    const std::string_view field = line.substr(from, to - from);
    // A token may hold a #, so only a line or a fourth field that begins with it is a comment.
    if (field.front() == '#' && (fields.empty() || fields.size() == 3)) return fields;
    fields.push_back(field);
    line.remove_prefix(to);
  }
}

bool is_token(std::string_view text) {
  return text.size() >= kTokenBytesMin && text.size() <= kTokenBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

const char* role_name(Role role) {
  for (const auto& [name, value] : kRoles) {
    if (value == role) return name;
  }
  return "";
}

const Identity* Tokens::find(std::string_view token) const {
  const auto it = by_hash_.find(hash_of(token));
  return it != by_hash_.end() && same(it->second.token, token) ? &it->second.identity : nullptr;
}

Result<Tokens> parse_tokens(std::string_view text, const std::string& name) {
  Tokens tokens;
  std::vector<std::string> errors;
  std::map<std::string, int, std::less<>> lines;  // token -> where it stands
  int number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string_view> fields = fields_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (fields.empty()) continue;
    const std::string where = name + ":" + std::to_string(number) + ": ";
    if (fields.size() != 3) {
      errors.push_back(where + "given " + std::to_string(fields.size()) + " fields, allowed: TOKEN USER ROLE");
      continue;
    }
    const size_t before = errors.size();
    if (!is_token(fields[0])) {
      errors.push_back(where + "token: given " + std::to_string(fields[0].size()) +
                       " bytes, allowed: " + std::to_string(kTokenBytesMin) + ".." + std::to_string(kTokenBytesMax) +
                       " bytes of visible ASCII");
    }
    if (fields[1].size() > kUserBytesMax || invalid_utf8_at(fields[1])) {
      errors.push_back(where + "user: given " + quoted(fields[1]) + ", allowed: 1..64 bytes of UTF-8");
    }
    const auto role =
        std::find_if(kRoles.begin(), kRoles.end(), [&](const auto& known) { return known.first == fields[2]; });
    if (role == kRoles.end()) {
      const std::string near = closest(fields[2], {"member", "platform", "moderator", "admin"});
      errors.push_back(where + "role: given " + quoted(fields[2]) +
                       ", allowed: one of member, platform, moderator, admin" +
                       (near.empty() ? "" : "; did you mean " + near + "?"));
    }
    if (const auto [it, fresh] = lines.emplace(fields[0], number); !fresh) {
      errors.push_back(where + "token: given twice, first on line " + std::to_string(it->second));
    }
    if (errors.size() != before) continue;
    const auto [entry, fresh] = tokens.by_hash_.emplace(
        hash_of(fields[0]), Tokens::Entry{std::string(fields[0]), Identity{std::string(fields[1]), role->second}});
    if (!fresh) errors.push_back(where + "token: its hash is another token's, make a new one");
  }
  return errors.empty() ? Result<Tokens>(std::move(tokens)) : Result<Tokens>::failed(std::move(errors));
}

Result<Tokens> load_tokens(const std::string& path) {
  std::string why;
  const auto text = read_file(path, kFileBytesMax, why);
  return text ? parse_tokens(*text, path) : Result<Tokens>::failed({path + ": " + why});
}

}  // namespace bellwether

// Rows that are sets of 64-bit members: a board's cell names its users in few rows instead of one each. A commit says
// who goes and who comes, without reading the row; the store works the changes in when it reads or rewrites it.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bellwether {

// The rows of Family::kViews whose keys begin so. An empty set is no row.
constexpr char kMembersRow = 'B';
constexpr bool is_members(std::string_view key) { return !key.empty() && key[0] == kMembersRow; }

// A change, as it is stored: how many go (varint), then who goes and who comes, 8 bytes each, ascending. Nobody does
// both.
std::string members_change(std::span<const uint64_t> gone, std::span<const uint64_t> come);
// Several, the oldest first, as one. False: one of them is none.
bool join_changes(std::span<const std::string_view> changes, std::string& out);
// A row, its members ascending, 8 bytes each, with changes, the oldest first. Who goes need not be in, who comes may
// be in already. False: what is there is no row, or no change.
bool change_members(std::string_view row, std::span<const std::string_view> changes, std::string& out);

// Calls each(member) in ascending order, from the first that is not below `least`, until it returns false; or
// backwards, from the last that is below `end`, null: from the last. False: this is no row.
bool each_member(std::string_view row, absl::FunctionRef<bool(uint64_t member)> each, uint64_t least = 0);
bool each_member_back(std::string_view row, absl::FunctionRef<bool(uint64_t member)> each,
                      const uint64_t* end = nullptr);
bool has_member(std::string_view row, uint64_t member);

}  // namespace bellwether

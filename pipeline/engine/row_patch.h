// What changed of a row, as bytes: a service that has caught up commits a few times a second, and of a row of some
// hundred bytes most stay from one commit to the next. The store works patches in when it reads or rewrites the row.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bellwether {

// A patch, as it is stored: the sizes of the row before and after (varints), four bytes of XXH3 over the row after;
// then steps, each of three varints and bytes: so many bytes stay, so many go, so many come, and these. What follows
// the last step stays.
//
// Replaces `out` by the patch that makes `after` of `before`. False where it would take more than `most` bytes.
bool make_patch(std::string_view before, std::string_view after, size_t most, std::string& out);

// Replaces `out`, which is none of the others, by the row with patches, the oldest first, of which each was made for
// what the one before it gave. False: one of them is none, or was made for another row.
bool apply_patches(std::string_view row, std::span<const std::string_view> patches, std::string& out);

}  // namespace bellwether

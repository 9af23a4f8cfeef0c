// How many rows of a key make a block: what is not in a full block stands in the key's row and is written again with
// each change of it, what is has a name in the row's directory. With blocks half as long as the directory both stay
// near the square root of all there is: of n rows some 2 * sqrt(n) blocks, and half a block's rows beside them.
#pragma once

#include <algorithm>
#include <cstddef>

namespace bellwether {

constexpr size_t kBlockRows = 16, kBlockRowsMax = 256;

constexpr size_t block_rows(size_t blocks) { return std::clamp(blocks / 2, kBlockRows, kBlockRowsMax); }

}  // namespace bellwether

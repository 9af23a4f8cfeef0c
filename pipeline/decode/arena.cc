#include "pipeline/decode/arena.h"

#include <algorithm>
#include <cstring>

namespace bellwether {

std::string_view Arena::copy(std::string_view text) {
  char* const out = allocate(text.size());
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return {out, text.size()};
}

void Arena::clear() {
  if (blocks_.size() > 1) {
    // The newest ordinary block is kept: clearing once a tick then costs no heap call in the steady state, and a block
    // made for one huge record does not stay.
    const auto keep =
        std::find_if(blocks_.rbegin(), blocks_.rend(), [](const Block& b) { return b.size == kBlockBytes; });
    if (keep == blocks_.rend()) {
      blocks_.clear();
    } else {
      std::swap(*keep, blocks_.front());
      blocks_.resize(1);
    }
  }
  if (!blocks_.empty() && blocks_[0].size != kBlockBytes) blocks_.clear();
  bytes_ = blocks_.empty() ? 0 : blocks_[0].size;
  at_ = blocks_.empty() ? nullptr : blocks_[0].data.get();
  left_ = bytes_;
}

void Arena::grow(size_t n) {
  const size_t size = std::max(n, kBlockBytes);
  blocks_.push_back({std::unique_ptr<char[]>(new char[size]), size});
  at_ = blocks_.back().data.get();
  left_ = size, bytes_ += size;
}

}  // namespace bellwether

// Memory for what decoding makes (the bytes of translated JSON). It only grows until it is cleared; views into it hold
// as long as that. Not shared by threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace bellwether {

class Arena {
 public:
  // Uninitialised bytes, not aligned; `n` may be 0.
  char* allocate(size_t n) {
    if (n > left_) grow(n);
    char* const out = at_;
    at_ += n, left_ -= n;
    return out;
  }
  // Gives back the last `n` bytes of the latest allocation.
  void give_back(size_t n) { at_ -= n, left_ += n; }
  std::string_view copy(std::string_view text);
  // Everything handed out is void; one block is kept for what comes next.
  void clear();
  // Bytes held from the heap.
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kBlockBytes = 64 << 10;
  void grow(size_t n);

  struct Block {
    std::unique_ptr<char[]> data;
    size_t size;
  };
  std::vector<Block> blocks_;
  char* at_ = nullptr;
  size_t left_ = 0, bytes_ = 0;
};

}  // namespace bellwether

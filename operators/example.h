// The channels that a user acts through. The example of operators/README.md: it runs in tests only.
#pragma once

#include <string>
#include <vector>

#include "operators/operator.h"

namespace bellwether {

// Bound: kMost names of 64 bytes, 2.1 KB encoded. At the bound further channels are left out.
struct ExampleState final : State {
  static constexpr size_t kMost = 32;
  std::vector<std::string> channels;  // sorted

  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override { return channels.capacity() * (sizeof(std::string) + 64); }
};

const Operator& example_operator();

}  // namespace bellwether

// Stored bytes of states. Whatever stands in a store, decoding refuses it or takes it; what it takes is written back as
// bytes that mean the same: decoded again and written again they do not change.
#include "operators/registry.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {

void check_state(std::string_view input) {
  Input in(input);
  const auto all = all_operators();
  const Operator& op = *all[in.byte() % all.size()];
  const Exact bytes(in.rest());
  const auto state = op.decode(bytes.view());
  if (state == nullptr) return;
  (void)state->memory();
  std::string first;
  state->encode(first);
  // Nothing written: the state says that its row can go.
  if (first.empty()) return;
  const auto again = op.decode(Exact(first).view());
  require(again != nullptr, std::string(op.name()) + ": refuses what it wrote itself");
  std::string second;
  again->encode(second);
  require(first == second, std::string(op.name()) + ": what it wrote reads as something else");
}

}  // namespace bellwether::fuzz

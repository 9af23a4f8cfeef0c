#include "operators/example.h"

#include <algorithm>

#include "operators/codec.h"

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 1;

class Example final : public OperatorOf<ExampleState> {
 public:
  OperatorId id() const override { return OperatorId::kExample; }
  const char* name() const override { return "example"; }
  KeyKind key_kind() const override { return KeyKind::kUser; }

  void fold_key(ExampleState& state, Key, std::span<const Item> items, Context& context) const override {
    for (const Item& item : items) {
      if (item.kind != Item::Kind::kFact) continue;
      const std::string_view channel = item.fact->channel;
      const auto at = std::lower_bound(state.channels.begin(), state.channels.end(), channel);
      const bool known = at != state.channels.end() && *at == channel;
      if (!channel.empty() && !known && state.channels.size() < ExampleState::kMost)
        state.channels.emplace(at, channel);
      context.outcome(Outcome::kApplied);
    }
  }
};

}  // namespace

bool ExampleState::decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != kVersion) return false;
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) channels.emplace_back(r.bytes());
  return r.ok() && r.done();
}

void ExampleState::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion), w.varint(channels.size());
  for (const std::string& channel : channels) w.bytes(channel);
}

const Operator& example_operator() {
  static const Example instance;
  return instance;
}

}  // namespace bellwether

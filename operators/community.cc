#include "operators/community.h"

#include <algorithm>
#include <vector>

#include "operators/codec.h"

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 1;

class Community final : public OperatorOf<CommunityState> {
 public:
  OperatorId id() const override { return OperatorId::kCommunity; }
  const char* name() const override { return "community"; }
  KeyKind key_kind() const override { return KeyKind::kCommunity; }
  bool hourly() const override { return true; }

  void fold_key(CommunityState& state, Key, std::span<const Item> items, Context& context) const override {
    // However many timers are due, the sums are those of the tick before: one look is enough.
    if (std::any_of(items.begin(), items.end(), [](const Item& i) { return i.kind == Item::Kind::kTimer; }))
      send_cutoffs(state, context);
  }

 private:
  static void send_cutoffs(CommunityState& state, Context& context) {
    std::vector<std::pair<uint32_t, int64_t>> cells;
    context.counters(kCounterCells, [&](uint32_t cell, int64_t users) {
      if (users > 0) cells.emplace_back(cell, users);
    });
    Cutoffs next = state.sent;
    for (size_t tier = 0; tier < next.cell.size(); ++tier)
      next.cell[tier] = cutoff_cell(cells, context.community().tiers[tier].top_permille);
    if (next.cell == state.sent.cell) return;
    ++next.version;
    state.sent = next;
    context.broadcast(next);
  }
};

}  // namespace

uint32_t cutoff_cell(std::span<const std::pair<uint32_t, int64_t>> cells, uint32_t permille) {
  if (cells.empty() || permille == 0) return 0;
  int64_t total = 0;
  for (const auto& [cell, users] : cells) total += users;
  const int64_t most = (total * permille + 999) / 1000;
  uint32_t lowest = cells.back().first;
  int64_t above = 0;
  for (size_t i = cells.size(); i-- > 0;) {
    above += cells[i].second;
    if (above > most) break;
    lowest = cells[i].first;
  }
  return lowest;
}

bool CommunityState::decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != kVersion) return false;
  sent.version = static_cast<uint32_t>(r.varint());
  for (uint32_t& cell : sent.cell) cell = static_cast<uint32_t>(r.varint());
  return r.ok() && r.done();
}

void CommunityState::encode(std::string& out) const {
  if (sent.version == 0) return;
  Writer w(out);
  w.u8(kVersion);
  w.varint(sent.version);
  for (const uint32_t cell : sent.cell) w.varint(cell);
}

const Operator& community_operator() {
  static const Community instance;
  return instance;
}

}  // namespace bellwether

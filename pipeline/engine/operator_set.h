// The operators that an engine runs. The program's set is made of operators/registry.h; tests bring their own.
#pragma once

#include <absl/functional/function_ref.h>

#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "operators/operator.h"
#include "operators/state_reader.h"
#include "pipeline/engine/check.h"

namespace bellwether {

constexpr size_t kKeyKinds = 7;

class OperatorSet {
 public:
  using Analyse = std::function<std::string(std::string_view input, StateReader& reader)>;
  using Likely = void (*)(const Fact& fact, const CommunityConfig& community,
                          absl::FunctionRef<void(OperatorId op, Key key)> each);

  // `homes`: by KeyKind, the operator that facts of that home go to; kNone where there is none (kEvent, kCommunity).
  // `analyse`: what Context::analyse runs; a pure function of the input and of what it reads. `likely`: the states to
  // fetch ahead of a fact, a hint; null: its home alone. `likely_new`: those to fetch besides where its home has no
  // state yet; null: none.
  OperatorSet(std::span<const Operator* const> operators, const std::array<OperatorId, kKeyKinds>& homes,
              Analyse analyse, Likely likely = nullptr, Likely likely_new = nullptr)
      : operators_(operators.begin(), operators.end()),
        homes_(homes),
        analyse_(std::move(analyse)),
        likely_(likely),
        likely_new_(likely_new) {
    for (const Operator* op : operators_) {
      const size_t id = static_cast<size_t>(op->id());
      BELLWETHER_REQUIRE(id != 0 && id < 0x8000, "operator %s has id %zu", op->name(), id);
      if (by_id_.size() <= id) by_id_.resize(id + 1);
      BELLWETHER_REQUIRE(by_id_[id] == nullptr, "two operators have id %zu", id);
      by_id_[id] = op;
    }
  }

  const std::vector<const Operator*>& all() const { return operators_; }
  // Null where there is none.
  const Operator* find(OperatorId id) const {
    const auto i = static_cast<size_t>(id);
    return i < by_id_.size() ? by_id_[i] : nullptr;
  }
  const Operator& get(OperatorId id) const {
    const Operator* op = find(id);
    BELLWETHER_REQUIRE(op != nullptr, "no operator %u", static_cast<unsigned>(id));
    return *op;
  }
  OperatorId home(KeyKind kind) const {
    const OperatorId id = homes_[static_cast<size_t>(kind)];
    BELLWETHER_REQUIRE(id != OperatorId::kNone, "a fact with a home of kind %u", static_cast<unsigned>(kind));
    return id;
  }
  const Analyse& analyse() const { return analyse_; }
  void likely(const Fact& fact, const CommunityConfig& community,
              absl::FunctionRef<void(OperatorId op, Key key)> each) const {
    if (likely_ == nullptr) return each(home(fact.home.kind), fact.home);
    hint(likely_, fact, community, each);
  }
  void likely_new(const Fact& fact, const CommunityConfig& community,
                  absl::FunctionRef<void(OperatorId op, Key key)> each) const {
    if (likely_new_ != nullptr) hint(likely_new_, fact, community, each);
  }

 private:
  void hint(Likely of, const Fact& fact, const CommunityConfig& community,
            absl::FunctionRef<void(OperatorId op, Key key)> each) const {
    of(fact, community, [&](OperatorId op, Key key) {
      if (find(op) != nullptr) each(op, key);
    });
  }

  std::vector<const Operator*> operators_, by_id_;
  std::array<OperatorId, kKeyKinds> homes_;
  Analyse analyse_;
  Likely likely_, likely_new_;
};

}  // namespace bellwether

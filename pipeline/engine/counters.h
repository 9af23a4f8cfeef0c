// Community-wide sums by family and number. A family is walked by the hour and added to by every event, nearly always
// at its newest number: a sorted list each, not a tree.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <vector>

#include "operators/operator.h"
#include "pipeline/engine/store.h"

namespace bellwether {

class Counters {
 public:
  // 0 where there is none.
  int64_t get(CounterId id) const;
  // Those that are not 0, by ascending number.
  void each(uint16_t family, absl::FunctionRef<void(uint32_t number, int64_t value)> each) const;

  void load(CounterId id, int64_t value);  // as it stands in the store
  void add(CounterId id, int64_t delta);
  void write(WriteSet& set);  // what changed since the last call; sums that became 0 have no row

 private:
  struct Sum {
    uint32_t number = 0;
    bool changed = false;
    int64_t value = 0;
  };
  struct Family {
    bool changed = false;
    std::vector<Sum> sums;  // by number
  };
  Family& family(uint16_t id) {
    if (id >= families_.size()) [[unlikely]]
      families_.resize(id + size_t{1});
    return families_[id];
  }
  static Sum& at(Family& family, uint32_t number);

  std::vector<Family> families_;  // [id]; a handful
};

}  // namespace bellwether

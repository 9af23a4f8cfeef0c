#include "pipeline/engine/counters.h"

#include <algorithm>

#include "operators/codec.h"
#include "pipeline/engine/keys.h"

namespace bellwether {
namespace {

constexpr int kLooks = 8;

}  // namespace

Counters::Sum& Counters::at(Family& family, uint32_t number) {
  std::vector<Sum>& sums = family.sums;
  // Nearly always one of the newest.
  auto sum = sums.end();
  for (int looks = 0; looks < kLooks && sum != sums.begin() && std::prev(sum)->number >= number; ++looks) --sum;
  if (sum != sums.begin() && std::prev(sum)->number >= number)
    sum = std::lower_bound(sums.begin(), sum, number, [](const Sum& s, uint32_t n) { return s.number < n; });
  if (sum == sums.end() || sum->number != number) sum = sums.insert(sum, Sum{number, false, 0});
  return *sum;
}

int64_t Counters::get(CounterId id) const {
  if (id.family >= families_.size()) return 0;
  const std::vector<Sum>& sums = families_[id.family].sums;
  const auto sum = std::lower_bound(sums.begin(), sums.end(), id.number,
                                    [](const Sum& s, uint32_t number) { return s.number < number; });
  return sum != sums.end() && sum->number == id.number ? sum->value : 0;
}

void Counters::each(uint16_t family, absl::FunctionRef<void(uint32_t, int64_t)> each) const {
  if (family >= families_.size()) return;
  for (const Sum& s : families_[family].sums)
    if (s.value != 0) each(s.number, s.value);
}

void Counters::load(CounterId id, int64_t value) { at(family(id.family), id.number).value = value; }

void Counters::add(CounterId id, int64_t delta) {
  if (delta == 0) return;
  Family& family = this->family(id.family);
  Sum& sum = at(family, id.number);
  sum.value += delta;
  sum.changed = family.changed = true;
}

void Counters::write(WriteSet& set) {
  std::string row;
  for (size_t i = 0; i < families_.size(); ++i) {
    Family& f = families_[i];
    const auto id = static_cast<uint16_t>(i);
    if (!f.changed) continue;
    f.changed = false;
    bool gone = false;
    for (Sum& s : f.sums) {
      if (!s.changed) continue;
      s.changed = false;
      if (s.value == 0) {
        set.erase(bellwether::Family::kMeta, keys::counter({id, s.number}));
        gone = true;
        continue;
      }
      row.clear();
      Writer(row).zigzag(s.value);
      set.put(bellwether::Family::kMeta, keys::counter({id, s.number}), row);
    }
    if (gone) std::erase_if(f.sums, [](const Sum& s) { return s.value == 0; });
  }
}

}  // namespace bellwether

#include "pipeline/engine/counters.h"

#include <algorithm>

#include "operators/codec.h"
#include "pipeline/engine/keys.h"

namespace bellwether {

Counters::Sum& Counters::at(CounterId id) {
  auto family = std::find_if(families_.begin(), families_.end(), [&](const Family& f) { return f.id >= id.family; });
  if (family == families_.end() || family->id != id.family) {
    family = families_.emplace(family);
    family->id = id.family;
  }
  std::vector<Sum>& sums = family->sums;
  if (!sums.empty() && sums.back().number == id.number) return sums.back();
  auto sum = sums.end();
  if (!sums.empty() && sums.back().number > id.number)
    sum = std::lower_bound(sums.begin(), sums.end(), id.number,
                           [](const Sum& s, uint32_t number) { return s.number < number; });
  if (sum == sums.end() || sum->number != id.number) sum = sums.insert(sum, Sum{id.number, false, 0});
  return *sum;
}

int64_t Counters::get(CounterId id) const {
  for (const Family& f : families_) {
    if (f.id != id.family) continue;
    const auto sum = std::lower_bound(f.sums.begin(), f.sums.end(), id.number,
                                      [](const Sum& s, uint32_t number) { return s.number < number; });
    return sum != f.sums.end() && sum->number == id.number ? sum->value : 0;
  }
  return 0;
}

void Counters::each(uint16_t family, absl::FunctionRef<void(uint32_t, int64_t)> each) const {
  for (const Family& f : families_) {
    if (f.id != family) continue;
    for (const Sum& s : f.sums)
      if (s.value != 0) each(s.number, s.value);
  }
}

void Counters::load(CounterId id, int64_t value) { at(id).value = value; }

void Counters::add(CounterId id, int64_t delta) {
  if (delta == 0) return;
  Sum& sum = at(id);
  sum.value += delta;
  if (sum.changed) return;
  sum.changed = true;
  for (Family& f : families_) f.changed |= f.id == id.family;
}

void Counters::write(WriteSet& set) {
  std::string row;
  for (Family& f : families_) {
    if (!f.changed) continue;
    f.changed = false;
    bool gone = false;
    for (Sum& s : f.sums) {
      if (!s.changed) continue;
      s.changed = false;
      if (s.value == 0) {
        set.erase(bellwether::Family::kMeta, keys::counter({f.id, s.number}));
        gone = true;
        continue;
      }
      row.clear();
      Writer(row).zigzag(s.value);
      set.put(bellwether::Family::kMeta, keys::counter({f.id, s.number}), row);
    }
    if (gone) std::erase_if(f.sums, [](const Sum& s) { return s.value == 0; });
  }
}

}  // namespace bellwether

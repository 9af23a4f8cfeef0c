// Law 5: every record read is exactly one of applied, duplicate, late, dead-lettered; pending is what waits in open
// ticks.
#pragma once

#include <cstdint>

#include "operators/codec.h"

namespace bellwether {

struct Account {
  uint64_t consumed = 0, applied = 0, duplicate = 0, late = 0, dead_lettered = 0;
  uint64_t id_collisions = 0;  // apart: their records are in applied or late

  bool balanced() const { return consumed == applied + duplicate + late + dead_lettered; }
  void add(const Account& o) {
    consumed += o.consumed, applied += o.applied, duplicate += o.duplicate, late += o.late;
    dead_lettered += o.dead_lettered, id_collisions += o.id_collisions;
  }
  void write(Writer& w) const {
    w.varint(consumed), w.varint(applied), w.varint(duplicate), w.varint(late), w.varint(dead_lettered);
    w.varint(id_collisions);
  }
  static Account read(Reader& r) {
    Account a;
    a.consumed = r.varint(), a.applied = r.varint(), a.duplicate = r.varint(), a.late = r.varint();
    a.dead_lettered = r.varint(), a.id_collisions = r.varint();
    return a;
  }
  friend bool operator==(const Account&, const Account&) = default;
};

}  // namespace bellwether

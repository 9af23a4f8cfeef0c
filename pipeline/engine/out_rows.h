// Out records that wait for the sinks, as rows of Family::kOutbox: up to some hundred in a row, under the number of the
// last of them, for a row costs the store as much as ten records. So a range of rows up to a delivered number holds no
// record behind it. One record alone stands as encode_out_row() writes it, as all did once.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/engine/keys.h"
#include "pipeline/engine/store.h"

namespace bellwether {

struct OutRow {
  uint64_t number = 0;
  uint8_t kind = 0;  // OutKind, kOutDeadLetter, kOutTombstone
  ChangeId id;
  std::string_view payload;
};

class OutRows {
 public:
  // Of rising numbers.
  void add(uint64_t number, uint8_t kind, const ChangeId& id, std::string_view payload, WriteSet& set);
  void flush(WriteSet& set);  // before the set is committed
  size_t bytes() const { return bytes_.size(); }

 private:
  std::string bytes_, begun_;
  uint64_t last_ = 0;
  uint32_t count_ = 0;
};

// Calls each(record) for those of a row in order, until it is false. False where the row cannot be read.
bool each_out_row(std::string_view key, std::string_view value, absl::FunctionRef<bool(const OutRow&)> each);

// The row with the payloads that `change` gives for records of which it is true. False where it is for none, or the row
// cannot be read.
bool change_out_rows(std::string_view key, std::string_view value,
                     absl::FunctionRef<bool(const OutRow&, std::string& payload)> change, std::string& out);

}  // namespace bellwether

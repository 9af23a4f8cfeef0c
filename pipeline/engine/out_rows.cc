#include "pipeline/engine/out_rows.h"

#include "operators/codec.h"
#include "pipeline/engine/rows.h"

namespace bellwether {
namespace {

constexpr uint8_t kMany = 0xff;  // where one record alone has its kind
constexpr size_t kRowBytes = 16 << 10;

// {kMany, count, records}; a single one by itself. `records`: each behind its length.
std::string row_of(std::string_view records, uint32_t count) {
  if (count == 1) return std::string(Reader(records).bytes());
  std::string row;
  row.reserve(records.size() + 8);
  Writer w(row);
  w.u8(kMany), w.varint(count);
  row += records;
  return row;
}

}  // namespace

void OutRows::add(uint64_t number, uint8_t kind, const ChangeId& id, std::string_view payload, WriteSet& set) {
  if (number != last_ + 1) flush(set);
  begun_.clear();
  begin_out_row(begun_, kind, id, payload.size());
  Writer w(bytes_);
  w.varint(begun_.size() + payload.size());
  w.append(begun_.data(), begun_.size()), w.append(payload.data(), payload.size());
  last_ = number, ++count_;
  if (bytes_.size() >= kRowBytes) flush(set);
}

void OutRows::flush(WriteSet& set) {
  if (count_ == 0) return;
  set.put(Family::kOutbox, keys::number(last_), row_of(bytes_, count_));
  bytes_.clear(), count_ = 0;
}

bool each_out_row(std::string_view key, std::string_view value, absl::FunctionRef<bool(const OutRow&)> each) {
  OutRow row;
  if (!keys::parse_number(key, row.number)) return false;
  Reader r(value);
  if (r.u8() != kMany) return decode_out_row(value, row.kind, row.id, row.payload) && (each(row), true);
  const uint64_t count = r.varint(), last = row.number;
  if (!r.ok() || count < 2 || count > last || count > r.left()) return false;
  for (row.number = last - count + 1; row.number <= last; ++row.number) {
    const std::string_view record = r.bytes();
    if (!r.ok() || !decode_out_row(record, row.kind, row.id, row.payload) || row.kind == kMany) return false;
    if (!each(row)) return true;
  }
  return r.done();
}

bool change_out_rows(std::string_view key, std::string_view value,
                     absl::FunctionRef<bool(const OutRow&, std::string&)> change, std::string& out) {
  std::string records, payload;
  uint32_t count = 0;
  bool changed = false;
  const bool whole = each_out_row(key, value, [&](const OutRow& row) {
    const bool anew = change(row, payload);
    Writer(records).bytes(encode_out_row(row.kind, row.id, anew ? std::string_view(payload) : row.payload));
    ++count, changed |= anew;
    return true;
  });
  if (!whole || !changed) return false;
  out = row_of(records, count);
  return true;
}

}  // namespace bellwether

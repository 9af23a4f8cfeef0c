#include "pipeline/engine/control.h"

#include <algorithm>

#include "config/load.h"
#include "pipeline/engine/keys.h"

namespace bellwether {
namespace {

enum : uint8_t { kFloorRow = 1, kConfigRow = 2, kGapRow = 3, kErasureRow = 4 };

}  // namespace

std::string encode(const FloorRow& row) {
  std::string out;
  Writer w(out);
  w.u8(kFloorRow), w.bytes(row.partition.topic), w.zigzag(row.partition.number), w.zigzag(row.from_offset),
      w.zigzag(row.slot);
  return out;
}

std::string encode(const GapRow& row) {
  std::string out;
  Writer w(out);
  w.u8(kGapRow), w.bytes(row.partition.topic), w.zigzag(row.partition.number), w.zigzag(row.from), w.zigzag(row.to);
  return out;
}

std::string encode(const ErasureRow& row) {
  std::string out;
  Writer w(out);
  w.u8(kErasureRow), w.fixed64(row.user), w.varint(row.id_bytes);
  return out;
}

std::string hash_key_print(const Hasher& hasher) { return std::to_string(hasher(KeyKind::kEvent, "bellwether")); }

uint64_t gap_offsets(std::vector<GapRow> rows) {
  std::sort(rows.begin(), rows.end(), [](const GapRow& a, const GapRow& b) { return a.from < b.from; });
  uint64_t sum = 0;
  int64_t reached = INT64_MIN;
  for (const GapRow& row : rows) {
    const int64_t from = std::max(row.from, reached);
    if (row.to <= from) continue;
    sum += static_cast<uint64_t>(row.to - from);
    reached = row.to;
  }
  return sum;
}

std::string encode(const ConfigVersion& row) {
  std::string out;
  Writer w(out);
  w.u8(kConfigRow), w.varint(row.number), w.zigzag(row.from_slot), w.fixed64(row.hash), w.bytes(canonical(row.config));
  return out;
}

Status read_control(const Store& store, ControlLog& out) {
  Status broken;
  const Status status =
      store.snapshot()->scan(Family::kControl, {}, {}, [&](std::string_view key, std::string_view value) {
        uint64_t number = 0;
        Reader r(value);
        bool good = keys::parse_number(key, number);
        const uint8_t kind = r.u8();
        if (good && kind == kFloorRow) {
          FloorRow row;
          row.partition.topic = r.bytes(), row.partition.number = static_cast<int32_t>(r.zigzag());
          row.from_offset = r.zigzag(), row.slot = r.zigzag();
          out.floors.emplace_back(number, std::move(row));
        } else if (good && kind == kGapRow) {
          GapRow row;
          row.partition.topic = r.bytes(), row.partition.number = static_cast<int32_t>(r.zigzag());
          row.from = r.zigzag(), row.to = r.zigzag();
          out.gaps.push_back(std::move(row));
        } else if (good && kind == kConfigRow) {
          ConfigVersion row;
          row.number = static_cast<uint16_t>(r.varint()), row.from_slot = r.zigzag(), row.hash = r.fixed64();
          const auto config = parse_canonical(r.bytes());
          good = config.ok() && row.number == out.versions.size();
          if (good) row.config = config.value(), out.versions.push_back(std::move(row));
        } else if (good && kind == kErasureRow) {
          ErasureRow row;
          row.user = r.fixed64(), row.id_bytes = static_cast<uint32_t>(r.varint());
          good = number == kErasureNumbers + out.erasures.size();
          out.erasures.push_back(row);
        } else {
          good = false;
        }
        if (!good || !r.ok()) {
          broken = Status::error("row " + std::to_string(number) +
                                 " of the control log cannot be read: the store is damaged, or was " +
                                 "written by a later version");
          return false;
        }
        if (number < kErasureNumbers) out.next = number + 1;
        return true;
      });
  return status.ok() ? broken : status;
}

}  // namespace bellwether

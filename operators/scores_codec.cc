// How ScoresState and ledger rows become bytes. Grammar (codec.h: varints, zigzag, little-endian words):
//   rows  = count, row*
//   row   = rule u8, cause u8 | 16 if the event is that of the row before | 32 if authentic = raw, [flag if cause is
//   kFlag, kFlagEnd,
//           kHalving], [event], day - day of the event, slot - slot of the event's time, count, raw, [authentic]
#include "operators/erased.h"
#include "operators/scores.h"

namespace bellwether {
namespace {

void write_row(Writer& w, const CreditRow& row, bool same_event) {
  const bool whole = row.authentic_micros == row.raw_micros;
  EntryWriter c(w);
  c.u8(static_cast<uint8_t>(row.rule));
  c.u8(static_cast<uint8_t>(static_cast<unsigned>(row.cause) | (same_event ? 16U : 0U) | (whole ? 32U : 0U)));
  if (row.cause == Cause::kFlag || row.cause == Cause::kFlagEnd || row.cause == Cause::kHalving) c.fixed64(row.flag);
  if (!same_event) row.event.write(c);
  c.zigzag(row.day - day_of(row.event.time_us)), c.zigzag(row.slot - slot_of(row.event.time_us));
  c.zigzag(row.count), c.zigzag(row.raw_micros);
  if (!whole) c.zigzag(row.authentic_micros);
}

// Calls each(row) for the next `n`.
template <class Each>
bool read_rows(Reader& r, uint64_t n, Each&& each) {
  EventRef last;
  for (; n > 0 && r.ok(); --n) {
    CreditRow row;
    row.rule = static_cast<RuleId>(r.u8());
    const uint8_t b = r.u8();
    row.cause = static_cast<Cause>(b & 15);
    if (row.cause == Cause::kFlag || row.cause == Cause::kFlagEnd || row.cause == Cause::kHalving)
      row.flag = r.fixed64();
    if ((b & 16) == 0) last = EventRef::read(r);
    row.event = last;
    row.day = r.above(day_of(last.time_us)), row.slot = r.above(slot_of(last.time_us));
    row.count = static_cast<int32_t>(r.zigzag()), row.raw_micros = r.zigzag();
    row.authentic_micros = (b & 32) != 0 ? row.raw_micros : r.zigzag();
    if (static_cast<size_t>(row.rule) >= kRuleIds) return false;
    each(row);
  }
  return r.ok();
}

}  // namespace

void write_rows(Writer& w, const std::vector<CreditRow>& rows) {
  w.varint(rows.size());
  const CreditRow* before = nullptr;
  for (const CreditRow& row : rows) {
    write_row(w, row, before != nullptr && before->event == row.event);
    before = &row;
  }
}

bool read_rows(Reader& r, std::vector<CreditRow>& rows) {
  const uint64_t n = r.varint();
  return read_rows(r, n, [&](const CreditRow& row) { rows.push_back(row); });
}

void OpenRows::add(const CreditRow& row, bool same_event) {
  Writer w(bytes_);
  write_row(w, row, same_event && count_ > 0);
  ++count_;
}

std::vector<CreditRow> OpenRows::rows() const {
  std::vector<CreditRow> rows;
  rows.reserve(count_);
  Reader r(bytes_);
  read_rows(r, count_, [&](const CreditRow& row) { rows.push_back(row); });  // good: read() looked
  return rows;
}

void OpenRows::set(const std::vector<CreditRow>& rows) {
  clear();
  for (const CreditRow& row : rows) add(row);
}

bool OpenRows::read(Reader& r) {
  const uint64_t n = r.varint();
  if (!r.ok() || n > r.left()) return false;
  count_ = static_cast<uint32_t>(n);
  bytes_ = r.rest();
  Reader rows(bytes_);
  return read_rows(rows, n, [](const CreditRow&) {}) && rows.done();
}

bool ScoresState::decode(std::string_view bytes) {
  Reader r(bytes);
  const uint8_t version = r.u8();
  if (version != 1 && version != 2) return false;
  id = r.bytes(), first_us = r.zigzag();
  if (!book.read(r)) return false;
  likers = r.zigzag();
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    Grant g;
    g.action = static_cast<AccountAction>(r.u8()), g.name = r.bytes(), g.since_us = r.zigzag(),
    g.expires_us = r.zigzag();
    grants.push_back(std::move(g));
  }
  if (!portrait.read(r) || !machine.read(r)) return false;
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    WithoutFlag w;
    w.flag = r.fixed64(), w.flag_id = r.bytes(), w.kind = static_cast<FlagKind>(r.u8());
    const uint8_t b = r.u8();
    w.confirmed = b & 1, w.told = b >> 1 & 1;
    w.opened_us = r.zigzag();
    for (uint64_t k = r.varint(); k > 0 && r.ok(); --k) {
      Taken t;
      t.day = r.zigzag(), t.rule = static_cast<RuleId>(r.u8()), t.micros = r.zigzag();
      w.taken.push_back(t);
    }
    w.likers = r.zigzag();
    if (!w.machine.read(r)) return false;
    without.push_back(std::move(w));
  }
  uint64_t boards = r.varint();
  if (boards > kBoardsMax) return false;
  for (; boards > 0 && r.ok(); --boards) cells.push_back(static_cast<uint32_t>(r.varint()));
  reported_minute = r.zigzag();
  const uint8_t bits = r.u8();
  report_due = bits & 1,
  wants_days = bits >> 1 & 1;  // of version 1 it asks at its next look: so it has a home that knows
  awaits_days = bits >> 2 & 1;
  if (bits > (version == 1 ? 1 : 7)) return false;
  int64_t last = 0;
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    Block b;
    b.day = last = r.above(last), b.number = static_cast<uint32_t>(r.varint()),
    b.count = static_cast<uint32_t>(r.varint());
    blocks.push_back(b);
  }
  next_number = static_cast<uint32_t>(r.varint());
  return rows.read(r);
}

void ScoresState::encode(std::string& out) const {
  Writer w(out);
  w.u8(2);
  w.bytes(id), w.zigzag(first_us);
  book.write(w);
  w.zigzag(likers);
  w.varint(grants.size());
  for (const Grant& g : grants)
    w.u8(static_cast<uint8_t>(g.action)), w.bytes(g.name), w.zigzag(g.since_us), w.zigzag(g.expires_us);
  portrait.write(w), machine.write(w);
  w.varint(without.size());
  for (const WithoutFlag& f : without) {
    w.fixed64(f.flag), w.bytes(f.flag_id), w.u8(static_cast<uint8_t>(f.kind)),
        w.u8(static_cast<uint8_t>(f.confirmed | f.told << 1)), w.zigzag(f.opened_us);
    w.varint(f.taken.size());
    for (const Taken& t : f.taken) w.zigzag(t.day), w.u8(static_cast<uint8_t>(t.rule)), w.zigzag(t.micros);
    w.zigzag(f.likers);
    f.machine.write(w);
  }
  {
    EntryWriter c(w);
    c.varint(cells.size());
    for (uint32_t cell : cells) c.varint(cell);  // kBoardsMax
    c.zigzag(reported_minute), c.u8(static_cast<uint8_t>(report_due | wants_days << 1 | awaits_days << 2));
    c.varint(blocks.size());
  }
  int64_t last = 0;
  for (const Block& b : blocks) w.zigzag(b.day - last), last = b.day, w.varint(b.number), w.varint(b.count);
  w.varint(next_number);
  rows.write(w);
}

bool ScoresState::forget(Key key, const Erased& erased) {
  const std::string* name = erased.name(key.hash);
  if (name == nullptr) return false;
  const bool named = !id.empty() && id != *name;
  if (named) id = *name;
  return portrait.forget() || named;
}

size_t ScoresState::memory() const {
  size_t bytes = id.capacity() + book.memory() + portrait.memory() + rows.memory() + blocks.capacity() * sizeof(Block) +
                 cells.capacity() * 4;
  for (const WithoutFlag& w : without)
    bytes += sizeof w + w.taken.capacity() * sizeof(Taken) + w.machine.reason.capacity();
  return bytes + machine.reason.capacity() + grants.capacity() * sizeof(Grant);
}

}  // namespace bellwether

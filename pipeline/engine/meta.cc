#include "pipeline/engine/meta.h"

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 2;  // 1: without first_folded; partitions without gap, bookmark and read_to

void write_name(Writer& w, const StateKey& k) { w.varint(k.op_kind()), w.fixed64(k.key.hash); }
StateKey read_name(Reader& r) {
  const auto op_kind = static_cast<uint32_t>(r.varint());
  return StateKey::of(op_kind, r.fixed64());
}

void write_messages(Writer& w, const std::vector<StoredMessage>& messages) {
  w.varint(messages.size());
  for (const StoredMessage& m : messages) {
    w.zigzag(m.slot), write_name(w, m.to), write_name(w, m.sender), w.varint(m.sequence);
    w.zigzag(m.time_us), w.fixed64(m.id_hash), w.bytes(m.payload);
  }
}
void read_messages(Reader& r, std::vector<StoredMessage>& out) {
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    StoredMessage& m = out.emplace_back();
    m.slot = r.zigzag(), m.to = read_name(r), m.sender = read_name(r), m.sequence = static_cast<uint32_t>(r.varint());
    m.time_us = r.zigzag(), m.id_hash = r.fixed64(), m.payload = r.bytes();
  }
}

}  // namespace

Account EngineProgress::account() const {
  Account sum;
  for (const PartitionState& p : partitions) sum.add(p.account);
  return sum;
}

uint64_t EngineProgress::gap() const {
  uint64_t sum = 0;
  for (const PartitionState& p : partitions) sum += p.gap;
  return sum;
}

std::string EngineProgress::encode() const {
  std::string out;
  Writer w(out);
  w.u8(kVersion);
  w.zigzag(tick.slot), w.varint(tick.sub), w.boolean(begun), w.zigzag(folded), w.zigzag(hour), w.varint(ticks);
  w.varint(outbox_next), w.zigzag(changes_from), w.zigzag(ledger_from), w.zigzag(first_folded);
  for (const uint64_t n : dead) w.varint(n);
  w.varint(cutoffs.version);
  for (const uint32_t c : cutoffs.cell) w.varint(c);
  w.varint(jobs.size());
  for (const RecheckJob& j : jobs) {
    w.u8(j.tier), w.varint(j.high), w.u8(j.next.index), w.varint(j.next.order);
    w.u8(static_cast<uint8_t>(j.next.key.kind)), w.fixed64(j.next.key.hash);
  }
  write_messages(w, findings);
  write_messages(w, leftovers);
  w.varint(partitions.size());
  for (const PartitionState& p : partitions) {
    w.bytes(p.id.topic), w.zigzag(p.id.number);
    w.zigzag(p.at.next_offset), w.zigzag(p.at.newest_us), w.zigzag(p.at.watermark_us);
    w.varint(p.at.fill.size());
    for (const SlotFill& f : p.at.fill) w.zigzag(f.slot), w.varint(f.records);
    w.zigzag(p.append_us), p.account.write(w);
    w.varint(p.gap), w.zigzag(p.bookmark.offset), w.fixed64(p.bookmark.check), w.zigzag(p.read_to);
  }
  return out;
}

bool EngineProgress::decode(std::string_view bytes) {
  Reader r(bytes);
  const uint8_t version = r.u8();
  if (version < 1 || version > kVersion) return false;
  tick.slot = r.zigzag(), tick.sub = static_cast<uint32_t>(r.varint()), begun = r.boolean();
  folded = r.zigzag(), hour = r.zigzag(), ticks = r.varint();
  outbox_next = r.varint(), changes_from = r.zigzag(), ledger_from = r.zigzag();
  // Of the first version it is not known: earlier than anything that is asked for.
  first_folded = version >= 2 ? r.zigzag() : folded == INT64_MIN ? INT64_MIN : kFirstSlot;
  for (uint64_t& n : dead) n = r.varint();
  cutoffs.version = static_cast<uint32_t>(r.varint());
  for (uint32_t& c : cutoffs.cell) c = static_cast<uint32_t>(r.varint());
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    RecheckJob& j = jobs.emplace_back();
    j.tier = r.u8(), j.high = static_cast<uint32_t>(r.varint()), j.next.index = r.u8(), j.next.order = r.varint();
    j.next.key.kind = static_cast<KeyKind>(r.u8()), j.next.key.hash = r.fixed64();
  }
  read_messages(r, findings);
  read_messages(r, leftovers);
  for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
    PartitionState& p = partitions.emplace_back();
    p.id.topic = r.bytes(), p.id.number = static_cast<int32_t>(r.zigzag());
    p.at.next_offset = r.zigzag(), p.at.newest_us = r.zigzag(), p.at.watermark_us = r.zigzag();
    for (uint64_t fills = r.varint(); fills > 0 && r.ok(); --fills) {
      SlotFill& f = p.at.fill.emplace_back();
      f.slot = r.zigzag(), f.records = r.varint();
    }
    p.append_us = r.zigzag(), p.account = Account::read(r);
    if (version >= 2)
      p.gap = r.varint(), p.bookmark.offset = r.zigzag(), p.bookmark.check = r.fixed64(), p.read_to = r.zigzag();
  }
  return r.ok() && r.done();
}

}  // namespace bellwether

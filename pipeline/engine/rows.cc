// The bytes of rows that leave the pipeline, and names taken out of them.
#include "pipeline/engine/rows.h"

#include "operators/alert.h"
#include "operators/flags.h"
#include "operators/tick_codec.h"
#include "operators/tiers.h"
#include "pipeline/engine/erasure.h"

namespace bellwether {
namespace {

template <class Out>  // Writer or EntryWriter
void write_change_id(Out& w, const ChangeId& id) {
  write(w, id.tick), w.varint(id.sender.op_kind()), w.fixed64(id.sender.key.hash), w.varint(id.sequence);
}

bool forget_users(std::string_view payload, const Erased& erased, std::string& out) {
  FlagChange change;
  if (!decode(payload, change)) return false;
  bool forgot = false;
  for (auto* users : {&change.subject_users, &change.beneficiary_users})
    for (FlagChange::User& user : *users) {
      const std::string* name = erased.name(user.hash);
      if (name == nullptr || user.id.empty() || user.id == *name) continue;
      user.id = *name;
      forgot = true;
    }
  if (forgot) out = encode(change);
  return forgot;
}

// A record that names the one user it is about, its sender's key.
template <class Record>
bool forget_user(const ChangeId& id, std::string_view payload, const Erased& erased, std::string& out) {
  const std::string* name = erased.name(id.sender.key.hash);
  Record record;
  if (name == nullptr || !decode(payload, record) || record.user_id.empty() || record.user_id == *name) return false;
  record.user_id = *name;
  out = encode(record);
  return true;
}

}  // namespace

std::string encode(const DeadLetterRow& row) {
  std::string out;
  Writer w(out);
  w.bytes(row.from.topic), w.zigzag(row.from.number), w.zigzag(row.offset), w.u8(static_cast<uint8_t>(row.reason));
  w.zigzag(row.slot), w.varint(row.sub), w.bytes(row.detail), w.bytes(row.raw), w.varint(row.raw_bytes);
  return out;
}

bool decode(std::string_view bytes, DeadLetterRow& out) {
  Reader r(bytes);
  out.from.topic = r.bytes(), out.from.number = static_cast<int32_t>(r.zigzag()), out.offset = r.zigzag();
  out.reason = static_cast<Reason>(r.u8()), out.slot = r.zigzag(), out.sub = static_cast<uint32_t>(r.varint());
  out.detail = r.bytes(), out.raw = r.bytes(), out.raw_bytes = r.varint();
  return r.ok() && r.done() && has_time(out.slot);
}

void begin_out_row(std::string& out, uint8_t kind, const ChangeId& id, size_t payload_bytes) {
  Writer to(out);
  EntryWriter w(to);
  w.u8(kind);
  write_change_id(w, id);
  w.varint(payload_bytes);
}

std::string encode_out_row(uint8_t kind, const ChangeId& id, std::string_view payload) {
  std::string out;
  begin_out_row(out, kind, id, payload.size());
  out += payload;
  return out;
}

bool decode_out_row(std::string_view bytes, uint8_t& kind, ChangeId& id, std::string_view& payload) {
  Reader r(bytes);
  kind = r.u8();
  if (!read(r, id.tick, true)) return false;
  const auto op_kind = static_cast<uint32_t>(r.varint());
  id.sender = StateKey::of(op_kind, r.fixed64());
  id.sequence = static_cast<uint32_t>(r.varint());
  payload = r.bytes();
  return r.ok() && r.done();
}

std::string encode_tombstone(std::string_view topic, std::string_view key) {
  std::string out;
  Writer w(out);
  w.bytes(topic), w.bytes(key);
  return out;
}

bool decode_tombstone(std::string_view payload, std::string_view& topic, std::string_view& key) {
  Reader r(payload);
  topic = r.bytes(), key = r.bytes();
  return r.ok() && r.done();
}

std::string dead_letter_id(const DeadLetterRow& row) {
  return row.from.topic + "/" + std::to_string(row.from.number) + "/" + std::to_string(row.offset);
}

bool forget(DeadLetterRow& row, const Erased& erased) {
  const bool raw = erased.in_bytes(row.raw), detail = erased.in_bytes(row.detail);
  if (raw) row.raw = {};
  if (detail) row.detail = kNamedSentence;
  return raw || detail;
}

bool forget_row(uint8_t kind, const ChangeId& id, std::string_view payload, const Erased& erased, std::string& out) {
  if (erased.empty()) return false;
  switch (kind) {
    case static_cast<uint8_t>(OutKind::kScore):
      return forget_user<ScoreRecord>(id, payload, erased, out);
    case static_cast<uint8_t>(OutKind::kTier):
      return forget_user<TierChange>(id, payload, erased, out);
    case static_cast<uint8_t>(OutKind::kFlag):
      return forget_users(payload, erased, out);
    case static_cast<uint8_t>(OutKind::kAlert): {
      Alert alert;
      if (!decode(payload, alert) || (!erased.in(alert.text) && !erased.in(alert.subject))) return false;
      alert.text = erased.without(alert.text), alert.subject = erased.without(alert.subject);
      out = encode(alert);
      return true;
    }
    case kOutDeadLetter: {
      DeadLetterRow row;
      if (!decode(payload, row) || !forget(row, erased)) return false;
      out = encode(row);
      return true;
    }
    default:  // a tombstone's key is the name and leaves with it
      return false;
  }
}

}  // namespace bellwether

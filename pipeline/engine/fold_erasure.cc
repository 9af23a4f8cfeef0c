// Erasures in the fold: learnt at the start of their tick, and the rows that still hold names rewritten, some at a
// time.
#include <algorithm>

#include "operators/messages.h"
#include "pipeline/engine/control.h"
#include "pipeline/engine/erasure.h"
#include "pipeline/engine/fold.h"

namespace bellwether {

void TickRunner::set_erased(std::shared_ptr<const Erased> erased) {
  erased_ = std::move(erased);
  for (auto& shard : shards_) shard->cache().forget(erased_.get());
}

// From the start of the tick on nothing holds the name: neither the tick's own records, nor those decoded ahead, nor
// states at hand, nor messages that wait. With that a state that was told of the erasure before its first record is
// the same.
Status TickRunner::learn_erasures(TickId tick, std::span<Record* const> records) {
  erased_now_.clear();
  std::shared_ptr<Erased> more;
  uint32_t sequence = 0;
  for (const Record* record : records) {
    if (!record->erases || record->reason != Reason::kNone) continue;
    const Ref& subject = std::get<ErasureFact>(record->body).subject;
    erased_now_.push_back(subject.hash);
    // A record that was rewritten already spells the hash: there is no name left to look for.
    const bool named = !is_erased_name(subject.id);
    const Erased& known = more != nullptr ? *more : *erased_;
    if (known.name(subject.hash) != nullptr) continue;
    if (more == nullptr) more = std::make_shared<Erased>(*erased_);
    const ErasureRow row{subject.hash, named ? static_cast<uint32_t>(subject.id.size()) : 0};
    set_->put(Family::kControl, keys::number(kErasureNumbers + more->size()), encode(row));
    more->add(row.user, row.id_bytes);
    if (!named) continue;
    // Until the last trace is gone the name stands here, so that whoever goes on after a kill knows what to look for.
    set_->put(Family::kMeta, keys::erasing(subject.hash), subject.id);
    if (!options_.outbox) continue;
    for (const char* topic : {".scores", ".tiers"})
      out_rows_.add(progress_.outbox_next++, kOutTombstone,
                    {tick, {OperatorId::kPeople, {KeyKind::kUser, subject.hash}}, sequence++},
                    encode_tombstone(topic, subject.id), *set_);
  }
  std::sort(erased_now_.begin(), erased_now_.end());
  erased_now_.erase(std::unique(erased_now_.begin(), erased_now_.end()), erased_now_.end());
  if (more != nullptr) {
    set_erased(std::move(more));
    for (StoredMessage& message : progress_.leftovers) forget(message.payload, message.to.key, *erased_);
  }
  if (erased_->empty()) return {};
  for (Record* record : records)
    if (record->reason == Reason::kNone && record->erased < erased_->size()) forget(*record, *erased_);
  return {};
}

// Looks at every flag: an erasure is rare, and flags are few. Asked for by the event, new or not, so that a replay that
// knew the erasure before says the same.
Status TickRunner::say_flags_anew() {
  if (operators_.find(OperatorId::kFlags) == nullptr) return {};
  constexpr size_t kRows = 1024;
  IndexKey from{static_cast<uint8_t>(IndexId::kFlagsByTime), 0, {KeyKind::kEvent, 0}};
  for (bool more = true; more;) {
    rows_.clear();
    if (Status status = index_.scan(from, UINT64_MAX, kRows, rows_); !status.ok()) return status;
    more = rows_.size() == kRows;
    for (const IndexKey& row : rows_) {
      const State* flag = state(OperatorId::kFlags, row.key);
      if (flag == nullptr ||
          std::none_of(erased_now_.begin(), erased_now_.end(), [flag](uint64_t user) { return flag->names(user); }))
        continue;
      StoredMessage message;
      message.to = {OperatorId::kFlags, row.key};
      message.sequence = engine_sequence_++;
      message.time_us = env_.tick.slot * kSlotUs;
      message.payload.assign(1, static_cast<char>(MessageKind::kForgotten));
      engine_message(message);
    }
    if (!more) break;
    from = rows_.back();
    if (++from.key.hash == 0) from.key.kind = static_cast<KeyKind>(static_cast<uint8_t>(from.key.kind) + 1);
  }
  return failure();
}

// States go through the cache, as everything that writes them does: the newest one is written, and it has forgotten.
// Rows that are written once are read from the store and put again, unless they have left it by now.
Status TickRunner::scrub(std::span<const RowName> rows, uint64_t outbox_from) {
  std::vector<std::vector<StateKey>> states(shards_.size());
  for (const RowName& row : rows) {
    StateKey key;
    if (row.family == Family::kState && keys::parse_state(row.key, key)) {
      states[shard_of(key.key.hash, static_cast<uint32_t>(shards_.size()))].push_back(key);
      continue;
    }
    if (row.family == Family::kMeta) {
      set_->erase(Family::kMeta, row.key);
      continue;
    }
    Status status;
    std::string value, out;
    if (!store_.get(row.family, row.key, value, status)) {
      if (!status.ok()) return status;
      continue;
    }
    uint64_t number;
    OutKind kind;
    ChangeId id;
    DeadKey dead;
    if (row.family == Family::kOutbox) {
      const auto without_names = [this](const OutRow& record, std::string& payload) {
        return forget_row(record.kind, record.id, record.payload, *erased_, payload);
      };
      if (!keys::parse_number(row.key, number) || number < outbox_from ||
          !change_out_rows(row.key, value, without_names, out))
        continue;
      set_->put(Family::kOutbox, row.key, out);
    } else if (keys::parse_change(row.key, kind, id)) {
      if (id.tick.slot < progress_.changes_from || !forget_row(static_cast<uint8_t>(kind), id, value, *erased_, out))
        continue;
      set_->put(Family::kViews, row.key, out);
      // The topic's last word on this key shall be without the name too. Other kinds go by their key's tombstone.
      if (kind == OutKind::kAlert && options_.outbox)
        out_rows_.add(progress_.outbox_next++, static_cast<uint8_t>(kind), id, out, *set_);
    } else if (keys::parse_dead(row.key, dead)) {
      DeadLetterRow letter;
      if (!dead_keys_.contains(dead) || !forget_row(kOutDeadLetter, {}, value, *erased_, out) || !decode(out, letter))
        continue;
      set_->put(Family::kViews, row.key, out);
      if (options_.outbox)
        out_rows_.add(progress_.outbox_next++, kOutTombstone, {dead.tick, {}, 0},
                      encode_tombstone(".deadletters", dead_letter_id(letter)), *set_);
    }
  }
  for (size_t s = 0; s < states.size(); ++s) {
    StateCache& cache = shards_[s]->cache();
    std::vector<StateKey> missing = states[s];
    if (Status status = cache.load(missing); !status.ok()) return status;
    for (const StateKey& key : states[s])
      if (CacheSlot* slot = cache.find(key); slot != nullptr && (slot->dirty || !slot->blank)) cache.soil(*slot);
  }
  return {};
}

}  // namespace bellwether

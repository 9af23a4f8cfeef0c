// The only code that knows key bytes. Whole numbers are big-endian; signed ones have their sign bit flipped, so that
// bytes sort as numbers do. Frozen by tests/unit/engine_keys_test.cc.
//
//   state    slice u16, operator u16, kind u8, hash u64
//   ledger   day i32, slice u16, operator u16, kind u8, hash u64, number u32
//   timers   due slot i64, operator u16, kind u8, hash u64
//   views    'C', out kind u8, slot i64, sub u32, operator u16, kind u8, hash u64, sequence u32    changes
//            'D', slot i64, sub u32, topic hash u64, partition i32, offset i64                     dead letters
//            'I', index u8, order u64, kind u8, hash u64                                           lists
//            'B', index u8, order u64, kind u8, part u8                                            boards: the hashes
//                 of that kind in the cell whose upper four bits are the part (members.h)
//   outbox   number u64
//   control  number u64
//   meta     text; 'c', family u16, number u32 is a counter; 'e', user hash u64 is the name of one being erased;
//            'n', index u8, order u64 is how many rows a list has there
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "operators/operator.h"

namespace bellwether {

// The one key of community-wide operators.
constexpr Key kEngineCommunityKey{KeyKind::kCommunity, 0x8000000000000001};

// A state's name, as the cache and timers hold it.
struct StateKey {
  OperatorId op = OperatorId::kNone;
  Key key;
  uint32_t op_kind() const { return static_cast<uint32_t>(op) << 8 | static_cast<uint32_t>(key.kind); }
  static StateKey of(uint32_t op_kind, uint64_t hash) {
    return {static_cast<OperatorId>(op_kind >> 8), {static_cast<KeyKind>(op_kind & 0xff), hash}};
  }
  friend bool operator==(const StateKey&, const StateKey&) = default;
  friend auto operator<=>(const StateKey&, const StateKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const StateKey& k) {
    return H::combine(std::move(h), k.key.hash, k.op_kind());
  }
  // Key hashes are as good as random already: to tell operators apart is all that is left to do.
  struct Hash {
    size_t operator()(const StateKey& k) const { return k.key.hash + k.op_kind() * 0x9E3779B97F4A7C15U; }
  };
};

// In stored order.
struct TimerKey {
  int64_t slot = 0;
  StateKey state;
  friend bool operator==(const TimerKey&, const TimerKey&) = default;
  friend auto operator<=>(const TimerKey&, const TimerKey&) = default;
  struct Hash {
    size_t operator()(const TimerKey& k) const {
      return StateKey::Hash()(k.state) + static_cast<uint64_t>(k.slot) * 0xC2B2AE3D27D4EB4FU;
    }
  };
};
struct IndexKey {
  uint8_t index = 0;  // IndexId + plus
  uint64_t order = 0;
  Key key;
  friend bool operator==(const IndexKey&, const IndexKey&) = default;
  friend auto operator<=>(const IndexKey&, const IndexKey&) = default;
  struct Hash {
    size_t operator()(const IndexKey& k) const {
      return (k.key.hash ^ k.order * 0x9E3779B97F4A7C15U) + k.index * 0xC2B2AE3D27D4EB4FU;
    }
  };
};
// Names an out record for ever.
struct ChangeId {
  TickId tick;
  StateKey sender;
  uint32_t sequence = 0;
  friend bool operator==(const ChangeId&, const ChangeId&) = default;
  friend auto operator<=>(const ChangeId&, const ChangeId&) = default;
};
struct DeadKey {
  TickId tick;
  uint64_t topic_hash = 0;
  int32_t partition = 0;
  int64_t offset = 0;
  friend bool operator==(const DeadKey&, const DeadKey&) = default;
  friend auto operator<=>(const DeadKey&, const DeadKey&) = default;
};

namespace keys {

std::string state(const StateKey& key);
bool parse_state(std::string_view bytes, StateKey& out);

std::string ledger(int64_t day, const StateKey& key, uint32_t number);
std::string ledger_day(int64_t day);  // before every row of the day
bool parse_ledger(std::string_view bytes, int64_t& day, StateKey& key, uint32_t& number);

std::string timer(const TimerKey& key);
std::string timer_slot(int64_t slot);  // before every timer of the slot
bool parse_timer(std::string_view bytes, TimerKey& out);

std::string index(const IndexKey& key);
std::string index_from(uint8_t index, uint64_t order);  // before every row of that order
std::string index_end(uint8_t index);                   // after every row of the list
bool parse_index(std::string_view bytes, IndexKey& out);

// The row of a board that names `key`. A cell stands in 16 rows at most: few, so that a commit changes many users of
// each; more than one, so that what is read for a page of a cell of a million users is not all of it.
constexpr unsigned kPartShift = 60;
std::string members(const IndexKey& key);
std::string members_from(uint8_t index, uint64_t order);  // before every row of that order
std::string members_end(uint8_t index);                   // after every row of the board
// `first`: the lowest that the row may name.
bool parse_members(std::string_view bytes, IndexKey& first);

std::string change(OutKind kind, const ChangeId& id);
std::string change_slot(OutKind kind, int64_t slot);  // before every change of the slot
std::string change_end(OutKind kind);
bool parse_change(std::string_view bytes, OutKind& kind, ChangeId& out);

std::string dead(const DeadKey& key);
std::string dead_begin();
std::string dead_end();
bool parse_dead(std::string_view bytes, DeadKey& out);

std::string number(uint64_t n);  // outbox, control
bool parse_number(std::string_view bytes, uint64_t& out);

std::string counter(CounterId id);
std::string counter_begin();
std::string counter_end();
bool parse_counter(std::string_view bytes, CounterId& out);

std::string list_count(uint8_t index, uint64_t order);
std::string list_count_begin();
std::string list_count_end();
bool parse_list_count(std::string_view bytes, uint8_t& index, uint64_t& order);

std::string erasing(uint64_t user);
std::string erasing_begin();
std::string erasing_end();

constexpr std::string_view kErased = "removed";     // varint: so many of the control log's erasures left no trace
constexpr std::string_view kProgress = "progress";  // see meta.h
constexpr std::string_view kListed = "listed";      // see list_counts.h
constexpr std::string_view kFixed = "fixed";

}  // namespace keys
}  // namespace bellwether

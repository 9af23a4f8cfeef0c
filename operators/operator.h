// What an operator is: a pure fold of a key's items into the key's state. It knows no Kafka, RocksDB, gRPC, clock,
// thread or log. The engine loads a key's state once a round, hands over its items in order, and commits what came of
// it.
//
// Order of a key's items in a round: the timer, then facts, then messages; facts by (time, id hash, id bytes), messages
// by (time, id hash, sending operator, sender, sequence). It depends on nothing else: not on shards, batches or
// arrival.
#pragma once

#include <absl/functional/function_ref.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "config/config.h"
#include "operators/codec.h"
#include "operators/fact.h"
#include "operators/hash.h"
#include "operators/limits.h"

namespace bellwether {

// Stored in keys: never renumber. See operators/registry.cc.
enum class OperatorId : uint16_t {
  kNone = 0,
  kPeople = 1,     // home of users: likes, accounts, judgements about them
  kPosts = 2,      // home of posts
  kReferrals = 3,  // home of referrals
  kReports = 4,    // home of beta reports and enrolments
  kScores = 5,     // what a user earned: buckets, ledger, tier
  kCommunity = 6,  // cut-offs
  kFlags = 7,      // home of flags
  kRings = 9,      // collects the evidence of rings, asks for the block test (D2)
  kBursts = 10,    // bursts on an author (D1)
  kExample = 100,  // operators/README.md
};

// Lists that queries walk in order. Stored: never renumber. Boards of profiles follow kProfileBoards in configured
// order.
enum class IndexId : uint8_t {
  kFlagsByTime = 1,
  kUsersByTier = 2,
  kCapabilityBoards = 16 /* + 0..3 */,
  kProfileBoards = 32 /* + n */
};

// Community-wide sums, kept by the engine: exact, whatever the order of their parts.
struct CounterId {
  uint16_t family = 0;  // CounterFamily
  uint32_t number = 0;
  friend auto operator<=>(const CounterId&, const CounterId&) = default;
};
enum CounterFamily : uint16_t {
  kCounterCells = 1,   // users of a cell on the overall board: number = cell
  kCounterUsers = 2,   // users ever seen
  kCounterPosts = 3,   // posts ever seen
  kCounterRings = 4,   // figures of rings.h (D2): number = epoch * 8 + field
  kCounterFlags = 5,   // open flags by kind
  kCounterRated = 6,   // users with a score above nothing
  kCounterPulse = 7,   // likes by ten minutes of event time (D2): number = RingPulse::bucket; kRings drops old ones
  kCounterLikers = 8,  // likes by day (D1): number = day * 2, of young or one-purpose likers day * 2 + 1
};

// The score that a percentile asks for, as cells of the overall board. Sent out at the first tick of an event hour, in
// force from the next tick until the next sending.
struct Cutoffs {
  uint32_t version = 0;            // 0: none sent yet, no percentile is asked for
  std::array<uint32_t, 5> cell{};  // by Tier: at least this cell; 0 = everybody
};

struct Item {
  enum class Kind : uint8_t { kTimer, kFact, kMessage };
  Kind kind = Kind::kMessage;
  OperatorId sender = OperatorId::kNone;
  Key sender_key;
  uint32_t sequence = 0;
  int64_t time_us = 0;   // of a timer: when it was due
  uint64_t id_hash = 0;  // of the event that caused it
  const Fact* fact = nullptr;
  std::string_view payload;  // of a message
};

// What became of a fact at its home. The engine turns kApplied into late where its tick says so.
enum class Outcome : uint8_t { kApplied, kDuplicate, kCollision };

enum class OutKind : uint8_t { kScore = 1, kTier = 2, kFlag = 3, kAlert = 4 };

// What a fold may read besides its state and items, and what it may do. Implemented by the engine, and by tests.
class Context {
 public:
  virtual ~Context() = default;
  virtual TickId tick() const = 0;
  int64_t now_us() const { return tick().slot * kSlotUs; }  // the start of the tick's slot
  virtual const Hasher& hasher() const = 0;
  // The community's rules in force at this tick, and the number of their version (0, 1, …; numbers are kept in states).
  virtual const CommunityConfig& community() const = 0;
  virtual uint16_t community_number() const = 0;
  virtual const CommunityConfig& community(uint16_t number) const = 0;
  virtual const Cutoffs& cutoffs() const = 0;
  // A community-wide sum as of the tick before.
  virtual int64_t counter(CounterId id) const = 0;
  // All sums of a family that are not 0, as of the tick before, by ascending number. For hourly operators: it walks the
  // family.
  virtual void counters(uint16_t family, absl::FunctionRef<void(uint32_t number, int64_t value)> each) const = 0;

  // Says what became of the fact being folded; once for each fact.
  virtual void outcome(Outcome outcome) = 0;
  // A message to another key, folded in the next round of this tick; `time_us` and `id_hash` are those of the event
  // behind it.
  virtual void send(OperatorId to, Key key, int64_t time_us, uint64_t id_hash, std::string_view payload) = 0;
  // Asks for a timer item at the first tick at or after `at_us`. One a key: an earlier one already set stays, and a
  // fold must bear being woken early. After it fired none is set.
  virtual void wake_at(int64_t at_us) = 0;
  // When that will be: the begin of a slot; INT64_MAX: no timer is set.
  virtual int64_t wakes_us() const = 0;
  virtual void count(CounterId id, int64_t delta) = 0;
  // Puts the key into a list, or takes it out, at a place in its order (smallest first).
  virtual void index(IndexId index, uint8_t plus, uint64_t order, bool present) = 0;
  // Immutable rows of this key in the ledger: written once, read back, never changed. They expire by `day`.
  virtual void write_block(int64_t day, uint32_t number, std::string_view bytes) = 0;
  virtual std::string read_block(int64_t day, uint32_t number) = 0;
  // A record for the out topics and the watchers; its id is (tick, operator, key, sequence).
  virtual void emit(OutKind kind, std::string_view payload) = 0;
  // False where nobody would read a record of this kind: then it need not be made. No state may depend on it.
  virtual bool wanted(OutKind) const { return true; }
  // kCommunity only: new cut-offs from the next tick on; users between the old and the new lines are sent kRecheck
  // (messages.h).
  virtual void broadcast(const Cutoffs& cutoffs) = 0;
  // kRings only: runs the block test over `input` and the ledger up to this tick; the result comes back as a message to
  // this key one minute of event time on (DESIGN.md, analyses). One at a time.
  virtual void analyse(std::string_view input) = 0;
};

class Erased;  // operators/erased.h

class State {
 public:
  virtual ~State() = default;
  virtual void encode(std::string& out) const = 0;  // first byte: version; nothing written: the row is removed
  virtual size_t memory() const = 0;                // bytes held beside sizeof, about; counted against the cache
  // Whether encode() writes nothing.
  virtual bool blank() const {
    std::string bytes;
    encode(bytes);
    return bytes.empty();
  }
  // Takes out the names of the erased (operators/erased.h), so that the state of `key` reads as if it had never known
  // them. Called for every state that is read or held once anybody is erased. True where it changed something.
  virtual bool forget(Key /*key*/, const Erased& /*erased*/) { return false; }
  // Whether a record that it emitted may name this user, so that it should say it anew once they are erased.
  virtual bool names(uint64_t /*user*/) const { return false; }
  // Whether decode() of its bytes alone brings it back as it is: without reading blocks of the ledger again.
  virtual bool whole() const { return true; }
  // Has the processor fetch what the next fold will read first outside of the object itself. A hint.
  virtual void fetch_ahead() const {}
  // The same of what folding this fact will look for in it: the places first, then what stands there.
  virtual void fetch_places(const Fact&) const {}
  virtual void fetch_found(const Fact&) const {}
};

// Where a user stands on the boards: for lists of users that are kept from one commit to the next.
struct BoardEntry {
  uint64_t user = 0;
  std::array<uint32_t, kBoardsMax> cells{};  // by board: capabilities, then profiles; 0: on none
  std::array<uint128, kCapabilities> s{};    // sums over base block `base` (score_book.h)
  int64_t base = 0;
};
struct BoardContext {
  int64_t now_us = 0;
  uint16_t number = 0;  // of the community's version
  const CommunityConfig& community;
  std::function<const CommunityConfig&(uint16_t number)> rules;
};

class StateReader;  // operators/state_reader.h

// What a line of `dump` may depend on besides the state: everything as of the committed tick.
struct DumpContext {
  int64_t now_us = 0;
  const CommunityConfig& community;
  const Cutoffs& cutoffs;
  StateReader& reader;                                           // other keys' states
  std::function<const CommunityConfig&(uint16_t number)> rules;  // the community's versions by number
};

class Operator {
 public:
  virtual ~Operator() = default;
  virtual OperatorId id() const = 0;
  virtual const char* name() const = 0;  // for metrics and documents
  virtual KeyKind key_kind() const = 0;
  virtual bool hourly() const {
    return false;
  }                                        // community operators: gets a timer item at the first tick of an event hour
  virtual size_t state_bytes() const = 0;  // of a state's object itself, without what State::memory() tells
  // `bytes` empty: a new key. A broken encoding gives null.
  virtual std::unique_ptr<State> decode(std::string_view bytes) const = 0;
  virtual void fold(State& state, Key key, std::span<const Item> items, Context& context) const = 0;
  // Fills the entry of a state that the boards hold. False: it is none of those.
  virtual bool board_entry(const State&, Key, const BoardContext&, BoardEntry&) const { return false; }
  // The key's line of `dump`: one JSON object without a line end, its members in a fixed order. False: it has none.
  virtual bool dump(const State&, Key, const DumpContext&, std::string& /*json_line*/) const { return false; }
};

// Most operators: one struct S derived from State with `bool decode(std::string_view)`, and a fold over it.
template <class S>
class OperatorOf : public Operator {
 public:
  size_t state_bytes() const final { return sizeof(S); }
  std::unique_ptr<State> decode(std::string_view bytes) const override {
    auto state = std::make_unique<S>();
    if (!bytes.empty() && !state->decode(bytes)) return nullptr;
    return state;
  }
  void fold(State& state, Key key, std::span<const Item> items, Context& context) const final {
    fold_key(static_cast<S&>(state), key, items, context);
  }
  virtual void fold_key(S& state, Key key, std::span<const Item> items, Context& context) const = 0;
};

// The operator that is home to a kind of key: facts of that home go there.
OperatorId home_operator(KeyKind kind);

}  // namespace bellwether

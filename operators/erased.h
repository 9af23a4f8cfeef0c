// People who asked to be forgotten, and what forgetting them means.
//
// An Erasure{subject} takes effect at the start of the tick that holds it, for everything from there on and for
// everything that is stored: wherever the person's id stood, erased_name() of its keyed hash stands. Nothing else
// changes. Order, halving, shards and matching go by the hash, so what they gave to others keeps its worth, others'
// scores stay to the micro-point, and a state that knew the erasure from its first record on is, but for names, the
// state that learnt it later; and names are gone from both. That equality is tested (tests/unit/erasure_test.cc).
//
// - Their own scores, tier and rows stay under the hash (others' percentiles count on them), without the portrait's
//   hours, acts, channels and topics. Days active stay: tiers ask for them.
// - Of an event of theirs the device, network and campaign are dropped, the channel reads kErasedChannel.
// - Free text (reason of a hold or verdict, evidence of a link) goes where it is about them, by them, or holds their id
//   as a word of its own. Dead letters lose their bytes where these hold it anywhere; an id of less than four bytes
//   stands in too much by chance, and is looked for as a word there too.
// - If they come back, their events count under the hash; the name stays erased.
// - The texts of erased_name() are reserved: as an id each stands for the hash that it spells (Hasher), so that a
//   record that was rewritten is folded as the one before it. Whoever sends such an id names no one else: where the
//   hash has a name, the mismatch drops the record as id_collision.
// - Ids of posts, referrals and reports are no names; one that is made of a person's id keeps it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "operators/fact.h"
#include "operators/hash.h"

namespace bellwether {

constexpr std::string_view kErasedChannel = "erased";

// Who is erased. Only grows; a copy shares the names, so a view into one lives as long as any copy does.
class Erased {
 public:
  // `hasher` must outlive it.
  explicit Erased(const Hasher& hasher) : hasher_(&hasher) {}

  bool empty() const { return names_.empty(); }
  size_t size() const { return names_.size(); }
  // What stands for the user's id; null where they are not erased.
  const std::string* name(uint64_t user) const {
    if (names_.empty()) return nullptr;
    const auto it = names_.find(user);
    return it == names_.end() ? nullptr : it->second.get();
  }
  // False where they were erased before. `id_bytes`: how long the id was, by which texts are searched; 0: not known.
  bool add(uint64_t user, size_t id_bytes);
  // Whether an erased id stands in a text of people; the hash alone tells.
  bool in(std::string_view text) const { return find(text, 0, Where::kText).bytes != 0; }
  // Whether one stands among bytes of any kind.
  bool in_bytes(std::string_view bytes) const { return find(bytes, 0, Where::kBytes).bytes != 0; }
  // The text with erased_name() in place of each.
  std::string without(std::string_view text) const;

 private:
  struct Found {
    size_t at = 0, bytes = 0;
    const std::string* name = nullptr;
  };
  enum class Where : uint8_t { kText, kBytes };
  Found find(std::string_view text, size_t from, Where where) const;

  const Hasher* hasher_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<const std::string>> names_;
  uint64_t lengths_ = 0;  // bit n - 1: an id of n bytes
};

// Makes the fact name nobody who is erased. True where it did.
bool forget(Fact& fact, const Erased& erased);

}  // namespace bellwether

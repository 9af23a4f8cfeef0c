// The home of users: what they do to others' posts (likes, shares, follows, views) and what is said of their accounts.
// Here, and nowhere else, is decided whether a like is a duplicate, what it takes back, and how often it is halved;
// from here credit goes to the post and on to its author. A flag's discount of a member's likes is folded here too:
// what a like is worth is always a function of the book's entries and the open discounts, so ending a flag restores
// exactly.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operators/like_book.h"
#include "operators/operator.h"
#include "operators/portrait.h"
#include "operators/purpose.h"
#include "operators/rings.h"
#include "operators/seen.h"

namespace bellwether {

// What answers show of a user. It stands at the front of the row, so that it is read without the rest, which of a key
// user is ten times as much.
struct PeopleShown {
  std::string id;
  int64_t first_seen_us = INT64_MAX;  // earliest event time of theirs
  int64_t registered_us = 0;          // 0: not said
  bool closed = false;
  uint64_t followers = 0;
  Tier held = Tier::kUnspecified;  // by a staff hold; shown beside the computed tier
  int64_t held_until_us = 0;       // 0: until released
  std::string held_reason;
  Portrait portrait;
  LikeBook book;  // read by itself: the open block, unless blocks are added

  // Of a row of PeopleState, all of whose versions are known.
  bool decode_front(std::string_view row);
  // As State::forget().
  bool forget_names(Key key, const Erased& erased);

 protected:
  // Up to the portrait; and all of the front, as it is since version 3. `rules_told`: null where there is none.
  void write_start(Writer& w, uint8_t bits, uint16_t rules_told) const;
  void read_start(Reader& r, uint8_t& bits, uint16_t* rules_told);
  bool read_front(Reader& r, uint8_t& bits, uint16_t& rules_told);
};

// Bound: the book's and that of `seen` (operators/like_book.h, seen.h), RingLimits::kUserBytes, the portrait's.
struct PeopleState final : State, PeopleShown {
  static constexpr uint8_t kVersion = 4;
  SeenBlocks seen;          // ids of events that are not in the book
  bool tells_days = false;  // their score asked for their days: each new one is told (MessageKind::kWantDays)
  uint16_t rules_told = 0;  // community version at the last day told: under new rules their score is looked at anew
  CoLikers co_likers;
  Purpose purpose;
  // Changes of likes that a flag or an expiry brought, still to be told: a fold sends few messages, what is left goes
  // on in the next round. Bound: one a like in the book. They are sums of differences, so what is folded meanwhile does
  // not disturb them.
  struct Telling {
    OperatorId to = OperatorId::kNone;
    Key key;
    int64_t time_us = 0;
    uint64_t id_hash = 0;
    std::string payload;
  };
  std::vector<Telling> telling;

  bool decode(std::string_view bytes);
  void encode(std::string& out) const override;
  size_t memory() const override;
  bool forget(Key key, const Erased& erased) override { return forget_names(key, erased); }
  bool blank() const override { return false; }
  bool whole() const override { return book.blocks().empty() && seen.blocks().empty(); }
  void fetch_ahead() const override { book.fetch_ahead(), portrait.fetch_ahead(), co_likers.fetch_ahead(); }
  void fetch_places(const Fact& fact) const override;
  void fetch_found(const Fact& fact) const override;

 private:
  bool decode_before_3(uint8_t version, Reader& r);
  bool read_co_likers(Reader& r);
  bool read_telling(Reader& r);
};

const Operator& people_operator();

// The community-wide figures that ring statistics need, of the epoch of `now_s` and the one before, as of the tick
// before.
RingFigures ring_figures(uint32_t now_s, const Context& context);

}  // namespace bellwether

// Random event streams for the model test, as plain structs: everything that scores, and everything that should not.
// One seed makes one stream, on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operators/fact.h"

namespace bellwether::model {

// splitmix64: small, and nobody else's.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  template <class T>
  const T& of(const std::vector<T>& all) {
    return all[static_cast<size_t>(below(static_cast<int64_t>(all.size())))];
  }

 private:
  uint64_t state_;
};

enum class What : uint8_t { kBroken, kLike, kPost, kReferral, kBeta, kAccount, kRating, kVerdict };

// One record of the log. Fields of other kinds of event than `what` stay empty.
struct Event {
  What what = What::kBroken;
  std::string id, user;
  int64_t time_us = 0;
  // kLike; `post` and `post_kind` of kPost too
  LikeKind like = LikeKind::kUnspecified;
  bool undo = false;
  std::string post, author;
  PostKind post_kind = PostKind::kUnspecified;
  // kPost
  PostAction action = PostAction::kUnspecified;
  std::string parent, parent_author;
  // kReferral
  std::string referral, referrer, referred;
  ReferralStage stage = ReferralStage::kUnspecified;
  // kBeta
  std::string program, report, tester;
  BetaTestKind beta = BetaTestKind::kUnspecified;
  BetaTestStatus status = BetaTestStatus::kUnspecified;
  uint32_t severity = 0;
  // kAccount
  AccountAction account = AccountAction::kUnspecified;
  std::string name;
  int64_t expires_us = 0;  // 0: never
  bool revoked = false;
  // kRating
  std::string subject;
  // kVerdict
  std::string flag;
  Decision decision = Decision::kUnspecified;
};

// The record's bytes: protobuf, or something that cannot be decoded.
std::string wire(const Event& event);
// A line for people, to put a failing case into a test by hand.
std::string text(const Event& event);

struct StreamOptions {
  uint64_t seed = 1;
  int64_t days = 30;
  int users = 40, posts = 60, events = 1500;
  bool broken = true;    // records that cannot be decoded, and events far too late
  bool disorder = true;  // records out of order, within the lateness and beyond it
};
constexpr int64_t kFirstDay = 19'700;  // of every stream: 2023-12-09
// In the order of the log.
std::vector<Event> make_stream(const StreamOptions& options);

}  // namespace bellwether::model

// Writes the simulated community's events: names for its numbers, one JSON line an event.
#pragma once

#include <cstdint>
#include <string>

#include "operators/fact.h"
#include "pipeline/tools/lines.h"
#include "pipeline/tools/sim_community.h"

namespace bellwether {

class SimOutput {
 public:
  SimOutput(SimCommunity& community, uint64_t seed) : community_(community), seed_(seed) {}
  Status open(const std::string& path) { return out_.open(path); }
  Status finish() { return status_.ok() ? status_ = out_.finish() : status_; }
  const Status& status() const { return status_; }
  uint64_t events() const { return events_; }
  uint64_t likes() const { return likes_; }
  // Names are shuffled over all accounts there will ever be: when one was made does not show in its name. Set before
  // the first event.
  void total_users(uint64_t total);

  std::string user_name(uint32_t user) const;
  static std::string post_name(uint64_t post) { return "p" + std::to_string(post); }
  std::string last_event_name() const { return "e" + std::to_string(events_); }

  void like(int64_t time_us, uint32_t user, uint64_t post, uint32_t author, PostKind post_kind, LikeKind kind,
            bool undo = false);
  void follow(int64_t time_us, uint32_t user, uint32_t author);
  // The post's own record, by its author.
  void publish(uint64_t number, uint32_t parent_author, uint32_t length, int32_t sentiment);
  // Somebody else's act on a post: accepted, featured, answered …
  void judge(int64_t time_us, uint32_t user, uint64_t post, uint32_t author, PostKind kind, PostAction action);
  void account(int64_t time_us, uint32_t user, AccountAction action, const std::string& name = {});
  void referral(int64_t time_us, uint32_t user, uint64_t referral, uint32_t referrer, uint32_t referred,
                ReferralStage stage, int64_t amount_micros = 0);
  struct Beta {
    uint32_t program = 0;
    uint64_t report = 0;  // 0: none
    BetaTestKind kind = BetaTestKind::kSession;
    BetaTestStatus status = BetaTestStatus::kUnspecified;
    uint32_t severity = 0, minutes = 0;
    bool reproducible = false;
    Prompt prompt = Prompt::kUnspecified;
    uint32_t tester = kNoUser;  // when `user` is staff
  };
  void beta(int64_t time_us, uint32_t user, const Beta& beta);

 private:
  void write(int64_t time_us, uint32_t user, const Body& body, bool with_origin);

  SimCommunity& community_;
  uint64_t seed_;
  LineWriter out_;
  Status status_;
  std::string line_, id_;
  uint64_t events_ = 0, likes_ = 0;
  uint64_t total_ = 1, step_ = 1, shift_ = 0;
};

}  // namespace bellwether

// Events made up for measurements, the same for the same seed. Two workloads: likes alone, which are the peers' job,
// and a mix of all kinds.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "bellwether/v1/event.pb.h"
#include "pipeline/tools/random.h"

namespace bellwether::bench {

constexpr int64_t kFirstUs = 1'767'225'600'000'000;  // 2026-01-01T00:00:00Z

// Ranks 0..n-1, rank r with weight (r + 1)^-s: a table of thresholds and second choices (Walker's alias method), so
// that a draw costs the same whatever n is.
class Zipf {
 public:
  Zipf(uint32_t n, double s) : threshold_(n), other_(n) {
    std::vector<double> share(n);
    double sum = 0;
    for (uint32_t r = 0; r < n; ++r) sum += share[r] = std::pow(r + 1.0, -s);
    std::vector<uint32_t> small, large;
    for (uint32_t r = 0; r < n; ++r) {
      share[r] *= n / sum;
      (share[r] < 1 ? small : large).push_back(r);
    }
    while (!small.empty() && !large.empty()) {
      const uint32_t less = small.back(), more = large.back();
      small.pop_back();
      threshold_[less] = share[less], other_[less] = more;
      share[more] -= 1 - share[less];
      if (share[more] < 1) large.pop_back(), small.push_back(more);
    }
    for (const auto* rest : {&small, &large})
      for (const uint32_t r : *rest) threshold_[r] = 1, other_[r] = r;
  }
  uint32_t draw(Random& random) const {
    const auto r = static_cast<uint32_t>(random.below(threshold_.size()));
    return static_cast<double>(random.next() >> 11) * 0x1.0p-53 < threshold_[r] ? r : other_[r];
  }

 private:
  std::vector<double> threshold_;
  std::vector<uint32_t> other_;
};

inline void set_time(v1::Event& e, int64_t time_us) {
  e.mutable_time()->set_seconds(time_us / 1'000'000);
  e.mutable_time()->set_nanos(static_cast<int32_t>(time_us % 1'000'000 * 1000));
}

inline std::string token(uint64_t of) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint64_t z = splitmix64(of), i = 0; i < 16; ++i, z >>= 4) text.push_back(kDigits[z & 15]);
  return text;
}

// The peers' workload: likers by Zipf's law, authors by another, never the same post twice for a pair of them. Repeats
// of a hundredth of the records are the caller's.
class LikeEvents {
 public:
  LikeEvents(uint32_t users, double liker_exponent, double author_exponent)
      : users_(users), likers_(users, liker_exponent), authors_(users, author_exponent) {}
  // The author is the record's key.
  void next(Random& random, uint64_t number, int64_t time_us, v1::Event& e) {
    const uint64_t author = authors_.draw(random);
    uint64_t liker;
    do {  // who is busy is not who is popular: ranks are spread by a fixed factor
      liker = likers_.draw(random) * 2'654'435'761ULL % users_;
    } while (liker == author);
    e.Clear();
    e.set_id("e" + std::to_string(number));
    set_time(e, time_us);
    e.set_user("u" + std::to_string(liker));
    e.mutable_origin()->set_device(token(liker * 2 + random.below(2)));
    e.mutable_origin()->set_network(token(~liker));
    e.mutable_origin()->set_channel("app");
    v1::Like& like = *e.mutable_like();
    const uint64_t pair = author * users_ + liker;
    like.set_author("u" + std::to_string(author));
    like.set_post("p" + std::to_string(author) + "-" + std::to_string(splitmix64(pair) % 20 + likes_[pair]++));
    like.set_kind(v1::LIKE_KIND_LIKE);
  }

 private:
  const uint64_t users_;
  const Zipf likers_, authors_;
  std::unordered_map<uint64_t, uint32_t> likes_;
};

// 60 % likes of every kind, 25 % posts, 5 % referrals, 5 % beta tests, 5 % of the rest.
class MixedEvents {
 public:
  struct Shape {
    double active = 0.8, known = 1.0;  // Zipf exponents: who acts, who is followed
    uint32_t famous_permille = 0;      // of new posts, and so of the likes, are by one author
  };
  explicit MixedEvents(uint32_t users, std::string prefix = "") : MixedEvents(users, std::move(prefix), Shape()) {}
  MixedEvents(uint32_t users, std::string prefix, Shape shape)
      : users_(users),
        prefix_(std::move(prefix)),
        famous_permille_(shape.famous_permille),
        active_(users, shape.active),
        known_(users, shape.known) {}

  void next(Random& random, uint64_t number, int64_t time_us, v1::Event& e) {
    e.Clear();
    e.set_id(prefix_ + "e" + std::to_string(number));
    set_time(e, time_us);
    const uint64_t user = spread(active_.draw(random));
    e.set_user(name(user));
    e.mutable_origin()->set_device(token(user));
    e.mutable_origin()->set_channel(random.below(3) == 0 ? "web" : "app");
    const uint64_t part = random.below(100);
    if (part < 60 && !posts_.empty()) {
      like(random, e);
    } else if (part < 85) {
      post(random, user, e);
    } else if (part < 90) {
      referral(random, user, number, e);
    } else if (part < 95) {
      beta(random, user, number, e);
    } else {
      other(random, e);
    }
  }
  std::string name(uint64_t user) const { return "u" + std::to_string(user); }

 private:
  struct Made {
    uint64_t author;
    v1::PostKind kind;
  };

  uint64_t spread(uint64_t rank) const { return rank * 2'654'435'761ULL % users_; }
  std::string post_name(uint64_t post) const { return prefix_ + "p" + std::to_string(post); }
  // Most likes go to what is new, some to what is old: each doubling of the age as often as the next.
  uint64_t some_post(Random& random) const { return posts_.size() - random.log_uniform(1, posts_.size()); }

  void like(Random& random, v1::Event& e) {
    v1::Like& like = *e.mutable_like();
    const uint64_t kind = random.below(20);
    if (kind == 19) {
      like.set_author(name(known_.draw(random))), like.set_kind(v1::LIKE_KIND_FOLLOW);
      return;
    }
    const uint64_t post = some_post(random);
    like.set_post(post_name(post));
    like.set_author(name(posts_[post].author));
    like.set_post_kind(posts_[post].kind);
    like.set_kind(kind < 15 ? v1::LIKE_KIND_LIKE : kind < 18 ? v1::LIKE_KIND_VIEW : v1::LIKE_KIND_SHARE);
  }
  void post(Random& random, uint64_t user, v1::Event& e) {
    v1::Post& post = *e.mutable_post();
    if (!posts_.empty() && random.below(25) == 0) {  // what staff or the asker say of an older one
      const uint64_t old = some_post(random);
      post.set_post(post_name(old)), post.set_kind(posts_[old].kind), post.set_author(name(posts_[old].author));
      post.set_action(posts_[old].kind == v1::POST_KIND_ANSWER ? v1::POST_ACTION_ACCEPTED
                      : posts_[old].kind == v1::POST_KIND_IDEA ? v1::POST_ACTION_ADOPTED
                                                               : v1::POST_ACTION_FEATURED);
      return;
    }
    if (famous_permille_ > 0 && random.below(1000) < famous_permille_) user = 0, e.set_user(name(user));
    static constexpr v1::PostKind kKinds[] = {v1::POST_KIND_QUESTION, v1::POST_KIND_ANSWER,  v1::POST_KIND_ANSWER,
                                              v1::POST_KIND_COMMENT,  v1::POST_KIND_COMMENT, v1::POST_KIND_COMMENT,
                                              v1::POST_KIND_IDEA,     v1::POST_KIND_ARTICLE};
    const v1::PostKind kind = kKinds[random.below(8)];
    if ((kind == v1::POST_KIND_ANSWER || kind == v1::POST_KIND_COMMENT) && !posts_.empty()) {
      const uint64_t parent = some_post(random);
      post.set_parent(post_name(parent)), post.set_parent_author(name(posts_[parent].author));
    }
    post.set_post(post_name(posts_.size())), post.set_kind(kind), post.set_action(v1::POST_ACTION_PUBLISHED);
    post.add_topics("t" + std::to_string(random.below(50)));
    post.set_length(static_cast<uint32_t>(random.log_uniform(20, 4000)));
    posts_.push_back({user, kind});
  }
  void referral(Random& random, uint64_t user, uint64_t number, v1::Event& e) {
    v1::Referral& referral = *e.mutable_referral();
    // A third of the referrals go a step on, the others are new.
    const bool goes_on = !referrals_.empty() && random.below(3) == 0;
    if (!goes_on) referrals_.push_back({number, user, 0});
    Going& r = goes_on ? referrals_[random.below(referrals_.size())] : referrals_.back();
    static constexpr v1::ReferralStage kStages[] = {v1::REFERRAL_STAGE_INVITED, v1::REFERRAL_STAGE_JOINED,
                                                    v1::REFERRAL_STAGE_ACTIVATED, v1::REFERRAL_STAGE_CONVERTED,
                                                    v1::REFERRAL_STAGE_PROFITABLE};
    referral.set_referral(prefix_ + "r" + std::to_string(r.number));
    referral.set_referrer(name(r.user));
    referral.set_referred(prefix_ + "new" + std::to_string(r.number));
    referral.set_stage(kStages[r.steps < 5 ? r.steps : 4]);
    if (r.steps < 5) ++r.steps;
  }
  void beta(Random& random, uint64_t user, uint64_t number, v1::Event& e) {
    v1::BetaTest& test = *e.mutable_beta_test();
    test.set_program("b" + std::to_string(random.below(20)));
    test.set_status(v1::BETA_TEST_STATUS_SUBMITTED);
    if (random.below(2) == 0) {
      test.set_kind(v1::BETA_TEST_KIND_SESSION), test.set_minutes(1 + static_cast<uint32_t>(random.below(120)));
      return;
    }
    const bool goes_on = !bugs_.empty() && random.below(2) == 0;
    if (!goes_on) bugs_.push_back({number, user, 0});
    const Going& bug = goes_on ? bugs_[random.below(bugs_.size())] : bugs_.back();
    test.set_program("b" + std::to_string(bug.number % 20)),
        test.set_report(prefix_ + "bug" + std::to_string(bug.number));
    test.set_kind(v1::BETA_TEST_KIND_BUG), test.set_severity(1 + static_cast<uint32_t>(bug.number % 5));
    test.set_tester(name(bug.user));
    if (goes_on) test.set_status(v1::BETA_TEST_STATUS_CONFIRMED);
  }
  void other(Random& random, v1::Event& e) {
    switch (random.below(4)) {
      case 0:
        e.mutable_account()->set_action(v1::ACCOUNT_ACTION_FOLLOWERS);
        e.mutable_account()->set_followers(random.log_uniform(1, 100'000));
        break;
      case 1:
        e.mutable_account()->set_action(v1::ACCOUNT_ACTION_EXAM_PASSED);
        e.mutable_account()->set_name("exam" + std::to_string(random.below(30)));
        break;
      case 2:
        e.mutable_feedback()->set_kind(v1::FEEDBACK_KIND_NPS);
        e.mutable_feedback()->set_value(random.between(0, 10));
        break;
      default:
        e.mutable_entitlement_use()->set_right("early-access");
    }
  }

  struct Going {
    uint64_t number, user;
    uint32_t steps;
  };
  const uint64_t users_;
  const std::string prefix_;
  const uint32_t famous_permille_;
  const Zipf active_, known_;
  std::vector<Made> posts_;
  std::vector<Going> referrals_, bugs_;
};

}  // namespace bellwether::bench

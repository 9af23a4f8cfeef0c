// The made-up community of `simulate`: its people, what they have posted of late, and what one of them would look at.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "operators/fact.h"
#include "pipeline/tools/random.h"

namespace bellwether {

constexpr uint32_t kNoUser = UINT32_MAX;
constexpr uint64_t kNoPost = 0;  // posts count from 1

struct SimUser {
  uint32_t rate_ppm = 0;  // sessions a day, in millionths
  int32_t join_day = 0;   // 0: before the beginning; from this day on they are active
  std::array<uint16_t, 3> topics{};
  int8_t zone_hours = 0;  // local time less UTC
  uint8_t talent = 0;     // how good their posts are
  bool writer = false;    // writes much; the others mostly read and like
  bool tester = false;
  bool staff = false;
  bool joined = true;    // false until their REGISTERED event
  bool in_ring = false;  // member or beneficiary of a planted ring
  uint8_t friend_count = 0;
  uint8_t followed = 0;   // bits: idols, then friends
  uint16_t enrolled = 0;  // beta program, from 1
  std::array<uint32_t, 8> friends{};
  std::array<uint32_t, 3> idols{kNoUser, kNoUser, kNoUser};
  uint64_t last_post = kNoPost;  // newest; older ones through SimPost::before
  uint64_t last_like = kNoPost;  // for a change of mind
  uint32_t own_device = 0;
};

struct SimPost {
  int64_t time_us = 0;
  uint32_t author = kNoUser;
  uint16_t topic = 0;
  PostKind kind = PostKind::kUnspecified;
  uint8_t quality = 0;
  bool settled = false;  // question: an answer was accepted
  uint64_t parent = kNoPost;
  uint64_t before = kNoPost;  // the author's post before
};

// Remembers 64-bit keys for one to two periods: whom likes what twice is a rare accident, not a habit of the
// simulation.
class RecentSet {
 public:
  // False if the key was there.
  bool insert(uint64_t key);
  void turn();  // a period is over: forgets what is older than the one before

 private:
  struct Table {
    std::vector<uint64_t> slots = std::vector<uint64_t>(1024);
    size_t used = 0;
    bool has(uint64_t key) const;
    void put(uint64_t key);
  };
  Table now_, before_;
};

class SimCommunity {
 public:
  // Memory: 100 bytes a user, and 50 bytes for each post of the last 30 days.
  SimCommunity(uint32_t users, uint32_t days, Random& random);

  std::vector<SimUser>& users() { return users_; }
  SimUser& user(uint32_t u) { return users_[u]; }
  size_t topics() const { return pools_.size(); }
  static std::string topic_name(uint16_t topic);
  // An account made for a ring: no sessions of its own.
  uint32_t add_puppet(Random& random);
  uint32_t staff(Random& random) const { return static_cast<uint32_t>(random.below(staff_)); }

  // A new post; gives its number.
  uint64_t publish(const SimPost& post);
  // Null when it is older than 30 days.
  SimPost* post(uint64_t number);
  // What `u` looks at now, or kNoPost: something of a friend, of a favourite author, or of the feed of a topic of
  // theirs.
  uint64_t look(uint32_t u, int64_t now_us, Random& random);
  // A question to answer in the user's topics, or kNoPost.
  uint64_t look_for_question(uint32_t u, int64_t now_us, Random& random);
  // The author's newest post that is no comment and not older than `age_us`, or kNoPost.
  uint64_t newest_of(uint32_t author, int64_t now_us, int64_t age_us);
  void forget_before(int64_t time_us);

 private:
  uint64_t feed(uint16_t topic, int64_t now_us, Random& random);
  uint64_t recent_of(uint32_t author, int64_t now_us, Random& random);
  void befriend(uint32_t a, uint32_t b);

  std::vector<SimUser> users_;
  uint32_t staff_ = 0;
  std::deque<SimPost> posts_;
  uint64_t first_post_ = 1;  // number of posts_[0]
  // By topic: the posts of the last week, by time. Copies what choosing needs, so that a search stays in few cache
  // lines.
  struct Shown {
    int64_t time_us;
    uint64_t number;
    int32_t quality;
  };
  struct Pool {
    std::vector<Shown> shown;
    size_t first = 0;  // older ones wait to be erased
  };
  std::vector<Pool> pools_;
};

}  // namespace bellwether

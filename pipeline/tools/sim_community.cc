#include "pipeline/tools/sim_community.h"

#include <algorithm>

#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

constexpr int64_t kFeedUs = 7 * kDayUs;  // older posts are read no more
constexpr std::array<const char*, 24> kTopics = {"camera",  "battery", "display", "audio",    "kernel",  "design",
                                                 "themes",  "network", "privacy", "games",    "fitness", "home",
                                                 "travel",  "photos",  "payment", "keyboard", "updates", "repair",
                                                 "student", "develop", "video",   "music",    "access",  "watch"};

bool has_key(const std::vector<uint64_t>& slots, uint64_t key) {
  const size_t mask = slots.size() - 1;
  for (size_t i = key & mask;; i = (i + 1) & mask) {
    if (slots[i] == key) return true;
    if (slots[i] == 0) return false;
  }
}

}  // namespace

bool RecentSet::Table::has(uint64_t key) const { return has_key(slots, key); }

void RecentSet::Table::put(uint64_t key) {
  if ((used + 1) * 5 > slots.size() * 3) {
    std::vector<uint64_t> old(slots.size() * 2);
    old.swap(slots);
    used = 0;
    for (const uint64_t k : old)
      if (k != 0) put(k);
  }
  const size_t mask = slots.size() - 1;
  size_t i = key & mask;
  while (slots[i] != 0) i = (i + 1) & mask;
  slots[i] = key, ++used;
}

bool RecentSet::insert(uint64_t key) {
  key = splitmix64(key) | 1;
  if (now_.has(key) || before_.has(key)) return false;
  now_.put(key);
  return true;
}

void RecentSet::turn() {
  before_ = std::move(now_);
  now_ = Table();
}

std::string SimCommunity::topic_name(uint16_t topic) {
  std::string name = kTopics[topic % kTopics.size()];
  if (topic >= kTopics.size()) name += "-" + std::to_string(topic / kTopics.size() + 1);
  return name;
}

SimCommunity::SimCommunity(uint32_t users, uint32_t days, Random& random) {
  const size_t topics = std::clamp<size_t>(8 + users / 400, 8, 2000);
  pools_.resize(topics);
  users_.resize(users);
  staff_ = std::clamp<uint32_t>(users / 2000, 1, 200);
  std::vector<std::vector<uint32_t>> crowd(topics);  // by main topic
  const auto any_topic = [&] {                       // half by popularity, half evenly
    return static_cast<uint16_t>(random.below(2) == 0 ? random.below(topics) : random.log_uniform(1, topics) - 1);
  };
  constexpr int8_t kZones[] = {8, 8, 8, 1, 1, 2, 0, -5, -5, -8, 9, 5};
  for (uint32_t u = 0; u < users; ++u) {
    SimUser& s = users_[u];
    // A tenth of a session a day times u^-3/4: the middle user comes once a week, the busiest several times a day.
    const uint32_t rarity = (20U << 16) - log2_q16(1 + random.below((1U << 20) - 1));
    s.rate_ppm =
        static_cast<uint32_t>(std::min<uint64_t>(6'000'000, 100'000 * exp2_q16((10U << 16) + rarity / 4 * 3) >> 10));
    for (uint16_t& t : s.topics) t = any_topic();
    s.zone_hours = kZones[random.below(std::size(kZones))];
    s.talent = static_cast<uint8_t>(random.below(256) * random.below(256) >> 8);
    s.writer = random.below(100) < 35;
    s.tester = random.below(100) < 15;
    s.staff = u < staff_;
    s.own_device = u;
    if (s.staff) s.rate_ppm = std::max<uint32_t>(s.rate_ppm, 500'000);
    if (!s.staff && days > 1 && random.below(100) < 20) {
      s.join_day = static_cast<int32_t>(random.between(0, days - 1));
      s.joined = false;
    }
    crowd[s.topics[0]].push_back(u);
  }
  for (auto& members : crowd) {
    if (members.size() < 2) continue;
    const auto drawn = [&] { return members[random.below(members.size())]; };
    for (const uint32_t u : members)
      for (uint32_t k = random.run(550, 4); k > 0; --k) befriend(u, drawn());
    std::sort(members.begin(), members.end(), [&](uint32_t a, uint32_t b) {
      const uint64_t weight_a =
          static_cast<uint64_t>(users_[a].rate_ppm) * (users_[a].writer ? 4 : 1) * (users_[a].talent + 16);
      const uint64_t weight_b =
          static_cast<uint64_t>(users_[b].rate_ppm) * (users_[b].writer ? 4 : 1) * (users_[b].talent + 16);
      return weight_a != weight_b ? weight_a > weight_b : a < b;
    });
    for (const uint32_t u : members)
      for (uint32_t& idol : users_[u].idols)
        if (const uint32_t a = members[random.log_uniform(1, members.size()) - 1]; a != u) idol = a;
  }
}

void SimCommunity::befriend(uint32_t a, uint32_t b) {
  SimUser &x = users_[a], &y = users_[b];
  if (a == b || x.friend_count == x.friends.size() || y.friend_count == y.friends.size()) return;
  for (uint8_t i = 0; i < x.friend_count; ++i)
    if (x.friends[i] == b) return;
  x.friends[x.friend_count++] = b;
  y.friends[y.friend_count++] = a;
}

uint32_t SimCommunity::add_puppet(Random& random) {
  // Drawn like anybody, so that nothing but what they do tells them apart.
  SimUser s;
  const SimUser& like = users_[random.below(users_.size())];
  s.topics = like.topics, s.zone_hours = like.zone_hours, s.talent = like.talent;
  s.own_device = static_cast<uint32_t>(users_.size());
  s.in_ring = true;
  users_.push_back(s);
  return s.own_device;
}

uint64_t SimCommunity::publish(const SimPost& given) {
  SimPost post = given;
  post.before = users_[post.author].last_post;
  const uint64_t number = first_post_ + posts_.size();
  posts_.push_back(post);
  users_[post.author].last_post = number;
  // A comment is rarely what somebody stops at.
  const int32_t quality = post.kind == PostKind::kComment ? post.quality / 4 : post.quality;
  pools_[post.topic].shown.push_back({post.time_us, number, quality});
  return number;
}

SimPost* SimCommunity::post(uint64_t number) {
  return number >= first_post_ && number < first_post_ + posts_.size() ? &posts_[number - first_post_] : nullptr;
}

void SimCommunity::forget_before(int64_t time_us) {
  const int64_t kept_us = 30 * kDayUs;
  while (!posts_.empty() && posts_.front().time_us < time_us - kept_us) posts_.pop_front(), ++first_post_;
  for (Pool& pool : pools_) {
    while (pool.first < pool.shown.size() && pool.shown[pool.first].time_us < time_us - kFeedUs) ++pool.first;
    if (pool.first < pool.shown.size() / 2) continue;
    pool.shown.erase(pool.shown.begin(), pool.shown.begin() + static_cast<int64_t>(pool.first));
    pool.first = 0;
  }
}

// Three posts met on the way, the best of them read. What is met is mostly some minutes to hours old.
uint64_t SimCommunity::feed(uint16_t topic, int64_t now_us, Random& random) {
  const std::vector<Shown>& shown = pools_[topic].shown;
  const auto begin = shown.begin() + static_cast<int64_t>(pools_[topic].first);
  uint64_t best = kNoPost;
  int32_t best_quality = -1;
  for (int i = 0; i < 3 && begin != shown.end(); ++i) {
    const int64_t age_us = static_cast<int64_t>(random.log_uniform(60, kFeedUs / kSecondUs)) * kSecondUs;
    const auto after =
        std::upper_bound(begin, shown.end(), now_us - age_us, [](int64_t t, const Shown& s) { return t < s.time_us; });
    if (after == begin) continue;
    const Shown& s = *(after - 1);
    if (s.time_us >= now_us - kFeedUs && s.quality > best_quality) best = s.number, best_quality = s.quality;
  }
  return best;
}

uint64_t SimCommunity::recent_of(uint32_t author, int64_t now_us, Random& random) {
  uint64_t number = users_[author].last_post;
  for (uint64_t skip = random.below(3); skip > 0 && post(number) != nullptr; --skip)
    if (post(post(number)->before) != nullptr) number = post(number)->before;
  const SimPost* p = post(number);
  return p != nullptr && p->time_us >= now_us - kFeedUs ? number : kNoPost;
}

uint64_t SimCommunity::look(uint32_t u, int64_t now_us, Random& random) {
  const SimUser& s = users_[u];
  const uint64_t where = random.below(100);
  uint64_t found = kNoPost;
  if (where < 22 && s.friend_count > 0) found = recent_of(s.friends[random.below(s.friend_count)], now_us, random);
  if (where >= 22 && where < 42) {
    const uint32_t idol = s.idols[random.below(s.idols.size())];
    if (idol != kNoUser) found = recent_of(idol, now_us, random);
  }
  if (found != kNoPost) return found;
  const uint64_t which = random.below(100);
  if (which < 6) return feed(static_cast<uint16_t>(random.below(pools_.size())), now_us, random);
  return feed(s.topics[which < 62 ? 0 : which < 86 ? 1 : 2], now_us, random);
}

uint64_t SimCommunity::look_for_question(uint32_t u, int64_t now_us, Random& random) {
  for (int i = 0; i < 6; ++i) {
    const uint64_t number = feed(users_[u].topics[random.below(2)], now_us, random);
    if (number != kNoPost && post(number)->kind == PostKind::kQuestion && post(number)->author != u) return number;
  }
  return kNoPost;
}

uint64_t SimCommunity::newest_of(uint32_t author, int64_t now_us, int64_t age_us) {
  uint64_t number = users_[author].last_post;
  while (const SimPost* p = post(number)) {
    if (p->time_us < now_us - age_us) break;
    if (p->kind != PostKind::kComment) return number;
    number = p->before;
  }
  return kNoPost;
}

}  // namespace bellwether

#include "pipeline/tools/sim_rings.h"

#include <algorithm>

#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

constexpr size_t kPopular = 8192;
constexpr uint32_t kHijackedPpm = 200'000;

// How many of a thousand acts fall into each local hour, summed up.
constexpr uint32_t kHours[24] = {25,  37,  44,  48,  51,  55,  65,  88,  121, 160, 202, 245,
                                 294, 342, 384, 426, 469, 516, 572, 640, 718, 808, 906, 1000};

int64_t hour_of_day(Random& random) {
  const uint64_t r = random.below(1000);
  return std::upper_bound(std::begin(kHours), std::end(kHours), r) - std::begin(kHours);
}

}  // namespace

int64_t waking_moment(const SimUser& user, int64_t from_us, int64_t until_us, Random& random) {
  if (until_us <= from_us) return from_us;
  const int64_t day_us = from_us + static_cast<int64_t>(random.below(static_cast<uint64_t>(until_us - from_us)));
  const int64_t local = hour_of_day(random) * kHourUs + static_cast<int64_t>(random.below(kHourUs));
  const int64_t of_day = (local - user.zone_hours * kHourUs + kDayUs) % kDayUs;
  const int64_t moment = floor_div(day_us, kDayUs) * kDayUs + of_day;
  return moment < from_us || moment >= until_us ? day_us : moment;
}

// A real account that is often enough about for its owner's habits to be worth something to a ring.
uint32_t SimRings::hijack() {
  for (int tries = 0; tries < 1000; ++tries) {
    const uint32_t u = static_cast<uint32_t>(random_.below(people_));
    SimUser& s = community_.user(u);
    if (s.staff || s.in_ring || !s.joined || s.rate_ppm < 150'000) continue;
    s.in_ring = true;
    return u;
  }
  return kNoUser;
}

uint32_t SimRings::honest_author() {
  uint32_t u = 0;
  for (int tries = 0; tries < 1000; ++tries) {
    u = static_cast<uint32_t>(random_.below(people_));
    const SimUser& s = community_.user(u);
    if (!s.staff && !s.in_ring && s.joined && s.writer && s.rate_ppm >= 200'000) break;
  }
  return u;
}

// Half of a ring's own accounts are old ones, half registered within the five days before.
uint32_t SimRings::puppet(int64_t before_us, int64_t begin_us) {
  const uint32_t u = community_.add_puppet(random_);
  if (random_.below(2) == 0) {
    const int64_t from_us = std::max(begin_us, before_us - 5 * kDayUs);
    community_.user(u).joined = false;
    agenda_.add(waking_moment(community_.user(u), from_us, before_us, random_), TaskKind::kJoin, u);
  }
  return u;
}

void SimRings::plant(const std::vector<RingSpec>& specs, int64_t begin_us, int64_t end_us,
                     uint64_t camouflage_millionths) {
  people_ = static_cast<uint32_t>(community_.users().size());
  const int64_t length_us = end_us - begin_us;
  for (size_t r = 0; r < specs.size(); ++r) {
    const RingSpec& spec = specs[r];
    Ring ring;
    ring.name = "ring" + std::to_string(r + 1);
    // The ring begins once the community is running, and its last target ends before the events do.
    const int64_t tempo = std::min(tempo_us(spec.tempo), length_us / 3);
    const int64_t span = std::min(span_us(spec.tempo), length_us * 85 / 100);
    const int64_t slack = length_us * 85 / 100 - span;
    const int64_t first_us = begin_us + length_us * 12 / 100 + static_cast<int64_t>(random_.below(slack + 1));
    const int64_t last_us = std::max(first_us + 1, std::min(first_us + span, end_us) - tempo);

    for (uint32_t m = 0; m < spec.members; ++m) {
      uint32_t member = kNoUser;
      if (random_.chance(kHijackedPpm)) member = hijack();
      ring.members.push_back(member != kNoUser ? member : puppet(first_us, begin_us));
    }
    std::vector<std::pair<uint32_t, bool>> authors;  // and whether the ring owns them
    for (uint32_t a = 0; a < std::max<uint32_t>(2, (spec.targets + 1) / 2); ++a) {
      const bool owned = a % 2 == 0;
      const uint32_t author = owned ? puppet(first_us, begin_us) : honest_author();
      community_.user(author).in_ring = true;
      authors.emplace_back(author, owned);
    }
    for (uint32_t t = 0; t < spec.targets; ++t) {
      const auto [author, owned] = authors[t < authors.size() ? t : random_.below(authors.size())];
      ring.targets.push_back({author, owned});
      const int64_t start_us =
          first_us + static_cast<int64_t>(random_.below(static_cast<uint64_t>(last_us - first_us)));
      if (owned) {
        const int64_t posted_us = start_us - random_.between(kHourUs, 30 * kHourUs);
        agenda_.add(std::max(posted_us, first_us), TaskKind::kRingPublish, author, r, t);
      }
      agenda_.add(start_us, TaskKind::kRingTarget, author, r, t);
      for (const uint32_t member : ring.members) {
        if (!random_.chance(spec.density_ppm)) continue;
        const int64_t when_us = spec.tempo == Tempo::kDrip
                                    ? waking_moment(community_.user(member), start_us + 1, start_us + tempo, random_)
                                    : start_us + 1 + static_cast<int64_t>(random_.below(static_cast<uint64_t>(tempo)));
        agenda_.add(when_us, TaskKind::kRingLike, member, r, t);
        uint64_t hiding =
            camouflage_millionths / 1'000'000 + (random_.chance(camouflage_millionths % 1'000'000) ? 1 : 0);
        for (; hiding > 0; --hiding)
          agenda_.add(waking_moment(community_.user(member), first_us, std::min(first_us + span, end_us), random_),
                      TaskKind::kCamouflage, member);
      }
    }
    rings_.push_back(std::move(ring));
  }
}

Status SimRings::write_labels() {
  for (const Ring& ring : rings_) {
    for (const uint32_t member : ring.members)
      if (Status s = labels_.member(ring.name, output_.user_name(member)); !s.ok()) return s;
    std::vector<uint32_t> authors;
    for (const Target& target : ring.targets) authors.push_back(target.author);
    std::sort(authors.begin(), authors.end());
    authors.erase(std::unique(authors.begin(), authors.end()), authors.end());
    for (const uint32_t author : authors)
      if (Status s = labels_.beneficiary(ring.name, output_.user_name(author)); !s.ok()) return s;
  }
  return Status::fine();
}

void SimRings::make_post(Target& target, int64_t time_us) {
  constexpr PostKind kKinds[] = {PostKind::kArticle, PostKind::kReview, PostKind::kIdea, PostKind::kQuestion};
  const SimUser& author = community_.user(target.author);
  SimPost post;
  post.time_us = time_us, post.author = target.author, post.topic = author.topics[random_.below(3)];
  post.kind = kKinds[random_.below(4)];
  post.quality = static_cast<uint8_t>(author.talent * 3 / 4 + random_.below(64));
  target.post = community_.publish(post);
  target.kind = post.kind;
  output_.publish(target.post, kNoUser, static_cast<uint32_t>(random_.log_uniform(120, 4000)), 0);
}

void SimRings::publish(const Task& task) { make_post(rings_[task.a].targets[task.b], task.time_us); }

void SimRings::begin_target(const Task& task) {
  Ring& ring = rings_[task.a];
  Target& target = ring.targets[task.b];
  if (target.owned && target.post != kNoPost) return;
  const uint64_t number = community_.newest_of(target.author, task.time_us, 14 * kDayUs);
  const bool taken =
      std::any_of(ring.targets.begin(), ring.targets.end(), [&](const Target& t) { return t.post == number; });
  if (number == kNoPost || taken) return make_post(target, task.time_us);
  target.post = number, target.kind = community_.post(number)->kind;
}

void SimRings::like(const Task& task, RecentSet& liked) {
  const Ring& ring = rings_[task.a];
  const Target& target = ring.targets[task.b];
  // A hijacked account may have liked the post by itself.
  if (!liked.insert(static_cast<uint64_t>(task.user) << 32 ^ target.post)) return;
  output_.like(task.time_us, task.user, target.post, target.author, target.kind, LikeKind::kLike);
  if (status_.ok())
    status_ = labels_.like(ring.name, output_.last_event_name(), task.time_us, SimOutput::post_name(target.post));
}

void SimRings::camouflage(const Task& task, RecentSet& liked) {
  for (int tries = 0; tries < 8; ++tries) {
    uint64_t number = popular_.empty() ? kNoPost : popular_[random_.below(popular_.size())];
    if (number == kNoPost) number = community_.look(task.user, task.time_us, random_);
    const SimPost* post = community_.post(number);
    if (post == nullptr || post->author == task.user) continue;
    if (!liked.insert(static_cast<uint64_t>(task.user) << 32 ^ number)) continue;
    return output_.like(task.time_us, task.user, number, post->author, post->kind, LikeKind::kLike);
  }
}

void SimRings::saw_like(uint64_t post) {
  if (popular_.size() < kPopular)
    popular_.push_back(post);
  else
    popular_[popular_at_++ % kPopular] = post;
}

}  // namespace bellwether

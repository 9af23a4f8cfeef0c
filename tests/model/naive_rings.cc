#include "naive_rings.h"

#include <algorithm>
#include <iterator>

#include "naive_share.h"
#include "operators/rings.h"
#include "operators/rings_graph.h"

namespace bellwether {
namespace {

using namespace naive;

constexpr std::array<Nats, 3> kLevels = {kNat * 4, kNat * 5 / 2, kNat * 3 / 2};
constexpr uint32_t kMembersOnTarget = 3;     // below that a target is not looked at
constexpr uint64_t kFirstTargets = 10;       // targets guessed before any is chosen
constexpr uint32_t kTries = 8;               // blocks tried of one component
constexpr size_t kPartShare = 4;             // targets go together if one of so many likers is common
constexpr uint64_t kLeastShareOfMean = 400;  // permille of the members' mean hits that a member must have

struct Target {
  RingTarget at;
  int64_t from_us = 0, to_us = 0;  // the window, both included
  Prob others = 1;                 // how likely a like of a non-member in that window is on this post
  Nats gain = 0;                   // after paying for the window
};

struct Block {
  std::vector<uint64_t> members;  // ascending
  std::vector<Target> targets;    // by post
  Nats score = 0;
  uint32_t odds = 0, density_permille = 0;
};

// How many two ascending lists have in common.
size_t common_of(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  size_t common = 0;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    if (*x == *y) ++common;
    const bool step_x = *x <= *y, step_y = *y <= *x;
    x += step_x, y += step_y;
  }
  return common;
}

class BlockTest {
 public:
  BlockTest(Book& book, const RingInput& input, const RingsConfig& config, const RingBounds& bounds)
      : book_(book), config_(config), bounds_(bounds), pulse_(input.pulse) {
    const RingCounts all = input.figures.over(input.figures.epoch);
    users_ = std::max<uint64_t>(all.users, 2);
    posts_ = std::max<uint64_t>(all.posts, 2);
  }

  // The blocks that alternating from these members comes to. Two rings in one component are told apart, and what one
  // block leaves over is tested again.
  std::vector<Block> run(const std::vector<uint64_t>& members) {
    std::vector<Block> blocks;
    std::vector<std::vector<uint64_t>> waiting = {members};
    for (uint32_t tries = 0; tries < kTries && !waiting.empty(); ++tries) {
      const std::vector<uint64_t> from = std::move(waiting.back());
      waiting.pop_back();
      Block block = settle(from);
      if (block.members.empty()) continue;
      std::vector<uint64_t> first = first_part(block);
      if (first.size() >= config_.members_min && first.size() < block.members.size()) {
        waiting.push_back(minus(from, first));
        waiting.push_back(std::move(first));
        continue;
      }
      if (!passes(block)) continue;
      waiting.push_back(minus(from, block.members));
      if (waiting.back().size() < config_.members_min || waiting.back().size() == from.size()) waiting.pop_back();
      blocks.push_back(std::move(block));
    }
    return blocks;
  }

  bool passes(const Block& b) const {
    return b.members.size() >= config_.members_min && b.targets.size() >= config_.targets_min &&
           nats_to_milli(b.score) > config_.score_min_milli && b.odds >= config_.odds_min &&
           b.density_permille >= config_.density_min_permille;
  }

 private:
  static std::vector<uint64_t> minus(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
    std::vector<uint64_t> rest;
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(rest));
    return rest;
  }

  // The members who hold the targets that go with the best one: targets of another ring have other likers.
  std::vector<uint64_t> first_part(const Block& block) {
    std::vector<std::vector<uint64_t>> on(block.targets.size());
    size_t seed = 0;
    for (size_t t = 0; t < block.targets.size(); ++t) {
      const Target& target = block.targets[t];
      for (const Seen& seen : book_.likers(target.at.post)) {
        const bool within = seen.time_us >= target.from_us && seen.time_us <= target.to_us;
        if (within && holds(block.members, seen.user)) on[t].push_back(seen.user);
      }
      std::sort(on[t].begin(), on[t].end());
    }
    // The target most like the others: the sum of squared Jaccard indices. A target that two rings share is half like
    // each.
    uint64_t best = 0;
    for (size_t t = 0; t < on.size(); ++t) {
      uint64_t sum = 0;
      for (const std::vector<uint64_t>& users : on) {
        const uint64_t common = common_of(users, on[t]),
                       jaccard = common * 1000 / std::max<uint64_t>(users.size() + on[t].size() - common, 1);
        sum += jaccard * jaccard;
      }
      if (sum > best) best = sum, seed = t;
    }
    absl::flat_hash_map<uint64_t, int> balance;  // targets of the first part less those of the other
    bool whole = true;
    for (const std::vector<uint64_t>& users : on) {
      const bool first = common_of(users, on[seed]) * kPartShare >= users.size();
      whole = whole && first;
      for (const uint64_t user : users) balance[user] += first ? 1 : -1;
    }
    if (whole) return block.members;
    std::vector<uint64_t> part;
    for (const uint64_t user : block.members) {
      const auto at = balance.find(user);
      if (at != balance.end() && at->second >= 0) part.push_back(user);
    }
    return part;
  }

  Block settle(std::vector<uint64_t> members) {
    Block block;
    block.members = std::move(members);
    for (uint32_t round = 0; round < Limits::kBlockRounds; ++round) {
      std::vector<Target> targets = choose_targets(block);
      const bool same_targets = same(targets, block.targets);
      block.targets = std::move(targets);
      if (block.targets.size() < config_.targets_min) return {};
      std::vector<uint64_t> chosen = choose_members(block);
      const bool same_members = chosen == block.members;
      block.members = std::move(chosen);
      if (block.members.size() < config_.members_min) return {};
      if (same_targets && same_members) break;
    }
    judge(block);
    return block;
  }

  static bool same(const std::vector<Target>& a, const std::vector<Target>& b) {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](const Target& x, const Target& y) { return x.at == y.at; });
  }

  std::vector<Target> choose_targets(const Block& block) {
    struct Count {
      uint32_t likes = 0;
      uint64_t author = 0;
    };
    absl::flat_hash_map<uint64_t, Count> counts;
    for (const uint64_t user : block.members) {
      for (const RingLike& like : book_.likes(user)) {
        Count& c = counts[like.post];
        ++c.likes, c.author = like.author;
      }
    }
    std::vector<std::pair<int64_t, RingTarget>> by_likes;
    for (const auto& [post, c] : counts)
      if (c.likes >= kMembersOnTarget) by_likes.push_back({-int64_t{c.likes}, {post, c.author}});
    if (by_likes.size() < config_.targets_min) return {};
    std::sort(by_likes.begin(), by_likes.end());
    std::vector<RingTarget> candidates;
    for (const auto& row : by_likes)
      if (candidates.size() < bounds_.candidates) candidates.push_back(row.second);
    std::sort(candidates.begin(), candidates.end());

    const uint64_t before = block.targets.empty() ? kFirstTargets : block.targets.size();
    const Nats choice = ln_ratio(std::max(posts_, before), before) + kNat;
    std::vector<uint64_t> chosen;
    for (const Target& t : block.targets) chosen.push_back(t.at.post);
    Share share(book_, pulse_, block.members, chosen);
    std::vector<Target> targets;
    const auto choose = [&] {
      targets.clear();
      for (const RingTarget& candidate : candidates) {
        const Target t = best_window(candidate, block.members, share);
        if (t.gain > choice) targets.push_back(t);
      }
    };
    // The first view alone can only say too much: whom it does not convince needs no closer look.
    choose();
    if (targets.size() < config_.targets_min) return {};
    // Before there are targets all candidates are left out of the second view.
    std::vector<uint64_t> left_out = chosen;
    if (left_out.empty()) {
      for (const RingTarget& t : candidates) left_out.push_back(t.post);
    }
    share.look_closer(left_out, bounds_.closer_posts);
    candidates.clear();
    for (const Target& t : targets) candidates.push_back(t.at);
    choose();
    std::stable_sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) { return a.gain > b.gain; });
    if (const size_t most = std::max(bounds_.targets, config_.targets_min); targets.size() > most) targets.resize(most);
    std::sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) { return a.at < b.at; });
    return targets;
  }

  Target best_window(const RingTarget& target, const std::vector<uint64_t>& members, const Share& share) {
    const std::vector<Seen>& likers = book_.likers(target.post);
    const int64_t birth = book_.birth_us(target.post);
    std::vector<char> member(likers.size());
    std::vector<int64_t> all_times(likers.size()), members_times;
    for (size_t i = 0; i < likers.size(); ++i) {
      member[i] = holds(members, likers[i].user);
      all_times[i] = likers[i].time_us;
      if (member[i] != 0) members_times.push_back(likers[i].time_us);
    }
    const Nats cost = ln(Limits::kScales * std::max<uint64_t>(likers.size(), 1));
    Target best{target};
    uint32_t best_x = 0, best_n = 0;
    for (uint32_t s = 0; s < Limits::kScales; ++s) {
      uint32_t x = 0, n = 0;
      for (size_t last = 0, first = 0; last < likers.size(); ++last) {
        x += member[last] != 0, ++n;
        const int64_t to = likers[last].time_us, from = to - int64_t{Limits::kScaleS[s]} * kSecond;
        while (likers[first].time_us < from) x -= member[first] != 0, --n, ++first;
        if (member[last] == 0 || x < kMembersOnTarget) continue;
        // Before the post was there nobody could like it: what went on then says nothing.
        const int64_t start = std::max(from, std::min(birth, likers[first].time_us));
        const Span span = span_of(start, to);
        const Prob share_now = share.in(span, s, target.post, count(all_times, span), count(members_times, span));
        const Nats gain = binomial_llr(x, n, share_now) - cost;
        if (gain > best.gain) best.gain = gain, best.from_us = start, best.to_us = to, best_x = x, best_n = n;
      }
    }
    if (best.gain > 0) {
      const Span span = span_of(best.from_us, best.to_us);
      const uint64_t outside = pulse_.all() - std::min(pulse_.all(), share.members_likes());
      const Prob ever = prob(likers.size() - members_times.size() + 1, outside + 1);
      const uint64_t now = pulse_.likes(span);
      best.others = shrunk(best_n - best_x, now - std::min(now, share.members_likes(span)), ever);
    }
    return best;
  }

  // What a user did on the targets of a block, within their windows, and what was to be expected: for each target their
  // likes in the window (this one too) times its share of the non-members' likes then.
  struct Hits {
    uint32_t hits = 0;
    uint64_t expected_q20 = 0;
  };
  Hits hits_of(uint64_t user, const Block& block) {
    Hits h;
    const std::vector<RingLike>& likes = book_.likes(user);
    const auto before = [](const RingLike& l, int64_t t) { return l.time_us < t; };
    for (const Target& t : block.targets) {
      const Span span = span_of(t.from_us, t.to_us);
      const auto low = std::lower_bound(likes.begin(), likes.end(), span.from_us, before);
      const auto high = std::lower_bound(low, likes.end(), span.to_us, before);
      bool hit = false, on_post = false;
      for (auto l = low; l != high && !hit; ++l) {
        on_post = on_post || l->post == t.at.post;
        hit = l->post == t.at.post && l->time_us >= t.from_us && l->time_us <= t.to_us;
      }
      h.hits += hit;
      const uint64_t tries = static_cast<uint64_t>(high - low) + (on_post ? 0 : 1);
      h.expected_q20 += std::min<uint64_t>(tries * t.others, kProbOne) >> (30 - kNatBits);
    }
    return h;
  }

  std::vector<uint64_t> choose_members(const Block& block) {
    absl::flat_hash_map<uint64_t, uint32_t> all;
    for (const Target& t : block.targets) {
      for (const Seen& seen : book_.likers(t.at.post)) {
        if (seen.time_us >= t.from_us && seen.time_us <= t.to_us) ++all[seen.user];
      }
    }
    const Nats choice = ln_ratio(std::max<uint64_t>(users_, block.members.size()), block.members.size()) + kNat;
    std::vector<std::pair<uint64_t, uint32_t>> convinced;
    uint64_t sum = 0;
    std::vector<std::pair<int64_t, uint64_t>> likers;
    for (const auto& [user, hits] : all)
      if (hits >= 2) likers.push_back({-int64_t{hits}, user});
    std::sort(likers.begin(), likers.end());
    if (likers.size() > bounds_.likers) likers.resize(bounds_.likers);
    for (const auto& [hits, user] : likers) {
      const Hits h = hits_of(user, block);
      if (poisson_llr(h.hits, h.expected_q20) > choice) convinced.push_back({user, h.hits}), sum += h.hits;
    }
    // Who likes far less of the targets than the others do is a bystander.
    std::vector<uint64_t> chosen;
    for (const auto& [user, hits] : convinced) {
      if (uint64_t{hits} * convinced.size() * 1000 >= sum * kLeastShareOfMean) chosen.push_back(user);
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
  }

  void judge(Block& block) {
    const size_t m = block.members.size(), n = block.targets.size();
    uint64_t hits = 0, expected_q20 = 0;
    Nats by_target = 0, by_member = 0;
    for (const uint64_t user : block.members) {
      const Hits h = hits_of(user, block);
      hits += h.hits, expected_q20 += h.expected_q20;
      by_member += poisson_llr(h.hits, h.expected_q20);
    }
    for (const Target& t : block.targets) by_target += t.gain;
    const uint64_t cells = m * n;
    block.density_permille = static_cast<uint32_t>(hits * 1000 / cells);
    // (hit / missed) / (q / (1 - q)); half a cell against division by nothing.
    const uint64_t q = prob(expected_q20, static_cast<uint64_t>(cells) << kNatBits);
    const uint64_t hit = 2 * hits + 1, missed = 2 * (cells - hits) + 1;
    const uint128 odds = static_cast<uint128>(hit) * (kProbOne - q) / (static_cast<uint128>(missed) * q);
    block.odds = static_cast<uint32_t>(std::min<uint128>(odds, UINT32_MAX));
    // Both views must be convinced: the targets that their likes are by members, the members that their likes go to the
    // targets.
    const Nats cost = ln_choose(users_, m) + ln_choose(posts_, n);
    block.score = std::min(by_target, by_member) - cost;
  }

  Book& book_;
  const RingsConfig& config_;
  const RingBounds bounds_;
  const Pulse pulse_;
  uint64_t users_, posts_;
};

RingFinding to_finding(const Block& block, Book& book, const RingsConfig& config) {
  RingFinding f;
  f.members = block.members;
  std::vector<uint64_t> posts;
  for (const Target& t : block.targets) f.targets.push_back(t.at), posts.push_back(t.at.post);
  f.score_milli = nats_to_milli(block.score);
  f.odds = block.odds;
  f.density_permille = block.density_permille;
  const Nats above = std::max<Nats>(block.score - milli_to_nats(config.score_min_milli), 0);
  f.confidence_permille = 1000 - std::max<uint32_t>(exp2_neg_permille(above / 14) / 2, 1);
  for (const uint64_t user : f.members) {
    for (const RingLike& like : book.likes(user)) {
      if (holds(posts, like.post)) f.evidence.push_back(like);
    }
  }
  std::sort(f.evidence.begin(), f.evidence.end());
  return f;
}

// Whom the test starts from: the component, or of a large one the fresh users and those they have most evidence with,
// in groups, until every fresh user was in one. The test itself finds the others of a ring, among the likers of its
// targets.
std::vector<std::vector<uint64_t>> seeds_of(const RingComponent& component, const std::vector<uint64_t>& fresh) {
  if (component.users.size() <= Limits::kSeeds) return {component.users};
  absl::flat_hash_map<uint64_t, Nats> sum;
  for (const RingInput::Edge& e : component.edges) {
    if (holds(fresh, e.a) || holds(fresh, e.b)) sum[e.a] += e.llr, sum[e.b] += e.llr;
  }
  std::vector<std::pair<Nats, uint64_t>> rows;
  for (const auto& [user, s] : sum) rows.push_back({-s, user});
  std::sort(rows.begin(), rows.end());
  size_t last_fresh = 0;  // how many rows there are up to the last fresh user
  for (size_t i = 0; i < rows.size(); ++i)
    if (holds(fresh, rows[i].second)) last_fresh = i + 1;
  std::vector<std::vector<uint64_t>> groups;
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t group = i / Limits::kSeeds;
    if (group >= Limits::kGroups || group * Limits::kSeeds >= last_fresh) break;
    groups.resize(group + 1);
    groups[group].push_back(rows[i].second);
  }
  for (auto& users : groups) std::sort(users.begin(), users.end());
  return groups;
}

}  // namespace

std::vector<RingFinding> find_rings_plainly(const RingInput& input, const LedgerView& ledger, const RingsConfig& config,
                                            const RingBounds& bounds) {
  std::vector<RingFinding> found;
  if (!config.enabled || input.edges.empty()) return found;
  Book book(ledger, input.as_of_us);
  BlockTest test(book, input, config, bounds);
  std::vector<std::vector<uint64_t>> tested;
  for (const Nats level : kLevels) {
    for (const RingComponent& component : ring_components(input.edges, input.fresh, level)) {
      for (const std::vector<uint64_t>& users : seeds_of(component, input.fresh)) {
        if (std::find(tested.begin(), tested.end(), users) != tested.end()) continue;
        tested.push_back(users);
        for (const Block& block : test.run(users)) found.push_back(to_finding(block, book, config));
      }
    }
  }
  std::sort(found.begin(), found.end(), [](const RingFinding& a, const RingFinding& b) {
    return a.score_milli != b.score_milli ? a.score_milli > b.score_milli : a.members < b.members;
  });
  std::vector<RingFinding> distinct;
  for (RingFinding& f : found) {
    if (std::none_of(distinct.begin(), distinct.end(),
                     [&](const RingFinding& d) { return same_ring(d.members, f.members); })) {
      distinct.push_back(std::move(f));
    }
  }
  return distinct;
}

}  // namespace bellwether

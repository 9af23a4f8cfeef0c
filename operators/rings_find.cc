// The block test. For a set of members and each target: in the best window, were more of the target's likes by members
// than members' share of likes on other posts in that window says? For each member: more of the targets than others who
// like targets? Both steps alternate until the block stands still; its score pays for the choice of window, targets and
// members.
#include <absl/container/node_hash_map.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "operators/limits.h"
#include "operators/rings.h"
#include "operators/rings_book.h"
#include "operators/rings_graph.h"
#include "operators/rings_hits.h"
#include "operators/rings_numbers.h"
#include "operators/rings_share.h"

namespace bellwether {
namespace {

using Limits = RingLimits;

constexpr std::array<Nats, 3> kLevels = {kNat * 4, kNat * 5 / 2, kNat * 3 / 2};
constexpr uint32_t kMembersOnTarget = 3;     // below that a target is not looked at
constexpr uint64_t kFirstTargets = 10;       // targets guessed before any is chosen
constexpr uint32_t kTries = 8;               // blocks tried of one component
constexpr size_t kPartShare = 4;             // targets go together if one of so many likers is common
constexpr size_t kStepsKept = 256;           // rounds remembered
constexpr uint64_t kLeastShareOfMean = 400;  // permille of the members' mean hits that a member must have

// Users and posts by their numbers in the book, in the order of their hashes.
using Users = std::vector<uint32_t>;

using Target = BlockTarget;

struct Block {
  Users members;
  std::vector<Target> targets;  // by post
  Nats score = 0;
  uint32_t odds = 0, density_permille = 0;
};

// What one round of the test makes of a set of members and the posts of their targets. Starts that differ by a few
// users soon come to the same sets, so what is known is kept.
struct Step {
  Block block;          // without members: the test ends here, with nothing
  bool judged = false;  // the block's figures are there, and
  Users first;          // first_part() of it
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

// Sets of members, a bit each, in rows of words.
class BitRows {
 public:
  BitRows(size_t rows, size_t bits) : words_((bits + 63) / 64), bits_(rows * words_) {}
  void set(size_t row, size_t bit) { bits_[row * words_ + bit / 64] |= uint64_t{1} << (bit % 64); }
  bool test(size_t row, size_t bit) const { return (bits_[row * words_ + bit / 64] >> (bit % 64) & 1) != 0; }
  uint32_t common(size_t a, size_t b) const {
    uint32_t sum = 0;
    for (size_t w = 0; w < words_; ++w) sum += ones(bits_[a * words_ + w] & bits_[b * words_ + w]);
    return sum;
  }

 private:
  // In line: without a machine's own instruction std::popcount is a call, and most words are sparse.
  static uint32_t ones(uint64_t x) {
    if (x == 0) return 0;
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    return static_cast<uint32_t>(x * 0x0101010101010101u >> 56);
  }
  size_t words_;
  std::vector<uint64_t> bits_;
};

class BlockTest {
 public:
  BlockTest(RingBook& book, const RingInput& input, const RingsConfig& config, const RingBounds& bounds)
      : book_(book), config_(config), bounds_(bounds), share_(book, input.pulse), hits_(book) {
    const RingCounts all = input.figures.over(input.figures.epoch);
    users_ = std::max<uint64_t>(all.users, 2);
    posts_ = std::max<uint64_t>(all.posts, 2);
  }

  // The blocks that alternating from these members comes to. Two rings in one component are told apart, and what one
  // block leaves over is tested again.
  std::vector<Block> run(const std::vector<uint64_t>& members) {
    std::vector<Block> blocks;
    std::vector<Users> waiting(1);
    for (const uint64_t hash : members) waiting[0].push_back(book_.user(hash));
    for (uint32_t tries = 0; tries < kTries && !waiting.empty(); ++tries) {
      const Users from = std::move(waiting.back());
      waiting.pop_back();
      const Step* const step = settle(from);
      if (step == nullptr) continue;
      const Block& block = step->block;
      const Users& first = step->first;
      if (first.size() >= config_.members_min && first.size() < block.members.size()) {
        waiting.push_back(minus(from, first));
        waiting.push_back(first);
        continue;
      }
      if (!passes(block)) continue;
      waiting.push_back(minus(from, block.members));
      if (waiting.back().size() < config_.members_min || waiting.back().size() == from.size()) waiting.pop_back();
      blocks.push_back(block);
    }
    return blocks;
  }

  RingWork work() const { return work_; }

  bool passes(const Block& b) const {
    return b.members.size() >= config_.members_min && b.targets.size() >= config_.targets_min &&
           nats_to_milli(b.score) > config_.score_min_milli && b.odds >= config_.odds_min &&
           b.density_permille >= config_.density_min_permille;
  }

 private:
  bool by_hash(uint32_t a, uint32_t b) const { return book_.user_hash(a) < book_.user_hash(b); }
  // Of more than `most` the first in that order, in any order.
  template <class List, class Before>
  static void keep_first(List& list, size_t most, Before&& before) {
    if (list.size() <= most) return;
    std::nth_element(list.begin(), list.begin() + static_cast<ptrdiff_t>(most), list.end(), before);
    list.erase(list.begin() + static_cast<ptrdiff_t>(most), list.end());
  }
  Users minus(const Users& a, const Users& b) const {
    Users rest;
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(rest),
                        [this](uint32_t x, uint32_t y) { return by_hash(x, y); });
    return rest;
  }

  // Calls each(user) for the post's likers within the target's window.
  template <class Each>
  void in_window(const Target& t, Each&& each) const {
    const RingBook::Rows& rows = book_.rows(t.post);
    const int64_t* const times = book_.row_times();
    const int64_t* const first = std::lower_bound(times + rows.begin, times + rows.end, t.from_us);
    for (const int64_t* at = first; at != times + rows.end && *at <= t.to_us; ++at)
      each(book_.row_user(static_cast<uint32_t>(at - times)));
  }

  // The members who hold the targets that go with the best one: targets of another ring have other likers.
  Users first_part(const Block& block) {
    const size_t targets = block.targets.size(), members = block.members.size();
    BitRows on(targets, members);
    std::vector<uint32_t> sizes(targets, 0);
    place_.resize(book_.users(), 0);
    for (size_t m = 0; m < members; ++m) place_[block.members[m]] = static_cast<uint32_t>(m) + 1;
    for (size_t t = 0; t < targets; ++t) {
      in_window(block.targets[t], [&](uint32_t user) {
        if (place_[user] != 0) on.set(t, place_[user] - 1), ++sizes[t];
      });
    }
    for (const uint32_t user : block.members) place_[user] = 0;
    // The target most like the others: the sum of squared Jaccard indices. A target that two rings share is half like
    // each.
    std::vector<uint64_t> sums(targets, 0);
    for (size_t t = 0; t < targets; ++t) {
      for (size_t u = 0; u <= t; ++u) {
        const uint32_t common = on.common(t, u);
        if (common == 0) continue;
        const uint32_t jaccard = common * 1000 / (sizes[t] + sizes[u] - common);
        sums[t] += jaccard * jaccard;
        if (u != t) sums[u] += jaccard * jaccard;
      }
    }
    size_t seed = 0;
    uint64_t best = 0;
    for (size_t t = 0; t < targets; ++t)
      if (sums[t] > best) best = sums[t], seed = t;
    std::vector<int> balance(members, 0);  // targets of the first part less those of the other
    std::vector<char> known(members, 0);
    bool whole = true;
    for (size_t t = 0; t < targets; ++t) {
      const bool first = on.common(t, seed) * kPartShare >= sizes[t];
      whole = whole && first;
      for (size_t m = 0; m < members; ++m)
        if (on.test(t, m)) balance[m] += first ? 1 : -1, known[m] = 1;
    }
    if (whole) return block.members;
    Users part;
    for (size_t m = 0; m < members; ++m)
      if (known[m] != 0 && balance[m] >= 0) part.push_back(block.members[m]);
    return part;
  }

  // The round with which the block stands still, or the last; null where nothing is left. Until the next call.
  const Step* settle(const Users& members) {
    if (steps_.size() >= kStepsKept) steps_.clear();
    static const Block kNothing;
    const Users* now = &members;
    const std::vector<Target>* targets = &kNothing.targets;
    Step* step = nullptr;
    for (uint32_t round = 0; round < Limits::kBlockRounds; ++round) {
      step = &step_from(*now, *targets);
      if (step->block.members.empty()) return nullptr;
      const bool stands = same(step->block.targets, *targets) && step->block.members == *now;
      now = &step->block.members, targets = &step->block.targets;
      if (stands) break;
    }
    if (!step->judged) {
      judge(step->block);
      step->first = first_part(step->block);
      step->judged = true;
    }
    return step;
  }

  // Depends on the members and on the targets' posts only.
  Step& step_from(const Users& members, const std::vector<Target>& targets) {
    std::pair<Users, std::vector<uint32_t>> from{members, {}};
    for (const Target& t : targets) from.second.push_back(t.post);
    const auto [at, is_new] = steps_.try_emplace(std::move(from));
    Step& step = at->second;
    if (!is_new) return step;
    std::vector<Target> chosen = choose_targets(members, at->first.second);
    if (chosen.size() < config_.targets_min) return step;
    Users users = choose_members(members.size(), chosen);
    if (users.size() < config_.members_min) return step;
    step.block.members = std::move(users), step.block.targets = std::move(chosen);
    return step;
  }

  static bool same(const std::vector<Target>& a, const std::vector<Target>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const Target& x, const Target& y) { return x.post == y.post && x.author == y.author; });
  }

  // The members' targets; `chosen`: the posts of those they had.
  std::vector<Target> choose_targets(const Users& members, const std::vector<uint32_t>& chosen) {
    for (const uint32_t user : members) book_.read_user(user);
    std::vector<RingShare::Liked> posts;
    for (const uint32_t user : members) work_ += book_.likes(user).size();
    for (const RingShare::Liked& liked : share_.begin(members))
      if (liked.likes >= kMembersOnTarget) posts.push_back(liked);
    if (posts.size() < config_.targets_min) return {};
    keep_first(posts, bounds_.candidates, [this](const RingShare::Liked& a, const RingShare::Liked& b) {
      return a.likes != b.likes ? a.likes > b.likes : book_.post_hash(a.post) < book_.post_hash(b.post);
    });
    std::vector<Target> candidates(posts.size());
    for (size_t i = 0; i < posts.size(); ++i)
      candidates[i].post = posts[i].post, candidates[i].author = book_.detail(posts[i].like).author;
    for (const Target& t : candidates) book_.read_post(t.post);
    share_.look(chosen);

    const uint64_t before = chosen.empty() ? kFirstTargets : chosen.size();
    const Nats choice = ln_ratio(std::max(posts_, before), before) + kNat;
    // The first view alone can only say too much: whom it does not convince needs no closer look.
    std::vector<Target> targets;
    choose(candidates, choice, targets);
    if (targets.size() < config_.targets_min) return {};
    // Before there are targets all candidates are left out of the second view.
    std::vector<uint32_t> left_out = chosen;
    if (left_out.empty()) {
      for (const Target& t : candidates) left_out.push_back(t.post);
    }
    share_.look_closer(left_out, bounds_.closer_posts);
    candidates.swap(targets);
    choose(candidates, choice, targets);
    const uint32_t most = std::clamp(bounds_.targets, config_.targets_min, RingHits::kTargetsMax);
    keep_first(targets, most, [this](const Target& a, const Target& b) {
      return a.gain != b.gain ? a.gain > b.gain : book_.post_hash(a.post) < book_.post_hash(b.post);
    });
    std::sort(targets.begin(), targets.end(),
              [this](const Target& a, const Target& b) { return book_.post_hash(a.post) < book_.post_hash(b.post); });
    return targets;
  }

  void choose(const std::vector<Target>& candidates, Nats choice, std::vector<Target>& targets) {
    constexpr size_t kPostsAhead = 16;
    targets.clear();
    for (size_t i = 0; i <= candidates.size(); ++i) {
      // Rows lie all over the book: the next candidate's are on their way while this one's windows are tried.
      if (i + kPostsAhead < candidates.size()) book_.expect_post(candidates[i + kPostsAhead].post);
      if (i < candidates.size()) {
        share_.rows_on(candidates[i].post, next_places_);
        const uint32_t first_row = book_.rows(candidates[i].post).begin;
        for (const uint32_t place : next_places_) book_.expect_row(first_row + place);
      }
      places_.swap(next_places_);
      if (i == 0) continue;
      const Target t = best_window(candidates[i - 1], choice, next_places_);
      if (t.gain > choice) targets.push_back(t);
    }
  }

  // The window with the highest gain, the first of equals; of those that gain more than `choice`: else whatever.
  // `places`: members' rows on the post.
  Target best_window(const Target& target, Nats choice, const std::vector<uint32_t>& places) {
    const RingBook::Rows& rows = book_.rows(target.post);
    const int64_t* const times = book_.row_times() + rows.begin;
    const uint16_t* const buckets = book_.row_buckets() + rows.begin;
    const uint32_t count = rows.count(), members = static_cast<uint32_t>(places.size());
    work_ += count / 64 + Limits::kScales * members;
    const Nats cost = ln(Limits::kScales * std::max<uint64_t>(count, 1));
    const int64_t birth = book_.birth_us(target.post);
    const bool of_block = share_.of_block(target.post);
    Target best = target;
    best.gain = choice;
    uint32_t best_x = 0, best_n = 0;
    for (uint32_t s = 0; s < Limits::kScales; ++s) {
      // The rows, and the members' places among them, of the window and of its whole buckets: all move on only.
      uint32_t first_member = 0, low = 0, high = 0, low_member = 0, high_member = 0;
      for (uint32_t i = 0; i < members; ++i) {
        const uint32_t last = places[i], first = book_.reach(rows.begin + last).begin[s];
        while (places[first_member] < first) ++first_member;
        const uint32_t x = i - first_member + 1, n = last - first + 1;
        if (x < kMembersOnTarget) continue;
        const int64_t to = times[last], from = to - int64_t{Limits::kScaleS[s]} * kSecondUs;
        // Before the post was there nobody could like it: what went on then says nothing.
        const int64_t start = birth <= from ? from : std::min(birth, times[first]);
        const RingSpan span{book_.bucket(start), buckets[last] + 1u};
        if (!of_block) {
          low = first_from(buckets, low, first, span.from);
          high = std::max(high, last + 1);
          while (high < count && buckets[high] < span.to) ++high;
          while (places[low_member] < low) ++low_member;
          while (high_member < members && places[high_member] < high) ++high_member;
        }
        const Prob share_now = share_.in(span, s, of_block, high - low, high_member - low_member);
        const Nats gain = binomial_llr(x, n, share_now) - cost;
        if (gain > best.gain) {
          best.gain = gain, best.from_us = start, best.to_us = to, best.span = span;
          best_x = x, best_n = n;
        }
      }
    }
    if (best.gain > choice) {
      const uint64_t outside = share_.likes() - std::min(share_.likes(), share_.members_likes());
      const Prob ever = prob(count - members + 1, outside + 1);
      const uint64_t now = share_.likes(best.span);
      best.others = ring_share(best_n - best_x, now - std::min<uint64_t>(now, share_.members_likes(best.span)), ever);
    }
    return best;
  }

  // The first of the rows from `low` up to `end` that is not before that bucket, else `end`. Most often it is near.
  static uint32_t first_from(const uint16_t* buckets, uint32_t low, uint32_t end, uint32_t bucket) {
    constexpr uint32_t kNear = 8;
    uint32_t at = end;
    for (uint32_t steps = 0; at > low && buckets[at - 1] >= bucket; --at)
      if (++steps > kNear)
        return static_cast<uint32_t>(std::lower_bound(buckets + low, buckets + at, bucket) - buckets);
    return at;
  }

  // Of the targets' likers; `before`: how many members there were.
  Users choose_members(size_t before, const std::vector<Target>& targets) {
    struct Liker {
      uint32_t user = 0, hits = 0;
    };
    std::vector<Liker> likers;
    place_.resize(book_.users(), 0);
    for (const Target& t : targets) {
      in_window(t, [&](uint32_t user) {
        if (place_[user] == 0) likers.push_back({user, 0}), place_[user] = static_cast<uint32_t>(likers.size());
        ++likers[place_[user] - 1].hits;
      });
    }
    for (const Liker& liker : likers) place_[liker.user] = 0;
    std::erase_if(likers, [](const Liker& liker) { return liker.hits < 2; });
    keep_first(likers, bounds_.likers, [this](const Liker& a, const Liker& b) {
      return a.hits != b.hits ? a.hits > b.hits : by_hash(a.user, b.user);
    });
    const Nats choice = ln_ratio(std::max<uint64_t>(users_, before), before) + kNat;
    hits_.lay_out(targets);
    std::vector<std::pair<uint32_t, uint32_t>> convinced;
    uint64_t sum = 0;
    for (const Liker& liker : likers) {
      book_.read_user(liker.user);
      work_ += book_.likes(liker.user).size() + targets.size();
      if (const uint32_t hits = hits_.convincing(liker.user, choice); hits != 0)
        convinced.push_back({liker.user, hits}), sum += hits;
    }
    // Who likes far less of the targets than the others do is a bystander.
    Users chosen;
    for (const auto& [user, hits] : convinced) {
      if (uint64_t{hits} * convinced.size() * 1000 >= sum * kLeastShareOfMean) chosen.push_back(user);
    }
    std::sort(chosen.begin(), chosen.end(), [this](uint32_t a, uint32_t b) { return by_hash(a, b); });
    return chosen;
  }

  void judge(Block& block) {
    const size_t m = block.members.size(), n = block.targets.size();
    uint64_t hits = 0, expected_q20 = 0;
    Nats by_target = 0, by_member = 0;
    hits_.lay_out(block.targets);
    work_ += m * n;
    for (const uint32_t user : block.members) {
      work_ += book_.likes(user).size();
      const RingHits::Hits h = hits_.of(user);
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

  RingBook& book_;
  const RingsConfig& config_;
  const RingBounds bounds_;
  RingShare share_;
  uint64_t users_, posts_;
  RingWork work_ = 0;
  absl::node_hash_map<std::pair<Users, std::vector<uint32_t>>, Step> steps_;  // by members and targets' posts
  // Kept from call to call.
  std::vector<uint32_t> places_, next_places_, place_;
  RingHits hits_;
};

RingFinding to_finding(const Block& block, const RingBook& book, const RingsConfig& config) {
  RingFinding f;
  std::vector<char> is_target(book.posts(), 0);
  for (const Target& t : block.targets) f.targets.push_back({book.post_hash(t.post), t.author}), is_target[t.post] = 1;
  f.score_milli = nats_to_milli(block.score);
  f.odds = block.odds;
  f.density_permille = block.density_permille;
  const Nats above = std::max<Nats>(block.score - milli_to_nats(config.score_min_milli), 0);
  f.confidence_permille = 1000 - std::max<uint32_t>(exp2_neg_permille(above / 14) / 2, 1);
  for (const uint32_t user : block.members) {
    f.members.push_back(book.user_hash(user));
    const uint32_t first = book.first_like(user);
    const auto likes = book.likes(user);
    for (uint32_t i = 0; i < likes.size(); ++i)
      if (is_target[likes[i].post] != 0) f.evidence.push_back(book.like(first + i));
  }
  std::sort(f.evidence.begin(), f.evidence.end());
  return f;
}

// Whom the test starts from: the component, or of a large one the fresh users and those they have most evidence with,
// in groups, until every fresh user was in one. The test itself finds the others of a ring, among the likers of its
// targets.
std::vector<std::vector<uint64_t>> seeds_of(const RingComponent& component, const RingNumbers& fresh) {
  if (component.users.size() <= Limits::kSeeds) return {component.users};
  RingNumbers numbers;
  std::vector<std::pair<Nats, uint64_t>> rows;  // evidence below 0: the most first
  const auto add = [&](uint64_t user, Nats llr) {
    const uint32_t number = numbers.add(user);
    if (number == rows.size()) rows.push_back({0, user});
    rows[number].first -= llr;
  };
  const auto is_fresh = [&](uint64_t user) { return fresh.find(user) != RingNumbers::kNone; };
  size_t waiting = 0;
  for (const RingInput::Edge& e : component.edges) {
    if (is_fresh(e.a) || is_fresh(e.b)) add(e.a, e.llr), add(e.b, e.llr);
  }
  for (const auto& row : rows) waiting += is_fresh(row.second);
  std::sort(rows.begin(), rows.end());
  std::vector<std::vector<uint64_t>> groups;
  for (size_t i = 0; waiting != 0 && groups.size() < Limits::kGroups; i += Limits::kSeeds) {
    std::vector<uint64_t>& users = groups.emplace_back();
    for (size_t j = i; j < std::min<size_t>(rows.size(), i + Limits::kSeeds); ++j) {
      users.push_back(rows[j].second);
      waiting -= is_fresh(rows[j].second);
    }
    std::sort(users.begin(), users.end());
  }
  return groups;
}

}  // namespace

bool same_ring(const std::vector<uint64_t>& members_a, const std::vector<uint64_t>& members_b) {
  const size_t common = common_of(members_a, members_b);
  return common != 0 && 2 * common >= std::min(members_a.size(), members_b.size());
}

std::vector<RingFinding> find_rings(const RingInput& input, const LedgerView& ledger, const RingsConfig& config,
                                    const RingBounds& bounds, RingWork* work) {
  std::vector<RingFinding> found;
  if (work != nullptr) *work = 0;
  if (!config.enabled || input.edges.empty()) return found;
  RingBook book(ledger, input.as_of_us);
  BlockTest test(book, input, config, bounds);
  RingNumbers fresh;
  for (const uint64_t user : input.fresh) fresh.add(user);
  std::vector<std::vector<uint64_t>> tested;
  for (const Nats level : kLevels) {
    for (const RingComponent& component : ring_components(input.edges, input.fresh, level)) {
      for (std::vector<uint64_t>& users : seeds_of(component, fresh)) {
        if (std::find(tested.begin(), tested.end(), users) != tested.end()) continue;
        for (const Block& block : test.run(users)) found.push_back(to_finding(block, book, config));
        tested.push_back(std::move(users));
      }
    }
  }
  if (work != nullptr) *work = book.work() + test.work();
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

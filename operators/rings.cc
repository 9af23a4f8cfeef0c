#include "operators/rings.h"

#include <algorithm>

#include "operators/rings_graph.h"

namespace bellwether {
namespace {

using Limits = RingLimits;

constexpr uint32_t kNewestNamed = Limits::kNamed / 2;
constexpr Nats kReportMin = kNat * 3 / 4;       // of one direction; half of what an edge needs
constexpr uint16_t kReportStepQ4 = 4;           // a quarter of a nat more than last reported
constexpr uint32_t kStrengthAgeS = 10 * 86400;  // a partner loses a point of strength for so long a silence

uint32_t seconds(int64_t time_us) {
  if (time_us <= 0) return 0;
  return static_cast<uint32_t>(std::min<int64_t>(time_us / 1'000'000, UINT32_MAX));
}
uint32_t gap(uint32_t a, uint32_t b) { return a > b ? a - b : b - a; }

// The same for (a, b) and (b, a), so that a pair once named is named on every target both like.
uint64_t mix_pair(uint64_t a, uint64_t b) {
  uint64_t x = (a ^ b) * 0x9E3779B97F4A7C15u;
  x ^= x >> 32;
  return x * 0xD6E8FEB86659FD93u;
}

// a * b / c in 128 bits, which are rarely needed.
uint64_t scaled(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product / c;
  return static_cast<uint64_t>(static_cast<uint128>(a) * b / c);
}

// `before` becomes what `now` was; both empty if more than an epoch has passed.
template <class T>
void turn_pair(T& now, T& before, uint32_t epochs) {
  before = epochs == 1 ? now : T{};
  now = T{};
}

}  // namespace

void RingCounts::add(const RingCounts& other) {
  likes += other.likes, users += other.users, posts += other.posts;
  for (uint32_t s = 0; s < Limits::kScales; ++s) pairs[s] += other.pairs[s];
}

RingCounts RingFigures::over(uint32_t of_epoch) const {
  RingCounts sum;
  if (of_epoch == epoch) sum.add(counts[1]);
  if (of_epoch == epoch || of_epoch == epoch + 1) sum.add(counts[0]);
  return sum;
}

// --- A post ---

std::optional<PairMessage> TargetLikers::on_like(uint64_t post, uint64_t author, const LikerSeen& seen,
                                                 RingCounts* counts) {
  count_like(seen.time_s, counts);
  const auto leaves = [&](const Held& h) {
    return static_cast<uint64_t>(h.time_s) + Limits::kWindowS < seen.time_s || h.user == seen.user;
  };
  std::erase_if(recent_, leaves);
  std::erase_if(lowest_, leaves);

  std::optional<PairMessage> message;
  const uint32_t held = static_cast<uint32_t>(recent_.size() + lowest_.size());
  if (held != 0) {
    message.emplace();
    message->post = post, message->author = author, message->time_s = seen.time_s, message->held = held;
    const auto name = [&](const Held& h) { message->likers[message->named++] = {h.user, h.time_s, h.degree}; };
    if (held <= Limits::kNamed) {
      for (const Held& h : recent_) name(h);
      for (const Held& h : lowest_) name(h);
    } else {
      // Half are the newest, which is where a burst is; half are drawn by the pair's hash, so that the same pairs meet
      // again.
      std::array<std::pair<uint64_t, const Held*>, Limits::kRecent + Limits::kLowest> drawn;
      uint32_t n = 0;
      const size_t newest = std::min<size_t>(recent_.size(), kNewestNamed);
      for (size_t i = 0; i < recent_.size(); ++i) {
        if (i >= recent_.size() - newest) {
          name(recent_[i]);
        } else {
          drawn[n++] = {mix_pair(seen.user, recent_[i].user), &recent_[i]};
        }
      }
      for (const Held& h : lowest_) drawn[n++] = {mix_pair(seen.user, h.user), &h};
      const uint32_t more = std::min(n, Limits::kNamed - message->named);
      std::nth_element(drawn.begin(), drawn.begin() + more, drawn.begin() + n, [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first < b.first : a.second->user < b.second->user;
      });
      for (uint32_t i = 0; i < more; ++i) name(*drawn[i].second);
    }
    // The receiver's result must not depend on how the selection above ordered them.
    std::sort(message->likers.begin(), message->likers.begin() + message->named,
              [](const auto& a, const auto& b) { return a.user < b.user; });
  }

  if (recent_.size() == Limits::kRecent) {
    const Held out = recent_.front();
    recent_.erase(recent_.begin());
    const auto by_hash = [](const Held& a, const Held& b) { return a.user < b.user; };
    if (lowest_.size() < Limits::kLowest || out.user < lowest_.back().user) {
      if (lowest_.size() == Limits::kLowest) lowest_.pop_back();
      lowest_.insert(std::lower_bound(lowest_.begin(), lowest_.end(), out, by_hash), out);
    }
  }
  recent_.push_back({seen.user, seen.time_s, seen.degree});
  return message;
}

void TargetLikers::count_like(uint32_t time_s, RingCounts* counts) {
  if (likes_ == 0) {
    first_s_ = time_s;
    ++counts->posts;
  }
  if (likes_ != UINT32_MAX) ++likes_;
  first_s_ = std::min(first_s_, time_s);
}

void TargetLikers::on_undo(uint64_t user) {
  const auto same = [&](const Held& h) { return h.user == user; };
  std::erase_if(recent_, same);
  std::erase_if(lowest_, same);
}

bool TargetLikers::idle(uint32_t now_s) const {
  const auto gone = [&](const Held& h) { return static_cast<uint64_t>(h.time_s) + Limits::kWindowS < now_s; };
  return std::all_of(recent_.begin(), recent_.end(), gone) && std::all_of(lowest_.begin(), lowest_.end(), gone);
}

size_t TargetLikers::bytes() const { return sizeof *this + (recent_.capacity() + lowest_.capacity()) * sizeof(Held); }

// --- A user ---

void CoLikers::turn(uint32_t time_s) {
  const uint32_t epoch = time_s / Limits::kEpochS;
  if (epoch <= epoch_) return;  // a late like counts in the epoch that is open
  const uint32_t epochs = epoch_ == 0 ? 2 : epoch - epoch_;
  epoch_ = epoch;
  turn_pair(degree_[0], degree_[1], epochs);
  turn_pair(exposure_[0], exposure_[1], epochs);
  for (Partner& p : partners_) {
    turn_pair(p.now, p.before, epochs);
    p.reported_q4 = 0;
  }
  std::erase_if(partners_, [](const Partner& p) { return p.before[Limits::kScales - 1] == 0; });
}

LikerSeen CoLikers::on_like(uint64_t user, int64_t time_us, RingCounts* counts) {
  const uint32_t time_s = seconds(time_us);
  turn(time_s);
  ++counts->likes;
  if (degree_[0] == 0) ++counts->users;
  if (degree_[0] != UINT32_MAX / 4) ++degree_[0];
  return {user, time_s, degree()};
}

// How weak each partner is as of one message, to find who leaves for a new one: a number each, compared as a whole, so
// that the search is a scan. The weakest has the fewest points, then the oldest co-like, then the lowest hash.
class CoLikers::Weakness {
 public:
  explicit Weakness(uint32_t now_s) : now_s_(now_s) {}
  bool empty() const { return count_ == 0; }
  void fill(const std::vector<Partner>& partners) {
    for (const Partner& p : partners) rank_[count_++] = rank(p);
  }
  size_t weakest() const {
    size_t at = 0;
    for (size_t i = 1; i < count_; ++i) at = rank_[i] < rank_[at] ? i : at;
    return at;
  }
  void set(size_t at, const Partner& p) { rank_[at] = rank(p); }
  // As the partners move when one leaves and another comes in at `to`.
  void move(size_t from, size_t to) {
    if (from < to) std::move(rank_.data() + from + 1, rank_.data() + to + 1, rank_.data() + from);
    if (from > to) std::move_backward(rank_.data() + to, rank_.data() + from, rank_.data() + from + 1);
  }

 private:
  uint64_t rank(const Partner& p) const {
    const int32_t age = now_s_ > p.mine_s ? static_cast<int32_t>((now_s_ - p.mine_s) / kStrengthAgeS) : 0;
    int32_t points = 0;
    for (uint32_t s = 0; s < Limits::kScales; ++s) points += p.now[s] + p.before[s];
    const int32_t strength = ((points - age) << 8) + p.now[Limits::kScales - 1];
    return static_cast<uint64_t>(strength + (1 << 30)) << 32 | p.mine_s;
  }
  const uint32_t now_s_;
  size_t count_ = 0;
  std::array<uint64_t, Limits::kPartners> rank_;
};

std::optional<EdgeReport> CoLikers::on_pairs(uint64_t user, const PairMessage& message,
                                             absl::FunctionRef<RingFigures()> figures, RingCounts* counts) {
  constexpr uint32_t kLast = Limits::kScales - 1;
  turn(message.time_s);
  if (exposure_[0] < UINT32_MAX / 4) exposure_[0] += message.held;
  const uint64_t exposure = uint64_t{exposure_[0]} + exposure_[1];
  std::optional<RingCounts> sums;
  std::optional<EdgeReport> report;
  Weakness weakness(message.time_s);
  size_t at = 0;
  uint64_t last_user = 0;

  for (uint32_t i = 0; i < message.named; ++i) {
    const PairMessage::Liker& other = message.likers[i];
    if (other.user == user) continue;
    const uint32_t apart = gap(message.time_s, other.time_s);
    for (uint32_t s = 0; s < Limits::kScales; ++s) counts->pairs[s] += apart <= Limits::kScaleS[s];

    // Both lists ascend: the search goes on where the last one ended.
    if (other.user < last_user) at = 0;
    last_user = other.user;
    while (at < partners_.size() && partners_[at].user < other.user) ++at;
    const bool known = at < partners_.size() && partners_[at].user == other.user;
    if (!known) {
      Partner fresh;
      fresh.user = other.user;
      if (partners_.size() < Limits::kPartners) {
        partners_.insert(partners_.begin() + static_cast<ptrdiff_t>(at), fresh);
      } else {
        if (weakness.empty()) weakness.fill(partners_);
        const size_t weakest = weakness.weakest();
        // Close the gap of the one who leaves, up to the place of the one who comes.
        Partner* const p = partners_.data();
        if (weakest < at) {
          std::move(p + weakest + 1, p + at, p + weakest);
          --at;
        } else {
          std::move_backward(p + at, p + weakest, p + weakest + 1);
        }
        p[at] = fresh;
        weakness.move(weakest, at);
      }
    }
    Partner& p = partners_[at];
    p.degree = static_cast<uint16_t>(std::min<uint32_t>(other.degree, UINT16_MAX));
    const bool same_episode =
        known && gap(p.mine_s, message.time_s) < Limits::kEpisodeS && gap(p.theirs_s, other.time_s) < Limits::kEpisodeS;
    p.mine_s = message.time_s, p.theirs_s = other.time_s;
    if (!same_episode) {
      for (uint32_t s = 0; s < Limits::kScales; ++s) {
        if (apart <= Limits::kScaleS[s] && p.now[s] != UINT8_MAX) ++p.now[s];
      }
    }
    if (!weakness.empty()) weakness.set(at, p);
    if (same_episode || uint32_t{p.now[kLast]} + p.before[kLast] < 2) continue;

    if (!sums) sums = figures().over(epoch_);
    const RingCounts& all = *sums;
    if (all.likes == 0) continue;
    const uint64_t expected_q20 = scaled(exposure, uint64_t{p.degree} << kNatBits, all.likes);
    Nats llr = 0;
    for (uint32_t s = 0; s < Limits::kScales; ++s) {
      const uint32_t x = uint32_t{p.now[s]} + p.before[s];
      if (x < 2) continue;
      llr = std::max(llr, poisson_llr(x, scaled(expected_q20, all.pairs[s] + 1, all.pairs[kLast] + 1)));
    }
    const uint16_t llr_q4 = static_cast<uint16_t>(std::min<Nats>(llr >> (kNatBits - 4), UINT16_MAX));
    if (llr < kReportMin || llr_q4 < p.reported_q4 + kReportStepQ4) continue;
    p.reported_q4 = llr_q4;
    if (!report) {
      report.emplace();
      report->user = user, report->time_s = message.time_s;
    }
    report->edges[report->count++] = {other.user, llr};
  }
  return report;
}

size_t CoLikers::bytes() const { return sizeof *this + partners_.capacity() * sizeof(Partner); }

// --- The community ---

void RingPulse::add(uint32_t time_s, uint64_t likes) {
  const uint32_t at = bucket(time_s);
  if (likes_.empty()) first_ = at;
  if (at < first_) return;  // older than what is kept
  if (at - first_ >= likes_.size()) {
    if (at - first_ >= likes_.size() + Limits::kBuckets) {
      likes_.clear();
      first_ = at;
    }
    likes_.resize(at - first_ + 1, 0);
  }
  uint32_t& count = likes_[at - first_];
  count = static_cast<uint32_t>(std::min<uint64_t>(count + likes, UINT32_MAX));
  if (likes_.size() > Limits::kBuckets + Limits::kBuckets / 8) {  // not bucket by bucket: a shift costs
    const auto drop = static_cast<ptrdiff_t>(likes_.size() - Limits::kBuckets);
    likes_.erase(likes_.begin(), likes_.begin() + drop);
    first_ += static_cast<uint32_t>(drop);
  }
}

void RingEvidence::credit(uint64_t user, Nats before, Nats after) {
  User& u = users_[user];
  if (before > Limits::kEdgeMin) u.sum -= before - Limits::kEdgeMin, --u.strong;
  if (after > Limits::kEdgeMin) u.sum += after - Limits::kEdgeMin, ++u.strong;
  judge(u);
  if (u.strong == 0) users_.erase(user);
}

void RingEvidence::judge(User& u) {
  // Worth another look once half as much again is known as at the last one, and something at all.
  const bool fresh = u.strong >= Limits::kPartnersMin && u.sum >= u.seen + std::max(Limits::kStepMin, u.seen / 2);
  if (fresh != u.fresh) fresh_ += fresh ? 1 : UINT32_MAX;
  u.fresh = fresh;
}

void RingEvidence::change(const Pair& pair, Nats before, Nats after) {
  if (before <= Limits::kEdgeMin && after <= Limits::kEdgeMin) return;
  credit(pair.first, before, after);
  credit(pair.second, before, after);
}

void RingEvidence::on_report(const EdgeReport& report) {
  for (uint32_t i = 0; i < report.count; ++i) {
    const uint64_t other = report.edges[i].other;
    if (other == report.user) continue;
    const bool lower = report.user < other;
    const Pair pair = lower ? Pair{report.user, other} : Pair{other, report.user};
    Edge& edge = edges_[pair];
    const Nats before = edge.up + edge.down;
    (lower ? edge.up : edge.down) = report.edges[i].llr;
    edge.time_s = std::max(edge.time_s, report.time_s);
    change(pair, before, edge.up + edge.down);
  }
  if (edges_.size() > Limits::kEdges) shrink();
}

void RingEvidence::shrink() {
  struct Row {
    Nats llr;
    uint32_t time_s;
    Pair pair;
    auto operator<=>(const Row&) const = default;
  };
  std::vector<Row> rows;
  rows.reserve(edges_.size());
  for (const auto& [pair, edge] : edges_) rows.push_back({edge.up + edge.down, edge.time_s, pair});
  const size_t drop = rows.size() - Limits::kEdges * 3 / 4;
  std::nth_element(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(drop), rows.end());
  for (size_t i = 0; i < drop; ++i) {
    change(rows[i].pair, rows[i].llr, 0);
    edges_.erase(rows[i].pair);
  }
}

bool RingEvidence::due(int64_t now_us) const {
  if (fresh_ < Limits::kFreshUsers) return false;
  return fresh_ >= Limits::kSoonUsers || seconds(now_us) >= looked_s_ + Limits::kLookS;
}
bool RingEvidence::urgent() const { return fresh_ >= Limits::kUrgentUsers; }

RingInput RingEvidence::take_input(int64_t now_us) {
  const uint32_t now_s = seconds(now_us);
  looked_s_ = now_s;
  std::vector<std::pair<Pair, Edge>> gone;
  for (const auto& [pair, edge] : edges_) {
    if (static_cast<uint64_t>(edge.time_s) + Limits::kEdgeLifeS < now_s) gone.push_back({pair, edge});
  }
  for (const auto& [pair, edge] : gone) {
    change(pair, edge.up + edge.down, 0);
    edges_.erase(pair);
  }

  RingInput input;
  input.as_of_us = now_us;
  for (auto& [user, u] : users_) {
    u.seen = std::min(u.seen, u.sum);
    if (!u.fresh) continue;
    input.fresh.push_back(user);
    u.seen = u.sum;
  }
  // Lower sums may have lowered what was seen: judged as a decoded state would.
  for (auto& [user, u] : users_) u.fresh = false;
  fresh_ = 0;
  for (auto& [user, u] : users_) judge(u);
  std::sort(input.fresh.begin(), input.fresh.end());

  std::vector<RingInput::Edge> all;
  for (const auto& [pair, edge] : edges_) {
    if (edge.up + edge.down > Limits::kEdgeMin) all.push_back({pair.first, pair.second, edge.up + edge.down});
  }
  for (const RingComponent& c : ring_components(all, input.fresh, Limits::kEdgeMin)) {
    input.edges.insert(input.edges.end(), c.edges.begin(), c.edges.end());
  }
  std::sort(input.edges.begin(), input.edges.end(),
            [](const auto& x, const auto& y) { return x.a != y.a ? x.a < y.a : x.b < y.b; });
  return input;
}

}  // namespace bellwether

// Stored bytes of the states and messages of rings.h. Each begins with a version byte.
//   times: varint seconds; users: 8 bytes; evidence: varint nats * 2^20; lists: varint count, then the entries in order
#include <algorithm>

#include "operators/rings.h"

namespace bellwether {
namespace {

using Limits = RingLimits;

constexpr uint8_t kVersion = 1;
constexpr Nats kNatsMax = kNat << 20;  // of a pair; what is reported saturates at 4,096 nats

void put(Writer& w, const RingCounts& c) {
  w.varint(c.likes), w.varint(c.users), w.varint(c.posts);
  for (const uint64_t p : c.pairs) w.varint(p);
}
RingCounts get_counts(Reader& r) {
  RingCounts c;
  c.likes = r.varint(), c.users = r.varint(), c.posts = r.varint();
  for (uint64_t& p : c.pairs) p = r.varint();
  return c;
}
void put(Writer& w, const RingFigures& f) {
  w.varint(f.epoch);
  for (const RingCounts& c : f.counts) put(w, c);
}
RingFigures get_figures(Reader& r) {
  RingFigures f;
  f.epoch = static_cast<uint32_t>(r.varint());
  for (RingCounts& c : f.counts) c = get_counts(r);
  return f;
}
bool good(const Reader& r) { return r.ok() && r.done(); }
// The count of a list, or nothing if it is above `most`.
std::optional<size_t> get_size(Reader& r, size_t most) {
  const uint64_t n = r.varint();
  if (!r.ok() || n > most) return std::nullopt;
  return static_cast<size_t>(n);
}

}  // namespace

void RingCounts::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  put(w, *this);
}
std::optional<RingCounts> RingCounts::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  const RingCounts c = get_counts(r);
  return good(r) ? std::optional(c) : std::nullopt;
}

void RingFigures::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  put(w, *this);
}
std::optional<RingFigures> RingFigures::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  const RingFigures f = get_figures(r);
  return good(r) ? std::optional(f) : std::nullopt;
}

void PairMessage::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  w.fixed64(post), w.fixed64(author), w.varint(time_s), w.varint(held), w.varint(named);
  for (uint32_t i = 0; i < named; ++i) {
    EntryWriter c(w);
    c.fixed64(likers[i].user), c.varint(likers[i].time_s), c.varint(likers[i].degree);
  }
}
std::optional<PairMessage> PairMessage::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  PairMessage m;
  m.post = r.fixed64(), m.author = r.fixed64();
  m.time_s = static_cast<uint32_t>(r.varint()), m.held = static_cast<uint32_t>(r.varint());
  const auto n = get_size(r, Limits::kNamed);
  if (!n) return std::nullopt;
  m.named = static_cast<uint32_t>(*n);
  for (uint32_t i = 0; i < m.named; ++i) {
    m.likers[i].user = r.fixed64();
    m.likers[i].time_s = static_cast<uint32_t>(r.varint()), m.likers[i].degree = static_cast<uint32_t>(r.varint());
  }
  return good(r) ? std::optional(m) : std::nullopt;
}

void EdgeReport::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  w.fixed64(user), w.varint(time_s), w.varint(count);
  for (uint32_t i = 0; i < count; ++i) w.fixed64(edges[i].other), w.varint(static_cast<uint64_t>(edges[i].llr));
}
std::optional<EdgeReport> EdgeReport::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  EdgeReport e;
  e.user = r.fixed64(), e.time_s = static_cast<uint32_t>(r.varint());
  const auto n = get_size(r, Limits::kNamed);
  if (!n) return std::nullopt;
  e.count = static_cast<uint32_t>(*n);
  for (uint32_t i = 0; i < e.count; ++i) e.edges[i] = {r.fixed64(), static_cast<Nats>(r.varint())};
  return good(r) ? std::optional(e) : std::nullopt;
}

void TargetLikers::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  w.varint(likes_), w.varint(first_s_);
  for (const auto* list : {&recent_, &lowest_}) {
    w.varint(list->size());
    // Times as distances from the first like: two or three bytes, not five.
    for (const Held& h : *list) {
      EntryWriter c(w);
      c.fixed64(h.user), c.varint(h.time_s - first_s_), c.varint(h.degree);
    }
  }
}
std::optional<TargetLikers> TargetLikers::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  TargetLikers t;
  t.likes_ = static_cast<uint32_t>(r.varint()), t.first_s_ = static_cast<uint32_t>(r.varint());
  for (auto* list : {&t.recent_, &t.lowest_}) {
    const auto n = get_size(r, list == &t.recent_ ? Limits::kRecent : Limits::kLowest);
    if (!n) return std::nullopt;
    list->reserve(*n);
    for (size_t i = 0; i < *n; ++i) {
      Held h{};
      h.user = r.fixed64(), h.time_s = static_cast<uint32_t>(r.varint()) + t.first_s_,
      h.degree = static_cast<uint32_t>(r.varint());
      list->push_back(h);
    }
  }
  return good(r) ? std::optional(std::move(t)) : std::nullopt;
}

void CoLikers::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  w.varint(epoch_);
  for (const uint32_t d : degree_) w.varint(d);
  for (const uint32_t e : exposure_) w.varint(e);
  w.varint(partners_.size());
  const uint32_t end = (epoch_ + 1) * Limits::kEpochS;
  for (const Partner& p : partners_) {
    EntryWriter c(w);
    c.fixed64(p.user);
    c.zigzag(int64_t{end} - p.mine_s), c.zigzag(int64_t{p.mine_s} - p.theirs_s);
    c.varint(p.degree), c.varint(p.reported_q4);
    // The three scales are cumulative, so that a pair seen only at the widest is the common case.
    c.u8(p.now[2]), c.u8(p.before[2]);
    const bool close = p.now[1] != 0 || p.before[1] != 0;
    c.boolean(close);
    if (close) c.u8(p.now[1]), c.u8(p.before[1]), c.u8(p.now[0]), c.u8(p.before[0]);
  }
}
std::optional<CoLikers> CoLikers::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  CoLikers c;
  c.epoch_ = static_cast<uint32_t>(r.varint());
  for (uint32_t& d : c.degree_) d = static_cast<uint32_t>(r.varint());
  for (uint32_t& e : c.exposure_) e = static_cast<uint32_t>(r.varint());
  const auto n = get_size(r, Limits::kPartners);
  if (!n) return std::nullopt;
  c.partners_.reserve(*n);
  const uint32_t end = (c.epoch_ + 1) * Limits::kEpochS;
  for (size_t i = 0; i < *n; ++i) {
    Partner p;
    p.user = r.fixed64();
    p.mine_s = static_cast<uint32_t>(r.below(end));
    p.theirs_s = static_cast<uint32_t>(r.below(p.mine_s));
    p.degree = static_cast<uint16_t>(r.varint()), p.reported_q4 = static_cast<uint16_t>(r.varint());
    p.now[2] = r.u8(), p.before[2] = r.u8();
    if (r.boolean()) p.now[1] = r.u8(), p.before[1] = r.u8(), p.now[0] = r.u8(), p.before[0] = r.u8();
    c.partners_.push_back(p);
  }
  return good(r) ? std::optional(std::move(c)) : std::nullopt;
}

void RingPulse::encode(Writer& w) const {
  w.varint(first_), w.varint(likes_.size());
  for (size_t i = 0; i < likes_.size();) {  // a run of zeros is a zero and its length
    w.varint(likes_[i]);
    if (likes_[i] != 0) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < likes_.size() && likes_[end] == 0) ++end;
    w.varint(end - i);
    i = end;
  }
}
bool RingPulse::decode(Reader& r) {
  first_ = static_cast<uint32_t>(r.varint());
  const auto n = get_size(r, 2 * size_t{Limits::kBuckets});
  if (!n) return false;
  likes_.clear();
  likes_.reserve(*n);
  while (likes_.size() < *n && r.ok()) {
    const uint32_t count = static_cast<uint32_t>(r.varint());
    if (count != 0) {
      likes_.push_back(count);
      continue;
    }
    const uint64_t run = r.varint();
    if (run == 0 || run > *n - likes_.size()) return false;
    likes_.resize(likes_.size() + run, 0);
  }
  return r.ok();
}

void RingInput::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  w.zigzag(as_of_us);
  put(w, figures);
  pulse.encode(w);
  w.varint(edges.size());
  for (const Edge& e : edges) w.fixed64(e.a), w.fixed64(e.b), w.varint(static_cast<uint64_t>(e.llr));
  w.varint(fresh.size());
  for (const uint64_t u : fresh) w.fixed64(u);
}
std::optional<RingInput> RingInput::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  RingInput i;
  i.as_of_us = r.zigzag();
  i.figures = get_figures(r);
  if (!i.pulse.decode(r)) return std::nullopt;
  const auto edges = get_size(r, Limits::kEdges);
  if (!edges) return std::nullopt;
  i.edges.reserve(*edges);
  for (size_t k = 0; k < *edges; ++k) {
    Edge e{};
    e.a = r.fixed64(), e.b = r.fixed64(), e.llr = static_cast<Nats>(r.varint());
    i.edges.push_back(e);
  }
  const auto fresh = get_size(r, 2 * size_t{Limits::kEdges});
  if (!fresh) return std::nullopt;
  i.fresh.reserve(*fresh);
  for (size_t k = 0; k < *fresh; ++k) i.fresh.push_back(r.fixed64());
  return good(r) ? std::optional(std::move(i)) : std::nullopt;
}

void RingEvidence::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  w.varint(looked_s_);
  std::vector<std::pair<Pair, Edge>> edges(edges_.begin(), edges_.end());
  std::sort(edges.begin(), edges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  w.varint(edges.size());
  for (const auto& [pair, e] : edges) {
    w.fixed64(pair.first), w.fixed64(pair.second);
    w.varint(static_cast<uint64_t>(e.up)), w.varint(static_cast<uint64_t>(e.down)), w.varint(e.time_s);
  }
  std::vector<std::pair<uint64_t, Nats>> seen;
  for (const auto& [user, u] : users_) {
    if (u.seen != 0) seen.push_back({user, u.seen});
  }
  std::sort(seen.begin(), seen.end());
  w.varint(seen.size());
  for (const auto& [user, s] : seen) w.fixed64(user), w.varint(static_cast<uint64_t>(s));
}
std::optional<RingEvidence> RingEvidence::decode(std::string_view in) {
  Reader r(in);
  if (r.u8() != kVersion) return std::nullopt;
  RingEvidence e;
  e.looked_s_ = static_cast<uint32_t>(r.varint());
  const auto edges = get_size(r, Limits::kEdges);
  if (!edges) return std::nullopt;
  e.edges_.reserve(*edges);
  for (size_t k = 0; k < *edges; ++k) {
    Pair pair;
    pair.first = r.fixed64(), pair.second = r.fixed64();
    Edge edge;
    edge.up = static_cast<Nats>(r.varint()), edge.down = static_cast<Nats>(r.varint());
    edge.time_s = static_cast<uint32_t>(r.varint());
    // As written: evidence of a size that occurs, each pair once.
    if (edge.up < 0 || edge.up > kNatsMax || edge.down < 0 || edge.down > kNatsMax) return std::nullopt;
    if (!e.edges_.emplace(pair, edge).second) return std::nullopt;
    e.change(pair, 0, edge.up + edge.down);
  }
  const auto seen = get_size(r, 2 * size_t{Limits::kEdges});
  if (!seen) return std::nullopt;
  for (size_t k = 0; k < *seen; ++k) {
    const uint64_t user = r.fixed64();
    const auto at = e.users_.find(user);
    const Nats value = static_cast<Nats>(r.varint());
    if (at == e.users_.end() || value < 0 || value > kNatsMax * Limits::kEdges) return std::nullopt;
    at->second.seen = value;
    e.judge(at->second);
  }
  return good(r) ? std::optional(std::move(e)) : std::nullopt;
}

}  // namespace bellwether

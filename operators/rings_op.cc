#include "operators/rings_op.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include "operators/messages.h"
#include "operators/people.h"

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 2;                            // 1: without what the last look took
constexpr size_t kEvidenceSentMax = 4 * kFlagEvidenceMax;  // of one finding; a flag names fewer
constexpr size_t kSmallest = 8;                            // members that name a ring

// Distinct values but 0, the most frequent first, equal ones by value.
std::vector<uint64_t> by_count(const std::vector<uint64_t>& values) {
  absl::flat_hash_map<uint64_t, size_t> counts;
  for (const uint64_t v : values)
    if (v != 0) ++counts[v];
  std::vector<std::pair<size_t, uint64_t>> rows;
  for (const auto& [value, count] : counts) rows.emplace_back(count, value);
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  std::vector<uint64_t> list;
  list.reserve(rows.size());
  for (const auto& row : rows) list.push_back(row.second);
  return list;
}

class Rings final : public OperatorOf<RingsState> {
 public:
  OperatorId id() const override { return OperatorId::kRings; }
  const char* name() const override { return "rings"; }
  KeyKind key_kind() const override { return KeyKind::kCommunity; }
  bool hourly() const override { return true; }

  void fold_key(RingsState& state, Key, std::span<const Item> items, Context& context) const override {
    bool hour = false;
    for (const Item& item : items) {
      if (item.kind == Item::Kind::kTimer) {
        hour = true;
      } else if (kind_of(item.payload) == MessageKind::kPairReport) {
        if (const auto report = EdgeReport::decode(item.payload.substr(1))) state.evidence.on_report(*report);
      } else if (kind_of(item.payload) == MessageKind::kFindings) {
        state.analysing = false;
        std::vector<RingFinding> findings;
        if (decode_findings(item.payload, findings, state.work))
          for (const RingFinding& finding : findings) raise(state, finding, context);
      }
    }
    const bool wanted = hour ? state.evidence.due(context.now_us()) : state.evidence.urgent();
    if (wanted && !state.analysing && context.community().rings.enabled && paid(state, context)) ask(state, context);
    if (hour) prune(state, context);
  }

 private:
  static uint32_t now_s(const Context& context) {
    return static_cast<uint32_t>(std::max<int64_t>(0, context.now_us() / kSecondUs));
  }

  // Whether there were likes enough since the last look for what it took: so looks cost so much a like at most, however
  // much the community's users like together.
  static bool paid(const RingsState& state, const Context& context) {
    if (state.work <= RingLimits::kFreeWork) return true;
    const RingFigures figures = ring_figures(now_s(context), context);
    const uint64_t now = figures.counts[0].likes, before = figures.counts[1].likes, looked = state.looked_likes;
    uint64_t since = now;
    if (figures.epoch == state.looked_epoch) {
      since -= std::min(looked, now);
    } else {
      since += figures.epoch == state.looked_epoch + 1 ? before - std::min(looked, before) : before;
    }
    return since >= (state.work - RingLimits::kFreeWork) / RingLimits::kWorkPerLike;
  }

  // Stores what the block test needs beside the ledger. The figures are sums that the engine keeps, exact over all
  // shards.
  static void ask(RingsState& state, Context& context) {
    RingInput input = state.evidence.take_input(context.now_us());
    if (input.empty()) return;
    input.figures = ring_figures(now_s(context), context);
    input.pulse = RingPulse();
    context.counters(kCounterPulse, [&](uint32_t bucket, int64_t likes) {
      if (likes > 0) input.pulse.add(bucket * RingLimits::kBucketS, static_cast<uint64_t>(likes));
    });
    std::string bytes;
    input.encode(bytes);
    context.analyse(bytes);
    state.analysing = true;
    state.looked_epoch = input.figures.epoch, state.looked_likes = input.figures.counts[0].likes;
  }

  // Once a day, sums that the block test no longer looks back on are taken to nothing.
  static void prune(RingsState& state, Context& context) {
    const int64_t today = day_of(context.now_us());
    if (today == state.pruned_day) return;
    state.pruned_day = today;
    const int64_t oldest = context.now_us() / (RingLimits::kBucketS * kSecondUs) - RingLimits::kBuckets -
                           kDayUs / kSecondUs / RingLimits::kBucketS;
    context.counters(kCounterPulse, [&](uint32_t bucket, int64_t likes) {
      if (static_cast<int64_t>(bucket) < oldest) context.count({kCounterPulse, bucket}, -likes);
    });
    const int64_t window_us = context.community().window_days * kDayUs;
    std::erase_if(state.known, [&](const RingsState::Known& k) { return k.found_us + window_us < context.now_us(); });
  }

  static void raise(RingsState& state, const RingFinding& finding, Context& context) {
    RingsState::Known& known = recognise(state, finding, context);
    known.found_us = context.now_us();
    Raise raise;
    raise.kind = FlagKind::kRing, raise.id = known.id;
    std::vector<uint64_t> likers = finding.members, posts, authors;
    for (const RingLike& like : finding.evidence) {
      likers.push_back(like.liker), posts.push_back(like.post), authors.push_back(like.author);
      if (raise.evidence.size() < kEvidenceSentMax)
        raise.evidence.push_back({like.liker, like.post, like.author, like.time_us, like.id_hash});
    }
    raise.subjects = by_count(likers);
    raise.beneficiaries = by_count(authors);
    raise.scope.posts = by_count(posts);
    if (raise.scope.posts.size() > kScopePostsMax) raise.scope.posts.resize(kScopePostsMax);
    std::sort(raise.scope.posts.begin(), raise.scope.posts.end());
    raise.authenticity = 0;
    raise.confidence_permille = static_cast<uint16_t>(finding.confidence_permille);
    raise.details = {{"score_millinats", finding.score_milli},
                     {"odds", finding.odds},
                     {"density_permille", finding.density_permille},
                     {"members", static_cast<int64_t>(finding.members.size())},
                     {"targets", static_cast<int64_t>(finding.targets.size())}};
    const uint64_t flag = context.hasher()(KeyKind::kFlag, raise.id);
    context.send(OperatorId::kFlags, Key{KeyKind::kFlag, flag}, context.now_us(), flag, encode(raise));
  }

  // The ring that the finding speaks of, now with its members; a new one where none is known.
  static RingsState::Known& recognise(RingsState& state, const RingFinding& finding, const Context& context) {
    for (RingsState::Known& known : state.known) {
      if (!same_ring(known.members, finding.members)) continue;
      std::vector<uint64_t> all;
      std::set_union(known.members.begin(), known.members.end(), finding.members.begin(), finding.members.end(),
                     std::back_inserter(all));
      if (all.size() <= kFlagUsersMax) known.members = std::move(all);
      return known;
    }
    if (state.known.size() == kKnownRingsMax)
      state.known.erase(std::min_element(state.known.begin(), state.known.end(),
                                         [](const auto& a, const auto& b) { return a.found_us < b.found_us; }));
    std::string name;
    Writer w(name);
    w.u8(static_cast<uint8_t>(FlagKind::kRing)), w.zigzag(context.tick().slot), w.varint(context.tick().sub);
    for (size_t i = 0; i < std::min(kSmallest, finding.members.size()); ++i) w.fixed64(finding.members[i]);
    char id[32];
    std::snprintf(id, sizeof id, "ring-%016llx",
                  static_cast<unsigned long long>(context.hasher()(KeyKind::kFlag, name)));
    RingsState::Known& known = state.known.emplace_back();
    known.id = id, known.members = finding.members;
    if (known.members.size() > kFlagUsersMax) known.members.resize(kFlagUsersMax);
    return known;
  }
};

}  // namespace

bool RingsState::decode(std::string_view bytes) {
  Reader r(bytes);
  const uint8_t version = r.u8();
  if (version == 0 || version > kVersion) return false;
  auto held = RingEvidence::decode(r.bytes());
  if (!held) return false;
  evidence = std::move(*held);
  const uint64_t count = r.varint();
  for (uint64_t i = 0; i < count && r.ok(); ++i) {
    Known& k = known.emplace_back();
    k.id = r.bytes(), k.members = read_hashes(r), k.found_us = r.zigzag();
  }
  analysing = r.boolean(), pruned_day = r.zigzag();
  if (version > 1) looked_epoch = static_cast<uint32_t>(r.varint()), looked_likes = r.varint(), work = r.varint();
  return r.ok() && r.done();
}

void RingsState::encode(std::string& out) const {
  Writer w(out);
  w.u8(kVersion);
  std::string held;
  evidence.encode(held);
  w.bytes(held);
  w.varint(known.size());
  for (const Known& k : known) w.bytes(k.id), write_hashes(w, k.members), w.zigzag(k.found_us);
  w.boolean(analysing), w.zigzag(pruned_day);
  w.varint(looked_epoch), w.varint(looked_likes), w.varint(work);
}

size_t RingsState::memory() const {
  size_t bytes = evidence.edges() * 96;
  for (const Known& k : known) bytes += sizeof(Known) + k.members.capacity() * sizeof(uint64_t);
  return bytes;
}

std::string encode_findings(const std::vector<RingFinding>& findings, RingWork work) {
  std::string out;
  Writer w(out);
  w.u8(static_cast<uint8_t>(MessageKind::kFindings));
  w.varint(findings.size());
  for (const RingFinding& f : findings) {
    write_hashes(w, f.members);
    w.varint(f.targets.size());
    for (const RingTarget& t : f.targets) w.fixed64(t.post), w.fixed64(t.author);
    w.zigzag(f.score_milli), w.varint(f.odds), w.varint(f.density_permille), w.varint(f.confidence_permille);
    w.varint(f.evidence.size());
    for (const RingLike& like : f.evidence)
      w.fixed64(like.liker), w.fixed64(like.post), w.fixed64(like.author), w.zigzag(like.time_us),
          w.fixed64(like.id_hash);
  }
  w.varint(work);
  return out;
}

bool decode_findings(std::string_view payload, std::vector<RingFinding>& findings, RingWork& work) {
  Reader r(payload);
  if (static_cast<MessageKind>(r.u8()) != MessageKind::kFindings) return false;
  const uint64_t count = r.varint();
  for (uint64_t i = 0; i < count && r.ok(); ++i) {
    RingFinding& f = findings.emplace_back();
    f.members = read_hashes(r);
    const uint64_t targets = r.varint();
    for (uint64_t t = 0; t < targets && r.ok(); ++t) {
      RingTarget& target = f.targets.emplace_back();
      target.post = r.fixed64(), target.author = r.fixed64();
    }
    f.score_milli = r.zigzag(), f.odds = static_cast<uint32_t>(r.varint());
    f.density_permille = static_cast<uint32_t>(r.varint()), f.confidence_permille = static_cast<uint32_t>(r.varint());
    const uint64_t likes = r.varint();
    for (uint64_t l = 0; l < likes && r.ok(); ++l) {
      RingLike& like = f.evidence.emplace_back();
      like.liker = r.fixed64(), like.post = r.fixed64(), like.author = r.fixed64(), like.time_us = r.zigzag(),
      like.id_hash = r.fixed64();
    }
  }
  work = r.ok() && !r.done() ? r.varint() : 0;  // findings on their way when this was not yet told
  return r.ok() && r.done();
}

const Operator& rings_operator() {
  static const Rings instance;
  return instance;
}

}  // namespace bellwether

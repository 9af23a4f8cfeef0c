#include "pipeline/service/flag_view.h"

#include <algorithm>

#include "pipeline/service/user_view.h"

namespace bellwether {
namespace {

void fill_beneficiary(Lookup& lookup, const FlagsState& flag, uint64_t flag_hash, uint64_t user,
                      pb::FlagBeneficiary& out) {
  const Reading& reading = lookup.reading();
  out.set_user(lookup.user_name(user));
  out.set_subject(std::find(flag.subjects.begin(), flag.subjects.end(), user) != flag.subjects.end());
  const ScoresState* s = lookup.scores(user);
  if (s == nullptr) return;
  out.set_tier_with_flag(to_pb(s->machine.tier));
  out.set_tier_without_flag(to_pb(s->machine.tier));
  const auto w =
      std::find_if(s->without.begin(), s->without.end(), [&](const WithoutFlag& v) { return v.flag == flag_hash; });
  if (w == s->without.end() || !discounts(flag.status)) return;
  out.set_tier_without_flag(to_pb(w->machine.tier));
  const int64_t now = reading.now_us();
  const Standing here = standing_of(*s, nullptr, reading.community(), reading.rules(), now);
  const Standing there = standing_of(*s, nullptr, reading.community(), reading.rules(), now, &*w);
  for (size_t c = 0; c < kCapabilities; ++c) {
    if (there.points_micros[c] == here.points_micros[c]) continue;
    pb::CapabilityLoss* loss = out.add_losses();
    loss->set_capability(static_cast<pb::Capability>(c + 1));
    loss->set_taken_micros(there.points_micros[c] - here.points_micros[c]);
  }
}

int64_t taken_in_all(const pb::FlagBeneficiary& b) {
  int64_t sum = 0;
  for (const pb::CapabilityLoss& loss : b.losses()) sum += loss.taken_micros();
  return sum;
}

}  // namespace

void flag_message(Lookup& lookup, const FlagsState& given, uint64_t hash, bool evidence, pb::Flag& out) {
  const FlagsState flag = given;  // the look-up forgets while names are looked up
  out.set_id(flag.id);
  out.set_kind(to_pb(flag.kind));
  out.set_status(to_pb(flag.status));
  set_tick(flag.opened, out.mutable_opened_tick(), out.mutable_opened_time());
  set_tick(flag.updated, out.mutable_updated_tick(), out.mutable_updated_time());
  out.set_confidence_permille(flag.confidence_permille);
  out.set_summary(flag_summary(flag));
  if (!flag.evidence.empty()) {
    const auto [first, last] =
        std::minmax_element(flag.evidence.begin(), flag.evidence.end(),
                            [](const EvidenceEvent& a, const EvidenceEvent& b) { return a.time_us < b.time_us; });
    set_time(first->time_us, out.mutable_evidence_from_time());
    set_time(last->time_us, out.mutable_evidence_until_time());
  }
  for (const Raise::Detail& d : flag.details) {
    pb::Detail* detail = out.add_details();
    detail->set_name(d.name);
    detail->set_value(detail_text(d));
  }
  const auto count = [&](const char* name, uint64_t value) {
    if (value == 0) return;
    pb::Detail* detail = out.add_details();
    detail->set_name(name);
    detail->set_value(std::to_string(value));
  };
  count("more_subjects_count", flag.more_subjects);
  count("more_beneficiaries_count", flag.more_beneficiaries);
  count("more_decisions_count", flag.more_history);

  for (const uint64_t user : flag.subjects) {
    if (std::string name = lookup.user_name(user); !name.empty()) out.add_subjects(std::move(name));
    lookup.forget();
  }
  std::sort(out.mutable_subjects()->begin(), out.mutable_subjects()->end());
  std::vector<pb::FlagTarget> targets;
  for (const uint64_t post : flag.scope.posts) {
    pb::FlagTarget& target = targets.emplace_back();
    target.set_kind(pb::HOME_KIND_POST);
    target.set_id(lookup.post_name(post));
    target.set_hash(hex16(post));
    lookup.forget();
  }
  if (flag.scope.posts.empty() && flag.scope.author != 0) {
    pb::FlagTarget& target = targets.emplace_back();
    target.set_kind(pb::HOME_KIND_USER);
    target.set_id(lookup.user_name(flag.scope.author));
    target.set_hash(hex16(flag.scope.author));
  }
  std::sort(targets.begin(), targets.end(), [](const pb::FlagTarget& a, const pb::FlagTarget& b) {
    return std::tie(a.id(), a.hash()) < std::tie(b.id(), b.hash());
  });
  for (pb::FlagTarget& target : targets) *out.add_targets() = std::move(target);

  std::vector<pb::FlagBeneficiary> gained(flag.beneficiaries.size());
  for (size_t i = 0; i < gained.size(); ++i) {
    fill_beneficiary(lookup, flag, hash, flag.beneficiaries[i], gained[i]);
    lookup.forget();
  }
  std::stable_sort(gained.begin(), gained.end(),
                   [](const auto& a, const auto& b) { return taken_in_all(a) > taken_in_all(b); });
  for (pb::FlagBeneficiary& b : gained) *out.add_beneficiaries() = std::move(b);

  for (const FlagDecision& d : flag.history) {
    pb::FlagDecision* decision = out.add_history();
    decision->set_decision(static_cast<pb::Decision>(d.decision));
    decision->set_user(d.user);
    decision->set_reason(d.reason);
    decision->set_status(to_pb(d.status));
    set_time(d.time_us, decision->mutable_time());
    decision->set_id_hash(hex16(d.id_hash));
  }
  if (!evidence) {
    out.set_more_evidence_count(flag.evidence_total());
    return;
  }
  std::vector<EvidenceEvent> events = flag.evidence;
  std::sort(events.begin(), events.end(), [](const EvidenceEvent& a, const EvidenceEvent& b) {
    return std::tie(a.time_us, a.liker, a.id_hash) < std::tie(b.time_us, b.liker, b.id_hash);
  });
  if (events.size() > kFlagEvidenceListed) events.resize(kFlagEvidenceListed);
  // A ranking flag names rows of a score: the post stands at the liker.
  for (EvidenceEvent& e : events) {
    pb::FlagEvidence* item = out.add_evidence();
    item->set_kind(static_cast<pb::LikeKind>(LikeKind::kLike));
    if (const auto like = lookup.like(e.liker, e.time_us, e.id_hash)) {
      e.post = like->post, e.author = like->author;
      item->set_kind(static_cast<pb::LikeKind>(like->kind));
    }
    item->set_liker(lookup.user_name(e.liker));
    item->set_post(lookup.post_name(e.post));
    item->set_author(lookup.user_name(e.author));
    set_time(e.time_us, item->mutable_time());
    item->set_id_hash(hex16(e.id_hash));
  }
  out.set_more_evidence_count(flag.evidence_total() - events.size());
}

}  // namespace bellwether

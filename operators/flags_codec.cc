// The bytes of flags: the state, what is emitted, and the sentence for people.
#include <algorithm>
#include <cstdio>

#include "operators/erased.h"
#include "operators/flags.h"
#include "operators/tick_codec.h"

namespace bellwether {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kChangeVersion = 3;  // 1: without users, 2: without their ids

void write(Writer& w, const std::vector<uint64_t>& hashes) {
  w.varint(hashes.size());
  for (const uint64_t hash : hashes) w.fixed64(hash);
}

uint32_t read_u32(Reader& r) { return static_cast<uint32_t>(r.varint()); }

}  // namespace

bool FlagsState::decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.u8() != kVersion) return false;
  id = r.bytes();
  kind = static_cast<FlagKind>(r.u8()), status = static_cast<FlagStatus>(r.u8());
  const bool never = status == FlagStatus::kNone;  // verdicts may come before it is raised
  if (!read(r, opened, never) || !read(r, updated, never) || !read(r, ended, true)) return false;
  subjects = read_hashes(r), beneficiaries = read_hashes(r);
  more_subjects = read_u32(r), more_beneficiaries = read_u32(r);
  scope.posts = read_hashes(r), scope.author = r.fixed64(), scope.from_us = r.zigzag(), scope.to_us = r.zigzag();
  authenticity = static_cast<uint16_t>(r.varint()), confidence_permille = static_cast<uint16_t>(r.varint());
  const uint64_t detail_count = r.varint();
  for (uint64_t i = 0; i < detail_count && r.ok(); ++i) {
    Raise::Detail& detail = details.emplace_back();
    detail.name = r.bytes(), detail.value = r.zigzag();
  }
  const uint64_t evidence_count = r.varint();
  for (uint64_t i = 0; i < evidence_count && r.ok(); ++i) {
    EvidenceEvent& e = evidence.emplace_back();
    e.liker = r.fixed64(), e.post = r.fixed64(), e.author = r.fixed64(), e.time_us = r.zigzag(),
    e.id_hash = r.fixed64();
  }
  more_evidence = read_u32(r), evidence_at_end = read_u32(r), newest_us = r.zigzag();
  const uint64_t history_count = r.varint();
  for (uint64_t i = 0; i < history_count && r.ok(); ++i) {
    FlagDecision& d = history.emplace_back();
    d.decision = static_cast<Decision>(r.u8()), d.status = static_cast<FlagStatus>(r.u8());
    d.user_hash = r.fixed64(), d.user = r.bytes(), d.reason = r.bytes();
    d.time_us = r.zigzag(), d.id_hash = r.fixed64();
  }
  more_history = read_u32(r);
  benefits_told = read_u32(r), discounts_told = read_u32(r), discounted = read_u32(r), confirms_told = read_u32(r);
  ending = static_cast<Ending>(r.u8()), ending_cursor = read_u32(r);
  working = r.boolean(), cause_time_us = r.zigzag(), cause_id_hash = r.fixed64();
  return seen.read(r) && r.done();
}

void FlagsState::encode(std::string& out) const {
  if (id.empty()) return;
  Writer w(out);
  w.u8(kVersion);
  w.bytes(id);
  w.u8(static_cast<uint8_t>(kind)), w.u8(static_cast<uint8_t>(status));
  write(w, opened), write(w, updated), write(w, ended);
  write(w, subjects), write(w, beneficiaries);
  w.varint(more_subjects), w.varint(more_beneficiaries);
  write(w, scope.posts), w.fixed64(scope.author), w.zigzag(scope.from_us), w.zigzag(scope.to_us);
  w.varint(authenticity), w.varint(confidence_permille);
  w.varint(details.size());
  for (const Raise::Detail& detail : details) w.bytes(detail.name), w.zigzag(detail.value);
  w.varint(evidence.size());
  for (const EvidenceEvent& e : evidence)
    w.fixed64(e.liker), w.fixed64(e.post), w.fixed64(e.author), w.zigzag(e.time_us), w.fixed64(e.id_hash);
  w.varint(more_evidence), w.varint(evidence_at_end), w.zigzag(newest_us);
  w.varint(history.size());
  for (const FlagDecision& d : history) {
    w.u8(static_cast<uint8_t>(d.decision)), w.u8(static_cast<uint8_t>(d.status));
    w.fixed64(d.user_hash), w.bytes(d.user), w.bytes(d.reason);
    w.zigzag(d.time_us), w.fixed64(d.id_hash);
  }
  w.varint(more_history);
  w.varint(benefits_told), w.varint(discounts_told), w.varint(discounted), w.varint(confirms_told);
  w.u8(static_cast<uint8_t>(ending)), w.varint(ending_cursor);
  w.boolean(working), w.zigzag(cause_time_us), w.fixed64(cause_id_hash);
  seen.write(w);
}

bool FlagsState::forget(Key, const Erased& erased) {
  bool changed = false;
  for (FlagDecision& d : history) {
    const std::string* name = erased.name(d.user_hash);
    if (name != nullptr && d.user != *name) d.user = *name, changed = true;
    if (!d.reason.empty() && (name != nullptr || erased.in(d.reason))) d.reason.clear(), changed = true;
  }
  return changed;
}

bool FlagsState::names(uint64_t user) const {
  const auto has = [user](const std::vector<uint64_t>& users) {
    return std::find(users.begin(), users.end(), user) != users.end();
  };
  return has(subjects) || has(beneficiaries);
}

size_t FlagsState::memory() const {
  size_t bytes = id.capacity() + seen.memory() + evidence.capacity() * sizeof(EvidenceEvent) +
                 (subjects.capacity() + beneficiaries.capacity() + scope.posts.capacity()) * sizeof(uint64_t) +
                 details.capacity() * sizeof(Raise::Detail) + history.capacity() * sizeof(FlagDecision);
  for (const FlagDecision& d : history) bytes += d.user.capacity() + d.reason.capacity();
  for (const Raise::Detail& d : details) bytes += d.name.capacity();
  return bytes;
}

std::string encode(const FlagChange& change) {
  std::string out;
  Writer w(out);
  w.u8(kChangeVersion);
  w.u8(static_cast<uint8_t>(change.what));
  w.bytes(change.id);
  w.u8(static_cast<uint8_t>(change.kind)), w.u8(static_cast<uint8_t>(change.status));
  w.u8(static_cast<uint8_t>(change.decision));
  write(w, change.tick);
  w.varint(change.subjects), w.varint(change.beneficiaries), w.varint(change.evidence),
      w.varint(change.confidence_permille);
  for (const auto* users : {&change.subject_users, &change.beneficiary_users}) {
    w.varint(users->size());
    for (const FlagChange::User& user : *users) w.fixed64(user.hash), w.bytes(user.id);
  }
  return out;
}

bool decode(std::string_view bytes, FlagChange& change) {
  Reader r(bytes);
  const uint8_t version = r.u8();
  if (version < 1 || version > kChangeVersion) return false;
  change.what = static_cast<FlagChange::What>(r.u8());
  change.id = r.bytes();
  change.kind = static_cast<FlagKind>(r.u8()), change.status = static_cast<FlagStatus>(r.u8());
  change.decision = static_cast<Decision>(r.u8());
  if (!read(r, change.tick, true)) return false;
  change.subjects = read_u32(r), change.beneficiaries = read_u32(r), change.evidence = read_u32(r);
  change.confidence_permille = static_cast<uint16_t>(r.varint());
  if (version >= 2) {
    for (auto* users : {&change.subject_users, &change.beneficiary_users})
      for (uint64_t n = r.varint(); n > 0 && r.ok(); --n) {
        FlagChange::User& user = users->emplace_back();
        user.hash = r.fixed64();
        if (version >= 3) user.id = r.bytes();
      }
  }
  return r.ok() && r.done();
}

std::string flag_summary(const FlagsState& flag) {
  const size_t subjects = flag.subjects.size() + flag.more_subjects;
  const size_t gained = flag.beneficiaries.size() + flag.more_beneficiaries;
  const auto count = [](size_t n, const char* one, const char* many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
  };
  std::string text;
  switch (flag.kind) {
    case FlagKind::kRing:
      text = count(subjects, "account likes", "accounts like") + " the same " +
             count(flag.scope.posts.size(), "post", "posts") + " in lockstep; " + count(gained, "user", "users") +
             " gained by it";
      break;
    case FlagKind::kBurst:
      text = "a burst of likes from " +
             count(subjects, "young or one-purpose account", "young or one-purpose accounts") + " on one author";
      break;
    case FlagKind::kRanking:
      text = "a standing that the authentic part of the score does not carry, of " + count(gained, "user", "users");
      break;
    case FlagKind::kNone:
      text = "not raised yet";
      break;
  }
  char sure[40];
  std::snprintf(sure, sizeof sure, " (confidence %u.%u %%)", flag.confidence_permille / 10u,
                flag.confidence_permille % 10u);
  return flag.id + ": " + text + (flag.kind == FlagKind::kNone ? "." : std::string(sure) + ".");
}

}  // namespace bellwether

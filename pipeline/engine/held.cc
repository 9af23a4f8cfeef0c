#include "pipeline/engine/held.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <type_traits>
#include <variant>

namespace bellwether {
namespace {

// Ticks of a quiet stream hold a record or two, and there may be thousands of them; full ones hold 65,536.
constexpr size_t kFirstBlock = 576, kBlockMax = size_t{64} << 10;

static_assert(std::is_trivially_copyable_v<Record>, "records are copied as they are, then their texts");
static_assert(alignof(Record) <= alignof(std::max_align_t));

// Calls f for every text of a body. Structured bindings name all members: who adds one is told here.
template <class F>
struct Texts {
  F& f;
  void operator()(LikeFact& x) {
    auto& [post, author, kind, undo, post_kind] = x;
    f(post.id), f(author.id);
  }
  void operator()(PostFact& x) {
    auto& [post, kind, action, author, parent, parent_author, topics, topic_count, length, sentiment] = x;
    f(post.id), f(author.id), f(parent.id), f(parent_author.id);
    for (size_t i = 0; i < topic_count; ++i) f(topics[i]);
  }
  void operator()(ReferralFact& x) {
    auto& [referral, referrer, referred, stage, amount] = x;
    f(referral.id), f(referrer.id), f(referred.id);
  }
  void operator()(BetaTestFact& x) {
    auto& [program, report, kind, status, severity, reproducible, prompt, minutes, tester] = x;
    f(program), f(report.id), f(tester.id);
  }
  void operator()(RatingFact& x) {
    auto& [subject, capability, points, expires] = x;
    f(subject.id);
  }
  void operator()(HoldFact& x) {
    auto& [subject, tier, expires, reason, release] = x;
    f(subject.id), f(reason);
  }
  void operator()(LabelFact& x) {
    auto& [subject, key_user, willingness, norm, fit] = x;
    f(subject.id);
  }
  void operator()(VerdictFact& x) {
    auto& [flag, decision, reason] = x;
    f(flag.id), f(reason);
  }
  void operator()(LinkFact& x) {
    auto& [user, same_as, unlink, evidence] = x;
    f(user.id), f(same_as.id), f(evidence);
  }
  void operator()(ErasureFact& x) {
    auto& [subject] = x;
    f(subject.id);
  }
  void operator()(IncentiveFact& x) {
    auto& [subject, kind, amount, reason, reverses] = x;
    f(subject.id), f(reason), f(reverses.id);
  }
  void operator()(AccountFact& x) {
    auto& [action, followers, name, team, expires, revoked] = x;
    f(name), f(team);
  }
  void operator()(EntitlementUseFact& x) {
    auto& [right, quantity] = x;
    f(right);
  }
  void operator()(FeedbackFact& x) {
    auto& [kind, value, about] = x;
    f(about);
  }
};

template <class F>
void each_text(Fact& fact, F f) {
  f(fact.id), f(fact.user.id), f(fact.device), f(fact.network), f(fact.channel), f(fact.campaign);
  std::visit(Texts<F>{f}, fact.body);
}

}  // namespace

HeldTick::HeldTick(HeldBytes total) : total_(std::move(total)), next_block_(kFirstBlock) { grew(sizeof *this); }
HeldTick::~HeldTick() { total_->fetch_sub(bytes_, std::memory_order_relaxed); }

void HeldTick::grew(size_t n) {
  bytes_ += n;
  total_->fetch_add(n, std::memory_order_relaxed);
}

char* HeldTick::allocate(size_t n, size_t align) {
  const size_t pad = (align - reinterpret_cast<uintptr_t>(at_) % align) % align;
  if (n > kBlockMax / 4 && n + pad > left_) {  // by itself, so that the room left in the block is not lost
    blocks_.emplace_back(new char[n]);
    grew(n + sizeof blocks_.back());
    return blocks_.back().get();
  }
  if (n + pad > left_) {
    const size_t size = std::max(n, next_block_);
    next_block_ = std::min(next_block_ * 2, kBlockMax);
    blocks_.emplace_back(new char[size]);  // aligned for anything
    grew(size + sizeof blocks_.back());
    at_ = blocks_.back().get(), left_ = size;
  } else {
    at_ += pad, left_ -= pad;
  }
  char* const out = at_;
  at_ += n, left_ -= n;
  return out;
}

std::string_view HeldTick::copy(std::string_view text) {
  if (text.empty()) return {};
  char* const out = allocate(text.size(), 1);
  std::memcpy(out, text.data(), text.size());
  return {out, text.size()};
}

void HeldTick::add(const Record& from) {
  auto* const record = new (allocate(sizeof(Record), alignof(Record))) Record(from);
  const size_t room = records_.capacity();
  records_.push_back(record);
  grew((records_.capacity() - room) * (sizeof(void*) * 2));  // once more in the chunk that hands them on
  if (record->reason == Reason::kNone) {
    record->raw = record->detail = {};
    // One piece for all texts of a record: they are read together.
    size_t size = 0;
    each_text(*record, [&size](std::string_view& text) { size += text.size(); });
    char* to = allocate(size, 1);
    each_text(*record, [&to](std::string_view& text) {
      if (text.empty()) {
        text = {};
        return;
      }
      std::memcpy(to, text.data(), text.size());
      text = {to, text.size()};
      to += text.size();
    });
    return;
  }
  static_cast<Fact&>(*record) = Fact{};  // of a dead letter it is unspecified, and points anywhere
  auto kept =
      std::find_if(dead_raw_.begin(), dead_raw_.end(), [&](const auto& k) { return k.first == from.partition; });
  if (kept == dead_raw_.end()) kept = dead_raw_.insert(kept, {from.partition, 0});
  record->raw = copy(from.raw.substr(0, kept->second < kDeadRawTickMax ? kDeadRawMax : kDeadRawShort));
  kept->second += record->raw.size();
  record->detail = copy(from.detail.substr(0, kDeadDetailMax));
}

}  // namespace bellwether

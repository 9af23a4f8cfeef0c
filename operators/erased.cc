#include "operators/erased.h"

#include "operators/limits.h"

namespace bellwether {
namespace {

static_assert(kIdBytesMax == 64, "one bit a length");

constexpr size_t kShortBytes = 4;

// Scripts that put no blanks between words are no part of a word next to them, but for the shortest ids.
bool of_a_word(char c, bool any_script) {
  const auto b = static_cast<unsigned char>(c);
  return (any_script && b >= 0x80) || (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
}

// Each returns whether it changed anything.
struct Forget {
  const Erased& erased;
  bool by_erased;  // who did it is

  bool user(Ref& ref) const {
    const std::string* name = erased.name(ref.hash);
    if (name == nullptr || ref.id == *name) return false;
    ref.id = *name;
    return true;
  }
  bool text(std::string_view& text, bool about_erased) const {
    if (text.empty() || (!about_erased && !erased.in(text))) return false;
    text = {};
    return true;
  }
  bool is(const Ref& ref) const { return erased.name(ref.hash) != nullptr; }

  bool operator()(LikeFact& f) const { return user(f.author); }
  bool operator()(PostFact& f) const { return user(f.author) | user(f.parent_author); }
  bool operator()(ReferralFact& f) const { return user(f.referrer) | user(f.referred); }
  bool operator()(BetaTestFact& f) const { return user(f.tester); }
  bool operator()(RatingFact& f) const { return user(f.subject); }
  bool operator()(HoldFact& f) const { return user(f.subject) | text(f.reason, by_erased || is(f.subject)); }
  bool operator()(LabelFact& f) const { return user(f.subject); }
  bool operator()(VerdictFact& f) const { return text(f.reason, by_erased); }
  bool operator()(LinkFact& f) const {
    return user(f.user) | user(f.same_as) | text(f.evidence, by_erased || is(f.user) || is(f.same_as));
  }
  bool operator()(ErasureFact& f) const { return user(f.subject); }
  bool operator()(IncentiveFact& f) const { return user(f.subject) | text(f.reason, by_erased || is(f.subject)); }
  bool operator()(AccountFact& f) const { return text(f.team, by_erased); }
  bool operator()(EntitlementUseFact&) const { return false; }
  bool operator()(FeedbackFact&) const { return false; }
};

}  // namespace

bool Erased::add(uint64_t user, size_t id_bytes) {
  if (!names_.try_emplace(user, std::make_shared<const std::string>(erased_name(user))).second) return false;
  if (id_bytes > 0 && id_bytes <= kIdBytesMax) lengths_ |= uint64_t{1} << (id_bytes - 1);
  return true;
}

Erased::Found Erased::find(std::string_view text, size_t from, Where where) const {
  for (size_t at = from; lengths_ != 0 && at < text.size(); ++at) {
    for (uint64_t left = lengths_; left != 0; left &= left - 1) {
      const auto bytes = static_cast<size_t>(__builtin_ctzll(left)) + 1;
      if (bytes > text.size() - at) break;  // lengths rise
      const bool is_short = bytes < kShortBytes;
      if ((where == Where::kText || is_short) && ((at > 0 && of_a_word(text[at - 1], is_short)) ||
                                                  (at + bytes < text.size() && of_a_word(text[at + bytes], is_short))))
        continue;
      const std::string_view part = text.substr(at, bytes);
      uint64_t spelt;
      if (parse_erased_name(part, spelt)) continue;
      if (const std::string* found = name((*hasher_)(KeyKind::kUser, part))) return {at, bytes, found};
    }
  }
  return {};
}

std::string Erased::without(std::string_view text) const {
  std::string out;
  size_t at = 0;
  for (Found found = find(text, 0, Where::kText); found.bytes != 0; found = find(text, at, Where::kText)) {
    out.append(text.substr(at, found.at - at)).append(*found.name);
    at = found.at + found.bytes;
  }
  return out.append(text.substr(at));
}

bool forget(Fact& fact, const Erased& erased) {
  if (erased.empty()) return false;
  const bool by_erased = erased.name(fact.user.hash) != nullptr;
  const Forget forget{erased, by_erased};
  bool changed = forget.user(fact.user) | std::visit(forget, fact.body);
  if (by_erased) {
    for (std::string_view* token : {&fact.device, &fact.network, &fact.campaign})
      changed |= !token->empty(), *token = {};
    if (!fact.channel.empty() && fact.channel != kErasedChannel) fact.channel = kErasedChannel, changed = true;
  }
  return changed;
}

}  // namespace bellwether

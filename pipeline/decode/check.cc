#include "pipeline/decode/parse.h"

namespace bellwether::decode {
namespace {

constexpr int64_t kSecondsMin = -9'214'560'000;  // 1678-01-01T00:00:00Z
constexpr int64_t kSecondsEnd = 9'246'182'400;   // 2263-01-01T00:00:00Z
constexpr int32_t kNanosEnd = 1'000'000'000;

// The checks of one event. Each returns false after it has set the problem.
struct Check {
  const Hasher& hasher;
  const Parsed& parsed;
  Fact& fact;
  Problem& problem;

  bool fail(Reason reason, const char* where, const char* what) {
    problem = {reason, where, what};
    return false;
  }

  // Ids. `need` fails on an empty one, `may` leaves it absent.
  bool id(std::string_view text, const char* where) {
    if (text.size() <= kIdBytesMax) return true;
    return fail(Reason::kIdTooLong, where, "is longer than 64 bytes");
  }
  bool needed(std::string_view text, const char* where) {
    if (text.empty()) return fail(Reason::kEmptyId, where, "is empty");
    return id(text, where);
  }
  bool may(Ref& ref, KeyKind kind, const char* where) {
    if (!id(ref.id, where)) return false;
    ref.hash = ref.id.empty() ? 0 : hasher(kind, ref.id);
    return true;
  }
  bool need(Ref& ref, KeyKind kind, const char* where) { return needed(ref.id, where) && may(ref, kind, where); }

  bool name(std::string_view text, const char* where) {
    if (text.size() <= kNameBytesMax) return true;
    return fail(Reason::kTextTooLong, where, "is longer than 64 bytes");
  }
  bool reason(std::string_view text, const char* where) {
    if (text.size() <= kReasonBytesMax) return true;
    return fail(Reason::kTextTooLong, where, "is longer than 500 bytes");
  }
  template <class Enum>
  bool known(Enum value, const char* where) {
    if (value != Enum::kUnspecified) return true;
    return fail(Reason::kUnspecifiedEnum, where, "is unspecified or unknown");
  }
  bool percent(uint32_t value, const char* where) {
    if (value <= 100) return true;
    return fail(Reason::kOutOfRange, where, "is not within 0..100");
  }
  bool time(const RawTime& raw, int64_t& out_us, const char* where) {
    if (raw.nanos < 0 || raw.nanos >= kNanosEnd) {
      return fail(Reason::kInvalidTime, where, "has nanos outside 0..999999999");
    }
    if (raw.seconds < kSecondsMin || raw.seconds >= kSecondsEnd) {
      return fail(Reason::kInvalidTime, where, "lies outside the years 1678 to 2262");
    }
    out_us = raw.seconds * 1'000'000 + raw.nanos / 1'000;
    return true;
  }
  bool expires(int64_t& out_us, const char* where) {
    out_us = 0;
    if (!parsed.expires.present) return true;
    if (!time(parsed.expires, out_us, where)) return false;
    if (out_us == 0) out_us = 1;  // 0 stands for never, and the first microsecond of 1970 is long over
    return true;
  }
  bool home(KeyKind kind, uint64_t hash) {
    fact.home = {kind, hash};
    return true;
  }

  bool header() {
    if (!needed(fact.id, "id")) return false;
    fact.id_hash = hasher(KeyKind::kEvent, fact.id);
    if (!parsed.time.present) return fail(Reason::kTimeMissing, "time", "is missing");
    return time(parsed.time, fact.time_us, "time") && need(fact.user, KeyKind::kUser, "user") &&
           name(fact.device, "origin.device") && name(fact.network, "origin.network") &&
           name(fact.channel, "origin.channel") && name(fact.campaign, "origin.campaign");
  }

  bool operator()(LikeFact& f) {
    if (!known(f.kind, "like.kind") || !need(f.author, KeyKind::kUser, "like.author")) return false;
    if (!may(f.post, KeyKind::kPost, "like.post")) return false;
    if (f.kind == LikeKind::kFollow) {
      f.post = {};  // a follow is of the author, whatever page it was clicked on
    } else if (!f.post.present()) {
      return fail(Reason::kEmptyId, "like.post", "is empty");
    }
    return home(KeyKind::kUser, fact.user.hash);
  }
  bool operator()(PostFact& f) {
    if (!need(f.post, KeyKind::kPost, "post.post") || !known(f.action, "post.action")) return false;
    if (!may(f.author, KeyKind::kUser, "post.author") || !may(f.parent, KeyKind::kPost, "post.parent")) return false;
    if (!may(f.parent_author, KeyKind::kUser, "post.parent_author")) return false;
    if (parsed.topics > kTopicsMax) return fail(Reason::kTooManyTopics, "post.topics", "are more than 8");
    f.topic_count = static_cast<uint8_t>(parsed.topics);
    for (uint32_t i = 0; i < parsed.topics; ++i) {
      if (!name(f.topics[i], "post.topics")) return false;
    }
    if (f.sentiment < -100 || f.sentiment > 100) {
      return fail(Reason::kOutOfRange, "post.sentiment", "is not within -100..100");
    }
    return home(KeyKind::kPost, f.post.hash);
  }
  bool operator()(ReferralFact& f) {
    return need(f.referral, KeyKind::kReferral, "referral.referral") &&
           need(f.referrer, KeyKind::kUser, "referral.referrer") &&
           may(f.referred, KeyKind::kUser, "referral.referred") && known(f.stage, "referral.stage") &&
           home(KeyKind::kReferral, f.referral.hash);
  }
  bool operator()(BetaTestFact& f) {
    if (!needed(f.program, "beta_test.program") || !may(f.report, KeyKind::kReport, "beta_test.report")) return false;
    if (!known(f.kind, "beta_test.kind")) return false;
    if (f.severity > 5) return fail(Reason::kOutOfRange, "beta_test.severity", "is not within 1..5");
    if (!may(f.tester, KeyKind::kUser, "beta_test.tester")) return false;
    if (f.report.present()) return home(KeyKind::kReport, f.report.hash);
    const std::string_view tester = f.tester.present() ? f.tester.id : fact.user.id;
    return home(KeyKind::kReport, hasher.pair(KeyKind::kReport, f.program, tester));
  }
  bool operator()(RatingFact& f) {
    return need(f.subject, KeyKind::kUser, "judgement.rating.subject") &&
           known(f.capability, "judgement.rating.capability") && percent(f.points, "judgement.rating.points") &&
           expires(f.expires_us, "judgement.rating.expires") && home(KeyKind::kUser, f.subject.hash);
  }
  bool operator()(HoldFact& f) {
    return need(f.subject, KeyKind::kUser, "judgement.hold.subject") && known(f.tier, "judgement.hold.tier") &&
           expires(f.expires_us, "judgement.hold.expires") && reason(f.reason, "judgement.hold.reason") &&
           home(KeyKind::kUser, f.subject.hash);
  }
  bool operator()(LabelFact& f) {
    return need(f.subject, KeyKind::kUser, "judgement.label.subject") &&
           percent(f.willingness, "judgement.label.willingness") &&
           percent(f.subjective_norm, "judgement.label.subjective_norm") && percent(f.fit, "judgement.label.fit") &&
           home(KeyKind::kUser, f.subject.hash);
  }
  bool operator()(VerdictFact& f) {
    return need(f.flag, KeyKind::kFlag, "judgement.verdict.flag") && known(f.decision, "judgement.verdict.decision") &&
           reason(f.reason, "judgement.verdict.reason") && home(KeyKind::kFlag, f.flag.hash);
  }
  bool operator()(LinkFact& f) {
    // Its own `user`, the account that the link is about, not the member of staff who wrote it.
    return need(f.user, KeyKind::kUser, "judgement.link.user") &&
           need(f.same_as, KeyKind::kUser, "judgement.link.same_as") && reason(f.evidence, "judgement.link.evidence") &&
           home(KeyKind::kUser, f.user.hash);
  }
  bool operator()(ErasureFact& f) {
    return need(f.subject, KeyKind::kUser, "judgement.erasure.subject") && home(KeyKind::kUser, f.subject.hash);
  }
  bool operator()(IncentiveFact& f) {
    return need(f.subject, KeyKind::kUser, "judgement.incentive.subject") &&
           known(f.kind, "judgement.incentive.kind") && reason(f.reason, "judgement.incentive.reason") &&
           may(f.reverses, KeyKind::kEvent, "judgement.incentive.reverses") && home(KeyKind::kUser, f.subject.hash);
  }
  bool operator()(AccountFact& f) {
    return known(f.action, "account.action") && name(f.name, "account.name") && name(f.team, "account.team") &&
           expires(f.expires_us, "account.expires") && home(KeyKind::kUser, fact.user.hash);
  }
  bool operator()(EntitlementUseFact& f) {
    if (f.quantity == 0) f.quantity = 1;
    return needed(f.right, "entitlement_use.right") && home(KeyKind::kUser, fact.user.hash);
  }
  bool operator()(FeedbackFact& f) {
    return known(f.kind, "feedback.kind") && id(f.about, "feedback.about") && home(KeyKind::kUser, fact.user.hash);
  }
};

}  // namespace

bool check_event(const Hasher& hasher, const Parsed& parsed, Fact& fact, Problem& problem) {
  Check check{hasher, parsed, fact, problem};
  if (!check.header()) return false;
  if (parsed.body == 0) return check.fail(Reason::kBodyMissing, "body", "is missing");
  if (parsed.body == 14 && parsed.judgement == 0) {
    return check.fail(Reason::kBodyMissing, "judgement.body", "is missing");
  }
  return std::visit(check, fact.body);
}

}  // namespace bellwether::decode

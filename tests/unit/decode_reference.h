// What decoding should give, said a second time by way of the protobuf library: slow, plain, and written apart from the
// decoder.
#pragma once

#include <google/protobuf/message.h>

#include <random>
#include <sstream>
#include <string>

#include "bellwether/v1/event.pb.h"
#include "operators/fact.h"

namespace bellwether::decode_reference {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// ---- a fact as text, so that two can be compared and shown ----

inline std::string text(std::string_view v) { return "'" + std::string(v) + "' "; }
inline std::string text(const Ref& v) { return "'" + std::string(v.id) + "'#" + std::to_string(v.hash) + " "; }
template <class Number>
requires std::is_arithmetic_v<Number> || std::is_enum_v<Number> std::string text(Number v) {
  return std::to_string(static_cast<std::conditional_t<std::is_same_v<Number, uint64_t>, uint64_t, int64_t>>(v)) + " ";
}
template <class... Fields>
std::string line(const char* name, const Fields&... fields) {
  return name + std::string(" ") + (text(fields) + ... + "");
}

struct DumpBody {
  std::string operator()(const LikeFact& f) { return line("like", f.post, f.author, f.kind, f.undo, f.post_kind); }
  std::string operator()(const PostFact& f) {
    std::string topics;
    for (size_t i = 0; i < f.topic_count; ++i) topics += text(f.topics[i]);
    return line("post", f.post, f.kind, f.action, f.author, f.parent, f.parent_author, f.length, f.sentiment) + topics;
  }
  std::string operator()(const ReferralFact& f) {
    return line("referral", f.referral, f.referrer, f.referred, f.stage, f.amount_micros);
  }
  std::string operator()(const BetaTestFact& f) {
    return line("beta", f.program, f.report, f.kind, f.status, f.severity, f.reproducible, f.prompt, f.minutes,
                f.tester);
  }
  std::string operator()(const RatingFact& f) {
    return line("rating", f.subject, f.capability, f.points, f.expires_us);
  }
  std::string operator()(const HoldFact& f) {
    return line("hold", f.subject, f.tier, f.expires_us, f.reason, f.release);
  }
  std::string operator()(const LabelFact& f) {
    return line("label", f.subject, f.key_user, f.willingness, f.subjective_norm, f.fit);
  }
  std::string operator()(const VerdictFact& f) { return line("verdict", f.flag, f.decision, f.reason); }
  std::string operator()(const LinkFact& f) { return line("link", f.user, f.same_as, f.unlink, f.evidence); }
  std::string operator()(const ErasureFact& f) { return line("erasure", f.subject); }
  std::string operator()(const IncentiveFact& f) {
    return line("incentive", f.subject, f.kind, f.amount_micros, f.reason, f.reverses);
  }
  std::string operator()(const AccountFact& f) {
    return line("account", f.action, f.followers, f.name, f.team, f.expires_us, f.revoked);
  }
  std::string operator()(const EntitlementUseFact& f) { return line("entitlement", f.right, f.quantity); }
  std::string operator()(const FeedbackFact& f) { return line("feedback", f.kind, f.value, f.about); }
};

inline std::string dump(const Fact& f) {
  return line("event", f.time_us, f.id_hash, f.home.kind, f.home.hash, f.id, f.user, f.device, f.network, f.channel,
              f.campaign) +
         std::visit(DumpBody{}, f.body);
}

// ---- the same text from the parsed message ----

class Reference {
 public:
  explicit Reference(const Hasher& hasher) : hash_(hasher) {}

  // Whether the contract allows it; only then is `dump` of use.
  bool valid(const v1::Event& e) {
    if (!id(e.id(), true) || !e.has_time() || !time_ok(e.time()) || !id(e.user(), true)) return false;
    if (!fits(e.origin().device(), 64) || !fits(e.origin().network(), 64) || !fits(e.origin().channel(), 64) ||
        !fits(e.origin().campaign(), 64)) {
      return false;
    }
    switch (e.body_case()) {
      case v1::Event::kPost: {
        const auto& b = e.post();
        for (const auto& topic : b.topics()) {
          if (!fits(topic, 64)) return false;
        }
        return id(b.post(), true) && b.action() >= 1 && b.action() <= 11 && id(b.author(), false) &&
               id(b.parent(), false) && id(b.parent_author(), false) && b.topics_size() <= 8 && b.sentiment() >= -100 &&
               b.sentiment() <= 100;
      }
      case v1::Event::kLike: {
        const auto& b = e.like();
        return id(b.author(), true) && b.kind() >= 1 && b.kind() <= 5 && id(b.post(), b.kind() != v1::LIKE_KIND_FOLLOW);
      }
      case v1::Event::kReferral: {
        const auto& b = e.referral();
        return id(b.referral(), true) && id(b.referrer(), true) && id(b.referred(), false) && b.stage() >= 1 &&
               b.stage() <= 7;
      }
      case v1::Event::kBetaTest: {
        const auto& b = e.beta_test();
        return id(b.program(), true) && id(b.report(), false) && id(b.tester(), false) && b.kind() >= 1 &&
               b.kind() <= 4 && b.severity() <= 5;
      }
      case v1::Event::kJudgement:
        return valid(e.judgement());
      case v1::Event::kAccount: {
        const auto& b = e.account();
        return b.action() >= 1 && b.action() <= 6 && fits(b.name(), 64) && fits(b.team(), 64) && expires_ok(b);
      }
      case v1::Event::kEntitlementUse:
        return id(e.entitlement_use().right(), true);
      case v1::Event::kFeedback:
        return e.feedback().kind() >= 1 && e.feedback().kind() <= 5 && id(e.feedback().about(), false);
      case v1::Event::BODY_NOT_SET:
        return false;
    }
    return false;
  }

  std::string dump(const v1::Event& e) {
    Key home{KeyKind::kUser, hash_(KeyKind::kUser, e.user())};
    const std::string body = dump_body(e, home);
    const auto& o = e.origin();
    return line("event", micros(e.time()), hash_(KeyKind::kEvent, e.id()), home.kind, home.hash, e.id(), user(e.user()),
                o.device(), o.network(), o.channel(), o.campaign()) +
           body;
  }

 private:
  static bool fits(const std::string& v, size_t most) { return v.size() <= most; }
  static bool id(const std::string& v, bool needed) { return v.size() <= 64 && (!needed || !v.empty()); }
  static bool time_ok(const google::protobuf::Timestamp& t) {
    return t.seconds() >= -9214560000 && t.seconds() < 9246182400 && t.nanos() >= 0 && t.nanos() < 1000000000;
  }
  template <class Body>
  static bool expires_ok(const Body& b) {
    return !b.has_expires() || time_ok(b.expires());
  }
  static int64_t micros(const google::protobuf::Timestamp& t) { return t.seconds() * 1000000 + t.nanos() / 1000; }
  template <class Body>
  static int64_t expires(const Body& b) {
    if (!b.has_expires()) return 0;
    return micros(b.expires()) == 0 ? 1 : micros(b.expires());
  }

  static bool valid(const v1::Judgement& j) {
    switch (j.body_case()) {
      case v1::Judgement::kRating: {
        const auto& b = j.rating();
        return id(b.subject(), true) && b.capability() >= 1 && b.capability() <= 4 && b.points() <= 100 &&
               expires_ok(b);
      }
      case v1::Judgement::kHold: {
        const auto& b = j.hold();
        return id(b.subject(), true) && b.tier() >= 1 && b.tier() <= 4 && expires_ok(b) && fits(b.reason(), 500);
      }
      case v1::Judgement::kLabel: {
        const auto& b = j.label();
        return id(b.subject(), true) && b.willingness() <= 100 && b.subjective_norm() <= 100 && b.fit() <= 100;
      }
      case v1::Judgement::kVerdict: {
        const auto& b = j.verdict();
        return id(b.flag(), true) && b.decision() >= 1 && b.decision() <= 5 && fits(b.reason(), 500);
      }
      case v1::Judgement::kLink: {
        const auto& b = j.link();
        return id(b.user(), true) && id(b.same_as(), true) && fits(b.evidence(), 500);
      }
      case v1::Judgement::kErasure:
        return id(j.erasure().subject(), true);
      case v1::Judgement::kIncentive: {
        const auto& b = j.incentive();
        return id(b.subject(), true) && b.kind() >= 1 && b.kind() <= 4 && fits(b.reason(), 500) &&
               id(b.reverses(), false);
      }
      case v1::Judgement::BODY_NOT_SET:
        return false;
    }
    return false;
  }

  Ref ref(KeyKind kind, const std::string& v) { return {v, v.empty() ? 0 : hash_(kind, v)}; }
  Ref user(const std::string& v) { return ref(KeyKind::kUser, v); }
  template <class Enum>
  static int known(Enum v, int last) {
    return static_cast<int>(v) < 0 || static_cast<int>(v) > last ? 0 : static_cast<int>(v);
  }

  std::string dump_body(const v1::Event& e, Key& home) {
    switch (e.body_case()) {
      case v1::Event::kPost: {
        const auto& b = e.post();
        home = {KeyKind::kPost, hash_(KeyKind::kPost, b.post())};
        std::string topics;
        for (const auto& topic : b.topics()) topics += text(std::string_view(topic));
        return line("post", ref(KeyKind::kPost, b.post()), known(b.kind(), 6), known(b.action(), 11), user(b.author()),
                    ref(KeyKind::kPost, b.parent()), user(b.parent_author()), b.length(), b.sentiment()) +
               topics;
      }
      case v1::Event::kLike: {
        const auto& b = e.like();
        const bool follow = b.kind() == v1::LIKE_KIND_FOLLOW;
        return line("like", follow ? Ref{} : ref(KeyKind::kPost, b.post()), user(b.author()), b.kind(), b.undo(),
                    known(b.post_kind(), 6));
      }
      case v1::Event::kReferral: {
        const auto& b = e.referral();
        home = {KeyKind::kReferral, hash_(KeyKind::kReferral, b.referral())};
        return line("referral", ref(KeyKind::kReferral, b.referral()), user(b.referrer()), user(b.referred()),
                    b.stage(), b.amount_micros());
      }
      case v1::Event::kBetaTest: {
        const auto& b = e.beta_test();
        const std::string& tester = b.tester().empty() ? e.user() : b.tester();
        home = {KeyKind::kReport, b.report().empty() ? hash_.pair(KeyKind::kReport, b.program(), tester)
                                                     : hash_(KeyKind::kReport, b.report())};
        return line("beta", b.program(), ref(KeyKind::kReport, b.report()), b.kind(), known(b.status(), 5),
                    b.severity(), b.reproducible(), known(b.prompt(), 2), b.minutes(), user(b.tester()));
      }
      case v1::Event::kJudgement:
        return dump_judgement(e.judgement(), home);
      case v1::Event::kAccount: {
        const auto& b = e.account();
        return line("account", b.action(), b.followers(), b.name(), b.team(), expires(b), b.revoked());
      }
      case v1::Event::kEntitlementUse: {
        const auto& b = e.entitlement_use();
        return line("entitlement", b.right(), b.quantity() == 0 ? 1 : b.quantity());
      }
      case v1::Event::kFeedback:
        return line("feedback", e.feedback().kind(), e.feedback().value(), e.feedback().about());
      case v1::Event::BODY_NOT_SET:
        break;
    }
    return "no body";
  }

  std::string dump_judgement(const v1::Judgement& j, Key& home) {
    const auto at_home = [&](const std::string& subject) {
      home = {KeyKind::kUser, hash_(KeyKind::kUser, subject)};
      return user(subject);
    };
    switch (j.body_case()) {
      case v1::Judgement::kRating: {
        const auto& b = j.rating();
        return line("rating", at_home(b.subject()), b.capability(), b.points(), expires(b));
      }
      case v1::Judgement::kHold: {
        const auto& b = j.hold();
        return line("hold", at_home(b.subject()), b.tier(), expires(b), b.reason(), b.release());
      }
      case v1::Judgement::kLabel: {
        const auto& b = j.label();
        return line("label", at_home(b.subject()), b.key_user(), b.willingness(), b.subjective_norm(), b.fit());
      }
      case v1::Judgement::kVerdict: {
        const auto& b = j.verdict();
        home = {KeyKind::kFlag, hash_(KeyKind::kFlag, b.flag())};
        return line("verdict", ref(KeyKind::kFlag, b.flag()), b.decision(), b.reason());
      }
      case v1::Judgement::kLink: {
        const auto& b = j.link();
        return line("link", at_home(b.user()), user(b.same_as()), b.unlink(), b.evidence());
      }
      case v1::Judgement::kErasure:
        return line("erasure", at_home(j.erasure().subject()));
      case v1::Judgement::kIncentive: {
        const auto& b = j.incentive();
        return line("incentive", at_home(b.subject()), b.kind(), b.amount_micros(), b.reason(),
                    ref(KeyKind::kEvent, b.reverses()));
      }
      case v1::Judgement::BODY_NOT_SET:
        break;
    }
    return "no judgement";
  }

  const Hasher& hash_;
};

// ---- random events ----

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}
  uint64_t below(uint64_t n) { return random_() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

  // Mostly valid; one event in `odd` or so breaks a rule somewhere. Unknown fields are strewn in if asked for.
  v1::Event event(uint64_t odd, bool unknown) {
    odd_ = odd, unknown_ = unknown;
    v1::Event e;
    fill(e, "event");
    return e;
  }

 private:
  std::string some_text(size_t least, size_t most) {
    static const char* const kPieces[] = {"a",  "B",  "7",    "-", "ö", "爱", "😀", "\"",
                                          "\\", "\n", "\x01", " ", "<", "/",  "{"};
    std::string v;
    const size_t size = least + below(one_in(8) ? most - least + 1 : 12);
    while (v.size() < size) v += one_in(3) ? kPieces[below(std::size(kPieces))] : "x";
    if (v.size() > most) v.assign(most, 'y');
    return v;
  }

  std::string text_for(const FieldDescriptor& field) {
    const std::string& name = field.name();
    const bool reason = name == "reason" || name == "evidence";
    if (one_in(odd_ * 8)) return one_in(2) ? "" : std::string(reason ? 501 : 65, 'z');
    return some_text(1, reason ? 500 : 64);
  }

  void fill_time(google::protobuf::Timestamp& t) {
    t.set_seconds(one_in(4) ? static_cast<int64_t>(below(18460742400)) - 9214560000
                            : 1700000000 + static_cast<int64_t>(below(1000000)));
    t.set_nanos(one_in(3) ? 0 : static_cast<int32_t>(below(1000000000)));
    if (one_in(odd_ * 4)) t.set_seconds(one_in(2) ? -9214560001 : 9246182400);
    if (one_in(odd_ * 4)) t.set_nanos(one_in(2) ? -1 : 1000000000);
    if (one_in(50)) t.Clear();
  }

  void fill(Message& m, const std::string& name) {
    const Descriptor& type = *m.GetDescriptor();
    const auto& reflection = *m.GetReflection();
    const int member = type.oneof_decl_count() == 0 || one_in(odd_ * 20)
                           ? -1
                           : static_cast<int>(below(static_cast<uint64_t>(type.oneof_decl(0)->field_count())));
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.containing_oneof() != nullptr) {
        if (field.index_in_oneof() != member) continue;
      } else if (one_in(name == "event" ? odd_ * 10 : 6 * odd_)) {
        continue;
      }
      if (field.is_repeated()) {
        for (uint64_t n = below(one_in(odd_ * 4) ? 10 : 9); n > 0; --n)
          reflection.AddString(&m, &field, text_for(field));
        continue;
      }
      switch (field.cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING:
          reflection.SetString(&m, &field, text_for(field));
          break;
        case FieldDescriptor::CPPTYPE_BOOL:
          reflection.SetBool(&m, &field, one_in(2));
          break;
        case FieldDescriptor::CPPTYPE_UINT32: {
          const bool severity = field.name() == "severity";
          reflection.SetUInt32(&m, &field,
                               one_in(odd_ * 4) ? 0xffffffff : static_cast<uint32_t>(below(severity ? 6 : 101)));
          break;
        }
        case FieldDescriptor::CPPTYPE_INT32:
          reflection.SetInt32(&m, &field, one_in(odd_ * 4) ? INT32_MIN : static_cast<int32_t>(below(201)) - 100);
          break;
        case FieldDescriptor::CPPTYPE_UINT64:
          reflection.SetUInt64(&m, &field, random_() >> below(64));
          break;
        case FieldDescriptor::CPPTYPE_INT64: {
          const auto v = static_cast<int64_t>(random_());
          reflection.SetInt64(&m, &field, one_in(20) ? INT64_MIN : v >> below(64));
          break;
        }
        case FieldDescriptor::CPPTYPE_ENUM: {
          const auto values = static_cast<uint64_t>(field.enum_type()->value_count());
          const int odd_value = one_in(2) ? -1 : static_cast<int>(values);
          reflection.SetEnumValue(&m, &field, one_in(odd_ * 4) ? odd_value : 1 + static_cast<int>(below(values - 1)));
          break;
        }
        case FieldDescriptor::CPPTYPE_MESSAGE: {
          Message& inner = *reflection.MutableMessage(&m, &field);
          if (inner.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
            fill_time(static_cast<google::protobuf::Timestamp&>(inner));
          } else {
            fill(inner, field.name());
          }
          break;
        }
        default:
          std::abort();
      }
    }
    if (unknown_ && one_in(2)) add_unknown(*reflection.MutableUnknownFields(&m), 3);
  }

  void add_unknown(google::protobuf::UnknownFieldSet& set, int depth) {
    const int number = one_in(2) ? 100 + static_cast<int>(below(1000)) : 536870911;
    set.AddVarint(number, random_() >> below(64));
    if (one_in(2)) set.AddFixed32(number, static_cast<uint32_t>(random_()));
    if (one_in(2)) set.AddFixed64(number, random_());
    if (one_in(2)) set.AddLengthDelimited(number, std::string(below(300), '\xff'));
    if (depth > 0) add_unknown(*set.AddGroup(number), depth - 1);
  }

  std::mt19937_64 random_;
  uint64_t odd_ = 1000;
  bool unknown_ = false;
};

}  // namespace bellwether::decode_reference

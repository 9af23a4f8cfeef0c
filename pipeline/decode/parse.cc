#include "pipeline/decode/parse.h"

#include "pipeline/decode/wire.h"

namespace bellwether::decode {
namespace {

// One message being read. `read` has one overload for each type of field; each returns false after it has set the
// problem.
struct Message {
  Wire wire;
  const char* name;
  Problem& problem;

  Message(std::string_view bytes, const char* message_name, Problem& p) : wire(bytes), name(message_name), problem(p) {}

  bool malformed() {
    problem = {Reason::kUndecodable, name, "is cut short or malformed"};
    return false;
  }
  // The next field's tag; 0 at the end. False if malformed.
  bool next(uint32_t& tag) {
    tag = 0;
    return wire.done() || wire.tag(tag) || malformed();
  }
  bool skip(uint32_t tag) { return wire.skip(tag) || malformed(); }
  bool bytes(std::string_view& out) { return wire.bytes(out) || malformed(); }
  bool text(std::string_view& out, const char* where) {
    if (!wire.bytes(out)) return malformed();
    if (valid_utf8(out)) return true;
    problem = {Reason::kInvalidUtf8, where, "is not UTF-8"};
    return false;
  }
  bool read(uint64_t& out) { return wire.varint(out) || malformed(); }
  bool read(int64_t& out) {
    uint64_t v = 0;
    if (!read(v)) return false;
    out = static_cast<int64_t>(v);
    return true;
  }
  bool read(uint32_t& out) {
    uint64_t v = 0;
    if (!read(v)) return false;
    out = static_cast<uint32_t>(v);
    return true;
  }
  bool read(int32_t& out) {
    uint64_t v = 0;
    if (!read(v)) return false;
    out = static_cast<int32_t>(static_cast<uint32_t>(v));
    return true;
  }
  bool read(bool& out) {
    uint64_t v = 0;
    if (!read(v)) return false;
    out = v != 0;
    return true;
  }
  bool read_zigzag(int32_t& out) {
    uint32_t v = 0;
    if (!read(v)) return false;
    out = static_cast<int32_t>(v >> 1 ^ (0 - (v & 1)));
    return true;
  }
  bool read_zigzag(int64_t& out) {
    uint64_t v = 0;
    if (!read(v)) return false;
    out = static_cast<int64_t>(v >> 1 ^ (0 - (v & 1)));
    return true;
  }
  // An enum with the values 0..last; what a newer producer may send beyond them is 0.
  template <class Enum>
  bool read(Enum& out, Enum last) {
    int32_t v = 0;
    if (!read(v)) return false;
    out = v < 0 || v > static_cast<int32_t>(last) ? Enum{} : static_cast<Enum>(v);
    return true;
  }
};

constexpr uint32_t text_tag(uint32_t number) { return tag_of(number, kLength); }
constexpr uint32_t number_tag(uint32_t number) { return tag_of(number, kVarint); }

bool parse(std::string_view bytes, RawTime& out, const char* where, Problem& problem) {
  Message m(bytes, where, problem);
  out.present = true;
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case number_tag(1):
        good = m.read(out.seconds);
        break;
      case number_tag(2):
        good = m.read(out.nanos);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse_origin(std::string_view bytes, Fact& out, Problem& problem) {
  Message m(bytes, "origin", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.device, "origin.device");
        break;
      case text_tag(2):
        good = m.text(out.network, "origin.network");
        break;
      case text_tag(3):
        good = m.text(out.channel, "origin.channel");
        break;
      case text_tag(4):
        good = m.text(out.campaign, "origin.campaign");
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, PostFact& out, Parsed& parsed, Problem& problem) {
  Message m(bytes, "post", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    std::string_view topic;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.post.id, "post.post");
        break;
      case number_tag(2):
        good = m.read(out.kind, PostKind::kArticle);
        break;
      case number_tag(3):
        good = m.read(out.action, PostAction::kUnaccepted);
        break;
      case text_tag(4):
        good = m.text(out.author.id, "post.author");
        break;
      case text_tag(5):
        good = m.text(out.parent.id, "post.parent");
        break;
      case text_tag(6):
        good = m.text(out.parent_author.id, "post.parent_author");
        break;
      case text_tag(7):
        good = m.text(topic, "post.topics");
        if (good && parsed.topics < kTopicsMax) out.topics[parsed.topics] = topic;
        ++parsed.topics;
        break;
      case number_tag(8):
        good = m.read(out.length);
        break;
      case number_tag(9):
        good = m.read_zigzag(out.sentiment);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, LikeFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "like", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.post.id, "like.post");
        break;
      case text_tag(2):
        good = m.text(out.author.id, "like.author");
        break;
      case number_tag(3):
        good = m.read(out.kind, LikeKind::kView);
        break;
      case number_tag(4):
        good = m.read(out.undo);
        break;
      case number_tag(5):
        good = m.read(out.post_kind, PostKind::kArticle);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, ReferralFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "referral", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.referral.id, "referral.referral");
        break;
      case text_tag(2):
        good = m.text(out.referrer.id, "referral.referrer");
        break;
      case text_tag(3):
        good = m.text(out.referred.id, "referral.referred");
        break;
      case number_tag(4):
        good = m.read(out.stage, ReferralStage::kAsked);
        break;
      case number_tag(5):
        good = m.read(out.amount_micros);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, BetaTestFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "beta_test", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.program, "beta_test.program");
        break;
      case text_tag(2):
        good = m.text(out.report.id, "beta_test.report");
        break;
      case number_tag(3):
        good = m.read(out.kind, BetaTestKind::kSuggestion);
        break;
      case number_tag(4):
        good = m.read(out.status, BetaTestStatus::kRejected);
        break;
      case number_tag(5):
        good = m.read(out.severity);
        break;
      case number_tag(6):
        good = m.read(out.reproducible);
        break;
      case number_tag(7):
        good = m.read(out.prompt, Prompt::kUnprompted);
        break;
      case number_tag(8):
        good = m.read(out.minutes);
        break;
      case text_tag(9):
        good = m.text(out.tester.id, "beta_test.tester");
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

// Fields of type message inside a body: read the bytes, then merge them into `time`.
bool read_time(Message& m, RawTime& time, const char* where) {
  std::string_view bytes;
  return m.bytes(bytes) && parse(bytes, time, where, m.problem);
}

bool parse(std::string_view bytes, RatingFact& out, Parsed& parsed, Problem& problem) {
  Message m(bytes, "judgement.rating", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.subject.id, "judgement.rating.subject");
        break;
      case number_tag(2):
        good = m.read(out.capability, Capability::kKnowledge);
        break;
      case number_tag(3):
        good = m.read(out.points);
        break;
      case text_tag(4):
        good = read_time(m, parsed.expires, "judgement.rating.expires");
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, HoldFact& out, Parsed& parsed, Problem& problem) {
  Message m(bytes, "judgement.hold", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.subject.id, "judgement.hold.subject");
        break;
      case number_tag(2):
        good = m.read(out.tier, Tier::kLead);
        break;
      case text_tag(3):
        good = read_time(m, parsed.expires, "judgement.hold.expires");
        break;
      case text_tag(4):
        good = m.text(out.reason, "judgement.hold.reason");
        break;
      case number_tag(5):
        good = m.read(out.release);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, LabelFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "judgement.label", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.subject.id, "judgement.label.subject");
        break;
      case number_tag(2):
        good = m.read(out.key_user);
        break;
      case number_tag(3):
        good = m.read(out.willingness);
        break;
      case number_tag(4):
        good = m.read(out.subjective_norm);
        break;
      case number_tag(5):
        good = m.read(out.fit);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, VerdictFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "judgement.verdict", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.flag.id, "judgement.verdict.flag");
        break;
      case number_tag(2):
        good = m.read(out.decision, Decision::kUpheld);
        break;
      case text_tag(3):
        good = m.text(out.reason, "judgement.verdict.reason");
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, LinkFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "judgement.link", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.user.id, "judgement.link.user");
        break;
      case text_tag(2):
        good = m.text(out.same_as.id, "judgement.link.same_as");
        break;
      case number_tag(3):
        good = m.read(out.unlink);
        break;
      case text_tag(4):
        good = m.text(out.evidence, "judgement.link.evidence");
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, ErasureFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "judgement.erasure", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.subject.id, "judgement.erasure.subject");
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, IncentiveFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "judgement.incentive", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.subject.id, "judgement.incentive.subject");
        break;
      case number_tag(2):
        good = m.read(out.kind, IncentiveKind::kRight);
        break;
      case number_tag(3):
        good = m.read(out.amount_micros);
        break;
      case text_tag(4):
        good = m.text(out.reason, "judgement.incentive.reason");
        break;
      case text_tag(5):
        good = m.text(out.reverses.id, "judgement.incentive.reverses");
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, AccountFact& out, Parsed& parsed, Problem& problem) {
  Message m(bytes, "account", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case number_tag(1):
        good = m.read(out.action, AccountAction::kClosed);
        break;
      case number_tag(2):
        good = m.read(out.followers);
        break;
      case text_tag(3):
        good = m.text(out.name, "account.name");
        break;
      case text_tag(4):
        good = m.text(out.team, "account.team");
        break;
      case text_tag(5):
        good = read_time(m, parsed.expires, "account.expires");
        break;
      case number_tag(6):
        good = m.read(out.revoked);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, EntitlementUseFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "entitlement_use", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.right, "entitlement_use.right");
        break;
      case number_tag(2):
        good = m.read(out.quantity);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

bool parse(std::string_view bytes, FeedbackFact& out, Parsed&, Problem& problem) {
  Message m(bytes, "feedback", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case number_tag(1):
        good = m.read(out.kind, FeedbackKind::kResolved);
        break;
      case number_tag(2):
        good = m.read_zigzag(out.value);
        break;
      case text_tag(3):
        good = m.text(out.about, "feedback.about");
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

// Reads the member `number` of a oneof whose last member is `last`: the same member again merges, another one begins
// anew.
template <class BodyFact>
bool member(Message& m, uint32_t number, uint32_t& last, Fact& out, Parsed& parsed) {
  if (last != number) {
    last = number;
    out.body.emplace<BodyFact>();
    parsed.expires = {}, parsed.topics = 0;
  }
  std::string_view bytes;
  return m.bytes(bytes) && parse(bytes, std::get<BodyFact>(out.body), parsed, m.problem);
}

bool parse_judgement(std::string_view bytes, Fact& out, Parsed& parsed, Problem& problem) {
  Message m(bytes, "judgement", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = member<RatingFact>(m, 1, parsed.judgement, out, parsed);
        break;
      case text_tag(2):
        good = member<HoldFact>(m, 2, parsed.judgement, out, parsed);
        break;
      case text_tag(3):
        good = member<LabelFact>(m, 3, parsed.judgement, out, parsed);
        break;
      case text_tag(4):
        good = member<VerdictFact>(m, 4, parsed.judgement, out, parsed);
        break;
      case text_tag(5):
        good = member<LinkFact>(m, 5, parsed.judgement, out, parsed);
        break;
      case text_tag(6):
        good = member<ErasureFact>(m, 6, parsed.judgement, out, parsed);
        break;
      case text_tag(7):
        good = member<IncentiveFact>(m, 7, parsed.judgement, out, parsed);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

}  // namespace

bool parse_event(std::string_view wire, Fact& out, Parsed& parsed, Problem& problem) {
  out.id = {}, out.user = {};
  out.device = out.network = out.channel = out.campaign = {};
  Message m(wire, "event", problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    bool good = false;
    std::string_view bytes;
    switch (tag) {
      case 0:
        return true;
      case text_tag(1):
        good = m.text(out.id, "id");
        break;
      case text_tag(2):
        good = read_time(m, parsed.time, "time");
        break;
      case text_tag(3):
        good = m.text(out.user.id, "user");
        break;
      case text_tag(4):
        good = m.bytes(bytes) && parse_origin(bytes, out, problem);
        break;
      case text_tag(10):
        good = member<PostFact>(m, 10, parsed.body, out, parsed);
        break;
      case text_tag(11):
        good = member<LikeFact>(m, 11, parsed.body, out, parsed);
        break;
      case text_tag(12):
        good = member<ReferralFact>(m, 12, parsed.body, out, parsed);
        break;
      case text_tag(13):
        good = member<BetaTestFact>(m, 13, parsed.body, out, parsed);
        break;
      case text_tag(14):
        if (parsed.body != 14) parsed.body = 14, parsed.judgement = 0;
        good = m.bytes(bytes) && parse_judgement(bytes, out, parsed, problem);
        break;
      case text_tag(15):
        good = member<AccountFact>(m, 15, parsed.body, out, parsed);
        break;
      case text_tag(16):
        good = member<EntitlementUseFact>(m, 16, parsed.body, out, parsed);
        break;
      case text_tag(17):
        good = member<FeedbackFact>(m, 17, parsed.body, out, parsed);
        break;
      default:
        good = m.skip(tag);
    }
    if (!good) return false;
  }
}

}  // namespace bellwether::decode

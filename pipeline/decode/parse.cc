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

// Reads all fields of a message: `read(message, tag)` for each.
template <class Read>
bool each_field(std::string_view bytes, const char* name, Problem& problem, Read read) {
  Message m(bytes, name, problem);
  for (uint32_t tag = 0;;) {
    if (!m.next(tag)) return false;
    if (tag == 0) return true;
    if (!read(m, tag)) return false;
  }
}

constexpr uint32_t text_tag(uint32_t number) { return tag_of(number, kLength); }
constexpr uint32_t number_tag(uint32_t number) { return tag_of(number, kVarint); }

bool parse(std::string_view bytes, RawTime& out, const char* where, Problem& problem) {
  out.present = true;
  return each_field(bytes, where, problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case number_tag(1):
        return m.read(out.seconds);
      case number_tag(2):
        return m.read(out.nanos);
      default:
        return m.skip(tag);
    }
  });
}

bool parse_origin(std::string_view bytes, Fact& out, Problem& problem) {
  return each_field(bytes, "origin", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.device, "origin.device");
      case text_tag(2):
        return m.text(out.network, "origin.network");
      case text_tag(3):
        return m.text(out.channel, "origin.channel");
      case text_tag(4):
        return m.text(out.campaign, "origin.campaign");
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, PostFact& out, Parsed& parsed, Problem& problem) {
  return each_field(bytes, "post", problem, [&](Message& m, uint32_t tag) {
    std::string_view topic;
    switch (tag) {
      case text_tag(1):
        return m.text(out.post.id, "post.post");
      case number_tag(2):
        return m.read(out.kind, PostKind::kArticle);
      case number_tag(3):
        return m.read(out.action, PostAction::kUnaccepted);
      case text_tag(4):
        return m.text(out.author.id, "post.author");
      case text_tag(5):
        return m.text(out.parent.id, "post.parent");
      case text_tag(6):
        return m.text(out.parent_author.id, "post.parent_author");
      case text_tag(7):
        if (!m.text(topic, "post.topics")) return false;
        if (parsed.topics < kTopicsMax) out.topics[parsed.topics] = topic;
        ++parsed.topics;
        return true;
      case number_tag(8):
        return m.read(out.length);
      case number_tag(9):
        return m.read_zigzag(out.sentiment);
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, LikeFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "like", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.post.id, "like.post");
      case text_tag(2):
        return m.text(out.author.id, "like.author");
      case number_tag(3):
        return m.read(out.kind, LikeKind::kView);
      case number_tag(4):
        return m.read(out.undo);
      case number_tag(5):
        return m.read(out.post_kind, PostKind::kArticle);
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, ReferralFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "referral", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.referral.id, "referral.referral");
      case text_tag(2):
        return m.text(out.referrer.id, "referral.referrer");
      case text_tag(3):
        return m.text(out.referred.id, "referral.referred");
      case number_tag(4):
        return m.read(out.stage, ReferralStage::kAsked);
      case number_tag(5):
        return m.read(out.amount_micros);
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, BetaTestFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "beta_test", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.program, "beta_test.program");
      case text_tag(2):
        return m.text(out.report.id, "beta_test.report");
      case number_tag(3):
        return m.read(out.kind, BetaTestKind::kSuggestion);
      case number_tag(4):
        return m.read(out.status, BetaTestStatus::kRejected);
      case number_tag(5):
        return m.read(out.severity);
      case number_tag(6):
        return m.read(out.reproducible);
      case number_tag(7):
        return m.read(out.prompt, Prompt::kUnprompted);
      case number_tag(8):
        return m.read(out.minutes);
      case text_tag(9):
        return m.text(out.tester.id, "beta_test.tester");
      default:
        return m.skip(tag);
    }
  });
}

// Fields of type message inside a body: read the bytes, then merge them into `time`.
bool read_time(Message& m, RawTime& time, const char* where) {
  std::string_view bytes;
  return m.bytes(bytes) && parse(bytes, time, where, m.problem);
}

bool parse(std::string_view bytes, RatingFact& out, Parsed& parsed, Problem& problem) {
  return each_field(bytes, "judgement.rating", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.subject.id, "judgement.rating.subject");
      case number_tag(2):
        return m.read(out.capability, Capability::kKnowledge);
      case number_tag(3):
        return m.read(out.points);
      case text_tag(4):
        return read_time(m, parsed.expires, "judgement.rating.expires");
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, HoldFact& out, Parsed& parsed, Problem& problem) {
  return each_field(bytes, "judgement.hold", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.subject.id, "judgement.hold.subject");
      case number_tag(2):
        return m.read(out.tier, Tier::kLead);
      case text_tag(3):
        return read_time(m, parsed.expires, "judgement.hold.expires");
      case text_tag(4):
        return m.text(out.reason, "judgement.hold.reason");
      case number_tag(5):
        return m.read(out.release);
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, LabelFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "judgement.label", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.subject.id, "judgement.label.subject");
      case number_tag(2):
        return m.read(out.key_user);
      case number_tag(3):
        return m.read(out.willingness);
      case number_tag(4):
        return m.read(out.subjective_norm);
      case number_tag(5):
        return m.read(out.fit);
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, VerdictFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "judgement.verdict", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.flag.id, "judgement.verdict.flag");
      case number_tag(2):
        return m.read(out.decision, Decision::kUpheld);
      case text_tag(3):
        return m.text(out.reason, "judgement.verdict.reason");
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, LinkFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "judgement.link", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.user.id, "judgement.link.user");
      case text_tag(2):
        return m.text(out.same_as.id, "judgement.link.same_as");
      case number_tag(3):
        return m.read(out.unlink);
      case text_tag(4):
        return m.text(out.evidence, "judgement.link.evidence");
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, ErasureFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "judgement.erasure", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.subject.id, "judgement.erasure.subject");
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, IncentiveFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "judgement.incentive", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.subject.id, "judgement.incentive.subject");
      case number_tag(2):
        return m.read(out.kind, IncentiveKind::kRight);
      case number_tag(3):
        return m.read(out.amount_micros);
      case text_tag(4):
        return m.text(out.reason, "judgement.incentive.reason");
      case text_tag(5):
        return m.text(out.reverses.id, "judgement.incentive.reverses");
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, AccountFact& out, Parsed& parsed, Problem& problem) {
  return each_field(bytes, "account", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case number_tag(1):
        return m.read(out.action, AccountAction::kClosed);
      case number_tag(2):
        return m.read(out.followers);
      case text_tag(3):
        return m.text(out.name, "account.name");
      case text_tag(4):
        return m.text(out.team, "account.team");
      case text_tag(5):
        return read_time(m, parsed.expires, "account.expires");
      case number_tag(6):
        return m.read(out.revoked);
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, EntitlementUseFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "entitlement_use", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return m.text(out.right, "entitlement_use.right");
      case number_tag(2):
        return m.read(out.quantity);
      default:
        return m.skip(tag);
    }
  });
}

bool parse(std::string_view bytes, FeedbackFact& out, Parsed&, Problem& problem) {
  return each_field(bytes, "feedback", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case number_tag(1):
        return m.read(out.kind, FeedbackKind::kResolved);
      case number_tag(2):
        return m.read_zigzag(out.value);
      case text_tag(3):
        return m.text(out.about, "feedback.about");
      default:
        return m.skip(tag);
    }
  });
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
  return each_field(bytes, "judgement", problem, [&](Message& m, uint32_t tag) {
    switch (tag) {
      case text_tag(1):
        return member<RatingFact>(m, 1, parsed.judgement, out, parsed);
      case text_tag(2):
        return member<HoldFact>(m, 2, parsed.judgement, out, parsed);
      case text_tag(3):
        return member<LabelFact>(m, 3, parsed.judgement, out, parsed);
      case text_tag(4):
        return member<VerdictFact>(m, 4, parsed.judgement, out, parsed);
      case text_tag(5):
        return member<LinkFact>(m, 5, parsed.judgement, out, parsed);
      case text_tag(6):
        return member<ErasureFact>(m, 6, parsed.judgement, out, parsed);
      case text_tag(7):
        return member<IncentiveFact>(m, 7, parsed.judgement, out, parsed);
      default:
        return m.skip(tag);
    }
  });
}

}  // namespace

bool parse_event(std::string_view wire, Fact& out, Parsed& parsed, Problem& problem) {
  out.id = {}, out.user = {};
  out.device = out.network = out.channel = out.campaign = {};
  return each_field(wire, "event", problem, [&](Message& m, uint32_t tag) {
    std::string_view bytes;
    switch (tag) {
      case text_tag(1):
        return m.text(out.id, "id");
      case text_tag(2):
        return read_time(m, parsed.time, "time");
      case text_tag(3):
        return m.text(out.user.id, "user");
      case text_tag(4):
        return m.bytes(bytes) && parse_origin(bytes, out, problem);
      case text_tag(10):
        return member<PostFact>(m, 10, parsed.body, out, parsed);
      case text_tag(11):
        return member<LikeFact>(m, 11, parsed.body, out, parsed);
      case text_tag(12):
        return member<ReferralFact>(m, 12, parsed.body, out, parsed);
      case text_tag(13):
        return member<BetaTestFact>(m, 13, parsed.body, out, parsed);
      case text_tag(14):
        if (parsed.body != 14) parsed.body = 14, parsed.judgement = 0;
        return m.bytes(bytes) && parse_judgement(bytes, out, parsed, problem);
      case text_tag(15):
        return member<AccountFact>(m, 15, parsed.body, out, parsed);
      case text_tag(16):
        return member<EntitlementUseFact>(m, 16, parsed.body, out, parsed);
      case text_tag(17):
        return member<FeedbackFact>(m, 17, parsed.body, out, parsed);
      default:
        return m.skip(tag);
    }
  });
}

}  // namespace bellwether::decode

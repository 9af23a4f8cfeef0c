// Protobuf records against the protobuf library, hostile bytes, and every reason for a dead letter.
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "decode_reference.h"
#include "pipeline/decode/decoder.h"

namespace bellwether::decode_test {
namespace {

// The library prints a line for each text that is not UTF-8, and there are thousands.
const google::protobuf::LogSilencer kSilence;

using decode_reference::dump;
using decode_reference::Generator;
using decode_reference::Reference;

class DecodeTest : public ::testing::Test {
 protected:
  Reason decode(std::string_view bytes) {
    arena_.clear();
    detail_.clear();
    // A copy of exactly this size, so that a sanitizer sees any read past the end.
    kept_.assign(bytes.begin(), bytes.end());
    kept_.shrink_to_fit();
    return decoder_.decode({kept_.data(), kept_.size()}, arena_, fact_, &detail_);
  }
  Reason decode(const v1::Event& event) { return decode(event.SerializeAsString()); }

  // Bytes must be taken and refused as the library takes and refuses them, and mean the same.
  void compare(const std::string& bytes) {
    v1::Event event;
    const bool parses = event.ParseFromString(bytes);
    const Reason reason = decode(bytes);
    const bool undecodable = reason == Reason::kUndecodable || reason == Reason::kInvalidUtf8;
    ASSERT_EQ(parses, !undecodable) << reason_name(reason) << ": " << detail_ << "\n" << event.DebugString();
    if (!parses) return;
    ASSERT_EQ(reference_.valid(event), reason == Reason::kNone) << reason_name(reason) << ": " << detail_ << "\n"
                                                                << event.DebugString();
    ASSERT_EQ(reason == Reason::kNone, detail_.empty());
    if (reason == Reason::kNone) {
      ASSERT_EQ(dump(fact_), reference_.dump(event)) << event.DebugString();
      ++valid_;
    }
  }

  const Hasher hasher_{"test"};
  Decoder decoder_{hasher_};
  Reference reference_{hasher_};
  Arena arena_;
  Fact fact_;
  std::string detail_;
  std::vector<char> kept_;
  size_t valid_ = 0;
};

v1::Event like() {
  v1::Event e;
  e.set_id("event-1");
  e.mutable_time()->set_seconds(1'700'000'000);
  e.mutable_time()->set_nanos(123'456'789);
  e.set_user("ann");
  e.mutable_like()->set_post("post-1");
  e.mutable_like()->set_author("bob");
  e.mutable_like()->set_kind(v1::LIKE_KIND_LIKE);
  return e;
}

TEST_F(DecodeTest, LikeBecomesAFact) {
  ASSERT_EQ(decode(like()), Reason::kNone);
  EXPECT_EQ(fact_.id, "event-1");
  EXPECT_EQ(fact_.time_us, 1'700'000'000'123'456);
  EXPECT_EQ(fact_.user.id, "ann");
  EXPECT_EQ(fact_.home, (Key{KeyKind::kUser, hasher_(KeyKind::kUser, "ann")}));
  const auto& body = std::get<LikeFact>(fact_.body);
  EXPECT_EQ(body.post.hash, hasher_(KeyKind::kPost, "post-1"));
  EXPECT_EQ(body.author.id, "bob");
  EXPECT_EQ(body.kind, LikeKind::kLike);
  EXPECT_EQ(arena_.bytes(), 0u) << "protobuf is read where it lies";
}

TEST_F(DecodeTest, RandomEventsMeanWhatTheLibrarySays) {
  Generator random(1);
  std::map<size_t, size_t> bodies;
  for (int i = 0; i < 20000; ++i) {
    const v1::Event event = random.event(i % 2 == 0 ? 1000 : 4, i % 3 != 0);
    ASSERT_NO_FATAL_FAILURE(compare(event.SerializeAsString()));
    if (decode(event) == Reason::kNone) ++bodies[fact_.body.index()];
  }
  EXPECT_EQ(bodies.size(), std::variant_size_v<Body>) << "every body came up";
  EXPECT_GT(valid_, 10000u);
}

TEST_F(DecodeTest, FieldsGivenTwiceMergeAsInTheLibrary) {
  Generator random(2);
  for (int i = 0; i < 10000; ++i) {
    std::string bytes;
    for (uint64_t parts = 2 + random.below(3); parts > 0; --parts) {
      bytes += random.event(random.one_in(2) ? 100 : 2, random.one_in(2)).SerializeAsString();
    }
    ASSERT_NO_FATAL_FAILURE(compare(bytes));
  }
  EXPECT_GT(valid_, 500u);
}

TEST_F(DecodeTest, AnotherMemberOfTheOneofBeginsAnew) {
  v1::Event first = like(), between, second;
  between.mutable_post();
  second.mutable_like()->set_kind(v1::LIKE_KIND_SHARE);
  ASSERT_EQ(decode(first.SerializeAsString() + second.SerializeAsString()), Reason::kNone);
  EXPECT_EQ(std::get<LikeFact>(fact_.body).author.id, "bob");
  EXPECT_EQ(std::get<LikeFact>(fact_.body).kind, LikeKind::kShare);
  EXPECT_EQ(decode(first.SerializeAsString() + between.SerializeAsString() + second.SerializeAsString()),
            Reason::kEmptyId);
}

TEST_F(DecodeTest, TruncationAtEveryByte) {
  Generator random(3);
  for (int i = 0; i < 100; ++i) {
    const std::string bytes = random.event(1000, true).SerializeAsString();
    for (size_t n = 1; n <= bytes.size(); ++n) ASSERT_NO_FATAL_FAILURE(compare(bytes.substr(0, n)));
  }
}

TEST_F(DecodeTest, DamagedBytes) {
  Generator random(4);
  for (int i = 0; i < 60000; ++i) {
    std::string bytes = random.event(1000, random.one_in(2)).SerializeAsString();
    for (uint64_t n = 1 + random.below(3); n > 0 && !bytes.empty(); --n) {
      const size_t at = random.below(bytes.size());
      switch (random.below(4)) {
        case 0:
          bytes[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ 1 << random.below(8));
          break;
        case 2:
          bytes.erase(at, 1 + random.below(3));
          break;
        default:
          bytes.insert(at, 1 + random.below(3), static_cast<char>(random.below(256)));
      }
    }
    // Another first byte may be another encoding.
    if (bytes.empty() || bytes[0] != '\n') continue;
    ASSERT_NO_FATAL_FAILURE(compare(bytes));
  }
  EXPECT_GT(valid_, 5000u);
}

TEST_F(DecodeTest, OverlongVarintsAndOddWireTypes) {
  const std::string base = like().SerializeAsString();
  const auto with = [&base](std::string_view more) { return base + std::string(more); };
  using namespace std::string_view_literals;
  for (const std::string_view more : {
           "\x58\x01"sv,                              // like as a varint: unknown
           "\x5d\x01\x02\x03\x04"sv,                  // like as fixed32: unknown
           "\x59\x01\x02\x03\x04\x05\x06\x07\x08"sv,  // like as fixed64: unknown
           "\x5b\x08\x01\x5c"sv,                      // like as a group: unknown
           "\x5b\x08\x01\x64"sv,                      // a group closed by another number
           "\x5c"sv,                                  // a group's end without its begin
           "\x5b\x08\x01"sv,                          // a group without an end
           "\x5e"sv,
           "\x5f"sv,  // wire types 6 and 7
           "\x00"sv,
           "\x02\x00"sv,                              // field number 0
           "\xda\x80\x80\x80\x00\x00"sv,              // an overlong tag of five bytes
           "\xda\x80\x80\x80\x80\x00\x00"sv,          // of six
           "\x5a\x82\x80\x80\x80\x00\x18\x02"sv,      // an overlong length of five bytes
           "\x5a\x82\x80\x80\x80\x80\x00\x18\x02"sv,  // of six
           "\x5a\xff\xff\xff\xff\x07"sv,
           "\x5a\xff\xff\xff\xff\x0f"sv,
           "\x5a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv,
           "\x5a\x0b\x18\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00"sv,      // an overlong enum of ten bytes
           "\x5a\x0c\x18\x82\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"sv,  // of eleven
           "\x5a\x06\x18\x82\x80\x80\x80\x10"sv,                          // an enum whose upper half is cut off
           "\x5a\x03\x20\x80\x02"sv,                                      // a bool of 256 is true
           "\x5a\x02\x0a\x05"sv,                                          // a length past the message's end
           "\x1a\x02\xc0\x80"sv,
           "\x1a\x03\xed\xa0\x80"sv,
           "\x1a\x04\xf4\x90\x80\x80"sv,
           "\x1a\x01\xff"sv,  // UTF-8 that is none
           "\x1a\x01\x00"sv,  // an id of one zero byte
       }) {
    ASSERT_NO_FATAL_FAILURE(compare(with(more))) << ::testing::PrintToString(std::string(more));
  }
  EXPECT_EQ(decode(with("\x1a\x01\xff"sv)), Reason::kInvalidUtf8);
  EXPECT_EQ(detail_, "user is not UTF-8");
}

TEST_F(DecodeTest, DeepNestingIsRefusedWithoutDeepStacks) {
  for (const size_t depth : {10u, 90u}) {
    std::string groups;
    for (size_t i = 0; i < depth; ++i) groups += "\xa3\x06";
    for (size_t i = 0; i < depth; ++i) groups += "\xa4\x06";
    ASSERT_NO_FATAL_FAILURE(compare(like().SerializeAsString() + groups));
    EXPECT_EQ(decode(like().SerializeAsString() + groups), Reason::kNone);
  }
  std::string deep;
  for (size_t i = 0; i < 250'000; ++i) deep += "\xa3\x06";
  for (size_t i = 0; i < 250'000; ++i) deep += "\xa4\x06";
  EXPECT_EQ(decode(like().SerializeAsString() + deep), Reason::kUndecodable);
}

TEST_F(DecodeTest, RegistryPrefix) {
  using namespace std::string_view_literals;
  const std::string bytes = like().SerializeAsString();
  ASSERT_EQ(decode(bytes), Reason::kNone);
  const std::string expected = dump(fact_);
  for (const std::string_view prefix :
       {"\0\0\0\0\7\0"sv, "\0\x7f\xff\xff\xff\2\0"sv, "\0\0\0\0\1\4\2\6"sv, "\0\0\0\0\1\2\x80\1"sv}) {
    ASSERT_EQ(decode(std::string(prefix) + bytes), Reason::kNone) << detail_;
    EXPECT_EQ(dump(fact_), expected);
  }
  for (const std::string_view bad : {"\0"sv, "\0\0\0\0"sv, "\0\0\0\0\1"sv, "\0\0\0\0\1\1"sv, "\0\0\0\0\1\2"sv,
                                     "\0\0\0\0\1\2\1"sv, "\0\0\0\0\1\x7e"sv, "\0\0\0\0\1\xff\xff\xff\xff\xff\xff"sv}) {
    EXPECT_EQ(decode(bad), Reason::kUndecodable) << ::testing::PrintToString(std::string(bad));
  }
  EXPECT_EQ(decode("\0\0\0\0\7\0"sv), Reason::kEmptyId) << "an event of no bytes";
}

TEST_F(DecodeTest, AnIdThatLooksLikeJson) {
  v1::Event e = like();
  for (const size_t size : {9u, 10u, 13u, 32u}) {  // lengths that are blanks of JSON
    e.set_id("{" + std::string(size - 1, 'x'));
    ASSERT_EQ(decode(e), Reason::kNone) << detail_;
    EXPECT_EQ(fact_.id, e.id());
  }
  EXPECT_EQ(decode("\n\n\n{ no JSON at all"), Reason::kUndecodable);
}

TEST_F(DecodeTest, TimesAtTheEdge) {
  v1::Event e = like();
  const auto at = [&](int64_t seconds, int32_t nanos) {
    e.mutable_time()->set_seconds(seconds), e.mutable_time()->set_nanos(nanos);
    return decode(e);
  };
  EXPECT_EQ(at(-1, 999'999'999), Reason::kNone);
  EXPECT_EQ(fact_.time_us, -1);
  EXPECT_EQ(at(0, 0), Reason::kNone);
  EXPECT_EQ(fact_.time_us, 0);
  EXPECT_EQ(at(-9'214'560'000, 0), Reason::kNone);
  EXPECT_EQ(fact_.time_us, -9'214'560'000'000'000);
  EXPECT_EQ(at(9'246'182'399, 999'999'999), Reason::kNone);
  for (const int64_t seconds : {int64_t{-9'214'560'001}, int64_t{9'246'182'400}, INT64_MIN, INT64_MAX}) {
    EXPECT_EQ(at(seconds, 0), Reason::kInvalidTime);
  }
  EXPECT_EQ(at(1, -1), Reason::kInvalidTime);
  EXPECT_EQ(at(1, 1'000'000'000), Reason::kInvalidTime);
}

TEST_F(DecodeTest, ExpiryAtTheEpochIsNotNever) {
  v1::Event e = like();
  e.mutable_account()->set_action(v1::ACCOUNT_ACTION_CERTIFIED);
  ASSERT_EQ(decode(e), Reason::kNone);
  EXPECT_EQ(std::get<AccountFact>(fact_.body).expires_us, 0);
  e.mutable_account()->mutable_expires();
  ASSERT_EQ(decode(e), Reason::kNone);
  EXPECT_EQ(std::get<AccountFact>(fact_.body).expires_us, 1);
}

TEST_F(DecodeTest, FollowsHaveNoPost) {
  v1::Event e = like();
  e.mutable_like()->set_kind(v1::LIKE_KIND_FOLLOW);
  ASSERT_EQ(decode(e), Reason::kNone);
  EXPECT_FALSE(std::get<LikeFact>(fact_.body).post.present());
  e.mutable_like()->clear_post();
  EXPECT_EQ(decode(e), Reason::kNone);
}

TEST_F(DecodeTest, BetaHomeWithoutAReportIsProgramAndTester) {
  v1::Event e = like();
  e.mutable_beta_test()->set_program("p");
  e.mutable_beta_test()->set_kind(v1::BETA_TEST_KIND_SESSION);
  ASSERT_EQ(decode(e), Reason::kNone);
  EXPECT_EQ(fact_.home, (Key{KeyKind::kReport, hasher_.pair(KeyKind::kReport, "p", "ann")}));
  e.mutable_beta_test()->set_tester("tom");
  ASSERT_EQ(decode(e), Reason::kNone);
  EXPECT_EQ(fact_.home, (Key{KeyKind::kReport, hasher_.pair(KeyKind::kReport, "p", "tom")}));
}

TEST_F(DecodeTest, LinksLiveAtTheLinkedUser) {
  v1::Event e = like();
  e.mutable_judgement()->mutable_link()->set_user("u");
  e.mutable_judgement()->mutable_link()->set_same_as("v");
  ASSERT_EQ(decode(e), Reason::kNone);
  EXPECT_EQ(fact_.home, (Key{KeyKind::kUser, hasher_(KeyKind::kUser, "u")}));
}

TEST_F(DecodeTest, EveryReasonNamesItsField) {
  struct Case {
    Reason reason;
    std::string detail;
    std::function<void(v1::Event&)> spoil;
  };
  const std::string id65(65, 'x'), text501(501, 'x');
  const auto rating = [](v1::Event& e) -> v1::Rating& {
    auto& r = *e.mutable_judgement()->mutable_rating();
    r.set_subject("s"), r.set_capability(v1::CAPABILITY_KNOWLEDGE), r.set_points(100);
    return r;
  };
  const auto post = [](v1::Event& e) -> v1::Post& {
    auto& p = *e.mutable_post();
    p.set_post("p"), p.set_action(v1::POST_ACTION_PUBLISHED);
    return p;
  };
  const Case cases[] = {
      {Reason::kEmptyId, "id is empty", [](auto& e) { e.clear_id(); }},
      {Reason::kIdTooLong, "id is longer than 64 bytes", [&](auto& e) { e.set_id(id65); }},
      {Reason::kTimeMissing, "time is missing", [](auto& e) { e.clear_time(); }},
      {Reason::kEmptyId, "user is empty", [](auto& e) { e.clear_user(); }},
      {Reason::kTextTooLong, "origin.network is longer than 64 bytes",
       [&](auto& e) { e.mutable_origin()->set_network(id65); }},
      {Reason::kBodyMissing, "body is missing", [](auto& e) { e.clear_body(); }},
      {Reason::kBodyMissing, "judgement.body is missing", [](auto& e) { e.mutable_judgement(); }},
      {Reason::kUnspecifiedEnum, "like.kind is unspecified or unknown",
       [](auto& e) { e.mutable_like()->clear_kind(); }},
      {Reason::kUnspecifiedEnum, "like.kind is unspecified or unknown",
       [](auto& e) { e.mutable_like()->set_kind(static_cast<v1::LikeKind>(6)); }},
      {Reason::kUnspecifiedEnum, "like.kind is unspecified or unknown",
       [](auto& e) { e.mutable_like()->set_kind(static_cast<v1::LikeKind>(257)); }},
      {Reason::kEmptyId, "like.author is empty", [](auto& e) { e.mutable_like()->clear_author(); }},
      {Reason::kEmptyId, "like.post is empty", [](auto& e) { e.mutable_like()->clear_post(); }},
      {Reason::kOutOfRange, "post.sentiment is not within -100..100", [&](auto& e) { post(e).set_sentiment(-101); }},
      {Reason::kTooManyTopics, "post.topics are more than 8",
       [&](auto& e) {
         for (int i = 0; i < 9; ++i) post(e).add_topics("t");
       }},
      {Reason::kTextTooLong, "post.topics is longer than 64 bytes", [&](auto& e) { post(e).add_topics(id65); }},
      {Reason::kIdTooLong, "post.parent is longer than 64 bytes", [&](auto& e) { post(e).set_parent(id65); }},
      {Reason::kOutOfRange, "judgement.rating.points is not within 0..100",
       [&](auto& e) { rating(e).set_points(101); }},
      {Reason::kInvalidTime, "judgement.rating.expires has nanos outside 0..999999999",
       [&](auto& e) { rating(e).mutable_expires()->set_nanos(-1); }},
      {Reason::kUnspecifiedEnum, "judgement.rating.capability is unspecified or unknown",
       [&](auto& e) { rating(e).clear_capability(); }},
      {Reason::kTextTooLong, "judgement.verdict.reason is longer than 500 bytes",
       [&](auto& e) {
         auto& v = *e.mutable_judgement()->mutable_verdict();
         v.set_flag("f"), v.set_decision(v1::DECISION_UPHELD), v.set_reason(text501);
       }},
      {Reason::kOutOfRange, "beta_test.severity is not within 1..5",
       [](auto& e) {
         auto& b = *e.mutable_beta_test();
         b.set_program("p"), b.set_kind(v1::BETA_TEST_KIND_BUG), b.set_severity(6);
       }},
  };
  ASSERT_EQ(decode(like()), Reason::kNone);
  for (const Case& c : cases) {
    v1::Event event = like();
    c.spoil(event);
    EXPECT_EQ(reason_name(decode(event)), reason_name(c.reason)) << c.detail;
    EXPECT_EQ(detail_, c.detail);
  }
  EXPECT_EQ(decode(""), Reason::kUndecodable);
  EXPECT_EQ(decode("hello"), Reason::kUndecodable);
  v1::Event large = like();
  large.mutable_origin()->set_device(std::string(kRecordBytesMax, 'x'));
  EXPECT_EQ(decode(large), Reason::kTooLarge);
}

TEST_F(DecodeTest, UnmarkedEnumsOfTheFutureAreUnspecified) {
  v1::Event e = like();
  for (const int value : {7, 255, 256, 257, -1, INT32_MIN, INT32_MAX}) {
    e.mutable_like()->set_post_kind(static_cast<v1::PostKind>(value));
    ASSERT_EQ(decode(e), Reason::kNone);
    EXPECT_EQ(std::get<LikeFact>(fact_.body).post_kind, PostKind::kUnspecified) << value;
  }
}

TEST(ArenaTest, HandsOutDistinctMemoryAndKeepsOneBlock) {
  Arena arena;
  const std::string_view a = arena.copy("first"), huge = arena.copy(std::string(200'000, 'h')),
                         b = arena.copy("second");
  EXPECT_EQ(a, "first");
  EXPECT_EQ(huge, std::string(200'000, 'h'));
  EXPECT_EQ(b, "second");
  EXPECT_GE(arena.bytes(), 200'000u);
  arena.clear();
  EXPECT_LE(arena.bytes(), 65'536u);
  char* const first = arena.allocate(100);
  arena.give_back(60);
  EXPECT_EQ(arena.allocate(1), first + 40);
}

}  // namespace
}  // namespace bellwether::decode_test

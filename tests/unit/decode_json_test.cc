// JSON records: what proto3 JSON allows means the same as protobuf bytes, what it does not is a dead letter.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "decode_reference.h"
#include "pipeline/decode/decoder.h"
#include "pipeline/decode/json_time.h"

namespace bellwether::decode_json_test {
namespace {

// The library prints a line for each time it cannot write.
const google::protobuf::LogSilencer kSilence;

using decode_reference::dump;
using decode_reference::Generator;
using decode_reference::Reference;

class DecodeJsonTest : public ::testing::Test {
 protected:
  Reason decode(std::string_view bytes) {
    arena_.clear();
    detail_.clear();
    kept_.assign(bytes.begin(), bytes.end());
    kept_.shrink_to_fit();
    return decoder_.decode({kept_.data(), kept_.size()}, arena_, fact_, &detail_);
  }

  // A like with `body` as its body and `more` after the fixed part.
  static std::string event(const std::string& body, const std::string& more = "") {
    return R"({"id":"e","time":"2024-02-29T12:00:00Z","user":"ann",)" + more + body + "}";
  }
  static std::string like(const std::string& more = "") {
    return event(R"("like":{"post":"p","author":"bob","kind":"LIKE_KIND_LIKE"})", more);
  }

  const Hasher hasher_{"test"};
  Decoder decoder_{hasher_};
  Reference reference_{hasher_};
  Arena arena_;
  Fact fact_;
  std::string detail_;
  std::vector<char> kept_;
};

TEST_F(DecodeJsonTest, RandomEventsMeanWhatTheirProtobufMeans) {
  Generator random(11);
  size_t valid = 0, invalid = 0;
  for (int i = 0; i < 20000; ++i) {
    const v1::Event event = random.event(i % 2 == 0 ? 1000 : 4, false);
    google::protobuf::util::JsonPrintOptions print;
    print.add_whitespace = random.one_in(2);
    print.preserve_proto_field_names = random.one_in(2);
    print.always_print_enums_as_ints = random.one_in(2);
    print.always_print_primitive_fields = random.one_in(2);
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(event, &json, print).ok()) continue;  // a time JSON cannot say
    const Reason by_wire = decode(event.SerializeAsString());
    const std::string wire_detail = detail_;
    const Reason by_json = decode(json);
    ASSERT_EQ(reason_name(by_json), reason_name(by_wire)) << detail_ << "\n" << json;
    ASSERT_EQ(detail_, wire_detail);
    ASSERT_EQ(reference_.valid(event), by_json == Reason::kNone) << json;
    if (by_json != Reason::kNone) {
      ++invalid;
      continue;
    }
    ASSERT_EQ(dump(fact_), reference_.dump(event)) << json;
    ++valid;
  }
  EXPECT_GT(valid, 10000u);
  EXPECT_GT(invalid, 1000u);
}

TEST_F(DecodeJsonTest, TruncationAndDamage) {
  Generator random(12);
  for (int i = 0; i < 200; ++i) {
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(random.event(1000, false), &json).ok()) continue;
    for (size_t n = 1; n < json.size(); ++n)
      ASSERT_EQ(decode(json.substr(0, n)), Reason::kUndecodable) << json.substr(0, n);
  }
  size_t survivors = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(random.event(1000, false), &json).ok()) continue;
    for (uint64_t n = 1 + random.below(3); n > 0; --n)
      json[random.below(json.size())] = static_cast<char>(random.below(256));
    v1::Event parsed;
    google::protobuf::util::JsonParseOptions parse;
    parse.ignore_unknown_fields = true;
    // The library takes more than JSON does (single quotes, names without quotes), so this holds one way only; and less
    // in one place: RFC 3339 allows a lower-case 't' and 'z'.
    if (decode(json) != Reason::kNone) continue;
    for (const std::string_view name : {"\"time\":\"", "\"expires\":\""}) {
      const size_t from = json.find(name);
      if (from == std::string::npos) continue;
      for (size_t at = from + name.size(); json[at] != '"'; ++at) {
        json[at] = static_cast<char>(std::toupper(static_cast<unsigned char>(json[at])));
      }
    }
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed, parse).ok()) << json;
    ++survivors;
    ASSERT_EQ(dump(fact_), reference_.dump(parsed)) << json;
  }
  EXPECT_GT(survivors, 500u);
}

TEST_F(DecodeJsonTest, NamesInBothSpellings) {
  const std::string body = R"("beta_test":{"program":"p","kind":3,"severity":"5"})";
  ASSERT_EQ(decode(event(body)), Reason::kNone) << detail_;
  EXPECT_EQ(std::get<BetaTestFact>(fact_.body).severity, 5u);
  ASSERT_EQ(decode(event(R"("betaTest":{"program":"p","kind":"3","severity":5.0})")), Reason::kNone) << detail_;
  EXPECT_EQ(std::get<BetaTestFact>(fact_.body).kind, BetaTestKind::kBug);
  ASSERT_EQ(
      decode(event(R"("referral":{"referral":"r","referrer":"x","stage":3,"amountMicros":"-9223372036854775808"})")),
      Reason::kNone);
  EXPECT_EQ(std::get<ReferralFact>(fact_.body).amount_micros, INT64_MIN);
  ASSERT_EQ(decode(event(R"("account":{"action":"ACCOUNT_ACTION_FOLLOWERS","followers":18446744073709551615})")),
            Reason::kNone);
  EXPECT_EQ(std::get<AccountFact>(fact_.body).followers, UINT64_MAX);
  ASSERT_EQ(decode(event(R"("feedback":{"kind":1,"value":-1e1})")), Reason::kNone);
  EXPECT_EQ(std::get<FeedbackFact>(fact_.body).value, -10);
}

TEST_F(DecodeJsonTest, UnknownFieldsAndNullsAreNoErrors) {
  ASSERT_EQ(decode(like()), Reason::kNone);
  const std::string plain = dump(fact_);
  for (const char* const more : {
           R"("new":1,)",
           R"("new":{"deep":[[{"a":null}]]},)",
           R"("origin":null,)",
           R"("post":null,)",
           R"("judgement":null,)",
           R"("new":123456789012345678901234567890,)",
           R"("new":[1e999,-1E+999,"1e999"],)",
           R"("new":-0.123456789012345678901234567890e-5,)",
           R"("":"",)",
           R"("new":"\u00e9\ud83d\ude00",)",
       }) {
    ASSERT_EQ(decode(like(more)), Reason::kNone) << more << detail_;
    EXPECT_EQ(dump(fact_), plain);
  }
  EXPECT_EQ(decode(event(R"("like":null)")), Reason::kBodyMissing);
  EXPECT_EQ(decode(event(R"("like":{"post":null,"author":"bob","kind":1})")), Reason::kEmptyId);
  ASSERT_EQ(decode(event(R"("like":{"post":"p","author":"b","kind":"LIKE_KIND_LIKE","postKind":"POST_KIND_POEM"})")),
            Reason::kNone);
  EXPECT_EQ(std::get<LikeFact>(fact_.body).post_kind, PostKind::kUnspecified);
  EXPECT_EQ(decode(event(R"("like":{"post":"p","author":"b","kind":"LIKE_KIND_HUG"})")), Reason::kUnspecifiedEnum);
}

TEST_F(DecodeJsonTest, BlanksAroundTheObject) {
  for (const char* const blanks : {" ", "\t", "\r\n", "\n", "\n\n  \t", "\r\n   "}) {
    ASSERT_EQ(decode(blanks + like() + blanks), Reason::kNone) << detail_;
    EXPECT_EQ(fact_.user.id, "ann");
  }
}

TEST_F(DecodeJsonTest, TextIsUnescaped) {
  ASSERT_EQ(decode(event(R"("like":{"post":"\u0041\n\"\\\/\ud83d\ude00","author":"bob","kind":1})")), Reason::kNone);
  EXPECT_EQ(std::get<LikeFact>(fact_.body).post.id, "A\n\"\\/😀");
}

TEST_F(DecodeJsonTest, WhatIsWrongIsNamed) {
  struct Case {
    Reason reason;
    std::string json, detail;
  };
  const Case cases[] = {
      {Reason::kUndecodable, event(R"("like":[])"), "like is not an object"},
      {Reason::kUndecodable, event(R"("like":{"post":7})"), "like.post is not a string"},
      {Reason::kUndecodable, event(R"("like":{"undo":"true"})"), "like.undo is neither true nor false"},
      {Reason::kUndecodable, event(R"("like":{"kind":[]})"), "like.kind is not a number"},
      {Reason::kUndecodable, event(R"("like":{},"post":{})"), "post is a second body"},
      {Reason::kUndecodable, event(R"("judgement":{"label":{},"hold":{}})"), "judgement.hold is a second body"},
      {Reason::kUndecodable, event(R"("post":{"topics":"x"})"), "post.topics is not an array"},
      {Reason::kUndecodable, event(R"("post":{"topics":[null]})"), "post.topics is not a string"},
      {Reason::kUndecodable, event(R"("post":{"length":1.5})"), "post.length is not a whole number"},
      {Reason::kUndecodable, event(R"("post":{"length":"1x"})"), "post.length is not a whole number"},
      {Reason::kUndecodable, event(R"("post":{"length":""})"), "post.length is not a whole number"},
      {Reason::kUndecodable, event(R"("post":{"length":"+"})"), "post.length is not a whole number"},
      {Reason::kUndecodable, event(R"("feedback":{"value":"+-5"})"), "feedback.value is not a whole number"},
      {Reason::kUndecodable, event(R"("feedback":{"value":"++5"})"), "feedback.value is not a whole number"},
      {Reason::kUndecodable, event(R"("feedback":{"value":" 5"})"), "feedback.value is not a whole number"},
      {Reason::kOutOfRange, event(R"("post":{"length":4294967296})"), "post.length is out of its type's range"},
      {Reason::kOutOfRange, event(R"("post":{"length":-1})"), "post.length is out of its type's range"},
      {Reason::kOutOfRange, event(R"("post":{"length":1e10})"), "post.length is out of its type's range"},
      {Reason::kOutOfRange, event(R"("feedback":{"value":9223372036854775808})"),
       "feedback.value is out of its type's range"},
      {Reason::kOutOfRange, event(R"("feedback":{"value":9.3e18})"), "feedback.value is out of its type's range"},
      {Reason::kUndecodable, event(R"("feedback":{"value":99999999999999999999999})"),
       "feedback.value is not a whole number"},
      {Reason::kInvalidTime, R"({"time":"yesterday"})", "time is not an RFC 3339 time"},
      {Reason::kInvalidTime, R"({"time":1700000000})", "time is not an RFC 3339 time"},
      {Reason::kInvalidTime, event(R"("judgement":{"rating":{"expires":""}})"),
       "judgement.rating.expires is not an RFC 3339 time"},
      {Reason::kEmptyId, "{}", "id is empty"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(reason_name(decode(c.json)), reason_name(c.reason)) << c.json;
    EXPECT_EQ(detail_, c.detail) << c.json;
  }
  for (const std::string& bad :
       {like() + "x", like() + like(), std::string("{"), std::string("{}}"), std::string(" 7"), std::string(" []"),
        std::string("{\"id\":01}"), std::string("{\"id\":1e}"), std::string("{\"a\":1e999"),
        std::string("{\"id\":\"\\ud800\"}"), std::string("{\"id\":\"\x01\"}")}) {
    EXPECT_EQ(decode(bad), Reason::kUndecodable) << bad;
    EXPECT_TRUE(detail_.starts_with("JSON: ")) << detail_;
  }
  EXPECT_EQ(decode("{\"id\":\"\xff\"}"), Reason::kInvalidUtf8);
}

TEST_F(DecodeJsonTest, HostileSizes) {
  EXPECT_EQ(decode(like("\"new\":" + std::string(400'000, '[') + std::string(400'000, ']') + ",")),
            Reason::kUndecodable);
  EXPECT_EQ(decode(like("\"new\":\"" + std::string(kRecordBytesMax - 200, 'x') + "\",")), Reason::kNone) << detail_;
  EXPECT_EQ(decode(like("\"new\":\"" + std::string(kRecordBytesMax, 'x') + "\",")), Reason::kTooLarge);
  std::string topics;
  for (int i = 0; i < 100'000; ++i) topics += "\"\",";
  EXPECT_EQ(decode(event("\"post\":{\"post\":\"p\",\"action\":1,\"topics\":[" + topics + "\"\"]}")),
            Reason::kTooManyTopics);
  EXPECT_EQ(decode(like()), Reason::kNone) << "the decoder goes on";
}

TEST(Rfc3339Test, KnownTimes) {
  const auto at = [](std::string_view text) {
    int64_t seconds = 0;
    int32_t nanos = 0;
    return decode::parse_rfc3339(text, seconds, nanos) ? std::to_string(seconds) + "." + std::to_string(nanos) : "none";
  };
  EXPECT_EQ(at("1970-01-01T00:00:00Z"), "0.0");
  EXPECT_EQ(at("1969-12-31T23:59:59.5Z"), "-1.500000000");
  EXPECT_EQ(at("2024-02-29T23:59:59.000000001Z"), "1709251199.1");
  EXPECT_EQ(at("2024-02-29T23:59:59+08:00"), "1709222399.0");
  EXPECT_EQ(at("2024-02-29T23:59:59-00:30"), "1709252999.0");
  EXPECT_EQ(at("2000-02-29t00:00:00z"), "951782400.0");
  EXPECT_EQ(at("0001-01-01T00:00:00Z"), "-62135596800.0");
  EXPECT_EQ(at("9999-12-31T23:59:59Z"), "253402300799.0");
  for (const char* const bad : {"",
                                "2023-02-29T00:00:00Z",
                                "1900-02-29T00:00:00Z",
                                "2024-00-01T00:00:00Z",
                                "2024-13-01T00:00:00Z",
                                "2024-04-31T00:00:00Z",
                                "2024-01-01T24:00:00Z",
                                "2024-01-01T00:60:00Z",
                                "2024-01-01T00:00:60Z",
                                "2024-01-01T00:00:00",
                                "2024-01-01 00:00:00Z",
                                "2024-01-01T00:00:00.Z",
                                "2024-01-01T00:00:00.1234567890Z",
                                "2024-01-01T00:00:00+0800",
                                "2024-01-01T00:00:00+24:00",
                                "2024-01-01T00:00:00ZZ",
                                "24-01-01T00:00:00Z",
                                "2024-1-01T00:00:00Z",
                                "0000-01-01T00:00:00Z",
                                "+024-01-01T00:00:00Z"}) {
    EXPECT_EQ(at(bad), "none") << bad;
  }
}

TEST(Rfc3339Test, EveryDayFromTheFirstToTheLastYear) {
  int64_t expected = -62135596800;
  for (int year = 1; year <= 9999; ++year) {
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    const int days[] = {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (int month = 1; month <= 12; ++month) {
      for (int day = 1; day <= days[month - 1]; ++day, expected += 86400) {
        char text[64];
        std::snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", year, month, day);
        int64_t seconds = 0;
        int32_t nanos = 0;
        ASSERT_TRUE(decode::parse_rfc3339(text, seconds, nanos)) << text;
        ASSERT_EQ(seconds, expected) << text;
      }
    }
  }
}

}  // namespace
}  // namespace bellwether::decode_json_test

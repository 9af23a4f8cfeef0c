#include "pipeline/service/filter.h"

#include <gtest/gtest.h>

#include <map>

#include "pipeline/service/pages.h"

namespace bellwether::filter_test {
namespace {

enum Id : int { kName, kTier, kScore, kDays, kFlagged, kSeen, kSubject };

const std::vector<FilterField>& fields() {
  static const std::vector<FilterField> kFields = {
      {"name", FieldType::kText, {}, true, kName},
      {"tier", FieldType::kChoice, {"", "member", "contributor", "key", "lead"}, true, kTier},
      {"score.overall", FieldType::kPoints, {}, true, kScore},
      {"days", FieldType::kNumber, {}, true, kDays},
      {"flagged", FieldType::kBoolean, {}, true, kFlagged},
      {"seen", FieldType::kTime, {}, true, kSeen},
      {"subject", FieldType::kText, {}, true, kSubject},
      {"kind", FieldType::kChoice, {"", "ring", "burst"}, false, kTier},
  };
  return kFields;
}

using Row = std::map<int, FilterValues>;
const Row kAnn = {{kName, {{0, "ann"}}},
                  {kTier, {{3, {}}}},
                  {kScore, {{12'500'000, {}}}},
                  {kDays, {{-3, {}}}},
                  {kFlagged, {{0, {}}}},
                  {kSeen, {{1'767'225'600'000'000, {}}}},  // 2026-01-01T00:00:00Z
                  {kSubject, {{0, "bob"}, {0, "eve"}}}};

bool matches(const std::string& text, const Row& row = kAnn) {
  Filter filter;
  std::string error;
  EXPECT_TRUE(Filter::parse(text, fields(), filter, error)) << text << ": " << error;
  return filter.matches([&](int id) { return row.at(id); });
}

std::string error_of(const std::string& text) {
  Filter filter;
  std::string error;
  EXPECT_FALSE(Filter::parse(text, fields(), filter, error)) << text;
  return error;
}

TEST(Filter, EmptyMatchesEverything) {
  EXPECT_TRUE(matches(""));
  EXPECT_TRUE(matches("  \n"));
}

TEST(Filter, Compares) {
  EXPECT_TRUE(matches("name = ann"));
  EXPECT_TRUE(matches("name=\"ann\""));
  EXPECT_TRUE(matches("name:ann"));
  EXPECT_FALSE(matches("name != ann"));
  EXPECT_TRUE(matches("tier = key"));
  EXPECT_TRUE(matches("tier >= contributor"));
  EXPECT_FALSE(matches("tier > key"));
  EXPECT_TRUE(matches("score.overall = 12.5"));
  EXPECT_TRUE(matches("score.overall > 12.499999"));
  EXPECT_FALSE(matches("score.overall < 12.5"));
  EXPECT_TRUE(matches("days < -2"));
  EXPECT_TRUE(matches("days >= -3"));
  EXPECT_TRUE(matches("flagged = false"));
  EXPECT_TRUE(matches("seen >= \"2026-01-01T00:00:00Z\""));
  EXPECT_FALSE(matches("seen > \"2026-01-01T00:00:00Z\""));
}

TEST(Filter, OrBindsTighterThanAnd) {
  // a AND (b OR c): with the other reading the first would be true.
  EXPECT_FALSE(matches("name = bob AND tier = key OR tier = lead"));
  EXPECT_FALSE(matches("tier = lead OR name = bob AND tier = key"));
  EXPECT_TRUE(matches("(name = bob AND tier = lead) OR tier = key"));
  EXPECT_TRUE(matches("NOT name = bob AND NOT (tier = lead OR tier = member)"));
  EXPECT_TRUE(matches("-name = bob"));
}

TEST(Filter, OfSeveralValuesOneIsEnough) {
  EXPECT_TRUE(matches("subject = eve"));
  EXPECT_FALSE(matches("subject != eve"));
  EXPECT_TRUE(matches("subject != ann"));
}

TEST(Filter, ErrorsSayWhereAndWhatIsAllowed) {
  EXPECT_EQ(error_of("name = ann AND boss = 1").substr(0, 38), "at character 16: unknown field boss; a");
  EXPECT_NE(error_of("tier = boss").find("given boss, allowed: member, contributor, key, lead"), std::string::npos);
  EXPECT_NE(error_of("days = many").find("a whole number"), std::string::npos);
  EXPECT_NE(error_of("days = 1.5").find("a whole number"), std::string::npos);
  EXPECT_NE(error_of("score.overall = 1.1234567").find("six decimals"), std::string::npos);
  EXPECT_NE(error_of("flagged = 1").find("true, false"), std::string::npos);
  EXPECT_NE(error_of("seen = yesterday").find("2026-01-31T12:00:00Z"), std::string::npos);
  EXPECT_NE(error_of("name < ann").find("has no order"), std::string::npos);
  EXPECT_NE(error_of("kind < ring").find("has no order"), std::string::npos);
  EXPECT_NE(error_of("name = \"ann").find("no end quote"), std::string::npos);
  EXPECT_NE(error_of("(name = ann").find("expected )"), std::string::npos);
  EXPECT_NE(error_of("name = ann tier = key").find("expected AND, OR or the end"), std::string::npos);
  EXPECT_NE(error_of("name =").find("expected a value"), std::string::npos);
  EXPECT_NE(error_of("name ann").find("expected an operator"), std::string::npos);
  EXPECT_NE(error_of("= ann").find("expected a field"), std::string::npos);
  EXPECT_NE(error_of("name ! ann").find("unknown operator"), std::string::npos);
  EXPECT_NE(error_of(std::string(5000, 'x')).find("4096 bytes"), std::string::npos);
  EXPECT_NE(error_of(std::string(100, '(') + "name = a" + std::string(100, ')')).find("nested too deep"),
            std::string::npos);
  std::string many = "days = 1";
  for (int i = 0; i < 200; ++i) many += " OR days = 1";
  EXPECT_NE(error_of(many).find("128 comparisons"), std::string::npos);
}

TEST(Filter, TellsTheOneTextItRequires) {
  Filter filter;
  std::string error, text;
  ASSERT_TRUE(Filter::parse("tier >= key AND name = ann", fields(), filter, error));
  EXPECT_TRUE(filter.required_text(kName, text));
  EXPECT_EQ(text, "ann");
  ASSERT_TRUE(Filter::parse("tier >= key OR name = ann", fields(), filter, error));
  EXPECT_FALSE(filter.required_text(kName, text));
  ASSERT_TRUE(Filter::parse("NOT name = ann", fields(), filter, error));
  EXPECT_FALSE(filter.required_text(kName, text));
}

TEST(PageToken, SurvivesAndIsChecked) {
  const PageToken token{0x1234567890abcdef, 42, 7, std::string("\0last\xff", 6)};
  PageToken back;
  ASSERT_TRUE(decode(encode(token), back));
  EXPECT_EQ(back.query, token.query);
  EXPECT_EQ(back.process, token.process);
  EXPECT_EQ(back.commit, token.commit);
  EXPECT_EQ(back.last, token.last);
  const std::string text = encode(token);
  EXPECT_FALSE(decode(text.substr(1), back));
  EXPECT_FALSE(decode(text.substr(0, text.size() - 2), back));
  EXPECT_FALSE(decode("no token!", back));
  EXPECT_FALSE(decode("", back));
  int wrong = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    wrong += !decode(other, back);
  }
  EXPECT_GE(wrong, static_cast<int>(text.size()) - 2);
}

TEST(PageSize, DefaultCapAndConfiguredCap) {
  EXPECT_EQ(page_size_of(0, 1000), 50u);
  EXPECT_EQ(page_size_of(0, 10), 10u);
  EXPECT_EQ(page_size_of(7, 1000), 7u);
  EXPECT_EQ(page_size_of(5000, 1000), 1000u);
}

}  // namespace
}  // namespace bellwether::filter_test

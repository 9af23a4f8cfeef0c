#include "config/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace bellwether::tokens_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kAda = "ada-token-0123456789";
constexpr const char* kBob = "bob#token-0123456789";

TEST(Tokens, FindsWhoBearsOne) {
  const auto tokens = parse_tokens(
      std::string("# staff\n\n  ") + kAda + "\t ada  admin   # the founder\r\n" + kBob + " bob member", "tokens");
  ASSERT_TRUE(tokens.ok()) << tokens.error_text();
  EXPECT_EQ(tokens.value().size(), 2U);
  ASSERT_NE(tokens.value().find(kAda), nullptr);
  EXPECT_EQ(*tokens.value().find(kAda), (Identity{"ada", Role::kAdmin}));
  EXPECT_EQ(*tokens.value().find(kBob), (Identity{"bob", Role::kMember}));
  EXPECT_EQ(tokens.value().find("ada-token-0123456780"), nullptr);
  EXPECT_EQ(tokens.value().find("ada-token-012345678"), nullptr);
  EXPECT_EQ(tokens.value().find(""), nullptr);
}

TEST(Tokens, KnowsEveryRole) {
  const auto tokens = parse_tokens(
      "aaaaaaaaaaaaaaaa a member\nbbbbbbbbbbbbbbbb b platform\ncccccccccccccccc c moderator\ndddddddddddddddd d "
      "admin\n",
      "tokens");
  ASSERT_TRUE(tokens.ok()) << tokens.error_text();
  for (const auto& [token, role] :
       {std::pair{"aaaaaaaaaaaaaaaa", "member"}, std::pair{"bbbbbbbbbbbbbbbb", "platform"},
        std::pair{"cccccccccccccccc", "moderator"}, std::pair{"dddddddddddddddd", "admin"}}) {
    EXPECT_STREQ(role_name(tokens.value().find(token)->role), role);
  }
}

TEST(Tokens, AnEmptyFileIsNobody) {
  const auto tokens = parse_tokens("", "tokens");
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(tokens.value().size(), 0U);
}

TEST(Tokens, NamesEveryMistakeWithItsLineButNoToken) {
  const std::string secret = "secret-token-secret-token";
  const auto tokens = parse_tokens("short ada admin\n" + secret + " ada boss\n" + secret + " bob modrator\n" + secret +
                                       " ada\n" + "# fine\n" + secret + " " + std::string(65, 'u') + " member\n" +
                                       secret + "2 b\xff member\n" + secret + "3 bob member extra\n",
                                   "who");
  ASSERT_FALSE(tokens.ok());
  EXPECT_THAT(
      tokens.errors(),
      ElementsAre("who:1: token: given 5 bytes, allowed: 16..256 bytes of visible ASCII",
                  "who:2: role: given \"boss\", allowed: one of member, platform, moderator, admin",
                  "who:3: role: given \"modrator\", allowed: one of member, platform, moderator, admin; did you mean "
                  "moderator?",
                  "who:3: token: given twice, first on line 2", "who:4: given 2 fields, allowed: TOKEN USER ROLE",
                  "who:6: user: given \"" + std::string(60, 'u') + "…\", allowed: 1..64 bytes of UTF-8",
                  "who:6: token: given twice, first on line 2",
                  "who:7: user: given \"b\\xff\", allowed: 1..64 bytes of UTF-8",
                  "who:8: given 4 fields, allowed: TOKEN USER ROLE"));
  EXPECT_EQ(tokens.error_text().find("secret"), std::string::npos);
}

TEST(Tokens, AFileThatIsNotThereIsNamed) {
  EXPECT_EQ(load_tokens("/nonexistent/tokens").error_text(),
            "/nonexistent/tokens: cannot be read: No such file or directory");
  EXPECT_THAT(load_tokens("/").error_text(), HasSubstr("/: cannot be read: Is a directory"));
}

TEST(Tokens, ReadsAFile) {
  const std::string path = testing::TempDir() + "bellwether_tokens";
  std::ofstream(path) << kAda << " ada moderator\n";
  const auto tokens = load_tokens(path);
  std::remove(path.c_str());
  ASSERT_TRUE(tokens.ok()) << tokens.error_text();
  EXPECT_EQ(tokens.value().find(kAda)->role, Role::kModerator);
}

}  // namespace
}  // namespace bellwether::tokens_test

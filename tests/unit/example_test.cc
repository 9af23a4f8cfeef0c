#include "operators/example.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/unit/facts.h"
#include "tests/unit/fake_context.h"

namespace bellwether::example_test {
namespace {

TEST(Example, KeepsTheDistinctChannelsOfAUser) {
  FakeWorld world{{&example_operator()}};
  Facts facts{world.context.hash};
  int n = 0;
  for (const char* channel : {"web", "app", "", "web", "mail"}) {
    Fact& f = facts.add("e" + std::to_string(n), "ann", n, facts.user_key("ann"), AccountFact{});
    f.channel = channel, ++n;
    world.post(f);
  }
  world.run(0);
  const auto state = world.state<ExampleState>(OperatorId::kExample, facts.user_key("ann"));
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->channels, (std::vector<std::string>{"app", "mail", "web"}));
  EXPECT_EQ(world.context.outcomes.size(), 5U);
}

TEST(Example, StaysBounded) {
  FakeWorld world{{&example_operator()}};
  Facts facts{world.context.hash};
  std::deque<std::string> names;
  for (int n = 0; n < 100; ++n) {
    Fact& f = facts.add("e" + std::to_string(n), "ann", n, facts.user_key("ann"), AccountFact{});
    f.channel = names.emplace_back(std::to_string(n) + std::string(60, 'c'));
    world.post(f);
  }
  world.run(0);
  EXPECT_EQ(world.state<ExampleState>(OperatorId::kExample, facts.user_key("ann"))->channels.size(),
            ExampleState::kMost);
  EXPECT_LT(world.states().begin()->second.size(), 2'200U);
}

std::string read(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The code in a README rots unless a test reads it.
TEST(Readme, ItsCodeIsThatOfTheFiles) {
  const std::string root = BELLWETHER_SOURCE_DIR "/";
  const std::string readme = read(root + "operators/README.md");
  ASSERT_FALSE(readme.empty());
  for (const char* file : {"operators/example.h", "operators/example.cc"}) {
    const std::string code = read(root + file);
    ASSERT_FALSE(code.empty());
    EXPECT_NE(readme.find("```cpp\n" + code + "```"), std::string::npos) << file;
  }
}

}  // namespace
}  // namespace bellwether::example_test

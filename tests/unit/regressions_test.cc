// Inputs on which fuzzing once found something wrong: each must pass its check for good. They stand in
// tests/fuzz/regressions/TARGET/, named for what was wrong.
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/checks.h"

namespace bellwether::regressions_test {
namespace {

namespace fs = std::filesystem;

const google::protobuf::LogSilencer kSilence;

class Regressions : public ::testing::TestWithParam<std::string> {};

const fuzz::Target* target_of(const fs::path& input) {
  const auto all = fuzz::targets();
  const auto found = std::ranges::find(all, input.parent_path().filename().string(), &fuzz::Target::name);
  return found == all.end() ? nullptr : &*found;
}

TEST_P(Regressions, Hold) {
  const fs::path path = GetParam();
  const fuzz::Target* const target = target_of(path);
  ASSERT_NE(target, nullptr) << path << " belongs to no target";
  std::ifstream in(path, std::ios::binary);
  const std::string input{std::istreambuf_iterator<char>(in), {}};
  ASSERT_FALSE(in.bad());
  EXPECT_NO_THROW(target->run(input));
}

std::vector<std::string> inputs() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(BELLWETHER_SOURCE_DIR "/tests/fuzz/regressions"))
    if (entry.is_regular_file()) paths.push_back(entry.path().string());
  std::ranges::sort(paths);
  return paths;
}

std::string name_of(const ::testing::TestParamInfo<std::string>& info) {
  const fs::path path = info.param;
  std::string name = path.parent_path().filename().string() + "_" + path.filename().string();
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Fuzzing, Regressions, ::testing::ValuesIn(inputs()), name_of);

// The checks can fail: a promise broken on purpose is noticed.
TEST(Checks, Notice) {
  EXPECT_THROW(fuzz::require(false, "said"), fuzz::Broken);
  EXPECT_NO_THROW(fuzz::require(true, "said"));
}

// Every target stands random bytes, here under this build's compiler and options.
TEST(Checks, BearNoise) {
  uint64_t state = 1;
  const auto next = [&state] {
    state = state * 6364136223846793005 + 1442695040888963407;
    return state >> 33;
  };
  for (const fuzz::Target& target : fuzz::targets()) {
    for (int i = 0; i < 200; ++i) {
      std::string input(next() % 96, '\0');
      for (char& c : input) c = static_cast<char>(next());
      EXPECT_NO_THROW(target.run(input)) << target.name << ": " << ::testing::PrintToString(input);
    }
  }
}

}  // namespace
}  // namespace bellwether::regressions_test

// More than a window of days, in one go and with restarts between: what left the window leaves the ledger too, and what
// a state holds must not tell whether it was in memory all the time.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "pipeline/repair/rebuild.h"
#include "tests/unit/repair_rig.h"

namespace bellwether::restart_year_test {
namespace {

using repair::Folder;

std::string line(int n, int64_t time_us, uint64_t user, uint64_t author, uint64_t post) {
  return R"({"id":"e)" + std::to_string(n) + R"(","time":")" + time_text(time_us) + R"(","user":"u)" +
         std::to_string(user) + R"(","like":{"post":"p)" + std::to_string(post) + R"(","author":"a)" +
         std::to_string(author) + R"(","kind":"LIKE_KIND_LIKE"}})" + "\n";
}

TEST(RestartYear, StatesAreThoseOfOneRun) {
  const Folder folder;
  constexpr int64_t kStart = int64_t{19'600} * kDayUs, kDays = 420;
  constexpr int kPieces = 6;
  std::mt19937_64 random(11);
  std::vector<std::string> pieces(kPieces);
  int n = 0;
  // Who likes much and then less, so that little of a book is old at a time; and who stops for half a year.
  for (int64_t day = 0; day < kDays; ++day) {
    std::vector<std::pair<int64_t, uint64_t>> today;
    for (uint64_t user = 0; user < 24; ++user) {
      const bool pauses = user % 3 == 0 && day > 60 && day < 60 + 5 * static_cast<int64_t>(user) + 150;
      const uint64_t most = pauses ? 0 : 1 + user % 4 + (day % 90 < 10 ? 12 : 0);
      for (uint64_t k = most == 0 ? 0 : random() % (most + 1); k > 0; --k)
        today.emplace_back(kStart + day * kDayUs + static_cast<int64_t>(random() % static_cast<uint64_t>(kDayUs)),
                           user);
    }
    std::sort(today.begin(), today.end());
    for (const auto& [at, user] : today) {
      const uint64_t author = random() % 40;
      pieces[static_cast<size_t>(day * kPieces / kDays)] += line(n++, at, user, author, author * 1000 + random() % 300);
    }
  }
  const std::unique_ptr<Store> once = make_memory_store(), often = make_memory_store();
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  std::ofstream(folder / "all.jsonl") << all;
  repair::replay(folder / "all.jsonl", *once);
  for (int i = 0; i < kPieces; ++i) {
    const std::string file = folder / ("piece" + std::to_string(i) + ".jsonl");
    std::ofstream(file) << pieces[static_cast<size_t>(i)];
    repair::replay(file, *often);
  }
  EXPECT_EQ(repair::progress_of(*once).account().applied, repair::progress_of(*often).account().applied);
  StoreDifference difference;
  repair::require(compare_stores(*once, *often, repair::operators(), difference));
  for (const auto& family : difference.families)
    ADD_FAILURE() << family.name << ": " << family.only_first << " rows only in one run, " << family.only_second
                  << " only with restarts, " << family.other << " differ";
  EXPECT_GT(difference.rows, 1000U);
}

}  // namespace
}  // namespace bellwether::restart_year_test

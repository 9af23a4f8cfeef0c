// What records will need is read many at once before their ticks, not one by one while they are folded. Nothing but
// time depends on it, so it is counted.
#include <gtest/gtest.h>

#include <utility>

#include "tests/unit/repair_rig.h"

namespace bellwether::fetch_ahead_test {
namespace {

using repair::Folder;

// Counts how states are read.
class Counting final : public Store {
 public:
  std::unique_ptr<WriteSet> new_write_set() override { return store_->new_write_set(); }
  Status write(WriteSet& set, bool sync) override { return store_->write(set, sync); }
  bool get(Family family, std::string_view key, std::string& value, Status& status) const override {
    one_ += family == Family::kState;
    return store_->get(family, key, value, status);
  }
  Status multi_get(Family family, std::span<const std::string_view> keys, EachFound each) const override {
    many_ += family == Family::kState ? keys.size() : 0;
    return store_->multi_get(family, keys, each);
  }
  std::shared_ptr<const Snapshot> snapshot() const override { return store_->snapshot(); }
  Status drop_range(Family family, std::string_view from, std::string_view to) override {
    return store_->drop_range(family, from, to);
  }
  Figures figures() const override { return store_->figures(); }
  size_t one() const { return one_; }
  size_t many() const { return many_; }

 private:
  std::unique_ptr<Store> store_ = make_memory_store();
  mutable size_t one_ = 0, many_ = 0;
};

TEST(FetchAhead, WhoIsNewIsReadWithTheOthers) {
  const Folder folder;
  constexpr int kLikes = 400;  // each by a new user, of a new post of a new author, in a tick of its own
  const std::string file = repair::likes(folder, "e", int64_t{1'740'000'000} * kSecondUs, kSecondUs, kLikes,
                                         [](int i) { return "a" + std::to_string(i); });
  Counting store;
  repair::replay(file, store);
  EXPECT_EQ(repair::progress_of(store).account().applied, static_cast<uint64_t>(kLikes));
  // Of each like: the liker's home and scores, the post, the author's scores and bursts.
  EXPECT_GE(store.many(), 5U * kLikes);
  EXPECT_LE(store.one(), static_cast<size_t>(kLikes) / 10);
}

// In a community larger than the cache, who is woken was forgotten since they were last heard of.
TEST(FetchAhead, WhoIsWokenIsReadWithTheOthers) {
  const Folder folder;
  constexpr int kAuthors = 400;
  constexpr int64_t kStart = int64_t{20'000} * kDayUs;
  const int64_t leaves = kStart + (1 + static_cast<int64_t>(default_config().community.window_days)) * kDayUs;
  Counting store;
  const auto author = [](int i) { return "a" + std::to_string(i); };
  repair::replay(repair::likes(folder, "old", kStart, kSecondUs, kAuthors, author), store);
  const size_t one = store.one(), many = store.many();
  // The day on which all that leaves the window, of each author at an hour of their own.
  const auto other = [](int) { return std::string("other"); };
  repair::replay(repair::likes(folder, "new", leaves, 2 * kMinuteUs, 800, other), store);
  EXPECT_GE(store.many() - many, 3U * 800 + kAuthors);
  EXPECT_LE(store.one() - one, static_cast<size_t>(kAuthors) / 10);
}

}  // namespace
}  // namespace bellwether::fetch_ahead_test

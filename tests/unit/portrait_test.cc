// The portrait against counting by hand: acts raise the stored bytes where they stand, and must come out as if each had
// been counted.
#include "operators/portrait.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace bellwether::portrait_test {
namespace {

constexpr int64_t kDay = 20'000 * kDayUs;

// As the header says, by hand.
struct ByHand {
  Portrait::Counts counts;

  void act(int64_t time_us, ActKind kind, const std::string& channel) {
    ++counts.hours[static_cast<size_t>(time_us % kDayUs / kHourUs)];
    ++counts.acts[static_cast<size_t>(kind)];
    if (!channel.empty()) named(counts.channels, Portrait::kChannels, channel);
  }
  static void named(std::vector<Portrait::Named>& list, size_t most, const std::string& name) {
    const auto at = std::find_if(list.begin(), list.end(), [&](const auto& n) { return n.name == name; });
    if (at != list.end()) {
      ++at->count;
      return;
    }
    if (list.size() < most) {
      list.push_back({name, 1});
      return;
    }
    const auto least = std::min_element(list.begin(), list.end(), [](auto& a, auto& b) { return a.count < b.count; });
    least->name = name, ++least->count;
  }
};

std::string bytes_of(const Portrait& portrait) {
  std::string bytes;
  Writer w(bytes);
  portrait.write(w);
  return bytes;
}

void expect_same(const Portrait::Counts& a, const Portrait::Counts& b) {
  EXPECT_EQ(a.hours, b.hours);
  EXPECT_EQ(a.acts, b.acts);
  for (auto list : {&Portrait::Counts::channels, &Portrait::Counts::topics}) {
    ASSERT_EQ((a.*list).size(), (b.*list).size());
    for (size_t i = 0; i < (a.*list).size(); ++i) {
      EXPECT_EQ((a.*list)[i].name, (b.*list)[i].name);
      EXPECT_EQ((a.*list)[i].count, (b.*list)[i].count);
    }
  }
}

TEST(Portrait, CountsAsByHand) {
  std::mt19937 random(11);
  const std::vector<std::string> channels = {"",  "app", "web", "mail", std::string(64, 'x'), "a", "b", "c", "d", "e",
                                             "f", "g",   "h",   "i"};
  for (const size_t some : {1U, 2U, 4U, 14U})
    for (const int hours : {1, 3, 24}) {
      Portrait portrait;
      ByHand hand;
      for (int i = 0; i < 700; ++i) {  // past 127 and past 16,383 / 24 no count keeps its width
        const int64_t time = kDay + static_cast<int64_t>(random() % hours) * kHourUs + i;
        const auto kind = static_cast<ActKind>(random() % (hours == 1 ? 1 : kActKinds));
        const std::string& channel = channels[random() % some];
        portrait.act(time, kind, channel);
        hand.act(time, kind, channel);
        if (random() % 8 == 0) {
          const std::string topic = "t" + std::to_string(random() % 20);
          portrait.topic(topic);
          ByHand::named(hand.counts.topics, Portrait::kTopics, topic);
        }
        if (i % 37 != 0 && i != 699) continue;
        expect_same(portrait.counts(), hand.counts);
        const std::string bytes = bytes_of(portrait);
        Portrait again;
        Reader r(bytes);
        ASSERT_TRUE(again.read(r) && r.done());
        EXPECT_EQ(bytes_of(again), bytes);
        portrait = again;
      }
    }
}

// What a count of the largest number does: it stays.
TEST(Portrait, StaysAtTheLargestNumber) {
  std::string bytes;
  Writer w(bytes);
  w.varint(1), w.varint(UINT32_MAX);                               // the first hour
  w.varint(1), w.varint(UINT32_MAX);                               // likes
  w.varint(1), w.bytes("app"), w.varint(UINT32_MAX), w.varint(0);  // channels, topics
  ActiveDays().write(w);
  Portrait portrait;
  Reader r(bytes);
  ASSERT_TRUE(portrait.read(r));
  portrait.act(kDay, ActKind::kLike, "app");
  EXPECT_EQ(portrait.counts().hours[0], UINT32_MAX);
  EXPECT_EQ(portrait.counts().acts[0], UINT32_MAX);
  EXPECT_EQ(portrait.counts().channels[0].count, UINT32_MAX);
}

TEST(Portrait, OfTheErasedKeepsDaysOnly) {
  Portrait portrait;
  portrait.act(kDay, ActKind::kLike, "app");
  EXPECT_TRUE(portrait.forget());
  EXPECT_TRUE(portrait.act(kDay + kDayUs, ActKind::kLike, "app"));
  EXPECT_TRUE(portrait.counts().channels.empty());
  const std::string bytes = bytes_of(portrait);
  Portrait again;
  Reader r(bytes);
  ASSERT_TRUE(again.read(r) && r.done());
  EXPECT_FALSE(again.forget());  // it knows
  EXPECT_TRUE(again.days().on(20'000) && again.days().on(20'001));
}

TEST(Portrait, BrokenBytesAreRefused) {
  Portrait full;
  for (int i = 0; i < 40; ++i) full.act(kDay + i * kHourUs, static_cast<ActKind>(i % kActKinds), i % 2 ? "app" : "web");
  full.topic("gardens");
  const std::string bytes = bytes_of(full);
  for (size_t n = 0; n < bytes.size(); ++n) {
    Portrait portrait;
    Reader r(std::string_view(bytes).substr(0, n));
    EXPECT_FALSE(portrait.read(r)) << n;
  }
}

}  // namespace
}  // namespace bellwether::portrait_test

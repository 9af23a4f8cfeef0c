#include "pipeline/engine/priority.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <future>
#include <thread>

#include "pipeline/service/executor.h"

namespace bellwether::priority_test {
namespace {

int own() { return getpriority(PRIO_PROCESS, 0); }

TEST(Priority, IsLoweredForTheThreadAndThoseItStarts) {
  const int before = own();
  const int most = static_cast<int>(kNiceMost);
  int lowered = 0, child = 0, none = 0, lowest = 0;
  std::thread([&] {
    give_way(0);
    none = own();
    give_way(3);
    lowered = own();
    std::thread([&] { child = own(); }).join();
    give_way(100);
    lowest = own();
  }).join();
  EXPECT_EQ(none, before);
  EXPECT_EQ(lowered, std::min(before + 3, most));
  EXPECT_EQ(child, lowered);
  EXPECT_EQ(lowest, most);
  EXPECT_EQ(own(), before);  // who started it is not touched
}

TEST(Priority, OfAnExecutorIsThatOfItsThreads) {
  const int before = own();
  const auto of = [](Executor& executor) {
    std::promise<int> found;
    EXPECT_TRUE(executor.post([&] { found.set_value(own()); }));
    return found.get_future().get();
  };
  Executor answers(1, 4), writes(1, 4, 5);
  EXPECT_EQ(of(answers), before);
  EXPECT_EQ(of(writes), std::min(before + 5, static_cast<int>(kNiceMost)));
}

}  // namespace
}  // namespace bellwether::priority_test

// Jobs are done once each, whoever does them, and nobody is waited for who has none.
#include "pipeline/engine/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace bellwether::pool_test {
namespace {

TEST(Pool, EachJobOnceAndDoneAtTheEnd) {
  for (const uint32_t threads : {1U, 2U, 5U}) {
    Pool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (size_t n = 0; n < 2000; ++n) {
      std::vector<int> done(n % 9, 0);  // plain: what the threads wrote must be seen after run()
      pool.run(done.size(), [&](size_t i) { ++done[i]; });
      EXPECT_EQ(done, std::vector<int>(n % 9, 1)) << threads << " threads, run " << n;
    }
  }
}

TEST(Pool, TheThreadsWorkToo) {
  Pool pool(3);
  // Each waits for the others: by the caller alone this would never end.
  std::atomic<int> here{0};
  pool.run(3, [&](size_t) {
    for (++here; here.load() < 3;) std::this_thread::yield();
  });
  EXPECT_EQ(here.load(), 3);
}

TEST(Pool, EndsWithoutHavingRun) { const Pool pool(4); }

}  // namespace
}  // namespace bellwether::pool_test

// A broken invariant ends the program, in release too: going on would commit what cannot be right.
#pragma once

#include <cstdio>
#include <cstdlib>

#define BELLWETHER_REQUIRE(condition, ...)                                    \
  do {                                                                        \
    if (!(condition)) [[unlikely]] {                                          \
      std::fprintf(stderr, "bellwether: broken invariant: " __VA_ARGS__);     \
      std::fprintf(stderr, " (%s, %s:%d)\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                           \
    }                                                                         \
  } while (false)

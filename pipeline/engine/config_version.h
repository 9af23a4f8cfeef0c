// The community's rules as they were put on, one after another.
#pragma once

#include <cstdint>

#include "config/config.h"

namespace bellwether {

struct ConfigVersion {
  uint16_t number = 0;
  int64_t from_slot = INT64_MIN;  // in force from this tick on, until a later version is
  uint64_t hash = 0;
  CommunityConfig config;
};

}  // namespace bellwether

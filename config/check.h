// Rules that tie several keys together, checked once every key by itself is right.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.h"

namespace bellwether {

// `fail` is told the keys that contradict each other, the one to change first, and why in one sentence.
using Fail = std::function<void(const std::vector<std::string>& keys, const std::string& why)>;
void check_community(const Config& config, const Fail& fail);
void check_process(const Config& config, const Fail& fail);

}  // namespace bellwether

// Who gives way where processors are fewer than threads that want one: those that work in bulk (read, fold, commit,
// flush, compact) to those whose answer somebody waits for.
#pragma once

#include <cstdint>

namespace bellwether {

constexpr uint32_t kNiceMost = 19;

// Lowers the priority of the calling thread, and of those that it starts from here on, by so many steps of nice(1);
// beyond kNiceMost it stays there. For good: only root could raise it again. Where the system refuses, nothing changes.
void give_way(uint32_t steps);

}  // namespace bellwether

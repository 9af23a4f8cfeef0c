#include "pipeline/engine/priority.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace bellwether {

void give_way(uint32_t steps) {
  if (steps == 0) return;
  // On Linux 0 is the calling thread, not its process.
  errno = 0;
  const int now = getpriority(PRIO_PROCESS, 0);
  if (now == -1 && errno != 0) return;
  const int most = static_cast<int>(kNiceMost);
  (void)setpriority(PRIO_PROCESS, 0, std::min(now + static_cast<int>(std::min(steps, 2 * kNiceMost)), most));
}

}  // namespace bellwether

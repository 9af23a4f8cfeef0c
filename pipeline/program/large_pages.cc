#include "pipeline/program/large_pages.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace bellwether {

void restart_with_large_pages(char** argv) {
  constexpr const char* kTunables = "GLIBC_TUNABLES";
  if (std::getenv(kTunables) != nullptr) return;  // also what keeps this to once
  std::string modes;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), modes);
  if (modes.find("[madvise]") == std::string::npos) return;
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error || setenv(kTunables, "glibc.malloc.hugetlb=1", 1) != 0) return;
  execv(program.c_str(), argv);
  unsetenv(kTunables);
}

}  // namespace bellwether

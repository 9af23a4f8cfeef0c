#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

struct Scratch {
  std::string path;
  Scratch() {
    const std::filesystem::path memory = "/dev/shm";
    const char* const given = std::getenv("BELLWETHER_TEST_SCRATCH");  // whoever gives it also clears it after a crash
    const std::filesystem::path base = given != nullptr                    ? given
                                       : access(memory.c_str(), W_OK) == 0 ? memory
                                                                           : std::filesystem::temp_directory_path();
    path = base / "bellwether-fuzz-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error(path + ": cannot be created");
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

std::span<const Target> targets() {
  static constexpr std::array kTargets = {
      Target{"decode", check_decode}, Target{"json", check_json},       Target{"config", check_config},
      Target{"query", check_query},   Target{"import", check_import},   Target{"source", check_source},
      Target{"state", check_state},   Target{"payload", check_payload}, Target{"progress", check_progress},
      Target{"log", check_log},
  };
  return kTargets;
}

const std::string& scratch() {
  static const Scratch folder;
  return folder.path;
}

std::string scratch_file(const std::string& name, std::string_view bytes) {
  std::string path = scratch() + "/" + name;
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  require(out.good(), path + ": cannot be written");
  return path;
}

}  // namespace bellwether::fuzz

// libFuzzer around the checks: fuzz --target=NAME [libFuzzer's options and corpora]. A check that throws ends the
// program, which libFuzzer reports with the input.
#include <google/protobuf/stubs/logging.h>

#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/checks.h"

namespace {

const bellwether::fuzz::Target* chosen = nullptr;
// The library prints a line for each text that is not UTF-8.
const google::protobuf::LogSilencer* silence = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kOption = "--target=";
  silence = new google::protobuf::LogSilencer;
  for (int i = 1; i < *argc; ++i) {
    const std::string_view option = (*argv)[i];
    if (!option.starts_with(kOption)) continue;
    for (const auto& target : bellwether::fuzz::targets())
      if (option.substr(kOption.size()) == target.name) chosen = &target;
  }
  if (chosen != nullptr) return 0;
  std::fprintf(stderr, "usage: fuzz --target=NAME …; targets:");
  for (const auto& target : bellwether::fuzz::targets()) std::fprintf(stderr, " %s", target.name);
  std::fprintf(stderr, "\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    chosen->run({reinterpret_cast<const char*>(data), size});
  } catch (const bellwether::fuzz::Broken& broken) {
    std::fprintf(stderr, "broken: %s\n", broken.what());
    std::abort();
  }
  return 0;
}

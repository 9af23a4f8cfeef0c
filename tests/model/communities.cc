#include "tests/model/communities.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "pipeline/decode/decoder.h"
#include "pipeline/tools/simulate.h"
#include "tests/model/events.h"

namespace bellwether {

std::vector<std::string> community_records(const CommunityOptions& options) {
  std::string folder = (std::filesystem::temp_directory_path() / "bellwether_sim_XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) {
    ADD_FAILURE() << "no temporary folder";
    return {};
  }
  SimulateOptions simulate;
  simulate.users = options.users, simulate.days = options.days, simulate.seed = options.seed, simulate.rings = options.rings;
  simulate.out = folder + "/events";
  std::ostringstream error;
  const int code = run_simulate(simulate, error);
  EXPECT_EQ(code, 0) << error.str();
  std::vector<std::string> records;
  std::ifstream in(simulate.out);
  for (std::string line; std::getline(in, line);) records.push_back(line);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return records;
}

int64_t time_of(const std::string& record) {
  static const Hasher hasher("times only");
  Decoder decoder(hasher);
  Arena arena;
  Fact fact;
  std::string detail;
  EXPECT_EQ(decoder.decode(record, arena, fact, &detail), Reason::kNone) << detail << " in " << record;
  return fact.time_us;
}

std::string verdict_record(const std::string& id, const std::string& flag, Decision decision, int64_t time_us) {
  model::Event e;
  e.what = model::What::kVerdict, e.id = id, e.user = "moderator", e.time_us = time_us, e.flag = flag, e.decision = decision;
  return model::wire(e);
}

}  // namespace bellwether

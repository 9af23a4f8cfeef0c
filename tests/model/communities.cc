#include "tests/model/communities.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

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
  simulate.users = options.users, simulate.days = options.days, simulate.seed = options.seed,
  simulate.rings = options.rings;
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

namespace {

Fact decoded(const std::string& record, Arena& arena) {
  static const Hasher hasher("of no matter");
  Decoder decoder(hasher);
  Fact fact;
  std::string detail;
  EXPECT_EQ(decoder.decode(record, arena, fact, &detail), Reason::kNone) << detail << " in " << record;
  return fact;
}

}  // namespace

int64_t time_of(const std::string& record) {
  Arena arena;
  return decoded(record, arena).time_us;
}

std::vector<std::string> with_undoes(const std::vector<std::string>& records, uint64_t seed) {
  model::Dice dice(seed);
  std::vector<std::pair<int64_t, std::string>> all;
  for (const std::string& record : records) {
    Arena arena;
    const Fact fact = decoded(record, arena);
    all.emplace_back(fact.time_us, record);
    const auto* like = std::get_if<LikeFact>(&fact.body);
    if (like == nullptr || !dice.chance(15)) continue;
    model::Event e;
    e.what = model::What::kLike, e.user = fact.user.id, e.like = like->kind;
    e.post = like->post.id, e.author = like->author.id, e.post_kind = like->post_kind;
    e.id = "undo " + std::string(fact.id), e.undo = true, e.time_us = fact.time_us + dice.below(10 * kDayUs);
    all.emplace_back(e.time_us, model::wire(e));
    if (!dice.chance(40)) continue;
    e.id = "again " + std::string(fact.id), e.undo = false,
    e.time_us += dice.below(dice.chance(50) ? kSlotUs : 3 * kDayUs);
    all.emplace_back(e.time_us, model::wire(e));
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (auto& [time, record] : all) out.push_back(std::move(record));
  return out;
}

std::string verdict_record(const std::string& id, const std::string& flag, Decision decision, int64_t time_us) {
  model::Event e;
  e.what = model::What::kVerdict, e.id = id, e.user = "moderator", e.time_us = time_us, e.flag = flag,
  e.decision = decision;
  return model::wire(e);
}

}  // namespace bellwether

// Rings in a simulated community: who is in them, when they strike, and how they hide.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/tools/labels.h"
#include "pipeline/tools/random.h"
#include "pipeline/tools/ring_spec.h"
#include "pipeline/tools/sim_agenda.h"
#include "pipeline/tools/sim_community.h"
#include "pipeline/tools/sim_output.h"

namespace bellwether {

// A moment in [from_us, until_us) at an hour of the user's day when people are about.
int64_t waking_moment(const SimUser& user, int64_t from_us, int64_t until_us, Random& random);

class SimRings {
 public:
  SimRings(SimCommunity& community, SimOutput& output, LabelWriter& labels, Agenda& agenda, uint64_t seed)
      : community_(community),
        output_(output),
        labels_(labels),
        agenda_(agenda),
        random_(splitmix64(seed ^ 0x52494e47)) {}

  // Draws members and targets and puts every act of the rings into the agenda. A fifth of the members are real people
  // whose accounts were hijacked and who go on with their habits. Targets are posts of authors of the ring's own, or of
  // honest authors who bought.
  void plant(const std::vector<RingSpec>& rings, int64_t begin_us, int64_t end_us, uint64_t camouflage_millionths);
  // After the community's names are fixed.
  Status write_labels();

  void publish(const Task& task);
  void begin_target(const Task& task);
  void like(const Task& task, RecentSet& liked);
  void camouflage(const Task& task, RecentSet& liked);
  // Keeps the last some thousand likes: what is popular now, for camouflage.
  void saw_like(uint64_t post);
  const Status& status() const { return status_; }

 private:
  struct Target {
    uint32_t author;
    bool owned;
    uint64_t post = kNoPost;
    PostKind kind = PostKind::kUnspecified;
  };
  struct Ring {
    std::string name;
    std::vector<uint32_t> members;
    std::vector<Target> targets;
  };
  uint32_t hijack();
  uint32_t honest_author();
  uint32_t puppet(int64_t before_us, int64_t begin_us);
  void make_post(Target& target, int64_t time_us);

  SimCommunity& community_;
  SimOutput& output_;
  LabelWriter& labels_;
  Agenda& agenda_;
  Random random_;
  std::vector<Ring> rings_;
  std::vector<uint64_t> popular_;
  size_t popular_at_ = 0;
  uint32_t people_ = 0;
  Status status_;
};

}  // namespace bellwether

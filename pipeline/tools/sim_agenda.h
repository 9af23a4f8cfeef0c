// What is to happen later in a simulation, in order of time and then of making.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

namespace bellwether {

enum class TaskKind : uint8_t {
  kAct,          // a session goes on: a = acts left
  kJoin,         // registers
  kExam,         // a = its number
  kAccept,       // the asker: a = question, b = answer
  kStaffPost,    // a = post, b = author, c = PostKind << 8 | PostAction
  kReferral,     // the referred: a = referral, b = referrer, c = ReferralStage
  kStaffBeta,    // a = report, b = tester, c = program << 16 | severity << 8 | kind << 4 | status
  kRingPublish,  // an author of a ring's own: a = ring, b = target
  kRingTarget,   // the ring begins on a target: a = ring, b = target
  kRingLike,     // a member: a = ring, b = target
  kCamouflage,   // a member likes something popular
};

struct Task {
  int64_t time_us;
  uint64_t order;
  uint64_t a;
  uint32_t user, b, c;
  TaskKind kind;
};

class Agenda {
 public:
  void add(int64_t time_us, TaskKind kind, uint32_t user, uint64_t a = 0, uint32_t b = 0, uint32_t c = 0) {
    tasks_.push({time_us, order_++, a, user, b, c, kind});
  }
  bool empty() const { return tasks_.empty(); }
  const Task& next() const { return tasks_.top(); }
  Task take() {
    const Task task = tasks_.top();
    tasks_.pop();
    return task;
  }

 private:
  struct Later {
    bool operator()(const Task& a, const Task& b) const {
      return a.time_us != b.time_us ? a.time_us > b.time_us : a.order > b.order;
    }
  };
  std::priority_queue<Task, std::vector<Task>, Later> tasks_;
  uint64_t order_ = 0;
};

}  // namespace bellwether

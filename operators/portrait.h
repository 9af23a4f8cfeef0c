// B3, what a user's days look like: hours, channels, topics, kinds of acts, days active. Saturating counts over the
// user's life here; days active over the window. Bound: 24 hours, 8 channels, 16 topics, 192 days: at most 2.2 KB, some
// 80 bytes for most.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "operators/codec.h"
#include "operators/limits.h"

namespace bellwether {

enum class ActKind : uint8_t {
  kLike,
  kShare,
  kFollow,
  kDislike,
  kView,
  kQuestion,
  kAnswer,
  kComment,
  kIdea,
  kReview,
  kArticle,
  kReferral,
  kBeta,
  kAccount,
  kOther
};
constexpr size_t kActKinds = 15;

class Portrait {
 public:
  static constexpr size_t kChannels = 8, kTopics = 16;
  static constexpr int64_t kDays = 192;
  struct Named {
    std::string name;
    uint32_t count = 0;
  };

  // Returns true where this is the first act of its day.
  bool act(int64_t time_us, ActKind kind, std::string_view channel);
  void topic(std::string_view name) {
    if (!erased_) named(topics_, kTopics, name);
  }
  // Distinct days with an act among the window's days up to `today`.
  uint32_t days_active(int64_t today, uint32_t window_days) const;
  bool active_on(int64_t day) const;
  void mark_day(int64_t day);
  // The user is erased: nothing but the days is kept, from here on too. False where it was known.
  bool forget();

  const std::array<uint32_t, 24>& hours() const { return hours_; }  // UTC
  const std::array<uint32_t, kActKinds>& acts() const { return acts_; }
  const std::vector<Named>& channels() const {
    return channels_;
  }  // past 8: the least used gives way and its count is taken over
  const std::vector<Named>& topics() const { return topics_; }
  void write(Writer& w) const;
  bool read(Reader& r);
  size_t memory() const;

 private:
  static void named(std::vector<Named>& list, size_t most, std::string_view name);
  std::array<uint32_t, 24> hours_{};
  std::array<uint32_t, kActKinds> acts_{};
  std::vector<Named> channels_, topics_;
  int64_t first_day_ = 0;  // of bit 0; rises as days are marked
  std::array<uint64_t, 3> days_{};
  bool erased_ = false;
};

}  // namespace bellwether

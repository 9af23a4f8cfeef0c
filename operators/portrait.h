// B3, what a user's days look like: hours, channels, topics, kinds of acts, days active. Saturating counts over the
// user's life here; days active over the window. Bound: 24 hours, 8 channels, 16 topics, 192 days: at most 2.2 KB, some
// 80 bytes for most.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "operators/active_days.h"
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
  struct Named {
    std::string name;
    uint32_t count = 0;
  };
  struct Counts {
    std::array<uint32_t, 24> hours{};  // UTC
    std::array<uint32_t, kActKinds> acts{};
    std::vector<Named> channels;  // past 8: the least used gives way and its count is taken over
    std::vector<Named> topics;
  };

  // Returns true where this is the first act of its day.
  bool act(int64_t time_us, ActKind kind, std::string_view channel);
  void topic(std::string_view name);
  const ActiveDays& days() const { return days_; }
  ActiveDays& days() { return days_; }
  // The user is erased: nothing but the days is kept, from here on too. False where it was known.
  bool forget();

  Counts counts() const;
  void write(Writer& w) const;
  bool read(Reader& r);
  size_t memory() const { return counts_.capacity(); }
  void fetch_ahead() const {
    __builtin_prefetch(counts_.data());
    if (counts_.size() > 64) __builtin_prefetch(counts_.data() + 64);
  }

 private:
  bool raise(size_t hour, ActKind kind, std::string_view channel);

  // The counts as they are stored: 200 bytes less in memory than Counts, for each of millions. Empty: all are 0.
  std::string counts_;
  ActiveDays days_;
  bool erased_ = false;
};

}  // namespace bellwether

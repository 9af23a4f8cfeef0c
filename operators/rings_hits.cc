#include "operators/rings_hits.h"

#include <algorithm>

namespace bellwether {
namespace {

constexpr size_t kStride = 64;  // targets between two looks at whether the others can matter
// Far more than what poisson_llr is off by: where it is lower than `choice` by that, no larger expectation brings it up
// again.
constexpr Nats kSlack = kNat / 8;
constexpr uint32_t kHitsKept = 4096;  // up to so many hits too_much is kept

using Order = std::vector<std::pair<uint32_t, uint32_t>>;  // by bucket

// For each bucket how many of the ascending ones are not above it.
void count_upto(const Order& ascending, std::vector<uint16_t>& upto) {
  uint32_t bucket = 0;
  for (size_t i = 0; i < ascending.size(); ++i) {
    std::fill(upto.begin() + bucket, upto.begin() + ascending[i].first, static_cast<uint16_t>(i));
    bucket = ascending[i].first;
  }
  std::fill(upto.begin() + bucket, upto.end(), static_cast<uint16_t>(ascending.size()));
}

}  // namespace

void RingHits::lay_out(const std::vector<BlockTarget>& targets) {
  for (const uint32_t post : posts_) is_target_[post / 64] = 0;
  posts_.clear(), own_places_.clear();
  const auto n = static_cast<uint32_t>(targets.size());
  is_target_.resize(book_.posts() / 64 + 1, 0), place_.resize(book_.posts());
  laid_.resize(n), windows_.resize(n), order_.resize(n), own_.assign(n, 1);
  for (uint32_t t = 0; t < n; ++t) order_[t] = {targets[t].span.from, t};
  std::sort(order_.begin(), order_.end());
  count_upto(order_, opened_);
  for (uint32_t i = 0; i < n; ++i) {
    const BlockTarget& t = targets[order_[i].second];
    laid_[i].others = t.others, windows_[i] = {t.from_us, t.to_us, t.span};
    place_[t.post] = i, posts_.push_back(t.post);
    is_target_[t.post / 64] |= uint64_t{1} << (t.post % 64);
  }
  for (uint32_t i = 0; i < n; ++i) order_[i] = {windows_[i].span.to, i};
  std::sort(order_.begin(), order_.end());
  count_upto(order_, closed_);
  for (uint32_t i = 0; i < n; ++i) laid_[order_[i].second].closing = i;
}

// The user's likes, by the windows that they are in.
void RingHits::count(uint32_t user) {
  before_open_.assign(laid_.size() + 1, 0), before_close_.assign(laid_.size() + 1, 0);
  for (const uint32_t place : own_places_) own_[place] = 1;
  own_places_.clear();
  hits_ = 0;
  const auto likes = book_.likes(user);
  const size_t posts = is_target_.size() * 64;
  for (uint32_t l = 0; l < likes.size(); ++l) {
    const RingBook::Like& like = likes[l];
    // Likes are by time: who comes later overwrites with more.
    before_open_[opened_[like.bucket]] = before_close_[closed_[like.bucket]] = l + 1;
    if (like.post >= posts || (is_target_[like.post / 64] >> (like.post % 64) & 1) == 0) continue;
    const uint32_t place = place_[like.post];
    const Window& window = windows_[place];
    if (like.bucket < window.span.from || like.bucket >= window.span.to) continue;
    own_[place] = 0, own_places_.push_back(place);
    // Only in the first and the last bucket of the window does the time itself decide.
    if (like.bucket == window.span.from || like.bucket + 1u == window.span.to) {
      const int64_t time_us = book_.detail(book_.first_like(user) + l).time_us;
      hits_ += time_us >= window.from_us && time_us <= window.to_us;
    } else {
      ++hits_;
    }
  }
  uint32_t before = 0;
  for (uint32_t& likes_before : before_close_) before = likes_before = std::max(before, likes_before);
}

RingHits::Hits RingHits::of(uint32_t user) {
  count(user);
  return {hits_, expect(UINT64_MAX)};
}

// What was expected of the user counted; or, once it is above `enough`, any part of it that is.
uint64_t RingHits::expect(uint64_t enough) const {
  uint64_t expected_q20 = 0;
  uint32_t before = 0;
  for (size_t i = 0; i < laid_.size() && expected_q20 <= enough;) {
    for (const size_t end = std::min(i + kStride, laid_.size()); i < end; ++i) {
      before = std::max(before, before_open_[i]);
      const uint64_t tries = before_close_[laid_[i].closing] - before + own_[i];
      expected_q20 += std::min<uint64_t>(tries * laid_[i].others, kProbOne) >> (30 - kNatBits);
    }
  }
  return expected_q20;
}

uint32_t RingHits::convincing(uint32_t user, Nats choice) {
  count(user);
  if (hits_ == 0) return 0;
  const uint64_t expected_q20 = expect(too_much(hits_, choice));
  return poisson_llr(hits_, expected_q20) > choice ? hits_ : 0;
}

// An expectation from which on so many hits convince nobody; at most the hits themselves.
uint64_t RingHits::too_much(uint32_t hits, Nats choice) {
  if (choice != too_much_for_) too_much_.clear(), too_much_for_ = choice;
  if (hits < too_much_.size() && too_much_[hits] != 0) return too_much_[hits];
  uint64_t low = 0, high = uint64_t{hits} << kNatBits;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (poisson_llr(hits, middle) <= choice - kSlack ? high : low) = middle;
  }
  if (hits <= kHitsKept) {
    if (hits >= too_much_.size()) too_much_.resize(hits + 1, 0);
    too_much_[hits] = high;
  }
  return high;
}

}  // namespace bellwether

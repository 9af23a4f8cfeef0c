// How much may be in hand at once, in calls and in bytes of them. Who would go past it is refused, or asks to be told
// when there is room: nothing queues without bound. Any thread.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace bellwether {

class Budget {
 public:
  Budget(size_t calls_max, size_t bytes_max) : calls_max_(calls_max), bytes_max_(bytes_max) {}

  // Takes one call that holds `bytes`. False, and nothing is taken, where there are too many calls or bytes; one that
  // is larger than all that may be is taken where there is no other.
  bool take(size_t bytes) { return take(bytes, 1); }
  // The same for what was let in by when_room() already: meanwhile it may have grown to up to twice the bounds.
  bool take_admitted(size_t bytes) { return take(bytes, 2); }
  // More bytes of a call that was taken: they are there, whatever the bound says.
  void add(size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes_ += bytes;
  }
  // Gives back bytes, and the call itself with the last of them.
  void give(size_t bytes, bool call) {
    std::deque<std::function<void()>> ready;
    {
      const std::lock_guard lock(mutex_);
      bytes_ -= bytes;
      if (call) --calls_;
      if (!full()) ready.swap(waiting_);
    }
    for (const auto& then : ready) then();
  }
  // Calls `then` once less is in hand than may be: now, or in a give(); it must be short.
  void when_room(std::function<void()> then) {
    {
      const std::lock_guard lock(mutex_);
      if (full()) {
        waiting_.push_back(std::move(then));
        return;
      }
    }
    then();
  }
  size_t calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  size_t bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  bool full() const { return calls_ >= calls_max_ || bytes_ >= bytes_max_; }
  bool take(size_t bytes, size_t times) {
    const std::lock_guard lock(mutex_);
    if (calls_ >= times * calls_max_ || (calls_ > 0 && bytes_ + bytes > times * bytes_max_)) return false;
    ++calls_, bytes_ += bytes;
    return true;
  }

  const size_t calls_max_, bytes_max_;
  mutable std::mutex mutex_;
  size_t calls_ = 0, bytes_ = 0;
  std::deque<std::function<void()>> waiting_;
};

// What one call holds of a budget, until this goes.
class Share {
 public:
  Share() = default;
  // After a take() of `bytes`.
  Share(Budget& budget, size_t bytes) : budget_(&budget), bytes_(bytes) {}
  Share(Share&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  Share& operator=(Share&& other) noexcept {
    if (this == &other) return *this;
    drop();
    budget_ = std::exchange(other.budget_, nullptr), bytes_ = other.bytes_;
    return *this;
  }
  ~Share() { drop(); }
  void add(size_t bytes) {
    if (budget_ == nullptr) return;
    budget_->add(bytes);
    bytes_ += bytes;
  }
  // From now on only so many.
  void shrink(size_t bytes) {
    if (budget_ == nullptr || bytes >= bytes_) return;
    budget_->give(bytes_ - bytes, false);
    bytes_ = bytes;
  }
  void drop() {
    if (Budget* const budget = std::exchange(budget_, nullptr)) budget->give(bytes_, true);
  }
  explicit operator bool() const { return budget_ != nullptr; }

 private:
  Budget* budget_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace bellwether

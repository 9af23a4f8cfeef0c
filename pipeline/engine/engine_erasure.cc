// What the engine does about who is erased: tells ingest, has the fold go over its states some rows at a time, and lets
// who reads to an end wait until no file holds the name.
#include "pipeline/engine/engine.h"
#include "pipeline/engine/fold.h"

namespace bellwether {

// Who reads to an end leaves a folder that holds no name; a service goes on at its next start.
Status Engine::finish_erasures() {
  Status status;
  while (status.ok() && !stop_ && eraser_->failure().ok() && !eraser_->waits_outside() &&
         eraser_->done() < runner_->erased()->size()) {
    status = after_tick(true);
    if (status.ok() && anything_) {
      status = settle();
      if (status.ok()) status = commit();
    }
    if (status.ok()) status = settle();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return status.ok() ? eraser_->failure() : status;
}

void Engine::tell_erased() {
  if (erased_ == runner_->erased()) return;
  ingest_->set_erased(runner_->erased());
  const std::lock_guard lock(mutex_);
  erased_ = runner_->erased();
}

std::shared_ptr<const Erased> Engine::erased() const {
  const std::lock_guard lock(mutex_);
  return erased_;
}

// Some rows a call, so that no tick waits long.
Status Engine::scrub() {
  constexpr size_t kRows = 256;
  Status status = runner_->scrub(eraser_->take(kRows), outbox_erased_ + 1);
  if (uint64_t done; eraser_->says_done(done)) {
    std::string row;
    Writer(row).varint(done);
    set_->put(Family::kMeta, keys::kErased, row);
  }
  anything_ = true;
  return status;
}

}  // namespace bellwether

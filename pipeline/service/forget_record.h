// Records of the input without the names of the erased, for a log that is ours to rewrite.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "operators/erased.h"
#include "pipeline/decode/decoder.h"

namespace bellwether {

// One a thread.
class RecordForgetter {
 public:
  // `names`: the ids of those whose erasure is under way, as far as known: with them a record is found too that holds
  // one where no user stands (the event's id, a field nobody knows). `hasher` must outlive it.
  RecordForgetter(const Hasher& hasher, std::shared_ptr<const Erased> erased, std::vector<std::string> names)
      : decoder_(hasher), erased_(std::move(erased)), names_(std::move(names)) {}

  // True: `out` is to take the record's place. It is folded exactly as the record would have been from the erasure on:
  // the same event at the same home with the same hashes, as JSON, without the names; or a dead letter for the same
  // reason, without its bytes.
  bool forget(std::string_view value, std::string& out);

 private:
  bool holds_name(std::string_view text) const;

  Decoder decoder_;
  const std::shared_ptr<const Erased> erased_;
  const std::vector<std::string> names_;
  Arena arena_;
  Fact fact_;
  std::string detail_, id_, report_;
};

}  // namespace bellwether

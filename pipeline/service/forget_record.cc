#include "pipeline/service/forget_record.h"

#include <algorithm>

#include "pipeline/engine/rows.h"
#include "pipeline/tools/event_json.h"

namespace bellwether {
namespace {

constexpr size_t kSearched = 64 << 10;  // of a record that is no event; as much as a dead letter keeps

}  // namespace

bool RecordForgetter::holds_name(std::string_view text) const {
  return std::any_of(names_.begin(), names_.end(),
                     [text](const std::string& name) { return text.find(name) != std::string_view::npos; });
}

bool RecordForgetter::forget(std::string_view value, std::string& out) {
  if (erased_->empty()) return false;
  arena_.clear();
  detail_.clear();
  const Reason reason = decoder_.decode(value, arena_, fact_, &detail_);
  if (reason != Reason::kNone) {
    if (!holds_name(value) && !erased_->in_bytes(value.substr(0, kSearched))) return false;
    // Such a record may itself be what somebody sent, with a sentence of their own.
    const bool named = holds_name(detail_) || erased_->in_bytes(detail_);
    out = encode_erased_dead(reason, named ? std::string(kNamedSentence) : detail_);
    return true;
  }
  bool named = bellwether::forget(fact_, *erased_);
  if (auto* test = std::get_if<BetaTestFact>(&fact_.body); test != nullptr && !test->report.present()) {
    const Ref& filer = test->tester.present() ? test->tester : fact_.user;
    if (erased_->name(filer.hash) != nullptr) {
      // Its home is the hash of program and tester, which can no longer be made of their texts.
      report_ = erased_name(fact_.home.hash);
      test->report = {report_, fact_.home.hash};
      named = true;
    }
  }
  if (!named && !holds_name(value)) return false;
  // Of an event's id nothing is kept but its hash.
  if (holds_name(fact_.id) || erased_->in_bytes(fact_.id)) id_ = erased_name(fact_.id_hash), fact_.id = id_;
  out.clear();
  append_event_json(fact_, out);
  return out != value;
}

}  // namespace bellwether

#include "pipeline/tools/import_common.h"

#include <initializer_list>

#include "pipeline/tools/event_json.h"
#include "pipeline/tools/lines.h"
#include "pipeline/tools/progress.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

constexpr size_t kIdBytes = 64;

// What the contract holds against an event, or null.
class Check {
 public:
  const char* problem = nullptr;
  void needed(std::string_view id) {
    if (id.empty()) say("empty id");
    optional(id);
  }
  void optional(std::string_view text) {
    if (text.size() > kIdBytes)
      say("id or name longer than 64 bytes");
    else if (!valid_utf8(text))
      say("invalid UTF-8");
  }
  void operator()(const LikeFact& f) {
    if (f.kind != LikeKind::kFollow)
      needed(f.post.id);
    else
      optional(f.post.id);
    needed(f.author.id);
  }
  void operator()(const PostFact& f) {
    needed(f.post.id);
    for (const Ref* id : {&f.author, &f.parent, &f.parent_author}) optional(id->id);
    for (size_t i = 0; i < f.topic_count; ++i) optional(f.topics[i]);
  }
  void operator()(const ReferralFact& f) { needed(f.referral.id), needed(f.referrer.id), optional(f.referred.id); }
  void operator()(const BetaTestFact& f) { needed(f.program), optional(f.report.id), optional(f.tester.id); }
  void operator()(const AccountFact& f) { optional(f.name), optional(f.team); }
  void operator()(const EntitlementUseFact& f) { needed(f.right); }
  void operator()(const FeedbackFact& f) { optional(f.about); }
  // Judgements come from no importer.
  template <typename Judgement>
  void operator()(const Judgement&) {}

 private:
  void say(const char* text) {
    if (problem == nullptr) problem = text;
  }
};

constexpr int64_t kFirstUs = -9'214'560'000 * kSecondUs;  // 1678-01-01, the first that the contract takes
constexpr int64_t kLastUs = 9'246'182'400 * kSecondUs;    // 2263-01-01

}  // namespace

void Skipped::add(std::string_view reason, std::string_view place, uint64_t line) {
  ++total_;
  auto found = counts_.find(reason);
  if (found == counts_.end()) {
    std::string first(place);
    if (line > 0) first += ":" + std::to_string(line);
    found = counts_.emplace(std::string(reason), Count{0, std::move(first)}).first;
  }
  ++found->second.rows;
}

uint64_t Skipped::of(std::string_view reason) const {
  const auto found = counts_.find(reason);
  return found == counts_.end() ? 0 : found->second.rows;
}

void Skipped::print(std::ostream& err) const {
  for (const auto& [reason, count] : counts_)
    err << "skipped " << count.rows << ": " << reason << " (first: " << count.first << ")\n";
}

Status EventSorter::add(const Fact& event, std::string_view place, uint64_t line, Skipped& skipped) {
  Check check;
  check.needed(event.id), check.needed(event.user.id);
  for (const std::string_view text : {event.device, event.network, event.channel, event.campaign}) check.optional(text);
  std::visit(check, event.body);
  if (check.problem == nullptr && (event.time_us < kFirstUs || event.time_us >= kLastUs))
    check.problem = "time outside the years 1678 to 2262";
  if (check.problem != nullptr) {
    skipped.add(check.problem, place, line);
    return Status::fine();
  }
  line_.clear();
  append_event_json(event, line_);
  ++events_;
  return sorter_.add(event.time_us, line_);
}

Status EventSorter::write(const std::string& path, const std::string& label) {
  LineWriter out;
  if (Status s = out.open(path); !s.ok()) return s;
  ProgressBar progress(label, events_);
  uint64_t done = 0;
  Status s = sorter_.drain([&](int64_t, std::string_view line) {
    ++done;
    progress.update(done, done);
    return out.write(line);
  });
  if (!s.ok()) return s;
  return out.finish();
}

}  // namespace bellwether

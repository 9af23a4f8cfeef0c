#include "pipeline/tools/evaluate.h"

#include <simdjson.h>

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "pipeline/tools/event_json.h"
#include "pipeline/tools/lines.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

std::string duration(int64_t us) {
  if (us < 0) return "-";
  if (us < 2 * kHourUs) return fixed(static_cast<double>(us) / kMinuteUs, 1) + " min";
  if (us < 2 * kDayUs) return fixed(static_cast<double>(us) / kHourUs, 1) + " h";
  return fixed(static_cast<double>(us) / kDayUs, 1) + " d";
}

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

void print_columns(const std::vector<std::vector<std::string>>& rows, std::ostream& out) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - row[i].size(), ' ');
      out << (i == 0 ? "" : "  ") << (i == 0 ? row[i] + pad : pad + row[i]);
    }
    out << "\n";
  }
}

}  // namespace

struct Evaluator::Parser {
  simdjson::dom::parser json;
};

Evaluator::Evaluator(std::map<std::string, RingLabels> labels)
    : labels_(std::move(labels)), parser_(std::make_unique<Parser>()) {
  for (const auto& [name, ring] : labels_) {
    members_.insert(ring.members.begin(), ring.members.end());
    labelled_.insert(ring.members.begin(), ring.members.end());
    labelled_.insert(ring.beneficiaries.begin(), ring.beneficiaries.end());
  }
}
Evaluator::~Evaluator() = default;

Status Evaluator::line(std::string_view line) {
  if (line.empty()) return Status::fine();
  simdjson::dom::object object;
  std::string_view type;
  if (parser_->json.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS)
    return Status::error("not a JSON object");
  if (object["type"].get(type) != simdjson::SUCCESS) return Status::error("no \"type\"");
  if (type == "user") {
    std::string_view id;
    if (object["id"].get(id) != simdjson::SUCCESS && object["user"].get(id) != simdjson::SUCCESS)
      return Status::error("a user without \"id\"");
    ++counts_.users;
    if (!labelled_.contains(id)) ++counts_.unlabelled;
    return Status::fine();
  }
  if (type != "flag") return Status::fine();
  std::string_view id, kind, status, opened;
  simdjson::dom::array subjects;
  if (object["id"].get(id) != simdjson::SUCCESS || object["kind"].get(kind) != simdjson::SUCCESS ||
      object["status"].get(status) != simdjson::SUCCESS || object["subjects"].get(subjects) != simdjson::SUCCESS)
    return Status::error("a flag without \"id\", \"kind\", \"status\" or \"subjects\"");
  Flag flag;
  flag.id = id;
  if (object["opened_us"].get(flag.opened_us) != simdjson::SUCCESS &&
      (object["opened"].get(opened) != simdjson::SUCCESS || !parse_time(opened, flag.opened_us)))
    return Status::error("a flag without a time \"opened_us\" or \"opened\"");
  if (status == "dismissed" || status == "reversed") {
    ++counts_.dismissed_flags;
    return Status::fine();
  }
  for (const simdjson::dom::element subject : subjects) {
    std::string_view user;
    if (subject.get(user) != simdjson::SUCCESS) return Status::error("a subject that is no text");
    flag.subjects.emplace(user);
  }
  ++counts_.flags_by_kind[std::string(kind)];
  any_flagged_.insert(flag.subjects.begin(), flag.subjects.end());
  if (kind == "ring") ring_flags_.push_back(std::move(flag));
  return Status::fine();
}

Evaluation Evaluator::result() const {
  Evaluation e = counts_;
  e.ring_flags = ring_flags_.size();
  struct Matched {
    std::set<std::string> subjects;
    std::vector<std::string> flags;
    int64_t first_us = INT64_MAX;
  };
  std::map<std::string, Matched> matched;
  std::set<std::string> flagged;
  for (const Flag& flag : ring_flags_) {
    flagged.insert(flag.subjects.begin(), flag.subjects.end());
    size_t best = 0;
    const std::string* ring = nullptr;
    for (const auto& [name, labels] : labels_) {
      size_t common = 0;
      for (const std::string& user : flag.subjects) common += labels.members.contains(user) ? 1 : 0;
      if (common > best) best = common, ring = &name;
    }
    if (ring == nullptr) {
      ++e.unmatched_flags;
      continue;
    }
    Matched& m = matched[*ring];
    m.subjects.insert(flag.subjects.begin(), flag.subjects.end());
    m.flags.push_back(flag.id);
    m.first_us = std::min(m.first_us, flag.opened_us);
  }
  for (const auto& [name, labels] : labels_) {
    RingResult r;
    r.ring = name;
    r.score.labelled = labels.members.size();
    if (const auto found = matched.find(name); found != matched.end()) {
      const Matched& m = found->second;
      r.detected = true, r.flags = m.flags;
      r.score.flagged = m.subjects.size();
      for (const std::string& user : m.subjects) r.score.found += labels.members.contains(user) ? 1 : 0;
      if (!labels.likes_us.empty()) {
        r.detect_us = std::max<int64_t>(0, m.first_us - labels.likes_us.front());
        const auto by_then = std::upper_bound(labels.likes_us.begin(), labels.likes_us.end(), m.first_us);
        r.likes_share = share(static_cast<uint64_t>(by_then - labels.likes_us.begin()), labels.likes_us.size());
      }
    }
    e.rings.push_back(std::move(r));
  }
  e.overall.flagged = flagged.size(), e.overall.labelled = members_.size();
  for (const std::string& user : flagged) {
    e.overall.found += members_.contains(user) ? 1 : 0;
    e.unlabelled_ring_flagged += labelled_.contains(user) ? 0 : 1;
  }
  for (const std::string& user : any_flagged_) e.unlabelled_any_flagged += labelled_.contains(user) ? 0 : 1;
  return e;
}

void print_table(const Evaluation& e, std::ostream& out) {
  std::vector<std::vector<std::string>> rows{
      {"ring", "members", "flagged", "right", "precision", "recall", "F1", "detected after", "likes by then", "flags"}};
  const auto add = [&](const std::string& name, const Score& s, const std::string& after, const std::string& likes,
                       size_t flags) {
    rows.push_back({name, std::to_string(s.labelled), std::to_string(s.flagged), std::to_string(s.found),
                    fixed(s.precision(), 3), fixed(s.recall(), 3), fixed(s.f1(), 3), after, likes,
                    std::to_string(flags)});
  };
  for (const RingResult& r : e.rings)
    add(r.ring, r.score, duration(r.detect_us), r.likes_share < 0 ? "-" : fixed(r.likes_share * 100, 0) + " %",
        r.flags.size());
  add("all", e.overall, "", "", e.ring_flags);
  print_columns(rows, out);
  out << "\nunlabelled users in ring flags: " << e.unlabelled_ring_flagged << " of " << e.unlabelled << " ("
      << fixed(share(e.unlabelled_ring_flagged, e.unlabelled) * 100, 3)
      << " %), in flags of any kind: " << e.unlabelled_any_flagged << " ("
      << fixed(share(e.unlabelled_any_flagged, e.unlabelled) * 100, 3) << " %)\n";
  out << "ring flags that meet no planted ring: " << e.unmatched_flags
      << "; dismissed flags left out: " << e.dismissed_flags << "\nflags by kind:";
  for (const auto& [kind, count] : e.flags_by_kind) out << " " << kind << " " << count;
  out << (e.flags_by_kind.empty() ? " none\n" : "\n");
}

void print_json(const Evaluation& e, std::ostream& out) {
  const auto score = [](const Score& s) {
    return "\"members\":" + std::to_string(s.labelled) + ",\"flagged\":" + std::to_string(s.flagged) +
           ",\"right\":" + std::to_string(s.found) + ",\"precision\":" + fixed(s.precision(), 6) +
           ",\"recall\":" + fixed(s.recall(), 6) + ",\"f1\":" + fixed(s.f1(), 6);
  };
  std::string text = "{\"rings\":[";
  for (const RingResult& r : e.rings) {
    if (&r != &e.rings.front()) text += ',';
    text += "{\"ring\":";
    append_json_string(r.ring, text);
    text += "," + score(r.score) + ",\"detected\":" + (r.detected ? "true" : "false");
    text +=
        ",\"detect_seconds\":" + (r.detect_us < 0 ? "null" : fixed(static_cast<double>(r.detect_us) / kSecondUs, 3));
    text += ",\"likes_share\":" + (r.likes_share < 0 ? "null" : fixed(r.likes_share, 6)) + ",\"flags\":[";
    for (const std::string& id : r.flags) {
      if (&id != &r.flags.front()) text += ',';
      append_json_string(id, text);
    }
    text += "]}";
  }
  text += "],\"overall\":{" + score(e.overall) + "},\"users\":" + std::to_string(e.users) +
          ",\"unlabelled\":" + std::to_string(e.unlabelled) +
          ",\"unlabelled_ring_flagged\":" + std::to_string(e.unlabelled_ring_flagged) +
          ",\"unlabelled_ring_flagged_share\":" + fixed(share(e.unlabelled_ring_flagged, e.unlabelled), 8) +
          ",\"unlabelled_any_flagged\":" + std::to_string(e.unlabelled_any_flagged) +
          ",\"ring_flags\":" + std::to_string(e.ring_flags) +
          ",\"unmatched_flags\":" + std::to_string(e.unmatched_flags) +
          ",\"dismissed_flags\":" + std::to_string(e.dismissed_flags) + ",\"flags_by_kind\":{";
  bool first = true;
  for (const auto& [kind, count] : e.flags_by_kind) {
    if (!first) text += ',';
    first = false;
    append_json_string(kind, text);
    text += ":" + std::to_string(count);
  }
  out << text << "}}\n";
}

int run_evaluate(const EvaluateOptions& options, const DumpHook& dump, std::ostream& out, std::ostream& err) {
  const auto bad = [&](const std::string& what, int code) { return err << "evaluate: " << what << "\n", code; };
  if (options.data.empty() == options.dump.empty()) return bad("give either --data or --dump", 2);
  if (options.output != "table" && options.output != "json") return bad("--output must be table or json", 2);
  std::map<std::string, RingLabels> labels;
  if (Status s = read_labels(options.labels, labels); !s.ok()) return bad(s.message, 1);
  Evaluator evaluator(std::move(labels));
  Status status;
  uint64_t number = 0;
  const auto take = [&](std::string_view line) {
    ++number;
    if (!status.ok()) return;
    status = evaluator.line(line);
    if (!status.ok())
      status.message = (options.dump.empty() ? "the dump of " + options.data : options.dump) + ":" +
                       std::to_string(number) + ": " + status.message;
  };
  if (!options.data.empty()) {
    if (!dump) return bad("this program cannot read a data folder; give --dump", 2);
    if (const int code = dump(options.data, take); code != 0) return code;
  } else {
    LineReader in(64 << 20);  // a flag with its evidence is one line
    if (Status s = in.open(options.dump); !s.ok()) return bad(s.message, 1);
    std::string_view line;
    LineReader::Got got;
    while ((got = in.next(line)) == LineReader::Got::kLine && status.ok()) take(line);
    if (got == LineReader::Got::kError) return bad(in.status().message, 1);
    if (got == LineReader::Got::kTooLong) return bad(options.dump + ": a line over 64 MiB", 1);
  }
  if (!status.ok()) return bad(status.message, 1);
  const Evaluation result = evaluator.result();
  if (options.output == "json")
    print_json(result, out);
  else
    print_table(result, out);
  return 0;
}

}  // namespace bellwether

#include "pipeline/tools/labels.h"

#include <simdjson.h>

#include <algorithm>

#include "pipeline/tools/event_json.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

// Appends ,"name":"value" or, as the first, without the comma.
void member_text(std::string& line, std::string_view name, std::string_view value) {
  line += line.empty() ? "{\"" : ",\"";
  line += name, line += "\":";
  append_json_string(value, line);
}

}  // namespace

Status LabelWriter::open(const std::string& path) {
  open_ = !path.empty();
  return open_ ? out_.open(path) : Status::fine();
}

Status LabelWriter::member(std::string_view ring, std::string_view user) {
  if (!open_) return Status::fine();
  line_.clear();
  member_text(line_, "user", user), member_text(line_, "ring", ring), line_ += '}';
  return out_.write(line_);
}

Status LabelWriter::beneficiary(std::string_view ring, std::string_view user) {
  if (!open_) return Status::fine();
  line_.clear();
  member_text(line_, "ring", ring), member_text(line_, "beneficiary", user), line_ += '}';
  return out_.write(line_);
}

Status LabelWriter::like(std::string_view ring, std::string_view event, int64_t time_us, std::string_view post) {
  if (!open_) return Status::fine();
  line_.clear();
  member_text(line_, "ring", ring), member_text(line_, "like", event);
  member_text(line_, "time", time_text(time_us)), member_text(line_, "post", post), line_ += '}';
  return out_.write(line_);
}

Status LabelWriter::finish() { return open_ ? out_.finish() : Status::fine(); }

Status read_labels(const std::string& path, std::map<std::string, RingLabels>& rings) {
  LineReader in;
  if (Status s = in.open(path); !s.ok()) return s;
  simdjson::dom::parser parser;
  std::string_view line;
  LineReader::Got got;
  const auto wrong = [&](const std::string& what) {
    return Status::error(path + ":" + std::to_string(in.line_number()) + ": " + what);
  };
  while ((got = in.next(line)) != LineReader::Got::kEnd) {
    if (got == LineReader::Got::kError) return in.status();
    if (got == LineReader::Got::kTooLong) return wrong("line too long");
    if (line.empty()) continue;
    simdjson::dom::object object;
    if (parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS) return wrong("not a JSON object");
    std::string_view ring, user, time;
    if (object["ring"].get(ring) != simdjson::SUCCESS || ring.empty()) return wrong("no \"ring\"");
    RingLabels& labels = rings[std::string(ring)];
    int64_t time_us = 0;
    if (object["user"].get(user) == simdjson::SUCCESS) {
      labels.members.emplace(user);
    } else if (object["beneficiary"].get(user) == simdjson::SUCCESS) {
      labels.beneficiaries.emplace(user);
    } else if (object["time"].get(time) == simdjson::SUCCESS && parse_time(time, time_us)) {
      labels.likes_us.push_back(time_us);
    } else {
      return wrong("neither \"user\", nor \"beneficiary\", nor \"like\" with its \"time\"");
    }
  }
  for (auto& [name, labels] : rings) std::sort(labels.likes_us.begin(), labels.likes_us.end());
  return Status::fine();
}

}  // namespace bellwether

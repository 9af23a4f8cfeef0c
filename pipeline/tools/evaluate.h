// How well the detection did: flags against planted labels.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/sources/source.h"
#include "pipeline/tools/labels.h"

namespace bellwether {

struct Score {
  uint64_t found = 0;  // labelled and flagged
  uint64_t flagged = 0;
  uint64_t labelled = 0;
  double precision() const { return flagged == 0 ? 0 : static_cast<double>(found) / static_cast<double>(flagged); }
  double recall() const { return labelled == 0 ? 0 : static_cast<double>(found) / static_cast<double>(labelled); }
  double f1() const {
    return flagged + labelled == 0 ? 0 : 2 * static_cast<double>(found) / static_cast<double>(flagged + labelled);
  }
};

struct RingResult {
  std::string ring;
  Score score;
  std::vector<std::string> flags;  // matched to this ring
  bool detected = false;
  int64_t detect_us = -1;   // first flag less first like; -1: not detected, or the labels name no likes
  double likes_share = -1;  // of the ring's likes made by the first flag; -1: as above
};

struct Evaluation {
  std::vector<RingResult> rings;
  Score overall;            // members of any ring against users in any ring flag
  uint64_t users = 0;       // in the dump
  uint64_t unlabelled = 0;  // of them, neither member nor beneficiary
  uint64_t unlabelled_ring_flagged = 0;
  uint64_t unlabelled_any_flagged = 0;  // as a subject of a flag of any kind
  uint64_t ring_flags = 0, unmatched_flags = 0, dismissed_flags = 0;
  std::map<std::string, uint64_t> flags_by_kind;
};

// Takes dump lines in any order. A ring flag belongs to the planted ring with which it shares most subjects (the first
// by name where several share as many). Dismissed and reversed flags count as not raised. Memory: the labels and the
// flagged users.
class Evaluator {
 public:
  explicit Evaluator(std::map<std::string, RingLabels> labels);
  ~Evaluator();
  // An error says what in the line is no dump line.
  Status line(std::string_view line);
  Evaluation result() const;

 private:
  struct Flag {
    std::string id;
    std::set<std::string> subjects;
    int64_t opened_us = 0;
  };
  std::map<std::string, RingLabels> labels_;
  std::set<std::string, std::less<>> members_, labelled_;
  std::vector<Flag> ring_flags_;
  std::set<std::string> any_flagged_;
  Evaluation counts_;
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

void print_table(const Evaluation& evaluation, std::ostream& out);
void print_json(const Evaluation& evaluation, std::ostream& out);

struct EvaluateOptions {
  std::string data;  // a data folder, or
  std::string dump;  // a file of dump lines ("-": standard input)
  std::string labels;
  std::string output = "table";  // or "json"
};
// Hands every dump line of a data folder to `line`; gives an exit code.
using DumpHook = std::function<int(const std::string& data, const std::function<void(std::string_view line)>& line)>;

// Gives the exit code: 0, 1 (cannot read, broken dump or labels), 2 (bad option).
int run_evaluate(const EvaluateOptions& options, const DumpHook& dump, std::ostream& out, std::ostream& err);

}  // namespace bellwether

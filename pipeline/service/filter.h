// AIP-160 filters, the part that lists here need: comparisons `FIELD OP VALUE` joined by AND, OR, NOT (or -) and
// parentheses. OR binds tighter than AND, as the standard has it. OP is one of = != < <= > >= and ':' (has), which for
// single values is '='.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bellwether {

// What a field is, and so what it may be compared with.
enum class FieldType : uint8_t {
  kNumber,   // a whole number
  kPoints,   // points with up to six decimals; compared in micro-points
  kText,     // only = != :
  kBoolean,  // true, false; only = != :
  kTime,     // RFC 3339, in quotes; microseconds
  kChoice,   // one of `choices`, as its index; ordered if `ordered`
};

struct FilterField {
  std::string name;
  FieldType type = FieldType::kNumber;
  std::vector<std::string> choices;  // empty texts are no choices
  bool ordered = true;
  int id = 0;  // for the one who reads values
};

// The value of a field of one row: number for all types but text. A row may have several (subjects of a flag): then a
// comparison holds where any of them does, and != where none is equal.
struct FilterValue {
  int64_t number = 0;
  std::string text;
};
using FilterValues = std::vector<FilterValue>;

class Filter {
 public:
  // Empty text: everything. False: `error` says what is wrong, where (from 1) and what is allowed.
  static bool parse(std::string_view text, const std::vector<FilterField>& fields, Filter& out, std::string& error);

  bool empty() const { return root_ == nullptr; }
  // `values` gives what a field has, by its id; asked only for what the answer still depends on.
  bool matches(const std::function<FilterValues(int id)>& values) const;
  // A value that the field must equal for anything to match, if the filter says so outright ("user = x AND …").
  bool required_text(int id, std::string& out) const;

  struct Node;

 private:
  std::shared_ptr<const Node> root_;
};

}  // namespace bellwether

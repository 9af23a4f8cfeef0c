// What a call gives that reads something people wrote: the value, or every mistake found in it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace bellwether {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor): returned as it is
  // `errors`: one line each, at least one.
  static Result failed(std::vector<std::string> errors) {
    if (errors.empty()) errors.emplace_back("failed without a reason");
    return Result(T{}, std::move(errors));
  }

  bool ok() const { return errors_.empty(); }
  const std::vector<std::string>& errors() const { return errors_; }
  // All errors, one a line, without a final newline. Empty if ok().
  std::string error_text() const {
    std::string text;
    for (const std::string& error : errors_) text += (text.empty() ? "" : "\n") + error;
    return text;
  }
  // Only if ok(): a value taken from a failure is a broken invariant.
  const T& value() const& { return require(), value_; }
  T&& value() && { return require(), std::move(value_); }

 private:
  Result(T value, std::vector<std::string> errors) : value_(std::move(value)), errors_(std::move(errors)) {}
  void require() const {
    if (ok()) return;
    std::fprintf(stderr, "bellwether: value taken from a failed result: %s\n", error_text().c_str());
    std::abort();
  }
  T value_;
  std::vector<std::string> errors_;
};

}  // namespace bellwether

// What fuzzing checks: each target takes any bytes, drives one kind of reader with them, and throws Broken where a
// promise does not hold. Plain code without libFuzzer: the fuzzer (driver.cc) and the regression tests both call it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bellwether::fuzz {

struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};
inline void require(bool holds, const std::string& what) {
  if (!holds) throw Broken(what);
}

struct Target {
  const char* name;
  void (*run)(std::string_view input);
};
std::span<const Target> targets();

// check_*.cc, one a target. Where one covers several readers, the input's first byte chooses.
void check_decode(std::string_view input);    // protobuf, bare and behind the registry's prefix, against the library
void check_json(std::string_view input);      // proto3 JSON against the library
void check_config(std::string_view input);    // YAML, canonical text, --set, environment, tokens, small texts
void check_query(std::string_view input);     // requests, filters, page tokens, watch tokens
void check_import(std::string_view input);    // stackexchange, edges, csv
void check_source(std::string_view input);    // event files, plain and compressed
void check_state(std::string_view input);     // the state of every operator
void check_payload(std::string_view input);   // messages between operators, records, rings, ledger blocks
void check_progress(std::string_view input);  // control rows, progress row, keys
void check_log(std::string_view input);       // a folder of log segments

// Takes an input apart from its front; what is missing is 0 or empty.
class Input {
 public:
  explicit Input(std::string_view bytes) : left_(bytes) {}
  bool empty() const { return left_.empty(); }
  std::string_view rest() const { return left_; }
  std::string_view bytes(size_t n) {
    const std::string_view taken = left_.substr(0, n);
    left_.remove_prefix(taken.size());
    return taken;
  }
  template <class Number>
  Number number() {
    Number v{};
    const std::string_view taken = bytes(sizeof v);
    std::memcpy(&v, taken.data(), taken.size());
    return v;
  }
  uint8_t byte() { return number<uint8_t>(); }
  bool coin() { return (byte() & 1) != 0; }
  // A text or list length that a byte says.
  std::string_view text() { return bytes(byte()); }
  // Mostly small, sometimes any value: what a stored time, day or count may be.
  int64_t whole() {
    const uint8_t how = byte();
    if (how < 200) return static_cast<int64_t>(how) - 100;
    return how < 225 ? number<int32_t>() : number<int64_t>();
  }

 private:
  std::string_view left_;
};

// A heap copy of exactly this size, so that a sanitizer sees any read past its end.
class Exact {
 public:
  explicit Exact(std::string_view bytes) : data_(new char[bytes.size()]), size_(bytes.size()) {
    if (size_ > 0) std::memcpy(data_, bytes.data(), size_);
  }
  Exact(const Exact&) = delete;
  Exact& operator=(const Exact&) = delete;
  ~Exact() { delete[] data_; }
  std::string_view view() const { return {data_, size_}; }

 private:
  char* data_;
  size_t size_;
};

// A folder of the process's own in memory (/dev/shm, else the temporary folder), gone with it.
const std::string& scratch();
// Writes `bytes` to scratch()/name and gives the path.
std::string scratch_file(const std::string& name, std::string_view bytes);

}  // namespace bellwether::fuzz

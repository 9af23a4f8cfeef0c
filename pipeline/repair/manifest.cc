#include "pipeline/repair/manifest.h"

#include <xxhash.h>

#include <charconv>
#include <cstdio>

namespace bellwether {
namespace {

constexpr std::string_view kHead = "bellwether-backup ";
constexpr std::string_view kVersion = "1";

std::string check_of(std::string_view bytes) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  return text;
}

// A topic may be a path of a file, with any bytes in it.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return out;
}

std::string_view word(std::string_view& line) {
  const size_t space = line.find(' ');
  const std::string_view first = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return first;
}

template <class Number>
bool number(std::string_view& line, Number& out) {
  const std::string_view text = word(line);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

// Nothing outside of the folder that a backup is restored into.
bool safe(std::string_view path) {
  if (!path.starts_with("store/") && !path.starts_with("log/")) return false;
  for (std::string_view rest = path; !rest.empty();) {
    const size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    if (name.empty() || name == "." || name == "..") return false;
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
  }
  return path.back() != '/' && path.find('\0') == std::string_view::npos;
}

}  // namespace

std::string encode(const Manifest& m) {
  std::string out(kHead);
  out += std::string(kVersion) + "\nprogram " + one_line(m.program) + "\n";
  out += "tick " + std::to_string(m.tick.slot) + " " + std::to_string(m.tick.sub) + "\n";
  for (const auto& [partition, offset] : m.positions)
    out += "position " + std::to_string(partition.number) + " " + std::to_string(offset) + " " +
           one_line(partition.topic) + "\n";
  for (const auto& [path, sum] : m.files)
    out += "file " + std::to_string(sum.bytes) + " " + sum.check + " " + path + "\n";
  return out + "end " + check_of(out) + "\n";
}

Status decode(std::string_view bytes, const std::string& path, Manifest& out) {
  out = {};
  Status damaged = Status::error(path + " is damaged: this is no whole backup; take another one");
  if (!bytes.starts_with(kHead)) return damaged;
  const std::string_view version = bytes.substr(kHead.size(), bytes.find('\n') - kHead.size());
  if (version != kVersion)
    return Status::error(path + " is of version " + std::string(version.substr(0, 20)) + ", this program reads " +
                         std::string(kVersion) + ": use the program that made the backup, or a later one");
  const size_t end = bytes.rfind("\nend ");
  if (end == std::string_view::npos || bytes.substr(end + 1) != "end " + check_of(bytes.substr(0, end + 1)) + "\n")
    return damaged;
  for (std::string_view rest = bytes.substr(bytes.find('\n') + 1, end - bytes.find('\n')); !rest.empty();) {
    const size_t stop = rest.find('\n');
    std::string_view line = rest.substr(0, stop);
    rest.remove_prefix(stop == std::string_view::npos ? rest.size() : stop + 1);
    const std::string_view kind = word(line);
    bool good = true;
    if (kind == "program") {
      out.program = line;
    } else if (kind == "tick") {
      good = number(line, out.tick.slot) && number(line, out.tick.sub);
    } else if (kind == "position") {
      auto& [partition, offset] = out.positions.emplace_back();
      good = number(line, partition.number) && number(line, offset);
      partition.topic = line;
    } else if (kind == "file") {
      auto& [name, sum] = out.files.emplace_back();
      good = number(line, sum.bytes);
      sum.check = word(line), name = line;
      good = good && safe(name);
    }  // what a later program of this version may add is left alone
    if (!good) return damaged;
  }
  return {};
}

}  // namespace bellwether

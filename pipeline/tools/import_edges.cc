#include "pipeline/tools/import_edges.h"

#include <charconv>

#include "pipeline/tools/lines.h"
#include "pipeline/tools/progress.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == ','; }

// The next word of `line`, which loses it.
std::string_view word(std::string_view& line) {
  size_t from = 0;
  while (from < line.size() && is_blank(line[from])) ++from;
  size_t to = from;
  while (to < line.size() && !is_blank(line[to])) ++to;
  const std::string_view found = line.substr(from, to - from);
  line.remove_prefix(to);
  return found;
}

}  // namespace

int run_import_edges(const ImportEdgesOptions& options, std::ostream& err) {
  if (options.files.empty() || options.post_days < 1 || options.post_days > 3650) {
    err << "import edges: " << (options.files.empty() ? "no file given" : "--post-days must be 1 to 3650") << "\n";
    return 2;
  }
  EventSorter events(options.sort_bytes);
  Skipped skipped;
  uint64_t rows = 0;
  for (size_t file = 0; file < options.files.size(); ++file) {
    const std::string& path = options.files[file];
    LineReader in;
    if (Status s = in.open(path); !s.ok()) return err << "import edges: " << s.message << "\n", 1;
    ProgressBar progress("reading " + path, in.stream().raw_total(), "edges");
    std::string_view line;
    std::string id, post;
    for (;;) {
      const LineReader::Got got = in.next(line);
      if (got == LineReader::Got::kEnd) break;
      if (got == LineReader::Got::kError) return err << "import edges: " << in.status().message << "\n", 1;
      if (got == LineReader::Got::kTooLong) {
        ++rows, skipped.add("line longer than 1 MiB", path, in.line_number());
        continue;
      }
      if (line.empty() || line[0] == '#' || line[0] == '%') continue;
      ++rows;
      progress.update(in.stream().raw_bytes(), rows);
      const std::string_view src = word(line), dst = word(line), when = word(line);
      int64_t seconds = 0;
      const auto parsed = std::from_chars(when.data(), when.data() + when.size(), seconds);
      if (when.empty() || parsed.ec != std::errc() || parsed.ptr != when.data() + when.size() || !word(line).empty() ||
          seconds < 0 || seconds > 253'402'300'799) {
        skipped.add("not \"src dst unix_seconds\"", path, in.line_number());
        continue;
      }
      id = "e" + std::to_string(file + 1) + "-" + std::to_string(in.line_number());
      post.assign(dst), post += '-';
      append_date(seconds / 86400 / options.post_days * options.post_days, post);
      Fact event;
      event.id = id, event.time_us = seconds * kSecondUs, event.user.id = src;
      LikeFact like;
      like.post.id = post, like.author.id = dst, like.kind = LikeKind::kLike;
      event.body = like;
      if (Status s = events.add(event, path, in.line_number(), skipped); !s.ok())
        return err << "import edges: " << s.message << "\n", 1;
    }
  }
  if (Status s = events.write(options.out, "writing"); !s.ok()) return err << "import edges: " << s.message << "\n", 1;
  err << "read " << rows << " edges, wrote " << events.events() << " events\n";
  skipped.print(err);
  return rows > 0 && events.events() == 0 ? 1 : 0;
}

}  // namespace bellwether

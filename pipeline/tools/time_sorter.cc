#include "pipeline/tools/time_sorter.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <queue>

#include "pipeline/tools/lines.h"

namespace bellwether {
namespace {

constexpr size_t kRunsALevel = 32;

struct Header {  // of a line in a run
  int64_t time_us;
  uint64_t sequence;
  uint64_t length;
};

}  // namespace

// A sorted run on disk, and one line of it at a time when it is read back.
struct TimeSorter::Run {
  int fd = -1;
  OutputStream out;
  InputStream in;
  std::string block;  // read ahead
  size_t at = 0;
  Header head{};
  std::string line;
  bool more = false;

  ~Run() {
    if (fd >= 0) ::close(fd);
  }
  Status make() {
    const char* dir = std::getenv("TMPDIR");
    std::string path = std::string(dir != nullptr && *dir != '\0' ? dir : "/tmp") + "/bellwether-sort-XXXXXX";
    fd = ::mkstemp(path.data());
    if (fd < 0) return Status::error(path + ": cannot make a temporary file: " + std::strerror(errno));
    ::unlink(path.c_str());
    return out.adopt(fd, path + " (temporary)", Codec::kZstd, 1);
  }
  Status write(const Header& header, std::string_view text) {
    block.append(reinterpret_cast<const char*>(&header), sizeof header);
    block.append(text);
    if (block.size() < 1 << 16) return Status::fine();
    Status s = out.write(block);
    block.clear();
    return s;
  }
  Status ended() {
    if (Status s = out.write(block); !s.ok()) return s;
    if (Status s = out.finish(); !s.ok()) return s;
    out = OutputStream();
    block = std::string();
    if (::lseek(fd, 0, SEEK_SET) != 0) return Status::error("cannot read a temporary file back");
    return Status::fine();
  }
  Status begin() {
    const int mine = fd;
    fd = -1;  // the stream closes it
    if (Status s = in.adopt(mine, "temporary file"); !s.ok()) return s;
    return step();
  }
  // Up to n bytes; fewer only at the end.
  Status take(char* to, size_t n, size_t& got) {
    for (got = 0; got < n;) {
      if (at == block.size()) {
        block.resize(1 << 15), at = 0;
        size_t filled = 0;
        if (Status s = in.read(block.data(), block.size(), filled); !s.ok()) return s;
        block.resize(filled);
        if (filled == 0) break;
      }
      const size_t part = std::min(n - got, block.size() - at);
      std::memcpy(to + got, block.data() + at, part);
      got += part, at += part;
    }
    return Status::fine();
  }
  Status step() {
    size_t got = 0;
    if (Status s = take(reinterpret_cast<char*>(&head), sizeof head, got); !s.ok()) return s;
    more = got == sizeof head;
    if (!more) return got == 0 ? Status::fine() : Status::error("temporary file cut short");
    line.resize(head.length);
    if (Status s = take(line.data(), line.size(), got); !s.ok()) return s;
    return got == line.size() ? Status::fine() : Status::error("temporary file cut short");
  }
};

namespace {

// Merges opened runs by (time, sequence).
template <typename Run, typename Sink>
Status merge(std::vector<std::unique_ptr<Run>>& runs, const Sink& sink) {
  const auto later = [](const Run* a, const Run* b) {
    return a->head.time_us != b->head.time_us ? a->head.time_us > b->head.time_us : a->head.sequence > b->head.sequence;
  };
  std::priority_queue<Run*, std::vector<Run*>, decltype(later)> heap(later);
  for (auto& run : runs) {
    if (Status s = run->begin(); !s.ok()) return s;
    if (run->more) heap.push(run.get());
  }
  while (!heap.empty()) {
    Run* first = heap.top();
    heap.pop();
    if (Status s = sink(first->head, first->line); !s.ok()) return s;
    if (Status s = first->step(); !s.ok()) return s;
    if (first->more) heap.push(first);
  }
  return Status::fine();
}

}  // namespace

TimeSorter::TimeSorter(size_t memory_bytes) : memory_bytes_(std::max<size_t>(memory_bytes, 1)) {}
TimeSorter::~TimeSorter() = default;

Status TimeSorter::add(int64_t time_us, std::string_view line) {
  const size_t would = text_.size() + line.size() + (entries_.size() + 1) * sizeof(Entry);
  if (would > memory_bytes_ && !entries_.empty())
    if (Status s = spill(); !s.ok()) return s;
  entries_.push_back({time_us, sequence_++, text_.size(), line.size()});
  text_.append(line);
  return Status::fine();
}

void TimeSorter::sort_memory() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.time_us != b.time_us ? a.time_us < b.time_us : a.sequence < b.sequence;
  });
}

Status TimeSorter::spill() {
  sort_memory();
  auto run = std::make_unique<Run>();
  if (Status s = run->make(); !s.ok()) return s;
  for (const Entry& e : entries_) {
    const std::string_view line(text_.data() + e.offset, e.length);
    if (Status s = run->write({e.time_us, e.sequence, e.length}, line); !s.ok()) return s;
  }
  if (Status s = run->ended(); !s.ok()) return s;
  entries_.clear(), text_.clear();
  ++runs_spilled_;
  if (levels_.empty()) levels_.emplace_back();
  levels_[0].push_back(std::move(run));
  for (size_t level = 0; level < levels_.size() && levels_[level].size() >= kRunsALevel; ++level)
    if (Status s = fold_level(level); !s.ok()) return s;
  return Status::fine();
}

Status TimeSorter::fold_level(size_t level) {
  auto run = std::make_unique<Run>();
  if (Status s = run->make(); !s.ok()) return s;
  Status s = merge(levels_[level], [&](const Header& head, const std::string& line) { return run->write(head, line); });
  if (!s.ok()) return s;
  levels_[level].clear();
  if (s = run->ended(); !s.ok()) return s;
  if (levels_.size() == level + 1) levels_.emplace_back();
  levels_[level + 1].push_back(std::move(run));
  return Status::fine();
}

Status TimeSorter::drain(const std::function<Status(int64_t, std::string_view)>& sink) {
  if (levels_.empty()) {
    sort_memory();
    for (const Entry& e : entries_)
      if (Status s = sink(e.time_us, std::string_view(text_.data() + e.offset, e.length)); !s.ok()) return s;
  } else {
    if (!entries_.empty())
      if (Status s = spill(); !s.ok()) return s;
    std::string().swap(text_);
    std::vector<std::unique_ptr<Run>> all;
    for (auto& level : levels_)
      for (auto& run : level) all.push_back(std::move(run));
    levels_.clear();
    Status s = merge(all, [&](const Header& head, const std::string& line) { return sink(head.time_us, line); });
    if (!s.ok()) return s;
  }
  entries_.clear(), text_.clear();
  return Status::fine();
}

}  // namespace bellwether

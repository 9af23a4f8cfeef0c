#include "pipeline/repair/rebuild.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>

#include "pipeline/engine/control.h"
#include "pipeline/sources/log_file.h"

namespace bellwether {
namespace {

namespace fs = std::filesystem;

constexpr auto kFindPartitions = std::chrono::seconds(30);  // a broker may be slow to answer
constexpr size_t kSetBytes = size_t{4} << 20;

std::string name_of(const PartitionId& id) { return id.topic + "/" + std::to_string(id.number); }

Status read_progress(const Store& store, EngineProgress& out, bool& there) {
  std::string row;
  Status status;
  there = store.get(Family::kMeta, keys::kProgress, row, status);
  if (status.ok() && there && !out.decode(row))
    return Status::error("the store's progress cannot be read: it is damaged, or of a later version");
  return status;
}

Status copy_rows(const Store& from, Family family, Store& to) {
  auto set = to.new_write_set();
  set->erase_range(family, {}, std::string(64, '\xff'));
  Status written;
  Status read = from.snapshot()->scan(family, {}, {}, [&](std::string_view key, std::string_view value) {
    set->put(family, key, value);
    if (set->bytes() >= kSetBytes) written = to.write(*set, false);
    return written.ok();
  });
  if (!read.ok()) return read;
  return written.ok() ? to.write(*set, true) : written;
}

}  // namespace

Status read_target(const Store& from, RebuildTarget& out) {
  bool there = false;
  if (Status status = read_progress(from, out.progress, there); !status.ok()) return status;
  ControlLog control;
  if (Status status = read_control(from, control); !status.ok()) return status;
  if (!there || !out.progress.begun || control.versions.empty())
    return Status::error("nothing was folded into the store yet: there is nothing to make again");
  out.community = control.versions.back().config;
  return {};
}

Status begin_rebuild(const Store& from, const RebuildTarget& target, Store& to) {
  std::string fixed, made_with;
  Status status;
  if (!from.get(Family::kMeta, keys::kFixed, fixed, status))
    return status.ok() ? Status::error("the store has no fixed settings: it is damaged") : status;
  EngineProgress progress;
  bool there = false;
  if (status = read_progress(to, progress, there); !status.ok()) return status;
  if (there) {
    const bool same = to.get(Family::kMeta, keys::kFixed, made_with, status) && made_with == fixed;
    if (!status.ok()) return status;
    if (!same || progress.tick > target.progress.tick)
      return Status::error(same ? "what was rebuilt before is ahead of the store"
                                : "what was rebuilt before has other settings");
  }
  if (status = copy_rows(from, Family::kControl, to); !status.ok()) return status;
  for (const PartitionState& p : target.progress.partitions) {
    auto at = std::find_if(progress.partitions.begin(), progress.partitions.end(),
                           [&](const PartitionState& q) { return q.id == p.id; });
    if (at == progress.partitions.end()) at = progress.partitions.insert(at, {p.id, {}, p.append_us, {}, 0, {}, 0});
    // Nothing may close before all of them are found, and what the gap was is known.
    at->read_to = std::max(at->read_to, p.read_to), at->gap = p.gap;
  }
  auto set = to.new_write_set();
  set->put(Family::kMeta, keys::kFixed, fixed);
  set->put(Family::kMeta, keys::kProgress, progress.encode());
  return to.write(*set, true);
}

namespace {

// Whether the sources hold what is asked of them; moves restart points to where a topic began all along.
Status judge_sources(const RebuildTarget& target, const std::vector<IngestSource>& sources, Store& to) {
  EngineProgress progress;
  bool there = false;
  if (Status status = read_progress(to, progress, there); !status.ok()) return status;
  const auto until = std::chrono::steady_clock::now() + kFindPartitions;
  bool moved = false;
  for (const PartitionState& wanted : target.progress.partitions) {
    const auto own = std::find_if(progress.partitions.begin(), progress.partitions.end(),
                                  [&](const PartitionState& p) { return p.id == wanted.id; });
    bool found = false;
    while (!found) {
      for (const IngestSource& source : sources) {
        if (Status status = source.source->refresh(); !status.ok()) return status;
        const auto& ids = source.source->partitions();
        const auto at = std::find(ids.begin(), ids.end(), wanted.id);
        if (at == ids.end()) continue;
        found = true;
        const auto local = static_cast<size_t>(at - ids.begin());
        const int64_t first = source.source->first_offset(local), end = source.source->end_offset(local);
        const int64_t read = std::max(wanted.at.next_offset, wanted.read_to);
        // A topic may have begun later than 0. As many offsets as there were records are all of them.
        const bool all = own->at.next_offset == 0 && first > 0 && wanted.id.topic != "log" &&
                         static_cast<int64_t>(wanted.account.consumed) <= wanted.at.next_offset - first;
        if (first > own->at.next_offset && !all)
          return Status::error("the log no longer goes back far enough: " + name_of(wanted.id) + " begins at offset " +
                               std::to_string(first) + ", the records from " + std::to_string(own->at.next_offset) +
                               " on were deleted by its retention; restore a backup instead");
        if (first > own->at.next_offset) own->at.next_offset = first, moved = true;
        if (source.live && end >= 0 && end < read)
          return Status::error(name_of(wanted.id) + " ends at offset " + std::to_string(end) +
                               ", but the store holds records up to " + std::to_string(read) +
                               ": the log was cut short, or is another one; restore a backup instead");
      }
      if (found) break;
      if (std::chrono::steady_clock::now() > until)
        return Status::error(name_of(wanted.id) + ", which the store has read, is not at the source any more");
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  if (!moved) return {};
  auto set = to.new_write_set();
  set->put(Family::kMeta, keys::kProgress, progress.encode());
  return to.write(*set, true);
}

}  // namespace

Status run_rebuild(const Config& given, const OperatorSet& operators, const RebuildTarget& target,
                   const std::vector<IngestSource>& sources, Store& to, const std::function<void(Engine*)>& stop) {
  if (Status status = judge_sources(target, sources, to); !status.ok()) return status;
  Config config = given;
  config.community = target.community;
  config.community.hash_key = given.community.hash_key;
  EngineOptions options;
  options.floors = false;
  options.until_end = true;
  options.until = target.progress.tick;
  std::unique_ptr<Engine> engine;
  if (Status status = Engine::open(config, operators, to, sources, options, engine); !status.ok()) return status;
  if (stop) stop(engine.get());
  Status status = engine->run();
  if (stop) stop(nullptr);
  return status;
}

Status end_rebuild(const Store& from, const RebuildTarget& target, Store& to) {
  if (Status status = copy_rows(from, Family::kOutbox, to); !status.ok()) return status;
  EngineProgress progress;
  bool there = false;
  if (Status status = read_progress(to, progress, there); !status.ok()) return status;
  progress.outbox_next = target.progress.outbox_next;
  auto set = to.new_write_set();
  set->put(Family::kMeta, keys::kProgress, progress.encode());
  return to.write(*set, true);
}

namespace {

// One name for the other, both at once.
bool exchange(const std::string& a, const std::string& b) {
  constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE
  return ::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), kExchange) == 0;
}

Status rename_to(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  return Status::error("cannot rename " + from + " to " + to + ": " + std::strerror(errno));
}

}  // namespace

Status switch_stores(const std::string& data, bool keep, std::string& kept) {
  const std::string beside = data + "/rebuild", store = data + "/store", made = beside + "/store";
  if (!exchange(made, store)) {
    // A file system that cannot: in two steps, between which there is no store and a start makes an empty one.
    if (Status status = rename_to(store, beside + "/old"); !status.ok()) return status;
    if (Status status = rename_to(made, store); !status.ok()) {
      const Status back = rename_to(beside + "/old", store);
      return back.ok() ? status : back;
    }
    if (Status status = rename_to(beside + "/old", made); !status.ok()) return status;
  }
  if (Status status = sync_directory(data); !status.ok()) return status;
  kept.clear();
  std::error_code error;
  if (!keep) {
    fs::remove_all(beside, error);
    return error ? Status::error("the new store is in place, but the old one in " + beside +
                                 " cannot be removed: " + error.message())
                 : sync_directory(data);
  }
  kept = data + "/before-rebuild";
  for (int n = 2; fs::exists(kept, error); ++n) kept = data + "/before-rebuild-" + std::to_string(n);
  if (Status status = rename_to(beside, kept); !status.ok()) return status;
  return sync_directory(data);
}

Status drop_replaced(const std::string& data) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(data, error))
    if (entry.path().filename().string().starts_with("before-rebuild")) found.push_back(entry.path());
  for (const fs::path& path : found) {
    if (!error) fs::remove_all(path, error);
    if (error) return Status::error("cannot remove " + path.string() + ": " + error.message());
  }
  if (error) return Status::error("cannot list " + data + ": " + error.message());
  return found.empty() ? Status{} : sync_directory(data);
}

}  // namespace bellwether

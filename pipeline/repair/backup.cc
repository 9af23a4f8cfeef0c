#include "pipeline/repair/backup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include "pipeline/engine/meta.h"
#include "pipeline/sources/log_file.h"

namespace bellwether {
namespace {

namespace fs = std::filesystem;

bool there(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

// A folder in the making, beside where it will stand; removed unless it was finished.
class Partial {
 public:
  Partial() = default;
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;
  ~Partial() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Status begin(const std::string& to) {
    if (there(to)) return Status::error(to + " is there already: name a folder that is not");
    const std::string path = to + ".partial";
    if (there(path))
      return Status::error(path + " is there: a backup to " + to +
                           " is under way, or was cut off; if none is under way, remove it");
    if (Status status = make_folder(path); !status.ok()) return status;
    path_ = path;
    return {};
  }
  // Syncs all names in it and gives it its own.
  Status finish(const std::string& to) {
    if (Status status = sync_tree(path_); !status.ok()) return status;
    if (there(to)) return Status::error(to + " came to be meanwhile: name another folder");
    if (::rename(path_.c_str(), to.c_str()) != 0)
      return Status::error("cannot rename " + path_ + " to " + to + ": " + std::strerror(errno));
    path_.clear();
    return sync_directory(parent_of(to));
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// RocksDB's diary and its lock say nothing of the state.
bool belongs(const std::string& name) { return name != "LOCK" && !name.starts_with("LOG"); }
// Table files are written once and never again; the others may go on growing where they are.
bool never_changes(const std::string& name) { return name.ends_with(".sst"); }

Status names_in(const std::string& folder, std::vector<std::string>& out) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    out.push_back(it->path().filename().string());
  std::sort(out.begin(), out.end());
  return error ? Status::error("cannot look at " + folder + ": " + error.message()) : Status{};
}

class Maker {
 public:
  Maker(const BackupOptions& options, BackupReport& report) : options_(options), report_(report) {}

  // Opens what was copied: that it can be is part of the promise.
  Status read_positions(const std::string& folder) {
    StoreOptions store_options;
    store_options.read_only = true;
    store_options.block_cache_mb = 8, store_options.write_buffer_mb = 4;
    std::unique_ptr<Store> store;
    if (Status status = open_rocks_store(folder, store_options, store); !status.ok()) return status;
    std::string row;
    Status status;
    EngineProgress progress;
    const bool found = store->get(Family::kMeta, keys::kProgress, row, status);
    if (!status.ok()) return status;
    if (found && !progress.decode(row))
      return Status::error("the progress of the store in " + folder + " cannot be read: it is damaged, or of a later " +
                           "version");
    manifest_.tick = report_.tick = progress.tick;
    for (const PartitionState& p : progress.partitions) manifest_.positions.emplace_back(p.id, p.at.next_offset);
    report_.positions = manifest_.positions;
    return {};
  }

  Status add(const std::string& from, const std::string& folder, const std::string& name, int64_t bytes, bool link) {
    FileSum sum;
    bool linked = false;
    const std::string to = folder + "/" + name;
    Status status = link && !options_.copy ? link_or_copy(from, to, options_.cancelled, sum, linked)
                                           : copy_file(from, to, bytes, options_.cancelled, sum);
    if (status.ok()) note(name, sum, linked);
    return status;
  }

  // What RocksDB put there by itself.
  Status sum_checkpoint(const std::string& folder) {
    std::vector<std::string> names;
    if (Status status = names_in(folder + "/store", names); !status.ok()) return status;
    for (const std::string& name : names) {
      const std::string path = folder + "/store/" + name;
      if (!belongs(name)) {
        if (::unlink(path.c_str()) != 0) return Status::error("cannot remove " + path + ": " + std::strerror(errno));
        continue;
      }
      struct stat status_of {};
      if (::stat(path.c_str(), &status_of) != 0)
        return Status::error("cannot look at " + path + ": " + std::strerror(errno));
      bool linked = status_of.st_nlink > 1;
      FileSum sum;
      Status status;
      if (linked && options_.copy) {
        linked = false;
        status = copy_file(path, path + ".copy", -1, options_.cancelled, sum);
        if (status.ok() && ::rename((path + ".copy").c_str(), path.c_str()) != 0)
          status = Status::error("cannot rename " + path + ".copy: " + std::strerror(errno));
      } else {
        status = sum_file(path, -1, options_.cancelled, sum);
      }
      if (!status.ok()) return status;
      note("store/" + name, sum, linked);
    }
    return {};
  }

  Status write_manifest(const std::string& folder) {
    manifest_.program = options_.program;
    return write_file(folder + "/" + kManifestName, encode(manifest_));
  }

 private:
  void note(const std::string& name, const FileSum& sum, bool linked) {
    manifest_.files.emplace_back(name, sum);
    ++report_.files, report_.bytes += sum.bytes;
    if (linked) report_.linked_bytes += sum.bytes;
  }
  const BackupOptions& options_;
  BackupReport& report_;
  Manifest manifest_;
};

// DIR/log as files, of a log that nobody writes: as EmbeddedLog::segments(), the torn end of a crash included, which
// every opening cuts off.
Status stopped_segments(const std::string& data, std::vector<EmbeddedLog::SegmentFile>& out) {
  const std::string log = data + "/log";
  if (!there(log)) return {};
  std::vector<std::string> partitions;
  if (Status status = names_in(log, partitions); !status.ok()) return status;
  for (const std::string& partition : partitions) {
    if (partition.empty() || partition.size() > 5 || partition.find_first_not_of("0123456789") != std::string::npos)
      continue;
    std::vector<std::string> names;
    if (Status status = names_in(log + "/" + partition, names); !status.ok()) return status;
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".seg"); });
    for (size_t i = 0; i < names.size(); ++i)
      // The newest may be one that a crash left unfinished: then the one before it is written on.
      out.push_back({std::stoul(partition), log + "/" + partition + "/" + names[i], -1, i + 2 < names.size()});
  }
  return {};
}

Status add_log(Maker& maker, const std::string& folder, const std::vector<EmbeddedLog::SegmentFile>& segments) {
  if (segments.empty()) return {};
  if (Status status = make_folder(folder + "/log"); !status.ok()) return status;
  std::map<size_t, std::string> partitions;
  for (const EmbeddedLog::SegmentFile& segment : segments) {
    const auto [at, fresh] = partitions.try_emplace(segment.partition, "log/" + std::to_string(segment.partition));
    if (fresh)
      if (Status status = make_folder(folder + "/" + at->second); !status.ok()) return status;
    const std::string name = at->second + "/" + fs::path(segment.path).filename().string();
    if (Status status = maker.add(segment.path, folder, name, segment.bytes, segment.sealed); !status.ok())
      return status;
  }
  return {};
}

}  // namespace

Status backup_running(const Store& store, EmbeddedLog* log, const std::string& destination,
                      const BackupOptions& options, BackupReport& report) {
  report = {};
  const std::string to = trimmed(destination);
  Partial partial;
  if (Status status = partial.begin(to); !status.ok()) return status;
  Maker maker(options, report);
  const std::shared_ptr<void> hold = log != nullptr ? log->hold() : nullptr;
  Status status = store.checkpoint(partial.path());
  if (status.ok()) status = maker.read_positions(partial.path());
  if (status.ok()) status = maker.sum_checkpoint(partial.path());
  if (status.ok() && log != nullptr) status = add_log(maker, partial.path(), log->segments());
  if (status.ok()) status = maker.write_manifest(partial.path());
  return status.ok() ? partial.finish(to) : status;
}

Status backup_stopped(const std::string& data, const std::string& destination, const BackupOptions& options,
                      BackupReport& report) {
  report = {};
  const std::string to = trimmed(destination);
  StoreOptions store_options;
  store_options.read_only = true;
  store_options.block_cache_mb = 8, store_options.write_buffer_mb = 4;
  std::unique_ptr<Store> store;  // open, so that nobody else opens it
  if (Status status = open_rocks_store(data, store_options, store); !status.ok()) return status;
  Partial partial;
  if (Status status = partial.begin(to); !status.ok()) return status;
  Maker maker(options, report);
  Status status = make_folder(partial.path() + "/store");
  std::vector<std::string> names;
  if (status.ok()) status = names_in(data + "/store", names);
  for (const std::string& name : names) {
    if (!status.ok()) return status;
    if (belongs(name))
      status = maker.add(data + "/store/" + name, partial.path(), "store/" + name, -1, never_changes(name));
  }
  std::vector<EmbeddedLog::SegmentFile> segments;
  if (status.ok()) status = stopped_segments(data, segments);
  if (status.ok()) status = add_log(maker, partial.path(), segments);
  if (status.ok()) status = maker.read_positions(partial.path());
  if (status.ok()) {
    std::error_code ignored;
    fs::remove(partial.path() + "/store/LOCK", ignored);
    status = maker.write_manifest(partial.path());
  }
  return status.ok() ? partial.finish(to) : status;
}

Status verify_backup(const std::string& folder, const Cancelled& cancelled, Manifest& out) {
  const std::string from = trimmed(folder), path = from + "/" + kManifestName;
  if (!there(from)) return Status::error("there is no backup " + from);
  if (!there(path))
    return Status::error(from + " is no backup: it has no file \"" + kManifestName +
                         "\"; name the folder that `backup --to` made");
  std::string bytes;
  if (Status status = read_file(path, bytes); !status.ok()) return status;
  if (Status status = decode(bytes, path, out); !status.ok()) return status;
  for (const auto& [name, sum] : out.files) {
    if (!there(from + "/" + name))
      return Status::error("the backup " + from + " is damaged: " + name + " is missing; use another backup");
    FileSum found;
    if (Status status = sum_file(from + "/" + name, -1, cancelled, found); !status.ok()) return status;
    if (found != sum)
      return Status::error("the backup " + from + " is damaged: " + name + " has " + std::to_string(found.bytes) +
                           " bytes with checksum " + found.check + ", the manifest says " + std::to_string(sum.bytes) +
                           " with " + sum.check + "; use another backup");
  }
  return {};
}

namespace {

Status copy_all(const std::string& from, const std::string& to, const Manifest& manifest, const Cancelled& cancelled,
                BackupReport& report) {
  for (const auto& [name, sum] : manifest.files) {
    for (size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      const std::string folder = to + "/" + name.substr(0, slash);
      if (there(folder)) continue;
      if (Status status = make_folder(folder); !status.ok()) return status;
    }
    FileSum copied;
    if (Status status = copy_file(from + "/" + name, to + "/" + name, -1, cancelled, copied); !status.ok())
      return status;
    if (copied != sum) return Status::error(from + "/" + name + " changed while it was read; try again");
    ++report.files, report.bytes += sum.bytes;
  }
  report.tick = manifest.tick, report.positions = manifest.positions;
  return {};
}

}  // namespace

Status restore_backup(const std::string& folder, const std::string& destination, const Cancelled& cancelled,
                      BackupReport& report) {
  report = {};
  const std::string from = trimmed(folder), data = trimmed(destination);
  bool made = false;
  if (there(data)) {
    std::vector<std::string> names;
    if (Status status = names_in(data, names); !status.ok()) return status;
    if (!names.empty())
      return Status::error(data + " is not empty: it holds \"" + names.front() +
                           "\"; name a folder that is not there, or an empty one");
  } else {
    made = true;
  }
  Manifest manifest;
  if (Status status = verify_backup(from, cancelled, manifest); !status.ok()) return status;
  Partial partial;
  if (made) {
    if (Status status = partial.begin(data); !status.ok()) return status;
    Status status = copy_all(from, partial.path(), manifest, cancelled, report);
    return status.ok() ? partial.finish(data) : status;
  }
  // An empty folder may be a mount: nothing can take its name, so it is filled from a folder in it. The store comes
  // first: without its log it is refused, but a log without its store would be read from its beginning.
  const std::string inside = data + "/restore";
  if (Status status = partial.begin(inside); !status.ok()) return status;
  if (Status status = copy_all(from, partial.path(), manifest, cancelled, report); !status.ok()) return status;
  if (Status status = sync_tree(partial.path()); !status.ok()) return status;
  for (const char* name : {"store", "log"}) {
    const std::string at = partial.path() + "/" + name;
    if (there(at) && ::rename(at.c_str(), (data + "/" + name).c_str()) != 0)
      return Status::error("cannot rename " + at + ": " + std::strerror(errno));
  }
  return sync_directory(data);
}

}  // namespace bellwether

// The gRPC query service: KeyUsers, Flags, Ingest and Admin of bellwether.v1, health and reflection. It reads only what
// is published, and writes only to the input log.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "pipeline/engine/engine.h"
#include "pipeline/service/input_log.h"
#include "pipeline/service/metrics.h"

namespace bellwether {

// A backup that Admin.CreateBackup asks for, and what came of it.
struct BackupCall {
  std::string to;
  bool copy = false;
  std::function<bool()> cancelled;
};
struct BackupMade {
  uint64_t files = 0, bytes = 0, linked_bytes = 0;
  TickId tick;
  std::vector<std::pair<PartitionId, int64_t>> positions;
};

struct ServiceDeps {
  std::function<std::shared_ptr<const Published>()> published;   // the newest; any thread, cheap
  std::function<EngineFigures()> figures;                        // may be empty
  std::function<Store::Figures()> store;                         // may be empty
  std::function<Status(const BackupCall&, BackupMade&)> backup;  // empty: CreateBackup is UNIMPLEMENTED
  InputLog* input = nullptr;                                     // null: Ingest and DecideFlag are UNAVAILABLE
  Metrics* metrics = nullptr;                                    // may be null
  std::string version;                                           // the program's
};

class Service {
 public:
  virtual ~Service() = default;  // stops at once if drain() was not called
  // The port that is listened on; useful where the configuration says port 0.
  virtual int port() const = 0;
  // Health NOT_SERVING, streams end with UNAVAILABLE, calls have `drain_s` to finish, then they are cancelled. Blocks.
  virtual void drain() = 0;
};

// Listens and serves. Errors: the address is taken or not this machine's without a tokens file; a certificate or the
// tokens file cannot be read. The engine must outlive the service.
Status start_service(const Config& config, ServiceDeps deps, std::unique_ptr<Service>& out);

}  // namespace bellwether

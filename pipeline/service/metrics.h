// Prometheus metrics on a port of their own. Figures are asked for when somebody scrapes; only times of calls and
// commits are counted along the way.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "pipeline/engine/engine.h"

namespace bellwether {

class Metrics {
 public:
  struct Deps {
    std::function<std::shared_ptr<const Published>()> published;
    std::function<EngineFigures()> figures;     // may be empty
    std::function<Store::Figures()> store;      // may be empty
    std::function<uint64_t()> outbox_failures;  // may be empty
    std::string version;
  };

  // `listen`: HOST:PORT. An error says that the port is taken.
  static Status start(const std::string& listen, Deps deps, std::unique_ptr<Metrics>& out);
  ~Metrics();

  // Any thread.
  void call(std::string_view method, std::string_view code, double seconds);
  void commit(double seconds);
  void queue(std::string_view queue, size_t depth);  // shown under bellwether_queue_depth
  void kafka_statistics(std::string_view json);      // librdkafka's own; the figures that matter of it
  // The page as Prometheus reads it.
  std::string text() const;

 private:
  class Impl;
  explicit Metrics(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bellwether

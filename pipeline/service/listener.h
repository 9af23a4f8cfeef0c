// The listening sockets of the query service. Connections are accepted here and handed to gRPC, for gRPC itself takes
// as many as come: beyond the bound a new one is closed at once, so that a crowd of idle clients takes neither the
// memory nor the files that the store needs.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pipeline/sources/source.h"

namespace bellwether {

class Listener {
 public:
  using Acceptor = grpc::experimental::ExternalConnectionAcceptor;

  // Binds and listens on HOST:PORT or [V6]:PORT; connections wait until run(). Port 0 finds one. A name is listened on
  // at all its addresses.
  static Status open(const std::string& address, size_t connections_max, std::unique_ptr<Listener>& out);
  ~Listener() { stop(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int port() const { return port_; }
  // Accepts on a thread of its own until stop(). `acceptor` must live as long.
  void run(Acceptor& acceptor);
  void stop();  // connections that were accepted stay

  // Any thread.
  size_t connections() const { return open_.load(std::memory_order_relaxed); }  // up to a second old
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  explicit Listener(size_t connections_max) : connections_max_(connections_max) {}
  Status bind_all(const std::string& host, const std::string& port);
  void work(Acceptor& acceptor);
  void take(int fd, Acceptor& acceptor);
  void forget_closed();

  const size_t connections_max_;
  std::vector<int> sockets_;
  int port_ = 0, wake_ = -1;
  // Sockets given to gRPC, which does not say when it closes one: a file number whose inode is another is closed.
  std::vector<std::pair<int, uint64_t>> given_;
  std::atomic<size_t> open_{0};
  std::atomic<uint64_t> refused_{0};
  std::thread thread_;
};

}  // namespace bellwether

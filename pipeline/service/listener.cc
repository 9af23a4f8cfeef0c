#include "pipeline/service/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "pipeline/engine/named_thread.h"

namespace bellwether {
namespace {

constexpr int kBacklog = 1024;
constexpr int kLookMs = 1000;
constexpr int kPauseMs = 20;  // after a failed accept: no file is left, say

uint64_t inode_of(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

}  // namespace

Status Listener::bind_all(const std::string& host, const std::string& port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC, hints.ai_socktype = SOCK_STREAM, hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  // All addresses of IPv4 are those of IPv6 too, where there is such a thing.
  const bool any = host == "0.0.0.0";
  int error = getaddrinfo(any ? "::" : host.c_str(), port.c_str(), &hints, &found);
  if (error == 0 && any) {
    const int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
      freeaddrinfo(std::exchange(found, nullptr)), error = getaddrinfo("0.0.0.0", port.c_str(), &hints, &found);
    if (probe >= 0) (void)close(probe);
  }
  if (error != 0) return Status::error(gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, freeaddrinfo);
  std::string why = "it has no address";
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
    if (fd < 0) {
      why = std::strerror(errno);
      continue;
    }
    const int on = 1, off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // not REUSEPORT: two processes would share
    if (at->ai_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_storage address{};
    std::memcpy(&address, at->ai_addr, at->ai_addrlen);
    // Where the system chose a port, the other addresses get the same.
    auto& number = address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                                 : reinterpret_cast<sockaddr_in&>(address).sin_port;
    if (port_ != 0) number = htons(static_cast<uint16_t>(port_));
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), at->ai_addrlen) != 0 || listen(fd, kBacklog) != 0) {
      why = std::strerror(errno);
      const bool taken = errno == EADDRINUSE;
      (void)close(fd);
      // A name may also stand for an address that this machine does not have, but none may be somebody else's.
      if (taken) return Status::error(why);
      continue;
    }
    socklen_t size = sizeof address;
    if (port_ == 0 && getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) port_ = ntohs(number);
    sockets_.push_back(fd);
  }
  return sockets_.empty() ? Status::error(why) : Status{};
}

Status Listener::open(const std::string& address, size_t connections_max, std::unique_ptr<Listener>& out) {
  std::unique_ptr<Listener> made(new Listener(connections_max));
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return Status::error("it has no port");
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (Status status = made->bind_all(host, address.substr(colon + 1)); !status.ok()) return status;
  made->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made->wake_ < 0) return Status::error(std::strerror(errno));
  out = std::move(made);
  return {};
}

void Listener::run(Acceptor& acceptor) {
  thread_ = named_thread("listen", [this, &acceptor] { work(acceptor); });
}

void Listener::stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    (void)!write(wake_, &one, sizeof one);
    thread_.join();
  }
  for (const int fd : sockets_) (void)close(fd);
  sockets_.clear();
  if (wake_ >= 0) (void)close(wake_);
  wake_ = -1;
}

void Listener::forget_closed() {
  std::erase_if(given_, [](const auto& g) { return inode_of(g.first) != g.second; });
  open_.store(given_.size(), std::memory_order_relaxed);
}

void Listener::take(int fd, Acceptor& acceptor) {
  if (given_.size() >= connections_max_) forget_closed();
  if (given_.size() >= connections_max_) {
    (void)close(fd);
    refused_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  given_.emplace_back(fd, inode_of(fd));
  open_.store(given_.size(), std::memory_order_relaxed);
  Acceptor::NewConnectionParameters connection;
  connection.listener_fd = -1;
  connection.fd = fd;
  acceptor.HandleNewConnection(&connection);
}

void Listener::work(Acceptor& acceptor) {
  std::vector<pollfd> ready;
  for (const int fd : sockets_) ready.push_back({fd, POLLIN, 0});
  ready.push_back({wake_, POLLIN, 0});
  auto looked = std::chrono::steady_clock::now();
  uint64_t told = 0;
  const auto tell = [&] {
    const uint64_t refused = refused_.load();
    if (refused == told) return;
    spdlog::warn("{} connections were closed at once: {} are open, which is what service.max_connections allows",
                 refused - told, given_.size());
    told = refused;
  };
  for (;;) {
    const int n = ::poll(ready.data(), ready.size(), kLookMs);
    if (ready.back().revents != 0) return tell();
    const auto now = std::chrono::steady_clock::now();
    if (now - looked >= std::chrono::milliseconds(kLookMs)) {
      looked = now;
      forget_closed();
      tell();
    }
    for (size_t i = 0; n > 0 && i < sockets_.size(); ++i) {
      if (ready[i].revents == 0) continue;
      const int fd = accept4(sockets_[i], nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        take(fd, acceptor);
      } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        std::this_thread::sleep_for(std::chrono::milliseconds(kPauseMs));
      }
    }
  }
}

}  // namespace bellwether

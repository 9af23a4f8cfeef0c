#include "pipeline/service/service.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "pipeline/service/core.h"
#include "pipeline/service/listener.h"
#include "pipeline/service/services.h"

namespace bellwether {
namespace {

// Connections are ended gently now and then, so that clients spread over processes again. Longer than any sensible
// call.
constexpr int kConnectionAgeMs = 30 * 60 * 1000, kConnectionGraceMs = 60 * 1000;
constexpr int kStreamsPerConnection = 256;
// What a stream may send ahead of its being read. Windows that grow with the measured bandwidth would let a thousand
// streams hold megabytes each; a message that is awaited gets a window of its own size all the same.
constexpr int kLookaheadBytes = 64 << 10;
constexpr int kHandshakeMs = 20'000;
constexpr size_t kConnectionBytes = 24 << 10;  // of an idle one; measured: 20 KB

bool is_loopback(std::string_view listen) {
  const size_t colon = listen.rfind(':');
  std::string_view host = listen.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host == "localhost" || host == "::1" || host.starts_with("127.") || listen.starts_with("unix:");
}

// `what`: the words of the PEM line that must be there, for gRPC itself only says that it cannot listen.
Status read_pem(const std::string& key, const std::string& path, const char* what, std::string& out) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf()))
    return Status::error(key + ": " + path + " cannot be read: " + std::strerror(errno));
  out = text.str();
  const size_t begin = out.find("-----BEGIN ");
  if (begin == std::string::npos || out.find(std::string(what) + "-----", begin) == std::string::npos)
    return Status::error(key + ": " + path + " holds no PEM " + what);
  return {};
}

// Whether gRPC can use them: a key that is another certificate's is only found out by a server.
bool can_serve_with(const std::shared_ptr<grpc::ServerCredentials>& creds) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", creds, &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  return server != nullptr && port != 0;
}

Status credentials(const ServiceConfig& config, std::shared_ptr<grpc::ServerCredentials>& out) {
  if (config.tls_cert.empty() && config.tls_key.empty()) {
    if (!config.tls_client_ca.empty())
      return Status::error("service.tls_client_ca needs service.tls_cert and service.tls_key");
    out = grpc::InsecureServerCredentials();
    return {};
  }
  if (config.tls_cert.empty() || config.tls_key.empty())
    return Status::error("service.tls_cert and service.tls_key belong together");
  grpc::SslServerCredentialsOptions options(config.tls_client_ca.empty()
                                                ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  if (Status status = read_pem("service.tls_cert", config.tls_cert, "CERTIFICATE", pair.cert_chain); !status.ok())
    return status;
  if (Status status = read_pem("service.tls_key", config.tls_key, "PRIVATE KEY", pair.private_key); !status.ok())
    return status;
  if (!config.tls_client_ca.empty())
    if (Status status = read_pem("service.tls_client_ca", config.tls_client_ca, "CERTIFICATE", options.pem_root_certs);
        !status.ok())
      return status;
  options.pem_key_cert_pairs.push_back(std::move(pair));
  out = grpc::SslServerCredentials(options);
  return {};
}

class ServiceImpl final : public Service {
 public:
  ServiceImpl(const Config& config, ServiceDeps deps, std::optional<Tokens> tokens)
      : core_(config, std::move(deps), std::move(tokens)) {}
  ~ServiceImpl() override {
    if (listener_ != nullptr) listener_->stop();
    if (server_ != nullptr) {
      core_.drain();
      server_->Shutdown(std::chrono::system_clock::now());
    }
    core_.stop();
    if (server_ != nullptr) server_->Wait();
  }

  Status start() {
    const ServiceConfig& config = core_.config().service;
    std::shared_ptr<grpc::ServerCredentials> creds;
    if (Status status = credentials(config, creds); !status.ok()) return status;
    if (Status status = Listener::open(config.listen, config.max_connections, listener_); !status.ok())
      return Status::error("service.listen: cannot listen on " + config.listen + " (" + status.message +
                           "): is another process there?");
    if (!config.tls_cert.empty() && !can_serve_with(creds))
      return Status::error("service.tls_cert, service.tls_key: " + config.tls_cert + " and " + config.tls_key +
                           " do not belong together, or one of them is damaged" +
                           (config.tls_client_ca.empty() ? "" : "; or service.tls_client_ca: " + config.tls_client_ca));
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, creds);
    for (auto make : {make_key_users_service, make_flags_service, make_ingest_service, make_admin_service}) {
      services_.push_back(make(core_));
      builder.RegisterService(services_.back().get());
    }
    builder.SetMaxReceiveMessageSize(static_cast<int>(config.max_message_kb) * 1024);
    builder.SetMaxSendMessageSize(64 << 20);
    grpc::ResourceQuota quota("bellwether");
    // It counts what an idle connection takes too; without room for them gRPC would close them, and others as well.
    quota.Resize((size_t{config.grpc_mb} << 20) + config.max_connections * kConnectionBytes);
    builder.SetResourceQuota(quota);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kConnectionAgeMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kConnectionGraceMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);  // finds clients that went without a word
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, static_cast<int>(config.idle_s) * 1000);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return Status::error("service.listen: gRPC cannot serve on " + config.listen);
    core_.set_connections([this] { return listener_->connections(); });
    for (const char* name :
         {"bellwether.v1.KeyUsers", "bellwether.v1.Flags", "bellwether.v1.Ingest", "bellwether.v1.Admin"})
      server_->GetHealthCheckService()->SetServingStatus(name, true);
    listener_->run(*acceptor_);
    return {};
  }

  int port() const override { return listener_ == nullptr ? 0 : listener_->port(); }

  void drain() override {
    if (server_ == nullptr) return;
    spdlog::info("the query service drains: open calls have {} s", core_.config().service.drain_s);
    server_->GetHealthCheckService()->SetServingStatus(false);
    const auto until = std::chrono::system_clock::now() + std::chrono::seconds(core_.config().service.drain_s);
    core_.drain();
    // Whoever balances load has a moment to see it and send new calls elsewhere.
    std::this_thread::sleep_for(
        std::min(std::chrono::milliseconds(1000), std::chrono::milliseconds(core_.config().service.drain_s * 100)));
    listener_->stop();
    server_->Shutdown(until);
    core_.stop();
    server_->Wait();
    server_.reset();
  }

 private:
  ServiceCore core_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Listener::Acceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Status start_service(const Config& config, ServiceDeps deps, std::unique_ptr<Service>& out) {
  std::optional<Tokens> tokens;
  if (config.service.tokens.empty()) {
    if (!is_loopback(config.service.listen))
      return Status::error(
          "service.listen: given " + config.service.listen +
          ", which others can reach: set service.tokens to a file of TOKEN USER ROLE lines, or listen on 127.0.0.1");
    spdlog::warn("service.tokens is not set: everybody on this machine may do everything; listening on {} only",
                 config.service.listen);
  } else {
    Result<Tokens> loaded = load_tokens(config.service.tokens);
    if (!loaded.ok()) return Status::error(loaded.error_text());
    tokens = std::move(loaded).value();
    if (config.service.tls_cert.empty() && !is_loopback(config.service.listen))
      spdlog::warn("tokens travel in clear text to {}: set service.tls_cert and service.tls_key",
                   config.service.listen);
  }
  auto service = std::make_unique<ServiceImpl>(config, std::move(deps), std::move(tokens));
  if (Status status = service->start(); !status.ok()) return status;
  spdlog::info("queries on {} (port {}), {}", config.service.listen, service->port(),
               config.service.tls_cert.empty() ? "without TLS" : "TLS");
  out = std::move(service);
  return {};
}

}  // namespace bellwether

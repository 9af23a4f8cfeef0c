// What the subcommands of ctl share: the connection, errors in words, tables.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace bellwether::ctl {

struct Options {
  std::string address = "127.0.0.1:7400";
  std::string token;
  bool tls = false;
  std::string tls_ca, tls_cert, tls_key, tls_name;
  double timeout_s = 30;
  double connect_s = 0;  // to wait for a service that is only starting
  std::string output = "table";
  bool json() const { return output == "json"; }
};

// A connection; made at the first use. Errors of files are told by connect().
class Client {
 public:
  explicit Client(const Options& options) : options_(options) {}
  // False, and said why, where a certificate cannot be read.
  bool connect();
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const Options& options() const { return options_; }
  // Metadata and deadline; `stream`: none, the call lasts as long as it likes.
  void prepare(grpc::ClientContext& context, bool stream = false) const;
  // Says what went wrong and what to do about it; gives the exit code.
  int failed(const grpc::Status& status) const;

 private:
  const Options& options_;
  std::shared_ptr<grpc::Channel> channel_;
};

// Runs one unary call and prints the answer: as JSON, or by `table`.
template <class Stub, class Request, class Response>
int ask(const Client& client, Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
        const Request& request, const std::function<void(const Response&)>& table);

void print_json(const google::protobuf::Message& message, bool one_line = false);

// Text of others, made harmless for a terminal: control characters become '?'.
std::string plain(std::string_view text);
// "12.34": exact where `decimals` is 6, else cut.
std::string points(int64_t micros, int decimals = 2);
std::string time_text(const google::protobuf::Timestamp& time);
// "TIER_KEY" with prefix "TIER_" to "key".
std::string short_name(const std::string& name, std::string_view prefix);

// Columns aligned by what is in them; the last one is not cut.
class Table {
 public:
  // A heading that begins with '>' is of a column of numbers, set to the right.
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  void print(const std::string& indent = "") const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

template <class Stub, class Request, class Response>
int ask(const Client& client, Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
        const Request& request, const std::function<void(const Response&)>& table) {
  grpc::ClientContext context;
  client.prepare(context);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return client.failed(status);
  if (client.options().json()) {
    print_json(response);
  } else {
    table(response);
  }
  return 0;
}

// Each adds its subcommands; `run` connects and keeps the exit code.
using Run = std::function<void(const std::function<int(Client&)>& work)>;
void add_users(CLI::App& ctl, const Run& run);
void add_flags(CLI::App& ctl, const Run& run);
void add_watch(CLI::App& ctl, const Run& run);
void add_admin(CLI::App& ctl, const Run& run);
void add_erase(CLI::App& ctl, const Run& run);
void add_publish(CLI::App& ctl, const Run& run);

}  // namespace bellwether::ctl

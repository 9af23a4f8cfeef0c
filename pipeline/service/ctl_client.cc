#include "pipeline/service/ctl_client.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "bellwether/v1/errors.pb.h"

namespace bellwether::ctl {
namespace {

bool read_file(const std::string& path, std::string& out) {
  if (path.empty()) return true;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    std::cerr << "bellwether: " << path << " cannot be read\n";
    return false;
  }
  out = text.str();
  return true;
}

// Columns a text takes: code points, near enough for ids and names.
size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

bool Client::connect() {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  grpc::ChannelArguments arguments;
  if (options_.tls || !options_.tls_ca.empty() || !options_.tls_cert.empty()) {
    grpc::SslCredentialsOptions ssl;
    if (!read_file(options_.tls_ca, ssl.pem_root_certs) || !read_file(options_.tls_cert, ssl.pem_cert_chain) ||
        !read_file(options_.tls_key, ssl.pem_private_key))
      return false;
    credentials = grpc::SslCredentials(ssl);
    if (!options_.tls_name.empty()) arguments.SetSslTargetNameOverride(options_.tls_name);
  }
  arguments.SetMaxReceiveMessageSize(64 << 20);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (options_.connect_s > 0) {  // else refused connections are tried again later and later
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  }
  channel_ = grpc::CreateCustomChannel(options_.address, credentials, arguments);
  // Where nobody answers in time, the call itself says so.
  if (options_.connect_s > 0)
    channel_->WaitForConnected(std::chrono::system_clock::now() +
                               std::chrono::milliseconds(static_cast<int64_t>(options_.connect_s * 1000)));
  return true;
}

void Client::prepare(grpc::ClientContext& context, bool stream) const {
  if (!options_.token.empty()) context.AddMetadata("authorization", "Bearer " + options_.token);
  if (!stream)
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(static_cast<int64_t>(options_.timeout_s * 1000)));
}

int Client::failed(const grpc::Status& status) const {
  std::cerr << "bellwether: " << plain(status.error_message()) << "\n";
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE: {
      v1::ErrorStatus details;
      if (!status.error_details().empty() && details.ParseFromString(status.error_details()))
        break;  // the service itself said so
      std::cerr << "The service at " << options_.address
                << " cannot be reached. Is `bellwether serve` running? Another address: --address HOST:PORT"
                << (options_.tls || !options_.tls_ca.empty() ? "; does it speak TLS?"
                                                             : "; does it ask for TLS (--tls)?")
                << "\n";
      break;
    }
    case grpc::StatusCode::UNAUTHENTICATED:
      std::cerr << "Give a token by --token or in BELLWETHER_CTL_TOKEN.\n";
      break;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      std::cerr << "No answer within " << options_.timeout_s << " s; --timeout SECONDS waits longer.\n";
      break;
    default:
      break;
  }
  return status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ? 2 : 1;
}

void print_json(const google::protobuf::Message& message, bool one_line) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !one_line;
  std::string text;
  if (const auto status = google::protobuf::util::MessageToJsonString(message, &text, options); !status.ok()) {
    std::cerr << "bellwether: the answer cannot be written as JSON: " << status.ToString() << "\n";
    return;
  }
  std::cout << text;
  if (text.empty() || text.back() != '\n') std::cout << '\n';
  std::cout.flush();
}

std::string plain(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 controls are two bytes in UTF-8: c2 80 … c2 9f.
    const bool c1 = c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c < 0x20 || c == 0x7f || c1) {
      out += '?';
      i += c1 ? 1 : 0;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string points(int64_t micros, int decimals) {
  const bool minus = micros < 0;
  const uint64_t v = minus ? ~static_cast<uint64_t>(micros) + 1 : static_cast<uint64_t>(micros);
  std::string out = (minus ? "-" : "") + std::to_string(v / 1'000'000);
  if (decimals > 0) out += "." + std::to_string(1'000'000 + v % 1'000'000).substr(1, static_cast<size_t>(decimals));
  return out;
}

std::string time_text(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "-";
  return google::protobuf::util::TimeUtil::ToString(time);
}

std::string short_name(const std::string& name, std::string_view prefix) {
  std::string out = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out == "unspecified" ? "-" : out;
}

void Table::print(const std::string& indent) const {
  const size_t columns = headings_.size();
  std::vector<size_t> widths(columns);
  const auto heading = [&](size_t c) { return headings_[c].starts_with('>') ? headings_[c].substr(1) : headings_[c]; };
  for (size_t c = 0; c < columns; ++c) {
    widths[c] = width(heading(c));
    for (const auto& row : rows_)
      if (c < row.size()) widths[c] = std::max(widths[c], width(plain(row[c])));
  }
  const auto line = [&](const std::function<std::string(size_t)>& cell) {
    std::string out = indent;
    for (size_t c = 0; c < columns; ++c) {
      const std::string text = cell(c);
      const std::string pad(widths[c] - std::min(widths[c], width(text)), ' ');
      const bool right = headings_[c].starts_with('>');
      out += right ? pad + text : c + 1 == columns ? text : text + pad;
      if (c + 1 < columns) out += "  ";
    }
    while (out.ends_with(' ')) out.pop_back();
    std::cout << out << '\n';
  };
  line(heading);
  for (const auto& row : rows_) line([&](size_t c) { return c < row.size() ? plain(row[c]) : std::string(); });
}

}  // namespace bellwether::ctl

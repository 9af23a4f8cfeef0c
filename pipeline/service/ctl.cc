#include "pipeline/service/ctl.h"

#include <CLI/CLI.hpp>

#include "pipeline/service/ctl_client.h"

namespace bellwether {

void add_ctl_commands(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ctl::Options>();
  CLI::App* c =
      app.add_subcommand("ctl", "Ask a running service: who is key and why, what was flagged, decide about it");
  c->require_subcommand(1);
  c->fallthrough();  // the options below may stand behind the subcommand too
  c->add_option("--address", options->address, "HOST:PORT of the service")
      ->envname("BELLWETHER_CTL_ADDRESS")
      ->capture_default_str();
  c->add_option("--token", options->token,
                "Bearer token; better in the environment, where no list of processes shows it")
      ->envname("BELLWETHER_CTL_TOKEN");
  c->add_flag("--tls", options->tls, "Speak TLS");
  c->add_option("--tls-ca", options->tls_ca, "PEM file of the authority that signed the service's certificate")
      ->check(CLI::ExistingFile);
  CLI::Option* cert = c->add_option("--tls-cert", options->tls_cert, "PEM file: the client's own certificate")
                          ->check(CLI::ExistingFile);
  CLI::Option* key = c->add_option("--tls-key", options->tls_key, "PEM file: its key")->check(CLI::ExistingFile);
  cert->needs(key), key->needs(cert);
  c->add_option("--tls-name", options->tls_name, "The name that the certificate is for, if not the address's");
  c->add_option("--timeout", options->timeout_s, "Seconds a call may take")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--connect", options->connect_s, "Seconds to wait for a service that is only starting")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  c->add_option("--output", options->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  const ctl::Run run = [options, &exit_code](const std::function<int(ctl::Client&)>& work) {
    if (options->token.empty())
      if (const char* token = std::getenv("BELLWETHER_TOKEN")) options->token = token;
    ctl::Client client(*options);
    exit_code = client.connect() ? work(client) : 2;
  };
  ctl::add_users(*c, run);
  ctl::add_flags(*c, run);
  ctl::add_watch(*c, run);
  ctl::add_admin(*c, run);
  ctl::add_erase(*c, run);
  ctl::add_publish(*c, run);
}

}  // namespace bellwether

// Reads the configuration: defaults < file < environment < --set. Every mistake is found in one go and said with where
// it stands, what was given and what is allowed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/result.h"

namespace bellwether {

using Environment = std::map<std::string, std::string>;

// The process's variables that begin with BELLWETHER_.
Environment process_environment();

// `path`: a YAML file as config/bellwether.yaml, at most 1 MiB; none: no file. A key that it leaves out keeps its
// default, but `community.profiles` is replaced as a whole, and the weights that a profile leaves out are 0. `sets`:
// "engine.threads=2"; a list's values stand between commas. `environment`: BELLWETHER_ENGINE_THREADS=2;
// BELLWETHER_KAFKA_PROPERTIES_SASL_PASSWORD is kafka.properties.sasl.password. Names that begin with BELLWETHER_CTL_ or
// BELLWETHER_TEST_ belong to the client and to tests, and what Kubernetes sets in every container beside a service
// named bellwether (…_SERVICE_HOST, …_SERVICE_PORT*, …_PORT*) is not ours either: they are passed over. Errors, one a
// line: "bellwether.yaml:3: engine.threads: given "many", allowed: a whole number 1..256 (threads)".
Result<Config> load(const std::optional<std::string>& path, const std::vector<std::string>& sets,
                    const Environment& environment);
// The same from the text of a file; `name` stands for it in errors.
Result<Config> load_text(std::string_view text, const std::string& name, const std::vector<std::string>& sets = {},
                         const Environment& environment = {});

// The full names of the keys that a file sets, in its order.
Result<std::vector<std::string>> keys_set_in(std::string_view text, const std::string& name);

// The community part as text, the same for the same values: YAML, every key in the schema's order. It is what a version
// of the configuration is in the control log. parse_canonical() of it gives the same configuration; a key that it does
// not name (it was written by an older program) has its default, or where that differs the value by which the older
// program went.
std::string canonical(const CommunityConfig& community);
Result<CommunityConfig> parse_canonical(std::string_view text);
// XXH3 of the canonical text.
uint64_t content_hash(const CommunityConfig& community);

}  // namespace bellwether

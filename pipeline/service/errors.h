// Failed calls, with google.rpc details: a reason for programs always, the field where one is to blame.
#pragma once

#include <grpcpp/support/status.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/sources/source.h"

namespace bellwether {

using ErrorFacts = std::map<std::string, std::string>;

// `reason`: upper snake case, for programs; `facts` go with it.
grpc::Status call_error(grpc::StatusCode code, const std::string& reason, const std::string& message,
                        const ErrorFacts& facts = {});
// The same, and that trying again after `retry_ms` may help.
grpc::Status call_error_retry(grpc::StatusCode code, const std::string& reason, const std::string& message,
                              int64_t retry_ms);

// INVALID_ARGUMENT with every field that is wrong: its path in the request, and what is wrong and what is allowed.
using FieldErrors = std::vector<std::pair<std::string, std::string>>;
grpc::Status bad_fields(const FieldErrors& fields, const std::string& reason = "INVALID_FIELD");
grpc::Status bad_field(const std::string& field, const std::string& description,
                       const std::string& reason = "INVALID_FIELD");

// The store could not be read, or the log not be written.
grpc::Status io_error(const Status& status);

// "INVALID_ARGUMENT", for logs and metrics.
const char* code_name(grpc::StatusCode code);

}  // namespace bellwether

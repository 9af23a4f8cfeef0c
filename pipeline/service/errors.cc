#include "pipeline/service/errors.h"

#include "bellwether/v1/errors.pb.h"

namespace bellwether {
namespace {

namespace pb = bellwether::v1;

template <class Message>
void add_detail(pb::ErrorStatus& status, const char* type, const Message& message) {
  auto* any = status.add_details();
  any->set_type_url(std::string("type.googleapis.com/google.rpc.") + type);
  any->set_value(message.SerializeAsString());
}

pb::ErrorStatus base(grpc::StatusCode code, const std::string& reason, const std::string& message,
                     const ErrorFacts& facts) {
  pb::ErrorStatus status;
  status.set_code(code);
  status.set_message(message);
  pb::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("bellwether");
  for (const auto& [name, value] : facts) (*info.mutable_metadata())[name] = value;
  add_detail(status, "ErrorInfo", info);
  return status;
}

grpc::Status finished(const pb::ErrorStatus& status) {
  return {static_cast<grpc::StatusCode>(status.code()), status.message(), status.SerializeAsString()};
}

}  // namespace

grpc::Status call_error(grpc::StatusCode code, const std::string& reason, const std::string& message,
                        const ErrorFacts& facts) {
  return finished(base(code, reason, message, facts));
}

grpc::Status call_error_retry(grpc::StatusCode code, const std::string& reason, const std::string& message,
                              int64_t retry_ms) {
  pb::ErrorStatus status = base(code, reason, message, {});
  pb::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(retry_ms / 1000);
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(retry_ms % 1000 * 1'000'000));
  add_detail(status, "RetryInfo", retry);
  return finished(status);
}

grpc::Status bad_fields(const FieldErrors& fields, const std::string& reason) {
  std::string message;
  pb::BadRequest request;
  for (const auto& [field, description] : fields) {
    message += (message.empty() ? "" : "; ") + field + ": " + description;
    auto* violation = request.add_field_violations();
    violation->set_field(field);
    violation->set_description(description);
  }
  constexpr size_t kMessageMax = 2000;  // of a header's size; the details have them all
  if (message.size() > kMessageMax) message = message.substr(0, kMessageMax) + "…";
  pb::ErrorStatus status = base(grpc::StatusCode::INVALID_ARGUMENT, reason, message,
                                fields.empty() ? ErrorFacts{} : ErrorFacts{{"field", fields.front().first}});
  add_detail(status, "BadRequest", request);
  return finished(status);
}

grpc::Status bad_field(const std::string& field, const std::string& description, const std::string& reason) {
  return bad_fields({{field, description}}, reason);
}

grpc::Status io_error(const Status& status) {
  return call_error(grpc::StatusCode::INTERNAL, "STORAGE", status.message);
}

const char* code_name(grpc::StatusCode code) {
  static constexpr const char* kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto at = static_cast<size_t>(code);
  return at < std::size(kNames) ? kNames[at] : "UNKNOWN";
}

}  // namespace bellwether

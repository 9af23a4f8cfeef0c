#include "pipeline/service/request.h"

#include <grpcpp/support/slice.h>

#include <vector>

#include "pipeline/service/errors.h"
#include "pipeline/service/request_wire.h"

namespace bellwether {
namespace {

grpc::Status malformed() {
  return call_error(grpc::StatusCode::INVALID_ARGUMENT, "MALFORMED",
                    "the request is no protobuf message of the kind that this method takes");
}
grpc::Status too_large(size_t given, size_t allowed, const char* unit) {
  return call_error(
      grpc::StatusCode::INVALID_ARGUMENT, "REQUEST_TOO_LARGE",
      "the request has " + std::to_string(given) + " " + unit + "; allowed: at most " + std::to_string(allowed));
}

}  // namespace

std::string bytes_of(const grpc::ByteBuffer& buffer) {
  std::string out;
  out.reserve(buffer.Length());
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return out;
  for (const grpc::Slice& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

grpc::ByteBuffer buffer_of(const google::protobuf::Message& message) {
  grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

grpc::Status RawRequest::open(const grpc::ByteBuffer& buffer, RawRequest& out) {
  if (buffer.Length() > kRequestBytesMax) return too_large(buffer.Length(), kRequestBytesMax, "bytes");
  out.bytes = bytes_of(buffer);
  RequestSize size;
  if (!weigh_request(out.bytes, size)) return malformed();
  if (size.fields > kRequestFieldsMax) return too_large(size.fields, kRequestFieldsMax, "fields at its top level");
  out.weight = size.weight;
  return grpc::Status::OK;
}

grpc::Status RawRequest::parse(google::protobuf::Message& out) const {
  return out.ParseFromString(bytes) ? grpc::Status::OK : malformed();
}

}  // namespace bellwether

// Requests as gRPC hands them over, bytes, and answers as it takes them: see request_wire.h.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <string>

namespace bellwether {

// Of every request but the publishing ones: more than the longest that any of them allows.
constexpr size_t kRequestBytesMax = size_t{1} << 20;
constexpr size_t kRequestFieldsMax = 20'000;

std::string bytes_of(const grpc::ByteBuffer& buffer);
grpc::ByteBuffer buffer_of(const google::protobuf::Message& message);

// What a message of so many bytes on the wire may take, with what is made of it, where no objects are made of its
// parts, or they are ours.
inline size_t weight_of(const grpc::ByteBuffer& bytes) { return 512 + 5 * bytes.Length(); }

// A request whose object is yet to be made.
struct RawRequest {
  std::string bytes;
  size_t weight = 0;  // bytes of memory that its object may take

  // INVALID_ARGUMENT where it is larger than kRequestBytesMax, or its top level holds more than kRequestFieldsMax
  // fields (each element of a list is one), or it is no protobuf message.
  static grpc::Status open(const grpc::ByteBuffer& buffer, RawRequest& out);
  // INVALID_ARGUMENT where it is no message of that kind.
  grpc::Status parse(google::protobuf::Message& out) const;
};

}  // namespace bellwether

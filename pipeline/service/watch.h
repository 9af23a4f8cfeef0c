// Streams of changes: each watcher keeps the id of the last change it sent and reads on from there in every new commit.
// An idle watcher costs memory only, no thread.
#pragma once

#include "bellwether/v1/flags.pb.h"
#include "bellwether/v1/key_users.pb.h"
#include "pipeline/service/core.h"

namespace bellwether {

grpc::ServerWriteReactor<grpc::ByteBuffer>* watch_tiers(ServiceCore& core, grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request);
grpc::ServerWriteReactor<grpc::ByteBuffer>* watch_flags(ServiceCore& core, grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request);

}  // namespace bellwether

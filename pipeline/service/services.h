// The four services; service.cc puts them on a server.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "pipeline/service/core.h"

namespace bellwether {

std::unique_ptr<grpc::Service> make_key_users_service(ServiceCore& core);
std::unique_ptr<grpc::Service> make_flags_service(ServiceCore& core);
std::unique_ptr<grpc::Service> make_ingest_service(ServiceCore& core);
std::unique_ptr<grpc::Service> make_admin_service(ServiceCore& core);

}  // namespace bellwether

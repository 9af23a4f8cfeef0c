// The frame of every list call: page size, token, which reading, and whether it moved.
#pragma once

#include <optional>
#include <string>

#include "pipeline/service/core.h"

namespace bellwether {

struct PageFrame {
  uint32_t size = 0;
  std::string last;  // where to go on; empty: from the beginning
  bool moved = false;
  std::shared_ptr<const Reading> reading;
  uint64_t query = 0;

  // Checks page_size and page_token; `query`: everything that the token is bound to, as one text.
  template <class Request>
  grpc::Status open(ServiceCore& core, const Call& call, const Request& request, const std::string& query_text) {
    if (request.page_size() < 0)
      return bad_field("page_size",
                       "given " + std::to_string(request.page_size()) + ", allowed: 0 (the default) or more");
    size = page_size_of(request.page_size(), core.config().service.page_max);
    query = core.hasher()(KeyKind::kEvent, query_text);
    reading = call.reading;
    if (request.page_token().empty()) return grpc::Status::OK;
    PageToken token;
    if (!decode(request.page_token(), token))
      return bad_field("page_token", "is no token of this service", "PAGE_TOKEN_INVALID");
    if (token.query != query)
      return bad_field("page_token", "belongs to another query: filter, order and parent must stay the same",
                       "PAGE_TOKEN_MISMATCH");
    last = std::move(token.last);
    if (token.process == core.process()) {
      if (auto pinned = core.pinned().find(token.commit); pinned != nullptr && core.knows_erased(*pinned)) {
        reading = std::move(pinned);
      } else {
        moved = token.commit != reading->at().number();
      }
    } else {
      moved = true;
    }
    return grpc::Status::OK;
  }

  // The token of the next page; pins what this one showed.
  std::string next(ServiceCore& core, std::string at) const {
    core.pinned().pin(reading);
    return encode(PageToken{query, core.process(), reading->at().number(), std::move(at)});
  }
};

// A message of this size still leaves room below gRPC's default of 4 MiB at the client.
constexpr size_t kAnswerBytesMax = 3 << 20;

}  // namespace bellwether

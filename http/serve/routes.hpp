// The routes: one table of method, path, scope, handler and what else a route does differently,
// which the router, openapi.yaml and a test share. The hot paths are matched first, by comparison.
#pragma once

#include <restinio/request_handler.hpp>
#include <span>
#include <string_view>

#include "access/authentication.hpp"
#include "http/serve/request_headers.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

struct route;

// A request that passed framing checks, authentication and its route's scope.
struct routed_request {
  restinio::request_handle_t client;
  connection_key connection = 0;
  time_point arrived_at{};
  const route* found = nullptr;  // null: none has this path and method
  request_headers headers;
  principal_ptr who;           // null on an open route
  std::string_view parameter;  // the path's {…}, still percent-encoded; views into the request
  std::string request_id;
};

using route_handler = void (*)(shard&, routed_request);

struct route_traits {
  metric_route label = metric_route::other;  // how its requests are counted; decides nothing
  bool is_open_with_metrics = false;         // needs no scope while metrics.public is set
  // Of inference: where the runtime tells no usage, the length of a whole answer tells about how
  // many tokens were generated.
  bool estimate_from_length = false;
};

struct route {
  std::string_view method;
  std::string_view path;  // may have one {parameter}, as openapi.yaml writes it
  scope needed;           // none: open
  route_handler handler;
  route_traits traits = {};
};

std::span<const route> routes();

// The entry for every request: finds the route and runs its handler, or answers 4xx.
void dispatch(shard& home, connection_key connection, restinio::request_handle_t client);

}  // namespace signalbox::http

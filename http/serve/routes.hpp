// The routes: one table with the method, path, scope, handler and traits of each. The router uses
// it, and a test compares it with openapi.yaml. The most frequent paths are compared first.
#pragma once

#include <restinio/request_handler.hpp>
#include <span>
#include <string_view>

#include "access/authentication.hpp"
#include "http/serve/request_headers.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

struct route;

// A request that passed the checks of framing, of its credential and of its route's scope.
struct routed_request {
  restinio::request_handle_t client;
  connection_key connection = 0;
  time_point arrived_at{};
  const route* found = nullptr;  // null: no route has this path and method
  request_headers headers;
  principal_ptr who;           // null on an open route
  std::string_view parameter;  // text for the {…} of the path, percent-encoded; a view of it
  std::string request_id;
};

using route_handler = void (*)(shard&, routed_request);

// The differences between routes that share code.
struct route_traits {
  metric_route label = metric_route::other;  // label in metrics; nothing else depends on it
  bool is_open_with_metrics = false;         // needs no scope while metrics.public is set
  // For inference: if the runtime reports no usage, the tokens that it generated are estimated from
  // the length of a whole answer.
  bool estimate_from_length = false;
};

// A row of the table.
struct route {
  std::string_view method;
  std::string_view path;  // may have one {parameter}, as openapi.yaml writes it
  scope needed;           // `none`: open to all
  route_handler handler;
  route_traits traits = {};
};

std::span<const route> routes();

// The entry for every request: finds the route and runs its handler, or answers 4xx.
void dispatch(shard& home, connection_key connection, restinio::request_handle_t client);

}  // namespace signalbox::http

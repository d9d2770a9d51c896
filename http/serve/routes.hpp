// The routes: one table (route_table.cpp) with the method, path, scope, handler and traits of each.
// The router uses it, and a test compares it with openapi.yaml. The most frequent paths are
// compared first.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <restinio/request_handler.hpp>
#include <span>
#include <string_view>

#include "access/authentication.hpp"
#include "http/proxy/upstream_target.hpp"
#include "http/serve/compressed_body.hpp"
#include "http/serve/dialect.hpp"
#include "http/serve/identity.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/request_headers.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

struct route;

class request_share;

// How the parser read the first line and the length of a request.
struct request_framing {
  bool is_http10 = false;
  bool is_other_version = false;  // neither HTTP/1.1 nor HTTP/1.0
  bool is_chunked = false;
  std::optional<std::uint64_t> length;  // by Content-Length
  std::string_view problem;             // in its lines; empty: none
};

// A request whose head was read. When it has no problem, it passed the checks of framing, of its
// credential and of its route's scope.
struct routed_request {
  restinio::request_handle_t client;  // null until the body was read, too
  connection_key connection = 0;
  std::optional<request_problem> problem;
  time_point arrived_at{};
  boost::asio::ip::tcp::endpoint from;  // the client (trusted_proxies), with the peer's port
  const route* found = nullptr;         // null: no route has this path and method
  request_headers headers;
  content_coding coding = content_coding::identity;  // of the body, until it was read
  bool is_followed = false;                          // by bytes that came before it was answered
  credential shown;                                  // empty on an open route
  principal_ptr who;                                 // null on an open route
  std::string_view parameter;  // text for the {…} of the path, percent-encoded; a view of it
  std::string request_id;
  std::shared_ptr<request_share> share;       // until it is answered
  std::unique_ptr<upstream_target> upstream;  // of a route that `is_upstream`
};

using route_handler = void (*)(shard&, routed_request);

// The differences between routes that share code.
struct route_traits {
  metric_route label = metric_route::other;  // label in metrics; nothing else depends on it
  // A route with a dialect is also found without its /v1 and with a slash at its end.
  http::dialect dialect = http::dialect::none;
  bool is_open_with_metrics = false;  // needs no scope while metrics.public is set
  // For inference: if the runtime reports no usage, the tokens that it generated are estimated from
  // the length of a whole answer.
  bool estimate_from_length = false;
  bool streams_by_default = false;  // for inference, if the body does not say it
  bool is_inference = false;        // its body may be as large as server.body_limit
  bool takes_form = false;          // for inference: its body is multipart/form-data, else JSON
  bool takes_any_body = false;      // for inference: any type, or none; it goes on as it came
  // The path names a model and a path at its runtime. The scope realtime is enough for those that
  // the model lists, and a body that we know is treated as on its own route.
  bool is_upstream = false;
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

// Reads the head of a request: finds the route, and checks what can be checked before the body is
// there. Makes its path the one that the table has. `out` views into `header`, also after that
// was moved.
void read_head(shard& home, const boost::asio::ip::tcp::endpoint& peer,
               restinio::http_request_header_t& header, const request_framing& framing,
               routed_request& out);

// Returns how many bytes the body of the request may have.
std::uint64_t body_limit_of(const shard& home, const routed_request& request);
request_problem body_too_large(std::uint64_t limit);
request_problem too_many_bodies();

// The entry for every request: runs the handler of its route, or answers 4xx.
void dispatch(shard& home, connection_key connection, routed_request request,
              restinio::request_handle_t client);

}  // namespace signalbox::http

// Complete answers. They are posted to the loop, never sent inside a handler: RESTinio fails when a
// pipelining client is answered synchronously.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <restinio/request_handler.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/metrics.hpp"
#include "http/serve/error.hpp"
#include "http/serve/request_log.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

class request_share;
class response_writer;
struct routed_request;

using extra_headers = std::vector<std::pair<std::string, std::string>>;

// Why a request is refused, as its client gets it.
struct request_problem {
  error_code code;
  std::string message;
  std::string param = {};  // the field at fault, or empty
  extra_headers headers = {};
};

// Sends at once; for callers outside of a request handler. HEAD gets the answer to GET without the
// body (RFC 9110 9.3.2).
void answer(const restinio::request_handle_t& request, int status, std::string_view content_type,
            std::string body, extra_headers headers = {});

// Sends the error in the dialect of the path; adds WWW-Authenticate to a 401.
void answer_error(const restinio::request_handle_t& request, error_code code,
                  std::string_view message, std::string_view param = {},
                  extra_headers headers = {});

// A request that waits for its answer. Its shard keeps it: an actor that is asked may outlive the
// connection, the server and the shard, and none of these may be destroyed on an actor's thread.
struct asked_request {
  restinio::request_handle_t client;
  std::string request_id;
  metric_route route_label = metric_route::other;
  std::string_view route;  // pattern of the path; empty: unknown path
  principal_ptr who;       // null on an open route
  std::string client_id;   // empty: none
  time_point arrived_at;
  boost::asio::ip::tcp::endpoint from;
  std::shared_ptr<request_share> share;
};

// The names that the request log gives to a request; empty where there is none.
struct request_names {
  std::string_view request_id, route, key_id, client_id;
};

// Returns the part of a log record that every request has. The record views into all that is given.
request_record record_of(std::string_view method, const boost::asio::ip::tcp::endpoint& client,
                         const request_names& names, int status, duration took);

// Counts and logs a request that is refused while its body is still on the way, and returns the
// whole answer. The connection must be closed after it.
std::string refusal_of_head(shard& home, const restinio::http_request_header_t& header,
                            const routed_request& request);
// The same for bytes that are no request.
std::string refusal_of_bytes(shard& home, const boost::asio::ip::tcp::endpoint& peer,
                             const request_problem& problem);

asked_request asked_of(const routed_request& request);

// Begins an answer in pieces of unknown length, counts it, and adds it to the request log. Call it
// on the thread of the shard, but not inside a request handler.
response_writer begin_answer(shard& home, const asked_request& asked,
                             std::string_view content_type);

// Answers one request that reaches no runtime, counts it, and adds it to the request log. Copies
// share the request: call answer or refuse once, on any thread, also inside a handler. Does nothing
// when the shard is gone.
class responder {
 public:
  // Call it on the thread of the shard.
  responder(shard& home, const routed_request& request);

  void answer(int status, std::string_view content_type, std::string body,
              extra_headers headers = {}) const;
  void refuse(error_code code, std::string message, std::string param = {},
              extra_headers headers = {}) const;

 private:
  class claim;

  std::shared_ptr<claim> claim_;
};

std::string_view method_of(const restinio::http_request_header_t& header);
std::string_view method_of(const restinio::request_handle_t& request);
std::string_view path_of(const restinio::http_request_header_t& header);
std::string_view path_of(const restinio::request_handle_t& request);

// Returns the time as the field Date has it (RFC 9110 5.6.7).
std::string_view http_date();

}  // namespace signalbox::http

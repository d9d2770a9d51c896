// Complete answers. They are posted to the loop, never sent inside a handler: RESTinio fails when a
// pipelining client is answered synchronously.
#pragma once

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

struct routed_request;

using extra_headers = std::vector<std::pair<std::string, std::string>>;

// Sends at once; for callers outside of a request handler. HEAD gets the answer to GET without the
// body (RFC 9110 9.3.2).
void answer(const restinio::request_handle_t& request, int status, std::string_view content_type,
            std::string body, extra_headers headers = {});

// Sends {"error": …} or {"detail": …}, depending on the path; adds WWW-Authenticate to a 401.
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
};

// The names that the request log gives to a request; empty where there is none.
struct request_names {
  std::string_view request_id, route, key_id, client_id;
};

// Returns the part of a log record that every request has. The record views into all that is given.
request_record record_of(const restinio::request_handle_t& client, const request_names& names,
                         int status, duration took);

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

// Returns the address of the peer, without the port.
std::string address_of(const restinio::request_handle_t& request);

// Returns whether the path is under /v1/, where errors have OpenAI's envelope.
bool is_openai_path(std::string_view path);

std::string_view method_of(const restinio::request_handle_t& request);
std::string_view path_of(const restinio::request_handle_t& request);

}  // namespace signalbox::http

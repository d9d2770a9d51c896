#include "http/reply.hpp"

#include <chrono>
#include <utility>

#include "http/gateway_state.hpp"
#include "http/routes.hpp"

namespace signalbox::http {

namespace {

template <typename Response>
void add_headers(Response& response, const restinio::request_handle_t& request,
                 std::string_view content_type, extra_headers& headers) {
  if (!content_type.empty()) {
    response.append_header(restinio::http_field_t::content_type, std::string(content_type));
  }
  for (auto& [name, value] : headers) response.append_header(std::move(name), std::move(value));
  if (!request->header().should_keep_alive()) response.connection_close();
}

}  // namespace

void answer(const restinio::request_handle_t& request, int status, std::string_view content_type,
            std::string body, extra_headers headers) {
  const restinio::http_status_line_t line{
      restinio::http_status_code_t{static_cast<std::uint16_t>(status)},
      std::string(reason_phrase(status))};
  if (method_of(request) == "HEAD") {
    auto response = request->create_response<restinio::user_controlled_output_t>(line);
    add_headers(response, request, content_type, headers);
    response.set_content_length(body.size()).done();
    return;
  }
  auto response = request->create_response(line);
  add_headers(response, request, content_type, headers);
  response.set_body(std::move(body)).done();
}

void answer_error(const restinio::request_handle_t& request, error_code code,
                  std::string_view message, std::string_view param, extra_headers headers) {
  const int status = words(code).status;
  if (status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  answer(request, status, "application/json",
         error_body(code, message, param, is_openai_path(path_of(request))), std::move(headers));
}

// What the request log wants to know of a request when it is answered.
struct responder::asked {
  std::string address, key_id, client_id;
  std::string_view route;
  time_point arrived_at;
};

responder::responder(shard& home, const routed_request& request, metric_route route)
    : post_(home.poster()),
      gateway_(&home.gateway()),
      client_(request.client),
      request_id_(request.request_id),
      route_(route) {
  if (!gateway_->log()) return;
  asked one;
  one.address = address_of(client_);
  if (request.who) one.key_id = request.who->key_id;
  if (is_sane_client_id(request.headers.client_id)) one.client_id = request.headers.client_id;
  if (request.found) one.route = request.found->path;
  one.arrived_at = request.arrived_at;
  asked_ = std::make_shared<const asked>(std::move(one));
}

void responder::add_common(extra_headers& headers) const {
  headers.emplace_back("x-request-id", request_id_);
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  gateway_->cors().add_headers(client_, headers);
}

void responder::note(int status) const {
  gateway_->meters().request_ended(no_model, route_, status);
  if (!asked_) return;
  request_record record;
  record.request_id = request_id_;
  record.method = method_of(client_);
  record.route = asked_->route;
  record.address = asked_->address;
  record.key_id = asked_->key_id;
  record.client_id = asked_->client_id;
  record.status = status;
  record.took = std::chrono::steady_clock::now() - asked_->arrived_at;
  gateway_->log()->write(record);
}

void responder::answer(int status, std::string_view content_type, std::string body,
                       extra_headers headers) const {
  note(status);
  add_common(headers);
  post_([client = client_, status, type = std::string(content_type), body = std::move(body),
         headers = std::move(headers)]() mutable {
    http::answer(client, status, type, std::move(body), std::move(headers));
  });
}

void responder::refuse(error_code code, std::string message, std::string param,
                       extra_headers headers) const {
  note(words(code).status);
  add_common(headers);
  post_([client = client_, code, message = std::move(message), param = std::move(param),
         headers = std::move(headers)] { answer_error(client, code, message, param, headers); });
}

std::string address_of(const restinio::request_handle_t& request) {
  return request->remote_endpoint().address().to_string();
}

bool is_openai_path(std::string_view path) {
  return path.starts_with("/v1/") || path == "/v1";
}

std::string_view method_of(const restinio::request_handle_t& request) {
  return {request->header().method().c_str()};
}

std::string_view path_of(const restinio::request_handle_t& request) {
  const auto path = request->header().path();
  return {path.data(), path.size()};
}

}  // namespace signalbox::http

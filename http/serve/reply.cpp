#include "http/serve/reply.hpp"

#include <atomic>
#include <chrono>
#include <utility>

#include "http/serve/gateway_state.hpp"
#include "http/serve/limits.hpp"
#include "http/serve/routes.hpp"

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

request_record record_of(const restinio::request_handle_t& client, const request_names& names,
                         int status, duration took) {
  request_record record;
  record.request_id = names.request_id;
  record.method = method_of(client);
  record.route = names.route;
  record.address = address_of(client);
  record.key_id = names.key_id;
  record.client_id = names.client_id;
  record.status = status;
  record.took = took;
  return record;
}

namespace {

void note(gateway_state& gateway, const asked_request& asked, int status) {
  gateway.meters().request_refused(asked.route_label, status);
  auto* const log = gateway.log();
  if (!log) return;
  request_names names{asked.request_id, asked.route, {}, asked.client_id};
  if (asked.who) names.key_id = asked.who->key_id;
  const auto took = std::chrono::steady_clock::now() - asked.arrived_at;
  log->write(record_of(asked.client, names, status, took));
}

void add_common(gateway_state& gateway, const asked_request& asked, extra_headers& headers) {
  auto lines = asked.request_id + "\r\nX-Content-Type-Options: nosniff";
  if (asked.who) append_limit_fields(*asked.who, std::chrono::steady_clock::now(), lines);
  headers.emplace_back("x-request-id", std::move(lines));
  gateway.cors().add_headers(asked.client, headers);
}

}  // namespace

// The right to take a request from its shard once. The last owner drops the request if nobody did.
class responder::claim {
 public:
  claim(shard& home, asked_request request)
      : home_(home), post_(home.poster()), id_(home.keep(std::move(request))) {}
  claim(const claim&) = delete;
  claim& operator=(const claim&) = delete;
  ~claim() {
    take([](shard&, const asked_request&) {});
  }

  // Runs `then` with the request on the shard's thread, in a later turn. Only the first call has an
  // effect.
  template <typename Then>  // (shard&, asked_request&)
  void take(Then then) {
    if (is_taken_.exchange(true)) return;
    // The shard lives while its tasks run.
    post_([&home = home_, id = id_, then = std::move(then)]() mutable {
      if (auto request = home.hand_over(id)) then(home, *request);
    });
  }

 private:
  shard& home_;
  shard::task_poster post_;
  const std::uint64_t id_;
  std::atomic<bool> is_taken_{false};
};

responder::responder(shard& home, const routed_request& request) {
  asked_request asked;
  asked.client = request.client;
  asked.request_id = request.request_id;
  asked.who = request.who;
  asked.arrived_at = request.arrived_at;
  if (request.found) {
    asked.route = request.found->path;
    asked.route_label = request.found->traits.label;
  }
  if (is_sane_client_id(request.headers.client_id)) asked.client_id = request.headers.client_id;
  claim_ = std::make_shared<claim>(home, std::move(asked));
}

void responder::answer(int status, std::string_view content_type, std::string body,
                       extra_headers headers) const {
  claim_->take([status, type = std::string(content_type), body = std::move(body),
                headers = std::move(headers)](shard& home, const asked_request& asked) mutable {
    note(home.gateway(), asked, status);
    add_common(home.gateway(), asked, headers);
    http::answer(asked.client, status, type, std::move(body), std::move(headers));
  });
}

void responder::refuse(error_code code, std::string message, std::string param,
                       extra_headers headers) const {
  claim_->take([code, message = std::move(message), param = std::move(param),
                headers = std::move(headers)](shard& home, const asked_request& asked) mutable {
    note(home.gateway(), asked, words(code).status);
    add_common(home.gateway(), asked, headers);
    answer_error(asked.client, code, message, param, std::move(headers));
  });
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

#include "http/serve/reply.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <utility>

#include "http/serve/client_door.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/limits.hpp"
#include "http/serve/response_writer.hpp"
#include "http/serve/route_path.hpp"
#include "http/serve/routes.hpp"

namespace signalbox::http {

void answer(const restinio::request_handle_t& request, int status, std::string_view content_type,
            std::string body, extra_headers headers) {
  response_writer response(request, status);
  if (!content_type.empty()) response.add("Content-Type", content_type);
  for (const auto& [name, value] : headers) response.add(name, value);
  response.send(std::move(body));
}

void answer_error(const restinio::request_handle_t& request, error_code code,
                  std::string_view message, std::string_view param, extra_headers headers) {
  const int status = words(code).status;
  if (status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  answer(request, status, "application/json",
         error_body(code, message, param, dialect_of(path_of(request))), std::move(headers));
}

request_record record_of(std::string_view method, const boost::asio::ip::tcp::endpoint& client,
                         const request_names& names, int status, duration took) {
  request_record record;
  record.request_id = names.request_id;
  record.method = method;
  record.route = names.route;
  record.address = client.address().to_string();
  record.key_id = names.key_id;
  record.client_id = names.client_id;
  record.status = status;
  record.took = took;
  return record;
}

namespace {

void note(gateway_state& gateway, metric_route label, const request_record& record) {
  gateway.meters().request_refused(label, record.status);
  if (auto* const log = gateway.log()) log->write(record);
}

void note(gateway_state& gateway, const asked_request& asked, int status) {
  request_names names{asked.request_id, asked.route, {}, asked.client_id};
  if (asked.who) names.key_id = asked.who->key_id;
  const auto took = std::chrono::steady_clock::now() - asked.arrived_at;
  note(gateway, asked.route_label,
       record_of(method_of(asked.client), asked.from, names, status, took));
}

// Adds the fields that every answer has: one, with most of the others in lines behind its value.
void add_common(gateway_state& gateway, const restinio::http_request_header_t& header,
                const std::string& request_id, const principal_ptr& who, extra_headers& headers) {
  auto lines = request_id + "\r\nX-Content-Type-Options: nosniff\r\nDate: ";
  lines += http_date();
  if (who) append_limit_fields(*who, std::chrono::steady_clock::now(), lines);
  headers.emplace_back("x-request-id", std::move(lines));
  gateway.cors().add_headers(header, headers);
}

void add_common(gateway_state& gateway, const asked_request& asked, extra_headers& headers) {
  add_common(gateway, asked.client->header(), asked.request_id, asked.who, headers);
}

// Returns a whole answer with an error, after which the connection is closed.
std::string last_answer(const request_problem& problem, dialect spoken, bool has_body,
                        const extra_headers& headers) {
  const auto& error = words(problem.code);
  const auto body = error_body(problem.code, problem.message, problem.param, spoken);
  auto text = fmt::format(
      "HTTP/1.1 {} {}\r\nConnection: close\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n",
      error.status, error.reason, body.size());
  for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
  if (error.status == 401) text += "WWW-Authenticate: Bearer\r\n";
  return text + "\r\n" + (has_body ? body : std::string());
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

asked_request asked_of(const routed_request& request) {
  asked_request asked;
  asked.client = request.client;
  asked.request_id = request.request_id;
  asked.who = request.who;
  asked.arrived_at = request.arrived_at;
  asked.from = request.from;
  if (request.found) {
    asked.route = request.found->path;
    asked.route_label = request.found->traits.label;
  }
  if (is_sane_client_id(request.headers.client_id)) asked.client_id = request.headers.client_id;
  asked.share = request.share;
  return asked;
}

response_writer begin_answer(shard& home, const asked_request& asked,
                             std::string_view content_type) {
  note(home.gateway(), asked, 200);
  extra_headers headers;
  add_common(home.gateway(), asked, headers);
  response_writer response(asked.client, 200);
  response.add("Content-Type", content_type);
  for (const auto& [name, value] : headers) response.add(name, value);
  response.begin();
  return response;
}

responder::responder(shard& home, const routed_request& request)
    : claim_(std::make_shared<claim>(home, asked_of(request))) {}

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

std::string refusal_of_head(shard& home, const restinio::http_request_header_t& header,
                            const routed_request& request) {
  auto& gateway = home.gateway();
  const auto& problem = *request.problem;
  request_names names{request.request_id, {}, {}, {}};
  if (request.found) names.route = request.found->path;
  if (request.who) names.key_id = request.who->key_id;
  if (is_sane_client_id(request.headers.client_id)) names.client_id = request.headers.client_id;
  note(gateway, request.found ? request.found->traits.label : metric_route::other,
       record_of(method_of(header), request.from, names, words(problem.code).status,
                 home.now() - request.arrived_at));
  auto headers = problem.headers;
  add_common(gateway, header, request.request_id, request.who, headers);
  return last_answer(problem, dialect_of(path_of(header)), method_of(header) != "HEAD", headers);
}

std::string refusal_of_bytes(shard& home, const boost::asio::ip::tcp::endpoint& peer,
                             const request_problem& problem) {
  auto& gateway = home.gateway();
  const auto id = gateway.make_request_id();
  note(gateway, metric_route::other,
       record_of({}, peer, {id, {}, {}, {}}, words(problem.code).status, {}));
  auto headers = problem.headers;
  add_common(gateway, {}, id, nullptr, headers);
  return last_answer(problem, dialect::openai, true, headers);
}

std::string_view method_of(const restinio::http_request_header_t& header) {
  return {header.method().c_str()};
}

std::string_view method_of(const restinio::request_handle_t& request) {
  return method_of(request->header());
}

std::string_view path_of(const restinio::http_request_header_t& header) {
  const auto path = header.path();
  return {path.data(), path.size()};
}

std::string_view path_of(const restinio::request_handle_t& request) {
  return path_of(request->header());
}

std::string_view http_date() {
  thread_local std::time_t second = 0;
  thread_local std::string text;
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  if (std::exchange(second, now) != now) {
    text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
  }
  return text;
}

}  // namespace signalbox::http

#include "http/proxy/raw_routes.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "http/proxy/begin_call.hpp"
#include "http/proxy/inference_routes.hpp"
#include "http/proxy/upstream_target.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

constexpr std::string_view request_protocols[] = {"h2c", "h2", "http", "tls"};

// Begins a call whose body goes on as it came, whatever it is.
call_request make_raw_call(routed_request& request) {
  auto out = make_call(request);
  out.is_raw = true;
  out.reads_usage = false;
  out.forwarded_headers = fields_with_coding(request.client->header());
  out.facts.text_bytes = out.body.size();
  return out;
}

std::optional<request_problem> choose_model(shard& home, const restinio::request_handle_t& client,
                                            call_request& out) {
  const auto table = home.gateway().models();
  const auto name = query_value(client, "model");
  if (!name.empty()) return give_to_model(home, table->find(name), name, out);
  if (table->models().size() != 1) {
    return request_problem{error_code::missing_parameter, "Name the model with ?model=.", "model"};
  }
  const auto& only = table->models().front();
  return give_to_model(home, only, only->options.name, out);
}

// Behind HTTP/2 (RFC 7540 3.2) or TLS (RFC 2817) there would be further requests, to any path,
// which nobody looks at.
bool may_change_to(const principal& who, std::string_view protocol) {
  if (equals_ignoring_case(protocol, "websocket")) return true;
  const auto name = protocol.substr(0, protocol.find_first_of("/, \t"));
  const bool is_of_requests =
      protocol.find(',') != protocol.npos ||
      std::any_of(std::begin(request_protocols), std::end(request_protocols),
                  [&](std::string_view one) { return equals_ignoring_case(name, one); });
  return who.may(scope::admin) && !is_of_requests;
}

// Pages of any origin can send requests and open WebSockets, and carry no key: who needs none must
// not be used by them.
std::optional<request_problem> check_origin(shard& home, const routed_request& request,
                                            const call_request& out) {
  const bool is_anonymous = out.who == home.gateway().anonymous();
  if (!is_anonymous || home.gateway().cors().may_connect(request.client->header())) {
    return std::nullopt;
  }
  return request_problem{error_code::origin_not_allowed,
                         "Pages of this origin may not connect (cors.allowed_origins)."};
}

// A protocol comes behind the request, and only once the runtime has agreed.
std::optional<request_problem> read_upgrade(const routed_request& request, call_request& out) {
  const auto& headers = request.headers;
  const auto& header = request.client->header();
  if (!headers.wants_upgrade || headers.upgrade.empty() || header.http_minor() == 0) {
    return std::nullopt;
  }
  if (request.is_followed) {
    return request_problem{error_code::bad_request,
                           "The other protocol must not begin before the answer."};
  }
  if (!may_change_to(*out.who, headers.upgrade)) {
    return request_problem{error_code::bad_request,
                           "The connection cannot change to this protocol: only to websocket, and "
                           "with the scope admin to others, but not to HTTP or TLS."};
  }
  out.upgrade = headers.upgrade;
  return std::nullopt;
}

// A slot is a number. Anything else in the path could mean another route to the runtime.
std::optional<request_problem> check_slot(const routed_request& request) {
  const auto id = request.parameter;
  if (id.size() <= 9 && id.find_first_not_of("0123456789") == id.npos) return std::nullopt;
  return request_problem{error_code::not_found, "There is no such slot: its id is a number."};
}

}  // namespace

void relay_by_query(shard& home, routed_request request) {
  auto out = make_raw_call(request);
  set_target(request.client, path_of(request.client), {"model"}, out);
  auto wrong = read_call_headers(request, out);
  if (!wrong) wrong = check_origin(home, request, out);
  if (!wrong) wrong = check_slot(request);
  if (!wrong) wrong = choose_model(home, request.client, out);
  begin_call(home, std::move(request), std::move(out), std::move(wrong));
}

void relay_by_path(shard& home, routed_request request) {
  const auto target = std::move(request.upstream);
  const auto* const known = target->known;
  auto out = known != nullptr ? make_call(request) : make_raw_call(request);
  set_target(request.client, target->path, {}, out);
  out.plain_path = target->plain_path;
  auto wrong = read_call_headers(request, out);
  if (known != nullptr) {
    out.is_raw = true;
    out.dialect = known->traits.dialect;
    out.estimate_from_length = known->traits.estimate_from_length;
    out.forwarded_headers = std::move(request.headers.forwarded);
    if (!wrong) wrong = read_body(request, known->traits, false, out);
  } else {
    if (!wrong) wrong = check_origin(home, request, out);
    if (!wrong) wrong = read_upgrade(request, out);
  }
  if (!wrong) wrong = give_to_model(home, target->model, target->model_name, out);
  begin_call(home, std::move(request), std::move(out), std::move(wrong));
}

}  // namespace signalbox::http

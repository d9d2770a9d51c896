#include "http/proxy/raw_routes.hpp"

#include <string>
#include <utility>

#include "http/proxy/begin_call.hpp"
#include "http/proxy/inference_routes.hpp"
#include "http/proxy/upstream_target.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"

namespace signalbox::http {

namespace {

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
    return request_problem{error_code::invalid_value, "Name the model with ?model=.", "model"};
  }
  const auto& only = table->models().front();
  return give_to_model(home, only, only->options.name, out);
}

// A protocol comes behind the request, and only once the runtime has agreed. Pages of any origin
// can open a WebSocket, and carry no key: who needs none must not be used by them.
std::optional<request_problem> read_upgrade(shard& home, const routed_request& request,
                                            call_request& out) {
  const auto& headers = request.headers;
  const auto& header = request.client->header();
  if (!headers.wants_upgrade || headers.upgrade.empty() || header.http_minor() == 0) {
    return std::nullopt;
  }
  if (request.is_followed) {
    return request_problem{error_code::bad_request,
                           "The other protocol must not begin before the answer."};
  }
  const bool is_anonymous = out.who == home.gateway().anonymous();
  if (is_anonymous && !home.gateway().cors().may_connect(header)) {
    return request_problem{error_code::origin_not_allowed,
                           "Pages of this origin may not connect (cors.allowed_origins)."};
  }
  out.upgrade = headers.upgrade;
  return std::nullopt;
}

}  // namespace

void relay_by_query(shard& home, routed_request request) {
  auto out = make_raw_call(request);
  set_target(request.client, path_of(request.client), {"model"}, out);
  auto wrong = read_call_headers(request, out);
  if (!wrong) wrong = choose_model(home, request.client, out);
  begin_call(home, std::move(request), std::move(out), std::move(wrong));
}

void relay_by_path(shard& home, routed_request request) {
  const auto target = std::move(request.upstream);
  const auto* const known = target->known;
  auto out = known != nullptr ? make_call(request) : make_raw_call(request);
  set_target(request.client, target->path, {}, out);
  auto wrong = read_call_headers(request, out);
  if (known != nullptr) {
    out.is_raw = true;
    out.dialect = known->traits.dialect;
    out.estimate_from_length = known->traits.estimate_from_length;
    out.forwarded_headers = std::move(request.headers.forwarded);
    if (!wrong) wrong = read_body(request, known->traits, false, out);
  } else if (!wrong) {
    wrong = read_upgrade(home, request, out);
  }
  if (!wrong) wrong = give_to_model(home, target->model, target->model_name, out);
  begin_call(home, std::move(request), std::move(out), std::move(wrong));
}

}  // namespace signalbox::http

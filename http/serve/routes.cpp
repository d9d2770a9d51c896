#include "http/serve/routes.hpp"

#include <algorithm>
#include <array>

#include "http/admin/auth_routes.hpp"
#include "http/admin/control_routes.hpp"
#include "http/admin/key_routes.hpp"
#include "http/admin/pages.hpp"
#include "http/admin/usage_routes.hpp"
#include "http/proxy/inference_routes.hpp"
#include "http/serve/error.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"
#include "http/serve/limits.hpp"

namespace signalbox::http {

namespace {

constexpr route_traits of_chat{.label = metric_route::chat_completions,
                               .estimate_from_length = true};
constexpr route_traits of_completions{.label = metric_route::completions,
                                      .estimate_from_length = true};
constexpr route_traits of_embeddings{.label = metric_route::embeddings};
constexpr route_traits of_models{.label = metric_route::models};
constexpr route_traits of_metrics{.is_open_with_metrics = true};

constexpr std::array<route, 27> table{{
    {"POST", "/v1/chat/completions", scope::realtime, infer, of_chat},
    {"POST", "/v1/completions", scope::realtime, infer, of_completions},
    {"POST", "/v1/embeddings", scope::realtime, infer, of_embeddings},
    {"GET", "/v1/models", scope::realtime, list_models, of_models},
    {"GET", "/v1/models/{id}", scope::realtime, show_model, of_models},
    {"GET", "/health", scope::none, health},
    {"GET", "/health/live", scope::none, health_live},
    {"GET", "/health/ready", scope::none, health_ready},
    {"POST", "/v1/keys", scope::admin, create_api_key},
    {"GET", "/v1/keys", scope::admin, list_api_keys},
    {"POST", "/v1/keys/{id}/rotate", scope::admin, rotate_api_key},
    {"GET", "/v1/keys/{id}", scope::admin, show_api_key},
    {"PATCH", "/v1/keys/{id}", scope::admin, change_api_key},
    {"DELETE", "/v1/keys/{id}", scope::admin, revoke_api_key},
    {"POST", "/auth/token", scope::none, create_token},
    {"POST", "/auth/refresh", scope::none, renew_token},
    {"GET", "/metrics", scope::monitor, show_metrics, of_metrics},
    {"GET", "/openapi.json", scope::none, show_openapi},
    {"GET", "/docs", scope::none, show_docs},
    {"GET", "/docs/{file}", scope::none, show_docs_file},
    {"POST", "/admin/reload", scope::admin, reload_configuration},
    {"GET", "/admin/queue/{model}", scope::monitor, show_queue},
    {"GET", "/admin/crashes", scope::monitor, list_crash_records},
    {"GET", "/admin/missing-models", scope::monitor, list_models_missing},
    {"GET", "/v1/usage", scope::any, list_usage_groups},
    {"GET", "/monitor/key_usage", scope::monitor, list_usage_of_keys},
    {"GET", "/", scope::none, show_index},
}};

// Returns the parameter of a path that matches the pattern; it is empty when the pattern has none.
// A parameter at the end takes the rest of the path with its slashes, as model names may have them;
// one in the middle has no slash.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
  const auto brace = pattern.find('{');
  if (brace == pattern.npos) {
    if (pattern == path) return std::string_view();
    return std::nullopt;
  }
  const auto tail = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= brace + tail.size() || !path.starts_with(pattern.substr(0, brace)) ||
      !path.ends_with(tail)) {
    return std::nullopt;
  }
  const auto parameter = path.substr(brace, path.size() - tail.size() - brace);
  if (!tail.empty() && parameter.find('/') != parameter.npos) return std::nullopt;
  return parameter;
}

// Answers a request whose path and method no route has: with 404, or with 405 and the methods of
// the path. A browser's CORS preflight gets its answer here too.
void refuse_unrouted(shard& home, const routed_request& request) {
  std::string allowed;
  for (const auto& r : table) {
    if (!match(r.path, path_of(request.client))) continue;
    if (!allowed.empty()) allowed += ", ";
    allowed += r.method;
  }
  const auto reply = reply_to(home, request);
  if (method_of(request.client) == "OPTIONS") {
    if (auto fields = home.gateway().cors().answer_preflight(request.client, allowed)) {
      return reply.answer(200, {}, {}, std::move(*fields));
    }
  }
  if (allowed.empty()) {
    return reply.refuse(error_code::not_found, "There is no such route.");
  }
  reply.refuse(error_code::method_not_allowed, "This route allows only " + allowed + ".", {},
               {{"Allow", allowed}});
}

// Counts the request against the key's requests a minute. Returns false when it is over the limit;
// the client then has its answer.
bool take_request(shard& home, const routed_request& request) {
  const auto& who = *request.who;
  if (who.limits.requests_per_minute <= 0) return true;
  const auto exceeded = who.account->limits.take_request(who.limits, request.arrived_at);
  home.note_use(request.who);
  if (!exceeded) return true;
  auto refusal = refusal_of(who, *exceeded);
  reply_to(home, request)
      .refuse(error_code::rate_limited, std::move(refusal.message), {}, std::move(refusal.headers));
  return false;
}

// The principal of a request, or the reason why there is none.
struct identity {
  principal_ptr who;
  std::string_view problem;  // empty if the request has no credential
};

// Looks the credential up as a key, and a bearer token also as a user's token. A request without a
// credential is anonymous, if that is allowed.
identity identify(shard& home, const request_headers& headers) {
  const auto bearer = bearer_token(headers.authorization);
  const auto& credential = !bearer.empty()            ? bearer
                           : !headers.api_key.empty() ? headers.api_key
                                                      : headers.admin_token;
  auto& gateway = home.gateway();
  if (credential.empty()) return {gateway.anonymous(), {}};
  const auto now = std::chrono::system_clock::now();
  bearer_reading reading;
  reading.who = gateway.keys().table()->find(credential);
  if (!reading.who && !bearer.empty()) {
    reading = home.tokens().find(bearer, gateway.tokens(), *gateway.keys().users(), now);
  } else if (reading.who && reading.who->expires_at <= now) {
    reading = {nullptr, true};
  }
  return {reading.who, reading.expired ? "The API key or the token has expired."
                                       : "The API key or the token is not valid."};
}

// Returns whether the request may go on. If not, the client has its answer.
bool authorize(shard& home, const route& found, routed_request& request) {
  const bool open = found.needed == scope::none || (found.traits.is_open_with_metrics &&
                                                    home.gateway().settings().metrics.is_public);
  if (open) return true;
  const auto caller = identify(home, request.headers);
  request.who = caller.who;
  if (!request.who && caller.problem.empty()) {
    reply_to(home, request)
        .refuse(error_code::missing_credential,
                "The request has no API key. Send 'Authorization: Bearer <key>' or "
                "'X-API-Key: <key>'.");
    return false;
  }
  if (!request.who) {
    reply_to(home, request).refuse(error_code::invalid_credential, std::string(caller.problem));
    return false;
  }
  if (!request.who->may(found.needed)) {
    reply_to(home, request)
        .refuse(error_code::missing_scope,
                "This key lacks the scope '" + std::string(to_string(found.needed)) + "'.");
    return false;
  }
  return take_request(home, request);
}

}  // namespace

std::span<const route> routes() {
  return table;
}

void dispatch(shard& home, connection_key connection, restinio::request_handle_t client) {
  const auto path = path_of(client);
  const auto method = method_of(client) == "HEAD" ? "GET" : method_of(client);
  const auto found = std::find_if(table.begin(), table.end(), [&](const route& r) {
    return r.method == method && match(r.path, path).has_value();
  });
  const auto& server = home.gateway().settings().server;
  routed_request request;
  request.client = client;
  request.connection = connection;
  request.arrived_at = std::chrono::steady_clock::now();
  if (found != table.end()) request.found = &*found;
  const auto problem =
      read_headers(client->header(), {server.header_limit, server.header_count_limit},
                   method == "POST", request.headers);
  request.request_id = is_sane_request_id(request.headers.request_id)
                           ? std::string(request.headers.request_id)
                           : home.gateway().make_request_id();
  if (problem) {
    return reply_to(home, request).refuse(problem->code, problem->message);
  }
  if (!request.found) return refuse_unrouted(home, request);
  if (!has_readable_query(client)) {
    return reply_to(home, request)
        .refuse(error_code::bad_request, "The query string is not percent-encoded (RFC 3986).");
  }
  request.parameter = *match(found->path, path);
  if (!authorize(home, *found, request)) return;
  if (client->body().size() > server.body_limit) {
    return reply_to(home, request)
        .refuse(error_code::body_too_large,
                "The body is over the limit of " + std::to_string(server.body_limit) + " bytes.");
  }
  found->handler(home, std::move(request));
}

}  // namespace signalbox::http

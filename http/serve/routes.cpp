#include "http/serve/routes.hpp"

#include <algorithm>

#include "http/serve/error.hpp"
#include "http/serve/form.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/identity.hpp"
#include "http/serve/json_route.hpp"
#include "http/serve/limits.hpp"
#include "http/serve/route_path.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

constexpr std::uint64_t small_body_limit = 16 * 1024;  // of forms and administration

using problem_or_none = std::optional<request_problem>;

// Returns the methods of a path, as in "GET, HEAD, POST". HEAD is served wherever GET is.
std::string methods_of(std::string_view path) {
  std::string methods;
  for (const auto& r : routes()) {
    if (!match(r.path, path)) continue;
    if (!methods.empty()) methods += ", ";
    methods += r.method;
    if (r.method == "GET") methods += ", HEAD";
  }
  return methods;
}

// Every path answers OPTIONS.
std::string with_options(std::string methods) {
  if (methods.find("OPTIONS") == methods.npos) methods += ", OPTIONS";
  return methods;
}

// A browser asks whether a page may send a request. It sends no credential with that, so that it is
// never the runtime's to answer.
bool is_preflight(const restinio::http_request_header_t& header) {
  return method_of(header) == "OPTIONS" && header.has_field("Origin") &&
         header.has_field("Access-Control-Request-Method");
}

// Returns the fields that answer OPTIONS, which asks for the methods of a path (RFC 9110 9.3.7), or
// is a browser's CORS preflight; health checks of proxies use it, too. Nothing when it is another
// method, there is no such path, or a browser may not ask.
std::optional<extra_headers> answer_to_options(const shard& home,
                                               const restinio::http_request_header_t& header) {
  if (method_of(header) != "OPTIONS") return std::nullopt;
  const auto path = path_of(header);
  auto allowed =
      path == "*" ? std::string("GET, HEAD, POST, PUT, PATCH, DELETE") : methods_of(path);
  if (allowed.empty()) return std::nullopt;
  if (header.has_field("Origin")) return home.gateway().cors().answer_preflight(header, allowed);
  return extra_headers{{"Allow", with_options(std::move(allowed))}};
}

// Returns 404, or 405 with the methods of the path.
request_problem unrouted(const restinio::http_request_header_t& header) {
  const auto allowed = methods_of(path_of(header));
  if (allowed.empty()) return {error_code::not_found, "There is no such route."};
  return {error_code::method_not_allowed,
          "This route allows only " + allowed + ".",
          {},
          {{"Allow", with_options(allowed)}}};
}

// Counts the request against the key's requests a minute.
problem_or_none take_request(shard& home, const routed_request& request) {
  const auto& who = *request.who;
  if (who.limits.requests_per_minute <= 0) return std::nullopt;
  const auto exceeded = who.account->limits.take_request(who.limits, request.arrived_at);
  home.note_use(request.who);
  if (!exceeded) return std::nullopt;
  auto refusal = refusal_of(who, *exceeded);
  return request_problem{
      error_code::rate_limited, std::move(refusal.message), {}, std::move(refusal.headers)};
}

// Two credentials of one request, of which each reader might take another.
bool do_disagree(std::string_view one, std::string_view other) {
  return !one.empty() && !other.empty() && one != other;
}

request_problem lacks_scope(const route& found, std::string_view hint) {
  return {error_code::missing_scope, "This key lacks the scope '" +
                                         std::string(to_string(found.needed)) + "'" +
                                         std::string(hint) + "."};
}

// Checks the scope for a path below /upstream. That its model is unknown is said later.
problem_or_none authorize_upstream(shard& home, const route& found,
                                   const restinio::http_request_header_t& header,
                                   routed_request& request) {
  const auto& who = *request.who;
  const bool has_scope = who.may(found.needed);
  if (!has_scope && !who.may(scope::realtime)) return lacks_scope(found, "");
  auto read = read_upstream_target(*home.gateway().models(), method_of(header),
                                   *match(found.path, path_of(header)));
  if (auto* const wrong = std::get_if<request_problem>(&read)) return std::move(*wrong);
  request.upstream = std::make_unique<upstream_target>(std::move(std::get<upstream_target>(read)));
  const auto& target = *request.upstream;
  if (has_scope || !target.model) return std::nullopt;
  if (!may_ask(who, found.needed, target.model->options, target.plain_path)) {
    return lacks_scope(found,
                       ", and the path is none of the model's upstream_paths, which would do "
                       "without");
  }
  if (!target.has_encoded_slash) return std::nullopt;
  return request_problem{error_code::bad_request,
                         "The path has an encoded slash (%2F). A runtime may take it for none, and "
                         "so the path for none of the model's upstream_paths; the scope 'admin' "
                         "would do without them."};
}

problem_or_none authorize(shard& home, const route& found,
                          const restinio::http_request_header_t& header, routed_request& request) {
  const bool open = found.needed == scope::none || (found.traits.is_open_with_metrics &&
                                                    home.gateway().settings().metrics.is_public);
  if (open) return std::nullopt;
  const auto& headers = request.headers;
  request.shown = credential_of(headers);
  const auto bearer = request.shown.is_bearer ? request.shown.text : std::string_view();
  if (do_disagree(bearer, headers.api_key) || do_disagree(bearer, headers.admin_token) ||
      do_disagree(headers.api_key, headers.admin_token)) {
    return request_problem{error_code::bad_request,
                           "The request has two credentials that differ. Send only one of "
                           "Authorization, X-API-Key and X-Admin-Token."};
  }
  const auto caller = identify(home, request.shown);
  request.who = caller.who;
  if (!request.who && caller.problem.empty()) {
    return request_problem{error_code::missing_credential,
                           "The request has no API key. Send 'Authorization: Bearer <key>' or "
                           "'X-API-Key: <key>'."};
  }
  if (!request.who) {
    return request_problem{error_code::invalid_credential, std::string(caller.problem)};
  }
  if (found.traits.is_upstream) {
    if (auto wrong = authorize_upstream(home, found, header, request)) return wrong;
  } else if (!request.who->may(found.needed)) {
    return lacks_scope(found, "");
  }
  return take_request(home, request);
}

problem_or_none check_framing(const request_framing& framing) {
  if (!framing.problem.empty()) {
    return request_problem{error_code::bad_request, std::string(framing.problem)};
  }
  if (framing.is_other_version) {
    return request_problem{error_code::unsupported_version,
                           "The version of HTTP must be 1.1 or 1.0."};
  }
  if (framing.is_http10 && framing.is_chunked) {
    return request_problem{error_code::bad_request,
                           "HTTP/1.0 has no Transfer-Encoding; send a Content-Length."};
  }
  return std::nullopt;
}

bool is_of_type(const request_headers& headers, std::string_view wanted) {
  const auto type = headers.content_type.substr(0, headers.content_type.find(';'));
  return equals_ignoring_case(type.substr(0, type.find(' ')), wanted);
}

// JSON needs no type. Examples of Ollama's send it as curl does, as a form; so could pages of any
// origin, unasked, which always name their origin.
problem_or_none check_type(const restinio::http_request_header_t& header,
                           const routed_request& request, const route_traits& traits) {
  const auto& headers = request.headers;
  const std::string_view wanted = traits.takes_form ? "multipart/form-data" : "application/json";
  const bool is_from_page = header.has_field(restinio::http_field::origin);
  const bool is_right =
      is_of_type(headers, wanted) ||
      (!traits.takes_form && headers.content_type.data() == nullptr) ||
      (traits.dialect == dialect::ollama && is_form_type(headers.content_type) && !is_from_page);
  if (is_right) return std::nullopt;
  return request_problem{error_code::unsupported_media_type,
                         "The Content-Type must be " + std::string(wanted) + "."};
}

// Forms are never compressed: their routes are open to all, and forms are small.
problem_or_none check_coding(routed_request& request) {
  const auto& headers = request.headers;
  const auto coding = coding_of(headers.content_encoding);
  const bool is_form = is_form_type(headers.content_type);
  if (coding && (*coding == content_coding::identity || !is_form)) {
    request.coding = *coding;
    return std::nullopt;
  }
  const std::string allowed(is_form ? "identity" : accepted_codings);
  return request_problem{error_code::unsupported_media_type,
                         "The Content-Encoding of this body must be one of: " + allowed + ".",
                         {},
                         {{"Accept-Encoding", allowed}}};
}

problem_or_none check_body(const shard& home, const restinio::http_request_header_t& header,
                           const request_framing& framing, routed_request& request) {
  const auto limit = body_limit_of(home, request);
  if (framing.length.value_or(0) > limit) return body_too_large(limit);
  const auto& headers = request.headers;
  if (!headers.expect.empty() && !equals_ignoring_case(headers.expect, "100-continue")) {
    return request_problem{error_code::expectation_failed,
                           "The only Expect that is supported is 100-continue."};
  }
  const auto* const known = request.upstream ? request.upstream->known : nullptr;
  const auto& traits = (known != nullptr ? known : request.found)->traits;
  if (traits.takes_any_body) return std::nullopt;
  if (framing.length.value_or(0) > 0 || framing.is_chunked) {
    if (auto wrong = check_coding(request)) return wrong;
  }
  if (!traits.is_inference) return std::nullopt;
  if (!framing.length && !framing.is_chunked) {
    return request_problem{error_code::length_required,
                           "The request has no body. Send one with a Content-Length."};
  }
  return check_type(header, request, traits);
}

// Returns the first thing that is wrong with the head.
problem_or_none check_head(shard& home, restinio::http_request_header_t& header,
                           const request_framing& framing, routed_request& out) {
  const auto& server = home.gateway().settings().server;
  const auto bad_headers =
      read_headers(header, {server.header_limit, server.header_count_limit, !framing.is_http10},
                   method_of(header) == "POST", out.headers);
  out.request_id = is_sane_request_id(out.headers.request_id) ? std::string(out.headers.request_id)
                                                              : home.gateway().make_request_id();
  if (auto wrong = check_framing(framing)) return wrong;
  if (bad_headers) return request_problem{bad_headers->code, bad_headers->message};
  out.from.address(
      home.gateway().proxies().client_of(out.from.address(), out.headers.forwarded_for));
  if (auto wrong = read_target(header, out.headers.host)) return wrong;
  const auto method = is_preflight(header)          ? std::string_view()
                      : method_of(header) == "HEAD" ? std::string_view("GET")
                                                    : method_of(header);
  const auto all = routes();
  const auto found = std::find_if(all.begin(), all.end(), [&](const route& r) {
    return r.method == method && match(r.path, path_of(header)).has_value();
  });
  if (found == all.end()) {
    if (!answer_to_options(home, header)) return unrouted(header);
    const auto limit = body_limit_of(home, out);
    return framing.length.value_or(0) > limit ? problem_or_none(body_too_large(limit))
                                              : std::nullopt;
  }
  out.found = &*found;
  // What parameters a runtime has is its own affair.
  if (!has_valid_encoding(header)) {
    return request_problem{error_code::bad_request,
                           "The query string is not percent-encoded (RFC 3986)."};
  }
  if (!found->traits.is_inference && !has_readable_query(header)) {
    return request_problem{error_code::bad_request,
                           "The query string has a parameter without '='."};
  }
  if (auto wrong = authorize(home, *found, header, out)) return wrong;
  return check_body(home, header, framing, out);
}

}  // namespace

void read_head(shard& home, const boost::asio::ip::tcp::endpoint& peer,
               restinio::http_request_header_t& header, const request_framing& framing,
               routed_request& out) {
  out.arrived_at = home.now();
  out.from = peer;
  out.problem = check_head(home, header, framing, out);
}

std::uint64_t body_limit_of(const shard& home, const routed_request& request) {
  const bool is_large = request.found != nullptr && request.found->traits.is_inference;
  return is_large ? home.gateway().settings().server.body_limit : small_body_limit;
}

request_problem body_too_large(std::uint64_t limit) {
  return {error_code::body_too_large,
          "The body is over the limit of " + std::to_string(limit) + " bytes."};
}

request_problem too_many_bodies() {
  return {error_code::overloaded,
          "Too many requests are being received; please try again later.",
          {},
          {{"Retry-After", "1"}}};
}

void dispatch(shard& home, connection_key connection, routed_request request,
              restinio::request_handle_t client) {
  request.client = std::move(client);
  request.connection = connection;
  const auto& header = request.client->header();
  if (request.problem) {
    auto& why = *request.problem;
    return reply_to(home, request)
        .refuse(why.code, std::move(why.message), std::move(why.param), std::move(why.headers));
  }
  if (!request.found) {
    return reply_to(home, request).answer(200, {}, {}, answer_to_options(home, header).value());
  }
  request.parameter = *match(request.found->path, path_of(header));
  const auto handler = request.found->handler;
  handler(home, std::move(request));
}

}  // namespace signalbox::http

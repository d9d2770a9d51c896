#include "http/admin/auth_routes.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "access/login_slots.hpp"
#include "actors/control_plane.hpp"
#include "config/values.hpp"
#include "http/serve/form.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"
#include "http/serve/limits.hpp"

namespace signalbox::http {

namespace {

using nlohmann::json;

constexpr std::size_t max_form_bytes = 16 * 1024, max_name_bytes = 200, max_password_bytes = 1024;
constexpr auto password_timeout = std::chrono::seconds(30);

struct token_pair {
  std::string access, refresh;
};

// Gives the same answer to an unknown name, a wrong password and a disabled user.
void refuse_login(const responder& reply) {
  reply.refuse(error_code::invalid_credential, "The username or the password is wrong.");
}

void refuse_refresh(const responder& reply) {
  reply.refuse(error_code::invalid_credential, "The refresh token is not valid.");
}

void refuse_busy(const responder& reply) {
  reply.refuse(error_code::queue_full, "Too many logins are waiting; please try again later.", {},
               {{"Retry-After", "1"}});
}

void refuse_too_often(const responder& reply, duration wait) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  reply.refuse(error_code::rate_limited, "Too many failed logins; please try again later.", {},
               {{"Retry-After", std::to_string(std::max<std::int64_t>(1, seconds))}});
}

// Checks the form of a name; any other cannot exist and is not looked up.
bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= max_name_bytes && config::is_plain_text(text);
}

// Returns the fields of the form; nothing when the request has been refused.
std::optional<form> read_form(const routed_request& request, const responder& reply,
                              const std::string& grant_type) {
  if (!is_form_type(request.headers.content_type)) {
    reply.refuse(error_code::unsupported_media_type,
                 "The body must be a form (application/x-www-form-urlencoded).");
    return std::nullopt;
  }
  const std::string_view body = request.client->body();
  if (body.size() > max_form_bytes) {
    reply.refuse(error_code::body_too_large, "The body must not be larger than 16384 bytes.");
    return std::nullopt;
  }
  auto fields = parse_form(body);
  if (!fields) {
    reply.refuse(error_code::invalid_value,
                 "The body must be a valid form of at most 32 fields, each given once.");
    return std::nullopt;
  }
  const auto grant = fields->find("grant_type");
  if (grant != fields->end() && grant->second != grant_type) {
    reply.refuse(error_code::invalid_value, "grant_type must be " + grant_type + ".");
    return std::nullopt;
  }
  return fields;
}

std::string value_of(const form& fields, const char* name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string() : found->second;
}

// Splits scope names at blanks; nothing when one is unknown.
std::optional<std::vector<std::string>> wanted_scopes(const std::string& text) {
  std::vector<std::string> scopes;
  std::istringstream stream(text);
  for (std::string name; stream >> name;) {
    if (!parse_scope(name)) return std::nullopt;
    if (std::find(scopes.begin(), scopes.end(), name) == scopes.end()) scopes.push_back(name);
  }
  return scopes;
}

wall_time after_s(wall_time now, double seconds) {
  return now + std::chrono::seconds(std::llround(seconds));
}

// Makes new tokens from `claims`, and the record of them for the database.
token_pair make_tokens(gateway_state& gateway, token_claims claims, open_session& session) {
  const auto& security = gateway.settings().security;
  claims.issued_at = std::chrono::system_clock::now();
  claims.type = token_type::access;
  claims.expires_at = after_s(claims.issued_at, security.access_token_lifetime_s);
  token_pair made;
  made.access = gateway.tokens().sign(claims);
  claims.type = token_type::refresh;
  claims.expires_at = after_s(claims.issued_at, security.refresh_token_lifetime_s);
  if (claims.session.empty()) claims.session = make_token();
  made.refresh = gateway.tokens().sign(claims);
  session = {claims.user,       claims.generation, claims.session, digest_of(made.refresh),
             claims.expires_at, order_deadline()};
  return made;
}

// Sends an order about a session to the registry; when it is done, answers with `made`.
template <typename Order>
void keep_session(gateway_state& gateway, const responder& reply, token_pair made, Order order,
                  void (*on_refused)(const responder&)) {
  auto& control = gateway.control();
  control.ask<session_answer>(
      control.handles()->keys, ask_timeout, std::move(order),
      [reply, made = std::move(made), on_refused](const session_answer& answer) {
        if (answer.problem == session_problem::database_away) return refuse_without_database(reply);
        if (answer.problem != session_problem::none) return on_refused(reply);
        const json body{{"access_token", made.access},
                        {"refresh_token", made.refresh},
                        {"token_type", "bearer"}};
        reply.answer(200, "application/json", body.dump(), {{"Cache-Control", "no-store"}});
      },
      [reply](const std::string& error) {
        spdlog::error("sessions: {}", error);
        refuse_without_database(reply);
      });
}

void begin_session(gateway_state& gateway, const responder& reply, token_claims claims) {
  open_session session;
  auto made = make_tokens(gateway, std::move(claims), session);
  keep_session(gateway, reply, std::move(made), session, refuse_login);
}

// Counts the request against the user's limit. Returns false when the limit is exceeded and the
// request has been refused.
bool take_request(shard& home, const responder& reply, const std::string& name) {
  const auto user = home.gateway().keys().users()->find(name);
  if (!user) return true;  // the registry will refuse it
  const auto now = std::chrono::steady_clock::now();
  const auto who = principal_of(*user, {}, wall_time::max());
  const auto exceeded = who->account->limits.take_request(who->limits, now);
  if (who->limits.requests_per_minute > 0) home.note_use(who);
  if (!exceeded) return true;
  auto refusal = refusal_of(*who, *exceeded);
  append_limit_fields(*who, now, refusal.headers.back().second);
  reply.refuse(error_code::rate_limited, std::move(refusal.message), {},
               std::move(refusal.headers));
  return false;
}

}  // namespace

// form ── well-formed? ──▶ slot ── login_guard: password ──▶ registry: session ──▶ 200
//          400, 413, 415    503             401, 429                 401, 503
void create_token(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto fields = read_form(request, reply, "password");
  if (!fields) return;
  const auto name = value_of(*fields, "username"), password = value_of(*fields, "password");
  if (!is_name(name))
    return reply.refuse(error_code::invalid_value,
                        "username must have 1 to 200 bytes of UTF-8 without control characters.");
  if (password.empty() || password.size() > max_password_bytes) {
    return reply.refuse(error_code::invalid_value, "password must have 1 to 1024 bytes.");
  }
  auto client_id = value_of(*fields, "client_id");
  if (client_id.empty()) client_id = name;
  if (!is_name(client_id))
    return reply.refuse(error_code::invalid_value,
                        "client_id must have 1 to 200 bytes of UTF-8 without control characters.");
  auto scopes = wanted_scopes(value_of(*fields, "scope"));
  if (!scopes)
    return reply.refuse(error_code::invalid_value,
                        "scope must name known scopes, separated by blanks.");

  auto& gateway = home.gateway();
  const auto origin = login_origin(request.from.address());
  auto slot = gateway.take_login_slot(name, origin);
  if (!slot) return refuse_busy(reply);
  const auto user = gateway.keys().users()->find(name);
  const bool may = user && !user->disabled;
  token_claims claims;
  claims.user = name;
  claims.client_id = client_id;
  claims.generation = user ? user->generation : 0;
  claims.scopes = std::move(*scopes);
  if (user && claims.scopes.empty()) claims.scopes = user->scopes;
  check_password order{name, origin, password, may ? user->password_hash : std::string(),
                       std::move(slot)};
  auto& control = gateway.control();
  control.ask<password_checked>(
      control.handles()->logins, password_timeout, std::move(order),
      [reply, post = home.poster(), &gateway, claims](const password_checked& answer) {
        if (answer.verdict == password_verdict::too_often) {
          return refuse_too_often(reply, answer.retry_after);
        }
        if (answer.verdict == password_verdict::wrong) return refuse_login(reply);
        // Runs on the shard: the task is dropped when the gateway that it reads is gone.
        post([reply, &gateway, claims] { begin_session(gateway, reply, claims); });
      },
      [reply](const std::string& error) {
        spdlog::error("logins: {}", error);
        refuse_busy(reply);
      });
}

void renew_token(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto fields = read_form(request, reply, "refresh_token");
  if (!fields) return;
  const auto token = value_of(*fields, "refresh_token");
  if (token.empty()) {
    return reply.refuse(error_code::missing_parameter, "refresh_token must be given.");
  }
  auto& gateway = home.gateway();
  const auto reading = gateway.tokens().read(token, std::chrono::system_clock::now());
  if (reading.problem != token_problem::none || reading.claims.type != token_type::refresh) {
    return refuse_refresh(reply);
  }
  if (!take_request(home, reply, reading.claims.user)) return;
  renew_session order;
  order.used = digest_of(token);
  auto made = make_tokens(gateway, reading.claims, order.next);
  keep_session(gateway, reply, std::move(made), std::move(order), refuse_refresh);
}

}  // namespace signalbox::http

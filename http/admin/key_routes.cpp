#include "http/admin/key_routes.hpp"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "access/key_document.hpp"
#include "actors/control_plane.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"

namespace signalbox::http {

namespace {

using nlohmann::json;

constexpr double max_grace_s = 30 * 86400.0;

// Treats an empty body as an empty object.
std::optional<json> read_fields(const responder& reply, const routed_request& request) {
  if (request.client->body().empty()) return json::object();
  return read_object(reply, request);
}

void refuse(const responder& reply, const key_answer& answer, const std::string& id) {
  switch (answer.problem) {
    case key_problem::not_found:
      return reply.refuse(error_code::not_found, "There is no key '" + id + "'.");
    case key_problem::exists:
      return reply.refuse(error_code::conflict, "A key with this id or secret already exists.");
    case key_problem::revoked:
      return reply.refuse(error_code::conflict, "The key '" + id + "' is revoked.");
    default:
      return refuse_without_database(reply);
  }
}

// Sends an order to the registry; when it is done, `on_done` answers.
template <typename Order, typename OnDone>
void give_order(shard& home, const responder& reply, const std::string& id, Order order,
                OnDone on_done) {
  auto& control = home.gateway().control();
  control.ask<key_answer>(
      control.handles()->keys, ask_timeout, std::move(order),
      [reply, id, on_done](const key_answer& answer) {
        if (answer.problem != key_problem::none) return refuse(reply, answer, id);
        on_done(answer);
      },
      [reply](const std::string& error) {
        spdlog::error("keys: {}", error);
        refuse_without_database(reply);
      });
}

// Configured keys are changed in the configuration only.
bool is_configured(shard& home, const responder& reply, const std::string& id) {
  if (!home.gateway().keys().is_configured(id)) return false;
  reply.refuse(error_code::conflict,
               "The key '" + id + "' is defined in the configuration; change it there.");
  return true;
}

auto answer_document(const responder& reply) {
  return [reply](const key_answer& answer) { answer_json(reply, to_document(answer.keys.at(0))); };
}

// The secret is shown this once.
auto answer_secret(const responder& reply, const std::string& token, int status) {
  return [reply, token, status](const key_answer& answer) {
    auto document = to_document(answer.keys.at(0));
    document["key"] = token;
    answer_json(reply, document, status);
  };
}

}  // namespace

void create_api_key(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto body = read_fields(reply, request);
  if (!body) return;
  key_record key;
  key.id = make_key_id();
  key.scopes = {"realtime"};
  if (const auto problem = apply_fields(*body, std::chrono::system_clock::now(), key)) {
    return reply.refuse(error_code::invalid_value, problem->message, problem->param);
  }
  const auto token = make_token();
  key.digest = digest_of(token);
  key.hint = hint_of(token);
  give_order(home, reply, key.id, create_key{key, order_deadline()},
             answer_secret(reply, token, 201));
}

void list_api_keys(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto limit = limit_of(request);
  if (!limit) {
    return reply.refuse(error_code::invalid_value, "limit must be a number from 1 to 1000.");
  }
  give_order(home, reply, {}, list_keys{*limit, query_value(request.client, "after")},
             [reply, limit](const key_answer& answer) {
               json data = json::array();
               for (const auto& key : answer.keys) data.push_back(to_document(key));
               const bool may_go_on = answer.keys.size() == *limit;
               answer_json(reply,
                           {{"object", "list"},
                            {"data", data},
                            {"next", may_go_on ? json(answer.keys.back().id) : json(nullptr)}});
             });
}

void show_api_key(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto id = parameter_of(request);
  give_order(home, reply, id, find_key{id}, answer_document(reply));
}

void change_api_key(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto id = parameter_of(request);
  const auto body = read_fields(reply, request);
  if (!body) return;
  if (is_configured(home, reply, id)) return;
  key_record scratch;  // the same fields would be wrong for any key
  const auto now = std::chrono::system_clock::now();
  if (const auto problem = apply_fields(*body, now, scratch)) {
    return reply.refuse(error_code::invalid_value, problem->message, problem->param);
  }
  const auto change = [fields = *body, now](key_record& key) { apply_fields(fields, now, key); };
  give_order(home, reply, id, change_key{id, change}, answer_document(reply));
}

void rotate_api_key(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto id = parameter_of(request);
  const auto body = read_fields(reply, request);
  if (!body) return;
  double grace_s = home.gateway().settings().security.rotation_grace_s;
  for (const auto& [name, value] : body->items()) {
    if (name != "grace_s" || !value.is_number() || value < 0 || value > max_grace_s) {
      return reply.refuse(error_code::invalid_value,
                          "The body may have one field only: grace_s, a number from 0 to 2592000.",
                          name);
    }
    grace_s = value.get<double>();
  }
  if (is_configured(home, reply, id)) return;
  const auto token = make_token();
  const rotate_key order{id, digest_of(token), hint_of(token), grace_s, order_deadline()};
  give_order(home, reply, id, order, answer_secret(reply, token, 200));
}

void revoke_api_key(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto id = parameter_of(request);
  if (is_configured(home, reply, id)) return;
  give_order(home, reply, id, revoke_key{id}, answer_document(reply));
}

}  // namespace signalbox::http

#include "http/admin/model_routes.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "actors/control_plane.hpp"
#include "actors/status_board.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/routes.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::http {

namespace {

using nlohmann::json;
using scheduling::lifecycle_state;

// A backend answers an order within the model's own timeouts; this is for messages on the way.
constexpr duration order_margin = std::chrono::seconds(15);

// Returns the states of seed 001.
std::string_view seed_state(lifecycle_state state) {
  switch (state) {
    case lifecycle_state::stopped:
      return "stopped";
    case lifecycle_state::awaiting_lease:
    case lifecycle_state::starting:
      return "starting";
    case lifecycle_state::ready:
    case lifecycle_state::draining:
      return "running";
    case lifecycle_state::stopping:
      return "stopping";
    case lifecycle_state::failed:
      return "error";
  }
  return "error";
}

std::string_view driver_name(config::driver_kind driver) {
  return driver == config::driver_kind::external ? "external" : "process";
}

std::string_view residency_name(config::residency residency) {
  switch (residency) {
    case config::residency::pinned:
      return "pinned";
    case config::residency::exclusive:
      return "exclusive";
    case config::residency::on_demand:
      break;
  }
  return "on_demand";
}

// Returns the backend that the model's state is that of, or any; null: it has none just now.
const backend_status* backend_of(const status_snapshot& now, const std::string& model) {
  const auto state = now.model_state(model);
  const backend_status* found = nullptr;
  for (const auto& [id, backend] : now.backends) {
    if (backend.model != model) continue;
    if (found == nullptr || backend.state == state) found = &backend;
  }
  return found;
}

json gpus_of(const scheduling::gpu_set& gpus) {
  auto list = json::array();
  for (const auto& share : gpus) list.push_back(share.gpu);
  return list;
}

// The model that seed 004 would call the active one: of those that serve, the one with most
// requests in flight, then the one that began last; null: none serves.
const model_status* active_model(const status_snapshot& now) {
  const model_status* best = nullptr;
  const auto rank = [&](const model_status& m) {
    const auto* const backend = backend_of(now, m.name);
    return std::pair(m.in_use, backend == nullptr ? wall_time{} : backend->started_at);
  };
  for (const auto& [name, model] : now.models) {
    if (seed_state(model.state) != "running") continue;
    if (best == nullptr || rank(*best) < rank(model)) best = &model;
  }
  return best;
}

// What /status and /queue of seed 004 have in common.
json switchboard(const gateway_state& gateway, const status_snapshot& now) {
  std::uint64_t waiting = 0, in_flight = 0;
  bool is_switching = false;
  for (const auto& [name, model] : now.models) {
    waiting += model.waiting;
    in_flight += model.in_use;
    is_switching = is_switching || seed_state(model.state) == "starting";
  }
  const auto* const active = active_model(now);
  const auto drains = gateway.drains().now();
  return {{"active_model", active == nullptr ? json(nullptr) : json(active->name)},
          {"switching", is_switching},
          {"queue_length", waiting},
          {"in_flight", in_flight},
          {"drain_mode", drains.is_all},
          {"drained_models", drains.models}};
}

// Seed 001's fields, null where no runtime runs, and ours behind them.
json state_of(const config::model_options& model, const status_snapshot& now, bool is_drained) {
  const auto state = now.model_state(model.name);
  json body{{"name", model.name},
            {"status", seed_state(state)},
            {"port", nullptr},
            {"started_at", nullptr},
            {"uptime_seconds", nullptr},
            {"resolution", nullptr},
            {"is_healthy", false},
            {"state", scheduling::to_string(state)},
            {"driver", driver_name(model.driver)},
            {"residency", residency_name(model.residency)},
            {"gpus", json::array()},
            {"processing", 0},
            {"waiting", 0},
            {"failures", 0},
            {"drained", is_drained},
            {"last_failure", nullptr},
            {"advice", nullptr}};
  if (const auto load = now.models.find(model.name); load != now.models.end()) {
    body["processing"] = load->second.in_use;
    body["waiting"] = load->second.waiting;
  }
  const auto* const backend = backend_of(now, model.name);
  if (backend == nullptr) return body;
  if (backend->port != 0) body["port"] = backend->port;
  if (backend->started_at != wall_time{}) {
    const auto up = std::chrono::system_clock::now() - backend->started_at;
    body["started_at"] = rfc3339(backend->started_at);
    body["uptime_seconds"] =
        std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(up).count());
  }
  body["is_healthy"] = backend->is_healthy;
  body["gpus"] = gpus_of(backend->gpus);
  body["failures"] = backend->failures;
  if (backend->last_failure) body["last_failure"] = scheduling::to_string(*backend->last_failure);
  if (!backend->cure.empty()) body["advice"] = backend->cure;
  return body;
}

error_code code_of(order_end how) {
  switch (how) {
    case order_end::failed:
      return error_code::model_failed;
    case order_end::no_room:
      return error_code::model_does_not_fit;
    case order_end::overruled:
    case order_end::done:
      break;
  }
  return error_code::conflict;
}

// Answers an order when the last backend has, with the first thing that went wrong.
class order_answers {
 public:
  order_answers(responder reply, json done, std::size_t backends)
      : reply_(std::move(reply)), done_(std::move(done)), left_(backends) {}

  void take(const order_report& report) {
    const std::lock_guard lock(mutex_);
    if (worst_.how == order_end::done) worst_ = report;
    if (--left_ > 0) return;
    if (worst_.how == order_end::done) return answer_json(reply_, done_);
    reply_.refuse(code_of(worst_.how), worst_.why);
  }

 private:
  const responder reply_;
  const json done_;
  std::mutex mutex_;
  std::size_t left_;
  order_report worst_{order_end::done, {}};
};

// Sends the order to all backends of the model. It stands when its client leaves.
template <class Order>
void order(shard& home, const responder& reply, const served_model& model, const Order& what,
           duration patience, json done) {
  auto& control = home.gateway().control();
  const auto backends = control.handles()->backends_of(model.index);
  if (backends.empty()) {
    return reply.refuse(error_code::conflict,
                        "The model's backend is being replaced; please try again.");
  }
  const auto answers = std::make_shared<order_answers>(reply, std::move(done), backends.size());
  for (const auto& backend : backends) {
    control.ask<order_report>(
        backend, patience + order_margin, what,
        [answers](const order_report& report) { answers->take(report); },
        [answers, name = model.options.name](const std::string& error) {
          spdlog::error("order to model {}: {}", name, error);
          answers->take({order_end::overruled,
                         "The model's backend ended, or did not carry the order out in time; GET "
                         "/admin/models tells its state."});
        });
  }
}

// Returns the model that the query names, or null: none. Refuses an unknown one, which is nothing.
std::optional<served_model_ptr> queried_model(shard& home, const responder& reply,
                                              const routed_request& request) {
  const auto name = query_value(request.client, "model");
  if (name.empty()) return served_model_ptr();
  const auto model = home.gateway().models()->find(name);
  if (model) return model;
  reply.refuse(error_code::model_not_found, "The model '" + name + "' does not exist.", "model");
  return std::nullopt;
}

void set_drained(shard& home, const routed_request& request, bool is_drained) {
  const auto reply = reply_to(home, request);
  const auto model = queried_model(home, reply, request);
  if (!model) return;
  auto& drains = home.gateway().drains();
  const auto* const word = is_drained ? "drained" : "resumed";
  if (*model) {
    drains.set((*model)->options.name, is_drained);
    spdlog::info("model {}: {} by order", (*model)->options.name, word);
  } else {
    drains.set_all(is_drained);
    spdlog::info("the gateway is {} by order", word);
  }
  const auto now = drains.now();
  answer_json(reply,
              {{"status", word}, {"drain_mode", now.is_all}, {"drained_models", now.models}});
}

// Returns the model that an order to switch names, in the query or in the body; empty: none.
std::string switch_target(const routed_request& request) {
  auto name = query_value(request.client, "model");
  if (!name.empty()) return name;
  const auto body = json::parse(request.client->body(), nullptr, false);
  const bool has_name = body.is_object() && body.contains("model") && body["model"].is_string();
  return has_name ? body["model"].get<std::string>() : std::string();
}

// The run that ends, the lease, the load.
duration start_patience(const config::model_options& m) {
  return from_seconds(m.drain_timeout_s + m.stop_grace_s + 2 * m.start_timeout_s);
}

// Returns the model of the path, or refuses the request: null.
served_model_ptr ordered_model(shard& home, const responder& reply, const std::string& name) {
  auto model = home.gateway().models()->find(name);
  if (!model) {
    reply.refuse(error_code::model_not_found, "The model '" + name + "' does not exist.");
    return nullptr;
  }
  if (model->options.driver == config::driver_kind::external) {
    reply.refuse(
        error_code::conflict,
        "The model '" + name + "' is external: somebody else starts and stops its runtime.");
    return nullptr;
  }
  return model;
}

}  // namespace

void list_model_states(shard& home, routed_request request) {
  const auto& gateway = home.gateway();
  const auto now = gateway.board().snapshot();
  auto body = json::object();
  for (const auto& model : gateway.models()->models()) {
    body[model->options.name] =
        state_of(model->options, *now, gateway.drains().is_drained(model->options.name));
  }
  answer_json(reply_to(home, request), body);
}

void start_model(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto model = ordered_model(home, reply, parameter_of(request));
  if (!model) return;
  if (home.gateway().draining()) {
    return reply.refuse(error_code::shutting_down, "The gateway is shutting down.");
  }
  if (!query_value(request.client, "resolution").empty()) {
    return reply.refuse(error_code::invalid_value, "This model has no resolution.", "resolution");
  }
  const auto& m = model->options;
  order(home, reply, *model, order_start{}, start_patience(m),
        {{"status", "started"}, {"model", m.name}});
}

void switch_model(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto name = switch_target(request);
  if (name.empty()) {
    return reply.refuse(error_code::missing_parameter,
                        "Name the model to switch to: ?model=NAME, or {\"model\": \"NAME\"}.",
                        "model");
  }
  const auto model = ordered_model(home, reply, name);
  if (!model) return;
  if (home.gateway().draining()) {
    return reply.refuse(error_code::shutting_down, "The gateway is shutting down.");
  }
  const auto& m = model->options;
  order(home, reply, *model, order_start{.is_switch = true}, start_patience(m),
        {{"status", "switched"}, {"model", m.name}});
}

void drain_models(shard& home, routed_request request) {
  set_drained(home, request, true);
}

void resume_models(shard& home, routed_request request) {
  set_drained(home, request, false);
}

void show_status(shard& home, routed_request request) {
  const auto& gateway = home.gateway();
  const auto now = gateway.board().snapshot();
  const auto* const active = active_model(*now);
  auto body = switchboard(gateway, *now);
  const auto state = active == nullptr ? lifecycle_state::stopped : active->state;
  body["backend_state"] = scheduling::to_string(state);
  const auto up = std::chrono::system_clock::now() - gateway.started_at();
  body["uptime_sec"] = std::chrono::duration_cast<std::chrono::seconds>(up).count();
  auto running = json::array();
  for (const auto& [name, model] : now->models) {
    if (seed_state(model.state) == "running") running.push_back(name);
  }
  body["active_models"] = std::move(running);
  answer_json(reply_to(home, request), body);
}

void show_queues(shard& home, routed_request request) {
  const auto now = home.gateway().board().snapshot();
  auto body = switchboard(home.gateway(), *now);
  body["current_job_id"] = nullptr;
  body["models"] = json::object();
  for (const auto& [name, model] : now->models) {
    body["models"][name] = {{"waiting", model.waiting}, {"processing", model.in_use}};
  }
  answer_json(reply_to(home, request), body);
}

void stop_model(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto model = ordered_model(home, reply, parameter_of(request));
  if (!model) return;
  const auto graceful = bool_of(request, "graceful", true);
  if (!graceful) {
    return reply.refuse(error_code::invalid_value, "graceful must be true or false.", "graceful");
  }
  const auto& m = model->options;
  const auto patience = from_seconds(m.drain_timeout_s + m.stop_grace_s);
  order(home, reply, *model, order_stop{*graceful}, patience,
        {{"status", "stopped"}, {"model", m.name}});
}

}  // namespace signalbox::http

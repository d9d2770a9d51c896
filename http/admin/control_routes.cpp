#include "http/admin/control_routes.hpp"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "actors/control_plane.hpp"
#include "actors/status_board.hpp"
#include "http/admin/openapi.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/routes.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::http {

namespace {

using nlohmann::json;
using scheduling::lifecycle_state;

json model_object(const gateway_state& gateway, const config::model_options& model) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", std::chrono::system_clock::to_time_t(gateway.started_at())},
          {"owned_by", "signalbox"}};
}

json detailed_object(const gateway_state& gateway, const config::model_options& model,
                     const status_snapshot& now) {
  auto object = model_object(gateway, model);
  object["aliases"] = model.aliases;
  object["state"] = scheduling::to_string(now.model_state(model.name));
  object["max_concurrent"] = model.max_concurrent;
  object["max_waiting"] = model.max_waiting;
  object["gpu_memory_bytes"] = model.gpu_memory;
  return object;
}

void unknown_model(const responder& reply, const std::string& name) {
  reply.refuse(error_code::model_not_found, "The model '" + name + "' does not exist.");
}

}  // namespace

void list_models(shard& home, routed_request request) {
  const bool detail = query_value(request.client, "detail") == "true";
  json list{{"object", "list"}, {"data", json::array()}};
  const auto& gateway = home.gateway();
  const auto now = gateway.board().snapshot();
  for (const auto& served : gateway.models()->models()) {
    const auto& model = served->options;
    if (!request.who->may_use(model)) continue;
    list["data"].push_back(detail ? detailed_object(gateway, model, *now)
                                  : model_object(gateway, model));
  }
  answer_json(reply_to(home, request), list);
}

void show_model(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto name = parameter_of(request);
  const auto model = home.gateway().models()->find(name);
  if (!model || !request.who->may_use(model->options)) return unknown_model(reply, name);
  answer_json(reply,
              detailed_object(home.gateway(), model->options, *home.gateway().board().snapshot()));
}

void health(shard& home, routed_request request) {
  const auto& gateway = home.gateway();
  const auto now = gateway.board().snapshot();
  std::size_t failed = 0;
  const auto table = gateway.models();
  for (const auto& model : table->models()) {
    failed += now->model_state(model->options.name) == lifecycle_state::failed;
  }
  const auto count = table->models().size();
  const auto drains = gateway.drains().now();
  const bool nothing = gateway.draining() || drains.is_all || failed == count;
  answer_json(reply_to(home, request),
              {{"status", nothing      ? "unhealthy"
                          : failed > 0 ? "degraded"
                                       : "healthy"},
               {"timestamp", rfc3339(std::chrono::system_clock::now())},
               {"models", count},
               {"models_failed", failed},
               {"drain_mode", drains.is_all},
               {"drained_models", drains.models}},
              nothing ? 503 : 200);
}

void health_live(shard& home, routed_request request) {
  answer_json(reply_to(home, request), {{"status", "alive"}});
}

void health_ready(shard& home, routed_request request) {
  const bool draining = home.gateway().draining() || home.gateway().drains().now().is_all;
  answer_json(reply_to(home, request), {{"status", draining ? "draining" : "ready"}},
              draining ? 503 : 200);
}

void show_metrics(shard& home, routed_request request) {
  reply_to(home, request)
      .answer(200, "text/plain; version=0.0.4; charset=utf-8", home.gateway().meters().render());
}

void show_openapi(shard& home, routed_request request) {
  reply_to(home, request).answer(200, "application/json", std::string(openapi_json()));
}

void show_queue(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto name = parameter_of(request);
  auto& control = home.gateway().control();
  const auto handles = control.handles();
  const auto model = handles->models->find(name);
  if (!model) return unknown_model(reply, name);
  control.ask<queue_stats>(
      handles->queue_of(model->index), ask_timeout, get_queue_stats{},
      [reply](const queue_stats& stats) {
        json body{{"model", stats.model},
                  {"processing", stats.processing},
                  {"waiting", stats.waiting},
                  {"max_concurrent", stats.max_concurrent},
                  {"max_waiting", stats.max_waiting},
                  {"total_processed", stats.total_processed},
                  {"total_failed", stats.total_failed},
                  {"total_timeout", stats.total_timeout},
                  {"utilization", static_cast<double>(stats.processing) / stats.max_concurrent}};
        answer_json(reply, body);
      },
      [reply](const std::string& error) {
        spdlog::error("queue statistics: {}", error);
        reply.refuse(error_code::internal,
                     "The model's queue did not answer in time; please try again later.");
      });
}

void reload_configuration(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto now = query_value(request.client, "now");
  if (!now.empty() && now != "true" && now != "false") {
    return reply.refuse(error_code::invalid_value, "now must be true or false.", "now");
  }
  const bool began = home.gateway().control().reload(
      now == "true",
      [reply](const reload_report& report) {
        if (!report.problems.empty()) {
          return reply.refuse(error_code::invalid_configuration, report.problems);
        }
        answer_json(reply, {{"added", report.added},
                            {"removed", report.removed},
                            {"changed", report.changed},
                            {"restarting", report.restarting},
                            {"needs_restart", report.needs_restart}});
      },
      [reply](const std::string&) {
        reply.refuse(error_code::internal,
                     "The gateway is shutting down, or could not carry the reload out in time; its "
                     "log says more.");
      });
  if (!began)
    reply.refuse(error_code::conflict,
                 "Reloads are running or waiting already; please try again later.");
}

void list_crash_records(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto limit = limit_of(request);
  if (!limit) {
    return reply.refuse(error_code::bad_request, "limit must be a number from 1 to 1000.");
  }
  auto& control = home.gateway().control();
  control.ask<crash_list>(
      control.handles()->crashes, ask_timeout, list_crashes{*limit},
      [reply](const crash_list& list) {
        json body = json::array();
        for (const auto& crash : list.crashes) {
          std::string log;
          for (const auto& line : crash.log_tail) log += line + "\n";
          body.push_back({{"timestamp", rfc3339(crash.time)},
                          {"error", crash.reason + ": " + crash.detail},
                          {"reason", crash.reason},
                          {"model", crash.model},
                          {"request_id", nullptr},
                          {"stack_trace", log}});
        }
        answer_json(reply, body);
      },
      [reply](const std::string& error) {
        spdlog::warn("crash list: {}", error);
        refuse_without_database(reply);
      });
}

void show_index(shard& home, routed_request request) {
  answer_json(reply_to(home, request), {{"name", "signalbox"},
                                        {"contract", "/openapi.json"},
                                        {"docs", "/docs"},
                                        {"health", "/health"}});
}

}  // namespace signalbox::http

#include "http/admin/ollama_routes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "access/authentication.hpp"
#include "actors/status_board.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"
#include "http/serve/model_names.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::http {

namespace {

using nlohmann::json;
using scheduling::lifecycle_state;

// The version of Ollama whose API these routes speak, not ours: clients refuse a server that is too
// old for them.
constexpr auto* spoken_version = "0.12.0";

constexpr auto never_unloaded = std::chrono::years(100);  // from now

json ollama_details() {
  return {{"parent_model", ""},        {"format", ""},         {"family", ""},
          {"families", json::array()}, {"parameter_size", ""}, {"quantization_level", ""}};
}

// What Ollama knows from a model's file is empty here. The digest is one of the name, because
// clients show its first characters.
json ollama_object(const config::model_options& model) {
  return {{"name", model.name},
          {"model", model.name},
          {"size", model.gpu_memory},
          {"digest", fmt::format("{:02x}", fmt::join(digest_of(model.name), ""))},
          {"details", ollama_details()}};
}

// Returns when the last backend of the model is unloaded if no further request comes; nothing when
// none is loaded.
std::optional<time_point> unloaded_at(const status_snapshot& board, const std::string& model,
                                      time_point now) {
  std::optional<time_point> last;
  for (const auto& [id, backend] : board.backends) {
    const bool is_ready = backend.state == lifecycle_state::ready;
    if (backend.model != model || (!is_ready && backend.state != lifecycle_state::draining)) {
      continue;
    }
    last = std::max(last, std::optional(is_ready ? std::max(backend.unload_at, now) : now));
  }
  return last;
}

wall_time to_wall_time(time_point at, time_point now) {
  const auto today = std::chrono::system_clock::now();
  if (at == never) return today + never_unloaded;
  return today + std::chrono::duration_cast<wall_time::duration>(at - now);
}

// Returns the name in {"model": …}, or in {"name": …} as older clients send it; empty: there is
// none.
std::string name_in(const json& parsed) {
  for (const auto* key : {"model", "name"}) {
    const auto found = parsed.find(key);
    if (found != parsed.end() && found->is_string()) return found->get<std::string>();
  }
  return {};
}

}  // namespace

void list_ollama_models(shard& home, routed_request request) {
  json list = json::array();
  for (const auto& served : home.gateway().models()->models()) {
    const auto& model = served->options;
    if (!request.who->may_use(model)) continue;
    auto object = ollama_object(model);
    object["modified_at"] = rfc3339(home.gateway().started_at());
    list.push_back(std::move(object));
  }
  answer_json(reply_to(home, request), {{"models", list}});
}

void list_loaded_ollama_models(shard& home, routed_request request) {
  json list = json::array();
  const auto board = home.gateway().board().snapshot();
  const auto now = home.now();
  for (const auto& served : home.gateway().models()->models()) {
    const auto& model = served->options;
    const auto end = unloaded_at(*board, model.name, now);
    if (!request.who->may_use(model) || !end) continue;
    auto object = ollama_object(model);
    object["size_vram"] = model.gpu_memory;
    object["expires_at"] = rfc3339(to_wall_time(*end, now));
    list.push_back(std::move(object));
  }
  answer_json(reply_to(home, request), {{"models", list}});
}

void show_ollama_model(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto body = read_object(reply, request);
  if (!body) return;
  const auto name = name_in(*body);
  if (name.empty()) {
    return reply.refuse(error_code::missing_parameter, "The body must have a text 'model'.",
                        "model");
  }
  const auto model = find_model(*home.gateway().models(), name, dialect::ollama);
  if (!model) {
    return reply.refuse(error_code::model_not_found, "The model '" + name + "' does not exist.",
                        "model");
  }
  if (!request.who->may_use(model->options)) {
    return reply.refuse(error_code::model_not_allowed,
                        "This key may not use the model '" + name + "'.", "model");
  }
  answer_json(reply, {{"modelfile", ""},
                      {"parameters", ""},
                      {"template", ""},
                      {"details", ollama_details()},
                      {"model_info", json::object()},
                      {"modified_at", rfc3339(home.gateway().started_at())}});
}

void show_ollama_version(shard& home, routed_request request) {
  answer_json(reply_to(home, request), {{"version", spoken_version}});
}

}  // namespace signalbox::http

// The table of the routes, and the traits in which those that share a handler differ.
#include <array>

#include "http/admin/auth_routes.hpp"
#include "http/admin/control_routes.hpp"
#include "http/admin/key_routes.hpp"
#include "http/admin/lease_routes.hpp"
#include "http/admin/log_routes.hpp"
#include "http/admin/model_routes.hpp"
#include "http/admin/ollama_routes.hpp"
#include "http/admin/pages.hpp"
#include "http/admin/usage_routes.hpp"
#include "http/proxy/inference_routes.hpp"
#include "http/proxy/raw_routes.hpp"
#include "http/serve/routes.hpp"

namespace signalbox::http {

namespace {

using metric = metric_route;

// Of a route of inference whose answer has text, as `dialect` has it.
constexpr route_traits text_route(metric label, dialect spoken) {
  return {.label = label, .dialect = spoken, .estimate_from_length = true, .is_inference = true};
}

// The same without text: vectors, counts, sounds.
constexpr route_traits data_route(metric label, dialect spoken) {
  return {.label = label, .dialect = spoken, .is_inference = true};
}

constexpr route_traits ollama_text(metric label) {
  auto traits = text_route(label, dialect::ollama);
  traits.streams_by_default = true;
  return traits;
}

constexpr route_traits form_route(metric label) {
  auto traits = text_route(label, dialect::other);
  traits.takes_form = true;
  return traits;
}

// What it is about is the runtime's to say.
constexpr route_traits raw_route(metric label) {
  auto traits = data_route(label, dialect::other);
  traits.takes_any_body = true;
  return traits;
}

constexpr route_traits upstream_route() {
  auto traits = raw_route(metric::upstream);
  traits.estimate_from_length = true;
  traits.is_upstream = true;
  return traits;
}

constexpr auto of_chat = text_route(metric::chat_completions, dialect::openai);
constexpr auto of_completions = text_route(metric::completions, dialect::openai);
constexpr auto of_embeddings = data_route(metric::embeddings, dialect::openai);
constexpr auto of_responses = text_route(metric::responses, dialect::responses);
constexpr auto of_messages = text_route(metric::messages, dialect::anthropic);
constexpr auto of_token_counts = data_route(metric::count_tokens, dialect::anthropic);
constexpr auto of_rerank = data_route(metric::rerank, dialect::other);
constexpr auto of_score = data_route(metric::score, dialect::other);
constexpr auto of_speech = data_route(metric::audio_speech, dialect::other);
constexpr auto of_transcriptions = form_route(metric::audio_transcriptions);
constexpr auto of_images = data_route(metric::images_generations, dialect::other);
constexpr auto of_tokenize = data_route(metric::tokenize, dialect::other);
constexpr auto of_detokenize = data_route(metric::detokenize, dialect::other);
constexpr auto of_infill = text_route(metric::infill, dialect::other);
constexpr auto of_templates = data_route(metric::apply_template, dialect::other);
constexpr auto of_props = raw_route(metric::props);
constexpr auto of_slots = raw_route(metric::slots);
constexpr auto of_upstream = upstream_route();
constexpr auto of_ollama_chat = ollama_text(metric::ollama_chat);
constexpr auto of_ollama_generate = ollama_text(metric::ollama_generate);
constexpr auto of_ollama_vectors = data_route(metric::ollama_embed, dialect::ollama);
constexpr route_traits of_ollama_models{.dialect = dialect::ollama};
constexpr route_traits of_models{.label = metric::models, .dialect = dialect::openai};
constexpr route_traits of_metrics{.is_open_with_metrics = true};

constexpr std::array<route, 71> route_rows{{
    {"POST", "/v1/chat/completions", scope::realtime, infer, of_chat},
    {"POST", "/v1/completions", scope::realtime, infer, of_completions},
    {"POST", "/v1/embeddings", scope::realtime, infer, of_embeddings},
    {"POST", "/v1/responses", scope::realtime, infer, of_responses},
    {"POST", "/v1/messages", scope::realtime, infer, of_messages},
    {"POST", "/v1/messages/count_tokens", scope::realtime, infer, of_token_counts},
    {"POST", "/v1/rerank", scope::realtime, infer, of_rerank},
    {"POST", "/v1/score", scope::realtime, infer, of_score},
    {"POST", "/v1/audio/speech", scope::realtime, infer, of_speech},
    {"POST", "/v1/audio/transcriptions", scope::realtime, infer, of_transcriptions},
    {"POST", "/v1/images/generations", scope::realtime, infer, of_images},
    {"POST", "/tokenize", scope::realtime, infer, of_tokenize},
    {"POST", "/detokenize", scope::realtime, infer, of_detokenize},
    {"POST", "/infill", scope::realtime, infer, of_infill},
    {"POST", "/apply-template", scope::realtime, infer, of_templates},
    {"GET", "/upstream/{model}/{path}", scope::admin, relay_by_path, of_upstream},
    {"POST", "/upstream/{model}/{path}", scope::admin, relay_by_path, of_upstream},
    {"PUT", "/upstream/{model}/{path}", scope::admin, relay_by_path, of_upstream},
    {"PATCH", "/upstream/{model}/{path}", scope::admin, relay_by_path, of_upstream},
    {"DELETE", "/upstream/{model}/{path}", scope::admin, relay_by_path, of_upstream},
    {"OPTIONS", "/upstream/{model}/{path}", scope::admin, relay_by_path, of_upstream},
    {"GET", "/props", scope::monitor, relay_by_query, of_props},
    {"POST", "/props", scope::admin, relay_by_query, of_props},
    {"GET", "/slots", scope::monitor, relay_by_query, of_slots},
    {"POST", "/slots/{id}", scope::admin, relay_by_query, of_slots},
    {"POST", "/api/chat", scope::realtime, infer_ollama_chat, of_ollama_chat},
    {"POST", "/api/generate", scope::realtime, infer, of_ollama_generate},
    {"POST", "/api/embed", scope::realtime, infer, of_ollama_vectors},
    {"POST", "/api/embeddings", scope::realtime, infer, of_ollama_vectors},
    {"GET", "/api/tags", scope::realtime, list_ollama_models, of_ollama_models},
    {"GET", "/api/ps", scope::realtime, list_loaded_ollama_models, of_ollama_models},
    {"GET", "/api/version", scope::realtime, show_ollama_version, of_ollama_models},
    {"POST", "/api/show", scope::realtime, show_ollama_model, of_ollama_models},
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
    {"POST", "/v1/leases", scope::any, create_lease},
    {"GET", "/v1/leases", scope::any, list_outside_leases},
    {"POST", "/v1/leases/{id}/renew", scope::any, renew_outside_lease},
    {"GET", "/v1/leases/{id}", scope::any, show_lease},
    {"DELETE", "/v1/leases/{id}", scope::any, release_outside_lease},
    {"POST", "/auth/token", scope::none, create_token},
    {"POST", "/auth/refresh", scope::none, renew_token},
    {"GET", "/metrics", scope::monitor, show_metrics, of_metrics},
    {"GET", "/openapi.json", scope::none, show_openapi},
    {"GET", "/docs", scope::none, show_docs},
    {"GET", "/docs/{file}", scope::none, show_docs_file},
    {"POST", "/admin/reload", scope::admin, reload_configuration},
    {"GET", "/admin/models", scope::monitor, list_model_states},
    {"GET", "/admin/models/{model}/logs", scope::monitor, show_logs},
    {"POST", "/admin/models/{model}/start", scope::admin, start_model},
    {"POST", "/admin/models/{model}/stop", scope::admin, stop_model},
    {"POST", "/admin/switch", scope::admin, switch_model},
    {"POST", "/admin/drain", scope::admin, drain_models},
    {"POST", "/admin/resume", scope::admin, resume_models},
    {"GET", "/status", scope::monitor, show_status},
    {"GET", "/queue", scope::monitor, show_queues},
    {"GET", "/admin/queue/{model}", scope::monitor, show_queue},
    {"GET", "/admin/crashes", scope::monitor, list_crash_records},
    {"GET", "/admin/missing-models", scope::monitor, list_models_missing},
    {"GET", "/v1/usage", scope::any, list_usage_groups},
    {"GET", "/monitor/key_usage", scope::monitor, list_usage_of_keys},
    {"GET", "/", scope::none, show_index},
}};

}  // namespace

std::span<const route> routes() {
  return route_rows;
}

}  // namespace signalbox::http

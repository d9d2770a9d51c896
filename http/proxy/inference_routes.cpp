#include "http/proxy/inference_routes.hpp"

#include <utility>

#include "http/proxy/begin_call.hpp"
#include "http/proxy/form_body.hpp"
#include "http/proxy/ollama_load.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/model_names.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/routes.hpp"
#include "scheduling/model_lifecycle.hpp"
#include "text/utf8.hpp"

namespace signalbox::http {

namespace {

// Fills `out` from headers and body, or says what is wrong with them.
std::optional<request_problem> prepare(shard& home, const routed_request& request,
                                       call_request& out) {
  if (auto wrong = read_call_headers(request, out)) return wrong;
  const auto& traits = request.found->traits;
  if (auto wrong = read_body(request, traits, true, out)) return wrong;
  auto model = find_model(*home.gateway().models(), out.facts.model, traits.dialect);
  if (auto wrong = give_to_model(home, std::move(model), out.facts.model, out)) return wrong;
  out.only_loads = only_loads(traits, out.facts, out.model->options);
  // What is loaded on purpose stays, though an earlier request wanted it unloaded.
  if (out.only_loads && !out.facts.keep_alive) {
    out.facts.keep_alive = scheduling::usual_keep(from_seconds(out.model->options.idle_unload_s));
  }
  return std::nullopt;
}

// It is not waited for: the model is unloaded once it is idle, if it is loaded at all.
void unload(shard& home, routed_request& request, call_request& out) {
  home.gate().keep_loaded(out.model->index, duration::zero());
  request.who = std::move(out.who);
  responder(home, request)
      .answer(200, "application/json", load_answer(request.found->path, out.facts.model, "unload"));
}

}  // namespace

std::optional<request_problem> read_body(const routed_request& request, const route_traits& traits,
                                         bool needs_model, call_request& out) {
  const auto& whole = request.client->body();
  if (!traits.takes_form) out.body = without_byte_order_mark(whole);
  auto facts = traits.takes_form
                   ? read_form_body(whole, request.headers.content_type, needs_model)
                   : read_request_body(out.body, traits.dialect, traits.streams_by_default,
                                       whole.capacity() - whole.size(), needs_model);
  if (auto* wrong = std::get_if<body_problem>(&facts)) {
    return request_problem{wrong->code, std::move(wrong->message), std::move(wrong->param)};
  }
  out.facts = std::move(std::get<request_facts>(facts));
  if (request.headers.content_type.data() == nullptr) {
    out.forwarded_headers += "Content-Type: application/json\r\n";
  }
  return std::nullopt;
}

void infer(shard& home, routed_request request) {
  auto out = make_call(request);
  set_target(request.client, path_of(request.client), {}, out);
  out.forwarded_headers = std::move(request.headers.forwarded);
  auto wrong = prepare(home, request, out);
  const bool only_unloads = !wrong && out.only_loads && unloads(out.facts);
  if (only_unloads && !home.gateway().draining()) return unload(home, request, out);
  begin_call(home, std::move(request), std::move(out), std::move(wrong));
}

void infer_ollama_chat(shard& home, routed_request request) {
  if (request.headers.client_id.data() == nullptr) return infer(home, std::move(request));
  // Then it is the chat of seed 001, which queues, and which is not there yet.
  responder(home, request)
      .answer(words(error_code::not_found).status, "application/json",
              error_body(error_code::not_found, "There is no such route.", {}, dialect::none));
}

}  // namespace signalbox::http

#include "http/proxy/inference_routes.hpp"

#include <charconv>

#include "http/proxy/client_answer.hpp"
#include "http/proxy/form_body.hpp"
#include "http/proxy/ollama_load.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/limits.hpp"
#include "http/serve/model_names.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/routes.hpp"
#include "text/ascii.hpp"
#include "text/utf8.hpp"

namespace signalbox::http {

namespace {

constexpr double longest_wait_s = 86400;

std::optional<request_problem> read_wait(std::string_view text, std::optional<double>& out) {
  if (text.data() == nullptr) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value >= 0 && value <= longest_wait_s)) {
    return request_problem{error_code::invalid_header,
                           "X-Max-Wait-Seconds must be a number from 0 to 86400.", ""};
  }
  out = value;
  return std::nullopt;
}

// Fills `out` from headers and body, or says what is wrong with them.
std::optional<request_problem> prepare(shard& home, routed_request& request, call_request& out) {
  if (request.headers.priority_word.data() != nullptr) {
    const auto level = parse_priority(request.headers.priority_word);
    if (!level) {
      return request_problem{error_code::invalid_header, "X-Priority must be high, normal or low.",
                             ""};
    }
    out.level = *level;
  }
  if (!request.headers.client_id.empty() && !is_sane_client_id(request.headers.client_id)) {
    return request_problem{error_code::invalid_header,
                           "X-Client-ID must have 1 to 128 letters, digits and ._:@/+- only.", ""};
  }
  out.client_id = request.headers.client_id;
  if (auto wrong = read_wait(request.headers.max_wait, out.max_wait_s)) return wrong;
  const auto& traits = request.found->traits;
  const auto& whole = request.client->body();
  auto facts = traits.takes_form
                   ? read_form_body(whole, request.headers.content_type)
                   : read_request_body(out.body, traits.dialect, traits.streams_by_default,
                                       whole.capacity() - whole.size());
  if (auto* wrong = std::get_if<body_problem>(&facts)) {
    return request_problem{error_code::invalid_json, std::move(wrong->message),
                           std::move(wrong->param)};
  }
  out.facts = std::move(std::get<request_facts>(facts));
  out.model = find_model(*home.gateway().models(), out.facts.model, traits.dialect);
  if (!out.model) {
    home.note_missing(*out.who, out.facts.model, out.client_id);
    return request_problem{error_code::model_not_found,
                           "The model '" + out.facts.model + "' does not exist.", "model"};
  }
  if (!out.who->may_use(out.model->options)) {
    return request_problem{error_code::model_not_allowed,
                           "This key may not use the model '" + out.facts.model + "'.", "model"};
  }
  out.only_loads = only_loads(traits, out.facts, out.model->options);
  return std::nullopt;
}

// Returns the path with its query, if there is one.
std::string_view target_of(const restinio::http_request_header_t& header) {
  const auto path = path_of(header);
  const auto query = header.query();
  return query.empty() ? path : std::string_view(path.data(), path.size() + 1 + query.size());
}

// Takes what the request may use of its key's limits, or says which one is reached. A call has to
// end what was taken.
std::optional<request_problem> take_limits(shard& home, time_point now, call_request& out) {
  const auto& who = *out.who;
  const auto& today = home.today();
  out.charge = {static_cast<double>(out.facts.text_bytes) / json_bytes_of_token, today.number};
  const auto exceeded =
      who.account->limits.begin_inference(who.limits, out.charge, today.ends_at - now, now);
  if (who.limits.tokens_per_minute > 0) home.note_use(out.who);
  if (!exceeded) return std::nullopt;
  auto refusal = refusal_of(who, *exceeded);
  return request_problem{error_code::rate_limited, std::move(refusal.message), "",
                         std::move(refusal.headers)};
}

// It is not waited for: the model is unloaded once it is idle, if it is loaded at all.
void unload(shard& home, routed_request& request, call_request& out) {
  home.gate().keep_loaded(out.model->index, duration::zero());
  request.who = std::move(out.who);
  responder(home, request)
      .answer(200, "application/json", load_answer(request.found->path, out.facts.model, "unload"));
}

}  // namespace

void infer(shard& home, routed_request request) {
  call_request out;
  out.method = method_of(request.client);
  out.path = target_of(request.client->header());
  out.body = request.found->traits.takes_form ? std::string_view(request.client->body())
                                              : without_byte_order_mark(request.client->body());
  out.owner = request.client;
  out.route = request.found->traits.label;
  out.dialect = request.found->traits.dialect;
  out.estimate_from_length = request.found->traits.estimate_from_length;
  out.who = std::move(request.who);
  auto wrong = prepare(home, request, out);
  if (!wrong && home.gateway().draining()) {
    wrong = request_problem{error_code::shutting_down, "The gateway is shutting down.", ""};
  }
  if (!wrong && out.only_loads && unloads(out.facts)) return unload(home, request, out);
  if (!wrong) wrong = take_limits(home, request.arrived_at, out);
  if (wrong) {
    request.who = std::move(out.who);
    responder(home, request)
        .refuse(wrong->code, std::move(wrong->message), std::move(wrong->param),
                std::move(wrong->headers));
    return;
  }
  out.request_id = std::move(request.request_id);
  out.forwarded_headers = std::move(request.headers.forwarded);
  if (request.headers.content_type.data() == nullptr) {
    out.forwarded_headers += "Content-Type: application/json\r\n";
  }
  out.max_answer_bytes = home.gateway().settings().server.response_limit;
  inference_client client{std::move(request.client), request.connection, request.found->path,
                          std::move(request.share), request.from};
  home.begin(request.connection,
             std::make_shared<client_answer>(home, std::move(client), std::move(out)));
}

void infer_ollama_chat(shard& home, routed_request request) {
  if (request.headers.client_id.data() == nullptr) return infer(home, std::move(request));
  // Then it is the chat of seed 001, which queues, and which is not there yet.
  responder(home, request)
      .answer(words(error_code::not_found).status, "application/json",
              error_body(error_code::not_found, "There is no such route.", {}, dialect::none));
}

}  // namespace signalbox::http

#include "http/proxy/begin_call.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <restinio/utils/percent_encoding.hpp>
#include <string>
#include <utility>

#include "http/proxy/client_answer.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/limits.hpp"
#include "http/serve/routes.hpp"

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

bool is_ours(std::string_view parameter, std::initializer_list<std::string_view> ours) {
  const auto name =
      restinio::utils::try_unescape_percent_encoding<restinio::utils::relaxed_unescape_traits>(
          parameter.substr(0, parameter.find('=')));
  return name && (*name == "node" || std::find(ours.begin(), ours.end(), *name) != ours.end());
}

// Returns the parameters for the runtime, each as it came.
std::string query_for_runtime(std::string_view query,
                              std::initializer_list<std::string_view> ours) {
  std::string kept;
  bool is_first = true;
  for (std::size_t begin = 0; begin <= query.size();) {
    const auto end = std::min(query.find('&', begin), query.size());
    const auto parameter = query.substr(begin, end - begin);
    begin = end + 1;
    if (is_ours(parameter, ours)) continue;
    if (!std::exchange(is_first, false)) kept += '&';
    kept += parameter;
  }
  return kept;
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

}  // namespace

call_request make_call(routed_request& request) {
  const auto& traits = request.found->traits;
  call_request out;
  out.method = method_of(request.client);
  out.body = request.client->body();
  out.owner = request.client;
  out.route = traits.label;
  out.dialect = traits.dialect;
  out.estimate_from_length = traits.estimate_from_length;
  out.who = std::move(request.who);
  out.shown = request.shown;
  out.needed = request.found->needed;
  return out;
}

void set_target(const restinio::request_handle_t& client, std::string_view path,
                std::initializer_list<std::string_view> ours, call_request& out) {
  struct own_target {
    restinio::request_handle_t client;
    std::string text;
  };
  const auto& header = client->header();
  const std::string_view query(header.query().data(), header.query().size());
  const auto kept = query.empty() ? std::string() : query_for_runtime(query, ours);
  const bool is_as_it_came = path.data() == path_of(header).data() && kept == query;
  if (is_as_it_came) {
    out.path = kept.empty() ? path : std::string_view(path.data(), path.size() + 1 + query.size());
    return;
  }
  auto target = std::make_shared<own_target>(own_target{client, std::string(path)});
  if (!kept.empty()) target->text.append("?").append(kept);
  out.path = target->text;
  out.owner = std::move(target);
}

std::optional<request_problem> read_call_headers(const routed_request& request, call_request& out) {
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
  return read_wait(request.headers.max_wait, out.max_wait_s);
}

std::optional<request_problem> give_to_model(shard& home, served_model_ptr model,
                                             std::string_view name, call_request& out) {
  if (!model) {
    home.note_missing(*out.who, name, out.client_id);
    return request_problem{error_code::model_not_found,
                           "The model '" + std::string(name) + "' does not exist.", "model"};
  }
  out.model = std::move(model);
  if (!out.who->may_use(out.model->options)) {
    return request_problem{error_code::model_not_allowed,
                           "This key may not use the model '" + std::string(name) + "'.", "model"};
  }
  return std::nullopt;
}

void begin_call(shard& home, routed_request request, call_request out,
                std::optional<request_problem> wrong) {
  if (!wrong && home.gateway().draining()) {
    wrong = request_problem{error_code::shutting_down, "The gateway is shutting down.", ""};
  }
  if (!wrong && home.gateway().drains().is_drained(out.model->options.name)) {
    wrong = request_problem{error_code::drained,
                            "The model '" + out.model->options.name +
                                "' takes no new requests for now: an operator drains it.",
                            "",
                            {{"Retry-After", "30"}}};
  }
  if (!wrong) wrong = take_limits(home, request.arrived_at, out);
  if (wrong) {
    request.who = std::move(out.who);
    responder(home, request)
        .refuse(wrong->code, std::move(wrong->message), std::move(wrong->param),
                std::move(wrong->headers));
    return;
  }
  out.request_id = std::move(request.request_id);
  out.max_answer_bytes = home.gateway().settings().server.response_limit;
  inference_client client{std::move(request.client), request.connection, request.found->path,
                          std::move(request.share), request.from};
  home.begin(request.connection,
             std::make_shared<client_answer>(home, std::move(client), std::move(out)));
}

}  // namespace signalbox::http

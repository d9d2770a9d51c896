#include "runtimes/sim/dialects.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <string>

namespace signalbox::sim {
namespace {

json message_usage(const inference_request& request, std::uint64_t output_tokens) {
  return {{"input_tokens", request.prompt_tokens}, {"output_tokens", output_tokens}};
}

const char* stop_reason(const inference_request& request) {
  return request.limited ? "max_tokens" : "end_turn";
}

json message_head(const inference_request& request, std::string_view id) {
  return {{"id", id}, {"type", "message"}, {"role", "assistant"}, {"model", request.model}};
}

json output_text(std::string_view text) {
  return {{"type", "output_text"}, {"annotations", json::array()}, {"text", text}};
}

std::string item_id(std::string_view response_id) {
  return fmt::format("msg_{}", response_id);
}

json output_item(std::string_view response_id, const char* status, json content) {
  return {{"id", item_id(response_id)},
          {"type", "message"},
          {"role", "assistant"},
          {"status", status},
          {"content", std::move(content)}};
}

const char* final_status(const inference_request& request) {
  return request.limited ? "incomplete" : "completed";
}

// One that is not ended yet.
json begun_response(const inference_request& request, std::string_view id,
                    std::int64_t created_at) {
  return {{"id", id},
          {"object", "response"},
          {"created_at", created_at},
          {"status", "in_progress"},
          {"error", nullptr},
          {"incomplete_details", nullptr},
          {"model", request.model},
          {"output", json::array()},
          {"usage", nullptr}};
}

std::string time_now() {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%FT%T}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

// The words of a text, each once: letters, digits and all that is not ASCII, in lower case.
std::set<std::string> word_set(std::string_view text) {
  std::set<std::string> words;
  std::string word;
  const auto take = [&] {
    if (!word.empty()) words.insert(std::move(word));
    word.clear();
  };
  for (const char c : text) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    const bool is_other = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & 0x80);
    if (is_upper || is_other) {
      word += is_upper ? static_cast<char>(c - 'A' + 'a') : c;
    } else {
      take();
    }
  }
  take();
  return words;
}

double share_of(const std::set<std::string>& query, const std::set<std::string>& text) {
  if (query.empty()) return 0;
  const auto common = std::count_if(text.begin(), text.end(),
                                    [&](const auto& word) { return query.contains(word); });
  return static_cast<double>(common) / static_cast<double>(query.size());
}

std::vector<double> scores_of(const inference_request& request) {
  std::vector<double> scores;
  std::set<std::string> query;
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    if (i < request.queries.size()) query = word_set(request.queries[i]);
    scores.push_back(share_of(query, word_set(request.inputs[i])));
  }
  return scores;
}

json prompt_usage(const inference_request& request) {
  return {{"prompt_tokens", request.prompt_tokens}, {"total_tokens", request.prompt_tokens}};
}

}  // namespace

json anthropic_error(const api_error& error) {
  const char* type = error.status >= 500   ? "api_error"
                     : error.status == 404 ? "not_found_error"
                     : error.status == 413 ? "request_too_large"
                     : error.status == 429 ? "rate_limit_error"
                                           : "invalid_request_error";
  return {{"type", "error"}, {"error", {{"type", type}, {"message", error.message}}}};
}

json message_json(const inference_request& request, std::string_view id, std::string_view text) {
  auto message = message_head(request, id);
  message["content"] = json::array({{{"type", "text"}, {"text", text}}});
  message["stop_reason"] = stop_reason(request);
  message["stop_sequence"] = nullptr;
  message["usage"] = message_usage(request, request.completion_tokens);
  return message;
}

stream_events message_events(const inference_request& request, std::string_view id) {
  stream_events events;
  auto message = message_head(request, id);
  message["content"] = json::array();
  message["stop_reason"] = nullptr;
  message["stop_sequence"] = nullptr;
  message["usage"] = message_usage(request, 0);
  events.begin = {{{"type", "message_start"}, {"message", std::move(message)}},
                  {{"type", "content_block_start"},
                   {"index", 0},
                   {"content_block", {{"type", "text"}, {"text", ""}}}}};
  events.first = {{"type", "content_block_delta"},
                  {"index", 0},
                  {"delta", {{"type", "text_delta"}, {"text", text_marker}}}};
  events.next = events.first;
  events.end = {{{"type", "content_block_stop"}, {"index", 0}},
                {{"type", "message_delta"},
                 {"delta", {{"stop_reason", stop_reason(request)}, {"stop_sequence", nullptr}}},
                 {"usage", {{"output_tokens", request.completion_tokens}}}},
                {{"type", "message_stop"}}};
  return events;
}

json response_json(const inference_request& request, std::string_view id, std::string_view text,
                   std::int64_t created_at) {
  auto response = begun_response(request, id, created_at);
  response["status"] = final_status(request);
  if (request.limited) response["incomplete_details"] = {{"reason", "max_output_tokens"}};
  response["output"].push_back(
      output_item(id, final_status(request), json::array({output_text(text)})));
  response["usage"] = {{"input_tokens", request.prompt_tokens},
                       {"input_tokens_details", {{"cached_tokens", 0}}},
                       {"output_tokens", request.completion_tokens},
                       {"output_tokens_details", {{"reasoning_tokens", 0}}},
                       {"total_tokens", request.prompt_tokens + request.completion_tokens}};
  return response;
}

stream_events response_events(const inference_request& request, std::string_view id,
                              std::string_view text, std::int64_t created_at) {
  const auto of_item = [](const char* type, json item) {
    return json{{"type", type}, {"output_index", 0}, {"item", std::move(item)}};
  };
  // What belongs to the text, the one part of the one item.
  const auto of_text = [&](const char* type, const char* member, json value) {
    return json{{"type", type},
                {"item_id", item_id(id)},
                {"output_index", 0},
                {"content_index", 0},
                {member, std::move(value)}};
  };
  stream_events events;
  events.begin = {
      {{"type", "response.created"}, {"response", begun_response(request, id, created_at)}},
      of_item("response.output_item.added", output_item(id, "in_progress", json::array())),
      of_text("response.content_part.added", "part", output_text(""))};
  events.first = events.next = of_text("response.output_text.delta", "delta", text_marker);
  const auto whole = response_json(request, id, text, created_at);
  const char* last = request.limited ? "response.incomplete" : "response.completed";
  events.end = {of_text("response.output_text.done", "text", text),
                of_text("response.content_part.done", "part", output_text(text)),
                of_item("response.output_item.done", whole["output"][0]),
                {{"type", last}, {"response", whole}}};
  return events;
}

json ollama_json(const inference_request& request, std::string_view text, bool is_last) {
  json answer{{"model", request.model}, {"created_at", time_now()}, {"done", is_last}};
  if (is_last) {
    answer["done_reason"] = request.limited ? "length" : "stop";
    answer["prompt_eval_count"] = request.prompt_tokens;
    answer["eval_count"] = request.completion_tokens;
  }
  if (request.route == route::ollama_chat) {
    answer["message"] = {{"role", "assistant"}, {"content", text}};
  } else {
    answer["response"] = text;
  }
  return answer;
}

stream_events ollama_events(const inference_request& request) {
  stream_events events;
  events.first = events.next = ollama_json(request, text_marker, false);
  events.end.push_back(ollama_json(request, "", true));
  return events;
}

json rerank_json(const inference_request& request, std::string_view id) {
  const auto scores = scores_of(request);
  std::vector<std::size_t> order(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min<std::size_t>(order.size(), request.top_n));
  json results = json::array();
  for (const auto i : order) results.push_back({{"index", i}, {"relevance_score", scores[i]}});
  return {{"id", id},
          {"object", "list"},
          {"model", request.model},
          {"results", results},
          {"usage", prompt_usage(request)}};
}

json score_json(const inference_request& request, std::string_view id, std::int64_t created) {
  json data = json::array();
  for (const double score : scores_of(request)) {
    data.push_back({{"index", data.size()}, {"object", "score"}, {"score", score}});
  }
  return {{"id", id},           {"object", "list"},
          {"created", created}, {"model", request.model},
          {"data", data},       {"usage", prompt_usage(request)}};
}

}  // namespace signalbox::sim

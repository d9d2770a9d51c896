// The simulated runtime's answers in other shapes than OpenAI's chat: Anthropic's messages,
// Responses, Ollama's chat and generate, and the scores of vLLM and llama-server.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtimes/sim/json.hpp"
#include "runtimes/sim/requests.hpp"

namespace signalbox::sim {

// Stands for the text of one token. Behind it in its event is nothing that a client may choose.
inline constexpr std::string_view text_marker = "@text@";

// The events of a stream: those before the text, the first token's, each further token's, and those
// behind the text.
struct stream_events {
  std::vector<json> begin;
  json first, next;
  std::vector<json> end;
};

json anthropic_error(const api_error& error);
json message_json(const inference_request& request, std::string_view id, std::string_view text);
stream_events message_events(const inference_request& request, std::string_view id);

// `created_at` is in seconds since 1970.
json response_json(const inference_request& request, std::string_view id, std::string_view text,
                   std::int64_t created_at);
stream_events response_events(const inference_request& request, std::string_view id,
                              std::string_view text, std::int64_t created_at);

// A whole answer, or a line of a stream; the last one tells the usage.
json ollama_json(const inference_request& request, std::string_view text, bool is_last);
stream_events ollama_events(const inference_request& request);

// A score is the share of the query's words that the text has, from 0 to 1.
json rerank_json(const inference_request& request, std::string_view id);  // the best first
json score_json(const inference_request& request, std::string_view id, std::int64_t created);

}  // namespace signalbox::sim

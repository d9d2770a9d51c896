// The requests of the simulated runtime: OpenAI's, Anthropic's, Ollama's, and some of vLLM's and
// llama-server's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtimes/sim/options.hpp"

namespace signalbox::sim {

enum class route : std::uint8_t {
  chat,
  completions,
  embeddings,
  infill,
  messages,
  count_tokens,
  responses,
  rerank,
  score,
  ollama_chat,
  ollama_generate,
  ollama_embed,
  ollama_embeddings
};

// Whose names and shapes a route has.
enum class dialect : std::uint8_t { openai, responses, anthropic, ollama };
dialect dialect_of(route r);

struct api_error {
  std::uint16_t status = 400;
  std::string message;
  std::string code;
};

struct inference_request {
  sim::route route = route::chat;
  std::string model;
  bool stream = false;
  bool include_usage = false;
  bool limited = false;  // max_tokens ended the completion
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  std::vector<std::string> inputs;   // of embeddings; of rerank and score: what is compared
  std::vector<std::string> queries;  // with what: one for all of them, or one for each
  std::uint64_t top_n = 0;           // how many results a rerank gives
};

// Parses a request. Prompt tokens are the words of the prompt, separated by white space; a
// completion token is one word. The integers sim_prompt_tokens and sim_completion_tokens in the
// body override both.
std::variant<inference_request, api_error> parse_request(route r, std::string_view body,
                                                         const sim_options& options);

}  // namespace signalbox::sim

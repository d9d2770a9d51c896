// The OpenAI-compatible API of the simulated runtime: parses requests and writes JSON text.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtimes/sim/options.hpp"

namespace signalbox::sim {

enum class route : std::uint8_t { chat, completions, embeddings, infill };

struct api_error {
  std::uint16_t status = 400;
  std::string message;
  std::string code;
};
std::string error_body(const api_error& error);

// Returns the JSON on one line; replaces invalid UTF-8.
std::string dump(const nlohmann::ordered_json& value);

struct inference_request {
  sim::route route = route::chat;
  std::string model;
  bool stream = false;
  bool include_usage = false;
  bool limited = false;  // max_tokens ended the completion
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  std::vector<std::string> inputs;  // embeddings
};

// Parses a request. Prompt tokens are the words of the prompt, separated by white space; a
// completion token is one word. The integers sim_prompt_tokens and sim_completion_tokens in the
// body override both.
std::variant<inference_request, api_error> parse_request(route r, std::string_view body,
                                                         const sim_options& options);

// Writes the events of one stream. What is the same in every event is made once.
class event_frames {
 public:
  event_frames(const inference_request& request, std::string_view id, usage_mode usage);

  std::string token(std::uint64_t index, std::int64_t sent_ns) const;
  std::string finish(std::int64_t sent_ns) const;  // finish chunk, usage as configured, [DONE]

 private:
  struct split_frame {
    std::string before_text, before_time, end;
  };
  split_frame first_, next_, finish_, usage_;
  bool own_usage_chunk_ = false;
};

std::string completion_body(const inference_request& request, std::string_view id,
                            usage_mode usage);
std::string embeddings_body(const inference_request& request, std::uint32_t dimension);
std::string models_body(const sim_options& options);
std::string health_body(const sim_options& options, bool loaded);

}  // namespace signalbox::sim

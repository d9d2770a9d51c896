// The APIs that our routes speak.
#pragma once

#include <cstdint>

namespace signalbox::http {

// Decides the shape of a route's errors, and for inference whether and how its usage can be asked
// for, where an answer has it, and what its streams look like.
enum class dialect : std::uint8_t {
  none,       // ours; errors are {"detail": …}
  openai,     // chat completions, completions, embeddings, and all below /v1 that is no inference
  responses,  // OpenAI's later API
  anthropic,
  ollama,
  other,  // inference whose usage is where OpenAI's is, if anywhere; with OpenAI's errors
};

}  // namespace signalbox::http

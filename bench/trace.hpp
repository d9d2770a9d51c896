// A recorded trace of requests: the arrival of each, and the lengths of its prompt and answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace signalbox::bench {

struct trace_request {
  std::chrono::nanoseconds arrival{};  // since the first one
  std::uint32_t prompt_tokens = 0, completion_tokens = 0;
};

// Reads "TIMESTAMP,ContextTokens,GeneratedTokens" (2023-11-16 18:17:03.9799600,4808,10), in the
// order of arrival; at most `limit` requests, 0 for all. Throws std::runtime_error naming the line.
std::vector<trace_request> load_trace(const std::string& file, std::size_t limit);

}  // namespace signalbox::bench

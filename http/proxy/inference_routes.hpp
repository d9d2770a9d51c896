// The handler of all routes of inference whose body names the model. The traits in their rows of
// the route table tell how they differ.
#pragma once

#include <optional>

#include "http/serve/reply.hpp"

namespace signalbox::http {

struct call_request;
struct route_traits;

void infer(shard& home, routed_request request);
// For /api/chat, which is Ollama's without an X-Client-ID.
void infer_ollama_chat(shard& home, routed_request request);

// Reads the body as a route with these traits does, or says what is wrong with it. A call that has
// its model from elsewhere does not need it in the body.
std::optional<request_problem> read_body(const routed_request& request, const route_traits& traits,
                                         bool needs_model, call_request& out);

}  // namespace signalbox::http

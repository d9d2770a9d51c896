// Requests of Ollama's chat and generate that ask the model nothing: they load it, or unload it.
// No runtime sees them, but for an external one, which is asked as any other request asks it.
#pragma once

#include <string>
#include <string_view>

namespace signalbox::config {
struct model_options;
}

namespace signalbox::http {

struct request_facts;
struct route_traits;

// Whether the request asks nothing of the model.
bool only_loads(const route_traits& traits, const request_facts& facts,
                const config::model_options& model);

// Whether it wants the model unloaded; `facts` of a request that only loads.
bool unloads(const request_facts& facts);

// Returns the answer as Ollama gives it. `route` is the pattern of its path, `model` the name that
// the client sent, `reason` the answer's `done_reason`.
std::string load_answer(std::string_view route, std::string_view model, std::string_view reason);

}  // namespace signalbox::http

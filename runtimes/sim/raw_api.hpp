// What runtimes have beside the APIs that clients know: llama-server's routes about itself, and an
// echo, which shows tests what has arrived.
#pragma once

#include <restinio/request_handler.hpp>
#include <string>
#include <string_view>

#include "runtimes/sim/options.hpp"

namespace signalbox::sim {

std::string props_body(const sim_options& options);
std::string slots_body(const sim_options& options);
// Answers a POST to /slots/{id}; `path` is the whole of it.
std::string slot_action_body(std::string_view path, std::string_view query);
// The messages of a chat as one prompt; empty: the body has none.
std::string template_body(std::string_view body);
// Method, target, header fields (names in lower case) and body of a request, as JSON.
std::string echo_body(const restinio::request_handle_t& request);

}  // namespace signalbox::sim

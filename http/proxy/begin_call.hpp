// What the handlers of all routes share that are proxied to a model's runtime.
#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>

#include "http/proxy/upstream_call.hpp"
#include "http/serve/reply.hpp"

namespace signalbox::http {

class shard;
struct routed_request;

// Begins a call of this request: its method, body, key, and what the traits of its route say.
call_request make_call(routed_request& request);

// Sets the target of the call: this path, and the query that came. The parameters that are named in
// `ours`, and `node`, are for the gateway and are taken out. `path` must be that of the request, or
// what the caller makes of it.
void set_target(const restinio::request_handle_t& client, std::string_view path,
                std::initializer_list<std::string_view> ours, call_request& out);

// Reads the headers that are meant for us, or says what is wrong with them.
std::optional<request_problem> read_call_headers(const routed_request& request, call_request& out);

// Gives the call to the model, or says why not. `name`: as the client wrote it; null: no model has
// it.
std::optional<request_problem> give_to_model(shard& home, served_model_ptr model,
                                             std::string_view name, call_request& out);

// Sends the call on its way if nothing is wrong with it and its key has not reached a limit, and
// answers the client in any case.
void begin_call(shard& home, routed_request request, call_request out,
                std::optional<request_problem> wrong);

}  // namespace signalbox::http

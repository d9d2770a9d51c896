// Finds out which path of the route table a request means, whichever way it is written.
#pragma once

#include <optional>
#include <restinio/http_headers.hpp>
#include <string>
#include <string_view>

#include "http/serve/dialect.hpp"
#include "http/serve/reply.hpp"

namespace signalbox::http {

// Returns the parameter of a path that matches the pattern; it is empty when the pattern has none.
// A parameter at the end takes the rest of the path with its slashes, as model names may have them;
// one in the middle has no slash, unless it is {model}. A pattern with two parameters ends with
// them: they are one text here, and who knows the names of models parts them.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path);

// Makes the target of a request one with the path as the table has it: an absolute one (RFC 9112
// 3.2.2), one with several slashes, which clients send whose base URL ends with a slash, and for
// routes with a dialect one with a slash at the end, or without /v1. Returns what is wrong with it.
std::optional<request_problem> read_target(restinio::http_request_header_t& header,
                                           std::string_view host);

// Returns the text without its percent-encoding; nothing when it is not valid, or no UTF-8.
std::optional<std::string> decoded_path(std::string_view text);

struct route;

// Returns the route of inference that a request for this path would take; null: none, or one that
// takes any body.
const route* inference_route_of(std::string_view method, std::string_view path);

// Returns the dialect in which errors on this path are told, also where it is no route.
dialect dialect_of(std::string_view path);

}  // namespace signalbox::http
